//! A list that changes is read again: once for many changes, never twice at the same time, and
//! never to the loss of what was known.

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CallError, CatalogFault, Event, Session};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

async fn lists(session: &Session) -> Value {
    let output = session.call("a.lists", ()).await.unwrap();
    serde_json::from_str(&output.text()).unwrap()
}

async fn until_listed(session: &Session, id: &str) {
    world::eventually(SOON, id, || session.tool(id).is_some()).await;
}

#[test]
fn a_tool_that_was_renamed_is_found_by_its_new_name_and_refused_by_its_old() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let session = world.open_one(world.hostile("list-changes").arg("--log").arg(&log)).await;
        let mut events = session.events();
        let (version, old) = (session.tools().version(), session.tool("a.rot_1").unwrap());
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        until_listed(&session, "a.rot_2").await;
        assert!(session.tools().version() > version);
        while !matches!(events.next().await.unwrap(), Event::Catalog { .. }) {}
        let error = session.call("a.rot_1", ()).await.unwrap_err();
        assert_eq!(error.kind(), "unknown_tool");
        // A handle of the old catalog still reaches the server, which does not know the name.
        let error = old.call(()).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected { code: -32602, .. }), "{error:?}");
        until_listed(&session, "a.rot_3").await;
        let lists = world::log(&log).iter().filter(|one| one["method"] == "tools/list").count();
        assert_eq!(lists, 3, "one at the start, one for each call that changed the list");
    });
}

#[test]
fn many_changes_are_one_refresh_and_refreshes_follow_each_other() {
    world::run(async |world| {
        let session = world.open_one(world.odd("growing")).await;
        assert_eq!(lists(&session).await["lists"], 1);
        // Fifty notifications make one refresh; one more that comes while it is under way makes
        // the next.
        session.call("a.grow", ()).await.unwrap();
        until_listed(&session, "a.grown_2").await;
        let version = session.tools().version();
        world::eventually(SOON, "the second refresh", || session.tools().version() > version).await;
        assert_eq!(lists(&session).await, json!({ "lists": 3, "overlaps": 0 }));
    });
}

/// C22: on a modern link the server is asked to tell of changes, and does.
#[test]
fn a_modern_server_is_listened_to() {
    world::run(async |world| {
        let session = world.open_one(world.odd("modern")).await;
        let listening = || {
            let log = world::log(&world.log_path());
            log.iter().any(|one| one["method"] == "subscriptions/listen")
        };
        world::eventually(SOON, "it is asked to tell", listening).await;
        for tool in ["a.grown_4", "a.grown_5"] {
            session.call("a.grow", json!({})).await.unwrap();
            until_listed(&session, tool).await;
        }
        let log = world::log(&world.log_path());
        let asked = log.iter().find(|one| one["method"] == "subscriptions/listen").unwrap();
        assert_eq!(asked["params"]["notifications"], json!({ "toolsListChanged": true }));
    });
}

/// C11: a server that was started again is asked again to tell of changes.
#[test]
fn a_modern_server_is_listened_to_again_after_a_restart() {
    world::run(async |world| {
        let session = world.open_one(world.odd("modern")).await;
        let server = session.server("a").unwrap();
        server.restart();
        world::await_status(&server, SOON, |status| status.is_ready() && status.epoch == 2).await;
        let listening = || {
            let log = world::log(&world.log_path());
            let second = log.iter().rposition(|one| one.get("start").is_some()).unwrap();
            log[second..].iter().any(|one| one["method"] == "subscriptions/listen")
        };
        world::eventually(SOON, "it is asked to tell again", listening).await;
        session.call("a.grow", json!({})).await.unwrap();
        until_listed(&session, "a.grown_4").await;
    });
}

#[test]
fn a_refresh_that_fails_is_reported_and_keeps_the_tools_that_were_known() {
    world::run(async |world| {
        let session = world.open_one(world.odd("refresh-fails")).await;
        session.call("a.echo", json!({ "text": "x" })).await.unwrap();
        let faulty = || !session.tools().faults().is_empty();
        world::eventually(SOON, "the failure is reported", faulty).await;
        let catalog = session.tools();
        let [CatalogFault::ListingFailed { reason, .. }] = catalog.faults() else {
            panic!("{:?}", catalog.faults())
        };
        assert!(reason.contains("the database is away"), "{reason}");
        let output = session.call("a.echo", json!({ "text": "still here" })).await.unwrap();
        assert_eq!(output.text(), "still here");
    });
}
