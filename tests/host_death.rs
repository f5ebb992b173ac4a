//! The host dies without a word, and nothing of its servers outlives it.

#[path = "support/world.rs"]
mod world;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use callboard::{HostDeath, Runtime, ServerSpec};
use rustix::process::Signal;
use world::{World, eventually};

/// The promise is two seconds; this is for a machine that does other things too.
const BOUND: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

/// The server, its child, its child in a session of its own, and its daemon.
const FAMILY: usize = 4;

/// A host in a process of its own.
struct Mortal {
    host: Child,
    /// Kept open, for it may have more to say.
    _stdout: BufReader<ChildStdout>,
}

impl Mortal {
    /// Starts it, and waits until it has come to its stage.
    fn at(world: &World, stage: &str, how: &[&str]) -> Self {
        let mut host = Command::new(world::example("mortal_host"))
            .arg(stage)
            .arg(ledgers(world))
            .arg("python3")
            .arg(world::root().join("tests/servers/brood.py"))
            .args(how)
            .envs(world.marked())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(host.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "here\n", "the host did not come to {stage}");
        Self { host, _stdout: stdout }
    }

    fn pid(&self) -> u32 {
        self.host.id()
    }

    fn kill(mut self) {
        self.host.kill().unwrap();
        self.host.wait().unwrap();
    }

    /// Has it end by itself.
    fn tell(mut self, line: &str) {
        writeln!(self.host.stdin.take().unwrap(), "{line}").unwrap();
        self.host.wait().unwrap();
    }
}

fn ledgers(world: &World) -> PathBuf {
    world.folder().join("ledgers")
}

fn ledgers_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map(Iterator::count).unwrap_or_default()
}

/// The watchdogs whose parent this is.
fn watchdogs(parent: u32) -> Vec<i32> {
    let children = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap().flat_map(|thread| {
        let list = thread.unwrap().path().join("children");
        std::fs::read_to_string(list)
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect::<Vec<i32>>()
    });
    children.filter(|pid| is_watchdog(*pid)).collect()
}

fn is_watchdog(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| memchr::memmem::find(&line, b"\0callboard-watchdog\0").is_some())
}

/// Nothing of the host is left, its watchdog included.
async fn nothing_is_left(world: &World, watchdogs: &[i32], what: &str) {
    eventually(BOUND, what, || world.processes().is_empty()).await;
    eventually(BOUND, "its watchdog", || !watchdogs.iter().any(|pid| is_watchdog(*pid))).await;
}

/// Kills the host at a stage, with its family there, and waits until nothing of it is left.
async fn die_at(world: &World, stage: &str, how: &[&str], die: impl FnOnce(Mortal)) {
    let host = Mortal::at(world, stage, how);
    eventually(LONG, "the family is there", || world.processes().len() > FAMILY).await;
    let watchdogs = watchdogs(host.pid());
    assert_eq!(watchdogs.len(), 1, "one for a runtime");
    die(host);
    nothing_is_left(world, &watchdogs, stage).await;
}

#[test]
fn nothing_outlives_a_host_that_is_killed_during_a_handshake() {
    world::run(async |world| die_at(&world, "handshake", &["--silent"], Mortal::kill).await);
}

/// Check 2, as the others here that kill the host.
#[test]
fn nothing_outlives_a_host_that_is_killed_while_its_servers_are_idle() {
    world::run(async |world| die_at(&world, "idle", &[], Mortal::kill).await);
}

#[test]
fn nothing_outlives_a_host_that_is_killed_with_a_call_in_flight() {
    world::run(async |world| die_at(&world, "in-flight", &[], Mortal::kill).await);
}

#[test]
fn nothing_outlives_a_host_that_is_killed_while_it_closes() {
    world::run(async |world| die_at(&world, "closing", &[], Mortal::kill).await);
}

#[test]
fn nothing_outlives_a_host_that_aborts_or_returns_without_closing() {
    world::run(async |world| {
        die_at(&world, "idle", &[], |host| host.tell("abort")).await;
        die_at(&world, "idle", &[], |host| host.tell("")).await;
    });
}

#[test]
fn nothing_outlives_a_host_that_is_killed_at_any_moment_of_its_starts() {
    world::run(async |world| {
        for round in 0..12 {
            let host = Mortal::at(&world, "spawning", &["--silent"]);
            // Its own process is one of them.
            eventually(LONG, "so many are there", || world.processes().len() > round).await;
            let watchdogs = watchdogs(host.pid());
            host.kill();
            nothing_is_left(&world, &watchdogs, &format!("spawning {round}")).await;
        }
    });
}

#[test]
fn a_runtime_has_one_watchdog_which_ends_with_it() {
    world::run(async |world| {
        assert_eq!(
            world.runtime.leak_report().watchdog,
            None,
            "there is nothing to watch over yet"
        );
        let session = world.open_one(world.echo()).await;
        let first = world.runtime.leak_report().watchdog.unwrap();
        let other = world.open_one(world.echo()).await;
        session.close().await;
        assert_eq!(watchdogs(std::process::id()), [first.cast_signed()]);
        world::signal(first, Signal::KILL);
        eventually(LONG, "it is seen dead", || world.runtime.leak_report().watchdog.is_none())
            .await;
        let third = world.open_one(world.echo()).await;
        let second = world.runtime.leak_report().watchdog.unwrap();
        assert_eq!(watchdogs(std::process::id()), [second.cast_signed()]);
        for session in [other, third] {
            session.call("a.echo", ()).await.unwrap();
        }
        world.runtime.shutdown().await;
        assert_eq!(world.runtime.leak_report().watchdog, None);
        assert_eq!(watchdogs(std::process::id()), [0; 0]);
    });
}

#[test]
fn nothing_outlives_a_host_that_is_itself_a_server_and_is_killed_as_one() {
    world::run(async |world| {
        let host = world.stdio(world::example("mortal_host")).arg("deaf").arg(ledgers(&world));
        let host = host.arg("python3").arg(world::root().join("tests/servers/brood.py"));
        let host = host.eof_grace(Duration::ZERO).term_grace(Duration::ZERO);
        let spec = ServerSpec::new("a", host).init_timeout(LONG);
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        eventually(LONG, "all are there", || world.processes().len() == FAMILY + 1).await;
        session.close().await;
        // What it leaves to its own watchdog takes that a moment.
        eventually(BOUND, "nothing is left", || world.processes().is_empty()).await;
    });
}

#[test]
fn a_daemon_ends_with_its_session_although_nobody_knows_its_parent() {
    world::run(async |world| {
        for how in [None, Some("--polite")] {
            let stdio = world.script("brood.py").args(how);
            let stdio = stdio.eof_grace(Duration::from_millis(100)).term_grace(Duration::ZERO);
            let session = world.open_one(stdio).await;
            assert_eq!(world.processes().len(), FAMILY);
            session.close().await;
            assert_eq!(world.processes(), [0; 0], "{how:?}");
        }
    });
}

#[test]
fn what_was_left_with_its_watchdog_dead_too_is_ended_by_the_next_runtime() {
    world::run(async |world| {
        let folder = ledgers(&world);
        let host = Mortal::at(&world, "idle", &[]);
        let alive = Mortal::at(&world, "idle", &[]);
        eventually(LONG, "both are there", || world.processes().len() == 2 * (FAMILY + 1)).await;
        for watchdog in watchdogs(host.pid()) {
            world::signal(watchdog.cast_unsigned(), Signal::KILL);
        }
        host.kill();
        assert_eq!(ledgers_in(&folder), 2);
        let next = Runtime::builder().host_death(HostDeath::default().ledger_in(&folder));
        let next = next.start().await;
        let only = || world.processes().len() == FAMILY + 1;
        eventually(BOUND, "the dead host's servers are ended, and no others", only).await;
        assert_eq!(ledgers_in(&folder), 1, "the ledger of a runtime that lives is left alone");
        alive.kill();
        eventually(BOUND, "the other host's watchdog ends its servers", || {
            world.processes().is_empty()
        })
        .await;
        next.shutdown().await;
    });
}

#[test]
fn a_runtime_that_is_shut_down_leaves_no_ledger() {
    world::run(async |world| {
        let folder = ledgers(&world);
        let runtime = Runtime::builder().host_death(HostDeath::default().ledger_in(&folder));
        let inner = World::within(&world, runtime.start().await);
        assert_eq!(ledgers_in(&folder), 0, "there is none before the first process");
        let session = inner.open_one(inner.echo()).await;
        assert_eq!(ledgers_in(&folder), 1);
        session.close().await;
        inner.runtime.shutdown().await;
        assert_eq!(ledgers_in(&folder), 0);
    });
}

#[test]
fn a_host_with_a_supervisor_of_its_own_is_left_to_it() {
    world::run(async |world| {
        let host = Mortal::at(&world, "unwatched", &[]);
        eventually(LONG, "the family is there", || world.processes().len() == FAMILY + 1).await;
        assert_eq!(watchdogs(host.pid()), [0; 0]);
        assert_eq!(ledgers_in(&ledgers(&world)), 0);
        host.kill();
        assert_eq!(world.processes().len(), FAMILY, "nobody ends them but the supervisor");
        for pid in world.processes() {
            world::signal(pid.cast_unsigned(), Signal::KILL);
        }
        eventually(LONG, "the test has ended them", || world.processes().is_empty()).await;
    });
}
