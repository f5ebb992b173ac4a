//! Everything that is traced, at every level, by everybody in this process.

#![allow(dead_code, reason = "each test uses its own part of it")]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

type Fields = BTreeMap<String, String>;

/// A span or an event as it was told; everything that a log could show of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    /// All fields that it may have.
    pub(crate) names: Vec<&'static str>,
    pub(crate) is_span: bool,
    pub(crate) level: Level,
    /// The span that it is in.
    pub(crate) parent: Option<u64>,
    fields: Fields,
}

impl Told {
    pub(crate) fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) spans: BTreeMap<u64, Told>,
    pub(crate) events: Vec<Told>,
    pub(crate) follows: Vec<(u64, u64)>,
}

static CAPTURED: Mutex<Option<Captured>> = Mutex::new(None);
static SPANS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn captured<T>(look: impl FnOnce(&mut Captured) -> T) -> T {
    look(CAPTURED.lock().unwrap().get_or_insert_default())
}

/// Takes everything, at every level, from everybody.
struct Capture;

struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

fn told(
    metadata: &Metadata<'_>,
    (explicit, contextual): (Option<&Id>, bool),
    read: impl FnOnce(&mut Read<'_>),
) -> Told {
    let mut fields = Fields::new();
    read(&mut Read(&mut fields));
    let within = ENTERED.with_borrow(|entered| entered.last().copied());
    let parent = explicit.map(Id::into_u64).or(within.filter(|_| contextual));
    let (name, level) = (metadata.name(), *metadata.level());
    let names = metadata.fields().iter().map(|field| field.name()).collect();
    let (target, is_span) = (metadata.target().to_owned(), metadata.is_span());
    Told { name, target, names, is_span, level, parent, fields }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let place = (span.parent(), span.is_contextual());
        let told = told(span.metadata(), place, |read| span.record(read));
        let id = SPANS.fetch_add(1, Ordering::Relaxed);
        captured(|all| all.spans.insert(id, told));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        captured(|all| {
            if let Some(span) = all.spans.get_mut(&span.into_u64()) {
                values.record(&mut Read(&mut span.fields));
            }
        });
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        captured(|all| all.follows.push((span.into_u64(), follows.into_u64())));
    }

    fn event(&self, event: &Event<'_>) {
        let place = (event.parent(), event.is_contextual());
        let told = told(event.metadata(), place, |read| event.record(read));
        captured(|all| all.events.push(told));
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(place) = entered.iter().rposition(|one| *one == span.into_u64()) {
                entered.remove(place);
            }
        });
    }
}

/// Captures from now on, and forgets what was before.
pub(crate) fn begin() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
    captured(|all| *all = Captured::default());
}

/// The span that this thread is in, with its name.
pub(crate) fn within() -> Option<(u64, &'static str)> {
    let id = ENTERED.with_borrow(|entered| entered.last().copied())?;
    captured(|all| all.spans.get(&id).map(|span| (id, span.name)))
}

/// The spans of this name, by their ids.
pub(crate) fn spans(name: &str) -> Vec<(u64, Told)> {
    let named = |(id, span): (&u64, &Told)| (span.name == name).then(|| (*id, span.clone()));
    captured(|all| all.spans.iter().filter_map(named).collect())
}

pub(crate) fn events(target: &str) -> Vec<Told> {
    captured(|all| all.events.iter().filter(|one| one.target == target).cloned().collect())
}
