//! What a host is asked.

use std::sync::Arc;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

use super::form::{self, FormFault};
use crate::trace::TraceContext;

/// A server's wish for a model's answer.
#[derive(Debug, Clone)]
pub struct SamplingQuestion {
    pub(crate) server: Arc<str>,
    pub(crate) params: Box<RawValue>,
}

impl SamplingQuestion {
    /// The server that asks.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The parameters as the server wrote them.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.params.get()
    }

    /// The trace that the server says it is in, from the `_meta` of its request (W3C Trace Context).
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of_params(&self.params)
    }

    /// The parameters as a JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.raw()).unwrap_or_default()
    }

    /// The parameters as a type of the host's, or of the protocol's SDK
    /// (`model::CreateMessageRequestParams`).
    ///
    /// # Errors
    ///
    /// Where they do not fit it.
    pub fn typed<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.raw())
    }
}

/// A server's wish to have a form filled in.
#[derive(Debug, Clone)]
pub struct FormQuestion {
    pub(crate) server: Arc<str>,
    pub(crate) params: Box<RawValue>,
    message: String,
    schema: Value,
}

impl FormQuestion {
    /// The server that asks; a person is to see it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What the server says to the person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The JSON Schema of the form: an object of fields that are strings, numbers, booleans or
    /// choices.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The parameters as the server wrote them.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.params.get()
    }

    /// The trace that the server says it is in, from the `_meta` of its request (W3C Trace Context).
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of_params(&self.params)
    }

    /// The form with nothing but its defaults.
    #[must_use]
    pub fn defaults(&self) -> Map<String, Value> {
        form::with_defaults(&self.schema, Map::new())
    }

    /// Puts the defaults in where nothing was said, and checks every field, so that a person can be
    /// told what is wrong before the form is accepted.
    ///
    /// # Errors
    ///
    /// Every fault there is.
    pub fn check(&self, content: Map<String, Value>) -> Result<Map<String, Value>, Vec<FormFault>> {
        form::check(&self.schema, content)
    }
}

/// A server's wish to have a person visit a page.
#[derive(Debug, Clone)]
pub struct UrlQuestion {
    pub(crate) server: Arc<str>,
    pub(crate) params: Box<RawValue>,
    message: String,
    url: String,
    id: Option<String>,
}

impl UrlQuestion {
    /// The server that asks; a person is to see it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What the server says to the person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The URL, which a person is to see in full before it is opened.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the server calls it, in the revisions that have that (2025-11-25).
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The parameters as the server wrote them.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.params.get()
    }

    /// The trace that the server says it is in, from the `_meta` of its request (W3C Trace Context).
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of_params(&self.params)
    }

    /// Whether the URL is of one of these schemes.
    pub(crate) fn is_of(&self, schemes: &[String]) -> bool {
        let scheme = self.url.split_once(':').map_or("", |(scheme, _)| scheme);
        schemes.iter().any(|allowed| allowed.eq_ignore_ascii_case(scheme))
    }
}

/// One of the two ways of elicitation. A question without a mode is a form (MCP 2025-11-25).
pub(crate) enum Elicitation {
    Form(FormQuestion),
    Url(UrlQuestion),
}

impl Elicitation {
    pub(crate) fn read(server: &Arc<str>, params: &RawValue) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            mode: Option<String>,
            #[serde(default)]
            message: String,
            #[serde(default)]
            requested_schema: Value,
            url: Option<String>,
            elicitation_id: Option<String>,
        }
        let read: Params = serde_json::from_str(params.get()).map_err(|error| error.to_string())?;
        let (server, params) = (Arc::clone(server), params.to_owned());
        match (read.mode.as_deref(), read.url) {
            (None | Some("form"), _) if read.requested_schema.is_object() => {
                let (message, schema) = (read.message, read.requested_schema);
                Ok(Self::Form(FormQuestion { server, params, message, schema }))
            }
            (None | Some("form"), _) => Err("a form without a requestedSchema".to_owned()),
            (Some("url"), Some(url)) => {
                let (message, id) = (read.message, read.elicitation_id);
                Ok(Self::Url(UrlQuestion { server, params, message, url, id }))
            }
            (Some("url"), None) => Err("no url".to_owned()),
            (Some(other), _) => Err(format!("no such mode: {other:?}")),
        }
    }
}
