//! What it may cost to apply a schema: references can make a small one larger than anything.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

/// How many subschemas may be applied along one path into an instance.
const MOST: u64 = 10_000;
/// How deep they may stand in each other, over references: whoever compiles and applies them goes as
/// deep.
const DEEPEST: usize = 256;
/// How many places all references together may lead to.
const TARGETS: usize = 100_000;

/// Whether a schema can be applied to an instance in reasonable time.
pub(super) fn is_affordable(schema: &Value) -> bool {
    let mut costs = Costs::of(schema);
    let cost = costs.schema(schema, 0);
    cost.visits <= MOST && cost.depth <= DEEPEST
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    /// How often subschemas are applied along one path into an instance.
    visits: u64,
    depth: usize,
}

impl Cost {
    const ONE: Self = Self { visits: 1, depth: 1 };
    const NONE: Self = Self { visits: 0, depth: 0 };
    const TOO_MUCH: Self = Self { visits: u64::MAX, depth: usize::MAX };

    fn plus(self, other: Self) -> Self {
        let visits = self.visits.saturating_add(other.visits);
        Self { visits, depth: self.depth.max(other.depth) }
    }

    fn or(self, other: Self) -> Self {
        Self { visits: self.visits.max(other.visits), depth: self.depth.max(other.depth) }
    }
}

struct Costs<'a> {
    /// The schema, and those in it that are resources of their own: references count from them.
    resources: Vec<&'a Value>,
    anchors: FxHashMap<&'a str, Vec<&'a Value>>,
    /// What is known of a schema; nothing while it is looked at.
    known: FxHashMap<*const Value, Option<Cost>>,
    targets: usize,
}

impl<'a> Costs<'a> {
    fn of(schema: &'a Value) -> Self {
        let (anchors, known) = (FxHashMap::default(), FxHashMap::default());
        let mut costs = Self { resources: vec![schema], anchors, known, targets: 0 };
        costs.note(schema);
        costs
    }

    /// Notes all names by which references may mean something; rather too many than too few.
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
            self.resources.push(value);
            if let Some((_, anchor)) = id.split_once('#') {
                self.anchors.entry(anchor).or_default().push(value);
            }
        }
        within.into_iter().for_each(|value| self.note(value));
    }

    fn schema(&mut self, schema: &'a Value, depth: usize) -> Cost {
        let Some(members) = schema.as_object() else { return Cost::ONE };
        match self.known.get(&std::ptr::from_ref(schema)) {
            Some(Some(cost)) => return *cost,
            // A recursion: it goes on in a part of the instance, which ends.
            Some(None) => return Cost::ONE,
            None if depth > DEEPEST => return Cost::TOO_MUCH,
            None => {}
        }
        self.known.insert(schema, None);
        let within = self.members(members, depth + 1);
        let cost = Cost { depth: within.depth.saturating_add(1), ..within.plus(Cost::ONE) };
        self.known.insert(schema, Some(cost));
        cost
    }

    fn members(&mut self, members: &'a Map<String, Value>, depth: usize) -> Cost {
        // What is applied to the same part of the instance, and to parts of that.
        let (mut here, mut below) = (Cost::NONE, Cost::NONE);
        for (key, value) in members {
            match key.as_str() {
                "$defs" | "definitions" | "enum" | "const" | "default" | "examples" => {}
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    here = here.plus(self.reference(value, depth));
                }
                "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => {
                    here = here.plus(self.all(value, depth, Cost::plus));
                }
                "dependentSchemas" | "dependencies" => {
                    here = here.plus(self.named(value, depth, Cost::plus));
                }
                // Each is for a part of its own.
                "properties" => below = below.plus(self.named(value, depth, Cost::or)),
                "prefixItems" => below = below.plus(self.all(value, depth, Cost::or)),
                "patternProperties" => below = below.plus(self.named(value, depth, Cost::plus)),
                _ => below = below.plus(self.all(value, depth, Cost::plus)),
            }
        }
        // They look once more at what has been applied.
        if ["unevaluatedProperties", "unevaluatedItems"]
            .iter()
            .any(|key| members.contains_key(*key))
        {
            here = here.plus(here);
        }
        here.plus(below)
    }

    /// A schema, or a list of them.
    fn all(&mut self, value: &'a Value, depth: usize, and: fn(Cost, Cost) -> Cost) -> Cost {
        match value {
            Value::Object(_) => self.schema(value, depth),
            Value::Array(schemas) => {
                schemas.iter().fold(Cost::NONE, |cost, one| and(cost, self.schema(one, depth)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Cost::NONE,
        }
    }

    /// Schemas under names.
    fn named(&mut self, value: &'a Value, depth: usize, and: fn(Cost, Cost) -> Cost) -> Cost {
        let schemas = value.as_object().into_iter().flat_map(Map::values);
        schemas.fold(Cost::NONE, |cost, one| and(cost, self.schema(one, depth)))
    }

    /// The dearest of all that a reference may lead to; one that leads nowhere cannot be used anyway.
    fn reference(&mut self, reference: &Value, depth: usize) -> Cost {
        let Some(reference) = reference.as_str() else { return Cost::NONE };
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let targets: Vec<&'a Value> = match decoded(fragment) {
            None => Vec::new(),
            Some(path) if path.is_empty() => self.resources.clone(),
            Some(path) if path.starts_with('/') => {
                self.resources.iter().filter_map(|resource| resource.pointer(&path)).collect()
            }
            Some(anchor) => self.anchors.get(anchor.as_str()).cloned().unwrap_or_default(),
        };
        self.targets += self.resources.len() + targets.len();
        // The specification's own: it is known, and refers to itself only.
        let official = ["http://json-schema.org/", "https://json-schema.org/"];
        if self.resources.len() == 1 && official.iter().any(|home| uri.starts_with(home)) {
            return Cost::ONE;
        }
        if targets.is_empty() || self.targets > TARGETS {
            return Cost::TOO_MUCH;
        }
        targets.into_iter().fold(Cost::NONE, |cost, target| cost.or(self.schema(target, depth)))
    }
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
