//! Servers of 2026-07-28 on the libraries that Python servers are written with: resources, prompts,
//! rounds, logs, over stdio and streamable HTTP.

#[path = "support/person.rs"]
mod person;
#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{Change, LogLevel, ServerSpec, Session, StreamableHttp, Template, Transport};
use person::Person;
use serde_json::json;
use tokio::time::timeout;
use world::World;

const SOON: Duration = Duration::from_secs(30);

async fn put_through(world: &World, transport: impl Into<Transport>, library: &str) {
    let person = Person::new();
    person.fills(json!({ "name": "Ada" }));
    let spec = ServerSpec::new("a", transport).required();
    let session = world.runtime.session("test").host(person.clone()).server(spec);
    let session = session.open().await.unwrap();
    let server = session.server("a").unwrap();
    assert_eq!(server.status().protocol_version.as_deref(), Some("2026-07-28"));
    // C28
    let output = timeout(SOON, session.call("a.ask", json!({}))).await.unwrap().unwrap();
    assert!(output.text().contains("Ada kept"), "{}", output.raw());
    assert_eq!(person.asked(), ["fill a who"]);
    let listed = server.resources().await.unwrap();
    assert_eq!(listed[0].text("uri").as_deref(), Some("note://a"));
    assert_eq!(session.read("note://a").await.unwrap().text(), "noted");
    let templates = server.resource_templates().await.unwrap();
    let template = Template::new(&templates[0].text("uriTemplate").unwrap()).unwrap();
    let uri = template.set("name", "it all").expand().unwrap();
    assert_eq!(uri, "note://it%20all/more");
    assert!(session.read(&uri).await.unwrap().text().starts_with("more of it"));
    // C27
    let missing = server.resource("note://nothing").read().await.unwrap_err();
    assert_eq!(missing.kind(), "resource_not_found", "{missing}");
    let prompts = server.prompts().await.unwrap();
    assert_eq!(prompts[0].typed().unwrap().name, "greet");
    let prompt = server.prompt("greet", [("who", "Ada")]).await.unwrap();
    assert!(prompt.raw().contains("Greet Ada"), "{prompt:?}");
    let mut logs = server.logs();
    server.log_level(LogLevel::Info).await.unwrap();
    session.call("a.say", json!({})).await.unwrap();
    let message = timeout(SOON, logs.next()).await.unwrap().unwrap();
    assert!(message.level == LogLevel::Info && message.raw().contains("said"), "{message:?}");
    changes(&session, library == "sdk2").await;
    session.close().await;
}

/// C22. fastmcp knows no subscriptions, and says so; it tells of changes all the same.
async fn changes(session: &Session, subscribes: bool) {
    let mut changes = session.server("a").unwrap().resource("note://a").subscribe();
    let wanted = |change: &Change| match change {
        Change::ResourceUpdated { uri, .. } => subscribes && uri == "note://a",
        Change::Refused { topic, .. } => !subscribes && topic == "note://a",
        _ => false,
    };
    // It may be told before it listens.
    let told = async {
        loop {
            session.call("a.touch", json!({})).await.unwrap();
            let next = timeout(Duration::from_millis(100), changes.next()).await;
            if next.is_ok_and(|change| wanted(&change.unwrap())) {
                break;
            }
        }
    };
    timeout(SOON, told).await.unwrap();
}

fn stdio(world: &World, library: &str) -> callboard::Stdio {
    let script = world::root().join("tests/servers/asking.py");
    world.python("python").arg(script).arg(library).eof_grace(Duration::from_secs(5))
}

#[test]
fn fastmcp_over_stdio() {
    world::run(async |world| put_through(&world, stdio(&world, "fastmcp"), "fastmcp").await);
}

#[test]
fn the_python_sdk_over_stdio() {
    world::run(async |world| put_through(&world, stdio(&world, "sdk2"), "sdk2").await);
}

#[test]
fn fastmcp_over_streamable_http() {
    world::run(async |world| {
        let server = real_server::asking(&world, "fastmcp").await;
        put_through(&world, StreamableHttp::new(server.url("/mcp")), "fastmcp").await;
    });
}

#[test]
fn the_python_sdk_over_streamable_http() {
    world::run(async |world| {
        let server = real_server::asking(&world, "sdk2").await;
        put_through(&world, StreamableHttp::new(server.url("/mcp")), "sdk2").await;
    });
}
