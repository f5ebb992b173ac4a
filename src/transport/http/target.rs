//! Where a request goes, as its head says it.

use http::{HeaderValue, Uri, uri::PathAndQuery};
use reqwest::Url;

/// A URL in the forms that requests have it in, made once.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Path and query, for HTTP/1.1 (RFC 9112, 3.2.1).
    pub(crate) origin_form: Uri,
    /// All of it, for HTTP/2 (RFC 9113, 8.3.1).
    pub(crate) absolute: Uri,
}

impl Target {
    pub(crate) fn new(url: &Url) -> Result<Self, http::Error> {
        let path_and_query = match url.query() {
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", url.path())),
            None => PathAndQuery::try_from(url.path()),
        }?;
        let absolute = Uri::builder().scheme(url.scheme()).authority(authority(url));
        let absolute = absolute.path_and_query(path_and_query.clone()).build()?;
        Ok(Self { origin_form: path_and_query.into(), absolute })
    }
}

/// What the `Host` header says (RFC 9110, 7.2).
pub(crate) fn host(url: &Url) -> Result<HeaderValue, http::Error> {
    Ok(HeaderValue::try_from(authority(url))?)
}

/// Host and port, without credentials, and without a port that goes without saying.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_what_its_url_says() {
        for (url, origin_form, absolute, host) in [
            ("http://a.example", "/", "http://a.example/", "a.example"),
            ("https://a.example:443/mcp", "/mcp", "https://a.example/mcp", "a.example"),
            ("http://a:80/m?b=c&d#e", "/m?b=c&d", "http://a/m?b=c&d", "a"),
            ("http://[::1]:8080/é {}|", "/%C3%A9%20%7B%7D|", "", "[::1]:8080"),
            ("https://u:p@a.example:1/?", "/?", "https://a.example:1/?", "a.example:1"),
            ("http://a/?q={\"x\":'y'}", "/?q={%22x%22:%27y%27}", "", "a"),
        ] {
            let url = Url::parse(url).unwrap();
            let target = Target::new(&url).unwrap();
            assert_eq!(target.origin_form.to_string(), origin_form);
            if !absolute.is_empty() {
                assert_eq!(target.absolute.to_string(), absolute);
            }
            assert_eq!(super::host(&url).unwrap(), host);
        }
    }
}
