//! Servers of files, as they run.

use std::{path::Path, time::Duration};

use callboard::{
    Auth, FileTokenStore, OAuth, ServerSpec, Session, StreamableHttp,
    config::{self, FeedError, LoadError},
};
use serde_json::{Value, json};

use super::{
    names, parse,
    world::{self, World, await_status},
};

/// An entry for a server whose processes a world looks after.
fn entry(world: &World, args: &[&str], env: &Value) -> Value {
    let script = world::root().join("tests/servers/hostile.py");
    let mut all = vec![script.to_str().unwrap()];
    all.extend(args);
    let mut env = env.clone();
    for (name, value) in world.marked() {
        env[name] = value.into();
    }
    json!({ "command": "python3", "args": all, "env": env })
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn references_are_resolved_when_the_server_starts() {
    world::run(async |world| {
        let args = ["--mode", "normal", "--size", "${CALLBOARD_TEST_UNSET:-7}"];
        let env = json!({ "HOMES": "at ${HOME} and ${env:HOME}", "SET": "${CALLBOARD_UNSET:-}" });
        let file = json!({ "mcpServers": { "a": entry(&world, &args, &env) } });
        let loaded = parse(&file.to_string());
        assert!(loaded.faults.is_empty() && loaded.warnings.is_empty(), "{loaded:?}");
        let session = world.open(loaded.specs).await;
        let status = await_status(&session.server("a").unwrap(), LONG, |s| s.is_ready()).await;
        let of_process = |file: &str| {
            let bytes = std::fs::read(format!("/proc/{}/{file}", status.pid.unwrap())).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert!(of_process("cmdline").ends_with(&format!("--size{0}7{0}", '\0')));
        let home = std::env::var("HOME").unwrap();
        let environment = of_process("environ");
        assert!(environment.contains(&format!("HOMES=at {home} and {home}\0")), "{environment}");
        assert!(environment.contains("\0SET=\0"));
        // What came from the environment is a secret; what stands in the file is none.
        let redacted = session.redactor().redact(&format!("at {home} and 7")).into_owned();
        assert_eq!(redacted, "at [redacted] and 7");
        session.close().await;
    });
}

/// Whoever runs it wherever, the tokens are where the file says.
#[test]
fn the_folder_of_tokens_is_named_from_that_of_the_file_or_the_home() {
    world::run(async |world| {
        let (path, home) = (world.folder().join("servers.json"), std::env::var("HOME").unwrap());
        let absolute = world.folder().join("elsewhere");
        for (store, folder) in [
            ("t", world.folder().join("t")),
            ("~/t", Path::new(&home).join("t")),
            ("${HOME}/t", Path::new(&home).join("t")),
            (absolute.to_str().unwrap(), absolute.clone()),
        ] {
            let auth = json!({ "type": "oauth", "client_name": "x", "store": store });
            let entry = json!({ "url": "https://example.com/mcp", "callboard": { "auth": auth } });
            std::fs::write(&path, json!({ "mcpServers": { "a": entry } }).to_string()).unwrap();
            let loaded = config::load(&path).unwrap();
            let kept = OAuth::new("x").store(FileTokenStore::new(&folder));
            let remote = StreamableHttp::new("https://example.com/mcp").auth(Auth::oauth(kept));
            assert_eq!(loaded.specs, [ServerSpec::new("a", remote)], "{store}: {loaded:?}");
        }
    });
}

/// Otherwise each change of a file would start all servers anew that a person logs in to.
#[test]
fn a_login_that_is_kept_in_the_same_folder_is_the_same_declaration() {
    let text = json!({ "mcpServers": {
        "a": { "url": "https://example.com/mcp", "callboard": { "auth": { "type": "oauth" } } },
        "b": { "url": "https://example.com/mcp" },
    } });
    let declared = || {
        let login = || OAuth::new("x").store(FileTokenStore::new("/var/lib/x"));
        let specs = parse(&text.to_string()).specs.into_iter();
        specs.map(|spec| spec.or_login(login())).collect::<Vec<_>>()
    };
    assert_eq!(declared(), declared());
}

#[test]
fn a_file_is_followed_and_a_broken_one_costs_nothing() {
    world::run(async |world| {
        let path = world.folder().join("servers.json");
        let plain = entry(&world, &["--mode", "normal"], &json!({}));
        // As editors do it: another file takes the place.
        let save = |servers: &Value| {
            let draft = world.folder().join("draft");
            std::fs::write(&draft, json!({ "mcpServers": servers }).to_string()).unwrap();
            std::fs::rename(&draft, &path).unwrap();
        };
        save(&json!({ "a": plain, "b": plain }));
        let mut watch = config::watch(&path).every(Duration::from_millis(20));
        let session = world.open(watch.next().await.unwrap().specs).await;
        let pid = |name: &str| session.server(name).map(|server| server.status().pid);
        let first = pid("a").unwrap().unwrap();

        // Broken as a whole, then put right in place; nothing is touched.
        std::fs::write(&path, "{ \"mcpServers\": ").unwrap();
        let broken = in_time(watch.feed(&session)).await.unwrap_err();
        assert!(
            matches!(&broken, FeedError::Load(LoadError::Syntax(f)) if f.line == 1),
            "{broken}"
        );
        assert!(pid("b").unwrap().is_some());
        let servers = json!({ "a": plain, "b": plain });
        std::fs::write(&path, json!({ "mcpServers": servers }).to_string()).unwrap();
        let (_, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert!(applied.is_empty(), "{applied:?}");

        // One entry is wrong now: that server stays as it is.
        save(&json!({ "a": { "comand": "x" }, "c": plain }));
        let (loaded, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!((loaded.broken.as_slice(), loaded.faults.len()), (&["a".to_owned()][..], 1));
        assert_eq!(
            (applied.unchanged.as_slice(), applied.stopped.len()),
            (&["a".to_owned()][..], 1)
        );
        session.settled().await;
        assert_eq!((pid("a"), pid("b")), (Some(Some(first)), None));

        // A file that is gone is told once, and has its servers go on.
        std::fs::remove_file(&path).unwrap();
        let gone = in_time(watch.feed(&session)).await.unwrap_err();
        assert!(matches!(gone, FeedError::Load(LoadError::Unreadable { .. })), "{gone}");
        save(&json!({ "c": plain }));
        let (_, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!((applied.stopped.len(), applied.unchanged.len()), (1, 1));
        assert_eq!(world.processes().len(), 1);
        session.close().await;
    });
}

/// Claude Code's file: what a project says of a server goes before what the user says, whatever it says.
#[test]
fn an_entry_that_is_broken_or_disabled_hides_the_one_that_it_goes_before() {
    world::run(async |world| {
        let path = world.folder().join(".claude.json");
        let here = std::env::current_dir().unwrap();
        let tagged = |tag: &str| {
            let mut entry = entry(&world, &["--mode", "normal"], &json!({}));
            entry["callboard"] = json!({ "tags": [tag] });
            entry
        };
        let save = |of_project: &Value| {
            let of_user = json!({ "git": tagged("user"), "web": tagged("user") });
            let projects = json!({ here.to_str().unwrap(): { "mcpServers": of_project } });
            let file = json!({ "mcpServers": of_user, "projects": projects });
            std::fs::write(&path, file.to_string()).unwrap();
        };
        let declared = |session: &Session| -> Vec<(String, String)> {
            let specs = session.servers().into_iter().map(|server| server.spec());
            let mut all: Vec<_> = specs.map(|s| (s.name().to_owned(), format!("{s:?}"))).collect();
            all.sort();
            all.into_iter()
                .map(|(name, shown)| {
                    let of = ["user", "project"].into_iter().find(|tag| shown.contains(tag));
                    (name, of.unwrap_or_default().to_owned())
                })
                .collect()
        };
        let are = |of: &[(&str, &str)]| -> Vec<(String, String)> {
            of.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect()
        };
        let broken = json!({ "comand": "x" });

        // Nothing starts in the place of what is broken from the first.
        save(&json!({ "git": broken }));
        let mut watch = config::watch(&path).every(Duration::from_millis(20));
        let loaded = in_time(watch.next()).await.unwrap();
        assert_eq!(
            (names(&loaded), loaded.broken.as_slice()),
            (vec!["web"], &["git".to_owned()][..])
        );
        let session = world.open(loaded.specs).await;

        save(&json!({ "git": tagged("project") }));
        in_time(watch.feed(&session)).await.unwrap();
        assert_eq!(declared(&session), are(&[("git", "project"), ("web", "user")]));
        let git = session.server("git").unwrap();
        let pid = await_status(&git, LONG, |s| s.is_ready()).await.pid;

        // It goes on, and what else the file says is done.
        save(&json!({ "git": broken, "new": tagged("project") }));
        let (loaded, applied) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!((loaded.broken.len(), applied.started), (1, vec!["new".to_owned()]));
        assert_eq!(git.status().pid, pid);
        let three = [("git", "project"), ("new", "project"), ("web", "user")];
        assert_eq!(declared(&session), are(&three));

        let mut disabled = tagged("project");
        disabled["disabled"] = true.into();
        save(&json!({ "git": disabled, "new": tagged("project") }));
        let (loaded, _) = in_time(watch.feed(&session)).await.unwrap();
        assert_eq!(loaded.disabled, ["git"]);
        assert_eq!(declared(&session), are(&three[1..]));
        session.close().await;
    });
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.unwrap()
}
