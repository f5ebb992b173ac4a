//! A person logs in once, and the tokens go on for as long as the server wants, against fastmcp's
//! in-memory authorization server: rotation, revocation, processes that share a store (checks 13 and
//! 19 of what went wrong elsewhere).

#[path = "support/capture.rs"]
mod capture;
#[path = "support/full.rs"]
mod full;
#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/world.rs"]
mod world;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use callboard::{
    Auth, AuthError, Backoff, FileTokenStore, Login, MemoryTokenStore, OAuth, Phase, RestartPolicy,
    Server, ServerError, ServerSpec, Session, StreamableHttp, TokenStore,
};
use full::Full;
use real_server::{RealServer, oauth};
use reqwest::{Client, header::LOCATION, redirect::Policy};
use serde_json::json;
use tokio::time::Instant;
use world::{World, await_status};

const LONG: Duration = Duration::from_secs(60);

/// The seconds that a token lives.
const LIFE: u32 = 3;

fn spec(url: &str, store: impl TokenStore) -> ServerSpec {
    let oauth = OAuth::new("callboard's tests").store(store);
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    let policy = RestartPolicy::on_failure().backoff(backoff);
    ServerSpec::new("a", StreamableHttp::new(url).auth(Auth::oauth(oauth))).restart(policy)
}

async fn opened(world: &World, server: &RealServer, store: impl TokenStore) -> (Session, Server) {
    let session = world.open([spec(&server.url("/mcp"), store)]).await;
    let server = session.server("a").unwrap();
    (session, server)
}

/// What a browser brings back from the URL of a login.
async fn browse(login: &Login) -> String {
    let browser = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    let page = browser.get(login.url()).send().await.unwrap();
    page.headers()[LOCATION].to_str().unwrap().to_owned()
}

async fn needs_login(server: &Server) {
    let status = await_status(server, LONG, |status| status.phase == Phase::AuthRequired).await;
    let error = status.last_error.unwrap().to_string();
    assert!(error.contains("Server::login"), "{error}");
}

async fn ready(server: &Server) {
    await_status(server, LONG, |status| status.is_ready()).await;
}

async fn log_in(server: &Server) {
    needs_login(server).await;
    let login = server.login().await.unwrap();
    login.finish(&browse(&login).await).await.unwrap();
    ready(server).await;
}

async fn add(session: &Session) -> String {
    session.call("a.add", json!({ "a": 2, "b": 3 })).await.unwrap().text()
}

/// Calls for this long, without a break; the number of calls.
async fn call_for(session: &Session, time: Duration) -> usize {
    let (begin, mut calls) = (Instant::now(), 0);
    while begin.elapsed() < time {
        assert_eq!(add(session).await, "5");
        calls += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    calls
}

#[test]
fn a_person_logs_in_once_and_the_tokens_renew_themselves() {
    world::run(async |world| {
        let server = oauth(&world, LIFE).await;
        let (session, handle) = opened(&world, &server, MemoryTokenStore::new()).await;
        assert!(matches!(handle.ready().await, Err(Some(ServerError::Connect(_)))));
        log_in(&handle).await;
        let calls = call_for(&session, Duration::from_secs(10)).await;
        let refreshed = server.told("refresh");
        // fastmcp counts in whole seconds, so that a token lives between two and three.
        assert!((3..=6).contains(&refreshed), "{refreshed} refreshes for {calls} calls");
        assert_eq!((server.told("login"), server.told("refused refresh")), (1, 0));
        assert_eq!(handle.status().epoch, 2, "one start without a token, and one with");
        session.close().await;
    });
}

#[test]
fn the_browser_comes_back_to_a_port_of_this_machine() {
    world::run(async |world| {
        let server = oauth(&world, 3600).await;
        let (session, handle) = opened(&world, &server, MemoryTokenStore::new()).await;
        needs_login(&handle).await;
        let login = Arc::new(handle.login().await.unwrap());
        let waiting = tokio::spawn({
            let login = Arc::clone(&login);
            async move { login.wait().await }
        });
        let back = browse(&login).await;
        let browser = Client::builder().no_proxy().build().unwrap();
        let icon = back.split("/callback").next().unwrap().to_owned() + "/favicon.ico";
        assert_eq!(browser.get(icon).send().await.unwrap().status(), 404);
        let forged = back.replace("state=", "state=x");
        assert_eq!(browser.get(forged).send().await.unwrap().status(), 400);
        let page = browser.get(&back).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("logged in"));
        waiting.await.unwrap().unwrap();
        ready(&handle).await;
        assert_eq!(add(&session).await, "5");
        session.close().await;
    });
}

#[test]
fn an_answer_to_another_login_is_refused_and_the_right_one_still_taken() {
    world::run(async |world| {
        let server = oauth(&world, 3600).await;
        let (session, handle) = opened(&world, &server, MemoryTokenStore::new()).await;
        needs_login(&handle).await;
        let login = handle.login().await.unwrap();
        let back = browse(&login).await;
        let evil = format!("{back}&iss=https%3A%2F%2Fevil.example&error_description=look+here");
        for wrong in [back.replace("state=", "state=x"), "nonsense".to_owned(), evil] {
            let error = login.finish(&wrong).await.unwrap_err();
            assert!(matches!(*error, AuthError::LoginFailed { .. }), "{error:?}");
            assert!(!error.to_string().contains("look here"), "{error}");
        }
        let denied = back.replace("code=", "error=access_denied&x=");
        let error = login.finish(&denied).await.unwrap_err().to_string();
        assert!(error.contains("access_denied"), "{error}");
        login.finish(&back).await.unwrap();
        ready(&handle).await;
        session.close().await;
    });
}

#[test]
fn a_server_without_a_login_says_so() {
    world::run(async |world| {
        let session = world.open_one(world.echo()).await;
        let error = session.server("a").unwrap().login().await.unwrap_err();
        assert!(matches!(*error, AuthError::NoLogin));
        session.close().await;
    });
}

/// The token that they were had for is spent by then.
#[test]
fn tokens_that_the_store_did_not_take_are_kept_later_and_not_lost() {
    world::run(async |world| {
        let server = oauth(&world, LIFE).await;
        let store = Full::default();
        let (session, handle) = opened(&world, &server, store.clone()).await;
        log_in(&handle).await;
        store.full.store(true, Ordering::SeqCst);
        let begin = Instant::now();
        // The renewal, and what it brought once more.
        while store.refused.load(Ordering::SeqCst) < 2 {
            if let Err(error) = session.call("a.add", json!({ "a": 2, "b": 3 })).await {
                assert!(!format!("{error:?}").contains("LoginRequired"), "{error:?}");
            }
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(server.told("refresh"), 1);
        let taken = store.taken.load(Ordering::SeqCst);
        store.full.store(false, Ordering::SeqCst);
        while store.taken.load(Ordering::SeqCst) == taken {
            // The token before may still be good.
            drop(session.call("a.add", json!({ "a": 2, "b": 3 })).await);
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(add(&session).await, "5");
        assert_eq!(server.told("refused refresh"), 0);
        // What the store has now is not spent either.
        session.close().await;
        let (session, handle) = opened(&world, &server, store).await;
        ready(&handle).await;
        call_for(&session, Duration::from_secs(u64::from(LIFE))).await;
        assert_eq!((server.told("login"), server.told("refused refresh")), (1, 0));
        session.close().await;
    });
}

/// Check 13, of a token that is rejected.
#[test]
fn revoked_tokens_are_tried_once_and_never_again_until_somebody_logs_in() {
    world::run(async |world| {
        let server = oauth(&world, 3600).await;
        let folder = world.folder().join("tokens");
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        log_in(&handle).await;
        drop(session.call("a.revoke", ()).await);
        let call = || tokio::spawn(session.call("a.add", json!({ "a": 2, "b": 3 })).into_future());
        let calls: Vec<_> = (0..100).map(|_| call()).collect();
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            let kinds = ["unauthorized", "transport_down", "not_ready"];
            assert!(kinds.contains(&error.kind()), "{error:?}");
        }
        needs_login(&handle).await;
        assert_eq!(server.told("refused refresh"), 1);
        // Neither a restart nor the next run of the program tries it again.
        handle.restart();
        await_status(&handle, LONG, |status| status.epoch > 2).await;
        needs_login(&handle).await;
        session.close().await;
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        needs_login(&handle).await;
        assert_eq!(server.told("refused refresh"), 1);
        log_in(&handle).await;
        assert_eq!(add(&session).await, "5");
        session.close().await;
    });
}

#[test]
fn the_next_run_of_the_program_needs_no_login_and_its_files_are_its_owners() {
    world::run(async |world| {
        let server = oauth(&world, LIFE).await;
        let folder = world.folder().join("tokens");
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        log_in(&handle).await;
        session.close().await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|path| path.extension().is_some_and(|end| end == "json")));
        for file in &files {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
        // Also when the token has ended in between.
        tokio::time::sleep(Duration::from_secs(u64::from(LIFE))).await;
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        ready(&handle).await;
        assert_eq!(add(&session).await, "5");
        assert_eq!(server.told("login"), 1);
        session.close().await;
    });
}

#[test]
fn a_login_in_another_program_is_found_in_the_store() {
    world::run(async |world| {
        let server = oauth(&world, 3600).await;
        let folder = world.folder().join("tokens");
        let (waiting, daemon) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        needs_login(&daemon).await;
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        log_in(&handle).await;
        session.close().await;
        daemon.restart();
        ready(&daemon).await;
        assert_eq!(add(&waiting).await, "5");
        assert_eq!(server.told("login"), 1);
        waiting.close().await;
    });
}

#[test]
fn no_token_and_no_code_is_in_a_trace_or_in_debug_output() {
    capture::begin();
    world::run(async |world| {
        let server = oauth(&world, LIFE).await;
        let folder = world.folder().join("tokens");
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        needs_login(&handle).await;
        let login = handle.login().await.unwrap();
        let back = browse(&login).await;
        login.finish(&back).await.unwrap();
        ready(&handle).await;
        let mut secrets = kept(&folder);
        let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        secrets.push(code);
        call_for(&session, Duration::from_secs(4)).await;
        secrets.extend(kept(&folder));
        let spec = spec(&server.url("/mcp"), FileTokenStore::new(&folder));
        let shown = format!("{session:?} {handle:?} {login:?} {spec:?} {:?}", handle.status());
        let traced = capture::captured(|all| format!("{all:?}"));
        assert!(traced.contains("status changed") && secrets.len() >= 5, "{secrets:?}");
        for secret in secrets {
            assert!(!shown.contains(&secret), "{secret} in {shown}");
            let at = traced.find(&secret);
            assert_eq!(at.map(|at| &traced[at.saturating_sub(200)..at]), None, "{secret}");
        }
        session.close().await;
    });
}

/// Every secret of a store.
fn kept(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter_map(|path| {
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).ok()
    });
    texts
        .flat_map(|record| {
            ["access_token", "refresh_token", "client_secret"]
                .map(|name| record[name].as_str().unwrap_or_default().to_owned())
        })
        .filter(|secret| !secret.is_empty())
        .collect()
}

/// Check 13, of two processes.
#[test]
fn processes_that_share_a_store_do_not_spend_a_token_twice() {
    const NAME: &str = "processes_that_share_a_store_do_not_spend_a_token_twice";
    if let Ok(url) = std::env::var("LOGIN_TEST_URL") {
        let store = PathBuf::from(std::env::var("LOGIN_TEST_STORE").unwrap());
        return world::run(async |world| {
            let session = world.open([spec(&url, FileTokenStore::new(&store))]).await;
            ready(&session.server("a").unwrap()).await;
            call_for(&session, Duration::from_secs(9)).await;
            assert_eq!(session.server("a").unwrap().status().epoch, 1);
            session.close().await;
        });
    }
    world::run(async |world| {
        let server = oauth(&world, LIFE).await;
        let folder = world.folder().join("tokens");
        let (session, handle) = opened(&world, &server, FileTokenStore::new(&folder)).await;
        log_in(&handle).await;
        session.close().await;
        let start = || {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([NAME, "--exact", "--nocapture"]);
            child.env("LOGIN_TEST_URL", server.url("/mcp")).env("LOGIN_TEST_STORE", &folder);
            child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            child.spawn().unwrap()
        };
        for child in [start(), start(), start()] {
            let ended = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&ended.stdout);
            let errors = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success() && text.contains("1 passed"), "{text}{errors}");
        }
        assert_eq!(server.told("refused refresh"), 0);
        assert_eq!(server.told("login"), 1);
        // As many as for one process, or one for each where they meet.
        let refreshed = server.told("refresh");
        assert!(refreshed <= 12, "{refreshed} refreshes");
    });
}
