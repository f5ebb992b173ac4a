//! What servers answer: as they wrote it, and as types of the protocol's SDK.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use crate::{connection::Connection, wire::RawResult};

/// What a server answered, exactly as it wrote it, with a view of it as a `T` of the protocol's SDK.
///
/// The view parses when it is asked; where it does not fit nothing is lost, for [`raw`](Self::raw)
/// has it all.
pub struct Received<T> {
    raw: Arc<RawResult>,
    view: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Received<T> {
    pub(crate) fn new(raw: Arc<RawResult>) -> Self {
        Self { raw, view: PhantomData }
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

    /// The result as a type of the protocol's SDK.
    ///
    /// # Errors
    ///
    /// Where a field is of another type than the protocol says.
    pub fn typed(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.raw())
    }
}

impl<T> Clone for Received<T> {
    fn clone(&self) -> Self {
        Self { raw: Arc::clone(&self.raw), view: PhantomData }
    }
}

impl<T> fmt::Debug for Received<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Received").field(&self.raw.get()).finish()
    }
}

/// A result as it reaches the host: without secrets, where the session wants that.
pub(crate) fn for_host(connection: &Connection, raw: Arc<RawResult>) -> Arc<RawResult> {
    let secrets = &connection.scope.secrets;
    if !secrets.redact_results || secrets.redactor.is_idle() {
        return raw;
    }
    let Cow::Owned(redacted) = secrets.redactor.redact(raw.get()) else { return raw };
    // A secret that held a part of the structure took that with it.
    let whole = serde_json::from_str::<&RawValue>(&redacted).is_ok();
    Arc::new(RawResult::of(if whole { redacted } else { "{}".to_owned() }))
}

/// The same, of JSON that is a part of a result.
pub(crate) fn part_for_host<'a>(connection: &Connection, raw: &'a RawValue) -> Cow<'a, RawValue> {
    let secrets = &connection.scope.secrets;
    let redacted = secrets.redact_results.then(|| secrets.redactor.redact_json(raw)).flatten();
    redacted.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// One item of a list, exactly as its server described it.
pub struct Item<T> {
    raw: Arc<RawValue>,
    view: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Item<T> {
    pub(crate) fn new(raw: &RawValue) -> Self {
        Self { raw: Arc::from(raw.to_owned()), view: PhantomData }
    }

    /// As it reaches the host: without secrets, where the session wants that.
    pub(crate) fn for_host(self, connection: &Connection) -> Self {
        match part_for_host(connection, &self.raw) {
            Cow::Owned(redacted) => Self { raw: Arc::from(redacted), view: PhantomData },
            Cow::Borrowed(_) => self,
        }
    }

    /// The item as JSON, to the byte.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.raw.get()
    }

    /// The item as a JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.raw()).unwrap_or_default()
    }

    /// The item as a type of the protocol's SDK.
    ///
    /// # Errors
    ///
    /// Where a field is of another type than the protocol says.
    pub fn typed(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.raw())
    }

    /// A member that is text.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<String> {
        self.json().get(member)?.as_str().map(str::to_owned)
    }
}

impl<T> Clone for Item<T> {
    fn clone(&self) -> Self {
        Self { raw: Arc::clone(&self.raw), view: PhantomData }
    }
}

impl<T> fmt::Debug for Item<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Item").field(&self.raw.get()).finish()
    }
}

/// All pages of a list, or as many as made sense; a slice of its items.
#[derive(Debug)]
pub struct Listed<T> {
    pub(crate) items: Vec<Item<T>>,
    pub(crate) fault: Option<ListFault>,
}

impl<T: DeserializeOwned> Listed<T> {
    /// As it reaches the host: without secrets, where the session wants that.
    pub(crate) fn for_host(mut self, connection: &Connection) -> Self {
        self.items = self.items.into_iter().map(|item| item.for_host(connection)).collect();
        self
    }
}

impl<T> Listed<T> {
    /// Why there are no more items, where that is not because the list ended.
    #[must_use]
    pub fn fault(&self) -> Option<&ListFault> {
        self.fault.as_ref()
    }
}

impl<T> Clone for Listed<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), fault: self.fault.clone() }
    }
}

impl<T> Deref for Listed<T> {
    type Target = [Item<T>];

    fn deref(&self) -> &[Item<T>] {
        &self.items
    }
}

impl<T> IntoIterator for Listed<T> {
    type Item = Item<T>;
    type IntoIter = std::vec::IntoIter<Item<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// Why a list breaks off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListFault {
    /// The list repeats a page for ever.
    #[error("the cursor {cursor:?} came a second time, after {pages} pages")]
    CursorRepeated {
        /// The cursor.
        cursor: String,
        /// How many pages were kept.
        pages: usize,
    },
    /// The list has more pages than the limit.
    #[error("more than {limit} pages: raise Limits::max_pages if that is meant to be")]
    TooManyPages {
        /// [`Limits::max_pages`](crate::Limits::max_pages).
        limit: usize,
    },
    /// The list has more items than the limit.
    #[error("more than {limit} items: raise Limits::max_tools if that is meant to be")]
    TooManyItems {
        /// [`Limits::max_tools`](crate::Limits::max_tools), which holds for every list.
        limit: usize,
    },
}
