//! The command `callboard` with a person in front of it, and what it shows of a session that lives.

#[path = "support/shell.rs"]
mod shell;
#[path = "support/world.rs"]
mod world;

use std::{process::Stdio, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use shell::{command, ended, everything, hostile, on, run};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use world::World;

const LONG: Duration = Duration::from_secs(60);

/// Writes a file with the server `a`, hostile in this mode.
fn file(world: &World, mode: &str) {
    let [(name, value)] = world.marked();
    let words = hostile(&[mode]);
    let server = json!({ "command": words[0], "args": words[1..], "env": { name: value } });
    let text = json!({ "mcpServers": { "a": server } }).to_string();
    std::fs::write(world.folder().join("servers.json"), text).unwrap();
}

/// The next line with this in it.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return line;
            }
        }
        panic!("it ended before it said {part:?}")
    };
    timeout(LONG, found).await.unwrap_or_else(|_| panic!("it does not say {part:?}"))
}

/// The process id in a line of a status.
fn pid_in(line: &str) -> u32 {
    let pid = line.split(", pid ").nth(1).unwrap_or_else(|| panic!("no pid in {line:?}"));
    pid.trim().parse().unwrap()
}

#[test]
fn what_becomes_of_servers_is_told_line_by_line() {
    world::run(async |world| {
        file(&world, "normal");
        let mut child = command(&world, &["watch", "-f", "servers.json"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = line_with(&mut lines, "→ ready, epoch 1").await;
        world::signal(pid_in(&ready), Signal::KILL);
        let lost = line_with(&mut lines, "ready → backing_off").await;
        assert!(lost.contains("signal 9 (SIGKILL)"), "{lost}");
        line_with(&mut lines, "→ ready, epoch 2").await;
        shell::signal(&child, Signal::INT);
        drop(lines);
        assert_eq!(ended(child).await.code, Some(130));
        assert!(world.processes().is_empty());

        let snapshot = run(&world, &["watch", "-f", "servers.json", "--json"]).await.json();
        let server = &snapshot["sessions"][0]["servers"][0];
        assert_eq!((&server["name"], &server["phase"]), (&json!("a"), &json!("ready")));
    });
}

#[test]
fn a_file_that_changes_is_followed() {
    world::run(async |world| {
        file(&world, "normal");
        let path = world.folder().join("servers.json");
        let mut servers: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut child = command(&world, &["watch", "-f", "servers.json"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = line_with(&mut lines, " a: starting → ready, epoch 1").await;
        servers["mcpServers"]["b"] = servers["mcpServers"]["a"].clone();
        std::fs::write(&path, servers.to_string()).unwrap();
        line_with(&mut lines, "new: b").await;
        line_with(&mut lines, " b: starting → ready").await;
        std::fs::write(&path, "{ this is no file").unwrap();
        line_with(&mut lines, "note   servers.json: servers.json:1:").await;
        servers["mcpServers"].as_object_mut().unwrap().remove("b");
        std::fs::write(&path, servers.to_string()).unwrap();
        line_with(&mut lines, "gone: b").await;
        // The other has not noticed any of it.
        let server = rustix::process::Pid::from_raw(pid_in(&first).cast_signed()).unwrap();
        rustix::process::test_kill_process(server).unwrap();
        // The last of them is taken out like any other.
        servers["mcpServers"]["a"]["disabled"] = true.into();
        std::fs::write(&path, servers.to_string()).unwrap();
        line_with(&mut lines, "declares no server that is not disabled").await;
        line_with(&mut lines, "gone: a").await;
        rustix::process::test_kill_process(server).unwrap_err();
        shell::signal(&child, Signal::TERM);
        // Where nobody reads any more it would end of itself.
        assert_eq!(ended(child).await.code, Some(143));
        drop(lines);
    });
}

#[test]
fn a_server_that_is_named_and_gone_keeps_no_other_from_changing() {
    world::run(async |world| {
        file(&world, "normal");
        let path = world.folder().join("servers.json");
        let mut servers: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let same = servers["mcpServers"]["a"].clone();
        for name in ["b", "c"] {
            servers["mcpServers"][name] = same.clone();
        }
        std::fs::write(&path, servers.to_string()).unwrap();
        let named = ["watch", "-f", "servers.json", "--server", "a", "--server", "b"];
        let mut child = command(&world, &named).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        line_with(&mut lines, " a: starting → ready").await;
        servers["mcpServers"]["a"]["callboard"] = json!({ "tags": ["new"] });
        servers["mcpServers"]["b"]["disabled"] = true.into();
        std::fs::write(&path, servers.to_string()).unwrap();
        line_with(&mut lines, "server \"b\" is disabled in").await;
        line_with(&mut lines, "gone: b; changed: a").await;
        shell::signal(&child, Signal::TERM);
        // Where nobody reads any more it would end of itself.
        assert_eq!(ended(child).await.code, Some(143));
        drop(lines);
    });
}

/// What a terminal is like.
#[derive(Clone, Copy)]
struct Look {
    columns: u16,
    rows: u16,
    colour: bool,
}

const SMALL: Look = Look { columns: 80, rows: 24, colour: false };
const LARGE: Look = Look { columns: 200, rows: 50, colour: false };

/// The command on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// All that it has shown, and up to where that was waited for.
    shown: String,
    seen: usize,
}

impl Terminal {
    fn open(world: &World, args: &[String]) -> Self {
        Self::like(world, args, SMALL)
    }

    fn like(world: &World, args: &[String], look: Look) -> Self {
        Self::under(world, &[], args, look)
    }

    /// The command as it is run by another, whose words these are.
    fn under(world: &World, runner: &[&str], args: &[String], look: Look) -> Self {
        let inner = command(world, args);
        let mut outer = Command::new("python3");
        outer.arg(world::root().join("tests/servers/terminal.py"));
        outer.args([look.columns, look.rows].map(|size| size.to_string()));
        outer.args(runner).arg(inner.as_std().get_program()).args(inner.as_std().get_args());
        for (name, value) in inner.as_std().get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if look.colour {
            outer.env_remove("NO_COLOR");
        }
        outer.current_dir(world.folder()).env("TERM", "xterm");
        outer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = outer.spawn().unwrap();
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keys, screen, shown: String::new(), seen: 0 }
    }

    /// Waits until it shows this, after what was waited for before.
    async fn sees(&mut self, part: &str) {
        let read = async {
            loop {
                if let Some(at) = self.shown[self.seen..].find(part) {
                    self.seen += at + part.len();
                    return;
                }
                let mut bytes = vec![0; 65_536];
                let read = self.screen.read(&mut bytes).await.unwrap();
                let after = &self.shown[self.seen..];
                assert!(read > 0, "it ended before it showed {part:?}: {after}");
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        let seen = timeout(LONG, read).await;
        assert!(seen.is_ok(), "it does not show {part:?}");
    }

    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// What it ended with.
    async fn code(self) -> Option<i32> {
        self.ended().await.0
    }

    /// What it ended with, and all that it has shown.
    async fn ended(mut self) -> (Option<i32>, String) {
        let rest = async {
            let mut bytes = Vec::new();
            self.screen.read_to_end(&mut bytes).await.unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
            self.child.wait().await.unwrap().code()
        };
        let code = timeout(LONG, rest).await.expect("it ends");
        (code, self.shown)
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|word| (*word).to_owned()).collect()
}

/// Whether a text sets the colour of characters (ECMA-48, SGR 30 to 38 and 90 to 97).
fn is_coloured(shown: &str) -> bool {
    shown.split("\u{1b}[").skip(1).any(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        let colour = |number: &str| matches!(number.parse(), Ok(30..=38 | 90..=97));
        rest[end..].starts_with('m') && rest[..end].split(';').any(colour)
    })
}

#[test]
fn the_live_view_restarts_a_server_and_closes() {
    world::run(async |world| {
        file(&world, "normal");
        let watch = words(&["watch", "-f", "servers.json"]);
        for look in [SMALL, LARGE] {
            let mut terminal = Terminal::like(&world, &watch, look);
            terminal.sees("→ ready, epoch 1").await;
            terminal.types("r").await;
            terminal.sees("→ ready, epoch 2").await;
            terminal.types("q").await;
            let (code, shown) = terminal.ended().await;
            assert_eq!(code, Some(0));
            assert!(world.processes().is_empty());
            // The keys stand in the last row, whichever that is.
            let (_, foot) = shown.split_once(&format!("\u{1b}[{};1H", look.rows)).expect("a foot");
            assert!(foot.contains("r restart"), "{foot}");
            assert!(!shown.contains(&format!("\u{1b}[{};", look.rows + 1)), "{shown}");
            for heading in ["TRANSPORT", "LAST ERROR"] {
                assert_eq!(shown.contains(heading), look.columns == 200, "{heading}: {shown}");
            }
        }

        let mut terminal = Terminal::open(&world, &watch);
        terminal.sees("→ ready, epoch 1").await;
        terminal.types("\u{3}").await;
        assert_eq!(terminal.code().await, Some(130));
    });
}

#[test]
fn colour_is_for_terminals_and_for_those_who_want_it() {
    world::run(async |world| {
        file(&world, "normal");
        let watch = words(&["watch", "-f", "servers.json"]);
        let broken = words(&["sh", "-c", "exit 7"]);
        let fails = on(&["tools"], &broken);
        for colour in [true, false] {
            let look = Look { colour, ..SMALL };
            let (code, shown) = Terminal::like(&world, &fails, look).ended().await;
            assert!(code == Some(3) && shown.contains("exited with code 7"), "{shown}");
            assert_eq!(is_coloured(&shown), colour, "{shown:?}");

            let mut terminal = Terminal::like(&world, &watch, look);
            terminal.sees("→ ready, epoch 1").await;
            terminal.types("q").await;
            let (code, shown) = terminal.ended().await;
            assert_eq!((code, is_coloured(&shown)), (Some(0), colour), "{shown:?}");
        }
        // Nobody sees colours in a file.
        let mut piped = command(&world, &fails);
        let ran = ended(piped.env_remove("NO_COLOR").spawn().unwrap()).await;
        assert!(!ran.err.is_empty() && !ran.err.contains('\u{1b}'), "{ran:?}");
    });
}

#[test]
fn forms_are_filled_in_at_the_terminal_and_nowhere_else() {
    world::run(async |world| {
        let args = on(&["call", "trigger-elicitation-request"], &everything());
        let mut terminal = Terminal::open(&world, &args);
        terminal.sees("Enter to fill it in, n to decline").await;
        terminal.types("n\n").await;
        terminal.sees("declined").await;
        assert_eq!(terminal.code().await, Some(0));

        let mut terminal = Terminal::open(&world, &args);
        terminal.sees("Enter to fill it in, n to decline").await;
        terminal.types("\n").await;
        terminal.sees("  name").await;
        terminal.types("\n").await;
        // It has to have one.
        terminal.sees("that has to be said").await;
        terminal.types("Ada\n").await;
        // The rest stays as the server proposes it.
        for field in ["check", "firstLine", "email", "homepage", "birthdate", "integer", "number"] {
            terminal.sees(&format!("  {field}")).await;
            terminal.types("\n").await;
        }
        for _ in 0..5 {
            terminal.sees("num").await;
            terminal.types("\n").await;
        }
        terminal.sees("\"name\": \"Ada\"").await;
        assert_eq!(terminal.code().await, Some(0));

        let nobody = run(&world, &args).await;
        assert!(nobody.code == Some(0) && nobody.err.contains("this is no terminal"), "{nobody:?}");
    });
}

#[test]
fn what_a_file_asks_for_is_asked_before_the_screen_is_there() {
    world::run(async |world| {
        let log = world.log_path();
        let server = hostile(&["normal", "--log", log.to_str().unwrap()]);
        let [(name, value)] = world.marked();
        let env = json!({ name: value, "KEY": "${input:key}", "URL": "https://${input:place}/" });
        let server = json!({ "command": server[0], "args": server[1..], "env": env });
        let input = |id: &str, about: &str, password: bool| json!({ "id": id, "type": "promptString", "description": about, "password": password });
        let inputs = [
            input("place", "Which place", false),
            input("nobody", "What nobody needs", false),
            input("key", "Your key", true),
        ];
        let text = json!({ "servers": { "a": server }, "inputs": inputs }).to_string();
        std::fs::write(world.folder().join("mcp.json"), text).unwrap();
        let modes = "stty -g > before; \"$0\" \"$@\"; code=$?; stty -g > after; exit $code";
        let watch = words(&["watch", "-f", "mcp.json"]);
        let mut terminal = Terminal::under(&world, &["sh", "-c", modes], &watch, SMALL);
        terminal.sees("Which place:").await;
        terminal.types("example.com\n").await;
        terminal.sees("Your key:").await;
        assert!(!log.exists(), "a server would not wait for so long");
        terminal.types("s3cret\n").await;
        terminal.sees("→ ready, epoch 1").await;
        terminal.types("q").await;
        let (code, shown) = terminal.ended().await;
        assert_eq!(code, Some(0), "{shown}");
        for unwanted in ["s3cret", "What nobody needs"] {
            assert!(!shown.contains(unwanted), "{shown}");
        }
        let [before, after] = ["before", "after"]
            .map(|name| std::fs::read_to_string(world.folder().join(name)).unwrap());
        assert!(!before.is_empty() && before == after, "{before} {after}");
        assert!(world.processes().is_empty());
    });
}

#[test]
fn servers_get_no_answer_while_the_screen_is_there() {
    world::run(async |world| {
        let log = world.log_path();
        let [(name, value)] = world.marked();
        let args = json!([world::root().join("tests/servers/odd.py"), "asks-unasked", log]);
        let server = json!({ "command": "python3", "args": args, "env": { name: value } });
        let text = json!({ "mcpServers": { "a": server } }).to_string();
        std::fs::write(world.folder().join("mcp.json"), text).unwrap();
        let mut terminal = Terminal::open(&world, &words(&["watch", "-f", "mcp.json"]));
        // Where nothing is drawn, the cursor jumps: a word stands alone.
        terminal.sees("who-is-there?").await;
        let declined = || std::fs::read_to_string(&log).unwrap().contains("\"decline\"");
        world::eventually(LONG, "the server hears of it", declined).await;
        terminal.types("q").await;
        assert_eq!(terminal.code().await, Some(0));
        assert!(world.processes().is_empty());
    });
}

#[test]
fn progress_is_shown_on_a_terminal() {
    world::run(async |world| {
        let args = ["call", "trigger-long-running-operation", "duration=2", "steps=20"];
        let mut terminal = Terminal::open(&world, &on(&args, &everything()));
        terminal.sees(" % ").await;
        terminal.sees("Long running operation completed").await;
        assert_eq!(terminal.code().await, Some(0));
        let mut args = args.to_vec();
        args.push("--quiet");
        let mut terminal = Terminal::open(&world, &on(&args, &everything()));
        terminal.sees("Long running operation completed").await;
        assert!(!terminal.shown.contains('%'), "{}", terminal.shown);
        assert_eq!(terminal.code().await, Some(0));
    });
}

#[test]
fn control_c_at_the_terminal_ends_it() {
    world::run(async |world| {
        let log = world.log_path();
        let server = hostile(&["hang-call", "--log", log.to_str().unwrap()]);
        let args = on(&["call", "sleep", "ms=3600000"], &server);
        let mut terminal = Terminal::open(&world, &args);
        let heard = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("tools/call"));
        world::eventually(LONG, "the call has arrived", heard).await;
        terminal.types("\u{3}").await;
        assert_eq!(terminal.code().await, Some(130));
        assert!(std::fs::read_to_string(&log).unwrap().contains("notifications/cancelled"));
        assert!(world.processes().is_empty());
    });
}
