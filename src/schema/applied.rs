//! Which schemas a schema applies, and to what.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};

/// How many places all references together may lead to.
const TARGETS: usize = 100_000;

/// What a keyword applies its schemas to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// What it refers to, to the same part of the instance.
    Reference,
    Here,
    /// To parts of that part, …
    Below,
    /// … and each to another.
    Apart,
}

pub(super) fn applied<'a>(keyword: &str, value: &'a Value) -> (Place, Vec<&'a Value>) {
    match keyword {
        "$defs" | "definitions" | "enum" | "const" | "default" | "examples" => {
            (Place::Here, Vec::new())
        }
        "$ref" | "$dynamicRef" | "$recursiveRef" => (Place::Reference, Vec::new()),
        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => {
            (Place::Here, listed(value))
        }
        "dependentSchemas" | "dependencies" => (Place::Here, named(value)),
        "properties" => (Place::Apart, named(value)),
        "prefixItems" => (Place::Apart, listed(value)),
        "patternProperties" => (Place::Below, named(value)),
        _ => (Place::Below, listed(value)),
    }
}

/// A schema, or a list of them; words, such as the names of types, are none.
fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(_) => vec![value],
        Value::Array(schemas) => {
            schemas.iter().filter(|one| one.is_object() || one.is_boolean()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Schemas under names.
fn named(value: &Value) -> Vec<&Value> {
    value.as_object().into_iter().flat_map(Map::values).collect()
}

/// Whether these lead from anywhere back to there.
pub(super) fn loops(edges: &[(*const Value, *const Value)]) -> bool {
    let mut next: FxHashMap<_, Vec<_>> = FxHashMap::default();
    let mut entering: FxHashMap<_, usize> = FxHashMap::default();
    for (from, to) in edges {
        next.entry(*from).or_default().push(*to);
        entering.entry(*from).or_default();
        *entering.entry(*to).or_default() += 1;
    }
    // What nothing enters is in no loop; take it away, as long as there is such.
    let mut free: Vec<_> =
        entering.iter().filter(|(_, count)| **count == 0).map(|(one, _)| *one).collect();
    let mut left = entering.len();
    while let Some(one) = free.pop() {
        left -= 1;
        for to in next.remove(&one).unwrap_or_default() {
            let Some(count) = entering.get_mut(&to) else { continue };
            *count -= 1;
            if *count == 0 {
                free.push(to);
            }
        }
    }
    left > 0
}

/// All that references may mean; rather too much than too little.
#[derive(Debug)]
pub(super) struct Resources<'a> {
    /// The schema, and those in it that are resources of their own: references count from them.
    all: Vec<(Option<String>, &'a Value)>,
    /// Whether names tell the resources apart.
    are_plain: bool,
    anchors: FxHashMap<&'a str, Vec<&'a Value>>,
    patterns: FxHashSet<&'a str>,
    looked: usize,
}

impl<'a> Resources<'a> {
    pub(super) fn of(schema: &'a Value) -> Self {
        let all = vec![(None, schema)];
        let anchors = FxHashMap::default();
        let mut resources =
            Self { all, are_plain: true, anchors, patterns: FxHashSet::default(), looked: 0 };
        resources.note(schema);
        resources
    }

    /// Notes all names by which references may mean something.
    fn note(&mut self, value: &'a Value) {
        let within: Vec<&Value> = match value {
            Value::Object(members) => members.values().collect(),
            Value::Array(values) => values.iter().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
        };
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        for name in ["$anchor", "$dynamicAnchor"] {
            if let Some(anchor) = text(name) {
                self.anchors.entry(anchor).or_default().push(value);
            }
        }
        // The second in draft 4, the fragment of it up to draft 7.
        for id in ["$id", "id"].into_iter().filter_map(text) {
            let (uri, anchor) = id.split_once('#').unwrap_or((id, ""));
            let name = last_name(uri);
            self.are_plain &= name.is_some() || uri.is_empty();
            self.all.push((name, value));
            if !anchor.is_empty() {
                self.anchors.entry(anchor).or_default().push(value);
            }
        }
        self.patterns.extend(text("pattern"));
        let named = value.get("patternProperties").and_then(Value::as_object);
        self.patterns.extend(named.into_iter().flat_map(Map::keys).map(String::as_str));
        within.into_iter().for_each(|value| self.note(value));
    }

    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// All that a reference may lead to; nothing once there have been too many of them.
    pub(super) fn targets(&mut self, reference: &str) -> Option<Vec<&'a Value>> {
        self.looked = self.looked.saturating_add(self.all.len());
        if self.looked > TARGETS {
            return None;
        }
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resources = self.resources(uri);
        let targets: Vec<_> = match decoded(fragment)? {
            path if path.is_empty() => resources.collect(),
            path if path.starts_with('/') => {
                resources.filter_map(|resource| resource.pointer(&path)).collect()
            }
            anchor => {
                drop(resources);
                self.anchors.get(anchor.as_str()).cloned().unwrap_or_default()
            }
        };
        self.looked = self.looked.saturating_add(targets.len());
        Some(targets)
    }

    /// Those that a reference may begin at: those of its name, if names are all it takes.
    fn resources<'s>(&'s self, uri: &str) -> impl Iterator<Item = &'a Value> + use<'s, 'a> {
        let name = last_name(uri).filter(|_| self.are_plain);
        let meant = self.all.iter().filter(move |(known, _)| name.is_none() || *known == name);
        meant.map(|(_, resource)| *resource)
    }
}

/// Whether a schema of the specification's own is meant: it is known, and refers to itself only.
pub(super) fn is_official(reference: &str) -> bool {
    let official = ["http://json-schema.org/", "https://json-schema.org/"];
    official.iter().any(|home| reference.starts_with(home))
}

/// The last part of a URI, where no normalisation can make it another.
fn last_name(uri: &str) -> Option<String> {
    let name = uri.rsplit('/').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let is_plain = !name.is_empty() && name != "." && name != ".." && name.bytes().all(plain);
    is_plain.then(|| name.to_ascii_lowercase())
}

/// A fragment without its percent signs (RFC 3986, 2.1).
fn decoded(fragment: &str) -> Option<String> {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}
