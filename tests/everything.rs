//! The reference server, which offers everything there is in MCP 2025-11-25 and asks its client for
//! everything there is: over stdio, streamable HTTP and HTTP+SSE.

#[path = "support/person.rs"]
mod person;
#[path = "support/real_server.rs"]
mod real_server;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{
    Body, Change, Completion, FormAnswer, HttpSse, LogLevel, ServerSpec, Session, StreamableHttp,
    Template, Topics, Transport,
};
use person::Person;
use serde_json::{Value, json};
use tokio::time::timeout;
use world::World;

const SOON: Duration = Duration::from_secs(30);

async fn open(world: &World, transport: impl Into<Transport>) -> (Session, Person) {
    let person = Person::new();
    person.roots.lock().unwrap().push("file:///first".to_owned());
    let session = world.runtime.session("test").host(person.clone());
    let session = session.server(ServerSpec::new("a", transport).required()).open().await.unwrap();
    (session, person)
}

/// All that it offers.
async fn offers_everything(session: &Session, person: &Person) {
    let offered = session.server("a").unwrap().capabilities().unwrap();
    for family in ["tools", "resources", "prompts", "completions", "logging"] {
        assert!(offered.get(family).is_some(), "{family}: {offered}");
    }
    assert!(session.server("a").unwrap().instructions().is_some());
    resources(session).await;
    prompts(session).await;
    completions(session).await;
    logs(session).await;
    subscriptions(session).await;
    tools(session).await;
    asks(session, person).await;
    roots(session, person).await;
    reports(session).await;
}

async fn resources(session: &Session) {
    let server = session.server("a").unwrap();
    let listed = server.resources().await.unwrap();
    assert!(listed.len() >= 5 && listed.fault().is_none(), "{listed:?}");
    let uri = listed[0].typed().unwrap().uri.to_string();
    let read = server.resource(&uri).read().await.unwrap();
    assert!(!read.text().is_empty() && read.raw().starts_with('{'), "{read:?}");
    assert_eq!(session.read(&uri).await.unwrap().text(), read.text());
    let templates = server.resource_templates().await.unwrap();
    let named = |part: &str| {
        let texts = templates.iter().filter_map(|one| one.text("uriTemplate"));
        texts.into_iter().find(|text| text.contains(part)).unwrap()
    };
    let text = Template::new(&named("text")).unwrap().set("resourceId", "7").expand().unwrap();
    let text = session.read(text).await.unwrap();
    assert!(text.text().starts_with("Resource 7"), "{text:?}");
    let blob = Template::new(&named("blob")).unwrap().set("resourceId", "8").expand().unwrap();
    let parts = session.read(blob).await.unwrap().parts();
    let Body::Blob(bytes) = &parts[0].body else { panic!("{parts:?}") };
    assert!(bytes.starts_with(b"Resource 8"), "{parts:?}");
    // C27
    let missing = server.resource("demo://nothing/here").read().await.unwrap_err();
    assert_eq!(missing.kind(), "resource_not_found", "{missing}");
}

async fn prompts(session: &Session) {
    let server = session.server("a").unwrap();
    let prompts = server.prompts().await.unwrap();
    let names: Vec<_> = prompts.iter().map(|prompt| prompt.typed().unwrap().name).collect();
    assert!(names.len() >= 4 && names.contains(&"args-prompt".to_owned()), "{names:?}");
    let prompt = server.prompt("simple-prompt", [("", ""); 0]).await.unwrap();
    assert_eq!(prompt.typed().unwrap().messages.len(), 1);
    let given = [("city", "Bern"), ("state", "BE")];
    let prompt = server.prompt("args-prompt", given).await.unwrap();
    assert!(prompt.raw().contains("What's weather in Bern, BE?"), "{prompt:?}");
    let unknown = server.prompt("no-such-prompt", [("", ""); 0]).await.unwrap_err();
    assert_eq!(unknown.kind(), "rejected", "{unknown}");
}

async fn completions(session: &Session) {
    let server = session.server("a").unwrap();
    let complete = async |argument| {
        let completed = server.complete(argument).await.unwrap().typed().unwrap();
        completed.completion.values
    };
    let department = Completion::of_prompt("completable-prompt", "department", "S");
    assert_eq!(complete(department).await, ["Sales", "Support"]);
    let name = Completion::of_prompt("completable-prompt", "name", "");
    assert_eq!(
        complete(name.clone().given("department", "Sales")).await,
        ["David", "Eve", "Frank"]
    );
    assert!(complete(name).await.is_empty(), "the context makes the difference");
    let id =
        Completion::of_template("demo://resource/dynamic/text/{resourceId}", "resourceId", "3");
    assert_eq!(complete(id).await, ["3"]);
}

async fn logs(session: &Session) {
    let server = session.server("a").unwrap();
    let mut logs = server.logs();
    server.log_level(LogLevel::Debug).await.unwrap();
    session.call("a.toggle-simulated-logging", json!({})).await.unwrap();
    let message = timeout(SOON, logs.next()).await.unwrap().unwrap();
    assert!(!message.data::<String>().unwrap().is_empty(), "{message:?}");
    session.call("a.toggle-simulated-logging", json!({})).await.unwrap();
}

async fn subscriptions(session: &Session) {
    let server = session.server("a").unwrap();
    let mut logs = server.logs();
    let uri = "demo://resource/dynamic/text/1";
    let mut changes = server.subscribe(Topics::new().resource(uri));
    // It says in its log that it heard.
    loop {
        let said = timeout(SOON, logs.next()).await.unwrap().unwrap().data::<String>().unwrap();
        if said.contains("Received Subscribe Resource request") {
            break;
        }
    }
    session.call("a.toggle-subscriber-updates", json!({})).await.unwrap();
    match timeout(SOON, changes.next()).await.unwrap().unwrap() {
        Change::ResourceUpdated { uri: updated, .. } => assert_eq!(updated, uri),
        other => panic!("{other:?}"),
    }
    session.call("a.toggle-subscriber-updates", json!({})).await.unwrap();
    drop(changes);
    loop {
        let said = timeout(SOON, logs.next()).await.unwrap().unwrap().data::<String>().unwrap();
        if said.contains("Received Unsubscribe Resource request") {
            break;
        }
    }
}

async fn tools(session: &Session) {
    for (tool, arguments) in [
        ("echo", json!({ "message": "x" })),
        ("get-annotated-message", json!({ "messageType": "success", "includeImage": true })),
        ("get-env", json!({})),
        ("get-resource-links", json!({ "count": 2 })),
        ("get-resource-reference", json!({ "resourceType": "Text", "resourceId": 1 })),
        ("get-structured-content", json!({ "location": "Chicago" })),
        ("get-sum", json!({ "a": 1, "b": 2 })),
        ("get-tiny-image", json!({})),
        (
            "gzip-file-as-resource",
            json!({ "data": "data:text/plain;base64,aGk=", "outputType": "resource" }),
        ),
    ] {
        let output = session.call(format!("a.{tool}"), arguments).await.unwrap();
        assert!(!output.is_error() && !output.content().is_empty(), "{tool}: {}", output.raw());
    }
}

/// What it asks its client for in the middle of a call.
async fn asks(session: &Session, person: &Person) {
    person.fills(json!({ "name": "Ada", "check": true, "email": "ada@example.com" }));
    let output = session.call("a.trigger-elicitation-request", json!({})).await.unwrap();
    let text = output.text();
    assert!(text.contains("Ada") && text.contains("It was a dark and stormy night."), "{text}");
    // What does not fit the schema is not sent.
    person.fills(json!({ "email": "nobody" }));
    let text = session.call("a.trigger-elicitation-request", json!({})).await.unwrap().text();
    assert!(text.contains("cancelled"), "{text}");
    *person.form.lock().unwrap() = FormAnswer::Decline;
    let text = session.call("a.trigger-elicitation-request", json!({})).await.unwrap().text();
    assert!(text.contains("declined"), "{text}");
    let arguments = json!({ "prompt": "say", "maxTokens": 10 });
    let text = session.call("a.trigger-sampling-request", arguments).await.unwrap().text();
    assert!(text.contains("a sampled answer") && text.contains("model-x"), "{text}");
    let asked = person.asked();
    let url = json!({ "url": "https://example.com/consent?x=1" });
    let output = session.call("a.trigger-url-elicitation", url).await.unwrap();
    assert!(output.text().contains("accept"), "{}", output.raw());
    assert_eq!(person.asked()[asked.len()..], ["visit a https://example.com/consent?x=1"]);
    // C29: the call waits for the page, and is made again.
    let first = json!({ "url": "https://example.com/then", "errorPath": true });
    let output = session.call("a.trigger-url-elicitation", first).await.unwrap();
    assert!(output.text().contains("accept"), "{}", output.raw());
    let shown = ["visit a https://modelcontextprotocol.io", "visit a https://example.com/then"];
    assert_eq!(person.asked()[asked.len() + 1..], shown);
    let asked = person.asked();
    // A scheme that no browser should be given is not even shown.
    let url = json!({ "url": "javascript:alert(1)" });
    let output = session.call("a.trigger-url-elicitation", url).await.unwrap();
    assert!(output.text().contains("decline"), "{}", output.raw());
    assert_eq!(person.asked().len(), asked.len());
}

async fn roots(session: &Session, person: &Person) {
    let text = session.call("a.get-roots-list", json!({})).await.unwrap().text();
    assert!(text.contains("file:///first"), "{text}");
    *person.roots.lock().unwrap() = vec!["file:///second".to_owned(), "http://not/told".to_owned()];
    let mut logs = session.server("a").unwrap().logs();
    session.roots_changed();
    // It says so of the first ones, too, and may do so late.
    loop {
        let said: Value = timeout(SOON, logs.next()).await.unwrap().unwrap().data().unwrap();
        if said.as_str().is_some_and(|said| said.starts_with("Roots updated: 1 ")) {
            let text = session.call("a.get-roots-list", json!({})).await.unwrap().text();
            if text.contains("file:///second") && !text.contains("first") {
                break;
            }
        }
    }
}

async fn reports(session: &Session) {
    let arguments = json!({ "duration": 0.5, "steps": 5 });
    let mut call = session.call("a.trigger-long-running-operation", arguments);
    let mut progress = call.progress();
    let listening = async {
        let mut reports = Vec::new();
        while let Some(report) = progress.next().await {
            reports.push((report.progress, report.total));
        }
        reports
    };
    let (output, reports) = tokio::join!(call, listening);
    output.unwrap();
    let expected: Vec<_> = (1..=5).map(|step| (f64::from(step), Some(5.0))).collect();
    assert_eq!(reports, expected);
}

#[test]
fn the_everything_server_over_stdio() {
    world::run(async |world| {
        let stdio = world.node("mcp-server-everything").arg("stdio");
        let (session, person) = open(&world, stdio.eof_grace(Duration::from_millis(500))).await;
        offers_everything(&session, &person).await;
        session.close().await;
    });
}

#[test]
fn the_everything_server_over_streamable_http() {
    world::run(async |world| {
        let server = real_server::everything(&world, "streamableHttp").await;
        let (session, person) = open(&world, StreamableHttp::new(server.url("/mcp"))).await;
        offers_everything(&session, &person).await;
        session.close().await;
    });
}

#[test]
fn the_everything_server_over_http_sse() {
    world::run(async |world| {
        let server = real_server::everything(&world, "sse").await;
        let (session, person) = open(&world, HttpSse::new(server.url("/sse"))).await;
        offers_everything(&session, &person).await;
        session.close().await;
    });
}

/// A host that implements nothing is not asked, and its servers are not told otherwise.
#[test]
fn a_host_without_capabilities_gets_fewer_tools() {
    world::run(async |world| {
        let stdio = world.node("mcp-server-everything").arg("stdio");
        let session = world.open_one(stdio.eof_grace(Duration::from_millis(500))).await;
        for tool in ["get-roots-list", "trigger-elicitation-request", "trigger-sampling-request"] {
            assert!(session.tool(&format!("a.{tool}")).is_none(), "{tool}");
        }
        session.close().await;
    });
}
