//! What a server says when it refuses a request (RFC 9110, 11.6.1; RFC 6750, 3).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a server says when it refuses a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The whole of it, as it came.
    pub(super) text: Option<String>,
    pub(super) scheme: String,
    pub(super) error: Option<String>,
    pub(super) scopes: Vec<String>,
}

impl Challenge {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let said = headers.get_all(WWW_AUTHENTICATE).iter();
        let said: Vec<_> = said.filter_map(|value| value.to_str().ok()).collect();
        let known = |text: &&str| ["bearer", "dpop"].contains(&scheme(text).as_str());
        let Some(text) = said.iter().copied().find(known).or_else(|| said.first().copied()) else {
            return Self::default();
        };
        let scopes = parameter(text, "scope").unwrap_or_default();
        Self {
            scheme: scheme(text),
            error: parameter(text, "error"),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            text: Some(text.to_owned()),
        }
    }

    /// Whether it wants a proof with a nonce that it gave (RFC 9449, 9).
    pub(super) fn wants_nonce(&self) -> bool {
        self.error.as_deref() == Some("use_dpop_nonce")
    }

    pub(super) fn wants_scopes(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope") && !self.scopes.is_empty()
    }
}

fn scheme(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

/// One `name=value` or `name="value"` of a challenge.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text.trim_start().split_once(char::is_whitespace)?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().trim_start_matches(',').trim();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

/// A quoted string up to its end, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_in_any_order_and_quoting() {
        let text = r#"Bearer error=insufficient_scope, realm="a, \"b\" scope=c", scope="d e""#;
        assert_eq!(parameter(text, "scope").as_deref(), Some("d e"));
        assert_eq!(parameter(text, "error").as_deref(), Some("insufficient_scope"));
        assert_eq!(parameter(text, "realm").as_deref(), Some(r#"a, "b" scope=c"#));
        assert_eq!(parameter(text, "nothing"), None);
        assert_eq!(parameter("Bearer", "scope"), None);
        assert_eq!(parameter(r#"Bearer scope="open"#, "scope"), None);
    }
}
