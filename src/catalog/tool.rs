//! One tool, as its server described it and as a host calls it.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::{
    Annotations,
    mirror::{self, Mirror},
    naming,
};
#[cfg(feature = "validate")]
use crate::schema::Schemas;
use crate::{
    arguments::Arguments,
    connection::{
        Connection,
        call::Call,
        terms::{self, Terms},
    },
    error::TypedError,
    policy::CallOptions,
    usage::Usage,
};

/// A tool of a session. A cheap handle: it names a server, not an incarnation of it.
#[derive(Debug, Clone)]
pub struct Tool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    described: Arc<Description>,
    connection: Arc<Connection>,
    terms: Terms,
    /// What is said for the calls of this handle alone.
    own: CallOptions,
    /// What its calls came to; found when it is called first.
    usage: OnceLock<Arc<Usage>>,
}

/// What a server said about one tool, and the names that follow from it.
#[derive(Debug)]
pub(crate) struct Description {
    id: Arc<str>,
    llm_name: String,
    pub(super) name: String,
    /// `"name":"…","arguments":`, ready to be put into a request.
    members: String,
    raw: Box<RawValue>,
    annotations: Annotations,
    #[cfg(feature = "validate")]
    schemas: Schemas,
    /// Arguments that go into headers, too, where there are headers.
    mirrors: Vec<Mirror>,
}

impl Tool {
    pub(super) fn new(described: Description, connection: Arc<Connection>) -> Self {
        let options = terms::of_tool(&connection, &described.name);
        let terms = Terms::new(options, &connection);
        Self::with(Arc::new(described), connection, (terms, CallOptions::default()))
    }

    /// The same tool, with other options for the calls of this handle alone. What they leave out
    /// stays as it was.
    #[must_use]
    pub fn with_options(&self, options: &CallOptions) -> Self {
        let Inner { described, connection, terms, own, .. } = &*self.inner;
        let terms = Terms::new(options.over(terms.options()), connection);
        Self::with(Arc::clone(described), Arc::clone(connection), (terms, options.over(own)))
    }

    fn with(
        described: Arc<Description>,
        connection: Arc<Connection>,
        (terms, own): (Terms, CallOptions),
    ) -> Self {
        let inner = Inner { described, connection, terms, own, usage: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Itself, or the same tool of what has taken the place of its server since.
    fn current(&self) -> Self {
        let Inner { connection, own, .. } = &*self.inner;
        if !connection.has_left() {
            return self.clone();
        }
        let found = connection.scope.board.load().get(self.id()).cloned();
        found.filter(|tool| tool.server() == self.server()).map_or_else(
            || self.clone(),
            |tool| if *own == CallOptions::default() { tool } else { tool.with_options(own) },
        )
    }

    /// What holds for the calls of this handle: what was said by the runtime, the session, the
    /// server, for the tool and for the handle, as one.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        self.inner.terms.options()
    }

    /// What its server says about what it does.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        self.inner.described.annotations
    }

    /// Its tags: those of its server's [declaration](crate::ServerSpec::tag), and those that the
    /// server lists in its `_meta`, as `tags` there or one level down (`_fastmcp.tags`, say).
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut tags = self.inner.connection.spec.tags.clone();
        let json = self.json();
        let Some(meta) = json.get("_meta").and_then(Value::as_object) else { return tags };
        let lists =
            meta.get("tags").into_iter().chain(meta.values().filter_map(|one| one.get("tags")));
        for tag in lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
        tags
    }

    /// The canonical id: `<server>.<tool>`, or with the server's prefix.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.described.id
    }

    /// The name of the server that offers it.
    #[must_use]
    pub fn server(&self) -> &str {
        self.inner.connection.name()
    }

    /// Its name as the server knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.described.name
    }

    /// A name that model providers accept (`[A-Za-z0-9_-]`, 64 bytes at most): different for every
    /// tool, and the same whatever other servers there are.
    #[must_use]
    pub fn llm_name(&self) -> &str {
        &self.inner.described.llm_name
    }

    /// The tool as JSON, exactly as the server described it, every field kept.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.inner.described.raw.get()
    }

    pub(crate) fn raw_value(&self) -> &RawValue {
        &self.inner.described.raw
    }

    /// The tool as a JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.raw()).unwrap_or_default()
    }

    /// Its description, if it has one.
    #[must_use]
    pub fn description(&self) -> Option<String> {
        self.json().get("description")?.as_str().map(str::to_owned)
    }

    /// The JSON Schema of its arguments.
    #[must_use]
    pub fn input_schema(&self) -> Value {
        self.json()["inputSchema"].take()
    }

    /// The tool as a type of the protocol's SDK.
    ///
    /// # Errors
    ///
    /// Where the description has a field of another type than the protocol says;
    /// [`raw`](Self::raw) has it all the same.
    pub fn typed(&self) -> serde_json::Result<rmcp::model::Tool> {
        serde_json::from_str(self.raw())
    }

    /// Calls it; as [`Session::call`](crate::Session::call), without looking it up.
    pub fn call(&self, arguments: impl Into<Arguments>) -> Call {
        Call::of_tool(self.current(), arguments.into())
    }

    /// Calls it with a value of the host's own type, and reads the answer as another: its structured
    /// content, or its text where there is none.
    ///
    /// # Errors
    ///
    /// [`TypedError::Call`] as for [`call`](Self::call), [`TypedError::Tool`] where the tool says that
    /// it failed, [`TypedError::Mismatch`] where its answer does not fit the type.
    ///
    /// # Cancel safety
    ///
    /// As of [`Call`].
    pub async fn call_as<T: DeserializeOwned>(
        &self,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<T, TypedError> {
        // Not kept over the await: it need not be `Send`.
        let call = self.call(Arguments::of(arguments));
        let output = call.await?;
        if output.is_error() {
            return Err(TypedError::Tool { tool: self.id().to_owned(), output });
        }
        let mismatch = |detail| TypedError::Mismatch { tool: self.id().to_owned(), detail };
        output.typed().map_err(|error| mismatch(error.to_string()))
    }

    pub(super) fn shared_id(&self) -> &Arc<str> {
        &self.inner.described.id
    }

    /// What stands before the arguments in the parameters of a call.
    pub(crate) fn members(&self) -> &str {
        &self.inner.described.members
    }

    /// The arguments that are to be repeated in headers.
    pub(crate) fn mirrored(&self, arguments: &Arguments) -> Vec<(String, String)> {
        let mirrors = &self.inner.described.mirrors;
        if mirrors.is_empty() {
            return Vec::new();
        }
        mirror::mirrored(mirrors, &arguments.to_value())
    }

    /// What its calls came to.
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        let Connection { usage: books, scope, .. } = &*self.inner.connection;
        self.inner.usage.get_or_init(|| {
            let told = [self.name(), self.id()].map(|text| scope.secrets.redactor.redact(text));
            books.of_tool(self.name(), (&told[0], &told[1]))
        })
    }

    /// What its merged options come to.
    pub(crate) fn terms(&self) -> &Terms {
        &self.inner.terms
    }

    #[cfg(feature = "validate")]
    pub(crate) fn schemas(&self) -> &Schemas {
        &self.inner.described.schemas
    }

    /// Whether it changes nothing, by the word of a server that is trusted.
    pub(crate) fn is_read_only(&self) -> bool {
        self.inner.connection.spec.trusts_annotations && self.annotations().read_only == Some(true)
    }

    /// Whether running it twice does no harm, by the word of a server that is trusted.
    pub(crate) fn is_harmless(&self) -> bool {
        let Annotations { read_only, idempotent, .. } = self.annotations();
        self.inner.connection.spec.trusts_annotations
            && (read_only == Some(true) || idempotent == Some(true))
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.inner.connection
    }
}

impl Description {
    /// As the server knows it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As the server described it.
    pub(super) fn raw(&self) -> &str {
        self.raw.get()
    }

    /// Checks what must be right for the tool to be called at all; the rest is the host's to judge.
    pub(super) fn read(
        prefix: &str,
        raw: &RawValue,
        mirrors: bool,
    ) -> Result<Self, (Option<String>, String)> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            name: Option<Cow<'a, str>>,
            #[serde(borrow, rename = "inputSchema")]
            schema: Option<&'a RawValue>,
            #[serde(borrow)]
            annotations: Option<&'a RawValue>,
        }
        let head: Head<'_> =
            serde_json::from_str(raw.get()).map_err(|error| (None, error.to_string()))?;
        let Some(name) = head.name.map(Cow::into_owned) else {
            return Err((None, "it has no name".to_owned()));
        };
        let schema = head.schema.map(RawValue::get);
        let fault = if name.is_empty() {
            Some("its name is empty")
        } else if name.chars().any(char::is_control) {
            Some("its name holds control characters")
        } else if schema.is_none() {
            Some("it has no inputSchema")
        } else if !schema.is_some_and(|schema| schema.starts_with('{')) {
            Some("its inputSchema is not an object")
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err((Some(name), fault.to_owned()));
        }
        let mirrors = match schema.filter(|_| mirrors).map_or(Ok(Vec::new()), mirror::mirrors) {
            Ok(mirrors) => mirrors,
            Err(fault) => return Err((Some(name), fault)),
        };
        Ok(Self {
            id: naming::tool_id(prefix, &name).into(),
            llm_name: naming::llm_name(prefix, &name),
            members: format!("\"name\":{},\"arguments\":", Value::from(name.as_str())),
            name,
            raw: raw.to_owned(),
            annotations: head.annotations.map_or_else(Annotations::default, Annotations::read),
            #[cfg(feature = "validate")]
            schemas: Schemas::default(),
            mirrors,
        })
    }
}
