//! The endurance run: sessions that are opened and closed without a pause, over processes, HTTP and
//! memory, with servers that are killed, go away and break in every other way, while the machine's
//! books are watched for anything that grows.
//!
//! ```text
//! cargo run --release --example soak -- --seconds 600
//! ```
//!
//! Every few seconds all sessions but one end, and what is left is counted: descriptors, tasks,
//! processes, heap and resident memory. The last line is `flat: yes`, or `flat: no` and what grew;
//! so is the exit status. `--every N` sets the seconds between looks, `--leak N` forgets so many bytes
//! at each, to see that it would be noticed.

#[path = "../benches/support/answers.rs"]
mod answers;
#[path = "soak/chart.rs"]
mod chart;
#[path = "../benches/support/child.rs"]
mod child;
#[path = "../benches/support/http_child.rs"]
mod http_child;
#[path = "soak/lives.rs"]
mod lives;
#[path = "../benches/support/manner.rs"]
mod manner;
#[path = "soak/meter.rs"]
mod meter;
#[path = "soak/servers.rs"]
mod servers;
#[path = "soak/slope.rs"]
mod slope;

use std::{alloc::System, process::ExitCode, time::Duration};

use cap::Cap;
use tokio::time::Instant;

use chart::Chart;
use lives::Lives;
use meter::Meter;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What was asked for.
struct Options {
    total: Duration,
    every: Duration,
    leak: usize,
}

fn main() -> ExitCode {
    if servers::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            chart::say(&fault);
            return ExitCode::FAILURE;
        }
    };
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    tokio.block_on(run(options))
}

async fn run(options: Options) -> ExitCode {
    let began = Instant::now();
    let lives = Lives::begin().await;
    let meter = Meter::new(lives.mark());
    let mut chart = Chart::new(options.total);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while began.elapsed() < options.total || !chart.is_telling() {
        tokio::select! {
            () = lives.go_on(options.every) => {}
            _ = &mut interrupted => break,
        }
        std::mem::forget(vec![0_u8; options.leak]);
        let looked = meter.look(HEAP.allocated());
        chart.take(began.elapsed(), lives.told(), looked);
    }
    let left = lives.end().await;
    let verdict = chart.verdict();
    chart::say(&left);
    chart::say(&verdict);
    let fine = verdict.is_flat() && left.is_nothing();
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let second = Duration::from_secs(1);
        let mut options = Self { total: 60 * second, every: 2 * second, leak: 0 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().and_then(|value| value.parse::<u32>().ok());
            let value = value.ok_or_else(|| format!("{name} needs a number"))?;
            match name.as_str() {
                "--seconds" => options.total = second * value,
                "--every" => options.every = second * value.max(1),
                "--leak" => options.leak = value as usize,
                _ => return Err(format!("{name} is unknown: --seconds, --every, --leak")),
            }
        }
        Ok(options)
    }
}
