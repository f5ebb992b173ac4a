//! The rate, the latency and the cost of a tool call on streamable HTTP, beside other clients and
//! beside floors, all against the same server.
//!
//! `cargo bench --bench http -- callboard rmcp --on one --callers 16 --size 100 --rounds 3 --millis 500`;
//! everything may be left out, and all but the last two may be repeated.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/comparison.rs"]
mod comparison;
#[path = "support/http_callboard_peer.rs"]
mod http_callboard_peer;
#[path = "support/http_child.rs"]
mod http_child;
#[path = "support/http_floor.rs"]
mod http_floor;
#[path = "support/http_hyper_peer.rs"]
mod http_hyper_peer;
#[path = "support/http_pool_peer.rs"]
mod http_pool_peer;
#[path = "support/http_request.rs"]
mod http_request;
#[path = "support/http_reqwest_peer.rs"]
mod http_reqwest_peer;
#[path = "support/http_rmcp_peer.rs"]
mod http_rmcp_peer;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/http_tower_peer.rs"]
mod http_tower_peer;
#[path = "support/kill.rs"]
mod kill;
#[path = "support/lane.rs"]
mod lane;
#[path = "support/manner.rs"]
mod manner;
#[path = "support/median.rs"]
mod median;
#[path = "support/options.rs"]
mod options;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/placement.rs"]
mod placement;
#[path = "support/processor.rs"]
mod processor;
#[path = "support/round.rs"]
mod round;

use std::process::ExitCode;

use crate::comparison::{compare, entrant};
use crate::http_callboard_peer::{AsFound, CallboardHttpPeer, Legacy};
use crate::http_floor::HttpFloor;
use crate::http_hyper_peer::HyperPeer;
use crate::http_pool_peer::PoolPeer;
use crate::http_reqwest_peer::ReqwestPeer;
use crate::http_rmcp_peer::{AsItComes, Pooled, RmcpHttpPeer};
use crate::http_tower_peer::TowerHttpPeer;

fn main() -> ExitCode {
    if http_child::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    compare(&[
        entrant::<CallboardHttpPeer<AsFound>>(),
        entrant::<CallboardHttpPeer<Legacy>>(),
        entrant::<RmcpHttpPeer<AsItComes>>(),
        entrant::<RmcpHttpPeer<Pooled>>(),
        entrant::<TowerHttpPeer>(),
        entrant::<ReqwestPeer>(),
        entrant::<PoolPeer>(),
        entrant::<HyperPeer>(),
        entrant::<HttpFloor>(),
    ])
}
