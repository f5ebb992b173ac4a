//! A faulty declaration is refused with all its faults, before anything starts.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Backoff, Limits, OpenError, Phase, RestartPolicy, Secret, ServerError, ServerSpec, SpecError,
    Stdio,
};
use world::World;

async fn faults(world: &World, specs: impl IntoIterator<Item = ServerSpec>) -> Vec<SpecError> {
    match world.runtime.session("s").servers(specs).open().await {
        Ok(_) => Vec::new(),
        Err(OpenError::Spec(faults)) => faults,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn all_faults_of_all_servers_are_told_together_and_nothing_starts() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let good = world.hostile("normal").arg("--log").arg(&log);
        let long = Duration::from_secs(2);
        let inverted = RestartPolicy::on_failure().backoff(Backoff::new(long, long / 2));
        let specs = [
            ServerSpec::new("good", good).required(),
            ServerSpec::new("9 lives", Stdio::new("")).prefix("a.b").root("/tmp"),
            ServerSpec::new("twin", Stdio::new("x").arg("\0").env_literal("A=B", "secret")),
            ServerSpec::new("twin", Stdio::new("x").env("")).restart(inverted),
            ServerSpec::new("zero", Stdio::new("x")).limits(Limits::default().with_max_frame(0)),
        ];
        let builder = world.runtime.session("s").servers(specs);
        let error = builder.open().await.unwrap_err();
        let message = error.to_string();
        let OpenError::Spec(faults) = error else { panic!("{message}") };
        for wanted in [
            "server name \"9 lives\" is not allowed: start with a letter",
            "server \"9 lives\": the command is empty: name the program",
            "prefix \"a.b\" is not allowed: leave it empty",
            "root \"/tmp\" is not a file:// URI",
            "server \"twin\": argument 1 holds a NUL byte",
            "\"A=B\" cannot name an environment variable",
            "\"\" cannot name an environment variable",
            "two servers are named \"twin\": give each its own name",
            "the backoff starts at 2s, above its maximum of 1s: swap them",
            "server \"zero\":",
        ] {
            assert!(message.contains(wanted), "{wanted}\nis not in\n{message}");
        }
        assert_eq!(faults.len(), 10, "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(world.processes(), [0; 0]);
        assert!(world.runtime.leak_report().is_empty());
        assert!(!log.exists(), "the good one was not started either");
    });
}

#[test]
fn names_are_letters_digits_dashes_and_underscores_behind_a_letter() {
    world::run(async |world| {
        let longest = "n".repeat(64);
        let good = ["a", "Z", "A-b_C-9", "a__b", "a--", "x_", &longest];
        let specs = good.map(|name| ServerSpec::new(name, world.echo()));
        assert_eq!(faults(&world, specs.clone()).await, []);
        let session = world.open(specs).await;
        for name in good {
            session.call(format!("{name}.echo"), ()).await.unwrap();
        }
        let too_long = "n".repeat(65);
        let odd = ["", "1a", "-a", "_a", "a.b", "a b", "ä", "a\n", "a/b", "a\0", &too_long];
        let specs = odd.map(|name| ServerSpec::new(name, world.echo()));
        let expected = odd.map(|name| SpecError::InvalidName { name: name.to_owned() });
        assert_eq!(faults(&world, specs).await, expected);
    });
}

#[test]
fn a_program_that_is_not_there_is_named_with_the_places_it_was_looked_for() {
    world::run(async |world| {
        let path = world.folder().join("no/such/program");
        let session = world
            .open([
                ServerSpec::new("name", world.stdio("no-such-program")),
                ServerSpec::new("path", world.stdio(&path)),
            ])
            .await;
        let told = |name| {
            let status = session.server(name).unwrap().status();
            assert_eq!(status.phase, Phase::Failed, "{status:?}");
            status.last_error.unwrap().to_string()
        };
        let message = told("name");
        assert!(message.contains("no program \"no-such-program\" was found"), "{message}");
        assert!(message.contains(&std::env::var("PATH").unwrap()), "{message}");
        assert!(message.contains("install it"), "{message}");
        let message = told("path");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    });
}

#[test]
fn a_working_directory_that_is_not_there_is_told_from_a_missing_program() {
    world::run(async |world| {
        let path = world.folder().join("nowhere");
        let session = world.open([ServerSpec::new("a", world.echo().cwd(&path))]).await;
        let error = session.server("a").unwrap().status().last_error.unwrap();
        let message = error.to_string();
        assert!(
            message.contains("working directory") && message.contains("create it"),
            "{message}"
        );
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    });
}

#[test]
fn a_file_that_is_no_program_is_a_failed_start() {
    world::run(async |world| {
        let path = world.folder().join("text");
        std::fs::write(&path, "not a program").unwrap();
        let session = world.open([ServerSpec::new("a", world.stdio(&path))]).await;
        let status = session.server("a").unwrap().status();
        assert_eq!(status.phase, Phase::Failed, "{status:?}");
        let Some(ServerError::Connect(error)) = status.last_error else { panic!("no reason") };
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    });
}

#[test]
fn a_session_without_servers_opens_and_closes() {
    world::run(async |world| {
        let session = world.open([]).await;
        assert!(session.tools().is_empty() && session.servers().is_empty());
        assert_eq!(session.call("a.echo", ()).await.unwrap_err().kind(), "unknown_tool");
        session.close().await;
    });
}

#[test]
fn what_a_host_has_to_provide_is_known_before_anything_starts() {
    let one = || Secret::provider("one");
    let stdio =
        Stdio::new("x").env_from("A", Secret::env("A")).env_from("B", Secret::provider("two"));
    let spec = ServerSpec::new("a", stdio.arg_from(one()).arg_from(one()));
    assert_eq!(spec.provided_secrets(), ["one", "two"]);
    #[cfg(feature = "oauth")]
    {
        use callboard::{Auth, ClientCredentials, EnterpriseManaged, OAuth, StreamableHttp};

        let url = "https://example.com/mcp";
        let managed = EnterpriseManaged::new("issuer", url, "id", Secret::env("ID_TOKEN"));
        for auth in [
            Auth::bearer(one()),
            Auth::client_credentials(ClientCredentials::new("id", one())),
            Auth::enterprise_managed(managed.provider_secret(one())),
            Auth::oauth(OAuth::new("host").client("id", one())),
        ] {
            let spec = ServerSpec::new("a", StreamableHttp::new(url).auth(auth));
            assert_eq!(spec.provided_secrets(), ["one"]);
        }
    }
}
