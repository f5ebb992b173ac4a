//! The rate, the latency and the cost of a tool call on one stdio connection, beside other
//! clients and beside a floor, all against the same server.
//!
//! `cargo bench --bench call -- callboard rmcp --on one --callers 16 --size 100 --rounds 3 --millis 500`;
//! everything may be left out, and all but the last two may be repeated.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/callboard_peer.rs"]
mod callboard_peer;
#[path = "support/child.rs"]
mod child;
#[path = "support/comparison.rs"]
mod comparison;
#[path = "support/floor.rs"]
mod floor;
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
#[path = "support/plain_floor.rs"]
mod plain_floor;
#[path = "support/processor.rs"]
mod processor;
#[path = "support/rmcp_peer.rs"]
mod rmcp_peer;
#[path = "support/round.rs"]
mod round;
#[path = "support/tower_peer.rs"]
mod tower_peer;

use std::process::ExitCode;

use crate::callboard_peer::CallboardPeer;
use crate::comparison::{compare, entrant};
use crate::floor::Floor;
use crate::plain_floor::PlainFloor;
use crate::rmcp_peer::RmcpPeer;
use crate::tower_peer::TowerPeer;

fn main() -> ExitCode {
    if child::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    compare(&[
        entrant::<CallboardPeer>(),
        entrant::<RmcpPeer>(),
        entrant::<TowerPeer>(),
        entrant::<Floor>(),
        entrant::<PlainFloor>(),
    ])
}
