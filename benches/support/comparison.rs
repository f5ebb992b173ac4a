//! Clients side by side under every load, ours first.

use std::pin::Pin;
use std::process::ExitCode;

use crate::lane::{Contender, Lane};
use crate::options::Options;
use crate::peer::Peer;
use crate::placement::Placement;
use crate::round::{Fault, Load, Round};

type Opening = Pin<Box<dyn Future<Output = Box<dyn Contender>>>>;

/// A client that may be measured.
pub(crate) struct Entrant {
    name: &'static str,
    open: fn(Load) -> Opening,
}

pub(crate) fn entrant<P: Peer>() -> Entrant {
    Entrant {
        name: P::NAME,
        open: |load| {
            Box::pin(async move { Box::new(Lane::<P>::open(load).await) as Box<dyn Contender> })
        },
    }
}

/// Measures what the command line asks for; a failure if an answer was wrong.
pub(crate) fn compare(entrants: &[Entrant]) -> ExitCode {
    let options = Options::from_args();
    let mut code = ExitCode::SUCCESS;
    for place in options.placements() {
        if !place.run(|| compare_at(entrants, &options, place)) {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Measures every load; false if an answer was wrong.
fn compare_at(entrants: &[Entrant], options: &Options, place: Placement) -> bool {
    let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
    let mut right = true;
    for load in options.loads_of(&[1, 16, 256], &[100, 10_000, 1_000_000]) {
        let lanes = runtime.block_on(measure(entrants, options, load));
        report(&lanes, place, load);
        for lane in lanes {
            right &= !matches!(lane.fault(), Some(Fault::Wrong(_)));
            runtime.block_on(lane.close());
        }
    }
    right
}

async fn measure(entrants: &[Entrant], options: &Options, load: Load) -> Vec<Box<dyn Contender>> {
    let mut lanes = Vec::new();
    for entrant in entrants.iter().filter(|entrant| options.wants(entrant.name)) {
        lanes.push((entrant.open)(load).await);
    }
    for _ in 0..options.rounds {
        for lane in &mut lanes {
            lane.run_round().await;
        }
    }
    lanes
}

fn report(lanes: &[Box<dyn Contender>], place: Placement, load: Load) {
    let Load { callers, size, .. } = load;
    let at = format!("{} cpu {callers:>3} callers {size:>7} B", place.name());
    for lane in lanes {
        let name = lane.name();
        match lane.fault() {
            None => println!("{at}  {name:<21} {}", values(lane.rounds())),
            Some(Fault::Stalled) => println!("{at}  {name:<21} stalled"),
            Some(Fault::Wrong(why)) => println!("{at}  {name:<21} WRONG: {why}"),
        }
    }
    let Some((ours, others)) = lanes.split_first() else { return };
    for other in others.iter().filter(|_| ours.fault().is_none()) {
        let name = format!("{}/{}", ours.name(), other.name());
        if other.fault().is_none() {
            println!("{at}  {name:<21} {}", ratios(ours.rounds(), other.rounds()));
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
