//! What is said about calls is inherited, and tools are chosen from sets.

#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::{sync::Arc, time::Duration};

use callboard::{
    CallError, CallOptions, OpenError, Runtime, SavedTools, Secret, ServerSpec, Session, Tool,
    ToolSet, TypedError,
};
use person::Person;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use world::{World, eventually};

const LONG: Duration = Duration::from_secs(30);

/// What the puppet lists instead of its own tools; it answers any of them as it answers `say`.
const LISTED: &str = r#"{"tools":[
    {"name":"say","description":"Says it.","inputSchema":{"type":"object"},
     "annotations":{"readOnlyHint":true},"_meta":{"_fastmcp":{"tags":["talk","safe"]}}},
    {"name":"wait","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":false},
     "_meta":{"tags":["slow"]}},
    {"name":"progress","inputSchema":{"type":"object"}}]}"#;

fn puppet(world: &World, name: &str) -> ServerSpec {
    let listed = world.folder().join("listed");
    std::fs::write(&listed, LISTED.replace('\n', "")).unwrap();
    let log = world.folder().join(format!("log-{name}"));
    let stdio = world.script("puppet.py").arg("--list").arg(listed).arg("--log").arg(log);
    ServerSpec::new(name, stdio)
}

async fn open(world: &World) -> Session {
    let specs = [puppet(world, "a"), puppet(world, "b").tag("second")];
    let specs = specs.map(ServerSpec::required);
    world.runtime.session("s").servers(specs).open().await.unwrap()
}

fn ids(tools: &ToolSet) -> Vec<&str> {
    tools.iter().map(Tool::id).collect()
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// FX-13, FX-14: runtime, session, server, tool, handle, call; the nearest wins.
#[test]
fn options_are_inherited_until_somebody_nearer_says_otherwise() {
    world::run(async |world| {
        let total = |ms| CallOptions::default().total_timeout(millis(ms));
        let builder = Runtime::builder().call_options(total(10).meta("who", "runtime"));
        let world = World::within(&world, builder.start().await);
        let specs = [
            puppet(&world, "runtime"),
            puppet(&world, "server").call_options(total(30)),
            puppet(&world, "tool")
                .call_options(total(30))
                .tool_options("wa*", total(40))
                .tool_options("other", total(1)),
        ];
        let session = world.open(specs.clone()).await;
        let wait = |server: &str| session.tool(&format!("{server}.wait")).unwrap();
        let after = async |call: callboard::Call| match call.await.unwrap_err() {
            CallError::TimedOut { after, .. } => after.as_millis(),
            error => panic!("{error}"),
        };
        let nowhere = || json!({ "file": "/none" });
        assert_eq!(after(wait("runtime").call(nowhere())).await, 10);
        assert_eq!(after(wait("server").call(nowhere())).await, 30);
        assert_eq!(after(wait("tool").call(nowhere())).await, 40);
        let handle = wait("tool").with_options(&total(50));
        assert_eq!(after(handle.call(nowhere())).await, 50);
        assert_eq!(after(wait("tool").call(nowhere())).await, 40, "that handle alone");
        assert_eq!(after(handle.call(nowhere()).total_timeout(millis(60))).await, 60);
        assert_eq!(after(handle.call(nowhere()).with_options(&total(70))).await, 70);
        session.close().await;
        let builder = world.runtime.session("s").call_options(total(20)).servers(specs);
        let session = builder.open().await.unwrap();
        session.settled().await;
        let call = session.call("runtime.wait", nowhere());
        assert_eq!(after(call).await, 20);
        world.runtime.shutdown().await;
    });
}

#[test]
fn meta_of_all_places_is_in_the_request() {
    world::run(async |world| {
        let spec = puppet(&world, "a").call_options(CallOptions::default().meta("trace", "t-1"));
        let session = world.open([spec]).await;
        let tool = session.tool("a.say").unwrap();
        let tool =
            tool.with_options(&CallOptions::default().meta("com.example/n", json!({ "x": 1 })));
        tool.call(json!({ "result": "{}" })).await.unwrap();
        let log = world::log(&world.folder().join("log-a"));
        let frame = log.iter().find(|frame| frame["method"] == "tools/call").unwrap();
        let meta = &frame["params"]["_meta"];
        assert_eq!((&meta["trace"], &meta["com.example/n"]), (&json!("t-1"), &json!({ "x": 1 })));
        assert_eq!(meta["progressToken"], frame["id"]);
    });
}

/// FX-06, FX-07, FX-08, FX-24.
#[test]
fn a_set_has_the_tools_of_all_servers() {
    world::run(async |world| {
        let session = open(&world).await;
        let tools = session.toolset();
        assert_eq!((tools.len(), tools.is_empty()), (6, false));
        let names: Vec<_> = (&tools).into_iter().map(Tool::name).collect();
        assert_eq!(names, ["say", "wait", "progress", "say", "wait", "progress"]);
        let said = tools.get("b.say").unwrap().call(json!({ "result": "{\"content\":[]}" }));
        assert_eq!(said.await.unwrap().raw(), "{\"content\":[]}");
        assert_eq!(tools.get("a__say").unwrap().id(), "a.say");
        assert!(tools.get("c.say").is_none());
        assert_eq!(session.tools().toolset().hash(), tools.hash());
    });
}

/// FX-22.
#[test]
fn sets_are_chosen_by_patterns_lists_annotations_and_tags() {
    world::run(async |world| {
        let session = open(&world).await;
        let tools = session.toolset();
        assert_eq!(
            ids(&tools.select(&["a.*", "b.wait"])),
            ["a.say", "a.wait", "a.progress", "b.wait"]
        );
        assert_eq!(ids(&tools.allow("a", &["say"]).deny("b", &["*a*"])), ["a.say", "b.progress"]);
        assert_eq!(ids(&tools.read_only()), ["a.say", "b.say"]);
        let may_write = tools.annotated(|hints| hints.read_only != Some(true));
        assert_eq!(ids(&may_write), ["a.wait", "a.progress", "b.wait", "b.progress"]);
        assert_eq!(ids(&tools.tagged("s*")), ["a.say", "a.wait", "b.say", "b.wait", "b.progress"]);
        assert_eq!(ids(&tools.tagged("second").tagged("talk")), ["b.say"]);
        assert!(tools.select::<&str>(&[]).is_empty());
    });
}

/// FX-09, FX-10: what was seen once is known again without a process.
#[test]
fn a_set_can_be_written_down_and_read_again() {
    world::run(async |world| {
        let session = open(&world).await;
        let written = serde_json::to_string(&session.toolset()).unwrap();
        let hash = session.toolset().hash();
        let reversed: ToolSet = session.toolset().iter().rev().cloned().collect();
        assert_eq!((hash.len(), reversed.hash()), (64, hash.clone()));
        assert_ne!(session.toolset().select(&["a.*"]).hash(), hash);
        session.close().await;
        let saved: SavedTools = serde_json::from_str(&written).unwrap();
        assert_eq!((saved.hash(), saved.len()), (hash.as_str(), 6));
        let through_a_value: Value = serde_json::from_str(&written).unwrap();
        assert!(serde_json::from_value::<SavedTools>(through_a_value).is_ok());
        let forged = written.replace("Says it.", "Says anything.");
        assert!(serde_json::from_str::<SavedTools>(&forged).is_err());

        let lazy = puppet(&world, "a").lazy();
        let builder = world.runtime.session("again").server(lazy).saved_tools(saved);
        let session = builder.open().await.unwrap();
        let server = session.server("a").unwrap();
        let known = server.discover().await.unwrap();
        assert_eq!(ids(&known), ["a.say", "a.wait", "a.progress"]);
        assert_eq!(known.get("a.say").unwrap().description().unwrap(), "Says it.");
        assert_eq!(world.processes().len(), 0);
        let said = session.call("a.say", json!({ "result": "{}" })).await.unwrap();
        assert_eq!((said.raw(), server.status().epoch), ("{}", 1));
    });
}

/// Tools hold their connections, and these their session.
#[test]
fn nothing_is_left_of_a_session_with_saved_tools_that_did_not_open() {
    world::run(async |world| {
        let session = open(&world).await;
        let saved = serde_json::to_string(&session.toolset()).unwrap();
        session.close().await;
        let host = Person::new();
        let missing = Secret::file(world.folder().join("missing"));
        let builder = world.runtime.session("again").host(host.clone()).secrets([missing]);
        let saved: SavedTools = serde_json::from_str(&saved).unwrap();
        let builder = builder.server(puppet(&world, "a").lazy()).saved_tools(saved);
        let OpenError::Secret(_) = builder.open().await.unwrap_err() else { panic!() };
        eventually(LONG, "nobody holds it", || Arc::strong_count(&host.asked) == 1).await;
    });
}

/// FX-11.
#[test]
fn rediscovering_asks_for_the_list_again() {
    world::run(async |world| {
        let session = open(&world).await;
        let server = session.server("a").unwrap();
        assert_eq!(server.discover().await.unwrap().len(), 3);
        let log = world.folder().join("log-a");
        let lists = || world::log(&log).iter().filter(|one| one["method"] == "tools/list").count();
        assert_eq!(lists(), 1);
        let before = session.tools().version();
        assert_eq!(server.rediscover().await.unwrap().len(), 3);
        assert_eq!(lists(), 2);
        assert!(session.tools().version() > before);
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Weather {
    city: String,
    degrees: i32,
}

#[derive(Serialize)]
struct Say<'a> {
    result: &'a str,
}

#[test]
fn typed_calls_take_and_give_the_hosts_own_types() {
    world::run(async |world| {
        let session = open(&world).await;
        let say = session.tool("a.say").unwrap();
        let bern = Weather { city: "Bern".to_owned(), degrees: -3 };
        for result in [
            r#"{"content":[],"structuredContent":{"city":"Bern","degrees":-3}}"#,
            r#"{"content":[{"type":"text","text":"{\"city\":\"Bern\",\"degrees\":-3}"}]}"#,
        ] {
            assert_eq!(say.call_as::<Weather>(&Say { result }).await.unwrap(), bern);
        }
        let text = Say { result: r#"{"content":[{"type":"text","text":"as it is"}]}"# };
        assert_eq!(say.call_as::<String>(&text).await.unwrap(), "as it is");
        let error = say.call_as::<Weather>(&text).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_response");
        let failed = r#"{"content":[{"type":"text","text":"no such city"}],"isError":true}"#;
        let error = say.call_as::<Weather>(&Say { result: failed }).await.unwrap_err();
        assert!(matches!(&error, TypedError::Tool { output, .. } if output.is_error()));
        assert!(error.to_string().contains("no such city"), "{error}");
        let error = say.call_as::<Weather>(&5).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_arguments");
    });
}
