//! TX-18 to TX-21, C22: changes as one stream, over both eras and every reconnect.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use both::{SOON, await_got, got, open};
use callboard::{Change, Changes, Session, Topics};
use person::Person;
use serde_json::json;
use tokio::time::timeout;
use world::World;

async fn next(changes: &mut Changes) -> Change {
    timeout(SOON, changes.next()).await.expect("a change").expect("no end")
}

fn topics() -> Topics {
    Topics::new().resource("note://a").resource_list().prompt_list()
}

async fn subscribed(world: &World, era: &str, topics: Topics) -> (Session, Changes) {
    let session = open(world, era, &Person::new()).await;
    let changes = session.server("a").unwrap().subscribe(topics);
    let method = if era == "modern" { "subscriptions/listen" } else { "resources/subscribe" };
    await_got(world, method, 1).await;
    (session, changes)
}

/// What was subscribed to comes, and nothing else.
async fn told(session: &Session, changes: &mut Changes) {
    session.call("a.touch", json!({})).await.unwrap();
    session.call("a.lists", json!({})).await.unwrap();
    match next(changes).await {
        Change::ResourceUpdated { uri, .. } => assert_eq!(uri, "note://a"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(changes).await, Change::ResourceList));
    assert!(matches!(next(changes).await, Change::PromptList));
}

#[test]
fn changes_come_over_both_eras() {
    world::run(async |world| {
        for era in ["legacy", "modern"] {
            let (session, mut changes) = subscribed(&world, era, topics()).await;
            told(&session, &mut changes).await;
            session.close().await;
            assert!(
                timeout(SOON, changes.next()).await.unwrap().is_none(),
                "it ends with its session"
            );
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

#[test]
fn a_new_link_is_subscribed_and_says_that_changes_may_be_missing() {
    world::run(async |world| {
        for (era, method) in [("legacy", "resources/subscribe"), ("modern", "subscriptions/listen")]
        {
            let (session, mut changes) = subscribed(&world, era, topics()).await;
            session.call("a.exit", json!({})).await.unwrap_err();
            match next(&mut changes).await {
                Change::Resumed { epoch } => assert_eq!(epoch, 2),
                other => panic!("{other:?}"),
            }
            await_got(&world, method, 2).await;
            session.server("a").unwrap().ready().await.unwrap();
            told(&session, &mut changes).await;
            session.close().await;
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

#[test]
fn a_subscription_that_a_server_ends_is_made_again() {
    world::run(async |world| {
        let (session, mut changes) = subscribed(&world, "modern", topics()).await;
        session.call("a.drop", json!({})).await.unwrap();
        match next(&mut changes).await {
            Change::Resumed { epoch } => assert_eq!(epoch, 1),
            other => panic!("{other:?}"),
        }
        await_got(&world, "subscriptions/listen", 2).await;
        told(&session, &mut changes).await;
        session.close().await;
    });
}

#[test]
fn what_the_server_does_not_tell_of_is_named() {
    world::run(async |world| {
        for era in ["legacy", "modern"] {
            let topics = topics().resource("note://none");
            let (session, mut changes) = subscribed(&world, era, topics).await;
            match next(&mut changes).await {
                Change::Refused { topic, .. } => assert_eq!(topic, "note://none", "{era}"),
                other => panic!("{other:?}"),
            }
            told(&session, &mut changes).await;
            session.close().await;
            std::fs::remove_file(world.log_path()).unwrap();
        }
    });
}

#[test]
fn dropping_the_stream_ends_the_subscription() {
    world::run(async |world| {
        let (session, changes) = subscribed(&world, "legacy", topics()).await;
        drop(changes);
        await_got(&world, "resources/unsubscribe", 1).await;
        session.close().await;
        std::fs::remove_file(world.log_path()).unwrap();
        let (session, changes) = subscribed(&world, "modern", topics()).await;
        let listening = got(&world, "subscriptions/listen")[0]["id"].clone();
        drop(changes);
        await_got(&world, "notifications/cancelled", 1).await;
        assert_eq!(got(&world, "notifications/cancelled")[0]["params"]["requestId"], listening);
        session.close().await;
    });
}

#[test]
fn a_slow_reader_loses_the_oldest_and_is_told_how_many() {
    world::run(async |world| {
        let topics = Topics::new().resource("note://").capacity(3);
        let (session, mut changes) = subscribed(&world, "legacy", topics).await;
        for _ in 0..5 {
            session.call("a.touch", json!({})).await.unwrap();
        }
        match next(&mut changes).await {
            Change::Missed { count } => assert_eq!(count, 7),
            other => panic!("{other:?}"),
        }
        for expected in ["note://b", "note://a", "note://b"] {
            match next(&mut changes).await {
                Change::ResourceUpdated { uri, .. } => assert_eq!(uri, expected),
                other => panic!("{other:?}"),
            }
        }
        session.close().await;
    });
}

#[test]
fn changes_can_be_filtered_by_their_fields_and_gathered_in_windows() {
    world::run(async |world| {
        let (session, changes) =
            subscribed(&world, "legacy", Topics::new().resource("note://")).await;
        let (count, long) = (2, Duration::from_secs(3600));
        let mut windows =
            changes.filter(json!({ "data": { "uri": "note://b" } })).window(count, long);
        for _ in 0..4 {
            session.call("a.touch", json!({})).await.unwrap();
        }
        for _ in 0..2 {
            let window = timeout(SOON, windows.next()).await.unwrap().unwrap();
            assert_eq!(window.len(), 2, "it is full");
            assert!(window.iter().all(|change| change.json()["uri"] == "note://b"), "{window:?}");
        }
        let changes = session.server("a").unwrap().subscribe(Topics::new().resource_list());
        let mut windows = changes.window(1000, Duration::from_millis(50));
        session.call("a.lists", json!({})).await.unwrap();
        let window = timeout(SOON, windows.next()).await.unwrap().unwrap();
        assert_eq!(window.len(), 1, "its time is over");
        session.close().await;
        assert!(timeout(SOON, windows.next()).await.unwrap().is_none());
    });
}
