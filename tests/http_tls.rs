//! Whom a server behind `https://` has to be, and whom it takes us for: against a real TLS server,
//! with certificates made for the test.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/packed.rs"]
mod packed;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{ConnectError, Delivery, HttpError, ServerError, Session, Status, StreamableHttp};
use http_server::{Dialect, HttpServer, answer, whole};
use packed::gzip;
use proxy::Proxy;
use relay::Relay;
use remote::{LONG, ended, hold, is_unharmed, open, quick, ready_after};
use serde_json::json;
use tls::{Authority, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use world::{World, await_status};

const HERE: &str = "127.0.0.1";

fn secure(server: &HttpServer) -> StreamableHttp {
    StreamableHttp::new(server.url().replace("http://", "https://"))
}

/// Why a server could not be connected to.
async fn refused(world: &World, http: StreamableHttp) -> (Session, Arc<HttpError>) {
    let session = world.open([quick("a", http)]).await;
    let handle = session.server("a").unwrap();
    let failed = |status: &Status| status.is_ready() || status.last_error.is_some();
    let failed = await_status(&handle, LONG, failed).await;
    let Some(ServerError::Connect(error)) = &failed.last_error else { panic!("{failed:?}") };
    let ConnectError::Http { error: cause, .. } = &**error else { panic!("{error:?}") };
    (session, Arc::clone(cause))
}

async fn is_untrusted(world: &World, server: &HttpServer, http: StreamableHttp) -> String {
    let (session, cause) = refused(world, http).await;
    let HttpError::Tls { origin, .. } = &*cause else { panic!("{cause:?}") };
    assert_eq!(origin.replace("https:", "http:"), server.origin());
    assert_eq!(server.requests().len(), 0, "nothing was sent");
    session.close().await;
    cause.to_string()
}

#[test]
fn a_trusted_root_is_enough() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        for dialect in [Dialect::Modern, Dialect::Session, Dialect::Sse] {
            let mut server = server(dialect, &authority.sign(HERE), None);
            let http = secure(&server).root_certificate(authority.pem.clone());
            let session = open(&world, quick("a", http)).await;
            is_unharmed(&session).await;
            let calls = hold(&session, &server, 5).await;
            server.kill();
            for call in calls {
                let error = ended(async { call.await.unwrap() }).await.unwrap_err();
                assert_eq!(error.kind(), "transport_down", "{error:?}");
            }
            let handle = session.server("a").unwrap();
            await_status(&handle, LONG, |status| !status.is_ready()).await;
            server.revive();
            await_status(&handle, LONG, ready_after(1)).await;
            session.call("a.echo", ()).await.unwrap();
        }
    });
}

#[test]
fn one_of_many_trusted_roots_is_enough() {
    world::run(async |world| {
        let (one, two, three) = (Authority::new("1"), Authority::new("2"), Authority::new("3"));
        let server = server(Dialect::Modern, &three.sign(HERE), None);
        let http = secure(&server).root_certificate(one.pem.clone());
        let session = open(&world, quick("a", http.root_certificate(two.pem + &three.pem))).await;
        is_unharmed(&session).await;
    });
}

#[test]
fn an_unknown_root_is_refused() {
    world::run(async |world| {
        let server = server(Dialect::Modern, &Authority::new("theirs").sign(HERE), None);
        let told = is_untrusted(&world, &server, secure(&server)).await;
        assert!(told.contains("root_certificate"), "{told}");
        let other = Authority::new("ours");
        is_untrusted(&world, &server, secure(&server).root_certificate(other.pem)).await;
    });
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        for name in ["mcp.example.com", "127.0.0.2", "localhost"] {
            let server = server(Dialect::Modern, &authority.sign(name), None);
            let http = secure(&server).root_certificate(authority.pem.clone());
            is_untrusted(&world, &server, http).await;
        }
        let server = server(Dialect::Modern, &authority.sign("localhost"), None);
        let url = format!("https://localhost:{}/mcp", server.port());
        let http = StreamableHttp::new(url).root_certificate(authority.pem.clone());
        is_unharmed(&open(&world, quick("a", http)).await).await;
    });
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        let server = server(Dialect::Modern, &authority.sign_expired(HERE), None);
        let http = secure(&server).root_certificate(authority.pem.clone());
        is_untrusted(&world, &server, http).await;
    });
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    world::run(async |world| {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let server = server(Dialect::Modern, &servers.sign(HERE), Some(&clients));
        let http = || secure(&server).root_certificate(servers.pem.clone());
        let ours = clients.sign("us.example");
        is_untrusted(&world, &server, http()).await;
        let stranger = Authority::new("strangers").sign("us.example");
        is_untrusted(&world, &server, http().client_certificate(stranger.pem)).await;
        let session = open(&world, quick("a", http().client_certificate(ours.pem))).await;
        is_unharmed(&session).await;
    });
}

/// The name is looked up by the proxy, and what is in the tunnel is for the server alone.
#[test]
fn a_proxy_opens_a_tunnel_and_sees_nothing_of_what_is_in_it() {
    world::run(async |world| {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        for dialect in [Dialect::Modern, Dialect::Session, Dialect::Sse] {
            let server = server(dialect, &servers.sign("mcp.invalid"), Some(&clients));
            let proxy = Proxy::to(Ok(server.port())).await;
            let path = server.url().replace(&server.origin(), "");
            let http = StreamableHttp::new(format!("https://mcp.invalid{path}"))
                .root_certificate(servers.pem.clone())
                .client_certificate(clients.sign("us.example").pem)
                .sensitive_header("X-Api-Key", "for-the-server-alone")
                .proxy(proxy.url("us:known"));
            let session = open(&world, quick("a", http)).await;
            let output = session.call("a.echo", json!({ "text": "between-us-two" })).await.unwrap();
            assert_eq!(output.text(), "between-us-two");
            let call = server.only("tools/call echo");
            assert_eq!(call.request.header("host"), Some("mcp.invalid"));
            assert_eq!(call.request.header("x-api-key"), Some("for-the-server-alone"));
            assert_eq!(call.request.header("proxy-authorization"), None);
            assert!(call.request.path.starts_with('/'), "{}", call.request.path);

            server.on("tools/call echo", |request| {
                let content = json!([{ "type": "text", "text": "x".repeat(10_000) }]);
                let result = json!({ "content": content, "resultType": "complete" });
                let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
                whole(200, &headers, gzip(answer(request, &result).to_string().as_bytes()))
            });
            if dialect != Dialect::Sse {
                let packed = session.call("a.echo", ()).await.unwrap();
                assert_eq!(packed.text(), "x".repeat(10_000));
            }
            session.close().await;

            let heads = proxy.heads();
            assert!(!heads.is_empty());
            for head in heads {
                let head = head.to_ascii_lowercase();
                assert!(head.starts_with("connect mcp.invalid:443 http/1.1\r\n"), "{head}");
                // "us:known", in base64.
                assert!(head.contains("proxy-authorization: basic dxm6a25vd24="), "{head}");
                assert!(!head.contains("mcp-") && !head.contains("api-key"), "{head}");
            }
            let through = proxy.through();
            assert!(through.len() > 1000, "it went through it");
            for word in ["between-us-two", "for-the-server-alone", "jsonrpc", "POST", "HTTP/1.1"] {
                let found = memchr::memmem::find(&through, word.as_bytes());
                assert!(found.is_none(), "{word} in clear text");
            }
            proxy.end().await;
        }
    });
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_told_from_a_server() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        let server = server(Dialect::Modern, &authority.sign("mcp.invalid"), None);
        for refusal in [
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        ] {
            let proxy = Proxy::to(Err(refusal)).await;
            let http = StreamableHttp::new("https://mcp.invalid/mcp")
                .root_certificate(authority.pem.clone())
                .proxy(proxy.url("us:unknown-there"));
            let (session, cause) = refused(&world, http).await;
            assert!(matches!(*cause, HttpError::Connect { .. }), "{cause:?}");
            let report = session.server("a").unwrap().report().unwrap();
            let why = report.cause.as_ref().map(|cause| cause.code);
            assert_eq!(why, Some("proxy_refused"), "{report}");
            let told = format!("{report} {cause} {cause:?}");
            assert!(!told.contains("unknown-there"), "{told}");
            assert!(server.requests().is_empty());
            session.close().await;
            proxy.end().await;
        }
    });
}

/// Settings that differ are clients that differ, also for one server in one runtime.
#[test]
fn trust_is_not_shared_between_servers_of_a_runtime() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        let server = server(Dialect::Modern, &authority.sign(HERE), None);
        let trusting = secure(&server).root_certificate(authority.pem.clone());
        let reckless = secure(&server).danger_accept_invalid_certificates();
        let specs =
            [("a", trusting), ("b", reckless), ("c", secure(&server))].map(|(n, h)| quick(n, h));
        let session = world.open(specs).await;
        let ready = |name| session.server(name).unwrap().status().is_ready();
        assert_eq!(["a", "b", "c"].map(ready), [true, true, false]);
    });
}

#[test]
fn without_verification_it_warns_at_every_start() {
    world::run(async |world| {
        capture::begin();
        let theirs = Authority::new("theirs").sign("mcp.example.com");
        let server = server(Dialect::Modern, &theirs, None);
        let http = secure(&server).danger_accept_invalid_certificates();
        let session = open(&world, quick("a", http)).await;
        is_unharmed(&session).await;
        let warnings = || {
            capture::captured(|all| {
                let about = |event: &&capture::Told| {
                    event.level == tracing::Level::WARN
                        && event.get("message").contains("certificate")
                };
                all.events.iter().filter(about).count()
            })
        };
        assert_eq!(warnings(), 1);
        session.server("a").unwrap().restart();
        await_status(&session.server("a").unwrap(), LONG, ready_after(1)).await;
        assert_eq!(warnings(), 2);
    });
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_from_one_that_is_not_there() {
    world::run(async |world| {
        let plain = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
        let url = format!("https://{}/mcp", plain.local_addr().unwrap());
        let answers = tokio::spawn(async move {
            loop {
                let (mut socket, _) = plain.accept().await.unwrap();
                // The client may be gone by then.
                drop(socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
                drop(socket.read_buf(&mut Vec::new()).await);
            }
        });
        let (session, cause) = refused(&world, StreamableHttp::new(url)).await;
        assert!(matches!(*cause, HttpError::Tls { .. }), "{cause:?}");
        session.close().await;
        answers.abort();
        drop(answers.await);
        // It accepts connections, and says nothing.
        let silent = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
        let url = format!("https://{}/mcp", silent.local_addr().unwrap());
        let http = StreamableHttp::new(url).connect_timeout(Duration::from_millis(300));
        let (_session, cause) = refused(&world, http).await;
        assert!(matches!(*cause, HttpError::Connect { .. }), "{cause:?}");
    });
}

/// What ends while its connection is only being opened has not been sent, whatever ends it.
#[test]
fn a_call_that_waits_for_a_connection_has_not_been_sent() {
    world::run(async |world| {
        let authority = Authority::new("ours");
        let server = server(Dialect::Modern, &authority.sign(HERE), None);
        let relay = Relay::to(server.port()).await;
        let http = StreamableHttp::new(relay.url("/mcp").replace("http://", "https://"))
            .root_certificate(authority.pem)
            .keep_alive(Duration::ZERO);
        let session = open(&world, quick("a", http)).await;
        session.call("a.echo", ()).await.unwrap();
        relay.hold();
        let limit = Duration::from_millis(200);
        let late = session.call("a.echo", ()).total_timeout(limit).await.unwrap_err();
        assert_eq!((late.kind(), late.delivery()), ("timed_out", Delivery::NotSent), "{late}");
        let mut lost = session.call("a.echo", ()).into_future();
        assert!(tokio::time::timeout(limit, &mut lost).await.is_err(), "it waits");
        let handle = session.server("a").unwrap();
        handle.restart();
        let lost = ended(lost).await.unwrap_err();
        assert_eq!((lost.kind(), lost.delivery()), ("transport_down", Delivery::NotSent), "{lost}");
        relay.release();
        await_status(&handle, LONG, ready_after(1)).await;
        session.call("a.echo", ()).await.unwrap();
        session.close().await;
        relay.end().await;
    });
}
