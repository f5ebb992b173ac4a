//! What goes wrong × when: every call ends with the right kind and a true delivery, the status is
//! true, the server comes back where its policy says so, and nothing is left.

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{
    Backoff, CallError, ConnectError, Delivery, DownCause, DownReason, Event, Events, Limits,
    Output, Phase, RestartPolicy, Server, ServerError, ServerSpec, Session, Stage,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use world::{World, await_status, eventually};

const FAULTS: [&str; 7] =
    ["exit0", "exit1", "sigkill", "close-stdout", "hang", "garbage", "huge-line"];
const INIT_TIMEOUT: Duration = Duration::from_secs(4);
const LONG: Duration = Duration::from_secs(30);
const MAX_FRAME: usize = 1 << 20;

/// One cell of the matrix: a session of its own over one server, `a`.
struct Cell {
    fault: &'static str,
    session: Session,
    server: Server,
    events: Events,
    armed: std::path::PathBuf,
}

/// Runs all cells of one row at the same time.
fn row<F: Future<Output = Cell> + Send + 'static>(when: &'static str, check: fn(Cell) -> F) {
    world::run(async |world| {
        let mut cells = JoinSet::new();
        for fault in FAULTS {
            let world = Arc::clone(&world);
            cells.spawn(async move {
                let cell = Cell::open(&world, fault, when).await;
                tokio::time::timeout(LONG * 2, async { check(cell).await.end().await })
                    .await
                    .unwrap_or_else(|_| panic!("{fault} {when}: never ended"));
            });
        }
        cells.join_all().await;
    });
}

impl Cell {
    async fn open(world: &World, fault: &'static str, when: &str) -> Self {
        let armed = world.folder().join(fault);
        std::fs::write(&armed, "").unwrap();
        let grace = Duration::from_millis(300);
        let stdio = world.script("fault.py").args(["--fault", fault, "--when", when]);
        let stdio = stdio.arg("--armed").arg(&armed).eof_grace(grace).term_grace(grace);
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        let spec = ServerSpec::new("a", stdio)
            .init_timeout(INIT_TIMEOUT)
            .limits(Limits::default().with_max_frame(MAX_FRAME))
            .restart(RestartPolicy::on_failure().backoff(backoff).max_restarts(50, LONG));
        let session = world.runtime.session(fault).server(spec).open().await.unwrap();
        let server = session.server("a").unwrap();
        Self { fault, events: session.events(), session, server, armed }
    }

    async fn ready(&self) {
        self.server.ready().await.unwrap_or_else(|error| panic!("{}: {error:?}", self.fault));
    }

    /// Waits until the server is Ready again, and calls it.
    async fn comes_back(&self) {
        let again = |status: &callboard::Status| status.is_ready() && status.epoch >= 2;
        let status = await_status(&self.server, LONG, again).await;
        assert_eq!(status.restarts, status.epoch - 1, "{}", self.fault);
        self.works().await;
    }

    async fn works(&self) {
        let output = self.session.call("a.echo", json!({ "text": self.fault })).await.unwrap();
        assert_eq!(output.text(), self.fault);
    }

    /// Starts calls that the server does not answer, and waits until it has them.
    async fn hold(&self, count: usize) -> Vec<JoinHandle<Result<Output, CallError>>> {
        let calls = (0..count).map(|_| tokio::spawn(self.session.call("a.hold", ()))).collect();
        while self.session.call("a.held", ()).await.unwrap().text() != count.to_string() {}
        calls
    }

    async fn has_struck(&self) {
        let told = format!("fault: {}", self.fault);
        eventually(LONG, &told, || self.server.stderr_tail().contains(&told)).await;
    }

    /// Asserts that a lost link's reason is what this fault makes of it.
    fn explains(&self, reason: &DownReason) {
        let fits = match self.fault {
            "exit0" => reason.exit_code() == Some(0),
            "exit1" => reason.exit_code() == Some(1),
            "sigkill" => reason.signal() == Some(9),
            "close-stdout" => matches!(reason.kind(), DownCause::StreamEnded),
            "huge-line" => {
                matches!(reason.kind(), DownCause::FrameTooLarge { limit: MAX_FRAME })
            }
            _ => matches!(reason.kind(), DownCause::Restarted),
        };
        assert!(fits, "{}: {reason}", self.fault);
    }

    async fn lost(&self, call: JoinHandle<Result<Output, CallError>>) {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeSent, "{}: {error}", self.fault);
        match error {
            CallError::TransportDown { reason, epoch: 1, .. } => self.explains(&reason),
            other => panic!("{}: {other}", self.fault),
        }
    }

    /// Closes the session; no status of its whole life was a lie.
    async fn end(mut self) {
        self.session.close().await;
        let mut lost = 0;
        let mut last = None;
        let soon = Duration::from_millis(50);
        while let Ok(Some(event)) = tokio::time::timeout(soon, self.events.next()).await {
            let Event::Status { from, status, .. } = event else { continue };
            let to = status.phase;
            assert_eq!(last.unwrap_or(from), from, "{}: no phase is left out", self.fault);
            if to == Phase::Ready {
                assert_eq!(from, Phase::Starting, "{}", self.fault);
                assert!(status.epoch > lost, "{}: a lost link came back", self.fault);
            } else if from == Phase::Ready {
                lost = status.epoch;
            }
            assert_eq!(status.pid.is_some(), to == Phase::Ready, "{}", self.fault);
            last = Some(to);
        }
        assert_eq!(last, Some(Phase::Stopped), "{}", self.fault);
        assert_eq!(self.server.status().phase, Phase::Stopped);
    }
}

#[test]
fn faults_during_the_handshake_fail_the_start_and_are_tried_again() {
    row("handshake", |cell| async {
        if cell.fault == "garbage" {
            cell.ready().await;
            assert_eq!((cell.server.status().epoch, cell.server.skipped_lines()), (1, 1));
            cell.works().await;
            return cell;
        }
        let failed = |status: &callboard::Status| status.last_error.is_some();
        let status = await_status(&cell.server, LONG, failed).await;
        assert!(!status.is_ready(), "{}: {status:?}", cell.fault);
        match status.last_error.unwrap() {
            ServerError::Connect(error) => match &*error {
                ConnectError::Ended { stage: Stage::Handshake, reason } => cell.explains(reason),
                ConnectError::TimedOut { stage: Stage::Handshake, after, stderr_tail, .. } => {
                    assert_eq!((cell.fault, *after), ("hang", INIT_TIMEOUT));
                    assert!(stderr_tail.contains(&"fault: hang".to_owned()), "{stderr_tail:?}");
                }
                other => panic!("{}: {other}", cell.fault),
            },
            other => panic!("{}: {other}", cell.fault),
        }
        let error = cell.session.call("a.echo", ()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("unknown_tool", Delivery::NotSent));
        std::fs::remove_file(&cell.armed).unwrap();
        cell.comes_back().await;
        cell
    });
}

#[test]
fn faults_of_an_idle_server_are_noticed_without_a_call() {
    row("idle", |cell| async {
        cell.ready().await;
        world::signal(cell.server.status().pid.unwrap(), Signal::USR1);
        match cell.fault {
            "garbage" => {
                eventually(LONG, "garbage is counted", || cell.server.skipped_lines() == 1).await;
                cell.works().await;
                assert_eq!(cell.server.status().epoch, 1);
            }
            "hang" => {
                cell.has_struck().await;
                let call = cell.session.call("a.echo", ()).idle_timeout(Duration::from_millis(300));
                let error = call.await.unwrap_err();
                assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::MaybeSent));
                cell.server.restart();
                cell.comes_back().await;
            }
            _ => {
                cell.comes_back().await;
                match cell.server.status().last_error {
                    Some(ServerError::Down(reason)) => cell.explains(&reason),
                    other => panic!("{}: {other:?}", cell.fault),
                }
            }
        }
        cell
    });
}

#[test]
fn faults_with_calls_in_flight_fail_them_with_the_reason() {
    row("call", |cell| async {
        cell.ready().await;
        let mut calls = cell.hold(4).await;
        let fault = cell.session.call("a.fault", ());
        match cell.fault {
            "garbage" => {
                calls.push(tokio::spawn(fault));
                for call in calls {
                    assert_eq!(call.await.unwrap().unwrap().text(), "survived");
                }
                cell.works().await;
                assert_eq!((cell.server.status().epoch, cell.server.skipped_lines()), (1, 1));
                return cell;
            }
            "hang" => {
                let error = fault.idle_timeout(Duration::from_millis(300)).await.unwrap_err();
                assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::MaybeSent));
                cell.server.restart();
            }
            _ => calls.push(tokio::spawn(fault)),
        }
        for call in calls {
            cell.lost(call).await;
        }
        cell.comes_back().await;
        cell
    });
}

#[test]
fn faults_while_closing_do_not_hold_the_close() {
    row("closing", |cell| async {
        cell.ready().await;
        let calls = cell.hold(2).await;
        tokio::time::timeout(LONG, cell.session.close()).await.expect(cell.fault);
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::MaybeSent));
        }
        let error = cell.session.call("a.echo", ()).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::NotSent));
        let words = cell.server.stderr_tail();
        assert!(words.contains(&format!("fault: {}", cell.fault)), "{}: {words:?}", cell.fault);
        cell
    });
}
