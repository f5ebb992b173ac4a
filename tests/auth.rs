//! Tokens that nobody logs in for: had, shown, renewed once for all, and never done without (CK-21,
//! TX-27; check 13 of what went wrong elsewhere).

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/remote.rs"]
mod remote;
#[path = "support/token_server.rs"]
mod token_server;
#[path = "support/world.rs"]
mod world;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use callboard::{
    Auth, AuthError, CallError, ClientCredentials, ConnectError, EnterpriseManaged, HttpError,
    JwtBearer, OAuth, Phase, Secret, ServerError, ServerSpec, StreamableHttp,
};
use http_server::{HttpServer, Request, Step, json, whole};
use remote::{LONG, ended, open, quick};
use serde_json::json as object;
use token_server::{TokenServer, challenge, described, log_in, renewable, token};
use world::await_status;

const SECRET: &str = "cl1ent/secret+";

fn credentials(tokens: &TokenServer) -> ClientCredentials {
    ClientCredentials::new("me", Secret::literal(SECRET)).token_url(tokens.url())
}

fn spec(server: &HttpServer, credentials: ClientCredentials) -> ServerSpec {
    quick("a", StreamableHttp::new(server.url()).auth(Auth::client_credentials(credentials)))
}

fn unauthorized() -> Vec<Step> {
    whole(401, &[("WWW-Authenticate", "Bearer error=\"invalid_token\"")], "")
}

fn shows(request: &Request, token: &str) -> bool {
    request.header("authorization") == Some(&format!("Bearer {token}"))
}

/// Check 13, of many calls.
#[test]
fn a_hundred_refused_calls_cost_one_token() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let server = HttpServer::session();
        let session = open(&world, spec(&server, credentials(&tokens))).await;
        assert_eq!(tokens.count(), 1);
        server.on("tools/call", |request| {
            if shows(request, "token-0002") { vec![Step::Proper] } else { unauthorized() }
        });
        let call = || tokio::spawn(ended(session.call("a.echo", object!({ "text": "x" }))));
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().text(), "x");
        }
        assert_eq!(tokens.count(), 2);
        assert_eq!(session.server("a").unwrap().status().epoch, 1);
        session.close().await;
    });
}

#[test]
fn a_short_token_is_renewed_before_it_ends_and_not_before_every_request() {
    world::run(async |world| {
        let given = Arc::new(Mutex::new(Vec::<SystemTime>::new()));
        let clock = Arc::clone(&given);
        let tokens = TokenServer::start(move |n, _| {
            clock.lock().unwrap().push(SystemTime::now());
            token(&format!("token-{n:04}"), 2)
        });
        let server = HttpServer::session();
        let times = Arc::clone(&given);
        server.on("tools/call", move |request| {
            let shown = request.header("authorization").and_then(|text| text.rsplit('-').next());
            let number: usize = shown.and_then(|number| number.parse().ok()).unwrap_or_default();
            let born = times.lock().unwrap().get(number.wrapping_sub(1)).copied();
            let fresh = born.is_some_and(|at| at.elapsed().unwrap() < Duration::from_secs(2));
            if fresh { vec![Step::Proper] } else { unauthorized() }
        });
        let begin = tokio::time::Instant::now();
        let session = open(&world, spec(&server, credentials(&tokens))).await;
        while tokens.count() < 4 {
            ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap();
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let calls = server.seen("tools/call");
        assert!(calls.len() > 10, "{} calls", calls.len());
        // Three renewals took at least three times half of a life.
        assert!(begin.elapsed() >= Duration::from_millis(2900), "{:?}", begin.elapsed());
        session.close().await;
    });
}

#[test]
fn nothing_is_sent_without_authorization_because_a_renewal_failed() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 1));
        let server = HttpServer::session();
        let session = open(&world, spec(&server, credentials(&tokens))).await;
        tokens.plan(|_, _| (503, String::new()));
        let begin = tokio::time::Instant::now();
        let error = loop {
            match ended(session.call("a.echo", object!({ "text": "x" }))).await {
                Ok(_) => assert!(begin.elapsed() < LONG),
                Err(error) => break error,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let CallError::Unauthorized { error: cause, .. } = &error else { panic!("{error:?}") };
        let HttpError::Unauthorized { error, .. } = &**cause else { panic!("{cause:?}") };
        assert!(matches!(&**error, AuthError::Unavailable { .. }), "{error:?}");
        for exchange in server.requests() {
            assert!(exchange.request.header("authorization").is_some(), "{exchange:?}");
        }
        // It goes on by itself once there are tokens again.
        tokens.plan(|n, _| token(&format!("token-{n:04}"), 3600));
        let begin = tokio::time::Instant::now();
        while session.call("a.echo", object!({ "text": "x" })).await.is_err() {
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        session.close().await;
    });
}

#[test]
fn a_storm_while_the_authorization_server_is_down_is_one_request() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let server = HttpServer::session();
        let session = open(&world, spec(&server, credentials(&tokens))).await;
        server.on("tools/call", |_| unauthorized());
        tokens.plan(|_, _| (503, String::new()));
        let call = || tokio::spawn(ended(session.call("a.echo", object!({ "text": "x" }))));
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().kind(), "unauthorized");
        }
        // One and, on a machine that takes its time, one more for each second.
        assert!(tokens.count() < 12, "{}", tokens.count());
        session.close().await;
    });
}

#[test]
fn missing_scopes_are_asked_for_once() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let server = HttpServer::session();
        let session = open(&world, spec(&server, credentials(&tokens).scopes(["read"]))).await;
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"read write\"";
        server.on("tools/call", move |request| {
            let enough = shows(request, "token-0002");
            if enough {
                vec![Step::Proper]
            } else {
                whole(403, &[("WWW-Authenticate", challenge)], "")
            }
        });
        let call = || tokio::spawn(ended(session.call("a.echo", object!({ "text": "x" }))));
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().text(), "x");
        }
        let asked = tokens.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[0].form.contains("scope=read&") || asked[0].form.ends_with("scope=read"));
        assert!(asked[1].form.contains("scope=read+write"), "{}", asked[1].form);
        // A server that is never content gets no third.
        server.on("tools/call", move |_| whole(403, &[("WWW-Authenticate", challenge)], ""));
        let error = session.call("a.echo", object!({ "text": "x" })).await.unwrap_err();
        assert_eq!(error.kind(), "http_status");
        assert_eq!(tokens.count(), 2);
        session.close().await;
    });
}

#[test]
fn the_client_shows_its_secret_in_a_header_in_the_body_or_not_at_all() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let key =
            ClientCredentials::private_key("me", Secret::literal(key)).token_url(tokens.url());
        for credentials in [
            credentials(&tokens),
            credentials(&tokens).secret_in_body(),
            key.audience("https://as"),
        ] {
            let server = HttpServer::modern();
            open(&world, spec(&server, credentials)).await.close().await;
        }
        let [header, body, signed] = &tokens.asked()[..] else { panic!("{:?}", tokens.asked()) };
        // "me:cl1ent%2Fsecret%2B"
        let basic = "Basic bWU6Y2wxZW50JTJGc2VjcmV0JTJC";
        assert_eq!(header.authorization.as_deref(), Some(basic));
        assert!(!header.form.contains("secret="), "{}", header.form);
        assert_eq!(body.authorization, None);
        assert!(
            body.form.contains("client_id=me&client_secret=cl1ent%2Fsecret%2B"),
            "{}",
            body.form
        );
        assert!(signed.form.contains("client_assertion=eyJ") && signed.authorization.is_none());
        for asked in tokens.asked() {
            assert!(asked.form.contains("grant_type=client_credentials"));
            assert!(asked.form.contains("resource=http%3A%2F%2F127.0.0.1"), "{}", asked.form);
        }
    });
}

#[test]
fn a_refused_client_is_a_typed_error_and_not_tried_again() {
    world::run(async |world| {
        let refusal = r#"{"error":"invalid_client","error_description":"no cl1ent/secret+ here"}"#;
        let tokens = TokenServer::start(move |_, _| (401, refusal.to_owned()));
        let server = HttpServer::session();
        let session = world.open([spec(&server, credentials(&tokens))]).await;
        let handle = session.server("a").unwrap();
        let status = await_status(&handle, LONG, |status| status.phase == Phase::Failed).await;
        let error = status.last_error.unwrap();
        let ServerError::Connect(connect) = &error else { panic!("{error:?}") };
        let ConnectError::Http { error: http, .. } = &**connect else { panic!("{connect:?}") };
        let HttpError::Unauthorized { error, .. } = &**http else { panic!("{http:?}") };
        let AuthError::Refused { code, description, .. } = &**error else { panic!("{error:?}") };
        assert_eq!((code.as_str(), description.as_str()), ("invalid_client", "no [redacted] here"));
        assert_eq!(tokens.count(), 1);
        assert!(server.requests().is_empty(), "nothing is sent without a token");
        session.close().await;
    });
}

#[test]
fn an_authorization_server_that_does_not_promise_pkce_is_refused() {
    world::run(async |world| {
        let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
        let server = HttpServer::session();
        described(&tokens, server.url(), &[], |_| (404, "{}".to_owned()));
        let challenge = challenge(&tokens);
        for what in ["initialize", "server/discover"] {
            let challenge = challenge.clone();
            server.on(what, move |_| whole(401, &[("WWW-Authenticate", &challenge)], ""));
        }
        let person = Auth::oauth(OAuth::new("tests"));
        let transport = StreamableHttp::new(server.url()).auth(person);
        let session = world.open([quick("a", transport)]).await;
        let handle = session.server("a").unwrap();
        await_status(&handle, LONG, |status| status.phase == Phase::AuthRequired).await;
        let error = handle.login().await.unwrap_err();
        let unusable = matches!(&*error, AuthError::Unusable { detail } if detail.contains("PKCE"));
        assert!(unusable, "{error}");
        assert!(tokens.asked().iter().all(|asked| asked.path.starts_with("/.well-known/")));
        session.close().await;
    });
}

#[test]
fn an_identity_provider_that_is_down_is_asked_again_and_one_that_refuses_is_not() {
    world::run(async |world| {
        for (status, body, wanted) in [
            (503, "<html>", Phase::BackingOff),
            (200, "<html>", Phase::BackingOff),
            (400, r#"{"error":"temporarily_unavailable"}"#, Phase::BackingOff),
            (400, r#"{"error":"invalid_grant"}"#, Phase::Failed),
            (401, r#"{"error":"invalid_client"}"#, Phase::Failed),
        ] {
            let tokens = TokenServer::start(|n, _| token(&format!("token-{n:04}"), 3600));
            let provider = TokenServer::start(move |_, _| (status, body.to_owned()));
            let server = HttpServer::session();
            described(&tokens, server.url(), &["S256"], |_| (404, "{}".to_owned()));
            let challenge = challenge(&tokens);
            for what in ["initialize", "server/discover"] {
                let challenge = challenge.clone();
                server.on(what, move |_| whole(401, &[("WWW-Authenticate", &challenge)], ""));
            }
            let (issuer, url) = (provider.origin(), provider.url());
            let user = Secret::literal("id-token-of-a-user");
            let auth = Auth::enterprise_managed(EnterpriseManaged::new(issuer, url, "me", user));
            let transport = StreamableHttp::new(server.url()).auth(auth);
            let session = world.open([quick("a", transport)]).await;
            let handle = session.server("a").unwrap();
            let settled = [Phase::BackingOff, Phase::Failed];
            let seen = await_status(&handle, LONG, |one| settled.contains(&one.phase)).await;
            assert_eq!(seen.phase, wanted, "{status} {body}: {:?}", seen.last_error);
            assert!(provider.count() > 0);
            if wanted == Phase::BackingOff {
                let again = || provider.count() > 1;
                world::eventually(LONG, "the provider is asked again", again).await;
            }
            session.close().await;
        }
    });
}

#[test]
fn a_server_that_says_nothing_about_its_authorization_is_not_guessed_at() {
    world::run(async |world| {
        let server = HttpServer::session();
        let elsewhere = "Bearer resource_metadata=\"/.well-known/oauth-protected-resource\"";
        for what in ["initialize", "server/discover"] {
            server.on(what, move |_| whole(401, &[("WWW-Authenticate", elsewhere)], ""));
        }
        server.on("GET", |_| json(404, &object!({})));
        let bearer = JwtBearer::new(Secret::literal("assertion-12345"));
        let transport = StreamableHttp::new(server.url()).auth(Auth::jwt_bearer(bearer));
        let session = world.open([quick("a", transport)]).await;
        let status = session.server("a").unwrap().status();
        assert_eq!(status.phase, Phase::Failed, "{status:?}");
        assert!(status.last_error.unwrap().to_string().contains("cannot be used"));
        assert!(server.requests().iter().all(|one| one.request.path != "/token"));
        session.close().await;
    });
}

/// What stands in the way for a while, and is no word of the authorization server about the token.
#[test]
fn only_a_refusal_that_means_it_ends_a_token_that_renews() {
    world::run(async |world| {
        let tokens = TokenServer::start(|_, _| (404, String::new()));
        let server = HttpServer::session();
        described(&tokens, server.url(), &["S256"], renewable);
        for what in ["initialize", "server/discover"] {
            let challenge = challenge(&tokens);
            server.on(what, move |request| match request.header("authorization") {
                Some(_) => vec![Step::Proper],
                None => whole(401, &[("WWW-Authenticate", &challenge)], ""),
            });
        }
        server.on("tools/call", |request| {
            if shows(request, "second-token") { vec![Step::Proper] } else { unauthorized() }
        });
        let person = Auth::oauth(OAuth::new("tests").client_id("me"));
        let transport = StreamableHttp::new(server.url()).auth(person);
        let session = world.open([quick("a", transport)]).await;
        let handle = session.server("a").unwrap();
        await_status(&handle, LONG, |status| status.phase == Phase::AuthRequired).await;
        log_in(&handle).await;
        await_status(&handle, LONG, |status| status.is_ready()).await;
        let portal = "<html>Accept the terms of this hotel</html>";
        let busy = r#"{"error":"temporarily_unavailable","error_description":"renew-it later"}"#;
        let rejection = r#"{"error":"invalid_grant"}"#;
        for (status, body) in
            [(200, portal), (403, portal), (404, "{}"), (408, rejection), (400, busy)]
        {
            described(&tokens, server.url(), &["S256"], move |_| (status, body.to_owned()));
            let (before, begin) = (tokens.count(), tokio::time::Instant::now());
            while tokens.count() == before {
                let error =
                    ended(session.call("a.echo", object!({ "text": "x" }))).await.unwrap_err();
                let CallError::Unauthorized { error: cause, .. } = &error else {
                    panic!("{status}: {error:?}")
                };
                let HttpError::Unauthorized { error, .. } = &**cause else { panic!("{cause:?}") };
                assert!(matches!(&**error, AuthError::Unavailable { .. }), "{status}: {error:?}");
                assert!(!error.to_string().contains("renew-it"), "{error}");
                assert!(begin.elapsed() < LONG);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        described(&tokens, server.url(), &["S256"], renewable);
        let begin = tokio::time::Instant::now();
        while session.call("a.echo", object!({ "text": "x" })).await.is_err() {
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        session.close().await;
    });
}
