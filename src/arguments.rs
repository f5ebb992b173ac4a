//! The arguments of a call.

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

/// The arguments of a call: a JSON object, or something that a call refuses as
/// `invalid_arguments`.
///
/// Made from a [`Value`], a [`Map`], raw JSON (owned, or shared by many calls), `()` for none, or by [`Arguments::of`] from anything
/// that serialises to an object.
#[derive(Debug, Clone)]
pub struct Arguments(Content);

#[derive(Debug, Clone)]
enum Content {
    Object(Map<String, Value>),
    /// An object that more than one attempt may want.
    Kept(Arc<Map<String, Value>>),
    Raw(Box<RawValue>),
    Shared(Arc<RawValue>),
    Unfit(String),
}

impl Arguments {
    /// The arguments that a value of the host's own type serialises to.
    pub fn of(arguments: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::value::to_raw_value(arguments) {
            Ok(raw) => raw.into(),
            Err(error) => Self(Content::Unfit(format!("not to be written as JSON ({error})"))),
        }
    }

    /// Them as a JSON value; `null` where they are none.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.0 {
            Content::Object(object) => Value::Object(object.clone()),
            Content::Kept(object) => Value::Object((**object).clone()),
            Content::Raw(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
            Content::Shared(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
            Content::Unfit(_) => Value::Null,
        }
    }

    /// Them as raw JSON.
    pub(crate) fn to_raw(&self) -> serde_json::Result<Cow<'_, RawValue>> {
        let written = |object| serde_json::value::to_raw_value(object).map(Cow::Owned);
        match &self.0 {
            Content::Object(object) => written(object),
            Content::Kept(object) => written(object),
            Content::Raw(raw) => Ok(Cow::Borrowed(raw)),
            Content::Shared(raw) => Ok(Cow::Borrowed(raw)),
            Content::Unfit(_) => written(&Map::new()),
        }
    }

    /// The same, in a form of which a clone costs nothing.
    pub(crate) fn shared(self) -> Self {
        Self(match self.0 {
            Content::Object(object) => Content::Kept(Arc::new(object)),
            Content::Raw(raw) => Content::Shared(raw.into()),
            kept @ (Content::Kept(_) | Content::Shared(_) | Content::Unfit(_)) => kept,
        })
    }

    /// What they are instead of an object, if they are none.
    pub(crate) fn unfit(&self) -> Option<&str> {
        if let Content::Unfit(found) = &self.0 { Some(found) } else { None }
    }

    /// The JSON they are, where that is large, shared, and can go out as it is: it need not be
    /// copied.
    pub(crate) fn as_shared(&self) -> Option<&Arc<RawValue>> {
        const LARGE: usize = 64 << 10;
        let Content::Shared(raw) = &self.0 else { return None };
        let text = raw.get().as_bytes();
        (text.len() >= LARGE && is_line(text)).then_some(raw)
    }

    /// About how many bytes they take in a request.
    pub(crate) fn size_hint(&self) -> usize {
        const ENVELOPE: usize = 256;
        let longest = |value: &Value| value.as_str().map_or(0, str::len);
        ENVELOPE
            + match &self.0 {
                Content::Object(object) => object.values().map(longest).sum(),
                Content::Kept(object) => object.values().map(longest).sum(),
                Content::Raw(raw) => raw.get().len(),
                Content::Shared(raw) => raw.get().len(),
                Content::Unfit(_) => 0,
            }
    }

    /// Writes them as they go into a request.
    pub(crate) fn write(&self, frame: &mut Vec<u8>) -> serde_json::Result<()> {
        match &self.0 {
            Content::Object(object) => serde_json::to_writer(frame, object)?,
            Content::Kept(object) => serde_json::to_writer(frame, &**object)?,
            Content::Raw(raw) => write_raw(raw, frame),
            Content::Shared(raw) => write_raw(raw, frame),
            Content::Unfit(_) => return Ok(()),
        }
        Ok(())
    }
}

/// Copies raw JSON into a frame. A frame is a line, and raw JSON may be laid out over several.
fn write_raw(raw: &RawValue, frame: &mut Vec<u8>) {
    let (start, text) = (frame.len(), raw.get().as_bytes());
    frame.extend_from_slice(text);
    if !is_line(text) {
        // Outside of strings a line end is white space, inside it cannot stand.
        for byte in frame[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
}

fn is_line(text: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', text).is_none()
}

/// What raw JSON is instead of an object, if it is none.
fn unfit(raw: &RawValue) -> Option<Content> {
    let found = match raw.get().as_bytes().first() {
        Some(b'{') => return None,
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Some(Content::Unfit(found.to_owned()))
}

impl From<Value> for Arguments {
    fn from(value: Value) -> Self {
        let unfit = |found: &str| Self(Content::Unfit(found.to_owned()));
        match value {
            Value::Object(object) => object.into(),
            Value::Null => unfit("null"),
            Value::Bool(_) => unfit("a boolean"),
            Value::Number(_) => unfit("a number"),
            Value::String(_) => unfit("a string"),
            Value::Array(_) => unfit("an array"),
        }
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(object: Map<String, Value>) -> Self {
        Self(Content::Object(object))
    }
}

impl From<Box<RawValue>> for Arguments {
    fn from(raw: Box<RawValue>) -> Self {
        Self(unfit(&raw).unwrap_or(Content::Raw(raw)))
    }
}

impl From<Arc<RawValue>> for Arguments {
    fn from(raw: Arc<RawValue>) -> Self {
        Self(unfit(&raw).unwrap_or(Content::Shared(raw)))
    }
}

impl From<()> for Arguments {
    fn from((): ()) -> Self {
        Map::new().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_objects_are_fit() {
        for unfit in [json!(null), json!([]), json!("x"), json!(1), json!(true)] {
            assert!(Arguments::from(unfit.clone()).unfit().is_some(), "{unfit}");
            assert!(Arguments::of(&unfit).unfit().is_some(), "{unfit}");
        }
        assert!(Arguments::of(&f64::NAN).unfit().is_some());
        assert!(Arguments::from(json!({})).unfit().is_none());
        assert!(Arguments::from(()).unfit().is_none());
    }

    #[test]
    fn raw_json_over_several_lines_becomes_one() {
        let raw = RawValue::from_string("{\r\n \"a\": \"\\n\" }".to_owned()).unwrap();
        let mut frame = b"keep\n".to_vec();
        Arguments::from(raw).write(&mut frame).unwrap();
        assert_eq!(frame, b"keep\n{   \"a\": \"\\n\" }");
    }
}
