//! The invariants of ARCHITECTURE.md, read off the source.

use std::path::{Path, PathBuf};

/// One source file without its comments and its unit tests.
struct Source {
    /// Relative to `src/`.
    path: String,
    code: Vec<String>,
}

impl Source {
    fn has(&self, text: &str) -> bool {
        self.code.iter().any(|line| line.contains(text))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all = files(&root);
    // The command is a program on top of the library, like any other.
    let ours = all
        .iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.starts_with(root.join("bin")));
    let sources: Vec<_> = ours
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            // Unit tests stand at the end.
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            Source {
                path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                code: code.map(str::to_owned).collect(),
            }
        })
        .collect();
    assert!(sources.len() > 20);
    sources
}

/// The files whose code holds this text.
fn holding(text: &str) -> Vec<String> {
    let sources = sources();
    let mut found: Vec<_> =
        sources.into_iter().filter(|source| source.has(text)).map(|source| source.path).collect();
    found.sort();
    found
}

/// Asserts that this text is in the code of no other files than these.
fn only_in(text: &str, allowed: &[&str]) {
    let found = holding(text);
    let strays: Vec<_> = found.iter().filter(|path| !allowed.contains(&path.as_str())).collect();
    assert!(strays.is_empty(), "{text:?} also stands in {strays:?}");
    assert!(allowed.is_empty() || !found.is_empty(), "{text:?} is nowhere: is this test stale?");
}

#[test]
fn actors_are_named_only_where_they_are_run() {
    let allowed = ["connection/actor.rs", "runtime.rs", "session_actor.rs", "supervisor.rs"];
    only_in("ractor::", &allowed);
}

#[test]
fn crates_for_one_thing_are_named_where_it_is_done() {
    only_in("tower_", &["layer/service.rs", "session.rs", "spec.rs", "transport/http/connect.rs"]);
    only_in("jsonschema::", &["schema.rs"]);
    only_in("lru::", &["connection/cache.rs"]);
    only_in("regex::", &["host/form.rs"]);
    only_in("jsonc_parser::", &["config/json.rs"]);
    only_in("hcl_edit::", &["config/hcl.rs"]);
    only_in("humantime::", &["config/table.rs"]);
    only_in("toml_edit::", &["config/toml.rs"]);
    only_in("dotenvy::", &["config/reached.rs"]);
}

#[test]
fn envelopes_are_written_and_read_in_one_place() {
    // The last looks for faults in the others.
    const FILES: [&str; 5] =
        ["wire.rs", "wire/answer.rs", "wire/incoming.rs", "wire/outgoing.rs", "testing/fuzzed.rs"];
    only_in("jsonrpc\"", &FILES);
    only_in("jsonrpc\\\"", &FILES);
    only_in("jsonrpc:", &["wire.rs"]);
}

#[test]
fn a_status_is_changed_in_one_place() {
    // The last only passes on what the others write.
    const FILES: [&str; 3] =
        ["connection/actor.rs", "connection/actor/status.rs", "connection/standing.rs"];
    for source in sources().iter().filter(|source| !FILES.contains(&source.path.as_str())) {
        for call in [".send_if_modified(", ".send_modify(", "status.send", "Phase::Ready;"] {
            assert!(!source.has(call), "{call} in {}", source.path);
        }
        let writes =
            |line: &&String| line.contains("status.phase =") && !line.contains("status.phase ==");
        assert_eq!(source.code.iter().find(writes), None, "{}", source.path);
    }
    only_in(".send_if_modified(", &FILES);
}

#[test]
fn what_decides_has_neither_clock_nor_io() {
    for source in sources() {
        if source.path == "connection/lifecycle.rs" || source.path.starts_with("policy") {
            for text in ["tokio", "ractor", "Instant", "SystemTime", "std::io", "std::fs", "async "]
            {
                assert!(!source.has(text), "{text} in {}", source.path);
            }
        }
    }
}

#[test]
fn every_task_has_an_owner_and_every_queue_a_bound() {
    for text in [
        "tokio::spawn(",
        "task::spawn(",
        "thread::spawn(",
        "unbounded_channel",
        "mem::forget",
        "Box::leak",
    ] {
        only_in(text, &[]);
    }
    // A keyring makes whoever asks it wait; the task is awaited where it is made.
    only_in("spawn_blocking(", &["auth/store/keyring.rs"]);
}

#[test]
fn nothing_prints_and_nothing_touches_what_belongs_to_the_host() {
    for text in [
        "println!",
        "print!(",
        "dbg!",
        "set_var",
        "remove_var",
        "set_current_dir",
        "process::exit",
        "set_hook",
        "set_global_default",
        "signal::unix",
        "ctrl_c",
    ] {
        only_in(text, &[]);
    }
}

#[test]
fn the_environment_and_the_files_are_read_only_where_a_spec_says_so_or_a_child_is_watched() {
    only_in("env::var", &["transport/environment.rs"]);
    let (secret, tokens) = ("secret/resolve.rs", "auth/store/file.rs");
    let (unix, windows) = ("auth/store/file/unix.rs", "auth/store/file/windows.rs");
    let (config, watch) = ("config/files.rs", "config/watch.rs");
    let (table, ledger) = ("transport/process_table.rs", "transport/orphans/ledger.rs");
    let (mark, orphans) = ("transport/orphans/mark.rs", "transport/orphans.rs");
    // Only to open the other end of a pipe.
    let pipe = "transport/pipe/windows.rs";
    only_in(
        "fs::",
        &[table, ledger, mark, orphans, secret, tokens, unix, windows, config, watch, pipe],
    );
    only_in("File::", &[secret, tokens, unix, config]);
}

#[test]
fn what_is_of_one_system_is_seen_from_file_names() {
    // What is not of Unix alone in them stands beside it, in a line or a module for each system.
    const UNIX: [&str; 4] = [
        "transport/process_table.rs",
        "config/watch.rs",
        "transport/http/socket.rs",
        "transport/orphans",
    ];
    for text in ["os::unix", "os::fd", "net::unix", "rustix::"] {
        for path in holding(text) {
            let of_unix = path.ends_with("/unix.rs") || UNIX.iter().any(|of| path.starts_with(of));
            assert!(of_unix && !path.ends_with("/windows.rs"), "{text} in {path}");
        }
    }
    for text in ["os::windows", "net::windows", "process_wrap", "windows::Win32"] {
        for path in holding(text) {
            assert!(path.ends_with("/windows.rs") || path == "config/watch.rs", "{text} in {path}");
        }
    }
}

#[test]
fn a_secret_is_looked_at_only_where_it_is_shown_or_looked_for() {
    for path in holding("expose_secret") {
        let shown = path.starts_with("transport/") || path.starts_with("auth/");
        let compared = path == "redactor.rs" || path == "secret/value.rs";
        assert!(shown || compared, "{path}");
    }
    for text in ["impl fmt::Display for Secret ", "impl Serialize for Secret "] {
        only_in(text, &[]);
    }
}

#[test]
fn there_is_no_global_state() {
    for text in ["static mut", "LazyLock", "lazy_static", "thread_local!", "OnceLock<"] {
        for source in sources() {
            let global = |line: &&String| {
                let line = line.trim_start();
                line.contains(text) && (line.starts_with("static") || line.contains(" static "))
            };
            assert_eq!(source.code.iter().find(global), None, "{}", source.path);
        }
    }
}

#[test]
fn actors_have_no_names() {
    for source in sources() {
        let spawns = source
            .code
            .iter()
            .filter(|line| line.contains("Actor::spawn(") || line.contains("Actor::spawn_linked("));
        for line in spawns {
            assert!(line.contains("(None,"), "{}: {line}", source.path);
        }
    }
}

#[test]
fn files_are_short_and_none_is_named_mod() {
    for source in sources() {
        assert!(!source.path.ends_with("mod.rs"), "{}", source.path);
        let lines = source.code.iter().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 400, "{} has {lines} lines of code", source.path);
    }
}

#[test]
fn the_command_writes_in_one_file_and_knows_the_library_from_outside() {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/callboard");
    for path in files(&bin) {
        let text = std::fs::read_to_string(&path).unwrap();
        let writes = ["println!", "print!(", "io::stdout()", "io::stderr()"];
        let found = writes.iter().find(|write| text.contains(**write));
        let may = path.ends_with("console.rs") || path.ends_with("terminal.rs");
        assert!(may || found.is_none(), "{found:?} in {}", path.display());
        assert!(!text.contains("println!"), "{}", path.display());
        assert!(text.lines().count() <= 400, "{} is long", path.display());
    }
}
