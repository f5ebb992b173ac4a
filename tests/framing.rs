//! Whatever comes over a server's stdout is taken apart within bounds: noise is skipped, a broken
//! answer fails its own call, and a line above the limit ends its link, not the host.

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{CallError, DownCause, DownReason, Limits, ServerSpec, Session, Stdio};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);
const MIB: usize = 1 << 20;

async fn assert_echo(session: &Session) {
    let output = session.call("a.echo", json!({ "text": "héllo" })).await.unwrap();
    assert_eq!(output.text(), "héllo");
}

/// The link that the session's only server began with is the one that it still has.
fn assert_same_link(session: &Session) {
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready() && status.epoch == 1, "{status:?}");
}

/// Lets the peak of this process's memory start afresh; where that is not allowed, the peak so far
/// only makes the measurement coarser.
fn forget_peak() -> usize {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    peak()
}

/// The most memory that this process held, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Makes a call whose answer is above the limit; returns why its link ended.
async fn too_large(world: &world::World, stdio: Stdio) -> Arc<DownReason> {
    let limits = Limits::default().with_max_frame(MIB);
    let session = world.open([ServerSpec::new("a", stdio).limits(limits)]).await;
    let server = session.server("a").unwrap();
    let before = forget_peak();
    let error = session.call("a.echo", json!({ "text": "" })).await.unwrap_err();
    let CallError::TransportDown { reason, epoch: 1, .. } = error else { panic!("{error:?}") };
    world::await_status(&server, SOON, |status| status.is_ready() && status.epoch == 2).await;
    let grown = peak().saturating_sub(before);
    assert!(grown < 16 * MIB, "{} MiB more for a limit of one", grown / MIB);
    assert_eq!(world.processes().len(), 1, "the one that would not stop is gone");
    reason
}

/// C9: nothing but messages belongs on stdout; what else stands there harms nobody.
#[test]
fn lines_that_are_not_json_rpc_are_skipped_and_counted() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("stdout-noise")).await;
        for _ in 0..20 {
            assert_echo(&session).await;
        }
        let skipped = session.server("a").unwrap().skipped_lines();
        assert!(skipped >= 2, "the banner alone is two: {skipped}");
        assert_same_link(&session);
    });
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_accepted() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("crlf-bom")).await;
        assert_echo(&session).await;
        assert_eq!(session.server("a").unwrap().skipped_lines(), 0);
        assert_same_link(&session);
    });
}

/// Check 14: only the request fails whose answer is broken.
#[test]
fn an_answer_that_is_not_utf8_fails_its_own_call_alone() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("bad-utf8")).await;
        for _ in 0..3 {
            let error = session.call("a.echo", json!({ "text": "x" })).await.unwrap_err();
            assert_eq!(error.kind(), "invalid_response");
            assert!(error.to_string().contains("utf-8"), "{error}");
        }
        assert_same_link(&session);
    });
}

/// Check 14, for an answer that breaks off.
#[test]
fn an_answer_that_is_not_json_fails_its_own_call_alone() {
    world::run(async |world| {
        let session = world.open_one(world.odd("malformed")).await;
        let whole = session.call("a.echo", json!({ "text": "héllo" }));
        let (broken, whole) = tokio::join!(session.call("a.echo", ()), whole);
        assert_eq!(broken.unwrap_err().kind(), "invalid_response");
        assert_eq!(whole.unwrap().text(), "héllo");
        assert_same_link(&session);
    });
}

#[test]
fn an_answer_that_drips_in_is_put_together_within_the_limit_of_its_call() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("slow-drip")).await;
        let hasty = session.call("a.echo", json!({ "text": "x".repeat(200) }));
        let error = hasty.total_timeout(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(error.kind(), "timed_out");
        assert_echo(&session).await;
        assert_same_link(&session);
    });
}

#[test]
fn a_large_answer_within_the_limit_arrives_whole() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("normal")).await;
        let output = session.call("a.big", json!({ "size": 20 * MIB })).await.unwrap();
        assert_eq!(output.text().len(), 20 * MIB);
        assert_same_link(&session);
    });
}

/// Check 8: memory is bounded, and the error says which limit it was.
#[test]
fn a_huge_line_ends_its_link_and_not_the_host() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let stdio = world.hostile("huge-line").arg("--log").arg(&log);
        let reason = too_large(&world, stdio).await;
        assert!(matches!(reason.kind(), DownCause::FrameTooLarge { limit: MIB }), "{reason}");
        assert!(reason.to_string().contains("max_frame"), "{reason}");
        let events = world::log(&log);
        assert!(!events.iter().any(|one| one["what"] == "huge-line complete"), "all was read");
    });
}

/// Check 8, for a line that never ends.
#[test]
fn an_endless_line_ends_its_link_and_not_the_host() {
    world::run(async |world| {
        let reason = too_large(&world, world.hostile("endless-line")).await;
        assert!(matches!(reason.kind(), DownCause::FrameTooLarge { limit: MIB }), "{reason}");
    });
}

#[test]
fn a_result_nested_a_hundred_thousand_levels_deep_costs_its_own_call_at_most() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("deep-json")).await;
        for _ in 0..2 {
            // It is well-formed, so it arrives; whoever opens it gets an error, not an overflow.
            let output = session.call("a.echo", json!({ "text": "x" })).await.unwrap();
            assert!(output.raw().contains(&"[".repeat(100_000)));
            assert!(output.json().is_err());
            assert!(output.structured::<Value>().is_err());
            assert_eq!(output.text(), "");
        }
        assert_same_link(&session);
    });
}
