//! Measures a client: many callers on one connection for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::median::median;
use crate::peer::Peer;
use crate::processor::processor_time;

/// How long a client may be late with its answers before it counts as stalled.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many callers, each with one call after the other, for so long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) callers: usize,
    /// Bytes of text in a call and in its answer.
    pub(crate) size: usize,
    pub(crate) span: Duration,
}

/// What one round gave; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Time on a processor for each call, of this process alone.
    pub(crate) cpu: f64,
}

/// Why a round gave nothing.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A call failed or was answered with something else.
    Wrong(String),
    /// The answers stopped.
    Stalled,
}

/// Puts the load on the client.
pub(crate) async fn round<P: Peer>(
    peer: &Arc<P>,
    request: &Arc<P::Request>,
    load: Load,
) -> Result<Round, Fault> {
    let mut callers = JoinSet::new();
    let spent = processor_time();
    let started = Instant::now();
    for _ in 0..load.callers {
        let (peer, request) = (Arc::clone(peer), Arc::clone(request));
        callers.spawn(async move { call_until(&*peer, &request, started, load).await });
    }
    let mut latencies = Vec::new();
    while let Ok(ended) = timeout(load.span + PATIENCE, callers.join_next()).await {
        let Some(ended) = ended else {
            let spent = processor_time().saturating_sub(spent);
            return Ok(Round::of(latencies, started.elapsed(), spent));
        };
        latencies.extend(ended.expect("a caller ends")?);
    }
    callers.shutdown().await;
    Err(Fault::Stalled)
}

/// One caller: how long each of its calls took.
async fn call_until<P: Peer>(
    peer: &P,
    request: &P::Request,
    started: Instant,
    load: Load,
) -> Result<Vec<Duration>, Fault> {
    let mut latencies = Vec::new();
    let mut before = Instant::now();
    while before.duration_since(started) < load.span {
        let length = peer.call(request).await.map_err(Fault::Wrong)?;
        if length != load.size {
            let said = format!("{length} bytes of text for {}", load.size);
            return Err(Fault::Wrong(said));
        }
        let after = Instant::now();
        latencies.push(after.duration_since(before));
        before = after;
    }
    Ok(latencies)
}

impl Round {
    fn of(mut latencies: Vec<Duration>, took: Duration, spent: Duration) -> Self {
        latencies.sort_unstable();
        let calls = latencies.len();
        let at = |share: usize| micros(latencies[calls * share / 100]);
        Self {
            rate: calls as f64 / took.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu: micros(spent) / calls as f64,
        }
    }

    /// The median of each value.
    pub(crate) fn median_of(rounds: &[Self]) -> Self {
        let median_by = |value: fn(&Self) -> f64| median(rounds.iter().map(value));
        Self {
            rate: median_by(|round| round.rate),
            p50: median_by(|round| round.p50),
            p99: median_by(|round| round.p99),
            cpu: median_by(|round| round.cpu),
        }
    }

    /// Each value as a multiple of the other's.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self {
            rate: self.rate / other.rate,
            p50: self.p50 / other.p50,
            p99: self.p99 / other.p99,
            cpu: self.cpu / other.cpu,
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
