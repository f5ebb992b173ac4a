//! What a token is asked for, and by whom: the resource that it is for (RFC 8707), and the secret of the
//! client.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/token_server.rs"]
mod token_server;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Auth, ClientCredentials, OAuth, Phase, Secret, Server, Session, StreamableHttp};
use http_server::{HttpServer, Step, json, whole};
use remote::{LONG, quick};
use serde_json::json as object;
use token_server::{Asked, TokenServer, log_in, metadata, renewable, token};
use world::{World, await_status};

/// Requests for tokens of this kind.
fn grants(tokens: &TokenServer, kind: &str) -> Vec<Asked> {
    let mut asked = tokens.asked();
    asked.retain(|one| one.path == "/token" && one.field("grant_type").as_deref() == Some(kind));
    asked
}

fn resource(grants: &[Asked]) -> String {
    grants.last().unwrap().field("resource").unwrap()
}

/// Whoever shows no token is sent to the authorization server.
fn wants_tokens(server: &HttpServer, challenge: &str) {
    for what in ["initialize", "server/discover"] {
        let challenge = challenge.to_owned();
        server.on(what, move |request| match request.header("authorization") {
            Some(_) => vec![Step::Proper],
            None => whole(401, &[("WWW-Authenticate", &challenge)], ""),
        });
    }
}

/// A server that has a neighbour at its origin, whose description is at their well-known address, and
/// an authorization server that says of itself that it is the one of another.
fn led_astray(tokens: &TokenServer) -> HttpServer {
    let server = HttpServer::modern();
    wants_tokens(&server, "Bearer");
    let (origin, giver) = (server.origin(), tokens.origin());
    server.on("GET", move |request| match request.path.as_str() {
        "/.well-known/oauth-protected-resource" => {
            let neighbour = format!("{origin}/neighbour");
            json(200, &object!({ "resource": neighbour, "authorization_servers": [giver] }))
        }
        "/.well-known/oauth-authorization-server" => {
            let mut said = metadata(&origin, &giver, &["S256"]);
            said["resource"] = "https://bank.example/mcp".into();
            said["authorization_servers"] = object!([giver]);
            json(200, &said)
        }
        _ => json(404, &object!({})),
    });
    server
}

async fn opened(world: &World, server: &HttpServer, auth: Auth) -> (Session, Server) {
    let transport = StreamableHttp::new(server.url()).auth(auth);
    let session = world.open([quick("a", transport)]).await;
    let server = session.server("a").unwrap();
    (session, server)
}

async fn needs_login(server: &Server) {
    await_status(server, LONG, |status| status.phase == Phase::AuthRequired).await;
}

async fn ready(server: &Server) {
    await_status(server, LONG, |status| status.is_ready()).await;
}

/// Calls until something is so.
async fn call_until(session: &Session, so: impl Fn() -> bool) {
    let begin = tokio::time::Instant::now();
    while !so() {
        drop(session.call("a.echo", object!({ "text": "x" })).await);
        assert!(begin.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_token_is_asked_for_this_server_whatever_documents_about_others_say() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let server = led_astray(&tokens);
        let me = ClientCredentials::new("me", Secret::literal("cl1ent-secret"));
        let (session, handle) = opened(&world, &server, Auth::client_credentials(me)).await;
        ready(&handle).await;
        assert_eq!(resource(&grants(&tokens, "client_credentials")), server.url());
        session.close().await;
    });
}

#[test]
fn a_token_is_renewed_for_this_server_whatever_documents_about_others_say() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, asked| renewable(asked));
        let server = led_astray(&tokens);
        server.on("tools/call", |request| match request.header("authorization") {
            Some("Bearer second-token") => vec![Step::Proper],
            _ => whole(401, &[("WWW-Authenticate", "Bearer error=\"invalid_token\"")], ""),
        });
        let person = Auth::oauth(OAuth::new("tests").client_id("me"));
        let (session, handle) = opened(&world, &server, person).await;
        needs_login(&handle).await;
        log_in(&handle).await;
        ready(&handle).await;
        assert_eq!(resource(&grants(&tokens, "authorization_code")), server.url());
        call_until(&session, || !grants(&tokens, "refresh_token").is_empty()).await;
        assert_eq!(resource(&grants(&tokens, "refresh_token")), server.url());
        session.close().await;
    });
}
