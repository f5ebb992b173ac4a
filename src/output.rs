//! What a tool answered: the raw result and its typed views.

use std::borrow::Cow;

use rmcp::model::ContentBlock;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::{redactor::Redactor, wire::RawResult};

/// What a tool answered, exactly as its server wrote it.
///
/// The views parse what they show when they are asked; a view that does not fit loses nothing, for
/// [`raw`](Self::raw) has it all.
#[derive(Debug, Clone)]
pub struct Output {
    raw: RawResult,
    /// Whether it came of questions to the host, or of a task.
    interim: bool,
}

/// One block of a tool's content.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Content {
    /// A block of a type that the protocol's SDK knows.
    Known(Box<ContentBlock>),
    /// Any other block, untouched.
    Unknown(Box<RawValue>),
}

/// Whether `"isError":true` stands here, however it is spaced. Not within a text, where its quotes are
/// escaped; in a nested object it may.
fn may_say_error(json: &[u8]) -> bool {
    const AROUND: (&[u8], &[u8]) = (b"\"is", b"Error\"");
    // Few texts have this letter, and none of the other words of a result.
    memchr::memchr_iter(b'E', json).any(|at| {
        let (before, after) = json.split_at(at);
        let Some(rest) = after.strip_prefix(AROUND.1).filter(|_| before.ends_with(AROUND.0)) else {
            return false;
        };
        let mut rest = rest.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
        rest.next() == Some(b':') && rest.next() == Some(b't')
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    structured_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    is_error: Option<&'a RawValue>,
}

impl Output {
    pub(crate) fn new(raw: RawResult) -> Self {
        Self { raw, interim: false }
    }

    /// The same, as what came after an interim result: it is of this call alone.
    pub(crate) fn after_interim(self) -> Self {
        Self { interim: true, ..self }
    }

    /// Whether it may be the result of a like call, too. MCP 2026-07-28, server/utilities/caching: not
    /// what came after an interim result.
    pub(crate) fn is_of_any_call(&self) -> bool {
        !self.interim
    }

    pub(crate) fn raw_result(&self) -> &RawResult {
        &self.raw
    }

    /// The same without secrets; nothing but that there was something, where JSON without them is none.
    pub(crate) fn redacted(self, redactor: &Redactor) -> Self {
        let Cow::Owned(redacted) = redactor.redact(self.raw()) else { return self };
        let object =
            redacted.starts_with('{') && serde_json::from_str::<&RawValue>(&redacted).is_ok();
        let nothing = || r#"{"content":[{"type":"text","text":"[redacted]"}]}"#.to_owned();
        Self { raw: RawResult::of(if object { redacted } else { nothing() }), ..self }
    }

    /// The result as JSON, to the byte.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.raw.get()
    }

    /// The result as a JSON value.
    ///
    /// # Errors
    ///
    /// Where it is nested deeper than serde_json goes (128 levels).
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_str(self.raw())
    }

    /// Whether the tool says that it failed: its own failure, to be shown to a model, and not one
    /// of the connection.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.head().is_some_and(|head| head.is_error.is_some_and(|flag| flag.get() == "true"))
    }

    /// As [`is_error`](Self::is_error), at a price that every call can pay: most results do not say it,
    /// or say no, and only one that may say yes is read. In a very long one only the ends are looked
    /// at, for that is where servers say it.
    pub(crate) fn says_error(&self) -> bool {
        const LONG: usize = 64 << 10;
        const END: usize = 4 << 10;
        let raw = self.raw().as_bytes();
        let may = if raw.len() <= LONG {
            may_say_error(raw)
        } else {
            may_say_error(&raw[..END]) || may_say_error(&raw[raw.len() - END..])
        };
        may && self.is_error()
    }

    /// Its text blocks, joined by line ends.
    #[must_use]
    pub fn text(&self) -> String {
        #[derive(Deserialize)]
        struct Text {
            r#type: String,
            text: String,
        }
        let texts = self.blocks().into_iter().filter_map(|block| {
            let block: Text = serde_json::from_str(block.get()).ok()?;
            (block.r#type == "text").then_some(block.text)
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Its content blocks, typed where they parse.
    #[must_use]
    pub fn content(&self) -> Vec<Content> {
        let typed = |block: &RawValue| match serde_json::from_str(block.get()) {
            Ok(known) => Content::Known(Box::new(known)),
            Err(_) => Content::Unknown(block.to_owned()),
        };
        self.blocks().into_iter().map(typed).collect()
    }

    /// Its structured content as a type of the host's; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Where the structured content does not fit the type.
    pub fn structured<T: DeserializeOwned>(&self) -> serde_json::Result<Option<T>> {
        let structured = self.head().and_then(|head| head.structured_content);
        structured.map(|raw| serde_json::from_str(raw.get())).transpose()
    }

    /// Its structured content, or its text: as JSON, or as it is where that does not fit.
    pub(crate) fn typed<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        if let Some(structured) = self.structured()? {
            return Ok(structured);
        }
        let text = self.text();
        serde_json::from_str(&text)
            .or_else(|error| serde_json::from_value(Value::from(text)).map_err(|_as_text| error))
    }

    /// How many bytes it takes, about.
    pub(crate) fn size(&self) -> usize {
        self.raw.size()
    }

    fn head(&self) -> Option<Head<'_>> {
        serde_json::from_str(self.raw()).ok()
    }

    fn blocks(&self) -> Vec<&RawValue> {
        let content = self.head().and_then(|head| head.content);
        content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Answer};

    fn output(result: &str) -> Output {
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}");
        match wire::open_answer(frame.into_bytes()) {
            Ok(Answer::Result(raw)) => Output::new(raw),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn unknown_blocks_and_fields_are_kept() {
        let text = r#"{"content":[{"type":"text","text":"a","annotations":{"audience":["system"]}},{"type":"hologram","x":1},{"type":"text","text":"b"}],"isError":true,"structuredContent":{"n":5},"future":[1]}"#;
        let output = output(text);
        assert_eq!(output.raw(), text);
        assert_eq!(output.text(), "a\nb");
        assert!(output.is_error());
        assert_eq!(output.structured::<Value>().unwrap().unwrap()["n"], 5);
        assert!(output.structured::<Vec<u8>>().is_err());
        let content = output.content();
        assert_eq!(content.len(), 3);
        assert!(matches!(content[1], Content::Unknown(_)));
        assert!(matches!(content[2], Content::Known(_)));
    }

    #[test]
    fn a_result_of_an_odd_shape_has_empty_views() {
        let output = output(r#"{"content":5,"isError":"yes"}"#);
        assert!(!output.is_error());
        assert!(output.content().is_empty() && output.text().is_empty());
        assert!(output.structured::<Value>().unwrap().is_none());
    }
}
