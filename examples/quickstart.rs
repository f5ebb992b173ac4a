//! The main job: a session over three servers, one of which is killed with calls in flight, and
//! nothing left of any at the end.
//!
//! ```text
//! cargo run --example quickstart                        on a demo server that comes with it
//! cargo run --example quickstart -- COMMAND [ARGS…]     on three processes of a server of yours
//! ```
//!
//! Exits with an error if anything went otherwise than it says, or if anything is left.

#[path = "demo/outside.rs"]
mod outside;
#[path = "demo/plan.rs"]
mod plan;
#[path = "demo/screen.rs"]
mod screen;
#[path = "demo/server.rs"]
mod server;

use std::{collections::BTreeSet, error::Error, path::Path, process::ExitCode, time::Duration};

use callboard::{
    CallError, DownReason, OpenError, Output, RestartPolicy, Runtime, Server, ServerSpec, Session,
    Status, Stdio,
};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group},
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use outside::Outside;
use plan::{Plan, Planned};
use screen::{cut, line, ms, plain, step, words};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const VICTIM: &str = "beta";
const SIBLING: &str = "alpha";

/// How many calls are in flight when the server is killed.
const IN_FLIGHT: usize = 3;
/// For how long they have been.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// How long a tool of a server that nobody knows may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the killed server may take to come back.
const COMES_BACK: Duration = Duration::from_secs(30);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if server::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    tokio.block_on(run(std::env::args().skip(1).collect()))
}

async fn run(command: Vec<String>) -> ExitCode {
    let outside = Outside::new();
    let runtime = Runtime::start().await;
    let outcome = tokio::select! {
        outcome = show(&runtime, &outside, command) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    runtime.shutdown().await;
    let left = outside.left().await;
    if let Err(error) = &outcome {
        screen::error(error);
    }
    plain(&left);
    let fine = outcome.is_ok() && left.is_nothing() && runtime.leak_report().is_empty();
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn show(runtime: &Runtime, outside: &Outside, command: Vec<String>) -> Outcome {
    let demo = command.is_empty();
    let command = if demo { server::command(true) } else { command };
    let session = open(runtime, outside, &command, demo).await?;
    list_tools(&session);
    let plan = if demo { Plan::demo() } else { Plan::of(&session.tools(), VICTIM) };
    call(&session, &plan).await;
    let processes = outside.processes();
    let killed = kill(&session, &plan).await?;
    see_the_others(&session, &plan).await?;
    come_back(&session, &plan, killed).await?;
    show_change(&processes, &outside.processes());
    close(runtime, &session).await;
    Ok(())
}

/// Opens the session: three processes of the command, which have to become ready.
async fn open(
    runtime: &Runtime,
    outside: &Outside,
    command: &[String],
    demo: bool,
) -> Outcome<Session> {
    let shown = if demo { "the demo server".to_owned() } else { name_of(command) };
    plain(cut(&format!("callboard: one session over three processes of {shown}"), 79));
    let began = Instant::now();
    let spec = |name| {
        let stdio = Stdio::new(&command[0]).args(&command[1..]);
        let policy = RestartPolicy::on_failure().max_restarts(3, Duration::from_secs(60));
        ServerSpec::new(name, outside.mark(stdio)).required().restart(policy)
    };
    let opened = runtime.session("quickstart").servers(NAMES.map(spec)).open().await;
    let session = opened.map_err(|error| explain(error, &shown))?;
    let (took, processes) = (ms(began.elapsed()), outside.processes().len());
    if processes < NAMES.len() {
        return Err("the processes cannot be counted from outside here".into());
    }
    let why = if demo { ", for each server has a child" } else { "" };
    step(1, "open", &format!("ready after {took}; {processes} processes{why}"));
    session.servers().iter().for_each(show_status);
    Ok(session)
}

/// The command without the folder that it lies in.
fn name_of(command: &[String]) -> String {
    let program = Path::new(&command[0]).file_name().unwrap_or_default().to_string_lossy();
    let words = command[1..].iter().map(String::as_str);
    [&*program].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// The three servers are the same command, so that one of their reasons says it all.
fn explain(error: OpenError, command: &str) -> Box<dyn Error + Send + Sync> {
    let OpenError::Required(failures) = &error else { return error.into() };
    let why = failures.iter().find_map(|failure| failure.error.as_ref());
    let why = why.map_or("not ready within its init timeout".to_owned(), ToString::to_string);
    format!("{command}: no MCP server that can be used\n  {why}").into()
}

fn show_status(server: &Server) {
    let Status { phase, epoch, pid, protocol_version, .. } = server.status();
    let pid = pid.map(|pid| format!("pid {pid:<9}")).unwrap_or_default();
    let mcp = protocol_version.map(|version| format!("MCP {version}")).unwrap_or_default();
    let phase = phase.to_string();
    line(format!("{:<7}{phase:<13}epoch {epoch}   {pid}{mcp}", server.name()));
}

fn list_tools(session: &Session) {
    let catalog = session.tools();
    step(2, "tools", &format!("{} in one catalog", catalog.len()));
    for server in session.servers() {
        let of_server = catalog.iter().filter(|tool| tool.server() == server.name());
        let ids: Vec<_> = of_server.map(|tool| tool.id()).collect();
        words(if ids.is_empty() { &["(none)"] } else { &ids });
    }
    catalog.faults().iter().for_each(|fault| line(format!("left out: {fault}")));
}

async fn call(session: &Session, plan: &Plan) {
    step(3, "call", "each goes straight to its server");
    if plan.calls.is_empty() {
        line("no tool says that it is safe to call without arguments: none is called");
    }
    for planned in &plan.calls {
        show_call(session, planned).await;
    }
    if let Some(tool) = session.tools().iter().next() {
        let mut misspelt = tool.id().to_owned();
        misspelt.pop();
        show_call(session, &Planned { tool: misspelt, arguments: json!({}) }).await;
    }
}

/// Makes a call, and shows it with its outcome; true if the server answered.
async fn show_call(session: &Session, Planned { tool, arguments }: &Planned) -> bool {
    let began = Instant::now();
    let outcome = session.call(tool, arguments.clone()).total_timeout(PATIENCE).await;
    let took = ms(began.elapsed());
    let call = cut(&format!("{tool} {arguments}"), 26);
    line(format!("{call:<26}{took:>8}  {}", describe(&outcome)));
    outcome.is_ok()
}

fn describe(outcome: &Result<Output, CallError>) -> String {
    match outcome {
        Ok(output) if output.is_error() => format!("tool error: {}", output.text()),
        Ok(output) if output.text().is_empty() => output.raw().to_owned(),
        Ok(output) => output.text(),
        Err(CallError::UnknownTool { nearest, .. }) => {
            format!("unknown_tool; nearest: {}", nearest.first().map_or("none", String::as_str))
        }
        Err(error) => format!("{}: {error}", error.kind()),
    }
}

/// Kills the server with `SIGKILL` while calls are in flight on it; returns when.
async fn kill(session: &Session, plan: &Plan) -> Outcome<Instant> {
    let pid = victim(session)?.status().pid.ok_or("the server has no process")?;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("an odd process id")?;
    let calls = if plan.lasting.is_some() { IN_FLIGHT } else { 0 };
    let frozen = if plan.freeze { "; frozen, so that they last" } else { "" };
    step(4, "kill", &format!("SIGKILL to {VICTIM}, {calls} calls in flight{frozen}"));
    if plan.freeze {
        kill_process_group(process, Signal::STOP)?;
    }
    let mut in_flight = JoinSet::new();
    for Planned { tool, arguments } in plan.lasting.iter().cycle().take(calls).cloned() {
        let call = session.call(tool, arguments);
        in_flight.spawn(async { (call.await, Instant::now()) });
    }
    tokio::time::sleep(UNDER_WAY).await;
    let killed = Instant::now();
    kill_process(process, Signal::KILL)?;
    let mut causes = BTreeSet::new();
    while let Some(ended) = in_flight.join_next().await {
        let (outcome, at) = ended?;
        causes.insert(show_loss(outcome, at - killed)?);
    }
    causes.iter().for_each(|cause| line(format!("because {cause}")));
    if plan.freeze {
        // What else there is of the server may end as it likes to; it may have done so by now.
        let thawed = kill_process_group(process, Signal::CONT);
        thawed.or_else(|error| if error == Errno::SRCH { Ok(()) } else { Err(error) })?;
    }
    Ok(killed)
}

/// Shows how a call in flight was lost; returns the cause.
fn show_loss(outcome: Result<Output, CallError>, after: Duration) -> Outcome<String> {
    let Err(CallError::TransportDown { delivery, reason, .. }) = &outcome else {
        return Err(format!("a call ended otherwise: {}", describe(&outcome)).into());
    };
    line(format!("transport_down after {}, delivery: {delivery:?}", ms(after)));
    // Not `reason.kind()`, which is `Error::cause` of the `Arc`.
    Ok(DownReason::kind(reason).to_string())
}

/// Shows that the other servers noticed nothing.
async fn see_the_others(session: &Session, plan: &Plan) -> Outcome {
    step(5, "go on", "the others noticed nothing, and the lost one comes back");
    let sibling = session.server(SIBLING).ok_or("no such server")?;
    show_status(&sibling);
    let Status { phase, epoch, .. } = sibling.status();
    if let Some(planned) = plan.calls.iter().find(|call| call.tool.starts_with(SIBLING)) {
        show_call(session, planned).await;
    }
    if epoch == 1 { Ok(()) } else { Err(format!("{SIBLING} is {phase} in epoch {epoch}").into()) }
}

/// Waits until the killed server is ready again.
async fn come_back(session: &Session, plan: &Plan, killed: Instant) -> Outcome {
    let server = victim(session)?;
    let mut watch = server.watch();
    // Calls learn of a loss first, and statuses a moment later.
    watch.wait_for(|status| !status.is_ready() || status.epoch > 1).await?;
    show_status(&server);
    let is_back = |status: &Status| status.is_ready() && status.epoch > 1;
    let back = tokio::time::timeout(COMES_BACK, watch.wait_for(is_back)).await;
    if back.is_err() {
        let Status { phase, last_error, .. } = server.status();
        let why = last_error.map(|error| error.to_string()).unwrap_or_default();
        return Err(format!("{VICTIM} did not come back: it is {phase}: {why}").into());
    }
    let after = ms(killed.elapsed());
    show_status(&server);
    line(format!("{VICTIM} is back {after} after the kill"));
    if let Some(planned) = plan.calls.iter().find(|call| call.tool.starts_with(VICTIM)) {
        show_call(session, planned).await;
    }
    Ok(())
}

/// Shows that nothing of the killed server stayed beside its successor.
fn show_change(before: &BTreeSet<u32>, after: &BTreeSet<u32>) {
    let (gone, new) = (before.difference(after).count(), after.difference(before).count());
    line(format!("processes: {gone} gone with it, {new} new, {} in all", after.len()));
}

async fn close(runtime: &Runtime, session: &Session) {
    let began = Instant::now();
    session.close().await;
    step(6, "close", &format!("done after {}", ms(began.elapsed())));
    line(format!("leak report: {}", runtime.leak_report()));
    line("and counted from outside, by the kernel's and tokio's books:");
    plain("");
}

fn victim(session: &Session) -> Outcome<Server> {
    session.server(VICTIM).ok_or_else(|| "no such server".into())
}
