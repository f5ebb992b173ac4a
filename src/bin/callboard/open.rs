//! A session over the servers of a command, as far as they can be had.

use callboard::{Phase, Server, ServerSpec, Session, Status, config::Input};

use crate::{
    Context,
    args::Servers,
    exit::{Exit, Failure},
    inputs::Answers,
    logging,
    person::Person,
    servers::{self, Declared},
    terminal::Terminal,
};

/// An open session, and what of it could not be had.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) failures: Vec<Failure>,
}

impl Opened {
    /// Says what could not be had; how it ends, where all else is done.
    pub(crate) fn tell(&self, context: &Context) -> Exit {
        let told = self.failures.iter().map(|failure| {
            context.console.tell(failure);
            failure.exit
        });
        told.max().unwrap_or(Exit::Done)
    }

    /// Nothing but what could not be had, where there is nothing else.
    pub(crate) fn or_failure(mut self, context: &Context) -> Result<Self, Failure> {
        let none_is_ready = self.session.servers().iter().all(|server| !is_there(&server.status()));
        match self.failures.pop() {
            Some(last) if none_is_ready => {
                self.tell(context);
                Err(last)
            }
            last => {
                self.failures.extend(last);
                Ok(self)
            }
        }
    }
}

/// Opens a session, and waits until each server is there or has failed once. Of a file, only those
/// that may have this tool, if one is named.
pub(crate) async fn open(
    context: &Context,
    args: &Servers,
    url: Option<String>,
    tool: Option<&str>,
) -> Result<Opened, Failure> {
    let Declared { specs, faults, inputs } = servers::declared(context, args, url, tool)?;
    let session = begin(context, specs, inputs).await?;
    let busy = context.console.waiting("starting".to_owned());
    session.settled().await;
    let mut failures = faults;
    for server in session.servers() {
        busy.0.set_message(format!("starting {}", server.name()));
        wake(&server).await;
        let status = server.status();
        if !is_there(&status) {
            failures.push(Failure::of_status(server.name(), &status));
        }
    }
    Ok(Opened { session, failures })
}

/// Opens a session, without waiting for its servers. What they need of a person is asked before.
pub(crate) async fn begin(
    context: &Context,
    specs: Vec<ServerSpec>,
    inputs: Vec<Input>,
) -> Result<Session, Failure> {
    let terminal = Terminal::new(&context.console);
    let answers = Answers::ask(&context.console, &terminal, &specs, &inputs).await;
    session(context, specs, answers, terminal).await
}

/// The same for a screen that has the terminal from then on: nobody is asked any more.
pub(crate) async fn begin_for_screen(
    context: &Context,
    specs: Vec<ServerSpec>,
    inputs: Vec<Input>,
) -> Result<Session, Failure> {
    let terminal = Terminal::new(&context.console);
    let answers = Answers::ask(&context.console, &terminal, &specs, &inputs).await;
    session(context, specs, answers, Terminal::taken(&context.console)).await
}

async fn session(
    context: &Context,
    specs: Vec<ServerSpec>,
    answers: Answers,
    terminal: Terminal,
) -> Result<Session, Failure> {
    let person = Person::new(&context.console, terminal);
    let session = context.runtime.session("callboard").host(person).secret_provider(answers);
    Ok(session.servers(specs).open().await?)
}

/// Starts a server that is asleep, and waits until it is there or its start has failed.
async fn wake(server: &Server) {
    let mut watch = server.watch();
    if server.status().phase != Phase::Idle {
        return;
    }
    let failed = |status: &Status| {
        matches!(
            status.phase,
            Phase::BackingOff | Phase::Failed | Phase::AuthRequired | Phase::Stopped
        )
    };
    tokio::select! {
        // What is wrong with it stands in its status.
        _ = server.discover() => {}
        _ = watch.wait_for(failed) => {}
    }
}

/// Whether its tools can be called; one that is opened for each call sleeps in between.
pub(crate) fn is_there(status: &Status) -> bool {
    matches!(status.phase, Phase::Ready | Phase::Idle | Phase::GoingIdle)
}

/// Does something while the logs of these servers are shown, if that is wanted.
pub(crate) async fn with_logs<T>(
    context: &Context,
    session: &Session,
    work: impl Future<Output = T>,
) -> T {
    if context.verbose == 0 {
        return work.await;
    }
    let servers = session.servers();
    let follow = async {
        let mut followed = tokio::task::JoinSet::new();
        for server in servers {
            let (console, verbose) = (context.console.clone(), context.verbose);
            followed.spawn(async move { logging::follow(&console, &server, verbose).await });
        }
        while followed.join_next().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = follow => unreachable!("it waits for ever"),
    }
}
