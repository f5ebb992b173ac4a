//! The keys of how a server is shown who we are.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::{
    reader::Reader,
    secrets::SOURCES,
    table::{Field, Table, Take},
    tree::Node,
};
use crate::{Auth, Secret, StreamableHttp};
#[cfg(feature = "oauth")]
use crate::{ClientCredentials, FileTokenStore, OAuth};

/// The kinds, each with the keys that mean something to it beside those of its secret.
const KINDS: [(&str, &[&str]); 5] = [
    ("bearer", &["token"]),
    ("api_key", &["header", "key"]),
    ("basic", &["user", "password"]),
    (
        "client_credentials",
        &[
            "client_id",
            "client_id_env",
            "client_secret",
            "client_secret_env",
            "token_url",
            "scope",
            "scopes",
            "resource",
            "secret_in",
        ],
    ),
    (
        "oauth",
        &[
            "client_name",
            "client_id",
            "client_id_env",
            "client_secret",
            "client_secret_env",
            "scope",
            "scopes",
            "client_metadata_url",
            "redirect_uri",
            "store",
        ],
    ),
];

/// What is said, before it is known whether it makes sense.
#[derive(Default)]
struct Said {
    kind: String,
    /// The token, key or password.
    secret: Option<Secret>,
    header: Option<String>,
    user: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    token_url: Option<String>,
    scopes: Vec<String>,
    resource: Option<String>,
    /// In the body, or in a header.
    secret_in_body: Option<bool>,
    client_name: Option<String>,
    metadata_url: Option<String>,
    redirect_uri: Option<String>,
    store: Option<PathBuf>,
}

static SAID: Table<Said> = Table(&[
    text("type", "bearer, api_key, basic, client_credentials or oauth.", |said, text| {
        said.kind = text
    }),
    secret("token", "bearer: the token.", |said, secret| said.secret = secret),
    text("header", "api_key: the name of the header.", |said, text| said.header = Some(text)),
    secret("key", "api_key: the key.", |said, secret| said.secret = secret),
    text("user", "basic: the user.", |said, text| said.user = Some(text)),
    secret("password", "basic: the password.", |said, secret| said.secret = secret),
    source("env", "The variable that holds the token, key or password."),
    source("file", "The file that holds it."),
    source("op", "Where it is in 1Password, as op://vault/item/field."),
    source("exec", "A program that prints it, and its arguments."),
    source("provider", "The name by which the host's own provider knows it."),
    source("static", "The token, key or password itself, for whoever reads the file to see."),
    text("client_id", "The id of the client.", |said, text| said.client_id = Some(text)),
    Field {
        name: "client_id_env",
        about: "The variable that holds the id of the client.",
        take: Take::Other(
            |said, node, reader| said.client_id = reader.variable(node),
            || json!({ "type": "string" }),
        ),
        get: |_| Json::Null,
    },
    secret("client_secret", "The secret of the client.", |said, secret| {
        said.client_secret = secret
    }),
    Field {
        name: "client_secret_env",
        about: "The variable that holds the secret of the client.",
        take: Take::Text(|said, name| said.client_secret = Some(Secret::env(name))),
        get: |_| Json::Null,
    },
    text("token_url", "Where tokens are given.", |said, text| said.token_url = Some(text)),
    text("scope", "The scopes to ask for, with spaces between.", |said, text| {
        said.scopes = text.split_whitespace().map(str::to_owned).collect();
    }),
    Field {
        name: "scopes",
        about: "The scopes to ask for.",
        take: Take::Texts(|said, scopes| said.scopes = scopes),
        get: |_| Json::Null,
    },
    text("resource", "client_credentials: whom the token is for.", |said, text| {
        said.resource = Some(text);
    }),
    Field {
        name: "secret_in",
        about: "client_credentials: where the secret is shown, whatever the authorization server says.",
        take: Take::Choice(&["header", "body"], |said, text| {
            said.secret_in_body = Some(text == "body");
        }),
        get: |_| Json::Null,
    },
    text("client_name", "oauth: what the person who logs in is shown.", |said, text| {
        said.client_name = Some(text);
    }),
    text("client_metadata_url", "oauth: the https URL of the client's metadata.", |said, text| {
        said.metadata_url = Some(text);
    }),
    text("redirect_uri", "oauth: where the browser is sent back to.", |said, text| {
        said.redirect_uri = Some(text);
    }),
    Field {
        name: "store",
        about: "oauth: the folder in which tokens are kept for the next run, from that of the file.",
        take: Take::Other(
            |said, node, reader| {
                said.store = reader.resolved(node).map(|folder| reader.path(&folder));
            },
            || json!({ "type": "string" }),
        ),
        get: |_| Json::Null,
    },
]);

const fn text(name: &'static str, about: &'static str, set: fn(&mut Said, String)) -> Field<Said> {
    Field { name, about, take: Take::Text(set), get: |_| Json::Null }
}

const fn secret(
    name: &'static str,
    about: &'static str,
    set: fn(&mut Said, Option<Secret>),
) -> Field<Said> {
    Field { name, about, take: Take::Secret(set), get: |_| Json::Null }
}

const fn source(name: &'static str, about: &'static str) -> Field<Said> {
    Field {
        name,
        about,
        take: Take::Source(name, |said, secret| said.secret = secret),
        get: |_| Json::Null,
    }
}

pub(super) fn schema() -> Json {
    let mut schema = SAID.schema();
    schema["required"] = json!(["type"]);
    schema["properties"]["type"]["enum"] = KINDS.iter().map(|(kind, _)| *kind).collect();
    schema
}

pub(super) fn read(remote: &mut StreamableHttp, node: &Node, reader: &mut Reader<'_>) {
    let Some(members) = node.members() else { return reader.expected(node, "an object") };
    let Some(kind) = node.get("type") else {
        let hint = r#"say which: type = "bearer", and where the token is"#;
        return reader.fault(node.at, "its type is missing", Some(hint.to_owned()));
    };
    let known = KINDS.iter().find(|(name, _)| kind.node.text() == Some(name));
    let Some((_, own)) = known else {
        let hint = kind
            .node
            .text()
            .and_then(|text| super::fault::meant(text, KINDS.iter().map(|(name, _)| *name)));
        let all: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        return reader.fault(
            kind.node.at,
            format!("one of {} is wanted here", all.join(", ")),
            hint,
        );
    };
    let sourced = own.iter().any(|key| ["token", "key", "password"].contains(key));
    let fits =
        |name: &str| name == "type" || own.contains(&name) || (sourced && SOURCES.contains(&name));
    let before = reader.faults.len();
    let strays = members
        .iter()
        .filter(|member| SAID.names().any(|name| name == member.name) && !fits(&member.name));
    for member in strays {
        let message =
            format!("auth of the type {} has no such key", kind.node.text().unwrap_or_default());
        reader.fault(member.at, message, None);
    }
    let mut said = Said::default();
    SAID.read(&mut said, node, reader);
    if reader.faults.len() == before {
        match said.auth() {
            Ok(auth) => remote.http.auth = Some(auth),
            Err(missing) => reader.fault(node.at, missing, None),
        }
    }
}

impl Said {
    fn auth(self) -> Result<Auth, String> {
        let missing = |what: &str| format!("{what} is missing");
        let secret = self.secret.clone();
        let secret = || {
            secret.ok_or(
                "it does not say where its secret is: name env, file, op, exec or provider"
                    .to_owned(),
            )
        };
        match self.kind.as_str() {
            "bearer" => Ok(Auth::bearer(secret()?)),
            "api_key" => {
                let header = self.header.as_deref().unwrap_or("X-API-Key");
                Ok(Auth::api_key(header, secret()?))
            }
            "basic" => Ok(Auth::basic(self.user.ok_or_else(|| missing("user"))?, secret()?)),
            "client_credentials" => self.credentials(),
            _ => self.login(),
        }
    }

    #[cfg(feature = "oauth")]
    fn credentials(self) -> Result<Auth, String> {
        let id = self.client_id.ok_or("client_id, or client_id_env, is missing")?;
        let secret = self.client_secret.ok_or("client_secret, or client_secret_env, is missing")?;
        let mut credentials = ClientCredentials::new(id, secret).scopes(self.scopes);
        if let Some(url) = self.token_url {
            credentials = credentials.token_url(url);
        }
        if let Some(resource) = self.resource {
            credentials = credentials.resource(resource);
        }
        credentials = match self.secret_in_body {
            Some(true) => credentials.secret_in_body(),
            Some(false) => credentials.secret_in_header(),
            None => credentials,
        };
        Ok(Auth::client_credentials(credentials))
    }

    #[cfg(feature = "oauth")]
    fn login(self) -> Result<Auth, String> {
        let mut login = OAuth::new(self.client_name.as_deref().unwrap_or("callboard"));
        login = match (self.client_id, self.client_secret) {
            (Some(id), Some(secret)) => login.client(id, secret),
            (Some(id), None) => login.client_id(id),
            (None, Some(_)) => return Err("client_id is missing".to_owned()),
            (None, None) => login,
        };
        if !self.scopes.is_empty() {
            login = login.scopes(self.scopes);
        }
        if let Some(url) = self.metadata_url {
            login = login.client_metadata_url(url);
        }
        if let Some(uri) = self.redirect_uri {
            login = login.redirect_uri(uri);
        }
        if let Some(folder) = self.store {
            login = login.store(FileTokenStore::new(folder));
        }
        Ok(Auth::oauth(login))
    }

    #[cfg(not(feature = "oauth"))]
    fn credentials(self) -> Result<Auth, String> {
        let Self { client_id, client_secret, token_url, scopes, resource, .. } = self;
        drop((client_id, client_secret, token_url, scopes, resource, self.secret_in_body));
        Err(WITHOUT.to_owned())
    }

    #[cfg(not(feature = "oauth"))]
    fn login(self) -> Result<Auth, String> {
        let Self { client_name, metadata_url, redirect_uri, store, .. } = self;
        drop((client_name, metadata_url, redirect_uri, store));
        Err(WITHOUT.to_owned())
    }
}

#[cfg(not(feature = "oauth"))]
const WITHOUT: &str =
    "this program was built without OAuth (the cargo feature `oauth` of callboard)";
