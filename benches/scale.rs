//! What many servers cost: opening them at once with a call to each, having them open, closing
//! them.
//!
//! Each measurement has a process of its own, so that none inherits another's memory. The floor
//! starts the same processes and neither shakes hands nor lists tools.
//!
//! `cargo bench --bench scale -- callboard rmcp`; without names it measures everyone.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/child.rs"]
mod child;
#[path = "support/cost.rs"]
mod cost;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/manner.rs"]
mod manner;
#[path = "support/median.rs"]
mod median;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/processor.rs"]
mod processor;
#[path = "support/rmcp_peer.rs"]
mod rmcp_peer;
#[path = "support/tower_peer.rs"]
mod tower_peer;
#[path = "support/wanted.rs"]
mod wanted;

use std::process::Command;

use crate::cost::{Cost, cost_of};
use crate::fleet::{Clients, Fleet, OneSession};
use crate::floor::Floor;
use crate::rmcp_peer::RmcpPeer;
use crate::tower_peer::TowerPeer;
use crate::wanted::is_wanted;

/// A name, and how to measure what it names in this process.
type Contender = (&'static str, fn(usize) -> Cost);

/// Ours first.
const CONTENDERS: [Contender; 4] = [
    (OneSession::NAME, measure::<OneSession>),
    (Clients::<RmcpPeer>::NAME, measure::<Clients<RmcpPeer>>),
    (Clients::<TowerPeer>::NAME, measure::<Clients<TowerPeer>>),
    (Clients::<Floor>::NAME, measure::<Clients<Floor>>),
];
const ROUNDS: usize = 5;

fn main() {
    if child::serve_if_asked() {
        return;
    }
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == "--measure");
    let Some(at) = at else {
        return [100, 500].into_iter().for_each(compare);
    };
    let count = args[at + 2].parse().expect("a number of servers");
    let asked = CONTENDERS.iter().find(|(name, _)| *name == args[at + 1]);
    let (_, measure) = asked.expect("a contender");
    println!("{}", measure(count));
}

fn measure<F: Fleet>(count: usize) -> Cost {
    let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
    runtime.block_on(cost_of::<F>(count))
}

/// Measures every contender in turn, each time in a new process.
fn compare(count: usize) {
    let names = CONTENDERS.map(|(name, _)| name).into_iter().filter(|name| is_wanted(name));
    let mut lanes: Vec<(&str, Vec<Cost>)> = names.map(|name| (name, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (name, costs) in &mut lanes {
            costs.push(measure_apart(name, count));
        }
    }
    let costs = lanes.iter().map(|(name, costs)| (*name, Cost::median_of(costs)));
    let costs: Vec<(&str, Cost)> = costs.collect();
    for (name, cost) in &costs {
        println!("{count} servers  {name:<19} {}", cost.values(count));
    }
    let Some(((ours, our_cost), others)) = costs.split_first() else { return };
    for (name, cost) in others {
        let name = format!("{ours}/{name}");
        println!("{count} servers  {name:<19} {}", our_cost.ratios(cost));
    }
    println!();
}

fn measure_apart(name: &str, count: usize) -> Cost {
    let output = Command::new(manner::executable())
        .args(["--measure", name, &count.to_string()])
        .output()
        .expect("run the measurement");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} with {count} servers: {complaint}");
    let said = String::from_utf8_lossy(&output.stdout);
    said.parse().expect("five numbers")
}
