//! A start ends in a link or in the reason why there is none: never by an inner limit, never in
//! silence, and never by what one server's revision says about another's.

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{
    Backoff, ConnectError, Phase, RestartPolicy, ServerError, ServerSpec, Session, Status, Stdio,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use world::World;

const SOON: Duration = Duration::from_secs(10);

/// A server that gets one start of this length.
fn once(stdio: Stdio, init_timeout: Duration) -> ServerSpec {
    ServerSpec::new("a", stdio).restart(RestartPolicy::never()).init_timeout(init_timeout)
}

/// Opens a session over a server whose start has to fail.
async fn failure(world: &World, spec: ServerSpec) -> (Session, Arc<ConnectError>) {
    let session = world.open([spec]).await;
    let Status { phase, last_error, .. } = session.server("a").unwrap().status();
    assert!(matches!(phase, Phase::Failed | Phase::BackingOff), "{phase}");
    let Some(ServerError::Connect(error)) = last_error else { panic!("{last_error:?}") };
    (session, error)
}

/// Opens a session over one server with this init timeout, which has to become Ready.
async fn ready(world: &World, stdio: Stdio, init_timeout: Duration) -> (Session, Status) {
    let session = world.open([once(stdio, init_timeout)]).await;
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready(), "{status:?}");
    assert_echo(&session).await;
    (session, status)
}

async fn assert_echo(session: &Session) {
    let output = session.call("a.echo", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(output.text(), "hi");
}

fn version(status: &Status) -> &str {
    status.protocol_version.as_deref().unwrap()
}

/// The methods that a server got, one list for each of its processes.
fn methods(events: &[Value]) -> Vec<Vec<String>> {
    let mut processes: Vec<Vec<String>> = Vec::new();
    for event in events {
        if event["ev"] == "start" || event.get("start").is_some() {
            processes.push(Vec::new());
        } else if let Some(method) = event["method"].as_str() {
            processes.last_mut().unwrap().push(method.to_owned());
        }
    }
    processes
}

#[test]
fn a_server_that_exits_at_its_start_fails_at_once_with_its_code_and_last_words() {
    world::run(async |world| {
        let hour = Duration::from_secs(3600);
        let patient =
            RestartPolicy::on_failure().backoff(Backoff::new(hour, hour).without_jitter());
        let spec = ServerSpec::new("a", world.hostile("exit-at-start")).restart(patient);
        let began = Instant::now();
        let (session, error) = failure(&world, spec).await;
        assert!(began.elapsed() < SOON, "by the init timeout: {:?}", began.elapsed());
        let ConnectError::Ended { reason, .. } = &*error else { panic!("{error:?}") };
        assert_eq!(reason.exit_code(), Some(7));
        assert!(reason.stderr_tail().iter().any(|line| line.contains("left-pad")), "{reason}");
        let text = error.to_string();
        assert!(text.contains("code 7") && text.contains("left-pad"), "{text}");
        let status = session.server("a").unwrap().status();
        assert_eq!((status.phase, status.epoch), (Phase::BackingOff, 1), "it backs off");
    });
}

#[test]
fn a_server_that_fails_twice_is_ready_at_the_third_start() {
    world::run(async |world| {
        let state = world.folder().join("starts");
        let quick = Backoff::new(Duration::from_millis(20), SOON).without_jitter();
        let spec = ServerSpec::new("a", world.hostile("fail-first").arg("--state").arg(state))
            .restart(RestartPolicy::on_failure().backoff(quick));
        let session = world.open([spec]).await;
        let server = session.server("a").unwrap();
        let status = world::await_status(&server, SOON, Status::is_ready).await;
        assert_eq!((status.restarts, status.epoch), (2, 3));
        assert!(status.last_error.is_some(), "why it was started again stays visible");
        assert_echo(&session).await;
    });
}

#[test]
fn a_server_that_never_answers_is_killed_and_told_apart_by_its_error() {
    world::run(async |world| {
        for mode in ["no-init", "no-stdin-read"] {
            let stdio = world.hostile(mode).eof_grace(Duration::ZERO);
            let (session, error) = failure(&world, once(stdio, Duration::from_millis(800))).await;
            let ConnectError::TimedOut { .. } = &*error else { panic!("{mode}: {error:?}") };
            let text = error.to_string();
            assert!(text.contains("no answer") && text.contains("initialize"), "{text}");
            world::eventually(SOON, "its process is gone", || world.processes().is_empty()).await;
            session.close().await;
        }
    });
}

#[test]
fn a_server_that_boots_slowly_is_waited_for_in_both_eras() {
    world::run(async |world| {
        // Longer than the silent time in which nothing but the probe is asked.
        let slow = |world: &World| world.hostile("slow-init").args(["--delay", "2"]);
        let (_old, status) = ready(&world, slow(&world), Duration::from_secs(5)).await;
        assert_eq!(version(&status), "2025-11-25");
        let modern = slow(&world).arg("--discover");
        let (_new, status) = ready(&world, modern, Duration::from_secs(5)).await;
        assert_eq!(version(&status), "2026-07-28");
    });
}

#[test]
fn a_server_that_refuses_initialize_fails_with_its_own_words() {
    world::run(async |world| {
        let (_session, error) = failure(&world, once(world.hostile("init-error"), SOON)).await;
        let ConnectError::Refused { code, message, .. } = &*error else { panic!("{error:?}") };
        assert_eq!(*code, -32603);
        assert_eq!(message, "hostile: initialize failed on purpose");
        assert!(error.to_string().contains(message));
    });
}

/// C2: whatever does not make sense as an answer to the probe leads to `initialize`.
#[test]
fn a_probe_that_leads_nowhere_falls_back_to_initialize_on_the_same_process() {
    world::run(async |world| {
        for mode in ["normal", "discover-empty", "discover-silent"] {
            let log = world.folder().join(mode);
            let stdio = world.hostile(mode).arg("--log").arg(&log);
            let (session, status) = ready(&world, stdio, Duration::from_secs(6)).await;
            assert_eq!(version(&status), "2025-11-25", "{mode}");
            let methods = methods(&world::log(&log));
            assert_eq!(methods.len(), 1, "{mode} was started once");
            assert_eq!(methods[0][..2], ["server/discover", "initialize"], "{mode}");
            session.close().await;
        }
    });
}

/// C2: an old server may die of a method that it does not know.
#[test]
fn a_server_that_dies_of_the_probe_is_started_again_without_it() {
    world::run(async |world| {
        let (_session, status) = ready(&world, world.odd("discover-exits"), SOON).await;
        assert_eq!((version(&status), status.epoch, status.restarts), ("2025-11-25", 1, 0));
        let methods = methods(&world::log(&world.log_path()));
        assert_eq!(methods[0], ["server/discover"]);
        assert_eq!(methods[1][0], "initialize");
    });
}

#[test]
fn a_late_answer_to_the_probe_changes_nothing_after_initialize() {
    world::run(async |world| {
        let (session, status) =
            ready(&world, world.odd("late-discover"), Duration::from_secs(3)).await;
        assert_eq!(version(&status), "2025-11-25");
        assert_echo(&session).await;
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
    });
}

#[test]
fn a_modern_server_that_refuses_initialize_first_is_still_modern() {
    world::run(async |world| {
        let (_session, status) =
            ready(&world, world.odd("late-modern"), Duration::from_secs(3)).await;
        assert_eq!(version(&status), "2026-07-28");
    });
}

/// C2: a result of the probe means modern, whatever came with it. Several, since it is a race.
#[test]
fn a_server_that_answers_both_questions_at_once_is_modern() {
    world::run(async |world| {
        let limit = Duration::from_secs(4);
        let names = ["a", "b", "c", "d", "e", "f"];
        let spec = |name| ServerSpec::new(name, world.odd("both-at-once")).init_timeout(limit);
        let session = world.open(names.map(spec)).await;
        for server in session.servers() {
            assert_eq!(version(&server.status()), "2026-07-28", "{}", server.name());
        }
    });
}

/// C4: an unsupported counter-offer ends the link; nothing is sent on it any more.
#[test]
fn a_counter_offer_that_nobody_speaks_is_refused_for_good() {
    world::run(async |world| {
        let spec = ServerSpec::new("a", world.odd("counter-offer"));
        let (session, error) = failure(&world, spec).await;
        assert!(matches!(&*error, ConnectError::UnsupportedVersion { .. }), "{error:?}");
        assert!(error.to_string().contains("1999-01-01"), "{error}");
        let status = session.server("a").unwrap().status();
        assert_eq!((status.phase, status.restarts), (Phase::Failed, 0));
        world::eventually(SOON, "its process is gone", || world.processes().is_empty()).await;
        let methods = methods(&world::log(&world.log_path()));
        assert_eq!(methods, [["server/discover", "initialize"]]);
    });
}

/// C2: a modern error to the probe says which revisions the server speaks; none of them is ours.
#[test]
fn a_server_of_a_newer_revision_is_refused_for_good_by_that_name() {
    world::run(async |world| {
        let spec = ServerSpec::new("a", world.odd("future-only"));
        let (session, error) = failure(&world, spec).await;
        assert!(matches!(&*error, ConnectError::UnsupportedVersion { .. }), "{error:?}");
        assert!(error.to_string().contains("2031-01-01"), "{error}");
        let status = session.server("a").unwrap().status();
        assert_eq!((status.phase, status.restarts), (Phase::Failed, 0));
    });
}

/// C1: the era is a property of the server, and is kept for its next process.
#[test]
fn the_next_epoch_opens_in_the_era_of_the_last() {
    world::run(async |world| {
        for (args, first) in [(None, "initialize"), (Some("--discover"), "server/discover")] {
            let log = world.folder().join(first.replace('/', "-"));
            let stdio = world.hostile("normal").args(args).arg("--log").arg(&log);
            let quick = Backoff::new(Duration::from_millis(10), SOON);
            let spec =
                ServerSpec::new("a", stdio).restart(RestartPolicy::on_failure().backoff(quick));
            let session = world.open([spec]).await;
            session.call("a.crash", ()).await.unwrap_err();
            let server = session.server("a").unwrap();
            world::await_status(&server, SOON, |one| one.is_ready() && one.epoch == 2).await;
            let methods = methods(&world::log(&log));
            assert_eq!(methods[0][0], "server/discover");
            assert_eq!(methods[1][0], first);
            let other = ["initialize", "server/discover"].into_iter().find(|one| *one != first);
            assert!(!methods[1].iter().any(|one| Some(one.as_str()) == other), "{methods:?}");
            session.close().await;
        }
    });
}

/// C5: every request of a modern link carries the revision, the client and its capabilities.
#[test]
fn every_request_on_a_modern_link_says_in_meta_what_it_needs() {
    world::run(async |world| {
        let (session, _) = ready(&world, world.odd("modern"), SOON).await;
        session.call("a.grow", json!({})).await.unwrap();
        world::eventually(SOON, "the list is read again", || session.tool("a.grown_4").is_some())
            .await;
        let events = world::log(&world.log_path());
        let requests: Vec<_> = events.iter().filter(|one| one.get("id").is_some()).collect();
        let seen = methods(&events).concat();
        for method in ["server/discover", "tools/list", "tools/call", "subscriptions/listen"] {
            assert!(seen.iter().any(|one| one == method), "{method} in {seen:?}");
        }
        for request in requests {
            let meta = &request["params"]["_meta"];
            assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28", "{request}");
            assert!(meta["io.modelcontextprotocol/clientCapabilities"].is_object(), "{request}");
            assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "callboard");
        }
        assert!(!seen.iter().any(|one| one == "notifications/initialized"), "{seen:?}");
    });
}

#[test]
fn a_server_that_ended_its_stdout_at_the_probe_is_told_the_end_before_the_next_starts() {
    world::run(async |world| {
        ready(&world, world.odd("closes-at-probe"), SOON).await;
        let events = world::log(&world.log_path());
        let kinds = ["start", "method", "eof"];
        let kind = |event: &Value| kinds.into_iter().find(|kind| event.get(kind).is_some());
        let told: Vec<_> = events.iter().take(5).map(|event| kind(event).unwrap()).collect();
        assert_eq!(told, ["start", "method", "eof", "start", "method"], "{events:?}");
        assert_eq!(events[4]["method"], "initialize");
    });
}
