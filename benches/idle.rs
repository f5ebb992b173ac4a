//! What 1,000 sessions cost that do nothing: each has one HTTP server at an origin of its own, of
//! which it has called a tool once.
//!
//! Each measurement has a process of its own, so that none inherits another's memory. The floor
//! keeps one connection of hyper for each server, and nothing else.
//!
//! `cargo bench --bench idle -- callboard rmcp`; without names it measures everyone.
#![expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]

#[path = "support/answers.rs"]
mod answers;
#[path = "support/http_child.rs"]
mod http_child;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/idle_fleet.rs"]
mod idle_fleet;
#[path = "support/manner.rs"]
mod manner;
#[path = "support/median.rs"]
mod median;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/wanted.rs"]
mod wanted;

use std::alloc::System;
use std::process::Command;
use std::time::Duration;

use cap::Cap;

use crate::http_server::HttpServer;
use crate::idle_fleet::{Connections, IdleFleet, RmcpClients, RmcpShared, Sessions};
use crate::manner::Manner;
use crate::median::median;
use crate::wanted::is_wanted;

/// A name, and how to measure what it names in this process.
type Contender = (&'static str, fn() -> Memory);

/// Ours first.
const CONTENDERS: [Contender; 6] = [
    (Sessions::<false>::NAME, measure::<Sessions<false>>),
    (Sessions::<true>::NAME, measure::<Sessions<true>>),
    (RmcpClients::<false>::NAME, measure::<RmcpClients<false>>),
    (RmcpClients::<true>::NAME, measure::<RmcpClients<true>>),
    (RmcpShared::NAME, measure::<RmcpShared>),
    (Connections::NAME, measure::<Connections>),
];
const SESSIONS: u16 = 1000;
const ROUNDS: usize = 3;
/// What is still to be done after the last answer is done by then.
const SETTLING: Duration = Duration::from_secs(1);

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// KiB for each session: what is allocated, and what the process holds for it.
#[derive(Clone, Copy)]
struct Memory {
    heap: f64,
    resident: f64,
}

fn main() {
    if http_child::serve_if_asked() {
        return;
    }
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "--measure") else { return compare() };
    let asked = CONTENDERS.iter().find(|(name, _)| *name == args[at + 1]);
    let Memory { heap, resident } = asked.expect("a contender").1();
    println!("{heap} {resident}");
}

fn measure<F: IdleFleet>() -> Memory {
    memory::allow_descriptors();
    let runtime = tokio::runtime::Runtime::new().expect("start the async runtime");
    let server = HttpServer::start(Manner::Echo);
    let urls = (0..SESSIONS).map(|number| server.url(number, F::PATH)).collect();
    let memory = runtime.block_on(memory_of::<F>(urls));
    server.stop();
    memory
}

async fn memory_of<F: IdleFleet>(urls: Vec<String>) -> Memory {
    let (heap, resident) = (HEAP.allocated() as f64, memory::resident());
    let fleet = F::open(urls).await;
    tokio::time::sleep(SETTLING).await;
    let each = |bytes: f64| bytes / 1024.0 / f64::from(SESSIONS);
    let heap = each(HEAP.allocated() as f64 - heap);
    let resident = each(memory::resident() - resident);
    fleet.close().await;
    Memory { heap, resident }
}

/// Measures every contender in turn, each time in a new process.
fn compare() {
    let names = CONTENDERS.map(|(name, _)| name).into_iter().filter(|name| is_wanted(name));
    let mut lanes: Vec<(&str, Vec<Memory>)> = names.map(|name| (name, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (name, measured) in &mut lanes {
            measured.push(measure_apart(name));
        }
    }
    for (name, measured) in lanes {
        let heap = median(measured.iter().map(|memory| memory.heap));
        let resident = median(measured.iter().map(|memory| memory.resident));
        println!(
            "{SESSIONS} idle sessions  {name:<19} heap {heap:>6.1} KiB each   resident {resident:>6.1} KiB each"
        );
    }
}

fn measure_apart(name: &str) -> Memory {
    let output = Command::new(manner::executable())
        .args(["--measure", name])
        .output()
        .expect("run the measurement");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {complaint}");
    let said = String::from_utf8_lossy(&output.stdout);
    let (heap, resident) = said.trim().split_once(' ').expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    Memory { heap: number(heap), resident: number(resident) }
}
