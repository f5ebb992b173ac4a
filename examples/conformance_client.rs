//! The client that the official conformance suite drives, one process a scenario.
//!
//! ```text
//! tests/conformance 2025-11-25
//! ```
//!
//! The suite gives the URL of its server as the last argument, and the scenario and what belongs to
//! it in the environment. It tells the protocol's revision too, which nobody asks here: the library
//! finds it out, as for any host. Exits with an error if anything went otherwise than it should.

#[path = "conformance_client/authorization.rs"]
mod authorization;

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use callboard::{
    CatalogFault, FormAnswer, FormQuestion, Host, HostCapabilities, HostFuture, OpenError, Output,
    RestartPolicy, Runtime, Server, ServerSpec, Session, Skill, StreamableHttp,
};
use serde_json::{Value, json};

/// How long a scenario may take: longer than any waits, for all of a set run at once.
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let tokio = tokio::runtime::Runtime::new().expect("tokio starts");
    let outcome = tokio.block_on(async {
        let run = tokio::time::timeout(PATIENCE, run()).await;
        run.unwrap_or_else(|_| Err(format!("not over after {PATIENCE:?}").into()))
    });
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // There is nobody left to tell if stderr is closed.
    writeln!(io::stderr(), "{error}").unwrap_or_default();
    ExitCode::FAILURE
}

async fn run() -> Outcome {
    let url = env::args().next_back().ok_or("the URL of the server is missing")?;
    let scenario = env::var("MCP_CONFORMANCE_SCENARIO")?;
    let runtime = Runtime::start().await;
    let outcome = async {
        if let Some(scenario) = scenario.strip_prefix("auth/") {
            return authorization::play(&runtime, &url, scenario).await;
        }
        let session = open(&runtime, &url).await?;
        let outcome = play(&scenario, &session).await;
        session.close().await;
        outcome
    };
    let outcome = outcome.await;
    runtime.shutdown().await;
    let left = runtime.leak_report();
    if left.is_empty() { outcome } else { Err(format!("left after shutdown: {left}").into()) }
}

async fn open(runtime: &Runtime, url: &str) -> Outcome<Session> {
    let server = ServerSpec::new("mock", StreamableHttp::new(url));
    let server = server.required().restart(RestartPolicy::never());
    runtime.session("conformance").host(Agreeable).server(server).open().await.map_err(explain)
}

/// Accepts every form as it is, with its defaults.
struct Agreeable;

impl Host for Agreeable {
    fn capabilities(&self) -> HostCapabilities {
        HostCapabilities::default().elicitation_forms()
    }

    fn fill(&self, question: FormQuestion) -> HostFuture<'_, FormAnswer> {
        Box::pin(std::future::ready(FormAnswer::Accept(question.defaults())))
    }
}

/// Why the server is not ready.
fn explain(error: OpenError) -> Box<dyn Error + Send + Sync> {
    let OpenError::Required(failures) = &error else { return error.into() };
    let why = failures.iter().find_map(|failure| failure.error.as_ref());
    why.map(ToString::to_string).unwrap_or_else(|| error.to_string()).into()
}

async fn play(scenario: &str, session: &Session) -> Outcome {
    match scenario {
        // To be ready is all that they ask for.
        "initialize" | "request-metadata" => Ok(()),
        "tools_call" => {
            let text = call(session, "add_numbers", json!({ "a": 5, "b": 3 })).await?;
            expect(&text, "The sum of 5 and 3 is 8")
        }
        "sse-retry" => {
            let text = call(session, "test_reconnection", json!({})).await?;
            expect(&text, "Reconnection test completed successfully")
        }
        "sep-2322-client-request-state" => call_all(session).await,
        "http-standard-headers" => {
            call_all(session).await?;
            read_all(session).await?;
            prompt_all(session).await
        }
        "sep-2640-client-no-prefetch" => skill(session).await.map(drop),
        "sep-2640-client-verify-digest"
        | "sep-2640-client-verify-size"
        | "sep-2640-client-verify-frontmatter" => match skill(session).await?.load().await {
            Err(error) if error.kind() == "invalid_response" => Ok(()),
            other => Err(format!("a skill that was tampered with: {other:?}").into()),
        },
        "http-custom-headers" => call_as_told(session).await,
        "http-invalid-tool-headers" => call_what_is_valid(session).await,
        "json-schema-ref-no-deref" => {
            session.tool("mock.lookup_user").map(drop).ok_or_else(|| "no lookup_user".into())
        }
        "json-schema-2020-12-preservation" => give_the_schema_back(session).await,
        "elicitation-sep1034-client-defaults" => {
            let text = call(session, "test_client_elicitation_defaults", json!({})).await?;
            expect(text.split(':').next().unwrap_or_default(), "Elicitation completed")
        }
        _ => Err(format!("nothing is known of the scenario {scenario}").into()),
    }
}

/// Calls a tool that has to succeed; returns its text.
async fn call(session: &Session, tool: &str, arguments: Value) -> Outcome<String> {
    text(tool, session.call(format!("mock.{tool}"), arguments).await?)
}

fn text(tool: &str, output: Output) -> Outcome<String> {
    if output.is_error() {
        return Err(format!("{tool} failed: {}", output.raw()).into());
    }
    Ok(output.text())
}

fn expect(text: &str, expected: &str) -> Outcome {
    if text == expected { Ok(()) } else { Err(format!("{text:?} is not {expected:?}").into()) }
}

/// Calls every tool there is, without arguments.
async fn call_all(session: &Session) -> Outcome {
    let tools = session.tools();
    if tools.is_empty() {
        return Err("no tools".into());
    }
    for tool in &*tools {
        text(tool.id(), tool.call(json!({})).await?)?;
    }
    Ok(())
}

fn server(session: &Session) -> Outcome<Server> {
    session.server("mock").ok_or_else(|| "no server".into())
}

async fn read_all(session: &Session) -> Outcome {
    let server = server(session)?;
    for resource in server.resources().await? {
        server.resource(&resource.typed()?.uri).read().await?;
    }
    Ok(())
}

async fn prompt_all(session: &Session) -> Outcome {
    let server = server(session)?;
    for prompt in server.prompts().await? {
        server.prompt(prompt.typed()?.name, [("", ""); 0]).await?;
    }
    Ok(())
}

/// The one skill that there is.
async fn skill(session: &Session) -> Outcome<Skill> {
    let skills = server(session)?.skills().await?;
    skills.into_iter().next().ok_or_else(|| "no skill".into())
}

/// What the suite gives a scenario to go by.
fn context() -> Outcome<Value> {
    Ok(serde_json::from_str(&env::var("MCP_CONFORMANCE_CONTEXT")?)?)
}

/// Makes the calls that the scenario gives.
async fn call_as_told(session: &Session) -> Outcome {
    let context = context()?;
    let calls = context["toolCalls"].as_array().ok_or("no tool calls in the context")?;
    for told in calls {
        let tool = told["name"].as_str().ok_or("a tool call without a name")?;
        call(session, tool, told["arguments"].clone()).await?;
    }
    Ok(())
}

/// Calls the tools that the catalog offers: the valid one alone, with every other one reported.
async fn call_what_is_valid(session: &Session) -> Outcome {
    let tools = session.tools();
    let offered: Vec<_> = tools.iter().map(|tool| tool.name()).collect();
    for tool in &*tools {
        text(tool.id(), tool.call(json!({ "region": "eu" })).await?)?;
    }
    let left_out = |fault: &&CatalogFault| matches!(fault, CatalogFault::BadTool { .. });
    let reported = tools.faults().iter().filter(left_out).count();
    if offered == ["valid_tool"] && reported == 11 {
        return Ok(());
    }
    Err(format!("{offered:?} are offered, and {reported} tools reported").into())
}

/// Sends a tool's schema back, which has to be as it came.
async fn give_the_schema_back(session: &Session) -> Outcome {
    let tool = session.tool("mock.json_schema_2020_12_tool").ok_or("no such tool")?;
    let schema = tool.input_schema();
    expect(&call(session, "json_schema_echo", json!({ "schema": schema })).await?, "echoed")
}
