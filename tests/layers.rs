//! What a host puts around its calls: layers of tower, an approval hook, a cache.

#[path = "support/world.rs"]
mod world;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use callboard::{
    ApprovalRequest, CachePolicy, CallError, CallOptions, Decision, Delivery, Limits, Output,
    RetryPolicy, ServerSpec, Session,
    layer::{CallFuture, CallService, Request},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower_layer::layer_fn;
use tower_service::Service;
use world::{World, eventually};

const LONG: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn puppet(world: &World, name: &str) -> ServerSpec {
    let log = world.folder().join("log");
    ServerSpec::new(name, world.script("puppet.py").arg("--log").arg(log)).required()
}

fn calls(world: &World) -> Vec<Value> {
    let log = world::log(&world.folder().join("log"));
    log.into_iter().filter(|frame| frame["method"] == "tools/call").collect()
}

fn say(result: &str) -> Value {
    json!({ "result": result })
}

type Around = dyn Fn(Request, CallService) -> CallFuture + Send + Sync;

/// A layer made of a function.
#[derive(Clone)]
struct Made {
    inner: CallService,
    around: Arc<Around>,
}

impl Service<Request> for Made {
    type Response = Output;
    type Error = CallError;
    type Future = CallFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> CallFuture {
        (self.around)(request, self.inner.clone())
    }
}

fn made(
    around: impl Fn(Request, CallService) -> CallFuture + Send + Sync + 'static,
) -> impl tower_layer::Layer<CallService, Service = Made> + Send + Sync + 'static {
    let around: Arc<Around> = Arc::new(around);
    layer_fn(move |inner| Made { inner, around: Arc::clone(&around) })
}

/// The marks of the layers that a call passed.
struct Passed(Vec<&'static str>);

fn marks(
    mark: &'static str,
    seen: &Arc<Mutex<Vec<String>>>,
) -> impl tower_layer::Layer<CallService, Service = Made> + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    made(move |mut request, mut inner| {
        let mut passed =
            request.extensions().get::<Passed>().map(|one| one.0.clone()).unwrap_or_default();
        passed.push(mark);
        seen.lock().unwrap().push(format!("{} {}", request.tool().id(), passed.join(" ")));
        request.extensions_mut().insert(Passed(passed));
        inner.call(request)
    })
}

#[test]
fn layers_are_passed_in_order_the_sessions_first() {
    world::run(async |world| {
        let seen = Arc::default();
        let a = puppet(&world, "a").layer(marks("a1", &seen)).layer(marks("a2", &seen));
        let builder = world.runtime.session("s").servers([a, puppet(&world, "b")]);
        let builder = builder.layer(marks("s1", &seen)).layer(marks("s2", &seen));
        let session = builder.open().await.unwrap();
        session.call("a.say", say("{}")).await.unwrap();
        session.tool("b.say").unwrap().call(say("{}")).await.unwrap();
        let seen = seen.lock().unwrap();
        let of = |id: &str| seen.iter().rfind(|line| line.starts_with(id)).unwrap().clone();
        assert_eq!(
            (of("a.say"), of("b.say")),
            ("a.say s1 s2 a1 a2".to_owned(), "b.say s1 s2".to_owned())
        );
    });
}

#[test]
fn a_layer_changes_what_is_called_and_what_comes_back() {
    world::run(async |world| {
        let layer = made(|mut request, mut inner| {
            request.set_arguments(say(r#"{"content":[{"type":"text","text":"changed"}]}"#));
            request.set_options(&CallOptions::default().meta("by", "layer"));
            assert_eq!(request.options().meta["by"], "layer");
            inner.call(request)
        });
        let builder = world.runtime.session("s").server(puppet(&world, "a")).layer(layer);
        let session = builder.open().await.unwrap();
        assert_eq!(session.call("a.say", say("{}")).await.unwrap().text(), "changed");
        assert_eq!(calls(&world)[0]["params"]["_meta"]["by"], "layer");
    });
}

/// FX-30: a fallback is a layer.
#[test]
fn a_layer_may_answer_by_itself_or_call_another_tool() {
    world::run(async |world| {
        let other: Arc<Mutex<Option<callboard::Tool>>> = Arc::default();
        let fallback = Arc::clone(&other);
        let layer = made(move |request, mut inner| {
            let fallback = fallback.lock().unwrap().clone();
            Box::pin(async move {
                if request.arguments().to_value()["stop"] == true {
                    let (tool, reason) = (request.tool().id().to_owned(), "stopped".to_owned());
                    return Err(CallError::Denied { tool, reason });
                }
                let arguments = request.arguments().clone();
                match (inner.call(request).await, fallback) {
                    (Ok(output), Some(tool)) if output.is_error() => tool.call(arguments).await,
                    (outcome, _) => outcome,
                }
            })
        });
        let builder = world.runtime.session("s");
        let builder = builder.servers([puppet(&world, "a").layer(layer), puppet(&world, "b")]);
        let session = builder.open().await.unwrap();
        *other.lock().unwrap() = session.tool("b.say");
        let failed = say(r#"{"content":[],"isError":true}"#);
        session.call("a.say", failed).await.unwrap();
        assert_eq!(calls(&world).len(), 2);
        let error = session.call("a.say", json!({ "stop": true })).await.unwrap_err();
        assert_eq!((error.kind(), calls(&world).len()), ("denied", 2));
    });
}

/// A layer of the ecosystem, with an error type of its own.
#[derive(Clone)]
struct InTime(CallService);

impl Service<Request> for InTime {
    type Response = Output;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Output, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let call = self.0.call(request);
        Box::pin(async move { Ok(tokio::time::timeout(Duration::from_millis(100), call).await??) })
    }
}

#[test]
fn errors_of_layers_are_told_apart_and_say_what_was_sent() {
    world::run(async |world| {
        let spec = puppet(&world, "a").layer(layer_fn(InTime));
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let call = session.call("a.wait", json!({ "file": "/none" }));
        let error = call.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            ("middleware", Delivery::MaybeSent),
            "{error}"
        );
        let error = session.call("a.say", json!(5)).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("invalid_arguments", Delivery::NotSent));
    });
}

#[test]
fn a_call_can_be_cancelled_in_the_middle_of_a_layer() {
    world::run(async |world| {
        let layer = made(|_, _| Box::pin(std::future::pending()));
        let spec = puppet(&world, "a").layer(layer);
        let session = world.runtime.session("s").server(spec).open().await.unwrap();
        let token = CancellationToken::new();
        token.cancel();
        let late = CancellationToken::new();
        let call = session.call("a.say", say("{}")).cancel_on(late.clone());
        let call = tokio::spawn(call);
        tokio::task::yield_now().await;
        late.cancel();
        for outcome in
            [call.await.unwrap(), session.call("a.say", say("{}")).cancel_on(token).await]
        {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.delivery()), ("cancelled", Delivery::NotSent));
        }
    });
}

#[test]
fn an_approval_hook_sees_the_call_and_may_refuse_it() {
    world::run(async |world| {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let hook = move |request: ApprovalRequest| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                assert_eq!(request.annotations().read_only, None);
                tokio::task::yield_now().await;
                match request.arguments().to_value()["result"].as_str() {
                    Some("{}") if request.tool().id() == "a.say" => Decision::Allow,
                    Some("never") => std::future::pending().await,
                    _ => Decision::Deny("not today".to_owned()),
                }
            }
        };
        let builder = world.runtime.session("s").server(puppet(&world, "a")).approval(hook);
        let session = builder.open().await.unwrap();
        session.call("a.say", say("{}")).await.unwrap();
        let error = session.call("a.say", say("{\"content\":[]}")).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("denied", Delivery::NotSent));
        assert!(error.to_string().contains("not today"), "{error}");
        let call = session.call("a.say", say("never")).total_timeout(SECOND / 10);
        let error = call.await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), ("timed_out", Delivery::NotSent));
        assert_eq!((asked.load(Ordering::Relaxed), calls(&world).len()), (3, 1));
    });
}

#[test]
fn a_call_that_is_tried_again_is_approved_once() {
    world::run(async |world| {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let hook = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Decision::Allow)
        };
        let retry = RetryPolicy::max_attempts(2).delay(Duration::from_millis(1)).retry_unsafe();
        let options = CallOptions::default().retry(retry).idle_timeout(Duration::from_millis(20));
        let spec = puppet(&world, "a").call_options(options);
        let session = world.runtime.session("s").server(spec).approval(hook).open().await.unwrap();
        session.call("a.wait", json!({ "file": "/none" })).await.unwrap_err();
        eventually(LONG, "three attempts", || calls(&world).len() == 3).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    });
}

/// Lists `say` as read-only, and `wait`, which the server answers as `say` does not.
async fn cached(world: &World, policy: CachePolicy, limits: Limits, trusted: bool) -> Session {
    let spec = readable(world, policy).limits(limits);
    let spec = if trusted { spec.trust_annotations() } else { spec };
    world.runtime.session("s").server(spec.required()).open().await.unwrap()
}

fn readable(world: &World, policy: CachePolicy) -> ServerSpec {
    let listed = world.folder().join("listed");
    let tools = r#"{"tools":[
        {"name":"say","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
        {"name":"progress","inputSchema":{"type":"object"}}]}"#;
    std::fs::write(&listed, tools.replace('\n', "")).unwrap();
    let log = world.folder().join("log");
    let stdio = world.script("puppet.py").arg("--log").arg(log).arg("--list").arg(listed);
    ServerSpec::new("a", stdio).call_options(CallOptions::default().cache(policy))
}

const TEXT: &str = r#"{"content":[{"type":"text","text":"kept"}]}"#;

/// FX-38.
#[test]
fn the_same_call_is_answered_from_what_was_kept() {
    world::run_on_one_thread(LONG, async |world| {
        let keep = CachePolicy::keep_for(60 * SECOND);
        let session = cached(&world, keep, Limits::default(), true).await;
        let ask = async |arguments: Value| session.call("a.say", arguments).await.unwrap();
        for _ in 0..3 {
            assert_eq!(ask(json!({ "result": TEXT, "b": 1, "a": [2] })).await.raw(), TEXT);
        }
        let other_order: Box<serde_json::value::RawValue> = serde_json::from_str(&format!(
            "{{ \"a\":[ 2 ],\"b\":1, \"result\":{} }}",
            Value::from(TEXT)
        ))
        .unwrap();
        session.call("a.say", other_order).await.unwrap();
        assert_eq!(calls(&world).len(), 1);
        ask(json!({ "result": TEXT, "b": 2, "a": [2] })).await;
        let meta = CallOptions::default().meta("who", "else");
        session
            .call("a.say", json!({ "result": TEXT, "b": 2, "a": [2] }))
            .with_options(&meta)
            .await
            .unwrap();
        assert_eq!(calls(&world).len(), 3, "other arguments, another _meta");
        tokio::time::pause();
        tokio::time::advance(61 * SECOND).await;
        tokio::time::resume();
        ask(json!({ "result": TEXT, "b": 2, "a": [2] })).await;
        assert_eq!(calls(&world).len(), 4, "its time is over");
        session.server("a").unwrap().rediscover().await.unwrap();
        ask(json!({ "result": TEXT, "b": 2, "a": [2] })).await;
        assert_eq!(calls(&world).len(), 5, "the server has listed its tools anew");
    });
}

/// Each call lists the tools again, and mostly they are the same.
#[test]
fn what_is_kept_of_a_server_that_each_call_opens_lasts_until_its_tools_change() {
    world::run(async |world| {
        let spec = readable(&world, CachePolicy::keep_for(600 * SECOND)).trust_annotations();
        let session = world.runtime.session("s").server(spec.per_call()).open().await.unwrap();
        let ask = async |n: u32| session.call("a.say", json!({ "result": TEXT, "n": n })).await;
        ask(1).await.unwrap();
        let version = session.tools().version();
        for _ in 0..3 {
            ask(1).await.unwrap();
        }
        assert_eq!(calls(&world).len(), 1);
        ask(2).await.unwrap();
        ask(1).await.unwrap();
        assert_eq!(calls(&world).len(), 2, "another call is no reason to forget");
        assert_eq!(session.tools().version(), version);
        let other = r#"{"tools":[{"name":"say","inputSchema":{"type":"object"},
            "annotations":{"readOnlyHint":true},"title":"new"}]}"#;
        std::fs::write(world.folder().join("listed"), other.replace('\n', "")).unwrap();
        ask(3).await.unwrap();
        assert!(session.tools().version() > version);
        ask(1).await.unwrap();
        assert_eq!(calls(&world).len(), 4, "its tools have changed");
    });
}

/// Numbers go out to the digit, whatever they are read as.
#[test]
fn calls_that_differ_in_large_numbers_are_different_calls() {
    world::run(async |world| {
        let keep = CachePolicy::keep_for(60 * SECOND);
        let session = cached(&world, keep, Limits::default(), true).await;
        for (n, sent) in [("18446744073709551617", 1), ("18446744073709551618", 2)] {
            let arguments = format!(r#"{{"n":{n},"result":{}}}"#, Value::from(TEXT));
            for _ in 0..2 {
                let raw = serde_json::value::RawValue::from_string(arguments.clone()).unwrap();
                session.call("a.say", raw).await.unwrap();
            }
            assert_eq!(calls(&world).len(), sent);
        }
    });
}

async fn twice(session: &Session, tool: &str, result: &str) {
    for _ in 0..2 {
        drop(session.call(tool, say(result)).await);
    }
}

#[test]
fn what_may_not_be_kept_is_not() {
    world::run(async |world| {
        let keep = CachePolicy::keep_for(60 * SECOND);
        let session = cached(&world, keep, Limits::default(), true).await;
        twice(&session, "a.say", r#"{"content":[],"isError":true}"#).await;
        twice(&session, "a.say", "5").await;
        twice(&session, "a.say", r#"{"resultType":"input_required","inputRequests":{}}"#).await;
        assert_eq!(calls(&world).len(), 6);
        let arguments = || json!({ "times": 0, "ms": 0 });
        session.call("a.progress", arguments()).await.unwrap();
        session.call("a.progress", arguments()).await.unwrap();
        assert_eq!(calls(&world).len(), 8, "not read-only");
        let any = CallOptions::default().cache(keep.even_if_not_read_only());
        for _ in 0..2 {
            session.call("a.progress", arguments()).with_options(&any).await.unwrap();
        }
        assert_eq!(calls(&world).len(), 9);
        session.close().await;
        let session = cached(&world, keep, Limits::default(), false).await;
        twice(&session, "a.say", TEXT).await;
        assert_eq!(calls(&world).len(), 11, "annotations are claims");
    });
}

/// C23.
#[test]
fn a_server_may_say_how_long_a_result_can_be_kept() {
    world::run(async |world| {
        let hinted = CachePolicy::as_the_server_says();
        let session = cached(&world, hinted, Limits::default(), true).await;
        twice(&session, "a.say", r#"{"content":[],"ttlMs":60000,"cacheScope":"private"}"#).await;
        assert_eq!(calls(&world).len(), 1);
        twice(&session, "a.say", r#"{"content":[]}"#).await;
        twice(&session, "a.say", r#"{"content":[],"ttlMs":0}"#).await;
        twice(&session, "a.say", r#"{"content":[],"ttlMs":-5}"#).await;
        assert_eq!(calls(&world).len(), 7);
    });
}

#[test]
fn what_is_kept_is_bounded_by_count_and_by_bytes() {
    world::run(async |world| {
        let keep = CachePolicy::keep_for(60 * SECOND);
        let limits = Limits::default().with_max_cached(2, 2000);
        let session = cached(&world, keep, limits, true).await;
        let ask = async |n: u32, size: usize| {
            let result = json!({ "content": [], "pad": "x".repeat(size) }).to_string();
            session.call("a.say", json!({ "result": result, "n": n })).await.unwrap();
            calls(&world).len()
        };
        assert_eq!((ask(1, 9).await, ask(2, 9).await, ask(1, 9).await), (1, 2, 2));
        assert_eq!(
            (ask(3, 9).await, ask(1, 9).await, ask(2, 9).await),
            (3, 3, 4),
            "2 was the oldest"
        );
        assert_eq!((ask(4, 3000).await, ask(4, 3000).await), (5, 6), "too large to be kept");
        assert_eq!(ask(2, 9).await, 6, "and nothing made room for it");
    });
}
