//! One bad server is its own affair: the others start, answer and stop as if it were not there.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{ConnectError, OpenError, Phase, RestartPolicy, ServerError, ServerSpec, Session};
use serde_json::json;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(10);

async fn assert_echo(session: &Session, tool: &str) {
    let output = session.call(tool, json!({ "text": "x" })).await.unwrap();
    assert_eq!(output.text(), "x");
}

/// Check 11: one hung, one missing, one slow and one good server.
#[test]
fn good_tools_are_usable_as_soon_as_their_own_server_is_ready() {
    world::run(async |world| {
        let hung = ServerSpec::new("hung", world.hostile("no-init").eof_grace(Duration::ZERO))
            .restart(RestartPolicy::never())
            .init_timeout(Duration::from_secs(4));
        let missing = ServerSpec::new("missing", world.stdio("no-such-program-anywhere"));
        let slow = world.hostile("slow-init").args(["--delay", "2"]);
        let session = world
            .runtime
            .session("four")
            .servers([hung, missing])
            .server(ServerSpec::new("slow", slow).init_timeout(Duration::from_secs(6)))
            .server(ServerSpec::new("good", world.hostile("normal")))
            .open()
            .await
            .unwrap();
        let [hung, missing, slow, good] = session.servers().try_into().unwrap();
        good.ready().await.unwrap();
        assert_echo(&session, "good.echo").await;
        assert_eq!(slow.status().phase, Phase::Starting, "nobody waited for it");
        assert_eq!(hung.status().phase, Phase::Starting, "nor for this one");
        let error = missing.ready().await.unwrap_err().unwrap();
        let ServerError::Connect(error) = error else { panic!("{error}") };
        assert!(matches!(&*error, ConnectError::CommandNotFound { .. }), "{error}");
        assert_eq!(missing.status().restarts, 0, "it will not be there the next time either");
        slow.ready().await.unwrap();
        assert_echo(&session, "slow.echo").await;
        hung.ready().await.unwrap_err();
        assert_echo(&session, "good.echo").await;
    });
}

/// Check 11: opening waits for the required servers alone, and no longer than they may take.
#[test]
fn opening_returns_within_the_init_timeout_of_the_slowest_required_server() {
    world::run(async |world| {
        let hung = |seconds| {
            let stdio = world.hostile("no-init").eof_grace(Duration::ZERO);
            ServerSpec::new("hung", stdio).init_timeout(Duration::from_secs(seconds))
        };
        let good = || ServerSpec::new("good", world.hostile("normal")).required();
        let began = Instant::now();
        let session =
            world.runtime.session("one").servers([hung(60), good()]).open().await.unwrap();
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        assert_echo(&session, "good.echo").await;
        session.close().await;
        let began = Instant::now();
        let refused =
            world.runtime.session("two").servers([hung(1).required(), good()]).open().await;
        let Err(OpenError::Required(failures)) = refused else { panic!("{refused:?}") };
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let [failure] = &failures[..] else { panic!("{failures:?}") };
        assert_eq!(failure.server, "hung");
        assert!(failure.to_string().contains("no answer"), "{failure}");
        assert!(world.processes().is_empty(), "nothing of a session that was not opened is left");
    });
}

/// How much a server burns is not reported yet.
#[test]
fn a_server_that_burns_a_core_leaves_the_others_their_latency() {
    world::run(async |world| {
        let session = world
            .open([
                ServerSpec::new("a", world.hostile("cpu-spin")),
                ServerSpec::new("b", world.hostile("normal")),
            ])
            .await;
        for _ in 0..100 {
            let began = Instant::now();
            assert_echo(&session, "b.echo").await;
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
        assert_echo(&session, "a.echo").await;
    });
}

/// A limit on the memory of a server is not there yet.
#[test]
fn a_server_that_eats_memory_leaves_the_others_alone() {
    world::run(async |world| {
        let session = world
            .open([
                ServerSpec::new("a", world.hostile("memory-hog")),
                ServerSpec::new("b", world.hostile("normal")),
            ])
            .await;
        for _ in 0..3 {
            assert_echo(&session, "a.echo").await;
            assert_echo(&session, "b.echo").await;
        }
        assert!(session.servers().iter().all(|server| server.status().epoch == 1));
    });
}

/// Check 18. That the secret is redacted in what the server makes of it is not there yet.
#[test]
fn a_server_that_shouts_its_environment_has_little_to_shout() {
    world::run(async |world| {
        // Not `python3`, which may be a shell script that adds variables of its own.
        let script = world::root().join("tests/servers/hostile.py");
        let stdio = world.python("python3").arg(script).args(["--mode", "secret-stderr"]);
        let session = world.open_one(stdio.env_literal("TOKEN", "s3cret")).await;
        let error = session.call("a.echo", ()).await.unwrap_err();
        assert_eq!(error.kind(), "rejected");
        let status = session.server("a").unwrap().status();
        assert!(status.is_ready() && status.epoch == 1, "{status:?}");
        let tail = session.server("a").unwrap().stderr_tail();
        let names: Vec<_> = tail
            .iter()
            .filter_map(|line| Some(line.strip_prefix("env ")?.split_once('=')?.0))
            .collect();
        assert!(names.contains(&"TOKEN") && names.contains(&"PATH"), "{names:?}");
        let base = ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "SHELL"];
        let declared = ["TOKEN", "CALLBOARD_TEST_WORLD"];
        for name in names {
            let known = base.contains(&name) || declared.contains(&name) || name.starts_with("LC_");
            assert!(known, "{name} came from nowhere");
        }
    });
}
