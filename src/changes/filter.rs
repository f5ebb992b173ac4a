//! Those changes whose fields are as wanted.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use serde_json::Value;

use super::{Change, Changes, Windows};

/// The changes whose JSON has all the fields of a pattern; what is about the subscription itself
/// comes through always. See [`Changes::filter`].
#[derive(Debug)]
pub struct Filtered<S = Changes> {
    changes: S,
    pattern: Value,
}

impl Changes {
    /// Leaves out the changes whose [`json`](Change::json) does not have all the fields of this
    /// pattern: objects field by field, anything else by being equal.
    #[must_use]
    pub fn filter(self, pattern: impl Into<Value>) -> Filtered {
        Filtered { changes: self, pattern: pattern.into() }
    }
}

impl<S: Stream<Item = Change> + Unpin> Filtered<S> {
    /// The next change that fits; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Option<Change> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// As [`Changes::window`].
    #[must_use]
    pub fn window(self, count: usize, within: std::time::Duration) -> Windows<Self> {
        Windows::new(self, count, within)
    }
}

impl<S: Stream<Item = Change> + Unpin> Stream for Filtered<S> {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        loop {
            match Pin::new(&mut self.changes).poll_next(cx) {
                Poll::Ready(Some(change)) => {
                    if change.is_about_subscription() || has(&change.json(), &self.pattern) {
                        return Poll::Ready(Some(change));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn has(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => pattern
            .iter()
            .all(|(key, wanted)| value.get(key).is_some_and(|found| has(found, wanted))),
        (value, pattern) => value == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::has;

    #[test]
    fn a_pattern_wants_its_own_fields_only() {
        let value = json!({ "type": "x", "data": { "a": 1, "b": [1] } });
        assert!(has(&value, &json!({})));
        assert!(has(&value, &json!({ "data": { "a": 1 } })));
        assert!(has(&value, &json!({ "type": "x", "data": { "b": [1] } })));
        assert!(!has(&value, &json!({ "data": { "a": 2 } })));
        assert!(!has(&value, &json!({ "more": null })));
    }
}
