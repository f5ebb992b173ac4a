//! `callboard watch`: a session that is held open, and seen.

mod model;
mod screen;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use callboard::{Applied, Event, LogLevel, Session, SessionSnapshot, config};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    Context,
    args::{self, Servers, take_url},
    console::Console,
    exit::{Exit, Failure},
    file, open, servers,
};
use model::{Kind, Line, Model, clock};
use screen::{Screen, Wish};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How many reports may wait.
const WAITING: usize = 256;

/// What a follower tells.
enum Report {
    /// A server listed its tools within this time.
    Answered(String, Duration),
    /// A line for the log.
    Said(String, Kind, String),
}

pub(crate) async fn run(context: &Context, args: args::Watch) -> Result<Exit, Failure> {
    let mut words: Vec<_> = args.url.into_iter().collect();
    let url = take_url(&mut words, 0);
    let mut chosen = args.servers;
    chosen.server.append(&mut words);
    let path = file::path(&chosen).filter(|_| url.is_none() && chosen.command.is_empty());
    let declared = servers::declared(context, &chosen, url, None)?;
    declared.faults.iter().for_each(|fault| context.console.tell(fault));
    let (json, terminal) = (context.console.json, context.console.terminal);
    let on_screen = !json && terminal && io::IsTerminal::is_terminal(&io::stdin());
    let session = if on_screen {
        open::begin_for_screen(context, declared.specs, declared.inputs).await?
    } else {
        open::begin(context, declared.specs, declared.inputs).await?
    };
    if json {
        let busy = context.console.waiting("starting".to_owned());
        session.settled().await;
        drop(busy);
        context.console.document(&context.runtime.snapshot().to_json())?;
        return Ok(Exit::Done);
    }
    let mut watch = Watch::new(context, session, args.every);
    if let Some(path) = path {
        watch.follow_file(path, chosen);
    }
    if on_screen { watch.on_screen().await } else { watch.in_lines().await }
}

/// A session, who follows it, and what is known of it.
struct Watch<'a> {
    context: &'a Context,
    session: Session,
    model: Model,
    every: Option<Duration>,
    tell: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    followers: JoinSet<()>,
    /// The servers that are followed, by name.
    followed: HashSet<String>,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context, session: Session, every: Duration) -> Self {
        let (tell, reports) = mpsc::channel(WAITING);
        let mut followers = JoinSet::new();
        followers.spawn(events(session.clone(), tell.clone()));
        let model = Model::new(SystemTime::now());
        let (followed, every) = (HashSet::new(), Some(every).filter(|every| !every.is_zero()));
        Self { context, session, model, every, tell, reports, followers, followed }
    }

    /// Goes on with what a file says, whenever that changes.
    fn follow_file(&mut self, path: PathBuf, args: Servers) {
        let (session, tell) = (self.session.clone(), self.tell.clone());
        self.followers.spawn(follow_file(path, args, session, tell));
    }

    /// Follows the servers that have come, and forgets those that have gone.
    fn follow(&mut self) {
        let servers = self.session.servers();
        let names: HashSet<_> = servers.iter().map(|server| server.name().to_owned()).collect();
        for name in names.difference(&self.followed) {
            self.followers.spawn(logs(self.session.clone(), name.clone(), self.tell.clone()));
            if let Some(every) = self.every {
                let (session, tell) = (self.session.clone(), self.tell.clone());
                self.followers.spawn(ask(session, name.clone(), every, tell));
            }
        }
        self.followed = names;
    }

    /// The session at this moment.
    fn look(&mut self) -> Vec<Line> {
        self.follow();
        let snapshot = self.context.runtime.snapshot();
        let now = snapshot.taken_at;
        let of_us = |one: &SessionSnapshot| one.id == self.session.id();
        let session = snapshot.sessions.into_iter().find(of_us);
        session.map(|session| self.model.look(session, now)).unwrap_or_default()
    }

    fn take(&mut self, report: Report) -> Option<Line> {
        match report {
            Report::Answered(server, after) => {
                self.model.answered(&server, after);
                None
            }
            Report::Said(server, kind, text) => Some(self.model.add(&server, kind, &text)),
        }
    }

    async fn on_screen(&mut self) -> Result<Exit, Failure> {
        let failed = |error: io::Error| Failure::usage(format!("the terminal: {error}"));
        let noted = self.context.console.keep_notes();
        let mut screen = Screen::open().map_err(failed)?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Some(report) = self.reports.recv() => {
                    drop(self.take(report));
                    continue;
                }
                wish = screen.wish() => match wish {
                    Wish::Close => return Ok(Exit::Done),
                    // In raw mode Ctrl-C is a key.
                    Wish::Interrupt => return Err(Failure::stopped(2)),
                    Wish::Move(by) => self.model.select(by),
                    Wish::Restart => self.restart(),
                    Wish::Redraw => {}
                }
            }
            for note in noted.take() {
                drop(self.model.add("callboard", Kind::Note, &note));
            }
            drop(self.look());
            screen.show(&self.model).map_err(failed)?;
        }
    }

    fn restart(&self) {
        let server = self.model.selected().and_then(|one| self.session.server(&one.name));
        if let Some(server) = server {
            server.restart();
        }
    }

    /// One line for everything that happens, for as long as anybody wants that.
    async fn in_lines(&mut self) -> Result<Exit, Failure> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let lines = tokio::select! {
                _ = looks.tick() => self.look(),
                Some(report) = self.reports.recv() => self.take(report).into_iter().collect(),
            };
            for line in &lines {
                print(&self.context.console, line)?;
            }
        }
    }
}

fn print(console: &Console, line: &Line) -> Result<(), Failure> {
    let Line { at, server, kind, text } = line;
    console.foreign(&format!("{} {:<6} {server}: {text}", clock(*at), kind.as_str()))
}

/// Tells of every change of a status.
async fn events(session: Session, tell: mpsc::Sender<Report>) {
    let mut events = session.events();
    for server in session.servers() {
        let status = server.status();
        let text = status.phase.to_string();
        let report = Report::Said(server.name().to_owned(), Kind::Status, text);
        drop(tell.send(report).await);
    }
    while let Some(event) = events.next().await {
        let Event::Status { server, from, status } = event else { continue };
        let mut text = format!("{from} → {}, epoch {}", status.phase, status.epoch);
        if let Some(pid) = status.pid {
            text += &format!(", pid {pid}");
        }
        if let Some(error) = status.last_error.as_ref().filter(|_| !status.is_ready()) {
            let error = error.to_string();
            text += &format!(": {}", error.lines().next().unwrap_or_default());
        }
        drop(tell.send(Report::Said(server.to_string(), Kind::Status, text)).await);
    }
}

/// Tells what a server logs.
async fn logs(session: Session, name: String, tell: mpsc::Sender<Report>) {
    // Where another takes its place, the log ends.
    while let Some(server) = session.server(&name) {
        let mut logs = server.logs();
        // One that has no log says so, and that is all.
        drop(server.log_level(LogLevel::Info).await);
        while let Some(message) = logs.next().await {
            let said = message.data::<String>().unwrap_or_else(|_| message.raw().to_owned());
            let text = format!("{}: {said}", message.level);
            drop(tell.send(Report::Said(name.clone(), Kind::Log, text)).await);
        }
        sleep(LOOK).await;
    }
}

/// Asks a server for its tools again and again, and tells how long that takes.
async fn ask(session: Session, name: String, every: Duration, tell: mpsc::Sender<Report>) {
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let Some(server) = session.server(&name) else { return };
        // One that is asleep is left alone.
        if !server.status().is_ready() {
            continue;
        }
        let began = Instant::now();
        if server.rediscover().await.is_ok() {
            drop(tell.send(Report::Answered(name.clone(), began.elapsed())).await);
        }
    }
}

/// Has the session go on with what a file says, whenever that changes; what is wrong with it is told.
async fn follow_file(path: PathBuf, args: Servers, session: Session, tell: mpsc::Sender<Report>) {
    let said = |kind, text| Report::Said(path.display().to_string(), kind, text);
    let mut watch = config::watch(&path);
    loop {
        let loaded = match watch.next().await {
            Ok(loaded) => loaded,
            Err(error) => {
                let message = file::unusable(&error).message;
                drop(tell.send(said(Kind::Note, message)).await);
                continue;
            }
        };
        let broken = loaded.broken.clone();
        let declared = file::remaining(loaded, &path, &args.server);
        for fault in declared.faults {
            drop(tell.send(said(Kind::Note, fault.message)).await);
        }
        // What runs, and is written down wrong now, goes on as it was.
        let kept = session.servers().into_iter().map(|server| server.spec());
        let kept = kept.filter(|spec| broken.iter().any(|name| name == spec.name()));
        let specs = servers::opened(&args, declared.specs).into_iter().chain(kept);
        let applied = session.apply(specs.collect::<Vec<_>>()).await;
        match applied {
            Ok(applied) if applied.is_empty() => {}
            Ok(applied) => drop(tell.send(said(Kind::Note, changes(&applied))).await),
            Err(error) => drop(tell.send(said(Kind::Note, error.to_string())).await),
        }
    }
}

fn changes(applied: &Applied) -> String {
    let Applied { started, stopped, restarted, .. } = applied;
    let parts = [("new", started), ("gone", stopped), ("changed", restarted)];
    let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
    parts
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}
