//! Finding out which era of MCP a server speaks, and agreeing on a revision.
//!
//! `server/discover` comes first, `initialize` where that does not lead anywhere (MCP 2026-07-28,
//! basic/versioning and basic/transports/stdio). No inner limit can fail a start: a server that is
//! slow to boot answers the probe late, one that ignores it never does, so after some patience both
//! questions stand, and the first answer that makes sense decides.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{AskError, ask},
    link::{Link, Loss, Timing},
};
use crate::{
    error::{ConnectError, Stage},
    wire::{self, RawResult},
};

const MODERN: &str = "2026-07-28";
/// The revisions that open with `initialize`; the first is what we offer.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// JSON-RPC code of a server that does not speak the revision it was asked in.
const UNSUPPORTED_VERSION: i64 = -32022;

/// How a server is spoken to: a property of the server, not of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: no handshake, every request says in `_meta` what it needs.
    Modern,
    /// Up to 2025-11-25: `initialize` and `notifications/initialized`.
    Legacy,
}

impl Era {
    /// The members of `_meta` that every request of this era carries.
    pub(crate) fn meta(self) -> &'static str {
        match self {
            Self::Modern => concat!(
                r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
                r#""io.modelcontextprotocol/clientInfo":{"name":"callboard","version":""#,
                env!("CARGO_PKG_VERSION"),
                r#""},"io.modelcontextprotocol/clientCapabilities":{}"#,
            ),
            Self::Legacy => "",
        }
    }
}

/// What a server and this crate agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    pub(crate) era: Era,
    pub(crate) version: String,
    pub(crate) capabilities: Capabilities,
}

/// The part of a server's capabilities that this crate acts on.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Capabilities {
    #[serde(default)]
    pub(crate) tools: Option<ToolsCapability>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolsCapability {
    #[serde(default)]
    pub(crate) list_changed: bool,
}

/// How a handshake failed.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The link went down while nothing but the probe was out: the probe may have been too much
    /// for an old server, and a fresh process deserves a plain `initialize`.
    EndedAtProbe(ConnectError),
    Failed(ConnectError),
}

/// Agrees with the server on a revision.
///
/// `known` is the era that an earlier link found out; `patience` is how long a silent server is
/// asked nothing but `server/discover`.
pub(crate) async fn shake(
    link: &Arc<Link>,
    roots: bool,
    known: Option<Era>,
    patience: Duration,
) -> Result<Agreement, HandshakeError> {
    let agreement = match known {
        Some(Era::Legacy) => initialize(link, roots).await.map_err(failed)?,
        Some(Era::Modern) | None => probe(link, roots, known, patience).await?,
    };
    check_version(&agreement).map_err(HandshakeError::Failed)?;
    link.set_era(agreement.era);
    if agreement.era == Era::Legacy {
        link.notify(wire::notification("notifications/initialized"));
    }
    Ok(agreement)
}

async fn probe(
    link: &Arc<Link>,
    roots: bool,
    known: Option<Era>,
    patience: Duration,
) -> Result<Agreement, HandshakeError> {
    let mut discovery = std::pin::pin!(discover(link));
    tokio::select! {
        answer = &mut discovery => match answer {
            Ok(agreement) => return Ok(agreement),
            Err(AskError::Lost(loss)) => {
                return Err(HandshakeError::EndedAtProbe(explain(AskError::Lost(loss))));
            }
            // An error of whatever code, or a result that is no discovery: an older server. Only if
            // it refuses `initialize` too, its word on the revisions that it speaks is the better.
            Err(error) => {
                let initialized = initialize(link, roots).await;
                return initialized.map_err(|second| failed(better(error, second)));
            }
        },
        // One that has been modern before is only slow.
        () = tokio::time::sleep(patience), if known.is_none() => {}
    }
    let mut initialization = std::pin::pin!(initialize(link, roots));
    tokio::select! {
        // Where both have been answered, the modern answer counts.
        biased;
        answer = &mut discovery => match answer {
            Ok(agreement) => Ok(agreement),
            Err(error) => initialization.await.map_err(|second| failed(better(error, second))),
        },
        answer = &mut initialization => match answer {
            Ok(agreement) => Ok(agreement),
            Err(error @ AskError::Lost(_)) => Err(failed(error)),
            // A modern server refuses `initialize`; its word on the probe is still to come.
            Err(error) => discovery.await.map_err(|probe| failed(better(probe, error))),
        },
    }
}

/// Of the answers to the probe and to `initialize`, the one that says more.
fn better(probe: AskError, initialization: AskError) -> AskError {
    match (probe, initialization) {
        (AskError::Refused(probe), AskError::Refused(_)) if probe.code == UNSUPPORTED_VERSION => {
            AskError::Refused(probe)
        }
        (_, initialization) => initialization,
    }
}

async fn discover(link: &Arc<Link>) -> Result<Agreement, AskError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Discovered {
        supported_versions: Vec<String>,
        capabilities: Capabilities,
    }
    let result = ask(link, "server/discover", Timing::default(), |frame| {
        frame.extend_from_slice(b"\"_meta\":{");
        frame.extend_from_slice(Era::Modern.meta().as_bytes());
        frame.push(b'}');
        Ok(())
    })
    .await?;
    let Discovered { supported_versions, capabilities } = open(&result)?;
    if supported_versions.iter().any(|version| version == MODERN) {
        return Ok(Agreement { era: Era::Modern, version: MODERN.to_owned(), capabilities });
    }
    Err(AskError::Malformed(format!("it lists only {}", supported_versions.join(", "))))
}

async fn initialize(link: &Arc<Link>, roots: bool) -> Result<Agreement, AskError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
        #[serde(default)]
        capabilities: Capabilities,
    }
    let capabilities = if roots { json!({ "roots": {} }) } else { json!({}) };
    let result = ask(link, "initialize", Timing::default(), |frame| {
        let params = json!({
            "protocolVersion": LEGACY[0],
            "capabilities": capabilities,
            "clientInfo": { "name": "callboard", "version": env!("CARGO_PKG_VERSION") },
        });
        let object = serde_json::to_vec(&params)?;
        frame.extend_from_slice(&object[1..object.len() - 1]);
        Ok(())
    })
    .await?;
    let Initialized { protocol_version: version, capabilities } = open(&result)?;
    Ok(Agreement { era: Era::Legacy, version, capabilities })
}

fn open<'a, T: Deserialize<'a>>(result: &'a RawResult) -> Result<T, AskError> {
    serde_json::from_str(result.get()).map_err(|error| AskError::Malformed(error.to_string()))
}

/// Refuses a revision that this crate does not speak: an unsupported counter-offer ends the link
/// (MCP 2025-11-25, basic/lifecycle).
fn check_version(agreement: &Agreement) -> Result<(), ConnectError> {
    let version = agreement.version.as_str();
    if version == MODERN || LEGACY.contains(&version) {
        return Ok(());
    }
    Err(ConnectError::UnsupportedVersion { offered: agreement.version.clone() })
}

fn failed(error: AskError) -> HandshakeError {
    HandshakeError::Failed(explain(error))
}

fn explain(error: AskError) -> ConnectError {
    let stage = Stage::Handshake;
    match error {
        AskError::Lost(Loss::Down { reason, .. }) => ConnectError::Ended { stage, reason },
        AskError::Lost(Loss::TimedOut { after, .. }) => {
            ConnectError::TimedOut { stage, after, stderr_tail: Vec::new() }
        }
        AskError::Lost(Loss::TooManyCalls | Loss::TooManyBytes) => {
            ConnectError::InvalidAnswer { stage, detail: "the link is full".to_owned() }
        }
        AskError::Refused(error) if error.code == UNSUPPORTED_VERSION => {
            let offered = error.data.map_or(error.message, |data| data.get().to_owned());
            ConnectError::UnsupportedVersion { offered }
        }
        AskError::Refused(error) => {
            ConnectError::Refused { stage, code: error.code, message: error.message }
        }
        AskError::Malformed(detail) => ConnectError::InvalidAnswer { stage, detail },
    }
}
