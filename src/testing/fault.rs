//! What a test server does wrong, and when.

use std::time::Duration;

/// What a test server does wrong.
///
/// What strikes *before* a request is acted on, and what strikes *after*, is told apart, for that is
/// what the [`Delivery`](crate::Delivery) of a failed call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Before: it does not answer.
    Hang,
    /// Before: it ends the connection instead of answering.
    Disconnect,
    /// Before: it answers with this JSON-RPC error.
    Error(i64),
    /// Before: it answers with something that is no JSON.
    Garbage,
    /// Before: it ends as a process that exits with this code does.
    Exit(i32),
    /// Before: it ends as a process does that this signal kills.
    Signal(i32),
    /// It ends with this status of HTTP, which then is taken as if it had come over HTTP: 404 is a
    /// forgotten session and ends the link, 429 and 404 were not acted on, any other 4xx is an answer,
    /// and of 5xx nobody knows, for which reason it strikes *after*. 401 ends no link, as none of
    /// these but 404 does.
    Status(u16),
    /// Before: it reads nothing any more over this connection.
    StallReading,
    /// After: it writes nothing any more over this connection.
    StallWriting,
    /// After: its answer gets lost.
    Lose,
    /// After: its answer takes this long.
    Delay(Duration),
    /// After: its answer comes twice.
    Duplicate,
    /// After: its answer comes behind the next, or 50 ms later.
    Reorder,
    /// After: it ends the connection in the middle of its answer.
    Truncate,
    /// After: its answer comes in 16 pieces, with this pause between.
    Slow(Duration),
    /// Each page of its lists says that there is another.
    EndlessCursor,
}

/// A plan of what a test server does wrong, drawn from a seed.
///
/// On a current-thread runtime of tokio with its time paused, the same seed is the same run: nothing
/// in it waits for a real clock, and [`Server::faults`](super::Server::faults) seeds the jitter of the
/// library, which is that thread's [`fastrand`] generator, too. So a host's own code meets a dying
/// server in microseconds, and a run that failed can be had again:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use callboard::{Runtime, ServerSpec, testing::{Faults, Server}};
/// use serde_json::json;
///
/// let server = Server::new()
///     .tool("add", |_| async { Ok(json!("added")) })
///     .faults(Faults::seed(7).exit_after(3));
///
/// let runtime = Runtime::start().await;
/// let session = runtime.session("test").server(ServerSpec::new("list", server.transport()).required());
/// let session = session.open().await.unwrap();
/// for _ in 0..3 {
///     session.call("list.add", json!({})).await.unwrap();
/// }
/// let lost = session.call("list.add", json!({})).await.unwrap_err();
/// assert_eq!(lost.kind(), "transport_down");
/// assert!(lost.to_string().contains("exited with code 1"), "{lost}");
/// assert_eq!(server.calls().len(), 3);
///
/// // It is started again, after a backoff that takes no time here.
/// session.server("list").unwrap().ready().await.unwrap();
/// session.call("list.add", json!({})).await.unwrap();
/// runtime.shutdown().await;
/// # }
/// ```
///
/// Its faults meet calls of tools, and [`everywhere`](Self::everywhere) every request, those of the
/// start included.
#[derive(Debug, Clone)]
pub struct Faults {
    seed: u64,
    random: fastrand::Rng,
    everywhere: bool,
    sometimes: Vec<(f64, Fault)>,
    after: Vec<(u64, Fault)>,
    met: u64,
}

impl Faults {
    /// A plan without any faults yet.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { seed, random, everywhere: false, sometimes: Vec::new(), after: Vec::new(), met: 0 }
    }

    /// A plan that has faults of many kinds, which ones and how often drawn from the seed, too.
    #[must_use]
    pub fn chaos(seed: u64) -> Self {
        let mut plan = Self::seed(seed);
        for _ in 0..plan.random.u32(1..=5) {
            let fault = any(&mut plan.random);
            let chance = plan.random.f64() * 0.2;
            plan.sometimes.push((chance, fault));
        }
        if plan.random.bool() {
            let (after, fault) = (plan.random.u64(..12), any(&mut plan.random));
            plan.after.push((after, fault));
        }
        plan.everywhere = plan.random.f64() < 0.3;
        plan
    }

    /// Has each request meet this fault with this chance, from 0 to 1. Of several faults, the first
    /// that hits counts.
    #[must_use]
    pub fn sometimes(mut self, chance: f64, fault: Fault) -> Self {
        self.sometimes.push((chance, fault));
        self
    }

    /// Has one request meet this fault: the one after the first `count`, over however many
    /// connections.
    #[must_use]
    pub fn after(mut self, count: u64, fault: Fault) -> Self {
        self.after.push((count, fault));
        self
    }

    /// Has it exit with code 1 at the request after the first `count`.
    #[must_use]
    pub fn exit_after(self, count: u64) -> Self {
        self.after(count, Fault::Exit(1))
    }

    /// Has the faults meet every request, and not just calls of tools: those of the start, lists and
    /// all others.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// What its thread's jitter is drawn from.
    pub(super) fn seeds(&self) -> u64 {
        self.seed
    }

    /// The fault that the next request meets.
    pub(super) fn next(&mut self, method: &str) -> Fault {
        if !self.everywhere && method != "tools/call" && !lists(method) {
            return Fault::None;
        }
        // A list has no other fault where only calls are meant.
        if !self.everywhere && lists(method) {
            let endless = |(_, fault): &&(f64, Fault)| *fault == Fault::EndlessCursor;
            let chance = self.sometimes.iter().find(endless).map(|(chance, _)| *chance);
            let hit = chance.is_some_and(|chance| self.random.f64() < chance);
            return if hit { Fault::EndlessCursor } else { Fault::None };
        }
        let count = self.met;
        self.met += 1;
        if let Some((_, fault)) = self.after.iter().find(|(after, _)| *after == count) {
            return *fault;
        }
        let random = &mut self.random;
        let hit = self.sometimes.iter().find(|(chance, _)| random.f64() < *chance);
        hit.map_or(Fault::None, |(_, fault)| *fault)
    }
}

pub(super) fn lists(method: &str) -> bool {
    method.ends_with("/list")
}

/// Any fault but none, each as likely as the others.
fn any(random: &mut fastrand::Rng) -> Fault {
    let time = Duration::from_millis(random.u64(1..20_000));
    match random.u32(..17) {
        0 => Fault::Hang,
        1 => Fault::Disconnect,
        2 => Fault::Error(-32000),
        3 => Fault::Garbage,
        4 => Fault::Exit(random.i32(..3)),
        5 => Fault::Signal(if random.bool() { 9 } else { 15 }),
        6 => Fault::Status([401, 403, 404, 404, 429, 500, 503][random.usize(..7)]),
        7 => Fault::StallReading,
        8 => Fault::StallWriting,
        9 => Fault::Lose,
        10 => Fault::Delay(time),
        11 => Fault::Duplicate,
        12 => Fault::Reorder,
        13 => Fault::Truncate,
        14 => Fault::Slow(time / 16),
        15 => Fault::EndlessCursor,
        _ => Fault::Delay(time / 1000),
    }
}
