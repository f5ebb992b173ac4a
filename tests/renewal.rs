//! What a token is asked for, and by whom: the resource that it is for (RFC 8707), and the secret of the
//! client.

#[path = "support/full.rs"]
mod full;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/token_server.rs"]
mod token_server;
#[path = "support/world.rs"]
mod world;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use callboard::{
    Auth, ClientCredentials, FileTokenStore, OAuth, Phase, Secret, Server, Session, StreamableHttp,
};
use full::Full;
use http_server::{HttpServer, Step, json, whole};
use remote::{LONG, quick};
use serde_json::json as object;
use token_server::{
    Asked, TokenServer, challenge, described, finish, log_in, metadata, renewable, token,
};
use world::{World, await_status};

/// Gives `login-1`, `login-2` and so on for logins, and for what each of them is renewed with one that
/// is called like it; all of them live so many seconds.
fn in_a_row(life: u64) -> impl Fn(&Asked) -> (u16, String) + Send + 'static {
    let logins = AtomicUsize::new(0);
    move |asked| {
        let name = match asked.field("refresh_token") {
            Some(spent) => spent.replace("renews-", "") + "-next",
            None => format!("login-{}", logins.fetch_add(1, Ordering::SeqCst) + 1),
        };
        let given = object!({ "access_token": name, "refresh_token": format!("renews-{name}"),
            "token_type": "Bearer", "expires_in": life });
        (200, given.to_string())
    }
}

/// Which tokens a server takes for calls; all of them at first.
#[derive(Clone)]
struct Taken(Arc<Mutex<Takes>>);

/// Whether it takes a token.
type Takes = Box<dyn Fn(&str) -> bool + Send>;

impl Taken {
    fn on(server: &HttpServer, challenge: String) -> Self {
        let taken = Self(Arc::new(Mutex::new(Box::new(|_| true))));
        let now = taken.clone();
        server.on("tools/call", move |request| {
            let shown = request.header("authorization").unwrap_or_default();
            let takes =
                shown.strip_prefix("Bearer ").is_some_and(|token| now.0.lock().unwrap()(token));
            if takes {
                vec![Step::Proper]
            } else {
                whole(401, &[("WWW-Authenticate", &challenge)], "")
            }
        });
        taken
    }

    fn only(&self, token: &'static str) {
        *self.0.lock().unwrap() = Box::new(move |shown| shown == token);
    }

    fn not(&self, token: String) {
        *self.0.lock().unwrap() = Box::new(move |shown| shown != token);
    }
}

/// A server that a person has logged in to, and its authorization server.
async fn logged_in(
    world: &World,
    (tokens, server): (&TokenServer, &HttpServer),
    person: OAuth,
) -> (Session, Server, Taken) {
    wants_tokens(server, &challenge(tokens));
    let taken = Taken::on(server, challenge(tokens));
    let (session, handle) = opened(world, server, Auth::oauth(person)).await;
    needs_login(&handle).await;
    log_in(&handle).await;
    ready(&handle).await;
    echo(&session).await;
    (session, handle, taken)
}

async fn echo(session: &Session) {
    let output = session.call("a.echo", object!({ "text": "x" })).await.unwrap();
    assert_eq!(output.text(), "x");
}

/// What was spent last to have a token renewed.
fn spent(tokens: &TokenServer) -> String {
    grants(tokens, "refresh_token").last().unwrap().field("refresh_token").unwrap()
}

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

#[test]
fn a_login_is_not_undone_by_tokens_that_the_store_did_not_take_before() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, _| (404, String::new()));
        let server = HttpServer::modern();
        described(&tokens, server.url(), &["S256"], in_a_row(3600));
        let store = Full::default();
        let person = OAuth::new("tests").client_id("me").store(store.clone());
        let (session, handle, taken) = logged_in(&world, (&tokens, &server), person).await;
        store.full.store(true, Ordering::SeqCst);
        taken.only("none");
        call_until(&session, || store.refused.load(Ordering::SeqCst) > 0).await;
        store.full.store(false, Ordering::SeqCst);
        log_in(&handle).await;
        taken.only("login-2");
        ready(&handle).await;
        echo(&session).await;
        taken.only("login-2-next");
        echo(&session).await;
        assert_eq!(spent(&tokens), "renews-login-2");
        session.close().await;
    });
}

#[test]
fn tokens_that_have_ended_before_the_store_took_them_are_renewed() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, _| (404, String::new()));
        let server = HttpServer::modern();
        described(&tokens, server.url(), &["S256"], in_a_row(2));
        let store = Full::default();
        let person = OAuth::new("tests").client_id("me").store(store.clone());
        let (session, handle, taken) = logged_in(&world, (&tokens, &server), person).await;
        store.full.store(true, Ordering::SeqCst);
        call_until(&session, || store.refused.load(Ordering::SeqCst) > 0).await;
        let late = spent(&tokens) + "-next";
        taken.not(late.replace("renews-", ""));
        let renewals = grants(&tokens, "refresh_token").len();
        // As long as they live.
        tokio::time::sleep(Duration::from_secs(2)).await;
        store.full.store(false, Ordering::SeqCst);
        call_until(&session, || grants(&tokens, "refresh_token").len() > renewals).await;
        assert_eq!(grants(&tokens, "refresh_token")[renewals].field("refresh_token"), Some(late));
        ready(&handle).await;
        assert_eq!(grants(&tokens, "authorization_code").len(), 1);
        session.close().await;
    });
}

/// Takes the client for who it is only by this secret.
fn knows(
    secret: &str,
    tokens: impl Fn(&Asked) -> (u16, String),
) -> impl Fn(&Asked) -> (u16, String) {
    let shown = format!("Basic {}", BASE64_STANDARD.encode(format!("me:{secret}")));
    move |asked| match &asked.authorization {
        Some(authorization) if *authorization == shown => tokens(asked),
        _ => (401, r#"{"error":"invalid_client"}"#.to_owned()),
    }
}

/// Everything in the files of a folder, but what is being replaced.
fn text_of(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap();
    files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect()
}

#[test]
fn the_secret_of_a_client_is_nowhere_kept_and_may_be_another_by_the_next_renewal() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, _| (404, String::new()));
        let server = HttpServer::modern();
        let (secret, store) = (world.folder().join("secret"), world.folder().join("tokens"));
        std::fs::write(&secret, "s3cret-one").unwrap();
        described(&tokens, server.url(), &["S256"], knows("s3cret-one", in_a_row(3600)));
        let person = OAuth::new("tests").client("me", Secret::file(&secret));
        let person = person.store(FileTokenStore::new(&store));
        let (session, handle, taken) = logged_in(&world, (&tokens, &server), person).await;
        let kept = text_of(&store);
        assert!(kept.contains("renews-login-1") && !kept.contains("s3cret"), "{kept}");
        // The authorization server is the first to have the new one.
        described(&tokens, server.url(), &["S256"], knows("s3cret-two", in_a_row(3600)));
        taken.only("login-1-next");
        let call = session.call("a.echo", object!({ "text": "x" })).await;
        let error = call.unwrap_err().to_string();
        assert!(error.contains("invalid_client"), "{error}");
        std::fs::write(&secret, "s3cret-two").unwrap();
        let renewed = || text_of(&store).contains("renews-login-1-next");
        call_until(&session, renewed).await;
        ready(&handle).await;
        echo(&session).await;
        assert_eq!(grants(&tokens, "authorization_code").len(), 1);
        let kept = text_of(&store);
        assert!(!kept.contains("s3cret"), "{kept}");
        session.close().await;
    });
}

#[test]
fn a_renewal_beside_a_login_leaves_it_alone() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, _| (404, String::new()));
        let server = HttpServer::modern();
        // A name that no other place but the description tells.
        let name = format!("{}/", server.origin());
        described(&tokens, name.clone(), &["S256"], in_a_row(2));
        let person = OAuth::new("tests").client_id("me");
        let (session, handle, _) = logged_in(&world, (&tokens, &server), person).await;
        let renewals = || grants(&tokens, "refresh_token").len();
        let login = handle.login().await.unwrap();
        let before = renewals();
        call_until(&session, || renewals() > before).await;
        finish(&login).await;
        let of_the_login = || spent(&tokens).starts_with("renews-login-2");
        call_until(&session, of_the_login).await;
        assert_eq!(resource(&grants(&tokens, "refresh_token")), name);
        session.close().await;
    });
}
