//! The keys of a declared server and of the calls to it, beside how it is reached.

use serde_json::{Value as Json, json};

use super::{
    policies::{
        BREAKER, CACHE, HEALTH, LIMITS, RATE, RESTART, RETRY, maybe_time, read_restart,
        restart_schema,
    },
    reader::Reader,
    table::{Field, Table, Take, time_text},
    tree::Node,
};
#[cfg(feature = "validate")]
use crate::policy::SchemaCheck;
use crate::{
    policy::{
        CachePolicy, CallOptions, CircuitBreaker, HealthCheck, Limits, RateLimit, RestartPolicy,
        RetryPolicy, WhenDown,
    },
    spec::{Opening, ServerSpec},
};

const OPENINGS: [&str; 3] = ["with_session", "lazy", "per_call"];

pub(super) static SERVER: Table<ServerSpec> = Table(&[
    Field {
        name: "prefix",
        about: "Names the tools <prefix>.<tool> instead of <server>.<tool>; empty for <tool> alone.",
        take: Take::Text(|spec, prefix| spec.prefix = Some(prefix)),
        get: |spec| spec.prefix.as_deref().into(),
    },
    Field {
        name: "required",
        about: "Makes opening the session wait for this server, and fail with it. Default: false.",
        take: Take::Flag(|spec, required| spec.required = required),
        get: |spec| spec.required.into(),
    },
    Field {
        name: "start",
        about: "When it is started: with the session, by its first call, or for each call anew.",
        take: Take::Choice(&OPENINGS, |spec, text| {
            spec.opening = match text {
                "lazy" => Opening::Lazy,
                "per_call" => Opening::PerCall,
                _ => Opening::Eager,
            };
        }),
        get: |spec| match spec.opening {
            Opening::Eager => "with_session".into(),
            Opening::Lazy => "lazy".into(),
            Opening::PerCall => "per_call".into(),
        },
    },
    Field {
        name: "stop_when_idle",
        about: "Stops it when no call has been in flight for this long; the next starts it again.",
        take: Take::Time(|spec, time| spec.stop_when_idle = Some(time)),
        get: |spec| maybe_time(spec.stop_when_idle),
    },
    Field {
        name: "init_timeout",
        about: "How long one start may take: process, handshake and first listing. Default: 30s.",
        take: Take::Time(|spec, time| spec.init_timeout = time),
        get: |spec| time_text(spec.init_timeout),
    },
    Field {
        name: "restart",
        about: "When and how often the server is started again.",
        take: Take::Other(
            |spec, node, reader| read_restart(&mut spec.restart, node, reader),
            restart_schema,
        ),
        get: |spec| RESTART.write(&spec.restart, &RestartPolicy::default()).into(),
    },
    Field {
        name: "limits",
        about: "The bounds of this server.",
        take: Take::Other(
            |spec, node, reader| LIMITS.read(&mut spec.limits, node, reader),
            || LIMITS.schema(),
        ),
        get: |spec| LIMITS.write(&spec.limits, &Limits::default()).into(),
    },
    Field {
        name: "trust_annotations",
        about: "Believes what the server says of its tools: which only read, which may be repeated.",
        take: Take::Flag(|spec, trusted| spec.trusts_annotations = trusted),
        get: |spec| spec.trusts_annotations.into(),
    },
    Field {
        name: "tags",
        about: "Tags of all its tools.",
        take: Take::Texts(|spec, tags| spec.tags = tags),
        get: |spec| spec.tags.clone().into(),
    },
    Field {
        name: "only_tools",
        about: "Offers only the tools whose name fits one of these patterns.",
        take: Take::Texts(|spec, patterns| spec.only_tools = Some(patterns)),
        get: |spec| spec.only_tools.clone().into(),
    },
    Field {
        name: "without_tools",
        about: "Leaves out the tools whose name fits one of these patterns.",
        take: Take::Texts(|spec, patterns| spec.without_tools = patterns),
        get: |spec| spec.without_tools.clone().into(),
    },
    Field {
        name: "circuit_breaker",
        about: "Leaves the server alone for a while when calls to it fail again and again.",
        take: Take::Other(
            |spec, node, reader| {
                BREAKER.read(spec.breaker.insert(CircuitBreaker::default()), node, reader);
            },
            || BREAKER.schema(),
        ),
        get: |spec| {
            let written = |one: CircuitBreaker| BREAKER.write(&one, &CircuitBreaker::default());
            spec.breaker.map_or(Json::Null, |breaker| written(breaker).into())
        },
    },
    Field {
        name: "rate_limit",
        about: "Limits how often the server is called.",
        take: Take::Other(
            |spec, node, reader| {
                RATE.read(spec.rate_limit.insert(RateLimit::default()), node, reader)
            },
            || RATE.schema(),
        ),
        get: |spec| {
            let written = |one: RateLimit| RATE.write(&one, &RateLimit::default());
            spec.rate_limit.map_or(Json::Null, |limit| written(limit).into())
        },
    },
    Field {
        name: "health",
        about: "Declares the server down when it no longer answers.",
        take: Take::Other(
            |spec, node, reader| {
                HEALTH.read(spec.health.insert(HealthCheck::default()), node, reader)
            },
            || HEALTH.schema(),
        ),
        get: |spec| {
            let written = |one: HealthCheck| HEALTH.write(&one, &HealthCheck::default());
            spec.health.map_or(Json::Null, |check| written(check).into())
        },
    },
    Field {
        name: "roots",
        about: "Roots, as file:// URIs, that the server is told when it asks for them.",
        take: Take::Texts(|spec, roots| spec.roots = roots),
        get: |spec| spec.roots.clone().into(),
    },
    Field {
        name: "tools",
        about: "What holds for calls of tools whose name fits a pattern; * stands for any text.",
        take: Take::Other(
            read_tools,
            || json!({ "type": "object", "additionalProperties": CALLS.schema() }),
        ),
        get: |spec| {
            let written = |(pattern, options): &(String, CallOptions)| {
                (pattern.clone(), Json::from(CALLS.write(options, &CallOptions::default())))
            };
            Json::Object(spec.tool_options.iter().map(written).collect())
        },
    },
]);

/// What holds for calls: at a server for all of its tools, or for some.
pub(super) static CALLS: Table<CallOptions> = Table(&[
    Field {
        name: "request_timeout",
        about: "How long a call may go without an answer or progress. Default: 60s; 0 for no limit.",
        take: Take::Time(|options, time| options.idle_timeout = Some(time)),
        get: |options| maybe_time(options.idle_timeout),
    },
    Field {
        name: "total_timeout",
        about: "How long a call may take in all. Default: 10m; 0 for no limit.",
        take: Take::Time(|options, time| options.total_timeout = Some(time)),
        get: |options| maybe_time(options.total_timeout),
    },
    Field {
        name: "retry",
        about: "When a call that failed is tried again. Default: never.",
        take: Take::Other(
            |options, node, reader| {
                RETRY.read(options.retry.insert(RetryPolicy::default()), node, reader)
            },
            || RETRY.schema(),
        ),
        get: |options| {
            let written = |one: RetryPolicy| RETRY.write(&one, &RetryPolicy::default());
            options.retry.map_or(Json::Null, |retry| written(retry).into())
        },
    },
    Field {
        name: "when_down",
        about: "What a call does whose server is down. Default: it fails.",
        take: Take::Choice(&["fail", "wait"], |options, text| {
            options.when_down = Some(if text == "wait" { WhenDown::Wait } else { WhenDown::Fail });
        }),
        get: |options| match options.when_down {
            Some(WhenDown::Wait) => "wait".into(),
            Some(WhenDown::Fail) => "fail".into(),
            None => Json::Null,
        },
    },
    Field {
        name: "cache",
        about: "Which results are kept for calls with the same arguments. Default: none.",
        take: Take::Other(
            |options, node, reader| {
                CACHE.read(options.cache.insert(CachePolicy::off()), node, reader)
            },
            || CACHE.schema(),
        ),
        get: |options| {
            let written = |one: CachePolicy| CACHE.write(&one, &CachePolicy::off());
            options.cache.map_or(Json::Null, |cache| written(cache).into())
        },
    },
    #[cfg(feature = "validate")]
    Field {
        name: "check_arguments",
        about: "Whether arguments are checked against the schema of their tool. Default: off.",
        take: Take::Choice(&CHECKS, |options, text| options.check_arguments = Some(check(text))),
        get: |options| check_text(options.check_arguments),
    },
    #[cfg(feature = "validate")]
    Field {
        name: "check_output",
        about: "Whether results are checked against the schema of their tool. Default: off.",
        take: Take::Choice(&CHECKS, |options, text| options.check_output = Some(check(text))),
        get: |options| check_text(options.check_output),
    },
    Field {
        name: "meta",
        about: "Members of the _meta of each request.",
        take: Take::Object(|options, meta| options.meta = meta),
        get: |options| options.meta.clone().into(),
    },
]);

#[cfg(feature = "validate")]
const CHECKS: [&str; 3] = ["off", "warn", "refuse"];

#[cfg(feature = "validate")]
fn check(text: &str) -> SchemaCheck {
    match text {
        "warn" => SchemaCheck::Warn,
        "refuse" => SchemaCheck::Refuse,
        _ => SchemaCheck::Off,
    }
}

#[cfg(feature = "validate")]
fn check_text(check: Option<SchemaCheck>) -> Json {
    match check {
        None => Json::Null,
        Some(SchemaCheck::Off) => "off".into(),
        Some(SchemaCheck::Warn) => "warn".into(),
        Some(SchemaCheck::Refuse) => "refuse".into(),
    }
}

fn read_tools(spec: &mut ServerSpec, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else { return reader.expected(node, "an object") };
    for member in members {
        let mut options = CallOptions::default();
        CALLS.read(&mut options, &member.node, reader);
        spec.tool_options.push((member.name.clone(), options));
    }
}
