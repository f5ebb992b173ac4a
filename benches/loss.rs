//! How long calls in flight wait once their server was killed.
//!
//! `cargo bench --bench loss -- callboard rmcp`; without names it measures everyone.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/callboard_peer.rs"]
mod callboard_peer;
#[path = "support/child.rs"]
mod child;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/kill.rs"]
mod kill;
#[path = "support/manner.rs"]
mod manner;
#[path = "support/median.rs"]
mod median;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/rmcp_peer.rs"]
mod rmcp_peer;
#[path = "support/tower_peer.rs"]
mod tower_peer;
#[path = "support/wanted.rs"]
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, timeout};

use crate::callboard_peer::CallboardPeer;
use crate::floor::Floor;
use crate::manner::{COUNT, Manner};
use crate::median::median;
use crate::peer::Peer;
use crate::rmcp_peer::RmcpPeer;
use crate::tower_peer::TowerPeer;

const CALLS: usize = 64;
const ROUNDS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    if child::serve_if_asked() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
    runtime.block_on(async {
        report::<CallboardPeer>().await;
        report::<RmcpPeer>().await;
        report::<TowerPeer>().await;
        report::<Floor>().await;
    });
}

async fn report<P: Peer>() {
    if !wanted::is_wanted(P::NAME) {
        return;
    }
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        waits.push(lose::<P>().await.as_secs_f64() * 1e3);
    }
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let half = median(waits.into_iter());
    let name = P::NAME;
    println!("{CALLS} calls in flight  {name:<10} median {half:>9.2} ms   max {longest:>9.2} ms");
}

/// Kills the server under its calls and returns how long it took until the last of them failed.
async fn lose<P: Peer>() -> Duration {
    let peer = Arc::new(P::open(Manner::Hold).await);
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let peer = Arc::clone(&peer);
        calls.spawn(async move { peer.call(&P::request("hold")).await });
    }
    while peer.call(&P::request(COUNT)).await != Ok(CALLS) {
        yield_now().await;
    }
    let killed = Instant::now();
    kill::kill(peer.pid());
    let ended = timeout(PATIENCE, calls.join_all()).await.expect("every call ends");
    let waited = killed.elapsed();
    assert!(ended.iter().all(Result::is_err), "an answer nobody gave");
    let peer = Arc::into_inner(peer).expect("no caller is left");
    peer.close().await;
    waited
}
