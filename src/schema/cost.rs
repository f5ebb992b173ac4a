//! What it may cost to apply a schema: references can make a small one larger than anything.

use std::ptr::from_ref;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};

use super::applied::{Place, Resources, applied, is_official, loops};

/// How many subschemas may be applied along one path into an instance.
const MOST: u64 = 10_000;
/// How deep they may stand in each other, over references: whoever compiles and applies them goes as
/// deep.
const DEEPEST: usize = 256;
/// What `unevaluatedProperties` and `unevaluatedItems` may have compiled once more.
const MOST_AGAIN: u64 = 200_000;
/// How many patterns there may be: each is a program of its own.
const PATTERNS: usize = 256;

/// What applying a schema costs, whatever the instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// How often subschemas are applied along one path into an instance.
    pub(super) visits: u64,
    /// How many of these are applied to the same part of an instance as the schema itself: all that
    /// there are for a value that has no parts.
    pub(super) flat: u64,
    pub(super) depth: usize,
    /// How often it begins anew, along one path, in a part of the instance.
    pub(super) recursions: u64,
    /// How many subschemas are compiled for it; a reference is compiled elsewhere.
    size: u64,
    /// The same with all that is applied to the same part of the instance by references.
    traced: u64,
}

/// What is known of a schema before it is compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) cost: Cost,
    /// How many schemas begin anew within themselves.
    pub(super) recursive: u64,
    pub(super) patterns: usize,
}

/// Looks at a schema; refuses one that cannot be compiled and applied in reasonable time.
pub(super) fn know(schema: &Value) -> Result<Known, String> {
    let resources = Resources::of(schema);
    let patterns = resources.patterns();
    if patterns > PATTERNS {
        return Err(format!("it has more than {PATTERNS} patterns"));
    }
    let mut costs = Costs {
        resources,
        known: FxHashMap::default(),
        recursive: FxHashSet::default(),
        here: Vec::new(),
        again: 0,
    };
    let cost = costs.schema(schema, 0);
    if cost.visits > MOST || cost.depth > DEEPEST || costs.again > MOST_AGAIN {
        return Err("its references multiply, or lead nowhere".to_owned());
    }
    // What that means is undefined (JSON Schema 2020-12, core, 9.4.1).
    if loops(&costs.here) {
        return Err("its references lead back to where they began".to_owned());
    }
    Ok(Known { cost, recursive: costs.recursive.len() as u64, patterns })
}

impl Cost {
    const ONE: Self = Self { visits: 1, flat: 1, depth: 1, recursions: 0, size: 1, traced: 1 };
    const NONE: Self = Self { visits: 0, flat: 0, depth: 0, recursions: 0, size: 0, traced: 0 };
    const AGAIN: Self = Self { recursions: 1, ..Self::ONE };
    /// A schema of the specification's own, applied to schemas.
    const OFFICIAL: Self =
        Self { visits: 200, flat: 200, depth: 16, recursions: 2, size: 1, traced: 1 };
    const TOO_MUCH: Self = Self {
        visits: u64::MAX,
        flat: u64::MAX,
        depth: usize::MAX,
        recursions: u64::MAX,
        size: u64::MAX,
        traced: u64::MAX,
    };

    fn plus(self, other: Self) -> Self {
        Self {
            visits: self.visits.saturating_add(other.visits),
            flat: self.flat.saturating_add(other.flat),
            recursions: self.recursions.saturating_add(other.recursions),
            ..self.or(other)
        }
    }

    /// One of both is applied, and both are compiled.
    fn or(self, other: Self) -> Self {
        Self {
            visits: self.visits.max(other.visits),
            flat: self.flat.max(other.flat),
            depth: self.depth.max(other.depth),
            recursions: self.recursions.max(other.recursions),
            size: self.size.saturating_add(other.size),
            traced: self.traced.saturating_add(other.traced),
        }
    }
}

struct Costs<'a> {
    resources: Resources<'a>,
    /// What is known of a schema; nothing while it is looked at.
    known: FxHashMap<*const Value, Option<Cost>>,
    recursive: FxHashSet<*const Value>,
    /// Which schema applies which to the same part of an instance.
    here: Vec<(*const Value, *const Value)>,
    /// What is compiled once more than it is written.
    again: u64,
}

impl<'a> Costs<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Cost {
        let Some(members) = schema.as_object() else { return Cost::ONE };
        match self.known.get(&from_ref(schema)) {
            Some(Some(cost)) => return *cost,
            // A recursion: it goes on in a part of the instance, which ends.
            Some(None) => {
                self.recursive.insert(schema);
                return Cost::AGAIN;
            }
            None if depth > DEEPEST => return Cost::TOO_MUCH,
            None => {}
        }
        self.known.insert(schema, None);
        let within = self.members(schema, members, depth + 1);
        let cost = Cost { depth: within.depth.saturating_add(1), ..within.plus(Cost::ONE) };
        self.known.insert(schema, Some(cost));
        cost
    }

    fn members(
        &mut self,
        schema: &'a Value,
        members: &'a Map<String, Value>,
        depth: usize,
    ) -> Cost {
        let compared = compared(members);
        let mut here = Cost { visits: compared, flat: compared, ..Cost::NONE };
        let mut below = Cost::NONE;
        for (key, value) in members {
            let (place, schemas) = applied(key, value);
            let cost = match place {
                Place::Reference => self.reference(schema, value, depth),
                Place::Here => {
                    self.here.extend(schemas.iter().map(|one| (from_ref(schema), from_ref(*one))));
                    self.all(&schemas, depth, Cost::plus)
                }
                Place::Below => self.all(&schemas, depth, Cost::plus),
                Place::Apart => self.all(&schemas, depth, Cost::or),
            };
            match place {
                Place::Reference | Place::Here => here = here.plus(cost),
                Place::Below | Place::Apart => below = below.plus(cost),
            }
        }
        let both = here.plus(Cost { traced: below.size, flat: 0, ..below });
        let looks = ["unevaluatedProperties", "unevaluatedItems"];
        if !looks.iter().any(|key| members.contains_key(*key)) {
            return both;
        }
        // They look once more at what has been applied, and have it compiled once more for that.
        let traced = both.traced.saturating_mul(3);
        self.again = self.again.saturating_add(traced);
        Cost { size: both.size.saturating_add(traced), traced, ..both.plus(both) }
    }

    fn all(&mut self, schemas: &[&'a Value], depth: usize, and: fn(Cost, Cost) -> Cost) -> Cost {
        schemas.iter().fold(Cost::NONE, |cost, one| and(cost, self.schema(one, depth)))
    }

    /// The dearest of all that a reference may lead to; one that leads nowhere cannot be used anyway.
    fn reference(&mut self, schema: &'a Value, reference: &Value, depth: usize) -> Cost {
        let Some(reference) = reference.as_str() else { return Cost::NONE };
        let Some(targets) = self.resources.targets(reference) else { return Cost::TOO_MUCH };
        let official = if is_official(reference) { Cost::OFFICIAL } else { Cost::NONE };
        if targets.is_empty() && official.visits == 0 {
            return Cost::TOO_MUCH;
        }
        self.here.extend(targets.iter().map(|target| (from_ref(schema), from_ref(*target))));
        Cost { size: 1, ..official.or(self.all(&targets, depth, Cost::or)) }
    }
}

/// What a schema compares an instance with, as visits: a comparison is cheap.
fn compared(members: &Map<String, Value>) -> u64 {
    let lists = ["enum", "const", "required", "dependentRequired"];
    lists.iter().filter_map(|key| members.get(*key)).map(values).sum::<u64>() / 4
}

fn values(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<u64>(),
        Value::Object(members) => 1 + members.values().map(values).sum::<u64>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}
