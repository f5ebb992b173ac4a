//! What a host may want to know of a declaration before anything is started.

use std::path::PathBuf;

use super::{ArgValue, EnvValue, ServerSpec, Stdio, Transport};
use crate::{
    error::ConnectError,
    secret::Secret,
    transport::environment::{self, Resolved},
};

impl ServerSpec {
    /// What its secrets are called, such as `env GITHUB_TOKEN`, in the order of the declaration;
    /// never what they are. Those of OAuth are not among them: they are looked up when a token is
    /// asked for.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.references().into_iter().map(Secret::reference).collect()
    }

    /// What the session's [`SecretProvider`](crate::SecretProvider) is asked for on its behalf, by
    /// name: each once, in the order of the declaration, and with the secrets of OAuth. A host that
    /// asks a person can do so before it opens a session, and take longer than a start may.
    #[must_use]
    pub fn provided_secrets(&self) -> Vec<&str> {
        let references = self.references().into_iter().chain(self.granted());
        let mut names = Vec::new();
        for name in references.flat_map(Secret::provided) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The secrets that a start resolves.
    fn references(&self) -> Vec<&Secret> {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.secrets().collect(),
            Transport::Memory(_) => Vec::new(),
            #[cfg(feature = "http")]
            Transport::StreamableHttp(remote) => remote.http.secrets().collect(),
            #[cfg(feature = "http")]
            Transport::HttpSse(remote) => remote.http.secrets().collect(),
        }
    }

    /// Those that are resolved when a token is asked for.
    fn granted(&self) -> Vec<&Secret> {
        match &self.transport {
            Transport::Stdio(_) | Transport::Memory(_) => Vec::new(),
            #[cfg(feature = "http")]
            Transport::StreamableHttp(remote) => remote.http.granted(),
            #[cfg(feature = "http")]
            Transport::HttpSse(remote) => remote.http.granted(),
        }
    }

    /// Has a person log in to a server behind a URL that declares no [`Auth`](crate::Auth) and no
    /// `Authorization` header; of one that declares a login without a
    /// [store](crate::OAuth::store), the tokens are kept in the store of this. All others stay as
    /// they are.
    #[cfg(feature = "oauth")]
    pub fn or_login(mut self, login: crate::OAuth) -> Self {
        match &mut self.transport {
            Transport::Stdio(_) | Transport::Memory(_) => {}
            Transport::StreamableHttp(remote) => remote.http.or_login(login),
            Transport::HttpSse(remote) => remote.http.or_login(login),
        }
        self
    }
}

impl Stdio {
    /// The program that a start would run: its command, looked up on the PATH of the child as it is
    /// now. Nothing is started.
    ///
    /// # Errors
    ///
    /// [`ConnectError::CommandNotFound`] and [`ConnectError::NoDirectory`], as a start would end.
    pub fn program(&self) -> Result<PathBuf, ConnectError> {
        environment::program(self, &environment::variables(self, &Resolved::default()))
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let arguments = self.args.iter().filter_map(|argument| match argument {
            ArgValue::Secret(secret) => Some(secret),
            ArgValue::Literal(_) => None,
        });
        let variables = self.env.iter().filter_map(|(_, value)| match value {
            EnvValue::Secret(secret) => Some(secret),
            EnvValue::Inherited | EnvValue::Literal(_) => None,
        });
        arguments.chain(variables)
    }
}
