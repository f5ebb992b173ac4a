//! From a reference to a value, at the moment when a connection needs it.

use std::{ffi::OsStr, path::Path, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;

use super::{Piece, Provider, Secret, Source, command, value, without_line_end};
use crate::{
    connection::SessionScope,
    error::{SecretCause, SecretError},
    redactor::{self, Owner, Redactor},
    transport::environment,
};

/// No secret is larger than this.
const LARGEST: usize = 64 << 10;

/// How long a file, a program or a provider may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What a session knows about secrets.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) redactor: Redactor,
    pub(crate) provider: Provider,
    /// Whether results are redacted, too.
    pub(crate) redact_results: bool,
    /// Whether a secret of one server keeps a call from another.
    pub(crate) egress_scope: bool,
}

impl SessionScope {
    /// Resolves a reference, and has the value redacted from now on. `server` is whom it belongs to;
    /// one without belongs to the session.
    pub(crate) async fn resolve(
        &self,
        secret: &Secret,
        server: Option<&Arc<str>>,
    ) -> Result<SecretString, SecretError> {
        let Source::Joined(pieces) = &secret.0 else {
            return self.resolve_one(secret, server).await;
        };
        let mut values = Vec::with_capacity(pieces.len());
        for piece in pieces.iter() {
            values.push(match piece {
                Piece::Text(text) => SecretString::from(text.as_str()),
                Piece::Secret(secret) => self.resolve_one(secret, server).await?,
            });
        }
        Ok(value::join(&values))
    }

    async fn resolve_one(
        &self,
        secret: &Secret,
        server: Option<&Arc<str>>,
    ) -> Result<SecretString, SecretError> {
        // A default stands in the declaration for all to read, and may be empty.
        if let Source::EnvOr(name, otherwise) = &secret.0
            && environment::variable(name).is_none_or(|value| value.is_empty())
        {
            return Ok(SecretString::from(otherwise.as_str()));
        }
        let failed = |cause| SecretError { reference: secret.reference(), cause };
        let value = tokio::time::timeout(LIMIT, self.look_up(secret, server)).await;
        let value = value.unwrap_or(Err(SecretCause::TimedOut { after: LIMIT })).map_err(failed)?;
        let owner =
            Owner { server: server.cloned(), source: redactor::Source::Declared(secret.clone()) };
        if !self.secrets.redactor.learn(owner, &value) {
            return Err(failed(SecretCause::Empty));
        }
        Ok(value)
    }

    /// Resolves what is nobody's but the session's.
    pub(crate) async fn resolve_all(&self, secrets: &[Secret]) -> Result<(), SecretError> {
        for secret in secrets {
            self.resolve(secret, None).await?;
        }
        Ok(())
    }

    async fn look_up(
        &self,
        secret: &Secret,
        server: Option<&Arc<str>>,
    ) -> Result<SecretString, SecretCause> {
        match &secret.0 {
            Source::Literal(value) => Ok(value.clone()),
            Source::Env(name) | Source::EnvOr(name, _) => variable(name),
            // Its pieces are resolved one by one, and none is a text with secrets again.
            Source::Joined(_) => Err(SecretCause::NotText),
            Source::File(path) => file(path).await,
            Source::Command(command) => {
                let server = server.cloned().unwrap_or_else(|| "secrets".into());
                command::run(command, self, server).await
            }
            Source::Provider(name) => {
                let provider = self.secrets.provider.0.as_ref().ok_or(SecretCause::NoProvider)?;
                provider.secret(name).await.map_err(|error| SecretCause::Provider(error.into()))
            }
        }
    }
}

fn variable(name: &OsStr) -> Result<SecretString, SecretCause> {
    let value = environment::variable(name).ok_or(SecretCause::Unset)?;
    value.into_string().map(SecretString::from).map_err(|_| SecretCause::NotText)
}

async fn file(path: &Path) -> Result<SecretString, SecretCause> {
    let unreadable = |error| SecretCause::Unreadable(Arc::new(error));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut content).await.map_err(unreadable)?;
    text(content)
}

/// What was read, without its line end.
pub(super) fn text(content: Vec<u8>) -> Result<SecretString, SecretCause> {
    if content.len() > LARGEST {
        return Err(SecretCause::TooLarge { limit: LARGEST });
    }
    let text = String::from_utf8(content).map_err(|_| SecretCause::NotText)?;
    Ok(SecretString::from(without_line_end(text)))
}

/// How much of a program's output is read: enough to see that it is too much.
pub(super) const READ: u64 = LARGEST as u64 + 1;
