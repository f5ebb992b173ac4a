//! What the tests of servers over HTTP have in common.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

use std::{sync::Arc, time::Duration};

use callboard::{
    Backoff, CallError, DownCause, HttpError, Output, RestartPolicy, ServerSpec, Session, Status,
    StreamableHttp, Transport,
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    http_server::{HttpServer, Request, Step},
    world::{World, eventually},
};

pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) type Outcome = Result<Output, CallError>;

/// A server that is started again at once, and as often as it takes.
pub(crate) fn quick(name: &str, transport: impl Into<Transport>) -> ServerSpec {
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    let policy = RestartPolicy::on_failure().backoff(backoff).max_restarts(100_000, HOUR);
    ServerSpec::new(name, transport).restart(policy)
}

/// The server `a`, whose revision is found out.
pub(crate) fn remote(server: &HttpServer) -> ServerSpec {
    quick("a", StreamableHttp::new(server.url()))
}

/// The same, but nothing is tried more than a few times.
pub(crate) fn impatient(server: &HttpServer) -> ServerSpec {
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    remote(server).restart(RestartPolicy::on_failure().backoff(backoff).max_restarts(5, HOUR))
}

/// A session over one server, which has to become Ready at once.
pub(crate) async fn open(world: &World, spec: ServerSpec) -> Session {
    let session = world.open([spec]).await;
    let status = session.servers()[0].status();
    assert!(status.is_ready() && status.epoch == 1, "{status:?}");
    session
}

pub(crate) fn ready_in(epoch: u64) -> impl FnMut(&Status) -> bool {
    move |status| status.is_ready() && status.epoch == epoch
}

pub(crate) fn ready_after(epoch: u64) -> impl FnMut(&Status) -> bool {
    move |status| status.is_ready() && status.epoch > epoch
}

/// Asserts that nothing happened to the link of a server, and that it works.
pub(crate) async fn is_unharmed(session: &Session) {
    let output = session.call("a.counter", ()).await.unwrap();
    assert!(!output.text().is_empty());
    let status = session.server("a").unwrap().status();
    assert!(status.is_ready() && status.epoch == 1, "{status:?}");
}

/// Starts calls that the server holds, and waits until it has them.
pub(crate) async fn hold(
    session: &Session,
    server: &HttpServer,
    count: usize,
) -> Vec<JoinHandle<Outcome>> {
    let before = server.held();
    let calls = (0..count).map(|_| tokio::spawn(session.call("a.hold", ()))).collect();
    eventually(LONG, "it has the calls", || server.held() == before + count).await;
    calls
}

/// A call that has to end by itself.
pub(crate) async fn ended(call: impl IntoFuture<Output = Outcome>) -> Outcome {
    tokio::time::timeout(LONG, call.into_future()).await.expect("the call hangs")
}

/// What went wrong over HTTP, where a call failed of that.
pub(crate) fn http_error(error: &CallError) -> Arc<HttpError> {
    let CallError::TransportDown { reason, .. } = error else { panic!("{error:?}") };
    let DownCause::Http(cause) = reason.kind() else { panic!("{error:?}") };
    Arc::clone(cause)
}

/// The servers whose calls are answered on the POST itself, each with a session over it.
pub(crate) async fn each(world: &World, test: impl AsyncFn(&HttpServer, &Session)) {
    for server in [HttpServer::modern(), HttpServer::session()] {
        let session = open(world, remote(&server)).await;
        let others = hold(&session, &server, 3).await;
        test(&server, &session).await;
        server.release();
        for other in others {
            other.await.unwrap().expect("the other calls go on");
        }
        is_unharmed(&session).await;
        session.close().await;
    }
}

/// The error of a call of which this is made.
pub(crate) async fn fails(
    server: &HttpServer,
    session: &Session,
    plan: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
) -> CallError {
    server.on("tools/call echo", plan);
    let sent = server.count("tools/call echo");
    let error = ended(session.call("a.echo", json!({ "text": "x" }))).await.unwrap_err();
    assert_eq!(server.count("tools/call echo"), sent + 1, "it is sent once: {error:?}");
    error
}
