//! A faulty declaration of a server behind a URL is refused before anything starts, and what is
//! secret in one is nowhere to be seen.

#[path = "support/capture.rs"]
mod capture;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/world.rs"]
mod world;

use std::{fmt::Write as _, time::Duration};

use callboard::{
    ConnectError, Event, HttpError, HttpSse, OpenError, Phase, Runtime, ServerError, ServerSpec,
    SpecError, Status, StreamableHttp, Transport,
};
use http_server::{HttpServer, Step, status, whole};
use remote::{LONG, ended, is_unharmed, open, quick, remote};
use world::{World, await_status};

const SECRET: &str = "s3cr3t-v4lue";

async fn faults(world: &World, transport: impl Into<Transport>) -> Vec<SpecError> {
    let spec = ServerSpec::new("a", transport);
    match world.runtime.session("s").server(spec).open().await {
        Ok(_) => Vec::new(),
        Err(OpenError::Spec(faults)) => faults,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_bad_url_is_refused() {
    world::run(async |world| {
        for url in [
            "",
            "example.com/mcp",
            "//example.com/mcp",
            "/mcp",
            "https://",
            "https://exa mple.com/",
            "https://example.com:99999/",
            "ftp://example.com/mcp",
            "file:///etc/passwd",
            "ws://127.0.0.1/",
            "unix:///run/x.sock",
            "https://user:s3cr3t-v4lue@example.com/mcp",
            "https://s3cr3t-v4lue@example.com/mcp",
        ] {
            for transport in
                [Transport::from(StreamableHttp::new(url)), Transport::from(HttpSse::new(url))]
            {
                let found = faults(&world, transport).await;
                let [SpecError::InvalidUrl { what: "url", server, .. }] = &found[..] else {
                    panic!("{url}: {found:?}")
                };
                assert_eq!(server, "a");
                assert!(!format!("{found:?} {}", found[0]).contains(SECRET), "{found:?}");
            }
        }
    });
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_allowed() {
    world::run(async |world| {
        for url in [
            "http://example.com/mcp",
            "http://10.0.0.1/mcp",
            "http://192.168.1.1:8080/",
            "http://0.0.0.0/",
            "http://[2001:db8::1]/",
            "http://localhost.example.com/",
            "http://notlocalhost/",
            "http://127.0.0.1.example.com/",
            "http://128.0.0.1/",
            "http://127.0.0.1@example.com/",
        ] {
            let found = faults(&world, StreamableHttp::new(url)).await;
            let [SpecError::InvalidUrl { reason, .. }] = &found[..] else {
                panic!("{url}: {found:?}")
            };
            assert!(!reason.is_empty(), "{url}");
            if !url.contains('@') {
                assert!(reason.contains("allow_plain_http"), "{url}: {reason}");
                let allowed = StreamableHttp::new("http://mcp.invalid/").allow_plain_http();
                assert_eq!(faults(&world, allowed).await, []);
            }
        }
        for url in
            ["http://127.0.0.1:1/", "http://127.9.9.9:1/", "http://localhost:1/", "http://[::1]:1/"]
        {
            assert_eq!(faults(&world, StreamableHttp::new(url)).await, [], "{url}");
        }
    });
}

#[test]
fn a_bad_header_is_refused_without_its_value() {
    world::run(async |world| {
        for name in [
            "",
            "a b",
            "a:b",
            "ä",
            "a\n",
            "Accept",
            "content-type",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Mcp-Session-Id",
            "MCP-Protocol-Version",
            "Mcp-Method",
            "Mcp-Name",
            "Mcp-Param-Region",
            "Last-Event-ID",
        ] {
            let http = StreamableHttp::new("https://example.com/").sensitive_header(name, SECRET);
            let found = faults(&world, http).await;
            let [SpecError::InvalidHeader { name: told, .. }] = &found[..] else {
                panic!("{name:?}: {found:?}")
            };
            assert_eq!(told, name);
            assert!(!format!("{found:?} {}", found[0]).contains(SECRET), "{found:?}");
        }
        for value in ["s3cr3t-v4lue\r\nX-Evil: 1", "s3cr3t-v4lue\0", "s3cr3t-v4lue\u{7f}"] {
            let http = StreamableHttp::new("https://example.com/").header("X-Fine", value);
            let found = faults(&world, http).await;
            assert!(matches!(found[..], [SpecError::InvalidHeader { .. }]), "{found:?}");
            assert!(!format!("{found:?} {}", found[0]).contains(SECRET), "{found:?}");
        }
    });
}

#[test]
fn all_faults_are_told_together_and_nothing_starts() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let bad = StreamableHttp::new("nowhere")
            .header("a b", "x")
            .header("Accept", "x")
            .connect_timeout(Duration::ZERO)
            .probe_every(Duration::ZERO)
            .proxy("no proxy");
        let specs = [remote(&server).required(), ServerSpec::new("b", bad)];
        let error = world.runtime.session("s").servers(specs).open().await.unwrap_err();
        let OpenError::Spec(faults) = &error else { panic!("{error:?}") };
        assert_eq!(faults.len(), 6, "{error}");
        assert_eq!(server.connections(), (0, 0));
    });
}

#[test]
fn certificates_that_are_none_are_told() {
    world::run(async |world| {
        let url = "https://127.0.0.1:1/mcp";
        let bad: [StreamableHttp; 4] = [
            StreamableHttp::new(url).root_certificate("no certificate"),
            StreamableHttp::new(url)
                .root_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            StreamableHttp::new(url).client_certificate("no certificate"),
            StreamableHttp::new(url).client_certificate(""),
        ];
        for http in bad {
            let spec = ServerSpec::new("a", http);
            let told = match world.runtime.session("s").server(spec).open().await {
                Err(error) => error.to_string(),
                Ok(session) => {
                    let handle = session.server("a").unwrap();
                    let failed = |status: &Status| status.phase == Phase::Failed;
                    let status = await_status(&handle, LONG, failed).await;
                    let Some(ServerError::Connect(error)) = &status.last_error else { panic!() };
                    let ConnectError::Http { error: cause, .. } = &**error else {
                        panic!("{error:?}")
                    };
                    assert!(matches!(**cause, HttpError::Settings { .. }), "{cause:?}");
                    error.to_string()
                }
            };
            assert!(!told.is_empty());
        }
    });
}

/// The cause why a server was given up at once.
async fn given_up(world: &World, spec: ServerSpec) -> HttpError {
    let session = world.open([spec]).await;
    let handle = session.server("a").unwrap();
    let status = await_status(&handle, LONG, |status| status.phase == Phase::Failed).await;
    assert_eq!(status.epoch, 1, "it is not tried again: {status:?}");
    let Some(ServerError::Connect(error)) = &status.last_error else { panic!("{status:?}") };
    let ConnectError::Http { error: cause, .. } = &**error else { panic!("{error:?}") };
    (**cause).clone()
}

#[test]
fn only_allowed_servers_are_spoken_to() {
    world::run(async |outer| {
        let (good, bad) = (HttpServer::modern(), HttpServer::modern());
        let allowed = [good.origin(), "https://example.com".to_owned()];
        let runtime = Runtime::builder().allowed_servers(allowed).start().await;
        let world = World::within(&outer, runtime.clone());
        is_unharmed(&open(&world, remote(&good)).await).await;
        let port = good.port();
        for url in [
            bad.url(),
            format!("http://localhost:{port}/mcp"),
            format!("https://127.0.0.1:{port}/mcp"),
            "https://example.com:8443/mcp".to_owned(),
            "https://example.com.evil.invalid/mcp".to_owned(),
            // Whoever looks this name up gets a failed lookup, and not this refusal.
            "https://mcp.invalid/mcp".to_owned(),
        ] {
            for transport in
                [Transport::from(StreamableHttp::new(&url)), Transport::from(HttpSse::new(&url))]
            {
                let cause = given_up(&world, quick("a", transport)).await;
                let HttpError::NotAllowed { origin } = &cause else { panic!("{url}: {cause:?}") };
                assert!(url.starts_with(origin.as_str()), "{origin}");
            }
        }
        assert_eq!(bad.connections(), (0, 0));
        runtime.shutdown().await;
        assert!(runtime.leak_report().is_empty());
    });
}

#[test]
fn nothing_is_allowed_where_nothing_is_listed() {
    world::run(async |outer| {
        let server = HttpServer::modern();
        let runtime = Runtime::builder().allowed_servers([""; 0]).start().await;
        let world = World::within(&outer, runtime.clone());
        let cause = given_up(&world, remote(&server)).await;
        assert!(matches!(cause, HttpError::NotAllowed { .. }), "{cause:?}");
        assert_eq!(server.connections(), (0, 0));
        runtime.shutdown().await;
    });
}

#[test]
fn declared_headers_are_sent_with_every_request() {
    world::run(async |world| {
        for server in [HttpServer::modern(), HttpServer::session(), HttpServer::sse()] {
            let http = StreamableHttp::new(server.url())
                .header("X-Tenant", "7")
                .header("X-Tenant", "8")
                .sensitive_header("Authorization", SECRET);
            let session = open(&world, quick("a", http)).await;
            is_unharmed(&session).await;
            session.close().await;
            for exchange in server.requests() {
                let request = &exchange.request;
                let tenants = request.headers.iter().filter(|(name, _)| name == "x-tenant");
                assert_eq!(tenants.count(), 2, "{request:#?}");
                assert_eq!(request.header("authorization"), Some(SECRET), "{request:#?}");
            }
        }
    });
}

#[test]
fn a_proxy_is_asked_for_everything() {
    world::run(async |world| {
        let proxy = HttpServer::modern();
        let http = StreamableHttp::new("http://mcp.invalid/mcp").allow_plain_http();
        let session = open(&world, quick("a", http.proxy(proxy.origin()))).await;
        is_unharmed(&session).await;
        let call = proxy.only("tools/call");
        assert_eq!(call.request.path, "http://mcp.invalid/mcp");
        assert_eq!(call.request.header("host"), Some("mcp.invalid"));
    });
}

#[test]
fn the_hosts_own_client_is_used() {
    world::run(async |world| {
        let server = HttpServer::modern();
        let client = reqwest::Client::builder().user_agent("the host's own").build().unwrap();
        let http = StreamableHttp::new(server.url()).client(client);
        let session = open(&world, quick("a", http)).await;
        is_unharmed(&session).await;
        let call = server.only("tools/call");
        assert_eq!(call.request.header("user-agent"), Some("the host's own"));
    });
}

/// Everything that a host could print of a life over HTTP with all kinds of faults in it.
async fn confessions(world: &World) -> String {
    let mut told = String::new();
    for mut server in [HttpServer::modern(), HttpServer::session(), HttpServer::sse()] {
        let url = format!("{}?key={SECRET}", server.url());
        let http = StreamableHttp::new(url)
            .sensitive_header("X-Api-Key", SECRET)
            .sensitive_header("Authorization", format!("Bearer {SECRET}"));
        let spec = quick("a", http);
        writeln!(told, "{spec:?}\n{spec:#?}").unwrap();
        let session = world.open([spec]).await;
        let handle = session.server("a").unwrap();
        let mut events = session.events();
        let faults: [fn() -> Vec<Step>; 5] = [
            || status(500),
            || whole(401, &[("WWW-Authenticate", "Bearer")], "no"),
            || http_server::redirect(307, "http://127.0.0.1:1/elsewhere"),
            || whole(200, &[("Content-Type", "text/html")], "<html>"),
            || vec![Step::Reset],
        ];
        for fault in faults {
            server.on("tools/call echo", move |_| fault());
            if let Err(error) = ended(session.call("a.echo", ())).await {
                writeln!(told, "{error} {error:?} {error:#?}").unwrap();
            }
            await_status(&handle, LONG, Status::is_ready).await;
        }
        server.kill();
        if let Err(error) = ended(session.call("a.echo", ())).await {
            writeln!(told, "{error} {error:?} {error:#?}").unwrap();
        }
        let lost = await_status(&handle, LONG, |status| !status.is_ready()).await;
        writeln!(told, "{lost:?} {handle:?} {session:?} {:?}", world.runtime).unwrap();
        let failed = |status: &Status| matches!(status.last_error, Some(ServerError::Connect(_)));
        let failed = await_status(&handle, LONG, failed).await;
        writeln!(told, "{failed:#?} {}", failed.last_error.as_ref().unwrap()).unwrap();
        session.close().await;
        while let Some(event) = events.next().await {
            if let Event::Status { status, .. } = event {
                writeln!(told, "{status:?}").unwrap();
            }
        }
    }
    told
}

#[test]
fn what_is_secret_is_nowhere() {
    world::run(async |world| {
        capture::begin();
        let told = confessions(&world).await;
        assert!(!told.contains(SECRET), "{told}");
        assert!(told.contains("127.0.0.1"), "nothing was told at all");
        // Every event and every span of everybody in this process, the HTTP client included.
        let traced = capture::captured(|all| format!("{all:?}"));
        let place = traced.find(SECRET);
        let around = place.map(|at| &traced[at.saturating_sub(500)..at + SECRET.len()]);
        assert_eq!(around, None);
        assert!(traced.contains("streamable_http") || traced.contains("tcp"), "nothing was traced");
    });
}
