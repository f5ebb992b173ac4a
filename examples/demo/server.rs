//! A small MCP server, made with the server side of the official SDK: this same executable, started
//! again with a hidden argument, so that the examples need nothing installed.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use rmcp::{
    ServiceExt as _, handler::server::wrapper::Parameters, schemars, tool, tool_router, transport,
};
use tokio::runtime;

const SERVER: &str = "--demo-server";
const DESCENDANT: &str = "--demo-descendant";

/// Long enough for an example, and short enough not to stay around if the example is killed.
const LIFETIME: Duration = Duration::from_secs(30);

/// The command that starts the server; with a `descendant`, a process that it starts in turn,
/// and leaves behind when it ends, as wrappers such as `npx` and `sh -c` do.
pub(crate) fn command(descendant: bool) -> Vec<String> {
    let program = executable().into_os_string().into_string();
    let mut command = vec![program.expect("the path of this example is UTF-8"), SERVER.to_owned()];
    command.extend(descendant.then(|| DESCENDANT.to_owned()));
    command
}

/// Serves until stdin ends if this process was started as the server; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [SERVER] => serve(),
        [SERVER, DESCENDANT] => {
            start_descendant();
            serve();
        }
        [DESCENDANT] => std::thread::park_timeout(LIFETIME),
        _ => return false,
    }
    true
}

fn serve() {
    let tokio = runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("tokio starts").block_on(async {
        // A client that goes away is not this server's error.
        if let Ok(service) = DemoServer.serve(transport::io::stdio_pipes()).await {
            drop(service.waiting().await);
        }
    });
}

/// The descendant holds this process's stdout open, but does not read its stdin.
fn start_descendant() {
    let descendant = Command::new(executable()).arg(DESCENDANT).stdin(Stdio::null()).spawn();
    drop(descendant.expect("the descendant starts"));
}

fn executable() -> PathBuf {
    std::env::current_exe().expect("the path of this example")
}

#[derive(Debug, Clone, Copy)]
struct DemoServer;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Terms {
    a: i64,
    b: i64,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Speech {
    text: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Pause {
    ms: u64,
}

#[tool_router(server_handler)]
impl DemoServer {
    #[tool(description = "Adds two numbers.")]
    fn add(&self, Parameters(Terms { a, b }): Parameters<Terms>) -> String {
        a.saturating_add(b).to_string()
    }

    #[tool(description = "Says what it is told.")]
    fn say(&self, Parameters(Speech { text }): Parameters<Speech>) -> String {
        text
    }

    #[tool(description = "Answers after a while.")]
    async fn wait(&self, Parameters(Pause { ms }): Parameters<Pause>) -> String {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        format!("waited {ms} ms")
    }

    #[tool(description = "Fails, and says so.")]
    fn fail(&self) -> Result<String, String> {
        Err("no such luck".to_owned())
    }
}
