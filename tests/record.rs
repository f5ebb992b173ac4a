//! The flight recorder: what went over a link is kept, within bounds, and without secrets.

#[cfg(feature = "testing")]
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::{CallError, Entry, EntryKind, Limits, RestartPolicy, Secret, ServerSpec, Session};
use serde_json::json;
use world::{await_status, eventually};

const LONG: Duration = Duration::from_secs(30);

fn once(stdio: callboard::Stdio) -> ServerSpec {
    ServerSpec::new("a", stdio).restart(RestartPolicy::never())
}

fn of(entries: &[Entry], kind: EntryKind, method: &str) -> Vec<Entry> {
    let wanted = |entry: &&Entry| entry.kind == kind && entry.method.as_deref() == Some(method);
    entries.iter().filter(wanted).cloned().collect()
}

#[test]
fn requests_and_answers_are_on_the_record_with_time_number_size_and_beginning() {
    world::run(async |world| {
        let session = world.open([once(world.echo())]).await;
        let text = "x".repeat(5000);
        session.call("a.echo", json!({ "text": text })).await.unwrap();
        let record = session.server("a").unwrap().record();
        let entries = record.entries();
        assert_eq!((record.server(), record.epoch()), (Some("a"), Some(1)));
        let [sent] = &of(&entries, EntryKind::Sent, "tools/call")[..] else {
            panic!("{entries:?}")
        };
        let [received] = &of(&entries, EntryKind::Received, "tools/call")[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(sent.id, received.id);
        assert!(sent.at <= received.at && sent.size > 5000 && received.size > 5000);
        assert!(sent.cut && sent.text.len() <= 112, "{sent:?}");
        assert!(sent.text.contains(r#""name":"echo""#), "{sent:?}");
        let ready = |entry: &Entry| entry.kind == EntryKind::Status && entry.text == "ready";
        assert!(entries.iter().any(ready), "{entries:?}");
        assert!(entries.is_sorted_by_key(|entry| entry.at));
    });
}

/// A start that hangs shows how far it has come.
#[test]
fn a_link_that_is_being_opened_has_its_record() {
    world::run(async |world| {
        let spec = once(world.stdio("sleep").arg("600"));
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let server = session.server("a").unwrap();
        let asked = || server.record().entries().iter().any(|entry| entry.kind == EntryKind::Sent);
        eventually(LONG, "its first message is on the record", asked).await;
        let record = server.record();
        assert_eq!((record.server(), record.epoch()), (Some("a"), Some(1)));
        assert!(!server.status().is_ready());
    });
}

#[test]
fn the_record_has_the_beginning_and_the_end_and_no_more() {
    world::run(async |world| {
        let few = Limits::default().with_record(20, 40);
        let session = world.open([once(world.echo()).limits(few)]).await;
        for n in 0..200 {
            session.call("a.echo", json!({ "text": n })).await.unwrap();
        }
        let record = session.server("a").unwrap().record();
        let entries = record.entries();
        let messages = entries.iter().filter(|entry| entry.kind != EntryKind::Status);
        assert_eq!(messages.count(), 20);
        assert!(record.left_out() > 300, "{record:?}");
        assert_eq!(entries[0].id, Some(1), "the handshake is kept");
        assert!(entries.iter().all(|entry| entry.text.len() <= 256), "{entries:?}");
        let off = once(world.echo()).limits(Limits::default().with_record(0, 0));
        let session = world.open([off]).await;
        session.call("a.echo", json!({})).await.unwrap();
        assert!(session.server("a").unwrap().record().is_empty());
    });
}

/// The last lines of stderr, noise and the end, in their order.
#[test]
fn what_else_a_server_says_is_on_the_record_of_its_end() {
    world::run(async |world| {
        let gate = world.folder().join("gate");
        let chatty = format!(
            "echo out; echo err >&2; read line; until [ -e {} ]; do sleep 0.01; done; exit 5",
            gate.display()
        );
        let spec = once(world.stdio("sh").args(["-c", &chatty]));
        let session = world.runtime.session("test").server(spec).open().await.unwrap();
        let handle = session.server("a").unwrap();
        let heard = || handle.stderr_tail().iter().any(|line| line == "err");
        eventually(LONG, "what it writes on stderr is heard", heard).await;
        std::fs::write(gate, "").unwrap();
        await_status(&handle, LONG, |status| status.last_error.is_some()).await;
        let entries = handle.record().entries();
        let said = |kind, text: &str| {
            entries.iter().position(|entry| entry.kind == kind && entry.text.contains(text))
        };
        let noise = said(EntryKind::Noise, "out").unwrap();
        let stderr = said(EntryKind::Stderr, "err").unwrap();
        let end = said(EntryKind::Status, "exited with code 5").unwrap();
        assert!(noise < end && stderr < end, "{entries:?}");
        assert_eq!((entries[stderr].id, &*entries[stderr].text), (None, "err"));
        let report = handle.report().unwrap();
        assert_eq!(report.exit, Some(callboard::Exit::Code(5)));
        assert_eq!(report.record, entries);
    });
}

/// All that can be told of a failure, in one text.
fn told(session: &Session, error: &CallError) -> String {
    let handle = session.server("a").unwrap();
    let (record, report) = (handle.record(), error.report());
    let json = serde_json::to_string(&report).unwrap();
    format!(
        "{error:?} {error} {report:?} {report} {json} {record:?} {:?} {} {:?} {:?} {:?}",
        record.entries(),
        record.to_cassette(),
        record.to_cassette(),
        handle.status(),
        handle.report(),
    )
}

#[test]
fn a_secret_is_in_no_record_report_or_cassette() {
    world::run(async |world| {
        let planted = format!("planted-{:032x}", fastrand::u128(..));
        for record in [(32, 112), (1000, usize::MAX)] {
            let limits = Limits::default().with_record(record.0, record.1);
            let stdio = world.hostile("secret-stderr");
            let file = world.folder().join("secret");
            std::fs::write(&file, &planted).unwrap();
            let spec = once(stdio.env_from("TOKEN", Secret::file(&file))).limits(limits);
            let session = world.open([spec]).await;
            // At every place, so that the end of what is kept cuts it in two once.
            for before in 0..100 {
                let text = format!("{}{planted} and more", "x".repeat(before));
                let call = session.call("a.echo", json!({ "text": text }));
                drop(call.idle_timeout(Duration::from_secs(10)).await);
                let sleep = session.call("a.sleep", json!({ "ms": 60_000, "why": planted }));
                if before % 33 == 0 {
                    let error = sleep.idle_timeout(Duration::from_millis(20)).await.unwrap_err();
                    let told = told(&session, &error);
                    assert!(told.contains("[redacted]"), "{told}");
                    for length in [planted.len(), 16, 10] {
                        assert!(!told.contains(&planted[..length]), "{length} of it: {told}");
                    }
                }
            }
            let handle = session.server("a").unwrap();
            eventually(LONG, "it says something", || !handle.stderr_tail().is_empty()).await;
        }
    });
}

/// Calls of tools, with their arguments.
#[cfg(feature = "testing")]
type Calls = [(&'static str, serde_json::Value)];

/// Everything that a host may want to know of a session over a server: the same of a recording of it.
#[cfg(feature = "testing")]
async fn asked(session: &Session, calls: &Calls) -> Vec<String> {
    let mut told = Vec::new();
    for (tool, arguments) in calls {
        let mut call = session.call(*tool, arguments.clone());
        let mut progress = call.progress();
        let outcome = call.await;
        let mut steps = 0;
        while progress.next().await.is_some() {
            steps += 1;
        }
        told.push(match outcome {
            Ok(output) => format!("{tool}: {} {} {steps}", output.is_error(), output.text()),
            Err(error) => format!("{tool}: {error} {steps}"),
        });
    }
    let names = session.tools().iter().map(|tool| tool.id().to_owned()).collect::<Vec<_>>();
    told.push(names.join(" "));
    told.extend(session.server("a").unwrap().status().protocol_version);
    told
}

/// Records a session over a server, and plays it: both are the same to a host.
#[cfg(feature = "testing")]
async fn is_played(world: &world::World, spec: ServerSpec, calls: &Calls) -> Vec<String> {
    use callboard::{Cassette, testing};

    let whole = Limits::default().with_record(10_000, usize::MAX);
    let session = world.open([spec.limits(whole)]).await;
    let told = asked(&session, calls).await;
    let file = world.folder().join("cassette.jsonl");
    let cassette = session.server("a").unwrap().record().to_cassette();
    std::fs::write(&file, cassette.to_string()).unwrap();
    session.close().await;
    let read: Cassette = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!(read, cassette);
    let server = testing::Server::replay(&read);
    let session = world.open([ServerSpec::new("a", server.transport())]).await;
    assert_eq!(asked(&session, calls).await, told);
    let error = session.call("a.echo", json!({ "text": "three" })).await.unwrap_err();
    assert!(error.to_string().contains("on the cassette"), "{error}");
    session.close().await;
    server.stop().await;
    told
}

#[cfg(feature = "testing")]
#[test]
fn a_cassette_plays_what_was_recorded() {
    use callboard::Cassette;

    world::run(async |world| {
        let calls = [
            ("a.echo", json!({ "text": "one" })),
            ("a.add", json!({ "a": 1, "b": 2 })),
            ("a.echo", json!({ "text": "two" })),
            ("a.fail", json!({})),
            ("a.rpcerror", json!({})),
            ("a.progress", json!({ "n": 3 })),
        ];
        for server in [world.hostile("normal"), world.hostile("normal").arg("--discover")] {
            is_played(&world, once(server), &calls).await;
        }
        assert!("{}".parse::<Cassette>().is_err() && "".parse::<Cassette>().is_err());
    });
}

#[cfg(feature = "testing")]
#[test]
fn a_cassette_plays_what_was_recorded_over_http() {
    use callboard::StreamableHttp;
    use http_server::{HttpServer, Style, refusal};

    world::run(async |world| {
        let calls = [
            ("a.echo", json!({ "text": "one" })),
            ("a.counter", json!({})),
            ("a.echo", json!({ "text": "two" })),
            ("a.counter", json!({})),
            ("a.fail", json!({})),
            ("a.sleep", json!({})),
            ("a.progress", json!({})),
        ];
        for style in [Style::Json, Style::Events] {
            for (server, version) in
                [(HttpServer::modern(), "2026-07-28"), (HttpServer::session(), "2025-11-25")]
            {
                server.configure(|settings| settings.style = style);
                server.on("tools/call sleep", |request| {
                    http_server::json(200, &refusal(request, -32011, "too tired"))
                });
                let spec = ServerSpec::new("a", StreamableHttp::new(server.url()));
                let told = is_played(&world, spec, &calls).await;
                assert_eq!(told[1], "a.counter: false 1 0");
                assert_eq!(told[3], "a.counter: false 2 0");
                assert!(told[5].contains("too tired"), "{told:?}");
                assert_eq!(told[6], "a.progress: false done 3");
                assert_eq!(told.last().map(String::as_str), Some(version));
            }
        }
    });
}

#[cfg(feature = "testing")]
#[test]
fn a_cassette_plays_what_was_recorded_in_this_process() {
    use callboard::testing::{self, Era};

    world::run(async |world| {
        let calls = [
            ("a.echo", json!({ "text": "one" })),
            ("a.fail", json!({})),
            ("a.echo", json!({ "text": "two" })),
        ];
        for (era, version) in [(Era::Modern, "2026-07-28"), (Era::Legacy, "2025-11-25")] {
            let server = testing::Server::speaking(era)
                .tool("echo", |arguments| async move { Ok(arguments["text"].clone()) })
                .tool("fail", |_| async { Err("it fails".to_owned()) });
            let spec = ServerSpec::new("a", server.transport());
            let told = is_played(&world, spec, &calls).await;
            assert_eq!(told[0], "a.echo: false one 0");
            assert_eq!(told[1], "a.fail: true it fails 0");
            assert_eq!(told.last().map(String::as_str), Some(version));
            server.stop().await;
        }
    });
}
