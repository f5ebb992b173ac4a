//! Resources: what servers have to read.

mod template;

pub use template::{Template, TemplateFault};

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmcp::model::{ReadResourceResult, Resource as Described, ResourceTemplate};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    changes::{Changes, Topics},
    connection::{
        Connection,
        kept::{ask, list},
        requests::Question,
    },
    error::CallError,
    query::{Query, Terms},
    received::{Listed, Received, for_host},
    server::Server,
    session::Session,
};

/// JSON-RPC codes of a server that knows no such resource: of the older revisions, and of 2026-07-28.
const NOT_FOUND: [i64; 2] = [-32002, -32602];

/// One resource of one server. A cheap handle; making one asks nothing.
#[derive(Debug, Clone)]
pub struct Resource {
    connection: Arc<Connection>,
    uri: Arc<str>,
}

impl Resource {
    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The name of its server.
    #[must_use]
    pub fn server(&self) -> &str {
        self.connection.name()
    }

    /// Reads it. Where the server says how long that holds, reading it again within that time asks
    /// nobody.
    pub fn read(&self) -> Query<Contents> {
        let uri = Arc::clone(&self.uri);
        Query::new(&self.connection, move |connection, terms| async move {
            read(&connection, &uri, terms).await
        })
    }

    /// Its changes from now on: see [`Server::subscribe`].
    pub fn subscribe(&self) -> Changes {
        Changes::of(&self.connection, Topics::new().resource(&*self.uri))
    }
}

pub(crate) async fn read(
    connection: &Arc<Connection>,
    uri: &str,
    terms: Terms,
) -> Result<Contents, CallError> {
    let mut question = Question::new("resources/read", Some(uri)).with("uri", &uri);
    question.rounds = true;
    match ask(connection, &question, terms).await {
        Ok(raw) => Ok(Contents { received: Received::new(for_host(connection, raw)) }),
        Err(CallError::Rejected { code, .. }) if NOT_FOUND.contains(&code) => {
            let server = connection.name().to_string();
            Err(CallError::ResourceNotFound { server, uri: uri.to_owned() })
        }
        Err(error) => Err(error),
    }
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Contents {
    received: Received<ReadResourceResult>,
}

/// One part of what was read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Part {
    /// Its URI; a folder's parts have their own.
    pub uri: String,
    /// What it is, where the server says.
    pub mime_type: Option<String>,
    /// What is in it.
    pub body: Body,
}

/// What is in a part of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Text.
    Text(String),
    /// Bytes, decoded.
    Blob(Vec<u8>),
}

impl Body {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Blob(bytes) => bytes,
        }
    }
}

impl Contents {
    /// As the server wrote it, and as a type of the protocol's SDK.
    #[must_use]
    pub fn received(&self) -> &Received<ReadResourceResult> {
        &self.received
    }

    /// The result as JSON, to the byte.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.received.raw()
    }

    /// Its texts, joined by line ends.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.parts().into_iter().filter_map(|part| match part.body {
            Body::Text(text) => Some(text),
            Body::Blob(_) => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Its parts; those that are neither text nor base64 are left out, and stand in
    /// [`raw`](Self::raw).
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        #[derive(Deserialize)]
        struct Read<'a> {
            #[serde(borrow)]
            contents: Vec<&'a RawValue>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            uri: String,
            mime_type: Option<String>,
            text: Option<String>,
            blob: Option<String>,
        }
        let read: Option<Read<'_>> = serde_json::from_str(self.raw()).ok();
        let parts = read.map(|read| read.contents).unwrap_or_default();
        let part = |raw: &RawValue| {
            let Written { uri, mime_type, text, blob } = serde_json::from_str(raw.get()).ok()?;
            let blob = blob.and_then(|blob| BASE64_STANDARD.decode(blob).ok()).map(Body::Blob);
            Some(Part { uri, mime_type, body: text.map(Body::Text).or(blob)? })
        };
        parts.into_iter().filter_map(part).collect()
    }
}

impl Server {
    /// The resources that it lists, over all pages.
    pub fn resources(&self) -> Query<Listed<Described>> {
        Query::new(&self.connection(), |connection, terms| async move {
            let listed = list(&connection, ("resources/list", "resources"), terms).await?;
            Ok(Listed::for_host(listed, &connection))
        })
    }

    /// The templates of resources that it lists, over all pages; [`Template`] fills them in.
    pub fn resource_templates(&self) -> Query<Listed<ResourceTemplate>> {
        Query::new(&self.connection(), |connection, terms| async move {
            Ok(templates(&connection, terms).await?.for_host(&connection))
        })
    }

    /// The resource of this URI, whether it is listed or not.
    #[must_use]
    pub fn resource(&self, uri: impl AsRef<str>) -> Resource {
        Resource { connection: self.connection(), uri: uri.as_ref().into() }
    }
}

async fn templates(
    connection: &Arc<Connection>,
    terms: Terms,
) -> Result<Listed<ResourceTemplate>, CallError> {
    list(connection, ("resources/templates/list", "resourceTemplates"), terms).await
}

impl Session {
    /// Reads a resource from the server that has it: the only one that lists it, or else the only one
    /// with a template that fits, or else the only one with resources at all. A server that
    /// is asleep is counted by what it offered when it was up, and woken; one that was never up is asked
    /// only where no other has resources. Of servers that are down nothing is known.
    ///
    /// # Errors
    ///
    /// [`CallError::UnroutedResource`] where that leaves none, or several; and those of
    /// [`Resource::read`].
    pub fn read(&self, uri: impl AsRef<str>) -> Query<Contents> {
        let uri = uri.as_ref().to_owned();
        let connections = self.connections();
        Query::anywhere(self.options(), move |terms| async move {
            let connection = route(&connections, &uri, terms).await?;
            read(&connection, &uri, terms).await
        })
    }
}

/// Finds the server of a resource.
async fn route(
    connections: &[Arc<Connection>],
    uri: &str,
    terms: Terms,
) -> Result<Arc<Connection>, CallError> {
    let offering = |wanted| {
        let fits = move |one: &&Arc<Connection>| one.would_offer("resources") == wanted;
        connections.iter().filter(fits).collect::<Vec<_>>()
    };
    let mut having = offering(Some(true));
    if having.is_empty() {
        having = offering(None);
    }
    if having.len() > 1 {
        let (mut listing, mut fitting) = (Vec::new(), Vec::new());
        for connection in &having {
            // A server that cannot list now may have it all the same.
            let listed =
                list::<Described>(connection, ("resources/list", "resources"), terms).await;
            let listed = listed.map(|listed| listed.items).unwrap_or_default();
            if listed.iter().any(|item| item.text("uri").as_deref() == Some(uri)) {
                listing.push(*connection);
            }
            let listed = templates(connection, terms).await;
            let listed = listed.map(|listed| listed.items).unwrap_or_default();
            let fits = |template: String| Template::new(&template).is_ok_and(|t| t.fits(uri));
            if listed.iter().any(|item| item.text("uriTemplate").is_some_and(fits)) {
                fitting.push(*connection);
            }
        }
        having = if listing.is_empty() { fitting } else { listing };
    }
    match having.as_slice() {
        [only] => Ok(Arc::clone(only)),
        others => {
            let servers = others.iter().map(|connection| connection.name().to_string()).collect();
            Err(CallError::UnroutedResource { uri: uri.to_owned(), servers })
        }
    }
}
