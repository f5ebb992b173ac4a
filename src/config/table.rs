//! What may stand in a file, as tables: from one row come the reading, the writing and the schema of
//! a key, so that none can know what the others do not.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::{
    reader::Reader,
    tree::{Member, Node, Value},
};
use crate::secret::Secret;

/// A key of a `T`.
pub(super) struct Field<T: 'static> {
    pub(super) name: &'static str,
    /// What it says, for the schema.
    pub(super) about: &'static str,
    pub(super) take: Take<T>,
    /// What it says of this `T`, as it would stand in a file; null where nothing has to.
    pub(super) get: fn(&T) -> Json,
}

/// What a key takes, and where that goes.
pub(super) enum Take<T: 'static> {
    Text(fn(&mut T, String)),
    Texts(fn(&mut T, Vec<String>)),
    Flag(fn(&mut T, bool)),
    /// A whole number.
    Count(fn(&mut T, u64)),
    Number(fn(&mut T, f64)),
    /// `"30s"`, or seconds.
    Time(fn(&mut T, Duration)),
    /// One of these words.
    Choice(&'static [&'static str], fn(&mut T, &str)),
    /// Any JSON object.
    Object(fn(&mut T, Map<String, Json>)),
    /// A secret, as a text or as an object that says where it is.
    Secret(fn(&mut T, Option<Secret>)),
    /// A secret that is kept in a place of this kind.
    Source(&'static str, fn(&mut T, Option<Secret>)),
    /// Whatever a function makes of it.
    Other(fn(&mut T, &Node, &mut Reader<'_>), fn() -> Json),
}

/// The keys of a `T`.
pub(super) struct Table<T: 'static>(pub(super) &'static [Field<T>]);

impl<T> Table<T> {
    /// Reads a key into its place; false if there is none of this name.
    pub(super) fn take(
        &self,
        target: &mut T,
        (name, node): (&str, &Node),
        reader: &mut Reader<'_>,
    ) -> bool {
        let Some(field) = self.0.iter().find(|field| field.name == name) else { return false };
        // As everywhere where JSON is read by people: nothing said.
        if !matches!(node.value, Value::Null) {
            field.take.take(target, node, reader);
        }
        true
    }

    /// Reads an object that has no other keys than these.
    pub(super) fn read(&self, target: &mut T, node: &Node, reader: &mut Reader<'_>) {
        let Some(members) = node.members() else { return reader.expected(node, "an object") };
        reader.twice(members);
        for member in members {
            if !self.take(target, (&member.name, &member.node), reader) {
                reader.unknown(member, self.names());
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|field| field.name)
    }

    /// The properties of the schema.
    pub(super) fn properties(&self) -> Map<String, Json> {
        let property = |field: &Field<T>| {
            let mut schema = field.take.schema();
            if let Json::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), field.about.into());
            }
            (field.name.to_owned(), schema)
        };
        self.0.iter().map(property).collect()
    }

    /// The schema of an object that has no other keys than these.
    pub(super) fn schema(&self) -> Json {
        json!({ "type": "object", "properties": self.properties(), "additionalProperties": false })
    }

    /// What stands in a file for what is otherwise than by default.
    pub(super) fn write(&self, given: &T, default: &T) -> Map<String, Json> {
        let differing = self.0.iter().filter_map(|field| {
            let value = (field.get)(given);
            (value != (field.get)(default) && !value.is_null())
                .then(|| (field.name.to_owned(), value))
        });
        differing.collect()
    }
}

impl<T> Take<T> {
    fn take(&self, target: &mut T, node: &Node, reader: &mut Reader<'_>) {
        match self {
            Self::Text(set) => reader.text(node).into_iter().for_each(|text| set(target, text)),
            Self::Texts(set) => reader.texts(node).into_iter().for_each(|all| set(target, all)),
            Self::Flag(set) => match node.value {
                Value::Flag(flag) => set(target, flag),
                _ => reader.expected(node, "true or false"),
            },
            Self::Count(set) => match count(&node.value) {
                Some(count) => set(target, count),
                None => reader.expected(node, "a whole number that is not negative"),
            },
            Self::Number(set) => match number(&node.value) {
                Some(number) => set(target, number),
                None => reader.expected(node, "a number"),
            },
            Self::Time(set) => match time(&node.value) {
                Some(time) => set(target, time),
                None => reader.expected(node, "a time such as \"30s\" or \"1m 30s\""),
            },
            Self::Choice(of, set) => match node.text().filter(|text| of.contains(text)) {
                Some(text) => set(target, text),
                None => {
                    let hint =
                        node.text().and_then(|text| super::fault::meant(text, of.iter().copied()));
                    reader.fault(node.at, format!("one of {} is wanted here", of.join(", ")), hint);
                }
            },
            Self::Object(set) => match json(node) {
                Some(Json::Object(object)) => set(target, object),
                _ => reader.expected(node, "an object"),
            },
            Self::Secret(set) => set(target, reader.secret(node)),
            Self::Source(kind, set) => set(target, reader.secret_from(kind, node, node.at)),
            Self::Other(read, _) => read(target, node, reader),
        }
    }

    fn schema(&self) -> Json {
        match self {
            Self::Text(_) => json!({ "type": "string" }),
            Self::Texts(_) => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Flag(_) => json!({ "type": "boolean" }),
            Self::Count(_) => json!({ "type": "integer", "minimum": 0 }),
            Self::Number(_) => json!({ "type": "number" }),
            Self::Time(_) => json!({ "type": ["string", "number"], "examples": ["30s", "1m 30s"] }),
            Self::Choice(of, _) => json!({ "enum": of }),
            Self::Object(_) => json!({ "type": "object" }),
            Self::Secret(_) => json!({ "type": ["string", "object"] }),
            Self::Source("exec", _) => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Source(..) => json!({ "type": "string" }),
            Self::Other(_, schema) => schema(),
        }
    }
}

impl Reader<'_> {
    /// Reports a key of which nothing is known.
    pub(super) fn unknown<'n>(&mut self, member: &Member, known: impl Iterator<Item = &'n str>) {
        let hint = super::fault::meant(&member.name, known);
        if self.strict {
            return self.fault(member.at, "nothing is called so here", hint);
        }
        self.warn(member.at, "nothing is called so here, and it has no effect", hint);
    }

    /// Reports keys that stand twice.
    pub(super) fn twice(&mut self, members: &[Member]) {
        let mut seen = std::collections::HashSet::new();
        for member in members {
            // Blocks may be repeated.
            if !seen.insert(&member.name) && member.labels.is_empty() {
                let hint = Some("leave one of the two out".to_owned());
                self.warn(member.at, "it stands here twice, and the last one counts", hint);
            }
        }
    }
}

/// How a time is written.
pub(super) fn time_text(time: Duration) -> Json {
    humantime::format_duration(time).to_string().into()
}

fn time(value: &Value) -> Option<Duration> {
    match value {
        Value::Text(text) => humantime::parse_duration(text).ok(),
        Value::Number(_) => Duration::try_from_secs_f64(number(value)?).ok(),
        _ => None,
    }
    // No clock goes further.
    .filter(|time| time.as_secs() <= 366 * 24 * 60 * 60)
}

fn number(value: &Value) -> Option<f64> {
    if let Value::Number(number) = value { number.value() } else { None }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn count(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Value::Number(number) = value else { return None };
    // `1e3` is whole, too.
    number.whole().or_else(|| {
        let value = number.value()?;
        (value.fract() == 0.0 && (0.0..=EXACT).contains(&value)).then_some(value as u64)
    })
}

/// A part of the document as JSON, if no variable stands in it.
fn json(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Null => Json::Null,
        Value::Flag(flag) => (*flag).into(),
        Value::Number(number) => match (number.whole::<u64>(), number.whole::<i64>()) {
            (Some(whole), _) => whole.into(),
            (None, Some(whole)) => whole.into(),
            (None, None) => number.value()?.into(),
        },
        Value::Text(text) => text.as_str().into(),
        #[cfg(feature = "hcl")]
        Value::Template(_) | Value::Foreign(_) => return None,
        Value::List(nodes) => Json::Array(nodes.iter().map(json).collect::<Option<_>>()?),
        Value::Map(members) => {
            let member = |member: &Member| Some((member.name.clone(), json(&member.node)?));
            Json::Object(members.iter().map(member).collect::<Option<_>>()?)
        }
    })
}
