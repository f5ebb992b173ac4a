//! What goes on in the run: workers that live one session after the other, and one session that
//! outlasts them all.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use callboard::{
    Backoff, Budget, CallOptions, LeakReport, RestartPolicy, Runtime, Server, ServerSpec, Session,
    testing,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};

use super::{
    meter::{self, MARK},
    servers::{self, HttpServer},
};

/// How many sessions are alive at the same time.
const WORKERS: usize = 6;

/// For what is only to end, not to end well.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a call waits for an answer.
const CALL: Duration = Duration::from_millis(300);

pub(crate) struct Lives {
    shared: Arc<Shared>,
    lasting: Session,
    /// What the lasting session's server in memory is.
    memory: testing::Server,
}

struct Shared {
    runtime: Runtime,
    mark: String,
    http: [HttpServer; 2],
    stop: AtomicBool,
    sessions: AtomicU64,
    answered: AtomicU64,
    lost: AtomicU64,
    restarts: AtomicU64,
}

/// What has been counted since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) sessions: u64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) restarts: u64,
}

/// What is left at the end.
pub(crate) struct Left {
    report: LeakReport,
    processes: usize,
}

impl Lives {
    /// Starts what the whole run needs.
    pub(crate) async fn begin() -> Self {
        // It starts more than any host that means well.
        let runtime = Runtime::builder().budget(Budget::unlimited()).start().await;
        let http = [HttpServer::start(), HttpServer::start()];
        let shared = Arc::new(Shared {
            runtime,
            mark: std::process::id().to_string(),
            http,
            stop: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        });
        let memory = servers::memory(0).faults(testing::Faults::seed(0));
        let specs = [
            ServerSpec::new("process", servers::process(&shared.mark, true)).restart(policy()),
            ServerSpec::new("memory", servers::way(&memory)).restart(policy()),
            ServerSpec::new("http", shared.http[0].way()).restart(policy()),
        ];
        let lasting = shared.runtime.session("lasting").servers(specs).open().await;
        Self { shared, lasting: lasting.expect("it opens"), memory }
    }

    pub(crate) fn mark(&self) -> &str {
        &self.shared.mark
    }

    /// Lives for this long, and until every session but the lasting one has ended.
    pub(crate) async fn go_on(&self, time: Duration) {
        self.shared.stop.store(false, Ordering::Relaxed);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let shared = Arc::clone(&self.shared);
            workers.spawn(async move {
                while !shared.stop.load(Ordering::Relaxed) {
                    shared.live().await;
                }
            });
        }
        let (shared, lasting) = (Arc::clone(&self.shared), self.lasting.clone());
        workers.spawn(async move { shared.disturb(&lasting).await });
        tokio::time::sleep(time).await;
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = workers.join_next().await {
            ended.expect("no worker panics");
        }
        // Connections are kept for whoever comes next; those to a server that is gone are not.
        self.shared.http.iter().for_each(HttpServer::go_away);
        for server in self.lasting.servers() {
            let ready = timeout(PATIENCE, server.ready()).await;
            assert!(matches!(ready, Ok(Ok(()))), "{}: {:?}", server.name(), server.status());
        }
        // It would remember all of them.
        drop(self.memory.take_calls());
        self.settle().await;
    }

    /// Waits until nothing but the lasting session is alive, as it should be at once, and until tokio
    /// and the kernel have seen it.
    async fn settle(&self) {
        let alone = async {
            while self.shared.runtime.leak_report().sessions > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, alone).await.expect("sessions end");
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let mut seen = (tasks(), 0);
        while seen.1 < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = tasks();
            seen = (now, if now == seen.0 { seen.1 + 1 } else { 0 });
        }
    }

    pub(crate) fn told(&self) -> Told {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { sessions, answered, lost, restarts, .. } = &*self.shared;
        let lasting: u64 = self.lasting.servers().iter().map(|one| one.status().restarts).sum();
        Told {
            sessions: count(sessions),
            answered: count(answered),
            lost: count(lost),
            restarts: count(restarts) + lasting,
        }
    }

    /// Ends everything.
    pub(crate) async fn end(self) -> Left {
        self.shared.runtime.shutdown().await;
        let report = self.shared.runtime.leak_report();
        Left { report, processes: meter::processes(&format!("{MARK}={}", self.shared.mark)) }
    }
}

/// Comes back soon, and never gives up.
fn policy() -> RestartPolicy {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    RestartPolicy::on_failure().backoff(backoff).max_restarts(u32::MAX, PATIENCE)
}

impl Shared {
    /// One session, from its opening to its end, whichever that is.
    async fn live(&self) {
        let mut memory = None;
        let mut specs = vec![];
        for (place, name) in ["a", "b"].into_iter().enumerate() {
            if place == 0 || fastrand::bool() {
                specs.push(self.spec(name, &mut memory));
            }
        }
        let session = self.runtime.session("soak").servers(specs).open().await.expect("it opens");
        let mut calls = JoinSet::new();
        for server in session.servers() {
            if fastrand::u32(..8) > 0 {
                drop(timeout(CALL, server.ready()).await);
            }
            for _ in 0..fastrand::u32(..20) {
                calls.spawn(self.call(&session, server.name()));
            }
            self.strike(&server);
        }
        while let Some(answered) = calls.join_next().await {
            let counter =
                if answered.expect("no call panics") { &self.answered } else { &self.lost };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let restarts = session.servers().iter().map(|server| server.status().restarts).sum();
        self.restarts.fetch_add(restarts, Ordering::Relaxed);
        self.sessions.fetch_add(1, Ordering::Relaxed);
        if fastrand::bool() {
            session.close().await;
        }
        drop(session);
        if let Some(memory) = memory {
            memory.stop().await;
        }
    }

    fn spec(&self, name: &str, memory: &mut Option<testing::Server>) -> ServerSpec {
        let spec = match fastrand::u32(..4) {
            0 => ServerSpec::new(name, servers::process(&self.mark, fastrand::bool())),
            1 | 2 => ServerSpec::new(name, self.http[fastrand::usize(..2)].way()),
            _ => {
                let server = servers::memory(fastrand::u64(..));
                ServerSpec::new(name, servers::way(memory.insert(server)))
            }
        };
        let options = CallOptions::default().idle_timeout(CALL);
        spec.restart(policy()).call_options(options)
    }

    /// Whether a call brought an answer; some of them are given up.
    fn call(&self, session: &Session, server: &str) -> impl Future<Output = bool> + use<> {
        let size = if fastrand::u32(..40) == 0 { 200_000 } else { 100 };
        let call = session.call(format!("{server}.echo"), json!({ "text": "x".repeat(size) }));
        let patience = if fastrand::u32(..8) == 0 { Duration::from_millis(1) } else { PATIENCE };
        async move { timeout(patience, call).await.is_ok_and(|answer| answer.is_ok()) }
    }

    /// Does something to a server, or not.
    fn strike(&self, server: &Server) {
        match fastrand::u32(..4) {
            0 => kill(server),
            1 => server.restart(),
            _ => {}
        }
    }

    /// Disturbs what outlasts the sessions: servers behind HTTP go away, and so do those of the
    /// session that lasts.
    async fn disturb(&self, lasting: &Session) {
        while !self.stop.load(Ordering::Relaxed) {
            match fastrand::u32(..3) {
                0 => self.http[fastrand::usize(..2)].go_away(),
                1 => kill(&lasting.server("process").expect("it is declared")),
                _ => lasting.server("memory").expect("it is declared").restart(),
            }
            for server in lasting.servers() {
                let call = lasting.call(format!("{}.echo", server.name()), json!({ "text": "x" }));
                drop(timeout(CALL, call).await);
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(50..300))).await;
        }
    }
}

/// Kills a server's process from outside.
fn kill(server: &Server) {
    let pid = server.status().pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    // It may be gone by now.
    if let Some(pid) = pid {
        kill_process(pid, Signal::KILL).unwrap_or_default();
    }
}

impl Left {
    pub(crate) fn is_nothing(&self) -> bool {
        self.report.is_empty() && self.report.crashes == 0 && self.processes == 0
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, processes } = self;
        write!(f, "left at the end: {report}; {processes} marked processes")
    }
}
