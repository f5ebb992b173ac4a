//! What stands in every span of a server, worked out once.

use crate::{
    redactor::Redactor,
    spec::{Opening, ServerSpec},
};

/// What is known of a server before it is up.
#[derive(Debug)]
pub(crate) struct Labels {
    /// How it was declared to be opened.
    pub(super) mode: &'static str,
    pub(crate) transport: &'static str,
    pub(super) protocol: Option<&'static str>,
    /// Without what may be a secret in it.
    pub(super) url: Option<String>,
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
}

impl Labels {
    pub(crate) fn of(spec: &ServerSpec) -> Self {
        let mode = match spec.opening {
            Opening::Eager => "session",
            Opening::Lazy => "lazy",
            Opening::PerCall => "per_call",
        };
        let pipe =
            Self { mode, transport: "pipe", protocol: None, url: None, address: None, port: None };
        #[cfg(feature = "http")]
        if let Some(http) = spec.transport.http() {
            let parsed = reqwest::Url::parse(&http.url).ok();
            let parsed = parsed.as_ref();
            return Self {
                transport: "tcp",
                protocol: Some("http"),
                url: Some(bare(&http.url)),
                address: parsed.and_then(|url| url.host_str()).map(str::to_owned),
                port: parsed.and_then(reqwest::Url::port_or_known_default),
                ..pipe
            };
        }
        pipe
    }
}

impl Labels {
    /// Where the server is, without secrets.
    pub(super) fn url(&self, redactor: &Redactor) -> Option<String> {
        self.url.as_ref().map(|url| redactor.redact(url).into_owned())
    }
}

/// A URI without what may be a secret in it: user, query and fragment.
pub(super) fn bare(uri: &str) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let uri = &uri[..end];
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_uri_only_what_is_no_secret_is_told() {
        for (uri, told) in [
            ("https://me:pass@example.com:8443/mcp?key=1#x", "https://example.com:8443/mcp"),
            ("http://example.com", "http://example.com"),
            ("http://example.com?token=a@b/c", "http://example.com"),
            ("file:///a/b@c", "file:///a/b@c"),
            ("mailto:a@example.com", "mailto:a@example.com"),
            ("", ""),
        ] {
            assert_eq!(bare(uri), told);
        }
    }
}
