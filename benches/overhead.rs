//! What it costs to be seen: a call of 100 B with tracing, metrics and all off, on, and on in parts,
//! side by side.
//!
//! `cargo bench --bench overhead --features metrics -- --on one --callers 64 --rounds 9`; everything
//! after `--` may be left out. `off` is always measured: everything at its default, with a subscriber
//! that wants nothing, which is what having none comes to.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/child.rs"]
mod child;
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
#[path = "support/overhead_peer.rs"]
mod overhead_peer;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/placement.rs"]
mod placement;
#[path = "support/processor.rs"]
mod processor;
#[cfg(feature = "metrics")]
#[path = "support/recorder.rs"]
mod recorder;
#[path = "support/round.rs"]
mod round;
#[path = "support/subscriber.rs"]
mod subscriber;

use std::process::ExitCode;

use crate::lane::{Contender, Lane};
use crate::median::median;
use crate::options::Options;
use crate::overhead_peer as with;
use crate::overhead_peer::{OverheadPeer, Setting};
use crate::placement::Placement;
use crate::round::{Fault, Load, Round};
use crate::subscriber::Level;

fn main() -> ExitCode {
    if child::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let options = Options::from_args();
    let level = subscriber::install();
    let mut code = ExitCode::SUCCESS;
    for place in options.placements() {
        let right = place.run(|| {
            let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
            let mut loads = options.loads_of(&[1, 64], &[100]);
            loads.all(|load| runtime.block_on(compare(&options, &level, (place, load))))
        });
        if !right {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// A lane, and at which level its calls are traced.
struct Traced {
    lane: Box<dyn Contender>,
    filter: subscriber::Filter,
}

async fn lane<S: Setting>(load: Load) -> Traced {
    let lane = Box::new(Lane::<OverheadPeer<S>>::open(load).await);
    S::opened();
    Traced { lane, filter: S::TRACED }
}

/// Everything off, then each that was asked for.
async fn open(options: &Options, load: Load) -> Vec<Traced> {
    let mut lanes = vec![lane::<with::Off>(load).await];
    macro_rules! open {
        ($($setting:ident),* $(,)?) => {$(
            if options.wants(with::$setting::NAME) {
                lanes.push(lane::<with::$setting>(load).await);
            }
        )*};
    }
    open!(Unrecorded, Info, Debug, Trace);
    #[cfg(feature = "metrics")]
    open!(Metrics);
    lanes
}

/// Measures all of them in turn; false if an answer was wrong.
async fn compare(options: &Options, level: &Level, (place, load): (Placement, Load)) -> bool {
    let mut lanes = open(options, load).await;
    for _ in 0..options.rounds {
        for Traced { lane, filter } in &mut lanes {
            level.set(*filter);
            lane.run_round().await;
        }
    }
    level.set(subscriber::Filter::OFF);
    let Load { callers, size, .. } = load;
    println!("{} cpu, {callers} callers, {size} B; CPU is the client's, a call", place.name());
    let right = lanes.iter().all(|one| one.lane.fault().is_none());
    let off = lanes[0].lane.rounds().to_vec();
    for Traced { lane, .. } in &lanes {
        match lane.fault() {
            None => println!("  {:<10} {}", lane.name(), line(&off, lane.rounds())),
            Some(Fault::Stalled) => println!("  {:<10} stalled", lane.name()),
            Some(Fault::Wrong(why)) => println!("  {:<10} WRONG: {why}", lane.name()),
        }
    }
    for Traced { lane, .. } in lanes {
        lane.close().await;
    }
    right
}

/// The cost, and what it is more than that of the rounds beside it in which everything was off.
fn line(off: &[Round], on: &[Round]) -> String {
    let Round { rate, cpu, .. } = Round::median_of(on);
    let pairs = || off.iter().zip(on);
    let more = median(pairs().map(|(off, on)| on.cpu - off.cpu));
    let ratio = median(pairs().map(|(off, on)| on.over(off).cpu));
    format!("{rate:>9.0} calls/s   cpu {cpu:>6.3} µs   {more:>+7.3} µs   x {ratio:.3}")
}
