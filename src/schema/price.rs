//! What it may cost to apply a schema to one instance.

use serde_json::Value;

use super::cost::Known;

/// How often subschemas may be applied: about a second.
const VISITS: u64 = 20_000_000;
/// How deep the validator may go on the stack of the caller: without optimisation it takes up to
/// 1.5 KiB for each, and threads have 2 MiB.
const DEEPEST: u64 = 768;
/// How many errors there may be where some of them are told: all are collected first, …
const ERRORS: u64 = 50_000;
/// … and more than once where the engine of a pattern gives up.
const ERRORS_WHERE_PATTERNS_GO_BACK: u64 = 2_000;
/// So many bytes of a text count as one value.
const TEXT: usize = 64;

/// The most that applying a schema to an instance may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    /// Where what has been seen is remembered.
    visits: u64,
    /// Where it is not.
    errors: u64,
    depth: u64,
}

impl Price {
    pub(super) fn of(known: &Known, instance: &Value) -> Self {
        let Size { values, scalars, depth } = Size::of(instance);
        let cost = known.cost;
        let schema = u64::try_from(cost.depth).unwrap_or(u64::MAX);
        if cost.recursions == 0 {
            let visits = cost.visits.saturating_mul(values);
            return Self { visits, errors: visits, depth: schema };
        }
        // Each recursion is another level of the instance further down. The validator remembers
        // what a schema that begins anew said of an object or an array, and not of a scalar.
        let each = cost.recursions.saturating_pow(depth);
        let all = |each: u64| each.saturating_mul(cost.visits).saturating_mul(values);
        let again = cost.recursions.saturating_mul(cost.flat).saturating_mul(scalars);
        let remembered = all(1).saturating_add(again).saturating_mul(known.recursive.max(1));
        Self {
            visits: all(each).min(remembered),
            errors: all(each),
            depth: schema.saturating_mul(u64::from(depth) + 1),
        }
    }

    pub(super) fn is_affordable(self) -> bool {
        self.visits <= VISITS && self.depth <= DEEPEST
    }

    /// Whether all errors may be collected, to tell some.
    pub(super) fn may_be_told(self, patterns_go_back: bool) -> bool {
        self.errors <= if patterns_go_back { ERRORS_WHERE_PATTERNS_GO_BACK } else { ERRORS }
    }
}

/// How large an instance is.
#[derive(Debug, Clone, Copy)]
struct Size {
    values: u64,
    /// How many of these are no objects, arrays or names.
    scalars: u64,
    depth: u32,
}

impl Size {
    fn of(value: &Value) -> Self {
        let text = |text: &str| 1 + (text.len() / TEXT) as u64;
        let scalar = |values| Self { values, scalars: values, depth: 0 };
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => scalar(1),
            Value::String(string) => scalar(text(string)),
            Value::Array(items) => items.iter().map(Self::of).fold(Self::EMPTY, Self::with),
            Value::Object(members) => {
                let name = |name: &str| Self { scalars: 0, ..scalar(text(name)) };
                let parts = members.iter().flat_map(|(key, value)| [name(key), Self::of(value)]);
                parts.fold(Self::EMPTY, Self::with)
            }
        }
    }

    /// An array or object of nothing.
    const EMPTY: Self = Self { values: 1, scalars: 0, depth: 0 };

    fn with(self, part: Self) -> Self {
        Self {
            values: self.values + part.values,
            scalars: self.scalars + part.scalars,
            depth: self.depth.max(part.depth + 1),
        }
    }
}
