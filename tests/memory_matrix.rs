//! What goes wrong × when, for a server in this process: as `fault_matrix.rs` for child processes and
//! `http_matrix.rs` for servers behind a URL. Its clock does not wait.
#![cfg(feature = "testing")]

#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{
    CallError, Delivery, DownCause, DownReason, Output, Phase, RestartPolicy, Server, ServerError,
    ServerSpec, Session, testing,
    testing::{Era, Fault, Faults},
};
use serde_json::json;
use tokio::{task::JoinHandle, time::timeout};
use world::{World, await_status};

const FAULTS: [Fault; 6] = [
    Fault::Exit(0),
    Fault::Exit(1),
    Fault::Signal(9),
    Fault::Disconnect,
    Fault::Hang,
    Fault::Garbage,
];
/// Of the test's clock; and of the real one, for a test that hangs.
const LONG: Duration = Duration::from_secs(600);
const HUNG: Duration = Duration::from_secs(60);

/// One cell of the matrix: a session of its own over one server, `a`.
struct Cell {
    fault: Fault,
    there: testing::Server,
    session: Session,
    server: Server,
}

/// Runs all cells of one row, each in both eras.
fn row(plan: fn(Fault) -> Option<Faults>, check: impl AsyncFn(&Cell) + Copy + Send + 'static) {
    world::run_on_one_thread(HUNG, async move |world| {
        tokio::time::pause();
        for fault in FAULTS {
            for era in [Era::Modern, Era::Legacy] {
                let cell = Cell::open(&world, fault, era, plan(fault)).await;
                let checked = timeout(LONG, check(&cell)).await;
                checked.unwrap_or_else(|_| panic!("{fault:?}, {era:?}: never ended"));
                timeout(LONG, cell.session.close()).await.expect("it closes");
                assert_eq!(cell.server.status().phase, Phase::Stopped);
                cell.there.stop().await;
            }
        }
        tokio::time::resume();
    });
}

impl Cell {
    async fn open(world: &Arc<World>, fault: Fault, era: Era, plan: Option<Faults>) -> Self {
        let there = testing::Server::speaking(era);
        there.tool("echo", |arguments| async move { Ok(arguments["text"].clone()) });
        there.tool("hold", |_| std::future::pending());
        if let Some(plan) = plan {
            there.faults(plan);
        }
        let spec = ServerSpec::new("a", there.transport());
        let spec = spec.restart(RestartPolicy::on_failure().max_restarts(50, LONG));
        let session = world.runtime.session("test").server(spec).open().await.unwrap();
        let server = session.server("a").unwrap();
        Self { fault, there, session, server }
    }

    async fn works(&self) {
        let call = self.session.call("a.echo", json!({ "text": "still" }));
        assert_eq!(call.await.unwrap().text(), "still", "{:?}", self.fault);
    }

    /// Waits until the server is Ready again, and calls it.
    async fn comes_back(&self) {
        self.there.fault(Fault::None);
        let again = |status: &callboard::Status| status.is_ready() && status.epoch == 2;
        await_status(&self.server, LONG, again).await;
        assert_eq!(self.server.status().restarts, 1);
        self.works().await;
    }

    /// Starts calls that the server does not answer, and waits until it has them.
    async fn hold(&self, count: usize) -> Vec<JoinHandle<Result<Output, CallError>>> {
        let calls = (0..count).map(|_| tokio::spawn(self.session.call("a.hold", ()))).collect();
        world::eventually(LONG, "it has them", || self.there.calls().len() == count).await;
        calls
    }

    /// Asserts that a lost link's reason is what this fault makes of it.
    fn explains(&self, reason: &DownReason) {
        let fits = match self.fault {
            Fault::Exit(code) => reason.exit_code() == Some(code),
            Fault::Signal(signal) => reason.signal() == Some(signal),
            Fault::Disconnect => matches!(reason.kind(), DownCause::StreamEnded),
            _ => matches!(reason.kind(), DownCause::Restarted),
        };
        assert!(fits, "{:?}: {reason}", self.fault);
    }

    fn lost(&self, error: CallError) {
        assert_eq!(error.delivery(), Delivery::MaybeSent, "{:?}: {error}", self.fault);
        match error {
            CallError::TransportDown { reason, epoch: 1, .. } => self.explains(&reason),
            other => panic!("{:?}: {other}", self.fault),
        }
    }
}

#[test]
fn faults_during_the_handshake_are_tried_again() {
    // The first request of all meets it, and no other.
    let plan = |fault| Some(Faults::seed(1).everywhere().after(0, fault));
    row(plan, async |cell| {
        timeout(LONG, cell.server.ready()).await.expect("it is tried again").unwrap();
        let status = cell.server.status();
        let ends = !matches!(cell.fault, Fault::Hang | Fault::Garbage);
        assert!(!ends || (status.epoch, status.restarts) == (2, 1), "{:?}: {status:?}", cell.fault);
        cell.works().await;
    });
}

/// A server in memory does nothing unasked: idle, it can only go away.
#[test]
fn a_server_that_goes_away_while_it_is_idle_is_noticed_without_a_call() {
    row(
        |_| None,
        async |cell| {
            cell.server.ready().await.unwrap();
            cell.there.stop().await;
            await_status(&cell.server, LONG, |status| !status.is_ready()).await;
            let error = cell.session.call("a.echo", ()).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("not_ready", Delivery::NotSent));
            cell.there.start();
            await_status(&cell.server, LONG, |status| status.is_ready() && status.epoch > 1).await;
            cell.works().await;
        },
    );
}

#[test]
fn faults_with_calls_in_flight_fail_them_with_the_reason() {
    row(
        |_| None,
        async |cell| {
            cell.server.ready().await.unwrap();
            let held = cell.hold(4).await;
            cell.there.fault(cell.fault);
            let call = cell.session.call("a.echo", ()).idle_timeout(Duration::from_secs(3));
            let error = call.await.unwrap_err();
            match cell.fault {
                Fault::Hang | Fault::Garbage => {
                    assert_eq!(
                        (error.kind(), error.delivery()),
                        ("timed_out", Delivery::MaybeSent)
                    );
                    assert_eq!(cell.server.skipped_lines() > 0, cell.fault == Fault::Garbage);
                    cell.there.fault(Fault::None);
                    cell.works().await;
                    assert_eq!(cell.server.status().epoch, 1);
                    cell.server.restart();
                }
                _ => cell.lost(error),
            }
            for call in held {
                cell.lost(call.await.unwrap().unwrap_err());
            }
            cell.comes_back().await;
            let lost = cell.server.status().last_error;
            let Some(ServerError::Down(reason)) = lost else {
                panic!("{:?}: {lost:?}", cell.fault)
            };
            cell.explains(&reason);
        },
    );
}

#[test]
fn faults_while_closing_do_not_hold_the_close() {
    row(
        |_| None,
        async |cell| {
            cell.server.ready().await.unwrap();
            let held = cell.hold(2).await;
            cell.there.fault(cell.fault);
            let last = tokio::spawn(cell.session.call("a.echo", ()));
            timeout(LONG, cell.session.close()).await.expect("it closes");
            for call in held {
                let error = call.await.unwrap().unwrap_err();
                assert_eq!(
                    (error.kind(), error.delivery()),
                    ("session_closed", Delivery::MaybeSent)
                );
            }
            assert!(last.await.unwrap().is_err());
            let error = cell.session.call("a.echo", ()).await.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("session_closed", Delivery::NotSent));
        },
    );
}
