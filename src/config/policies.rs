//! The keys of policies: restarts, limits, breaker, health, rate, retries, cache.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{
    reader::Reader,
    table::{Field, Table, Take, time_text},
    tree::{Node, Value},
};
use crate::policy::{
    Backoff, CachePolicy, CircuitBreaker, HealthCheck, Lifetime, Limits, RateLimit, RestartMode,
    RestartPolicy, RetryPolicy,
};

const MODES: [&str; 3] = ["never", "on_failure", "always"];

pub(super) static RESTART: Table<RestartPolicy> = Table(&[
    Field {
        name: "policy",
        about: "After which ends of a connection it is started again. Default: on_failure.",
        take: Take::Choice(&MODES, |policy, mode| policy.mode = restart_mode(mode)),
        get: |policy| mode_text(policy.mode).into(),
    },
    Field {
        name: "max_restarts",
        about: "Gives up after so many restarts within the window. Default: 5.",
        take: Take::Count(|policy, count| policy.max_restarts = small(count)),
        get: |policy| policy.max_restarts.into(),
    },
    Field {
        name: "window",
        about: "The time in which restarts are counted. Default: 60s.",
        take: Take::Time(|policy, time| policy.window = time),
        get: |policy| time_text(policy.window),
    },
    Field {
        name: "reset_after",
        about: "After how long a time of readiness restarts are counted afresh. Default: 60s.",
        take: Take::Time(|policy, time| policy.reset_after = time),
        get: |policy| time_text(policy.reset_after),
    },
    Field {
        name: "initial_delay",
        about: "The delay before the first restart; each is twice the one before. Default: 200ms.",
        take: Take::Time(|policy, time| policy.backoff.initial = time),
        get: |policy| time_text(policy.backoff.initial),
    },
    Field {
        name: "max_delay",
        about: "The longest delay before a restart. Default: 30s.",
        take: Take::Time(|policy, time| policy.backoff.max = time),
        get: |policy| time_text(policy.backoff.max),
    },
    Field {
        name: "jitter",
        about: "Whether each delay is drawn from zero up to itself. Default: true.",
        take: Take::Flag(|policy, jitter| {
            let Backoff { initial, max, .. } = policy.backoff;
            let backoff = Backoff::new(initial, max);
            policy.backoff = if jitter { backoff } else { backoff.without_jitter() };
        }),
        get: |policy| policy.backoff.jitter.into(),
    },
]);

/// `restart = "never"`, or the whole of it.
pub(super) fn read_restart(policy: &mut RestartPolicy, node: &Node, reader: &mut Reader<'_>) {
    match &node.value {
        Value::Text(mode) if MODES.contains(&mode.as_str()) => policy.mode = restart_mode(mode),
        Value::Text(_) => {
            reader.fault(node.at, format!("one of {} is wanted here", MODES.join(", ")), None);
        }
        _ => RESTART.read(policy, node, reader),
    }
}

pub(super) fn restart_schema() -> Json {
    json!({ "anyOf": [{ "enum": MODES }, RESTART.schema()] })
}

fn restart_mode(text: &str) -> RestartMode {
    match text {
        "never" => RestartMode::Never,
        "always" => RestartMode::Always,
        _ => RestartMode::OnFailure,
    }
}

fn mode_text(mode: RestartMode) -> &'static str {
    match mode {
        RestartMode::Never => "never",
        RestartMode::OnFailure => "on_failure",
        RestartMode::Always => "always",
    }
}

pub(super) static LIMITS: Table<Limits> = Table(&[
    Field {
        name: "max_calls",
        about: "Calls in flight. Default: 256.",
        take: Take::Count(|limits, count| limits.max_calls = size(count)),
        get: |limits| limits.max_calls.into(),
    },
    Field {
        name: "max_concurrent",
        about: "Calls that are sent at once; more wait for their turn. Default: as many as in flight.",
        take: Take::Count(|limits, count| limits.max_concurrent = Some(size(count))),
        get: |limits| limits.max_concurrent.into(),
    },
    Field {
        name: "max_cached",
        about: "Results that are kept. Default: 1024.",
        take: Take::Count(|limits, count| limits.max_cached.0 = size(count)),
        get: |limits| limits.max_cached.0.into(),
    },
    Field {
        name: "max_cached_bytes",
        about: "Bytes that kept results may take. Default: 16 MiB.",
        take: Take::Count(|limits, count| limits.max_cached.1 = size(count)),
        get: |limits| limits.max_cached.1.into(),
    },
    Field {
        name: "max_call_bytes",
        about: "Bytes of requests in flight. Default: 64 MiB.",
        take: Take::Count(|limits, count| limits.max_call_bytes = size(count)),
        get: |limits| limits.max_call_bytes.into(),
    },
    Field {
        name: "max_memory",
        about: "Bytes of resident memory of its processes; more restart it. Default: no limit.",
        take: Take::Count(|limits, count| limits.max_memory = Some(count)),
        get: |limits| limits.max_memory.into(),
    },
    Field {
        name: "max_frame",
        about: "Bytes of the largest message the server may send. Default: 64 MiB.",
        take: Take::Count(|limits, count| limits.max_frame = size(count)),
        get: |limits| limits.max_frame.into(),
    },
    Field {
        name: "max_pages",
        about: "Pages of one listing. Default: 256.",
        take: Take::Count(|limits, count| limits.max_pages = size(count)),
        get: |limits| limits.max_pages.into(),
    },
    Field {
        name: "max_tools",
        about: "Tools of one listing. Default: 16384.",
        take: Take::Count(|limits, count| limits.max_tools = size(count)),
        get: |limits| limits.max_tools.into(),
    },
    Field {
        name: "max_recorded",
        about: "Messages that are kept for reports of what went over a link. Default: 32.",
        take: Take::Count(|limits, count| limits.record.0 = size(count)),
        get: |limits| limits.record.0.into(),
    },
    Field {
        name: "max_recorded_bytes",
        about: "Bytes of each message that is kept for reports. Default: 112.",
        take: Take::Count(|limits, count| limits.record.1 = size(count)),
        get: |limits| limits.record.1.into(),
    },
]);

pub(super) static BREAKER: Table<CircuitBreaker> = Table(&[
    Field {
        name: "threshold",
        about: "After how many failures in a row calls fail at once. Default: 5.",
        take: Take::Count(|breaker, count| breaker.threshold = small(count)),
        get: |breaker| breaker.threshold.into(),
    },
    Field {
        name: "recovery",
        about: "For how long. Default: 60s.",
        take: Take::Time(|breaker, time| breaker.recovery = time),
        get: |breaker| time_text(breaker.recovery),
    },
]);

pub(super) static HEALTH: Table<HealthCheck> = Table(&[
    Field {
        name: "probe_after",
        about: "After how many calls in a row that timed out it is probed. Default: 3.",
        take: Take::Count(|check, count| check.probe_after = Some(small(count))),
        get: |check| check.probe_after.into(),
    },
    Field {
        name: "probe_every",
        about: "After how long a silence it is probed. Default: never.",
        take: Take::Time(|check, time| check.probe_every = Some(time)),
        get: |check| maybe_time(check.probe_every),
    },
    Field {
        name: "probe_within",
        about: "How long it has to answer a probe. Default: 10s.",
        take: Take::Time(|check, time| check.probe_within = time),
        get: |check| time_text(check.probe_within),
    },
    Field {
        name: "down_after",
        about: "After how many calls in a row that timed out it is taken for dead. Default: never.",
        take: Take::Count(|check, count| check.down_after = Some(small(count))),
        get: |check| check.down_after.into(),
    },
]);

pub(super) static RATE: Table<RateLimit> = Table(&[
    Field {
        name: "calls",
        about: "How many calls may begin within the time. Default: 60.",
        take: Take::Count(|limit, count| limit.calls = small(count)),
        get: |limit| limit.calls.into(),
    },
    Field {
        name: "per",
        about: "The time. Default: 60s.",
        take: Take::Time(|limit, time| limit.per = time),
        get: |limit| time_text(limit.per),
    },
    Field {
        name: "burst",
        about: "How many may come at once after a pause. Default: 10.",
        take: Take::Count(|limit, count| limit.burst = small(count)),
        get: |limit| limit.burst.into(),
    },
]);

pub(super) static RETRY: Table<RetryPolicy> = Table(&[
    Field {
        name: "max_attempts",
        about: "How often a call that failed is tried again, where that cannot run a tool twice.",
        take: Take::Count(|policy, count| policy.max_attempts = small(count)),
        get: |policy| policy.max_attempts.into(),
    },
    Field {
        name: "delay",
        about: "The pause before the first repetition. Default: 1s.",
        take: Take::Time(|policy, time| policy.delay = time),
        get: |policy| time_text(policy.delay),
    },
    Field {
        name: "backoff",
        about: "The factor by which each pause is longer than the one before. Default: 2.",
        take: Take::Number(|policy, factor| policy.backoff = factor),
        get: |policy| policy.backoff.into(),
    },
    Field {
        name: "jitter",
        about: "Whether pauses are drawn from between their half and their whole. Default: true.",
        take: Take::Flag(|policy, jitter| policy.jitter = jitter),
        get: |policy| policy.jitter.into(),
    },
    Field {
        name: "retry_unsafe",
        about: "Tries again even where the server may have acted already.",
        take: Take::Flag(|policy, on| policy.retry_unsafe = on),
        get: |policy| policy.retry_unsafe.into(),
    },
]);

const LIFETIMES: [&str; 2] = ["off", "as_the_server_says"];

pub(super) static CACHE: Table<CachePolicy> = Table(&[
    Field {
        name: "policy",
        about: "Keeps nothing, or each result for as long as its server says.",
        take: Take::Choice(&LIFETIMES, |policy, text| {
            policy.lifetime = if text == "off" { Lifetime::Off } else { Lifetime::Hinted };
        }),
        get: |policy| match policy.lifetime {
            Lifetime::Off => "off".into(),
            Lifetime::Hinted => "as_the_server_says".into(),
            Lifetime::Fixed(_) => Json::Null,
        },
    },
    Field {
        name: "keep_for",
        about: "Keeps every result for this long.",
        take: Take::Time(|policy, time| policy.lifetime = Lifetime::Fixed(time)),
        get: |policy| match policy.lifetime {
            Lifetime::Fixed(time) => time_text(time),
            Lifetime::Off | Lifetime::Hinted => Json::Null,
        },
    },
    Field {
        name: "even_if_not_read_only",
        about: "Keeps results of tools, too, that may change something.",
        take: Take::Flag(|policy, on| policy.any_tool = on),
        get: |policy| policy.any_tool.into(),
    },
]);

/// A number of the size that is wanted; what is larger is as good as no limit.
fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A time, or null where there is none.
pub(super) fn maybe_time(time: Option<Duration>) -> Json {
    time.map_or(Json::Null, time_text)
}
