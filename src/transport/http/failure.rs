//! From the HTTP client's errors to ours.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use rustls::AlertDescription;

use super::sending::Unanswered;
use crate::{
    error::{Delivery, HttpError},
    redactor::Redactor,
};

/// Why an exchange brought no answer, and whether its request may have left.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) delivery: Delivery,
}

#[derive(Debug, Clone)]
pub(crate) enum Cause {
    Http(Arc<HttpError>),
    /// The server does not know the HTTP session, and so did nothing with what it was asked last.
    SessionLost,
}

impl Failure {
    pub(crate) fn new(error: HttpError, delivery: Delivery) -> Self {
        Self { cause: Cause::Http(Arc::new(error)), delivery }
    }

    pub(crate) fn maybe_sent(error: HttpError) -> Self {
        Self::new(error, Delivery::MaybeSent)
    }

    /// The same failure, of a request that had left before it.
    pub(crate) fn of_sent(self) -> Self {
        Self { delivery: Delivery::MaybeSent, ..self }
    }

    pub(crate) fn session_lost() -> Self {
        Self { cause: Cause::SessionLost, delivery: Delivery::NotSent }
    }

    /// What a connection said about a request that got no answer.
    pub(crate) fn of_exchange(origin: &str, Unanswered { error, written }: Unanswered) -> Self {
        let origin = origin.to_owned();
        let tls = tls_error(&*error);
        let sent = written && !tls.is_some_and(is_refusal);
        let (delivery, tls) =
            (if sent { Delivery::MaybeSent } else { Delivery::NotSent }, tls.is_some());
        let source = error;
        let error = if tls {
            HttpError::Tls { origin, source }
        } else {
            HttpError::Broken { origin, source }
        };
        Self::new(error, delivery)
    }

    /// What a client that is not ours said about a request that got no answer.
    pub(crate) fn of_request(origin: &str, error: reqwest::Error) -> Self {
        let origin = origin.to_owned();
        let (connecting, tls) = (error.is_connect(), is_tls(&error));
        let delivery = if connecting { Delivery::NotSent } else { Delivery::MaybeSent };
        let source = shared(error);
        let error = match (tls, connecting) {
            (true, _) => HttpError::Tls { origin, source },
            (false, true) => HttpError::Connect { origin, source },
            (false, false) => HttpError::Broken { origin, source },
        };
        Self::new(error, delivery)
    }
}

/// Without its URL, which may hold what nobody should read.
pub(crate) fn shared(error: reqwest::Error) -> Arc<dyn Error + Send + Sync> {
    Arc::new(error.without_url())
}

pub(super) fn is_tls(error: &(dyn Error + 'static)) -> bool {
    tls_error(error).is_some()
}

/// What TLS said, if it stands anywhere behind an error; I/O errors hide it one in another.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let hidden = || error.downcast_ref::<std::io::Error>()?.get_ref();
    error.downcast_ref().or_else(|| tls_error(hidden()?)).or_else(|| tls_error(error.source()?))
}

/// Whether the server does not want to have to do with us: of our certificate it may say so only
/// when we have sent a request, which it has not read then (RFC 8446, 4.4.2.4 and 6.2).
fn is_refusal(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else { return false };
    [
        Alert::NoCertificate,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::CertificateRequired,
        Alert::UnknownCA,
        Alert::AccessDenied,
        Alert::DecryptError,
    ]
    .contains(alert)
}

/// What a status that is no answer says.
pub(crate) fn status(
    origin: &str,
    status: u16,
    headers: &HeaderMap,
    (body, redactor): (&[u8], &Redactor),
) -> HttpError {
    /// How much of a body is kept.
    const KEPT: usize = 1024;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    HttpError::Status {
        origin: origin.to_owned(),
        status,
        retry_after: text(RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now())),
        challenge: text(WWW_AUTHENTICATE).map(|text| redactor.redact(text).into_owned()),
        // Redacted before it is cut, for a part of a secret is not found.
        body: shortened(&redactor.redact(&String::from_utf8_lossy(body)), KEPT),
    }
}

fn shortened(text: &str, limit: usize) -> String {
    let whole = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=limit.min(text.len())).rev().find(whole).unwrap_or_default();
    text[..end].to_owned()
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(date, now + Duration::from_secs(60)), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
