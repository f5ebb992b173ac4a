//! OAuth with a person: what a host declares of it.

use std::{any::Any, fmt, path::PathBuf, sync::Arc};

use secrecy::SecretString;

use super::{
    authority::Home,
    store::{FileTokenStore, TokenStore},
};
use crate::{error::SecretError, secret::Secret};

/// The id and the secret of a client.
pub(super) type ByHand = (String, Option<SecretString>);

/// OAuth 2.1 with a person who logs in once, in a browser that the host opens, or the person by hand
/// (MCP 2026-07-28, basic/authorization).
///
/// A server that needs a login has the phase [`AuthRequired`](crate::Phase::AuthRequired);
/// [`Server::login`](crate::Server::login) gives the URL to be opened. From then on the tokens renew
/// themselves. Keep them in a [`TokenStore`] for the next run of the program.
///
/// ```no_run
/// # use callboard::{Auth, FileTokenStore, OAuth, Phase, Runtime, ServerSpec, StreamableHttp};
/// # async fn run(runtime: Runtime) -> Result<(), Box<dyn std::error::Error>> {
/// let person = OAuth::new("My program").store(FileTokenStore::new("/var/lib/mine/tokens"));
/// let notes = StreamableHttp::new("https://notes.example.com/mcp").auth(Auth::oauth(person));
/// let session = runtime.session("job-9").server(ServerSpec::new("notes", notes)).open().await?;
/// session.settled().await;
/// let notes = session.server("notes").expect("it is declared");
/// if notes.status().phase == Phase::AuthRequired {
///     let login = notes.login().await?;
///     println!("Open {}", login.url());
///     // The browser comes back to a port of this machine; `finish` takes the URL by hand.
///     login.wait().await?;
///     notes.ready().await.map_err(|error| format!("{error:?}"))?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// What is not declared is found out: where the authorization server is, from the server's own
/// metadata (RFC 9728); what it can do, from its metadata (RFC 8414 or OpenID Connect); which scopes
/// to ask for, from the server's challenge. The client is, in this order, the one that was registered
/// by hand, the metadata document, or one that registers itself (RFC 7591). An authorization server
/// that does not say that it checks PKCE by S256 is refused.
#[derive(Clone)]
#[must_use]
pub struct OAuth {
    pub(crate) client: Option<(String, Option<Secret>)>,
    pub(crate) metadata_url: Option<String>,
    pub(crate) client_name: String,
    pub(super) scopes: Vec<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(super) store: Option<Arc<dyn TokenStore>>,
    /// Its folder, where the store is one of files: two of them are the same store.
    pub(crate) folder: Option<PathBuf>,
}

impl OAuth {
    /// A login for the scopes that the server asks for, of a client that registers itself under this
    /// name, which the person is shown.
    pub fn new(client_name: impl Into<String>) -> Self {
        Self {
            client: None,
            metadata_url: None,
            client_name: client_name.into(),
            scopes: Vec::new(),
            redirect_uri: None,
            store: None,
            folder: None,
        }
    }

    /// The client as it was registered by hand, without a secret.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client = Some((id.into(), None));
        self
    }

    /// The client as it was registered by hand, with its secret, which is resolved for each login and
    /// each renewal, and not kept with the tokens.
    pub fn client(mut self, id: impl Into<String>, secret: Secret) -> Self {
        self.client = Some((id.into(), Some(secret)));
        self
    }

    /// The `https` URL of a document that describes the client and is its id, where the
    /// authorization server knows such documents (Client ID Metadata Documents).
    pub fn client_metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// Asks for these scopes instead of those that the server wants.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Where the browser is sent back to. Default: a free port of this machine,
    /// `http://127.0.0.1:…/callback`, where [`Login::wait`](crate::Login::wait) listens. It listens
    /// at any URL of a loopback address and port; from elsewhere the URL has to be brought by hand, to
    /// [`Login::finish`](crate::Login::finish).
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// Where the tokens are kept. Default: in memory, as long as the session lives.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        let files = (&store as &dyn Any).downcast_ref::<FileTokenStore>();
        self.folder = files.map(|files| files.folder().to_owned());
        self.store = Some(Arc::new(store));
        self
    }
}

impl OAuth {
    /// The client that was registered by hand, with its secret as it is at this moment.
    pub(super) async fn by_hand(&self, home: &Home) -> Result<Option<ByHand>, SecretError> {
        let Some((id, secret)) = &self.client else { return Ok(None) };
        let secret = match secret {
            Some(secret) => Some(home.resolve(secret).await?),
            None => None,
        };
        Ok(Some((id.clone(), secret)))
    }
}

#[cfg(feature = "config")]
impl OAuth {
    /// Whether its tokens are kept somewhere that is no folder.
    pub(crate) fn is_kept_elsewhere(&self) -> bool {
        self.store.is_some() && self.folder.is_none()
    }
}

impl PartialEq for OAuth {
    fn eq(&self, other: &Self) -> bool {
        let Self { client, metadata_url, client_name, scopes, redirect_uri, store, folder } = self;
        let same_store = match (store, &other.store) {
            (None, None) => true,
            (Some(one), Some(two)) => {
                Arc::ptr_eq(one, two) || (folder.is_some() && *folder == other.folder)
            }
            _ => false,
        };
        let declared = (client, metadata_url, client_name, scopes, redirect_uri);
        let Self { client, metadata_url, client_name, scopes, redirect_uri, .. } = other;
        same_store && declared == (client, metadata_url, client_name, scopes, redirect_uri)
    }
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("client", &self.client)
            .field("metadata_url", &self.metadata_url)
            .field("client_name", &self.client_name)
            .field("scopes", &self.scopes)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}
