//! The main job over stdio: start, list, call, stop.

#[path = "support/world.rs"]
mod world;

use callboard::ServerSpec;
use serde_json::json;

/// C10: the end of its stdin is enough for a server that behaves.
#[test]
fn a_well_behaved_server_is_started_called_and_stopped() {
    world::run(async |world| {
        let log = world.folder().join("log");
        let session = world.open_one(world.hostile("normal").arg("--log").arg(&log)).await;
        let output = session.call("a.echo", json!({ "text": "héllo" })).await.unwrap();
        assert_eq!(output.text(), "héllo");
        let output = session.call("a.add", json!({ "a": 2, "b": 3 })).await.unwrap();
        assert_eq!(output.structured::<serde_json::Value>().unwrap().unwrap()["sum"], 5);
        let output = session.call("a.fail", ()).await.unwrap();
        assert!(output.is_error());
        session.close().await;
        let events: Vec<_> =
            world::log(&log).iter().map(|e| e["ev"].as_str().unwrap().to_owned()).collect();
        assert!(events.ends_with(&["eof".to_owned(), "exit".to_owned()]), "{events:?}");
        assert!(!events.contains(&"signal".to_owned()), "{events:?}");
    });
}

#[test]
fn servers_of_one_session_are_merged_under_their_names() {
    world::run(async |world| {
        let session = world
            .open([
                ServerSpec::new("a", world.hostile("normal")),
                ServerSpec::new("b", world.hostile("normal").arg("--discover")).prefix("bee"),
            ])
            .await;
        for id in ["a.echo", "bee.echo"] {
            let output = session.call(id, json!({ "text": id })).await.unwrap();
            assert_eq!(output.text(), id);
        }
        assert_eq!(session.tools().len(), 22);
    });
}
