//! What each policy costs a call of 100 B that it has nothing to do for: off and on, side by side.
//!
//! `cargo bench --bench layers -- retry breaker --callers 1 --rounds 9 --millis 200`; everything may
//! be left out. `off` is always measured: a session with no policy at all. With `--on one`, client and
//! server share a processor, so that what is measured is work and not wake-ups.
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
#[path = "support/peer.rs"]
mod peer;
#[path = "support/placement.rs"]
mod placement;
#[path = "support/policy_peer.rs"]
mod policy_peer;
#[path = "support/processor.rs"]
mod processor;
#[path = "support/round.rs"]
mod round;

use std::process::ExitCode;

use crate::lane::{Contender, Lane};
use crate::median::median;
use crate::options::Options;
use crate::placement::Placement;
use crate::policy_peer as with;
use crate::policy_peer::{Policy, PolicyPeer};
use crate::round::{Fault, Load, Round};

fn main() -> ExitCode {
    if child::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let options = Options::from_args();
    let mut code = ExitCode::SUCCESS;
    for place in options.placements() {
        let right = place.run(|| {
            let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
            let mut loads = options.loads_of(&[1, 16], &[100]);
            loads.all(|load| runtime.block_on(compare(&options, place, load)))
        });
        if !right {
            code = ExitCode::FAILURE;
        }
    }
    code
}

async fn lane<P: Policy>(load: Load) -> Box<dyn Contender> {
    Box::new(Lane::<PolicyPeer<P>>::open(load).await)
}

/// Everything off, then each that was asked for.
async fn open(options: &Options, load: Load) -> Vec<Box<dyn Contender>> {
    let mut lanes = vec![lane::<with::Off>(load).await];
    macro_rules! open {
        ($($policy:ident),* $(,)?) => {$(
            if options.wants(with::$policy::NAME) {
                lanes.push(lane::<with::$policy>(load).await);
            }
        )*};
    }
    open!(Lazy, StopWhenIdle, Retry, Breaker, RateLimit, Concurrency, Wait, Approval, Layer);
    open!(CacheHit, CacheMiss, RetryBreakerRate);
    #[cfg(feature = "validate")]
    open!(Validate);
    lanes
}

/// Measures all of them in turn; false if an answer was wrong.
async fn compare(options: &Options, place: Placement, load: Load) -> bool {
    let mut lanes = open(options, load).await;
    for _ in 0..options.rounds {
        for lane in &mut lanes {
            lane.run_round().await;
        }
    }
    let Load { callers, size, .. } = load;
    println!("{} cpu, {callers} callers, {size} B; CPU is the client's, a call", place.name());
    let right = lanes.iter().all(|lane| lane.fault().is_none());
    for lane in &lanes {
        match lane.fault() {
            None => println!("  {:<26} {}", lane.name(), line(lanes[0].rounds(), lane.rounds())),
            Some(Fault::Stalled) => println!("  {:<26} stalled", lane.name()),
            Some(Fault::Wrong(why)) => println!("  {:<26} WRONG: {why}", lane.name()),
        }
    }
    for lane in lanes {
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
