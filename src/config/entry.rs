//! One server of a file.

use super::{
    clients,
    options::{CALLS, SERVER},
    reached::{REMOTE, STDIO},
    reader::Reader,
    tree::{Member, Node, Value},
};
use crate::{
    ServerSpec, Stdio, StreamableHttp,
    spec::{self, Transport},
};

/// A server as far as it has been read.
pub(super) struct Entry {
    pub(super) spec: ServerSpec,
    pub(super) stdio: Stdio,
    pub(super) remote: StreamableHttp,
    pub(super) kind: Option<Kind>,
    pub(super) disabled: bool,
    /// Where it begins.
    pub(super) at: usize,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stdio,
    StreamableHttp,
    HttpSse,
}

/// What it is called by us, and by others.
const KINDS: [(&str, Kind); 13] = [
    ("stdio", Kind::Stdio),
    ("streamable_http", Kind::StreamableHttp),
    ("http_sse", Kind::HttpSse),
    ("http", Kind::StreamableHttp),
    ("local", Kind::Stdio),
    ("remote", Kind::StreamableHttp),
    ("sse", Kind::HttpSse),
    ("streamable-http", Kind::StreamableHttp),
    ("streamableHttp", Kind::StreamableHttp),
    ("streamablehttp", Kind::StreamableHttp),
    ("http-stream", Kind::StreamableHttp),
    ("http-sse", Kind::HttpSse),
    ("http+sse", Kind::HttpSse),
];

/// Those that HCL knows.
const OURS: usize = 4;

pub(super) fn kinds(of_clients: bool) -> impl Iterator<Item = &'static str> + Clone {
    let count = if of_clients { KINDS.len() } else { OURS };
    KINDS[..count].iter().map(|(name, _)| *name)
}

impl Entry {
    pub(super) fn new(name: &str, at: usize) -> Self {
        let (stdio, remote) = (Stdio::new(""), StreamableHttp::new(""));
        let spec = ServerSpec::new(name, stdio.clone());
        Self { spec, stdio, remote, kind: None, disabled: false, at }
    }

    /// Reads a key of ours; false if it is none.
    pub(super) fn take(&mut self, member: &Member, reader: &mut Reader<'_>) -> bool {
        let key = (member.name.as_str(), &member.node);
        SERVER.take(&mut self.spec, key, reader)
            || CALLS.take(&mut self.spec.call_options, key, reader)
            || STDIO.take(&mut self.stdio, key, reader)
            || REMOTE.take(&mut self.remote, key, reader)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let (server, calls) = (SERVER.names(), CALLS.names());
        server.chain(calls).chain(STDIO.names()).chain(REMOTE.names())
    }

    pub(super) fn read_kind(&mut self, node: &Node, of_clients: bool, reader: &mut Reader<'_>) {
        let Some(text) = reader.text(node) else { return };
        let mut known = kinds(of_clients).zip(KINDS);
        match known.find(|(name, _)| *name == text) {
            Some((_, (_, kind))) => self.kind = Some(kind),
            None => {
                let hint = super::fault::meant(&text, kinds(of_clients));
                let all: Vec<_> = kinds(false).collect();
                reader.fault(node.at, format!("one of {} is wanted here", all.join(", ")), hint);
            }
        }
    }

    /// The declared server, if what was said comes to one; `said` are the keys that said it.
    pub(super) fn finish(
        mut self,
        said: &[&Member],
        reader: &mut Reader<'_>,
    ) -> Option<ServerSpec> {
        let has = |name: &str| said.iter().any(|member| clients::ours(&member.name) == name);
        let kind = match (self.kind, has("command"), has("url")) {
            (Some(kind), ..) => kind,
            (None, true, false) => Kind::Stdio,
            (None, false, true) => Kind::StreamableHttp,
            (None, true, true) => {
                let hint = "leave one of the two out, or say which counts by its type";
                reader.fault(self.at, "it has a command and a url", Some(hint.to_owned()));
                return None;
            }
            (None, false, false) => {
                let hint = "name the program to start, or the URL to talk to";
                reader.fault(self.at, "it has neither a command nor a url", Some(hint.to_owned()));
                return None;
            }
        };
        let (wanted, stray): (_, fn(&str) -> bool) = match kind {
            Kind::Stdio => ("command", |name| REMOTE.names().any(|one| one == name)),
            Kind::StreamableHttp | Kind::HttpSse => {
                ("url", |name| STDIO.names().any(|one| one == name))
            }
        };
        if !has(wanted) {
            reader.fault(self.at, format!("its {wanted} is missing"), None);
        }
        for member in said.iter().filter(|member| stray(clients::ours(&member.name))) {
            let message = match kind {
                Kind::Stdio => "a server that is a process has no such key",
                Kind::StreamableHttp | Kind::HttpSse => "a server behind a URL has no such key",
            };
            let hint = (member.name == "auth").then(|| "give it its credentials by env".to_owned());
            reader.fault(member.at, message, hint);
        }
        self.spec.transport = match kind {
            Kind::Stdio => Transport::Stdio(self.stdio),
            Kind::StreamableHttp => Transport::StreamableHttp(self.remote),
            Kind::HttpSse => Transport::HttpSse(self.remote.into_sse()),
        };
        Some(self.spec)
    }
}

/// Reads an entry; none if it cannot be used.
pub(super) fn read(
    name: &str,
    (node, at): (&Node, usize),
    keys: impl FnOnce(&mut Entry, &[Member], &mut Reader<'_>),
    reader: &mut Reader<'_>,
) -> Option<(ServerSpec, bool)> {
    let Value::Map(members) = &node.value else {
        reader.expected(node, "an object");
        return None;
    };
    let before = reader.faults.len();
    let mut entry = Entry::new(name, at);
    reader.twice(members);
    keys(&mut entry, members, reader);
    let disabled = entry.disabled;
    let said: Vec<&Member> = said(members).collect();
    let spec = entry.finish(&said, reader);
    if reader.faults.len() > before {
        return None;
    }
    let spec = spec?;
    for fault in spec::faults(std::slice::from_ref(&spec)) {
        reader.fault(at, fault.to_string(), None);
    }
    (reader.faults.len() == before).then_some((spec, disabled))
}

/// The keys of an entry, and those of ours within it, but for what says nothing.
fn said(members: &[Member]) -> impl Iterator<Item = &Member> {
    let own = members.iter().filter(|member| member.name == clients::OWN);
    let own = own.filter_map(|member| member.node.members()).flatten();
    members.iter().chain(own).filter(|member| !matches!(member.node.value, Value::Null))
}
