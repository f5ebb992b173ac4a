//! Finding out which era of MCP a server speaks, and agreeing on a revision.
//!
//! `server/discover` comes first, `initialize` where that does not lead anywhere (MCP 2026-07-28,
//! basic/versioning and basic/transports/stdio). No inner limit can fail a start: a server that is
//! slow to boot answers the probe late, one that ignores it never does, so after some patience both
//! questions stand, and the first answer that makes sense decides.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ask::{AskError, ask, ask_with},
    introduction::{Introduction, client},
    link::{Link, Loss, Timing},
};
use crate::{
    error::{ConnectError, Stage},
    record::Record,
    wire::{self, Meta, RawResult, RpcError},
};

pub(super) const MODERN: &str = "2026-07-28";
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

/// What is known before the handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// Finds out what the server speaks; an earlier link may have found this era.
    FindOut(Option<Era>),
    /// Speaks nothing else.
    Only(Era),
}

impl Plan {
    /// Whether anything else may be tried where this fails.
    pub(crate) fn finds_out(self) -> bool {
        matches!(self, Self::FindOut(_))
    }
}

/// What a server and this crate agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    pub(crate) era: Era,
    pub(crate) version: String,
    pub(crate) capabilities: Capabilities,
    /// What the server says on how it is to be used.
    pub(crate) instructions: Option<String>,
}

/// What a server offers.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Capabilities {
    #[serde(default)]
    pub(crate) tools: Option<ToolsCapability>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Capabilities {
    /// Whether a capability is declared.
    pub(crate) fn has(&self, capability: &str) -> bool {
        self.rest.get(capability).is_some_and(|declared| !declared.is_null())
    }

    /// Whether a part of a capability is declared.
    pub(crate) fn has_part(&self, capability: &str, part: &str) -> bool {
        self.rest.get(capability).is_some_and(|declared| declared[part] == true)
    }

    /// What is declared of an extension.
    pub(crate) fn extension(&self, id: &str) -> Option<&Value> {
        self.rest.get("extensions")?.get(id)
    }

    /// All of it.
    pub(crate) fn to_value(&self) -> Value {
        let mut all = self.rest.clone();
        if let Some(tools) = &self.tools {
            all.insert("tools".to_owned(), json!({ "listChanged": tools.list_changed }));
        }
        Value::Object(all)
    }
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
/// `patience` is how long a silent server is
/// asked nothing but `server/discover`.
pub(crate) async fn shake(
    link: &Arc<Link>,
    us: &Arc<Introduction>,
    plan: Plan,
    patience: Duration,
) -> Result<Agreement, HandshakeError> {
    let agreement = match plan {
        Plan::Only(Era::Modern) => discover(link, us).await.map_err(failed)?,
        Plan::Only(Era::Legacy) | Plan::FindOut(Some(Era::Legacy)) => {
            initialize(link, us).await.map_err(failed)?
        }
        Plan::FindOut(known) => probe(link, us, known, patience).await?,
    };
    check_version(&agreement).map_err(HandshakeError::Failed)?;
    link.agree(&agreement, us);
    if agreement.era == Era::Legacy {
        const INITIALIZED: &str = "notifications/initialized";
        link.notify(wire::notification(INITIALIZED), INITIALIZED);
    }
    Ok(agreement)
}

async fn probe(
    link: &Arc<Link>,
    us: &Introduction,
    known: Option<Era>,
    patience: Duration,
) -> Result<Agreement, HandshakeError> {
    let mut discovery = std::pin::pin!(discover(link, us));
    tokio::select! {
        biased;
        answer = &mut discovery => match answer {
            Ok(agreement) => return Ok(agreement),
            Err(AskError::Lost(loss)) if !is_answer(&loss) => {
                return Err(HandshakeError::EndedAtProbe(explain(AskError::Lost(loss))));
            }
            // An error of whatever code, or a result that is no discovery: an older server. Only if
            // it refuses `initialize` too, its word on the revisions that it speaks is the better.
            Err(error) => {
                let initialized = initialize(link, us).await;
                return initialized.map_err(|second| failed(better(error, second)));
            }
        },
        // One that has been modern before is only slow.
        () = tokio::time::sleep(patience), if known.is_none() => {}
    }
    let mut initialization = std::pin::pin!(initialize(link, us));
    tokio::select! {
        // Where both have been answered, the modern answer counts.
        biased;
        answer = &mut discovery => match answer {
            Ok(agreement) => Ok(agreement),
            Err(error) => initialization.await.map_err(|second| failed(better(error, second))),
        },
        answer = &mut initialization => match answer {
            Ok(agreement) => Ok(agreement),
            Err(AskError::Lost(loss)) if !is_answer(&loss) => Err(failed(AskError::Lost(loss))),
            // A modern server refuses `initialize`; its word on the probe is still to come.
            Err(error) => discovery.await.map_err(|probe| failed(better(probe, error))),
        },
    }
}

/// Whether a loss says, in its way, that the question was not understood.
fn is_answer(loss: &Loss) -> bool {
    matches!(loss, Loss::Http { error, .. } if error.is_foreign())
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

async fn discover(link: &Arc<Link>, us: &Introduction) -> Result<Agreement, AskError> {
    match discover_once(link, us).await {
        // It speaks the revision that it refused: an intermediary, or a server that has just been
        // exchanged. Once is enough to find out.
        Err(AskError::Refused(error)) if names_modern(&error) => discover_once(link, us).await,
        outcome => outcome,
    }
}

fn names_modern(error: &RpcError) -> bool {
    #[derive(Deserialize)]
    struct Supported {
        supported: Vec<String>,
    }
    let data = error.data.as_ref().filter(|_| error.code == UNSUPPORTED_VERSION);
    let supported = data.and_then(|data| serde_json::from_str::<Supported>(data.get()).ok());
    supported.is_some_and(|data| data.supported.iter().any(|version| version == MODERN))
}

async fn discover_once(link: &Arc<Link>, us: &Introduction) -> Result<Agreement, AskError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Discovered {
        supported_versions: Vec<String>,
        capabilities: Capabilities,
        instructions: Option<String>,
    }
    let meta = Meta { members: us.meta(), ..link.meta(false) };
    let asked = ("server/discover", meta);
    let result = ask_with(link, asked, Timing::default(), |_| Ok(())).await?;
    let Discovered { supported_versions, capabilities, instructions } = open(&result)?;
    if supported_versions.iter().any(|version| version == MODERN) {
        let version = MODERN.to_owned();
        return Ok(Agreement { era: Era::Modern, version, capabilities, instructions });
    }
    Err(AskError::Malformed(format!("it lists only {}", supported_versions.join(", "))))
}

/// Whether an answer to `server/discover` is that of a server that speaks 2026-07-28.
#[cfg(feature = "http")]
pub(super) fn is_modern(result: &RawResult) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Discovered {
        supported_versions: Vec<String>,
    }
    let discovered = open::<Discovered>(result);
    discovered.is_ok_and(|it| it.supported_versions.iter().any(|version| version == MODERN))
}

async fn initialize(link: &Arc<Link>, us: &Introduction) -> Result<Agreement, AskError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
        #[serde(default)]
        capabilities: Capabilities,
        instructions: Option<String>,
    }
    let result = ask(link, "initialize", Timing::default(), |frame| {
        let params = json!({
            "protocolVersion": LEGACY[0],
            "capabilities": us.capabilities(),
            "clientInfo": client(),
        });
        let object = serde_json::to_vec(&params)?;
        frame.extend_from_slice(&object[1..object.len() - 1]);
        Ok(())
    })
    .await?;
    let Initialized { protocol_version: version, capabilities, instructions } = open(&result)?;
    Ok(Agreement { era: Era::Legacy, version, capabilities, instructions })
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
    Err(ConnectError::UnsupportedVersion {
        offered: agreement.version.clone(),
        record: Record::default(),
    })
}

fn failed(error: AskError) -> HandshakeError {
    HandshakeError::Failed(explain(error))
}

fn explain(error: AskError) -> ConnectError {
    // It is put there once the link has nothing more to say.
    let (stage, record) = (Stage::Handshake, Record::default());
    match error {
        AskError::Lost(Loss::Down { reason, .. }) => ConnectError::Ended { stage, reason },
        AskError::Lost(Loss::TimedOut { after, .. }) => {
            ConnectError::TimedOut { stage, after, stderr_tail: Vec::new(), record }
        }
        AskError::Lost(Loss::Http { error, .. }) => error.into(),
        AskError::Lost(Loss::TooManyCalls | Loss::TooManyBytes) => {
            ConnectError::InvalidAnswer { stage, detail: "the link is full".to_owned(), record }
        }
        AskError::Refused(error) if error.code == UNSUPPORTED_VERSION => {
            let offered = error.data.map_or(error.message, |data| data.get().to_owned());
            ConnectError::UnsupportedVersion { offered, record }
        }
        AskError::Refused(error) => {
            ConnectError::Refused { stage, code: error.code, message: error.message, record }
        }
        AskError::Malformed(detail) => ConnectError::InvalidAnswer { stage, detail, record },
    }
}
