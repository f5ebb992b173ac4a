//! What the failures of HTTP, TLS and authorization mean.

use std::{error::Error, io};

use super::{Diagnosis, auth, tls};
use crate::error::HttpError;

pub(super) fn diagnose(error: &HttpError) -> Option<Diagnosis> {
    Some(match error {
        HttpError::Connect { source, .. } => return connect(&**source),
        HttpError::Tls { source, .. } => return Some(tls::diagnose(&**source)),
        HttpError::Broken { .. } => Diagnosis::new(
            "connection_broken",
            "the server, or something between, closed the connection before it had answered",
            "look into the log of the server, and at the time limits of proxies in front of it",
        ),
        HttpError::Ended { .. } => Diagnosis::new(
            "stream_ended",
            "the server, or a proxy in front of it, ended the stream early",
            "look at the time limits of proxies, and whether they hold back event streams",
        ),
        HttpError::Status { status, body, .. } => return self::status(*status, body),
        HttpError::ContentType { found, .. } if found.contains("html") => Diagnosis::new(
            "web_page",
            "a web page answers there, and no MCP server: a login page, or the wrong URL",
            "check the URL, its path first (`/mcp`, `/sse`); open it in a browser to see whose \
             page it is",
        ),
        HttpError::ContentType { .. } | HttpError::NoAnswer { .. } => Diagnosis::new(
            "not_mcp",
            "something else than an MCP server answers there",
            "check the URL, its path first (`/mcp`, `/sse`)",
        ),
        HttpError::TooLarge { .. } => {
            Diagnosis::help("raise Limits::max_frame if that is meant to be")
        }
        HttpError::Redirected { .. } => Diagnosis::help(
            "declare the URL that it leads to, if you trust it: credentials go to their origin only",
        ),
        HttpError::NotAllowed { .. } => {
            Diagnosis::help("add it to the runtime's allowed servers, if it is meant to be used")
        }
        HttpError::Endpoint { .. } => Diagnosis::new(
            "bad_endpoint",
            "the server, or a proxy that it does not know of, gives out addresses that lead elsewhere",
            "tell the server its public address",
        ),
        HttpError::Unauthorized { error, .. } => return Some(auth::diagnose(error)),
        HttpError::Settings { .. } => {
            Diagnosis::help("look at the certificates, keys and proxy of the spec")
        }
    })
}

/// What happened, without what to do.
#[expect(clippy::wildcard_enum_match_arm, reason = "the messages of the others have no advice")]
pub(super) fn what(error: &HttpError) -> String {
    match error {
        HttpError::Tls { origin, source } => format!("no secure connection to {origin}: {source}"),
        HttpError::TooLarge { origin, limit } => {
            format!("{origin} sent more than {limit} bytes in one message")
        }
        _ => error.to_string(),
    }
}

/// The errors behind an error, itself first; I/O errors hide one in another.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        hidden.map(|error| error as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn connect(error: &(dyn Error + 'static)) -> Option<Diagnosis> {
    let said =
        |text: &str| chain(error).any(|error| error.to_string().to_lowercase().contains(text));
    if said("dns error") || said("failed to lookup address") {
        return Some(Diagnosis::new(
            "host_not_found",
            "no such host is known here (DNS)",
            "check the spelling of the host in the URL, the network, and a VPN that it may need",
        ));
    }
    let kind =
        chain(error).find_map(|error| error.downcast_ref::<io::Error>().map(io::Error::kind));
    Some(match kind {
        Some(io::ErrorKind::ConnectionRefused) => Diagnosis::new(
            "connection_refused",
            "nobody listens there: the server is not running, or on another port",
            "start it; check the port in the URL; within a container, `localhost` is the container",
        ),
        Some(io::ErrorKind::TimedOut) => Diagnosis::new(
            "unreachable",
            "nothing comes back from there: a firewall drops it, or the host is down",
            "check the network, and whether a proxy or a VPN is needed",
        ),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => Diagnosis::new(
            "unreachable",
            "there is no way through the network to that host",
            "check the network, and whether a VPN is needed",
        ),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => Diagnosis::new(
            "connection_broken",
            "something listens there and hangs up at once: another protocol, or a proxy without \
             anything behind it",
            "check the port, and whether the URL is to begin with https",
        ),
        _ if said("proxy") || said("tunnel error") => Diagnosis::new(
            "proxy_refused",
            "the proxy does not let the connection through",
            "check the proxy of the spec, its credentials, and what it allows",
        ),
        _ => return None,
    })
}

/// A status, the code and the sentence of its cause, and what to do.
type Meaning = (u16, &'static str, &'static str, &'static str);

const STATUSES: &[Meaning] = &[
    (
        401,
        "unauthorized",
        "the server wants to know who we are, or does not accept what it was shown",
        "declare its `auth`: `Auth::bearer` for a key, `Auth::oauth` for a login; renew the key if \
         there is one",
    ),
    (
        403,
        "forbidden",
        "the server knows who we are and does not allow it; or something in front of it refuses \
         strangers",
        "check what the account or the key may do, and whether the server allows this host",
    ),
    (
        404,
        "wrong_path",
        "there is a web server, and nothing at this path",
        "check the path of the URL: mostly `/mcp`; `/sse` for servers of 2024",
    ),
    (
        405,
        "wrong_path",
        "what is at this path is not spoken to in this way: it is no MCP server, or one of HTTP+SSE",
        "check the path of the URL (`/mcp`, `/sse`), and declare an old server as HttpSse",
    ),
    (
        407,
        "proxy_refused",
        "the proxy wants to know who we are",
        "put the credentials into the proxy of the spec",
    ),
    (
        421,
        "host_refused",
        "the server does not answer under the name in the URL",
        "add that name to the hosts that the server allows (its protection against DNS rebinding)",
    ),
    (
        429,
        "too_many_requests",
        "the server was asked more often than it allows",
        "wait as long as it says; limit the calls by `rate_limit`",
    ),
];

fn status(status: u16, body: &str) -> Option<Diagnosis> {
    let said = body.to_lowercase();
    let known = STATUSES.iter().find(|(known, ..)| *known == status);
    let page = said.contains("<html") || said.contains("<!doctype");
    let (code, sentence, help) = match known {
        Some((403, ..)) if said.contains("scope") => (
            "scope_missing",
            "the token does not reach for this",
            "grant the scopes that it names, and log in again",
        ),
        Some(&(_, code, sentence, help)) => (code, sentence, help),
        None if (502..=504).contains(&status) => (
            "server_behind_proxy_down",
            "a proxy answers, and the server behind it does not",
            "look whether the server runs, and into the log of the proxy",
        ),
        None if status >= 500 => {
            ("server_failed", "the server failed by a defect of its own", "look into its log")
        }
        None if page => (
            "web_page",
            "a web page answers there, and no MCP server",
            "check the URL, its path first (`/mcp`, `/sse`)",
        ),
        None => return None,
    };
    Some(Diagnosis::new(code, format!("{status}: {sentence}"), help))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{AuthError, LoginReason};

    fn code(error: &HttpError) -> &'static str {
        diagnose(error).and_then(|one| one.cause).map_or("", |cause| cause.code)
    }

    fn answered(status: u16, body: &str) -> HttpError {
        let (origin, body) = ("https://x".to_owned(), body.to_owned());
        HttpError::Status { origin, status, retry_after: None, challenge: None, body }
    }

    #[test]
    fn statuses_are_understood() {
        for (status, body, meant) in [
            (401, "", "unauthorized"),
            (403, "insufficient_scope", "scope_missing"),
            (403, "", "forbidden"),
            (404, "", "wrong_path"),
            (405, "", "wrong_path"),
            (407, "", "proxy_refused"),
            (421, "Invalid Host header", "host_refused"),
            (429, "", "too_many_requests"),
            (500, "", "server_failed"),
            (503, "", "server_behind_proxy_down"),
            (400, "<!DOCTYPE html>", "web_page"),
            (400, "", ""),
        ] {
            assert_eq!(code(&answered(status, body)), meant, "{status}");
        }
    }

    #[test]
    fn a_login_is_asked_for_by_its_reason() {
        for (reason, meant, again) in [
            (LoginReason::Never, "login_required", false),
            (LoginReason::Expired, "login_expired", true),
            (LoginReason::Rejected, "refresh_rejected", true),
        ] {
            let error = Arc::new(AuthError::LoginRequired { reason });
            let error = HttpError::Unauthorized { origin: "https://x".to_owned(), error };
            let Diagnosis { cause, help } = diagnose(&error).unwrap();
            assert_eq!(cause.unwrap().code, meant);
            assert_eq!(help.unwrap().contains("log in again"), again, "{meant}");
        }
    }

    #[test]
    fn failures_to_connect_are_told_apart() {
        for (kind, meant) in [
            (io::ErrorKind::ConnectionRefused, "connection_refused"),
            (io::ErrorKind::TimedOut, "unreachable"),
            (io::ErrorKind::HostUnreachable, "unreachable"),
            (io::ErrorKind::ConnectionReset, "connection_broken"),
            (io::ErrorKind::Other, ""),
        ] {
            let source = Arc::new(io::Error::from(kind));
            let error = HttpError::Connect { origin: "https://x".to_owned(), source };
            assert_eq!(code(&error), meant, "{kind:?}");
        }
    }
}
