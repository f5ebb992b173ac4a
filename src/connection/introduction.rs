//! What we say of ourselves to a server: who we are, what the host can be asked for, and how much of
//! its log we want.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Map, Value, json};

use crate::host::{HostCapabilities, LogLevel};

/// The tasks extension, which this crate follows by itself.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a connection's server is told of its client.
#[derive(Debug)]
pub(crate) struct Introduction {
    /// For `initialize`.
    capabilities: Value,
    /// The members of the `_meta` of every request of MCP 2026-07-28: without a log level, and with
    /// each; written when first needed.
    meta: [OnceLock<Box<str>>; LogLevel::ALL.len() + 1],
    /// Which of them counts.
    level: AtomicUsize,
}

impl Introduction {
    pub(crate) fn new(host: &HostCapabilities) -> Self {
        Self { capabilities: declared(host), meta: Default::default(), level: AtomicUsize::new(0) }
    }

    /// The capabilities that `initialize` declares.
    pub(super) fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    /// The members of `_meta` that every request of MCP 2026-07-28 carries.
    pub(super) fn meta(&self) -> &str {
        let level = self.level.load(Ordering::Relaxed);
        let place = self.meta.get(level).unwrap_or(&self.meta[0]);
        place.get_or_init(|| self.write_meta(level).into())
    }

    /// Has every request from now on ask for this much of the server's log.
    pub(super) fn want_log(&self, level: LogLevel) {
        self.level.store(level as usize + 1, Ordering::Relaxed);
    }

    /// How much of the server's log was asked for, if it was.
    pub(super) fn log_level(&self) -> Option<LogLevel> {
        let level = self.level.load(Ordering::Relaxed);
        LogLevel::ALL.get(level.checked_sub(1)?).copied()
    }

    fn write_meta(&self, level: usize) -> String {
        let mut capabilities = self.capabilities.clone();
        // There, what a client offers of roots is not announced: no server could be told.
        if let Some(roots) = capabilities.get_mut("roots") {
            *roots = json!({});
        }
        capabilities["extensions"] = json!({ TASKS: {} });
        let mut members = Map::new();
        let mut say = |key: &str, value| {
            members.insert(format!("io.modelcontextprotocol/{key}"), value);
        };
        say("protocolVersion", json!(super::handshake::MODERN));
        say("clientInfo", client());
        say("clientCapabilities", capabilities);
        if let Some(level) = level.checked_sub(1).and_then(|place| LogLevel::ALL.get(place)) {
            say("logLevel", json!(level.as_str()));
        }
        let object = Value::Object(members).to_string();
        object[1..object.len() - 1].to_owned()
    }
}

/// Who we are.
pub(super) fn client() -> Value {
    json!({ "name": "callboard", "version": env!("CARGO_PKG_VERSION") })
}

/// Only what the host implements is declared (MCP 2025-11-25, basic/lifecycle).
fn declared(host: &HostCapabilities) -> Value {
    let mut declared = json!({});
    if host.roots {
        declared["roots"] = json!({ "listChanged": true });
    }
    if host.sampling {
        declared["sampling"] = if host.sampling_tools { json!({ "tools": {} }) } else { json!({}) };
    }
    let mut elicitation = Map::new();
    if host.forms {
        elicitation.insert("form".to_owned(), json!({}));
    }
    if host.urls {
        elicitation.insert("url".to_owned(), json!({}));
    }
    if !elicitation.is_empty() {
        declared["elicitation"] = Value::Object(elicitation);
    }
    declared
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C5, C30.
    #[test]
    fn only_what_the_host_implements_is_declared() {
        let nothing = Introduction::new(&HostCapabilities::default());
        assert_eq!(nothing.capabilities(), &json!({}));
        let host = HostCapabilities::default().sampling().elicitation_forms();
        let some = Introduction::new(&host);
        assert_eq!(some.capabilities(), &json!({ "sampling": {}, "elicitation": { "form": {} } }));
        let meta: Value = serde_json::from_str(&format!("{{{}}}", some.meta())).unwrap();
        let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(declared["sampling"], json!({}));
        assert!(declared.get("roots").is_none());
    }

    #[test]
    fn the_log_level_goes_with_every_request_once_it_was_asked_for() {
        let said = Introduction::new(&HostCapabilities::default());
        assert!(!said.meta().contains("logLevel"));
        said.want_log(LogLevel::Warning);
        assert!(said.meta().contains(r#""io.modelcontextprotocol/logLevel":"warning""#));
        assert_eq!(said.log_level(), Some(LogLevel::Warning));
    }
}
