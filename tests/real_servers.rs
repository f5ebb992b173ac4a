//! Servers that people run: the reference servers in TypeScript and Python, alone and behind the
//! process trees that package runners make of them.

#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{path::Path, process::Command, time::Duration};

use callboard::{ServerSpec, Session, Stdio};
use person::Person;
use serde_json::{Value, json};
use world::World;

const SOON: Duration = Duration::from_secs(20);
/// Most of these do not exit, or not soon, when their stdin ends.
const GRACE: Duration = Duration::from_millis(200);

async fn open(world: &World, stdio: Stdio) -> Session {
    world.open_one(stdio.eof_grace(GRACE)).await
}

/// Calls a tool that has to succeed.
async fn call(session: &Session, tool: &str, arguments: Value) -> String {
    let output = session.call(tool, arguments).await.unwrap();
    assert!(!output.is_error(), "{tool}: {}", output.text());
    output.text()
}

async fn close(world: &World, session: Session) {
    session.close().await;
    assert!(world.processes().is_empty(), "left after close: {:?}", world.processes());
}

fn version(session: &Session) -> String {
    session.server("a").unwrap().status().protocol_version.unwrap()
}

/// A repository with one commit, made without the configuration of whoever runs the test.
fn repository(folder: &Path) {
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").arg("-C").arg(folder);
        assert!(git.args(identity).args(args).output().unwrap().status.success(), "{args:?}");
    };
    git(&["init", "--initial-branch=main"]);
    std::fs::write(folder.join("file"), "content\n").unwrap();
    git(&["add", "file"]);
    git(&["commit", "--message=first"]);
}

#[test]
fn the_everything_server_lists_and_answers() {
    world::run(async |world| {
        let session = open(&world, world.node("mcp-server-everything").arg("stdio")).await;
        assert!(session.tools().len() >= 12, "{}", session.tools());
        assert!(session.tools().faults().is_empty());
        let text = call(&session, "a.echo", json!({ "message": "hi" })).await;
        assert_eq!(text, "Echo: hi");
        let text = call(&session, "a.get-sum", json!({ "a": 2, "b": 3 })).await;
        assert!(text.contains('5'), "{text}");
        let arguments = json!({ "location": "New York" });
        let output = session.call("a.get-structured-content", arguments).await.unwrap();
        assert!(output.structured::<Value>().unwrap().unwrap().is_object());
        let output = session.call("a.get-tiny-image", ()).await.unwrap();
        assert!(output.content().len() >= 2, "text and image");
        close(&world, session).await;
    });
}

/// It asks for roots as soon as it is initialized.
#[test]
fn the_filesystem_server_writes_and_reads() {
    world::run(async |world| {
        let folder = world.folder().join("files");
        std::fs::create_dir(&folder).unwrap();
        for root in [None, Some(format!("file://{}", folder.display()))] {
            let stdio = world.node("mcp-server-filesystem").arg(&folder).eof_grace(GRACE);
            let spec = root.into_iter().fold(ServerSpec::new("a", stdio), ServerSpec::root);
            let session = world.open([spec]).await;
            let path = folder.join("note");
            call(&session, "a.write_file", json!({ "path": path, "content": "héllo" })).await;
            let text = call(&session, "a.read_text_file", json!({ "path": path })).await;
            assert_eq!(text, "héllo");
            let outside = session.call("a.read_text_file", json!({ "path": "/etc/passwd" })).await;
            assert!(outside.unwrap().is_error(), "a failure of the tool is no error of the call");
            close(&world, session).await;
        }
    });
}

/// It takes over whatever roots its client has, also while it runs.
#[test]
fn the_filesystem_server_follows_the_roots() {
    world::run(async |world| {
        let person = Person::new();
        let folder = |name: &str| {
            let folder = world.folder().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        };
        let root = |name: &str| format!("file://{}", folder(name).display());
        *person.roots.lock().unwrap() = vec![root("first")];
        let stdio = world.node("mcp-server-filesystem").arg(folder("args")).eof_grace(GRACE);
        let spec = ServerSpec::new("a", stdio).required();
        let session = world.runtime.session("test").host(person.clone()).server(spec);
        let session = session.open().await.unwrap();
        let allows = async |name: &str| {
            let deadline = tokio::time::Instant::now() + SOON;
            loop {
                let allowed = call(&session, "a.list_allowed_directories", json!({})).await;
                if allowed.contains(name) {
                    break allowed;
                }
                assert!(tokio::time::Instant::now() < deadline, "{allowed}");
            }
        };
        assert!(!allows("first").await.contains("args"));
        *person.roots.lock().unwrap() = vec![root("second")];
        session.roots_changed();
        assert!(!allows("second").await.contains("first"));
        close(&world, session).await;
    });
}

#[test]
fn the_memory_server_remembers_across_a_restart() {
    world::run(async |world| {
        let file = world.folder().join("memory.json");
        let stdio = world.node("mcp-server-memory").env_literal("MEMORY_FILE_PATH", &file);
        let session = open(&world, stdio).await;
        let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["counts"] });
        call(&session, "a.create_entities", json!({ "entities": [entity] })).await;
        let server = session.server("a").unwrap();
        server.restart();
        world::await_status(&server, SOON, |status| status.is_ready() && status.epoch == 2).await;
        let graph = call(&session, "a.read_graph", json!({})).await;
        assert!(graph.contains("Ada"), "{graph}");
        close(&world, session).await;
    });
}

#[test]
fn the_git_server_speaks_the_modern_revision() {
    world::run(async |world| {
        let folder = world.folder().join("repository");
        std::fs::create_dir(&folder).unwrap();
        repository(&folder);
        let stdio = world.python("mcp-server-git").arg("--repository").arg(&folder);
        let session = open(&world, stdio).await;
        assert_eq!(version(&session), "2026-07-28");
        assert!(session.tools().len() >= 10, "{}", session.tools());
        let text = call(&session, "a.git_log", json!({ "repo_path": folder })).await;
        assert!(text.contains("first"), "{text}");
        std::fs::write(folder.join("file"), "changed\n").unwrap();
        let text = call(&session, "a.git_status", json!({ "repo_path": folder })).await;
        assert!(text.contains("file"), "{text}");
        close(&world, session).await;
    });
}

#[test]
fn the_time_server_speaks_the_modern_revision() {
    world::run(async |world| {
        let session = open(&world, world.python("mcp-server-time")).await;
        assert_eq!(version(&session), "2026-07-28");
        let text = call(&session, "a.get_current_time", json!({ "timezone": "UTC" })).await;
        assert!(text.contains("UTC"), "{text}");
        let nowhere = json!({ "timezone": "Nowhere/Land" });
        match session.call("a.get_current_time", nowhere).await {
            Ok(output) => assert!(output.is_error(), "{}", output.raw()),
            Err(error) => assert_eq!(error.kind(), "rejected"),
        }
        close(&world, session).await;
    });
}

/// C2: as a cold `uvx` does it, both questions stand by the time the server can answer.
#[test]
fn a_modern_server_that_boots_slowly_is_still_modern() {
    world::run(async |world| {
        let folder = world.folder().join("repository");
        std::fs::create_dir(&folder).unwrap();
        repository(&folder);
        let late = |name: &str| {
            let program = world::installed(&format!("python/bin/{name}"));
            let stdio = world.stdio("sh").args(["-c", r#"sleep 4; exec "$0" "$@""#]);
            ServerSpec::new(name, stdio.arg(program).eof_grace(GRACE)).init_timeout(SOON)
        };
        let git = late("mcp-server-git");
        let session = world.open([git, late("mcp-server-time")]).await;
        for server in session.servers() {
            let status = server.status();
            assert!(status.is_ready() && status.restarts == 0, "{status:?}");
            assert_eq!(status.protocol_version.as_deref(), Some("2026-07-28"), "{server:?}");
        }
        let arguments = json!({ "repo_path": folder });
        let text = call(&session, "mcp-server-git.git_log", arguments).await;
        assert!(text.contains("first"), "{text}");
        let arguments = json!({ "timezone": "UTC" });
        call(&session, "mcp-server-time.get_current_time", arguments).await;
        close(&world, session).await;
    });
}

/// Check 3: package runners put shells in front of a server; all of them are one server.
#[test]
fn a_server_behind_a_tree_of_shells_is_stopped_with_the_tree() {
    world::run(async |world| {
        // The second gives its own stdin on, which a background job does not have by itself.
        let shells = [
            &["-c", r#""$@"; true"#, "sh", "sh", "-c", r#""$@"; true"#, "sh"][..],
            &["-c", r#"exec 3<&0; "$@" <&3 & wait"#, "sh"],
        ];
        for shell in shells {
            let program = world::installed("node/node_modules/.bin/mcp-server-everything");
            let stdio = world.stdio("sh").args(shell).arg(program).arg("stdio");
            let session = open(&world, stdio).await;
            assert!(world.processes().len() >= 2, "{:?}", world.processes());
            assert_eq!(call(&session, "a.echo", json!({ "message": "x" })).await, "Echo: x");
            close(&world, session).await;
        }
    });
}

/// Check 1, for the first process of a tree: what it leaves behind is gone before the next start.
#[test]
fn a_server_whose_shell_was_killed_does_not_outlive_it() {
    world::run(async |world| {
        let program = world::installed("node/node_modules/.bin/mcp-server-everything");
        let stdio = world.stdio("sh").args(["-c", r#""$@"; true"#, "sh"]).arg(program).arg("stdio");
        let session = open(&world, stdio).await;
        let server = session.server("a").unwrap();
        let before = world.processes();
        world::signal(server.status().pid.unwrap(), rustix::process::Signal::KILL);
        world::await_status(&server, SOON, |status| status.is_ready() && status.epoch == 2).await;
        let now = world.processes();
        assert!(now.iter().all(|pid| !before.contains(pid)), "{before:?} {now:?}");
        assert_eq!(call(&session, "a.echo", json!({ "message": "x" })).await, "Echo: x");
        close(&world, session).await;
    });
}
