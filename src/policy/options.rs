//! What can be said about a call, and how what was said at several places becomes one.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{CachePolicy, RetryPolicy};

/// How long a call may go without an answer or progress, where nobody says otherwise.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a call may take in all, where nobody says otherwise.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(600);

/// What is said about calls: by the runtime, the session, the server, the tool or the call itself.
///
/// What is left out is inherited from the place before, in this order; what nobody says has the
/// default that stands at each field.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long a call may go without an answer or progress, from the moment it is sent. Default
    /// 60 s; `Duration::ZERO` means no such limit.
    pub idle_timeout: Option<Duration>,
    /// How long a call may take from its first poll, over waiting, queueing, writing, all attempts
    /// and the pauses between them, however much progress it reports. Default 10 min;
    /// `Duration::ZERO` means no such limit.
    pub total_timeout: Option<Duration>,
    /// When a call that failed is tried again. Default: never.
    pub retry: Option<RetryPolicy>,
    /// What a call does whose server is down. Default: it fails at once.
    pub when_down: Option<WhenDown>,
    /// Which results are kept for calls with the same arguments. Default: none.
    pub cache: Option<CachePolicy>,
    /// Whether arguments are checked against the tool's `inputSchema` before they are sent. Default:
    /// not.
    #[cfg(feature = "validate")]
    pub check_arguments: Option<SchemaCheck>,
    /// Whether the structured content of a result is checked against the tool's `outputSchema`.
    /// Default: not.
    #[cfg(feature = "validate")]
    pub check_output: Option<SchemaCheck>,
    /// Members of the `_meta` of each request, added up over all places. Those that this crate
    /// writes itself (`progressToken`, and what begins with `io.modelcontextprotocol/`) are left
    /// out.
    pub meta: Map<String, Value>,
}

/// What a call does whose server is not Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenDown {
    /// It fails at once, as [`NotReady`](crate::CallError::NotReady).
    #[default]
    Fail,
    /// It waits for the server until its total timeout is over, and fails as
    /// [`NotReady`](crate::CallError::NotReady) then, or as soon as the server is given up.
    Wait,
}

/// What is done about arguments and results that do not fit the schemas of their tool.
///
/// A schema is compiled when it is first wanted, once for each time that its server lists its tools.
/// Nothing that it refers to is fetched. One that cannot be used (another dialect, a reference to
/// nowhere or back to where it began, more than 512 KiB or 256 patterns, or references that multiply)
/// counts as one that nothing fits; so does, of one that recurses or is very wide, what would take
/// about a second to check. Where a large value has faults in many ways, it is not said where.
#[cfg(feature = "validate")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SchemaCheck {
    /// Nothing is checked.
    #[default]
    Off,
    /// What does not fit is logged, without its values, and goes on.
    Warn,
    /// Arguments that do not fit are not sent, and end the call as
    /// [`SchemaMismatch`](crate::CallError::SchemaMismatch); a result that does not fit ends it as
    /// [`InvalidResponse`](crate::CallError::InvalidResponse).
    Refuse,
}

impl CallOptions {
    /// Sets [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// Sets [`total_timeout`](Self::total_timeout).
    #[must_use]
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Sets [`when_down`](Self::when_down).
    #[must_use]
    pub fn when_down(mut self, what: WhenDown) -> Self {
        self.when_down = Some(what);
        self
    }

    /// Sets [`cache`](Self::cache).
    #[must_use]
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.cache = Some(policy);
        self
    }

    /// Sets [`check_arguments`](Self::check_arguments).
    #[cfg(feature = "validate")]
    #[must_use]
    pub fn check_arguments(mut self, check: SchemaCheck) -> Self {
        self.check_arguments = Some(check);
        self
    }

    /// Sets [`check_output`](Self::check_output).
    #[cfg(feature = "validate")]
    #[must_use]
    pub fn check_output(mut self, check: SchemaCheck) -> Self {
        self.check_output = Some(check);
        self
    }

    /// Adds a member to [`meta`](Self::meta).
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// These options, and where they say nothing, what is inherited.
    pub(crate) fn over(&self, inherited: &Self) -> Self {
        let mut meta = inherited.meta.clone();
        meta.extend(self.meta.clone());
        Self {
            idle_timeout: self.idle_timeout.or(inherited.idle_timeout),
            total_timeout: self.total_timeout.or(inherited.total_timeout),
            retry: self.retry.or(inherited.retry),
            when_down: self.when_down.or(inherited.when_down),
            cache: self.cache.or(inherited.cache),
            #[cfg(feature = "validate")]
            check_arguments: self.check_arguments.or(inherited.check_arguments),
            #[cfg(feature = "validate")]
            check_output: self.check_output.or(inherited.check_output),
            meta,
        }
    }

    /// Whether they put anything between a call and its link.
    pub(crate) fn guard_calls(&self) -> bool {
        self.retry.is_some_and(|policy| policy.is_on())
            || self.when_down == Some(WhenDown::Wait)
            || self.cache.is_some_and(|policy| policy.is_on())
            || self.check_schemas()
    }

    #[cfg(feature = "validate")]
    fn check_schemas(&self) -> bool {
        let is_on = |check: Option<SchemaCheck>| check.unwrap_or_default() != SchemaCheck::Off;
        is_on(self.check_arguments) || is_on(self.check_output)
    }

    #[cfg(not(feature = "validate"))]
    fn check_schemas(&self) -> bool {
        false
    }

    /// The idle limit that holds; none if there is none.
    pub(crate) fn idle(&self) -> Option<Duration> {
        Some(self.idle_timeout.unwrap_or(IDLE_TIMEOUT)).filter(|limit| !limit.is_zero())
    }

    /// The total limit that holds; none if there is none.
    pub(crate) fn total(&self) -> Option<Duration> {
        Some(self.total_timeout.unwrap_or(TOTAL_TIMEOUT)).filter(|limit| !limit.is_zero())
    }

    /// The members of `_meta` as they stand in a request, without the braces.
    pub(crate) fn meta_members(&self) -> String {
        let ours =
            |key: &str| key == "progressToken" || key.starts_with("io.modelcontextprotocol/");
        let members = self.meta.iter().filter(|(key, _)| !ours(key));
        let members = members.map(|(key, value)| format!("{}:{value}", Value::from(key.as_str())));
        members.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_left_out_is_inherited() {
        let runtime = CallOptions::default().total_timeout(9 * SECOND).meta("a", 1).meta("b", 1);
        let session = CallOptions::default().when_down(WhenDown::Wait).meta("b", 2);
        let call = CallOptions::default().total_timeout(3 * SECOND);
        let merged = call.over(&session.over(&runtime));
        assert_eq!(merged.total(), Some(3 * SECOND));
        assert_eq!(merged.idle(), Some(60 * SECOND));
        assert_eq!(merged.when_down, Some(WhenDown::Wait));
        assert_eq!(Value::from(merged.meta), json!({ "a": 1, "b": 2 }));
    }

    /// FX-37: no limit for the call leaves the limit in all.
    #[test]
    fn zero_means_no_limit_of_that_kind() {
        let options = CallOptions::default().idle_timeout(Duration::ZERO);
        assert_eq!((options.idle(), options.total()), (None, Some(600 * SECOND)));
        assert_eq!(options.total_timeout(Duration::ZERO).total(), None);
    }

    #[test]
    fn members_that_are_ours_to_write_are_left_out_of_meta() {
        let options =
            CallOptions::default().meta("progressToken", 1).meta("x\"y", json!({ "z": 1 }));
        let options = options.meta("io.modelcontextprotocol/clientInfo", "me");
        assert_eq!(options.meta_members(), r#""x\"y":{"z":1}"#);
        assert_eq!(CallOptions::default().meta_members(), "");
    }
}
