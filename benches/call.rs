//! The rate, the latency and the cost of a tool call on one stdio connection, beside other
//! clients and beside a floor, all against the same server.
//!
//! `cargo bench --bench call -- callboard rmcp --on one --callers 16 --size 100 --rounds 3 --millis 500`;
//! everything may be left out, and all but the last two may be repeated.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/callboard_peer.rs"]
mod callboard_peer;
#[path = "support/child.rs"]
mod child;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/kill.rs"]
mod kill;
#[path = "support/lane.rs"]
mod lane;
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
#[path = "support/rmcp_peer.rs"]
mod rmcp_peer;
#[path = "support/round.rs"]
mod round;
#[path = "support/tower_peer.rs"]
mod tower_peer;

use std::process::ExitCode;

use crate::callboard_peer::CallboardPeer;
use crate::floor::Floor;
use crate::lane::{Contender, Lane};
use crate::options::Options;
use crate::peer::Peer;
use crate::placement::Placement;
use crate::rmcp_peer::RmcpPeer;
use crate::round::{Fault, Load, Round};
use crate::tower_peer::TowerPeer;

fn main() -> ExitCode {
    if child::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let options = Options::from_args();
    let mut code = ExitCode::SUCCESS;
    for place in options.placements() {
        if !place.run(|| compare(&options, place)) {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Measures every load; false if an answer was wrong.
fn compare(options: &Options, place: Placement) -> bool {
    let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
    let mut right = true;
    for load in options.loads() {
        right &= runtime.block_on(compare_under(options, place, load));
    }
    right
}

async fn compare_under(options: &Options, place: Placement, load: Load) -> bool {
    let mut lanes = open(options, load).await;
    for _ in 0..options.rounds {
        for lane in &mut lanes {
            lane.run_round().await;
        }
    }
    report(&lanes, place, load);
    let mut right = true;
    for lane in lanes {
        right &= !matches!(lane.fault(), Some(Fault::Wrong(_)));
        lane.close().await;
    }
    right
}

/// Opens every contender that was asked for; ours first.
async fn open(options: &Options, load: Load) -> Vec<Box<dyn Contender>> {
    let mut lanes: Vec<Box<dyn Contender>> = Vec::new();
    if options.wants(CallboardPeer::NAME) {
        lanes.push(Box::new(Lane::<CallboardPeer>::open(load).await));
    }
    if options.wants(RmcpPeer::NAME) {
        lanes.push(Box::new(Lane::<RmcpPeer>::open(load).await));
    }
    if options.wants(TowerPeer::NAME) {
        lanes.push(Box::new(Lane::<TowerPeer>::open(load).await));
    }
    if options.wants(Floor::NAME) {
        lanes.push(Box::new(Lane::<Floor>::open(load).await));
    }
    lanes
}

fn report(lanes: &[Box<dyn Contender>], place: Placement, load: Load) {
    let Load { callers, size, .. } = load;
    let at = format!("{} cpu {callers:>3} callers {size:>7} B", place.name());
    for lane in lanes {
        let name = lane.name();
        match lane.fault() {
            None => println!("{at}  {name:<19} {}", values(lane.rounds())),
            Some(Fault::Stalled) => println!("{at}  {name:<19} stalled"),
            Some(Fault::Wrong(why)) => println!("{at}  {name:<19} WRONG: {why}"),
        }
    }
    let Some((ours, others)) = lanes.split_first() else { return };
    for other in others.iter().filter(|_| ours.fault().is_none()) {
        let name = format!("{}/{}", ours.name(), other.name());
        if other.fault().is_none() {
            println!("{at}  {name:<19} {}", ratios(ours.rounds(), other.rounds()));
        }
    }
    println!();
}

fn values(rounds: &[Round]) -> String {
    let Round { rate, p50, p99, cpu } = Round::median_of(rounds);
    format!("{rate:>9.0} calls/s   p50 {p50:>9.1} µs   p99 {p99:>9.1} µs   cpu {cpu:>8.2} µs")
}

/// The median of the ratios of the rounds that ran side by side.
fn ratios(ours: &[Round], others: &[Round]) -> String {
    let pairs: Vec<Round> = ours.iter().zip(others).map(|(our, other)| our.over(other)).collect();
    let Round { rate, p50, p99, cpu } = Round::median_of(&pairs);
    format!("{rate:>9.2} x calls/s p50 {p50:>9.2} x    p99 {p99:>9.2} x    cpu {cpu:>8.2} x")
}
