//! `callboard doctor`: each server is started and asked, step by step.

mod advice;
mod schemas;

use std::time::{Duration, SystemTime};

use callboard::{
    CatalogFault, Phase, Server, ServerSpec, Session, Status, Tool, Transport, TransportKind,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Context,
    args::{self, take_url},
    bench::picture::time,
    console::{Console, Tone, harmless},
    exit::{Exit, Failure},
    open, servers,
};

/// What was found out about one server.
struct Findings {
    server: String,
    /// What is right, step by step, as far as it went.
    steps: Vec<Step>,
    warnings: Vec<String>,
    /// What kept it from going further, at the step of this name.
    failure: Option<(&'static str, Failure)>,
}

struct Step {
    name: &'static str,
    found: String,
}

pub(crate) async fn run(context: &Context, mut args: args::Doctor) -> Result<Exit, Failure> {
    let url = take_url(&mut args.words, 0);
    args.servers.server.append(&mut args.words);
    let declared = servers::declared(context, &args.servers, url, None)?;
    let specs = declared.specs.clone();
    let began = SystemTime::now();
    let session = open::begin(context, declared.specs, declared.inputs).await?;
    let busy = context.console.waiting("starting".to_owned());
    let mut all = Vec::new();
    for (spec, server) in specs.iter().zip(session.servers()) {
        busy.0.set_message(format!("examining {}", server.name()));
        let findings = examine(&session, (spec, &server), began).await;
        if !context.console.json {
            show(&context.console, &findings)?;
        }
        all.push(findings);
    }
    drop(busy);
    let console = &context.console;
    if console.json {
        let faults: Vec<_> = declared.faults.iter().map(Failure::json).collect();
        let servers: Vec<_> = all.iter().map(Findings::json).collect();
        console.document(&json!({ "servers": servers, "errors": faults }))?;
    } else {
        console.result(&summary(&all))?;
    }
    declared.faults.iter().for_each(|fault| console.tell(fault));
    let failures = all.iter().filter_map(|one| one.failure.as_ref().map(|(_, failure)| failure));
    Ok(declared.faults.iter().chain(failures).map(|one| one.exit).max().unwrap_or(Exit::Done))
}

async fn examine(
    session: &Session,
    (spec, server): (&ServerSpec, &Server),
    began: SystemTime,
) -> Findings {
    let (steps, warnings) = (Vec::new(), Vec::new());
    let mut findings =
        Findings { server: server.name().to_owned(), steps, warnings, failure: None };
    if let Transport::Stdio(stdio) = spec.transport() {
        // Where it is not found, the start says so, and more.
        if let Ok(path) = stdio.program() {
            findings.right("command", path.display().to_string());
        }
    }
    started(server).await;
    let status = server.status();
    let secrets = spec.secrets();
    let error = status.last_error.clone().filter(|_| !open::is_there(&status));
    let stage = stage_of(error.as_ref());
    if !secrets.is_empty() && stage != Some("secrets") && stage != Some("command") {
        findings.right("secrets", format!("{} resolved: {}", secrets.len(), secrets.join(", ")));
    }
    if !open::is_there(&status) {
        let failure = Failure::of_status(server.name(), &status);
        findings.failure = Some((stage.unwrap_or("handshake"), failure));
        return findings;
    }
    let took = status.since.duration_since(began).unwrap_or_default();
    findings.right("handshake", handshake(&status, took));
    let asked = Instant::now();
    if let Err(error) = server.rediscover().await {
        findings.failure = Some(("tools", error.into()));
        return findings;
    }
    let took = asked.elapsed();
    let catalog = session.tools();
    let tools: Vec<&Tool> = catalog.iter().filter(|tool| tool.server() == server.name()).collect();
    findings.right("tools", format!("{} listed in {}", tools.len(), time(took)));
    let faults = catalog.faults().iter().filter(|fault| is_about(fault, server.name()));
    findings.warnings.extend(faults.map(ToString::to_string));
    findings.warnings.extend(advice::on_server(server));
    findings.warnings.extend(advice::on_tools(&tools));
    findings
}

/// Waits until a server is there or its start has failed.
async fn started(server: &Server) {
    let mut watch = server.watch();
    let decided = |status: &Status| {
        !matches!(status.phase, Phase::Starting)
            && (status.epoch > 0 || status.last_error.is_some())
    };
    let sleeping = server.status().phase == Phase::Idle && server.status().epoch == 0;
    let asleep = async {
        // One that starts with the session leaves this phase by itself.
        if sleeping {
            drop(server.discover().await);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = watch.wait_for(decided) => {}
        () = asleep => {}
    }
}

/// The step at which a server failed.
fn stage_of(error: Option<&callboard::ServerError>) -> Option<&'static str> {
    use callboard::{ConnectError, ServerError, Stage};
    let ServerError::Connect(error) = error? else { return Some("handshake") };
    Some(match &**error {
        ConnectError::CommandNotFound { .. }
        | ConnectError::NoDirectory { .. }
        | ConnectError::Spawn { .. } => "command",
        ConnectError::Secret(_) => "secrets",
        ConnectError::Ended { stage: Stage::Listing, .. }
        | ConnectError::TimedOut { stage: Stage::Listing, .. }
        | ConnectError::Refused { stage: Stage::Listing, .. }
        | ConnectError::InvalidAnswer { stage: Stage::Listing, .. } => "tools",
        _ => "handshake",
    })
}

fn handshake(status: &Status, took: Duration) -> String {
    let version = status.protocol_version.as_deref().unwrap_or("of an unknown revision");
    let over = status.transport.map_or("", |transport| match transport {
        TransportKind::Stdio => " over stdio",
        TransportKind::StreamableHttp => " over streamable HTTP",
        TransportKind::HttpSse => " over HTTP+SSE",
        _ => "",
    });
    // MCP 2026-07-28 has no handshake any more: each request says what it needs to.
    let era = if version >= "2026-07-28" { "modern" } else { "legacy, by initialize" };
    let pid = status.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    format!("MCP {version} ({era}){over}, ready after {}{pid}", time(took))
}

fn is_about(fault: &CatalogFault, name: &str) -> bool {
    match fault {
        CatalogFault::BadTool { server, .. }
        | CatalogFault::CursorRepeated { server, .. }
        | CatalogFault::TooManyPages { server, .. }
        | CatalogFault::TooManyTools { server, .. }
        | CatalogFault::ListingFailed { server, .. } => server == name,
        CatalogFault::Collision { servers, .. } => servers.0 == name || servers.1 == name,
        _ => false,
    }
}

impl Findings {
    fn right(&mut self, name: &'static str, found: String) {
        self.steps.push(Step { name, found });
    }

    fn json(&self) -> Value {
        let steps =
            self.steps.iter().map(|Step { name, found }| json!({ "step": name, "found": found }));
        json!({
            "server": self.server,
            "ok": self.failure.is_none(),
            "steps": steps.collect::<Vec<_>>(),
            "warnings": self.warnings,
            "failed_at": self.failure.as_ref().map(|(step, _)| step),
            "error": self.failure.as_ref().map(|(_, failure)| failure.json()),
        })
    }
}

fn show(console: &Console, findings: &Findings) -> Result<(), Failure> {
    let row = |mark: &str, tone, name: &str, text: &str| {
        let (mark, text) = (console.paint(mark, tone), harmless(text));
        console.result(format!("  {mark} {name:<11}{text}").trim_end())
    };
    console.result(&console.paint(&findings.server, Tone::Strong))?;
    for Step { name, found } in &findings.steps {
        row("✓", Tone::Good, name, found)?;
    }
    for warning in &findings.warnings {
        row("!", Tone::Warning, "", warning)?;
    }
    if let Some((step, failure)) = &findings.failure {
        row("✗", Tone::Bad, step, "")?;
        for line in console.picture(failure, 4).lines() {
            console.result(format!("    {line}").trim_end())?;
        }
    }
    console.result("")
}

fn summary(all: &[Findings]) -> String {
    let failed = all.iter().filter(|one| one.failure.is_some()).count();
    let warned = all.iter().filter(|one| one.failure.is_none() && !one.warnings.is_empty()).count();
    let servers = if all.len() == 1 { "server" } else { "servers" };
    let fine = all.len() - failed - warned;
    format!("{} {servers}: {fine} fine, {warned} with warnings, {failed} failed", all.len())
}
