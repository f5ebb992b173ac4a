//! A redirect is followed within the origin only, and nothing of ours goes anywhere else.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use callboard::{ConnectError, Delivery, HttpError, HttpSse, Phase, ServerError, StreamableHttp};
use http_server::{HttpServer, redirect};
use remote::{LONG, each, ended, fails, is_unharmed, open, quick, remote};
use serde_json::json as object;
use world::await_status;

/// Safety: nothing of ours goes to where a redirect leads elsewhere.
#[test]
fn a_redirect_elsewhere_is_refused_and_gets_nothing() {
    world::run(async |world| {
        let other = HttpServer::modern();
        each(&world, async |server, session| {
            let (here, there) = (server.port(), other.port());
            for to in [
                other.url(),
                format!("//127.0.0.1:{there}/mcp"),
                format!("http://localhost:{here}/mcp"),
                format!("https://127.0.0.1:{here}/mcp"),
                format!("http://127.0.0.1:{here}@127.0.0.1:{there}/mcp"),
            ] {
                for code in [301, 302, 303] {
                    let location = to.clone();
                    let error = fails(server, session, move |_| redirect(code, &location)).await;
                    assert_eq!(error.kind(), "http_status", "{code} {to}: {error:?}");
                }
                for code in [307, 308] {
                    let location = to.clone();
                    let error = fails(server, session, move |_| redirect(code, &location)).await;
                    let cause = remote::http_error(&error);
                    assert!(
                        matches!(*cause, HttpError::Redirected { .. }),
                        "{code} {to}: {cause:?}"
                    );
                }
            }
        })
        .await;
        assert_eq!(other.connections(), (0, 0));
    });
}

/// A client of the host's own may follow it: whoever answers then is not who was declared, and the call
/// may have run there.
#[test]
fn an_answer_from_elsewhere_is_refused() {
    world::run(async |world| {
        let (server, other) = (HttpServer::modern(), HttpServer::modern());
        let http = StreamableHttp::new(server.url()).client(reqwest::Client::new());
        let session = open(&world, quick("a", http)).await;
        let (moved, location) = (other.url(), format!("{}?moved", server.url()));
        server.on_first(1, "tools/call echo", move |_| redirect(307, &location));
        ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap();
        server.on_first(1, "tools/call echo", move |_| redirect(307, &moved));
        let error = ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeSent, "{error:?}");
        let cause = remote::http_error(&error);
        let HttpError::Redirected { to, .. } = &*cause else { panic!("{cause:?}") };
        assert_eq!((to, other.count("tools/call echo")), (&other.origin(), 1));
        is_unharmed(&session).await;
    });
}

#[test]
fn a_redirect_on_the_same_origin_is_followed_with_everything() {
    world::run(async |world| {
        each(&world, async |server, session| {
            for code in [307, 308] {
                server.on_first(1, "tools/call echo", move |_| redirect(code, "/moved"));
                server.on_first(0, "tools/call echo", |_| Vec::new());
                let output = ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap();
                assert_eq!(output.text(), "x");
                let last = server.seen("tools/call echo").pop().unwrap();
                assert_eq!((last.request.verb.as_str(), &*last.request.path), ("POST", "/moved"));
            }
        })
        .await;
    });
}

#[test]
fn a_redirect_in_a_circle_ends() {
    world::run(async |world| {
        each(&world, async |server, session| {
            server.on("tools/call echo", |_| redirect(307, "/mcp"));
            let error = ended(session.call("a.echo", ())).await.unwrap_err();
            let cause = remote::http_error(&error);
            assert!(matches!(*cause, HttpError::Redirected { .. }), "{cause:?}");
            assert!(server.count("tools/call echo") < 30);
            for location in ["", "http://", "\u{1}", "/\u{e9}"] {
                server.on_first(1, "tools/call echo", move |_| redirect(307, location));
                drop(ended(session.call("a.echo", ())).await);
            }
        })
        .await;
    });
}

/// A POST that a redirect would turn into a GET is not sent as one.
#[test]
fn a_redirect_that_changes_the_request_is_not_followed() {
    world::run(async |world| {
        each(&world, async |server, session| {
            let before = server.count("GET");
            for code in [301, 302, 303] {
                let error = fails(server, session, move |_| redirect(code, "/moved")).await;
                assert_ne!(error.kind(), "timed_out", "{error:?}");
            }
            assert_eq!(server.count("GET"), before);
        })
        .await;
    });
}

/// The streams that the client opens itself lead nowhere else either.
#[test]
fn a_stream_that_is_redirected_elsewhere_gets_nothing() {
    world::run(async |world| {
        let other = HttpServer::sse();
        let server = HttpServer::session();
        let location = other.url();
        server.on("GET", move |_| redirect(302, &location));
        is_unharmed(&open(&world, remote(&server)).await).await;
        let legacy = HttpServer::sse();
        let location = other.url();
        legacy.on("GET", move |_| redirect(302, &location));
        let session = world.open([quick("a", HttpSse::new(legacy.url()))]).await;
        let handle = session.server("a").unwrap();
        let failed = await_status(&handle, LONG, |status| status.phase == Phase::Failed).await;
        let Some(ServerError::Connect(error)) = failed.last_error else { panic!() };
        let ConnectError::Http { error: cause, .. } = &*error else { panic!("{error:?}") };
        assert!(matches!(**cause, HttpError::Redirected { .. }), "{cause:?}");
        assert_eq!(other.connections(), (0, 0));
    });
}

/// A stream may move within its origin, and its endpoint is where it moved to.
#[test]
fn a_stream_that_moves_within_its_origin_is_followed() {
    world::run(async |world| {
        let server = HttpServer::sse();
        server.configure(|settings| settings.endpoint = "message?session={session}".to_owned());
        server.on_first(1, "GET", |_| redirect(302, "/sse?moved"));
        let session = open(&world, quick("a", HttpSse::new(server.url()))).await;
        is_unharmed(&session).await;
        assert_eq!(server.count("GET"), 2);
    });
}
