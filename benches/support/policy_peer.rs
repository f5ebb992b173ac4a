//! This crate, with one policy on a call.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::layer::{CallFuture, CallService, Request};
use callboard::{
    CachePolicy, CallError, CallOptions, CircuitBreaker, Decision, Limits, Output, RetryPolicy,
    Runtime, ServerSpec, Session, SessionBuilder, Stdio, Tool, WhenDown,
};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tower_layer::layer_fn;
use tower_service::Service;

use crate::manner::{Manner, executable};
use crate::peer::Peer;

/// What the result has around its text.
const AROUND: usize = r#"{"content":[{"type":"text","text":""}]}"#.len();
const HOUR: Duration = Duration::from_secs(3600);

/// What is put on the calls of a session.
pub(crate) trait Policy: Send + Sync + 'static {
    const NAME: &'static str;
    /// Whether each call has other arguments than the one before.
    const VARIES: bool = false;

    fn server(spec: ServerSpec) -> ServerSpec {
        spec
    }

    fn session(builder: SessionBuilder) -> SessionBuilder {
        builder
    }
}

macro_rules! policies {
    ($($policy:ident $name:literal $spec:expr;)*) => {$(
        pub(crate) struct $policy;

        impl Policy for $policy {
            const NAME: &'static str = $name;

            fn server(spec: ServerSpec) -> ServerSpec {
                let declare: fn(ServerSpec) -> ServerSpec = $spec;
                declare(spec)
            }
        }
    )*};
}

fn options() -> CallOptions {
    CallOptions::default()
}

fn rate() -> callboard::RateLimit {
    callboard::RateLimit::new(u32::MAX, Duration::from_secs(1)).burst(u32::MAX)
}

fn keep() -> CachePolicy {
    CachePolicy::keep_for(HOUR).even_if_not_read_only()
}

policies! {
    Off "off" |spec| spec;
    Lazy "lazy" |spec| spec.lazy();
    StopWhenIdle "stop-when-idle" |spec| spec.stop_when_idle(HOUR);
    Retry "retry" |spec| spec.call_options(options().retry(RetryPolicy::max_attempts(3)));
    Breaker "breaker" |spec| spec.circuit_breaker(CircuitBreaker::default());
    RateLimit "rate-limit" |spec| spec.rate_limit(rate());
    Concurrency "concurrency" |spec| spec.limits(limits().with_max_concurrent(64));
    Wait "wait" |spec| spec.call_options(options().when_down(WhenDown::Wait));
    Layer "layer" |spec| spec.layer(layer_fn(Passing));
    CacheHit "cache-hit" |spec| spec.call_options(options().cache(keep()));
    RetryBreakerRate "retry+breaker+rate-limit" |spec| spec
        .call_options(options().retry(RetryPolicy::max_attempts(3)))
        .circuit_breaker(CircuitBreaker::default())
        .rate_limit(rate());
}

#[cfg(feature = "validate")]
policies! {
    Validate "validate" |spec| spec
        .call_options(options().check_arguments(callboard::SchemaCheck::Refuse));
}

pub(crate) struct CacheMiss;

impl Policy for CacheMiss {
    const NAME: &'static str = "cache-miss";
    const VARIES: bool = true;

    fn server(spec: ServerSpec) -> ServerSpec {
        CacheHit::server(spec)
    }
}

pub(crate) struct Approval;

impl Policy for Approval {
    const NAME: &'static str = "approval";

    fn session(builder: SessionBuilder) -> SessionBuilder {
        builder.approval(|_| std::future::ready(Decision::Allow))
    }
}

/// A layer that does nothing.
#[derive(Clone)]
struct Passing(CallService);

impl Service<Request> for Passing {
    type Response = Output;
    type Error = CallError;
    type Future = CallFuture;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), CallError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> CallFuture {
        self.0.call(request)
    }
}

fn limits() -> Limits {
    // Nobody else here bounds what is in flight.
    Limits::default().with_max_call_bytes(usize::MAX)
}

pub(crate) struct PolicyPeer<P> {
    runtime: Runtime,
    session: Session,
    tool: Tool,
    numbers: AtomicU64,
    policy: PhantomData<P>,
}

impl<P: Policy> Peer for PolicyPeer<P> {
    const NAME: &'static str = P::NAME;

    type Request = Arc<RawValue>;

    fn request(text: &str) -> Arc<RawValue> {
        to_raw_value(&json!({ "text": text })).expect("a text is JSON").into()
    }

    async fn open(manner: Manner) -> Self {
        let runtime = Runtime::start().await;
        let server = Stdio::new(executable()).arg(manner.argument());
        let spec = P::server(ServerSpec::new("bench", server).limits(limits()));
        let builder = P::session(runtime.session("bench").server(spec));
        let session = builder.open().await.expect("open the session");
        let server = session.server("bench").expect("the only server");
        server.ready().await.expect("the server starts");
        let tool = session.tool("bench.echo").expect("the only tool");
        Self { runtime, session, tool, numbers: AtomicU64::new(0), policy: PhantomData }
    }

    async fn call(&self, arguments: &Arc<RawValue>) -> Result<usize, String> {
        let call = if P::VARIES {
            let text = arguments.get();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let varied = format!("{},\"n\":{number}}}", &text[..text.len() - 1]);
            self.tool.call(RawValue::from_string(varied).expect("it is JSON"))
        } else {
            self.tool.call(Arc::clone(arguments))
        };
        let output = call.await.map_err(|error| error.to_string())?;
        Ok(output.raw().len() - AROUND)
    }

    fn pid(&self) -> u32 {
        let server = self.session.server("bench").expect("the only server");
        server.status().pid.expect("a ready server has a process")
    }

    async fn close(self) {
        self.session.close().await;
        self.runtime.shutdown().await;
    }
}
