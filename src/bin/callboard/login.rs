//! `callboard login`, and where its tokens are kept.

use std::path::PathBuf;

use callboard::{FileTokenStore, Login, OAuth, Phase, Server, ServerSpec};
use serde_json::json;

use crate::{
    Context,
    args::{self, Servers, take_url},
    exit::{Exit, Failure},
    open, servers,
    terminal::Terminal,
};

/// What people are shown who log in.
const CLIENT: &str = "callboard";

pub(crate) async fn run(context: &Context, mut args: args::Login) -> Result<Exit, Failure> {
    let mut words: Vec<_> = args.server_or_url.into_iter().collect();
    let url = take_url(&mut words, 0);
    args.servers.server.extend(words);
    let declared = servers::declared(context, &args.servers, url, None)?;
    let [_] = declared.specs.as_slice() else {
        return Err(Failure::usage("log in to which server? Name one"));
    };
    let session = open::begin(context, declared.specs, declared.inputs).await?;
    let busy = context.console.waiting("asking the server".to_owned());
    session.settled().await;
    drop(busy);
    let server = session.servers().remove(0);
    match server.status().phase {
        Phase::Ready => {}
        Phase::AuthRequired => {
            log_in(context, &server).await?;
            let ready = server.ready().await;
            ready.map_err(|error| Failure::not_ready(server.name(), error.as_ref()))?;
        }
        _ => {
            return Err(Failure::of_status(server.name(), &server.status()));
        }
    }
    let (name, tools) = (server.name(), session.tools().len());
    let console = &context.console;
    if console.json {
        console.document(&json!({ "server": name, "ready": true, "tools": tools }))?;
    } else {
        console.result(&format!("{name} is ready: {tools} tools"))?;
    }
    Ok(Exit::Done)
}

async fn log_in(context: &Context, server: &Server) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::NotConnected, "login", format!("{}: {error}", server.name()))
    };
    let login = server.login().await.map_err(|error| failed(&error))?;
    context.console.note(&format!("Open this in a browser, and log in:\n\n  {}\n", login.url()));
    let busy = context.console.waiting("waiting for the browser to come back".to_owned());
    let terminal = Terminal::new(&context.console);
    let finished = tokio::select! {
        finished = login.wait() => finished,
        finished = pasted(&login, &terminal) => finished,
    };
    drop(busy);
    finished.map_err(|error| failed(&error))
}

/// Finishes a login whose browser is on another machine.
async fn pasted(
    login: &Login,
    terminal: &Terminal,
) -> Result<(), std::sync::Arc<callboard::AuthError>> {
    let Ok(mut talk) = terminal.talk().await else { return std::future::pending().await };
    talk.say("If the browser cannot reach this machine, paste the URL here that it ends up at:");
    loop {
        match talk.line().await {
            Some(line) if line.is_empty() => {}
            Some(line) => return login.finish(&line).await,
            None => return std::future::pending().await,
        }
    }
}

/// Has a person log in to a server that wants that and declares nothing else.
pub(crate) fn or_login(
    #[cfg_attr(not(feature = "keyring"), expect(unused_variables, reason = "it has no keyring"))]
    args: &Servers,
    spec: ServerSpec,
) -> ServerSpec {
    let login = OAuth::new(CLIENT);
    let Some(folder) = folder() else { return spec.or_login(login) };
    #[cfg(feature = "keyring")]
    if args.keyring {
        return spec.or_login(login.store(callboard::KeyringTokenStore::new(CLIENT, folder)));
    }
    spec.or_login(login.store(FileTokenStore::new(folder)))
}

/// Where tokens are kept for the next run (XDG Base Directory Specification; on Windows what belongs
/// to this machine's user).
fn folder() -> Option<PathBuf> {
    let named = |variable| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let data = if cfg!(windows) {
        named("LOCALAPPDATA")?
    } else {
        named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")))?
    };
    Some(data.join("callboard/tokens"))
}
