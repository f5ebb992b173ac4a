//! The world of one test: a runtime of its own, and proof that nothing of it is left.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use callboard::{Runtime, Server, ServerSpec, Session, Status, Stdio};
use serde_json::Value;
use tokio::time::Instant;

/// One test at a time: descriptors can only be counted if nobody else opens any.
static ALONE: Mutex<()> = Mutex::new(());
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// Marks every process of a world, through all its generations.
const MARK: &str = "CALLBOARD_TEST_WORLD";

/// How long what has ended may take to be gone from the books of kernel and runtime.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    mark: String,
    folder: PathBuf,
}

/// Runs a test, shuts its runtime down, and fails if a process, a task or a descriptor is left.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(std::sync::Arc<World>) -> F) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = WORLDS.fetch_add(1, Ordering::Relaxed);
    let mark = format!("{}-{number}", std::process::id());
    let _sweep = Sweep(mark.clone());
    let folder = std::env::temp_dir().join(format!("callboard-{mark}"));
    std::fs::create_dir_all(&folder).unwrap();
    // tokio opens a few descriptors once for the whole process.
    drop(tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    let before = descriptors();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let runtime = Runtime::start().await;
        let world = std::sync::Arc::new(World {
            runtime: runtime.clone(),
            mark: mark.clone(),
            folder: folder.clone(),
        });
        test(world).await;
        runtime.shutdown().await;
        let report = runtime.leak_report();
        assert!(report.is_empty(), "left after shutdown: {report}");
        assert_every_call_ended(&runtime).await;
        drop(runtime);
    });
    settle("tasks", || tokio.metrics().num_alive_tasks());
    drop(tokio);
    assert_nothing_is_left(&mark, &before);
    std::fs::remove_dir_all(folder).unwrap();
}

/// What was begun has finished, failed or been cancelled, each once; a task that held a call may still
/// be about to see that.
async fn assert_every_call_ended(runtime: &Runtime) {
    let balanced = || runtime.snapshot().calls.running() == 0;
    eventually(SETTLE, "every call that was begun has ended", balanced).await;
    let calls = runtime.snapshot().calls;
    assert_eq!(calls.started, calls.finished + calls.cancelled + calls.failed, "{calls:?}");
}

/// As [`run`], on an async runtime with one thread, within this time.
pub(crate) fn run_on_one_thread<F: Future<Output = ()>>(
    limit: Duration,
    test: impl FnOnce(std::sync::Arc<World>) -> F + Send + 'static,
) {
    run(async |outer| {
        let work = move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let world = std::sync::Arc::new(World::within(&outer, Runtime::start().await));
                let runtime = world.runtime.clone();
                test(world).await;
                runtime.shutdown().await;
                let report = runtime.leak_report();
                assert!(report.is_empty(), "left after shutdown: {report}");
            });
        };
        watched(limit, work).await;
    });
}

/// Does what might hang in a thread of its own, and fails if it does.
pub(crate) async fn watched(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        // Dropped at the end of the work, and with a panic too.
        let _done = done;
        work();
    });
    let ended = tokio::time::timeout(limit, ended).await;
    assert!(ended.is_ok(), "it hangs: nothing for {limit:?}");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Kills what a failed test leaves behind, so that it is seen once and harms no other.
struct Sweep(String);

impl Drop for Sweep {
    fn drop(&mut self) {
        for pid in processes(&self.0) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            // It may be gone by now.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap_or_default();
        }
    }
}

/// What is left of a world after its runtime is gone.
fn assert_nothing_is_left(mark: &str, before: &[String]) {
    settle("processes", || processes(mark).len());
    let left: Vec<_> = descriptors().into_iter().filter(|one| !before.contains(one)).collect();
    assert!(left.is_empty(), "descriptors left: {left:?}");
}

/// Waits until a count is zero, which it should be at once or nearly so.
fn settle(what: &str, count: impl Fn() -> usize) {
    let deadline = std::time::SystemTime::now() + SETTLE;
    while count() > 0 {
        assert!(std::time::SystemTime::now() < deadline, "{} {what} left", count());
        std::thread::yield_now();
    }
}

fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            // The descriptor of this very listing is gone by the time it is looked at.
            let target = std::fs::read_link(&path).ok()?;
            let listing = target.starts_with("/proc");
            (!listing).then(|| format!("{} -> {}", path.display(), target.display()))
        })
        .collect();
    found.sort();
    found
}

/// The processes, zombies left out, that carry this mark.
fn processes(mark: &str) -> Vec<i32> {
    let marked = format!("{MARK}={mark}\0");
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != std::process::id().cast_signed())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| memchr::memmem::find(&environ, marked.as_bytes()).is_some())
        })
        .collect()
}

impl World {
    /// The same world, with another runtime in it, whose end is the test's own business.
    pub(crate) fn within(outer: &Self, runtime: Runtime) -> Self {
        Self { runtime, mark: outer.mark.clone(), folder: outer.folder.clone() }
    }

    /// A command whose processes this world looks after.
    pub(crate) fn stdio(&self, command: impl AsRef<Path>) -> Stdio {
        Stdio::new(command.as_ref()).env_literal(MARK, &self.mark)
    }

    /// The variable by which this world knows its processes, for one that is started otherwise.
    pub(crate) fn marked(&self) -> [(&'static str, &str); 1] {
        [(MARK, &self.mark)]
    }

    /// The hostile server in one of its modes.
    pub(crate) fn hostile(&self, mode: &str) -> Stdio {
        self.stdio("python3").arg(root().join("tests/servers/hostile.py")).args(["--mode", mode])
    }

    /// A server of one file in `tests/servers`.
    pub(crate) fn script(&self, name: &str) -> Stdio {
        self.stdio("python3").arg(root().join("tests/servers").join(name))
    }

    /// One of the small servers that are odd in one way each; it logs what it gets to `log`.
    pub(crate) fn odd(&self, mode: &str) -> Stdio {
        self.stdio("python3")
            .arg(root().join("tests/servers/odd.py"))
            .arg(mode)
            .arg(self.log_path())
    }

    /// Where an odd server of this world logs what it gets.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// A server that answers `echo` and nothing else, and starts in a millisecond.
    pub(crate) fn echo(&self) -> Stdio {
        self.stdio(echo_server()).arg("--echo-child")
    }

    /// A real server from the npm registry, as `tests/install` installs it.
    pub(crate) fn node(&self, name: &str) -> Stdio {
        self.stdio(installed(&format!("node/node_modules/.bin/{name}")))
    }

    /// A real server from PyPI, as `tests/install` installs it.
    pub(crate) fn python(&self, name: &str) -> Stdio {
        self.stdio(installed(&format!("python/bin/{name}")))
    }

    /// A folder of this world's own.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many processes of this world are alive.
    pub(crate) fn processes(&self) -> Vec<i32> {
        processes(&self.mark)
    }

    /// Opens a session over these servers and waits until each is Ready or has failed.
    pub(crate) async fn open(&self, servers: impl IntoIterator<Item = ServerSpec>) -> Session {
        let session = self.runtime.session("test").servers(servers).open().await.unwrap();
        session.settled().await;
        session
    }

    /// Opens a session over one server, `a`, which has to become Ready.
    pub(crate) async fn open_one(&self, stdio: Stdio) -> Session {
        let session = self.open([ServerSpec::new("a", stdio)]).await;
        let status = session.server("a").unwrap().status();
        assert!(status.is_ready(), "{status:?}");
        session
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `tests/install` installed.
pub(crate) fn installed(path: &str) -> PathBuf {
    let program = root().join("target/servers").join(path);
    assert!(program.exists(), "{} is not installed: run tests/install", program.display());
    program
}

/// The program of [`World::echo`].
pub(crate) fn echo_server() -> PathBuf {
    example("echo_server")
}

pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "{} is not built: run `cargo build --examples`", program.display());
    program
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits until a server's status is as wanted, for at most this long.
pub(crate) async fn await_status(
    server: &Server,
    limit: Duration,
    wanted: impl FnMut(&Status) -> bool,
) -> Status {
    let mut watch = server.watch();
    let status = tokio::time::timeout(limit, watch.wait_for(wanted)).await;
    let status = status.unwrap_or_else(|_| panic!("still {:?} after {limit:?}", server.status()));
    status.unwrap().clone()
}

/// Waits until a condition holds that nothing tells of, for at most this long.
pub(crate) async fn eventually(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The events that a hostile server wrote to its `--log` file.
pub(crate) fn log(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
