//! What a server claims about what its tool does.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a server says about what its tool does: hints, which it may get wrong (MCP 2026-07-28,
/// server/tools). `None` is what it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// What it changes may be lost for good.
    pub destructive: Option<bool>,
    /// A second call with the same arguments changes nothing more.
    pub idempotent: Option<bool>,
    /// It deals with the world outside of its server.
    pub open_world: Option<bool>,
}

impl Annotations {
    /// Reads each hint for itself, so that an odd one costs no other.
    pub(super) fn read(raw: &RawValue) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Hints<'a> {
            #[serde(borrow)]
            read_only_hint: Option<&'a RawValue>,
            #[serde(borrow)]
            destructive_hint: Option<&'a RawValue>,
            #[serde(borrow)]
            idempotent_hint: Option<&'a RawValue>,
            #[serde(borrow)]
            open_world_hint: Option<&'a RawValue>,
        }
        let Ok(hints) = serde_json::from_str::<Hints<'_>>(raw.get()) else {
            return Self::default();
        };
        let flag = |hint: Option<&RawValue>| serde_json::from_str(hint?.get()).ok();
        Self {
            read_only: flag(hints.read_only_hint),
            destructive: flag(hints.destructive_hint),
            idempotent: flag(hints.idempotent_hint),
            open_world: flag(hints.open_world_hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_hint_costs_no_other() {
        let read = |text: &str| Annotations::read(serde_json::from_str(text).unwrap());
        let hints = read(r#"{"readOnlyHint":"yes","idempotentHint":true,"x":[1]}"#);
        assert_eq!(hints, Annotations { idempotent: Some(true), ..Annotations::default() });
        assert_eq!(read("null"), Annotations::default());
    }
}
