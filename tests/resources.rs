//! Resources, what of them is kept, where they are read from, logs, and traces.

#[path = "support/both.rs"]
mod both;
#[path = "support/person.rs"]
mod person;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use both::{SOON, await_got, got, open, server};
use callboard::{
    Backoff, CallOptions, ListFault, LogLevel, Phase, RestartPolicy, ServerSpec, Topics,
    TraceContext, WhenDown,
};
use person::Person;
use serde_json::json;
use tokio::time::timeout;
use world::await_status;

/// C21, C23, C27.
#[test]
fn what_a_server_allows_is_kept_until_it_changes() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let server = session.server("a").unwrap();
        let note = server.resource("note://a");
        assert_eq!(note.read().await.unwrap().text(), "read 1");
        assert_eq!(note.read().await.unwrap().text(), "read 1", "it is kept");
        assert_eq!(note.read().fresh().await.unwrap().text(), "read 2");
        let changes = note.subscribe();
        await_got(&world, "subscriptions/listen", 1).await;
        session.call("a.touch", json!({})).await.unwrap();
        assert_eq!(note.read().await.unwrap().text(), "read 3", "it has changed");
        drop(changes);
        let brief = server.resource("note://brief");
        assert_eq!(brief.read().await.unwrap().text(), "read 4");
        let later = async {
            while brief.read().await.unwrap().text() == "read 4" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, later).await.expect("its time is over");
        for _ in 0..2 {
            let listed = server.resources().await.unwrap();
            let names: Vec<_> = listed.iter().map(|item| item.typed().unwrap().name).collect();
            assert_eq!(
                names,
                ["a", "b"],
                "over two pages, of which the second has an empty cursor"
            );
        }
        assert_eq!(got(&world, "resources/list").len(), 2);
        session.call("a.lists", json!({})).await.unwrap();
        server.resources().await.unwrap();
        assert_eq!(got(&world, "resources/list").len(), 4);
        session.close().await;
    });
}

#[test]
fn what_was_kept_is_asked_for_again_over_a_new_link() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let server = session.server("a").unwrap();
        let note = server.resource("note://a");
        for reads in [1, 1] {
            note.read().await.unwrap();
            assert_eq!(got(&world, "resources/read").len(), reads);
        }
        session.call("a.exit", json!({})).await.unwrap_err();
        await_status(&server, SOON, |status| status.is_ready() && status.epoch == 2).await;
        note.read().await.unwrap();
        assert_eq!(got(&world, "resources/read").len(), 2);
        session.close().await;
    });
}

/// Nothing stale on an error, unless it is asked for.
#[test]
fn what_was_kept_is_not_told_by_a_server_that_is_gone_unless_asked() {
    world::run(async |world| {
        let session = open(&world, "modern", &Person::new()).await;
        let server = session.server("a").unwrap();
        let note = server.resource("note://a");
        assert_eq!(note.read().await.unwrap().text(), "read 1");
        session.close().await;
        let error = note.read().fresh().await.unwrap_err();
        assert_eq!(error.kind(), "session_closed");
        assert_eq!(note.read().fresh().or_stale().await.unwrap().text(), "read 1");
    });
}

#[test]
fn older_servers_are_asked_every_time_and_name_what_is_missing() {
    world::run(async |world| {
        for era in ["legacy", "modern"] {
            let session = open(&world, era, &Person::new()).await;
            let server = session.server("a").unwrap();
            let error = server.resource("note://none").read().await.unwrap_err();
            assert_eq!(error.kind(), "resource_not_found", "{era}: {error}");
            let error = server.complete(callboard::Completion::of_prompt("p", "x", "")).await;
            assert_eq!(error.unwrap_err().kind(), "not_offered", "{era}");
            let prompts = server.prompts().await.unwrap();
            assert_eq!(prompts.len(), 2);
            let fault = prompts.fault().unwrap();
            assert!(matches!(fault, ListFault::CursorRepeated { pages: 2, .. }), "{fault}");
            session.close().await;
        }
        assert_eq!(got(&world, "completion/complete").len(), 0);
    });
}

#[test]
fn a_read_goes_to_the_server_that_has_it() {
    world::run(async |world| {
        let log = |name: &str| world.folder().join(name);
        let both = |name: &str| {
            let stdio = world.script("both.py").arg("modern").arg(log(name));
            ServerSpec::new(name, stdio)
        };
        let session = world.open([both("one"), ServerSpec::new("echo", world.echo())]).await;
        let read = session.read("note://anything").await.unwrap();
        assert_eq!(read.text(), "read 1", "only one has resources");
        session.close().await;
        let session = world.open([both("one"), both("two")]).await;
        let error = session.read("note://a").await.unwrap_err();
        assert_eq!(error.kind(), "unrouted_resource");
        assert!(error.to_string().contains("one and two"), "{error}");
        let error = session.read("other://a").await.unwrap_err();
        assert!(error.to_string().contains("no server"), "{error}");
        assert_eq!(
            session.server("two").unwrap().resource("note://a").read().await.unwrap().text(),
            "read 1"
        );
        session.close().await;
    });
}

#[test]
fn a_read_wakes_the_server_that_has_it() {
    world::run(async |world| {
        let both = |name: &str| {
            let log = world.folder().join(name);
            ServerSpec::new(name, world.script("both.py").arg("modern").arg(log))
        };
        let idle = Duration::from_millis(100);
        let lazy = both("lazy").lazy().stop_when_idle(idle);
        for spec in [lazy, both("each").per_call()] {
            let name = spec.name().to_owned();
            let session = world.runtime.session("s");
            let session = session.servers([spec, ServerSpec::new("echo", world.echo())]);
            let session = session.open().await.unwrap();
            session.settled().await;
            session.read("note://first").await.unwrap();
            let server = session.server(&name).unwrap();
            await_status(&server, SOON, |status| status.phase == Phase::Idle).await;
            session.read("note://again").await.unwrap();
            session.close().await;
        }
        let session = world.runtime.session("s").servers([both("one"), both("two").lazy()]);
        let session = session.open().await.unwrap();
        session.settled().await;
        session.read("note://a").await.unwrap();
        let two = session.server("two").unwrap();
        assert_eq!(two.status().phase, Phase::Idle, "nobody asks whom nobody knows");
        two.ready().await.unwrap();
        let error = session.read("note://a").await.unwrap_err();
        assert_eq!(error.kind(), "unrouted_resource", "both have it");
        session.close().await;
    });
}

#[test]
fn a_read_has_the_limits_of_its_session() {
    world::run(async |world| {
        let never = ServerSpec::new("a", world.stdio("sleep").arg("1000")).lazy();
        let brief = CallOptions::default().total_timeout(Duration::from_millis(50));
        let session = world.runtime.session("s").call_options(brief).server(never);
        let session = session.open().await.unwrap();
        let error = timeout(SOON, session.read("note://a")).await.unwrap();
        assert_eq!(error.unwrap_err().kind(), "not_ready");
        session.close().await;
    });
}

/// As calls do.
#[test]
fn requests_carry_what_the_host_adds_and_wait_for_a_server_that_is_down() {
    world::run(async |world| {
        let second = Duration::from_secs(1);
        let slowly = Backoff::new(second, second).without_jitter();
        let spec = ServerSpec::new("a", server(&world, "modern"))
            .required()
            .restart(RestartPolicy::on_failure().backoff(slowly));
        let options = CallOptions::default().meta("who", "me").when_down(WhenDown::Wait);
        let session = world.runtime.session("s").call_options(options).server(spec);
        let session = session.open().await.unwrap();
        let server = session.server("a").unwrap();
        session.call("a.exit", json!({})).await.unwrap_err();
        await_status(&server, SOON, |status| !status.is_ready()).await;
        server.resource("note://a").read().await.unwrap();
        server.prompt("p", [("", ""); 0]).await.unwrap_err();
        for method in ["resources/read", "prompts/get"] {
            assert_eq!(got(&world, method)[0]["params"]["_meta"]["who"], "me", "{method}");
        }
        session.close().await;
    });
}

#[test]
fn the_log_level_outlives_a_link_and_goes_with_every_modern_request() {
    world::run(async |world| {
        let session = open(&world, "legacy", &Person::new()).await;
        let server = session.server("a").unwrap();
        let mut logs = server.logs();
        server.log_level(LogLevel::Warning).await.unwrap();
        session.call("a.shout", json!({})).await.unwrap();
        let said = timeout(SOON, logs.next()).await.unwrap().unwrap();
        assert_eq!((said.level, said.logger.as_deref()), (LogLevel::Error, Some("x")));
        assert_eq!(said.raw(), r#"{"n": 1}"#);
        session.call("a.exit", json!({})).await.unwrap_err();
        await_got(&world, "logging/setLevel", 2).await;
        assert_eq!(got(&world, "logging/setLevel")[1]["params"]["level"], "warning");
        session.close().await;
        assert!(logs.next().await.is_none());
        let session = open(&world, "modern", &Person::new()).await;
        session.server("a").unwrap().log_level(LogLevel::Notice).await.unwrap();
        session.call("a.shout", json!({})).await.unwrap();
        let call = got(&world, "tools/call").pop().unwrap();
        assert_eq!(call["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "notice");
        assert_eq!(got(&world, "logging/setLevel").len(), 2);
        session.close().await;
    });
}

/// C44.
#[test]
fn the_trace_of_the_host_goes_with_its_requests() {
    world::run(async |world| {
        for era in ["legacy", "modern"] {
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let context =
                move || Some(TraceContext::new(parent).tracestate("v=1").baggage("k=\"x\""));
            let spec = ServerSpec::new("a", server(&world, era)).required();
            let session = world.runtime.session("test").trace_context(context).server(spec);
            let session = session.open().await.unwrap();
            session.call("a.shout", json!({})).await.unwrap();
            session.server("a").unwrap().resource("note://a").read().await.unwrap();
            for method in ["tools/call", "resources/read"] {
                let meta = got(&world, method).pop().unwrap()["params"]["_meta"].clone();
                assert_eq!(meta["traceparent"], parent, "{era} {method}");
                assert_eq!(meta["tracestate"], "v=1");
                assert_eq!(meta["baggage"], "k=\"x\"");
            }
            session.close().await;
        }
    });
}

#[test]
fn a_query_can_be_cancelled_and_has_its_limits() {
    world::run(async |world| {
        let session = world.open_one(world.hostile("hang-call")).await;
        let server = session.server("a").unwrap();
        let stuck = server.task("x").state();
        // The hostile server answers what it does not know at once; what it does not offer is not asked.
        assert_eq!(stuck.await.unwrap_err().kind(), "rejected");
        let mut changes = server.subscribe(Topics::new().resource("x://y"));
        let refused = timeout(SOON, changes.next()).await.unwrap().unwrap();
        assert!(refused.json()["reason"].as_str().unwrap().contains("no subscriptions"));
        let token = tokio_util::sync::CancellationToken::new();
        token.cancel();
        let error = server.task("x").state().cancel_on(token).await.unwrap_err();
        assert_eq!(error.kind(), "cancelled");
        session.close().await;
    });
}

/// FX-01, FX-15, FX-16: whatever a server is asked, and not only its tools, starts it.
#[test]
fn a_question_to_a_server_that_is_not_running_starts_it() {
    world::run(async |world| {
        for era in ["modern", "legacy"] {
            let spec = |name| ServerSpec::new(name, server(&world, era));
            let lazy = spec("lazy").lazy();
            let idle = Duration::from_millis(50);
            let asleep = spec("asleep").lazy().stop_when_idle(idle);
            let specs = [lazy, asleep, spec("alone").per_call()];
            let session = world.runtime.session("test").servers(specs).open().await.unwrap();
            assert_eq!(world.processes().len(), 0);
            for round in 0..2 {
                for server in session.servers() {
                    let note = server.resource("note://a").read().fresh().await.unwrap();
                    assert!(note.text().starts_with("read "), "{note:?}");
                    assert_eq!(server.prompts().await.unwrap().len(), 2);
                    if server.name() == "alone" {
                        assert_eq!(server.status().phase, Phase::Idle, "{round}");
                    }
                }
                let asleep = session.server("asleep").unwrap();
                await_status(&asleep, SOON, |status| status.phase == Phase::Idle).await;
                assert_eq!(world.processes().len(), 1, "the lazy one");
            }
            session.close().await;
        }
    });
}
