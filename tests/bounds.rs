//! No list, no id and no limit that a server, a model or a host comes up with costs more than it
//! should.

#[path = "support/world.rs"]
mod world;

use std::{path::PathBuf, time::Duration};

use callboard::{BreakerState, CatalogFault, CircuitBreaker, Limits, RateLimit, ServerSpec};
use serde_json::{json, value::to_raw_value};
use tokio::time::timeout;
use world::World;

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(30);

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|one| one.strip_prefix(line)).unwrap();
    size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// How much memory this process held at most during this, more than before.
async fn peak_during(work: impl Future<Output = ()>) -> usize {
    // 5: the peak begins afresh (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    work.await;
    memory("VmHWM:").saturating_sub(before)
}

/// The file that a puppet lists its tools from.
fn list(world: &World, tools: &str) -> PathBuf {
    let path = world.folder().join("list");
    std::fs::write(&path, format!("{{\"tools\":[{tools}]}}")).unwrap();
    path
}

#[test]
fn a_million_bad_tools_on_one_page_are_bounded() {
    world::run(async |world| {
        let page = list(&world, &vec!["1"; 1_000_000].join(","));
        let stdio = world.script("puppet.py").arg("--list").arg(page);
        let spec = |limits| ServerSpec::new("a", stdio.clone()).limits(limits);
        for (limit, kept) in [(10, 10), (5000, 100)] {
            let limits = Limits::default().with_max_tools(limit);
            let peak = peak_during(async {
                let session = world.open([spec(limits)]).await;
                assert!(session.server("a").unwrap().status().is_ready());
                let catalog = session.tools();
                assert_eq!(catalog.len(), 0);
                let (last, bad) = catalog.faults().split_last().unwrap();
                let too_many =
                    matches!(last, CatalogFault::TooManyTools { limit: at, .. } if *at == limit);
                assert!(too_many, "{last}");
                assert_eq!(bad.len(), kept, "bad tools that are named");
                session.close().await;
            });
            let peak = peak.await;
            assert!(peak < 64 * MIB, "{} MiB for a page of 2", peak / MIB);
        }
    });
}

#[test]
fn questions_with_ids_of_a_megabyte_take_no_memory() {
    world::run(async |world| {
        let session = world.open_one(world.script("puppet.py")).await;
        let peak = peak_during(async {
            let arguments = json!({ "times": 200, "size": MIB });
            let output = timeout(LONG, session.call("a.ask", arguments)).await.unwrap().unwrap();
            assert_eq!(output.text(), "asked");
        });
        let peak = peak.await;
        assert!(peak < 32 * MIB, "{} MiB for 200 of 1", peak / MIB);
        let status = session.server("a").unwrap().status();
        assert!(status.is_ready() && status.epoch == 1, "{status:?}");
    });
}

#[test]
fn a_long_id_that_nobody_offers_is_refused_in_a_large_catalog() {
    world::run(async |world| {
        let tools = (0..16_000).map(|n| {
            format!("{{\"name\":\"create_issue_{n}\",\"inputSchema\":{{\"type\":\"object\"}}}}")
        });
        let page = list(&world, &tools.collect::<Vec<_>>().join(","));
        let session = world.open_one(world.script("puppet.py").arg("--list").arg(page)).await;
        assert_eq!(session.tools().len(), 16_000);
        for id in ["a.create_isue".to_owned(), "a.create_issue_1".repeat(125)] {
            let error = session.call(id, ()).await.unwrap_err();
            assert_eq!(error.kind(), "unknown_tool", "{error}");
        }
    });
}

#[test]
fn a_large_call_that_was_refused_keeps_no_memory() {
    world::run(async |world| {
        let limits = Limits::default().with_max_call_bytes(MIB);
        let spec = ServerSpec::new("a", world.echo()).limits(limits);
        let session = world.open([spec]).await;
        let call = async |bytes| {
            let arguments = to_raw_value(&json!({ "text": "x".repeat(bytes) })).unwrap();
            session.call("a.echo", arguments).await
        };
        call(10).await.unwrap();
        let before = memory("VmRSS:");
        for _ in 0..2 {
            assert_eq!(call(40 * MIB).await.unwrap_err().kind(), "overloaded");
        }
        let kept = memory("VmRSS:").saturating_sub(before);
        assert!(kept < 20 * MIB, "{} MiB kept", kept / MIB);
        call(10).await.unwrap();
    });
}

#[test]
fn a_limit_that_no_clock_can_show_is_no_limit() {
    world::run(async |world| {
        let stdio = || world.echo().eof_grace(LONG).term_grace(Duration::MAX);
        let spec = || {
            ServerSpec::new("a", stdio())
                .limits(Limits::default().with_max_calls(1))
                .init_timeout(Duration::MAX)
                .required()
        };
        let session = world.open([spec()]).await;
        for _ in 0..3 {
            session.call("a.echo", ()).total_timeout(Duration::MAX).await.unwrap();
            session.call("a.echo", ()).idle_timeout(Duration::MAX).await.unwrap();
            let mut given_up = session.call("a.echo", ()).total_timeout(Duration::MAX);
            tokio::select! { biased; _ = &mut given_up => {} () = std::future::ready(()) => {} }
        }
        session.call("a.echo", ()).await.expect("every permit came back");
        timeout(LONG, session.close()).await.unwrap();
        // Here `SIGTERM` is what ends it.
        let sleeper = world.stdio("sleep").arg("1000").eof_grace(Duration::ZERO);
        let sleeper = ServerSpec::new("a", sleeper.term_grace(Duration::MAX));
        let session = world.runtime.session("s").server(sleeper).open().await.unwrap();
        world::eventually(LONG, "it lives", || !world.processes().is_empty()).await;
        timeout(LONG, session.close()).await.unwrap();
    });
}

#[test]
fn a_breaker_and_a_rate_that_no_clock_can_show_hold_for_ever() {
    world::run(async |world| {
        let breaker = CircuitBreaker::default().threshold(1).recovery(Duration::MAX);
        let limit = RateLimit::new(1, Duration::MAX).burst(2);
        let specs = [
            ServerSpec::new("breaks", world.hostile("normal")).circuit_breaker(breaker),
            ServerSpec::new("waits", world.echo()).rate_limit(limit),
        ];
        let session = world.open(specs).await;
        assert_eq!(session.call("breaks.crash", ()).await.unwrap_err().kind(), "transport_down");
        let state = session.server("breaks").unwrap().status().breaker;
        assert!(matches!(state, Some(BreakerState::Open { .. })), "{state:?}");
        let error = session.call("breaks.echo", ()).await.unwrap_err();
        assert_eq!(error.kind(), "circuit_open", "{error}");
        for _ in 0..2 {
            session.call("waits.echo", ()).await.unwrap();
        }
        let error = session.call("waits.echo", ()).total_timeout(LONG).await.unwrap_err();
        assert_eq!(error.kind(), "rate_limited", "{error}");
    });
}
