//! Where servers stand in a document.

use std::collections::{HashMap, HashSet};

use super::{
    Input, clients, entry,
    fault::meant,
    reader::{Notation, Reader},
    secrets,
    tree::{Member, Node, Value},
};
use crate::ServerSpec;

/// The keys under which clients have their servers.
const SECTIONS: [&str; 6] =
    ["mcpServers", "servers", "mcp", "context_servers", "amp.mcpServers", "mcp.servers"];

/// The same in Codex, whose file is TOML.
const CODEX: &str = "mcp_servers";

/// What a document declares.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) specs: Vec<ServerSpec>,
    /// Where those begin that are not disabled.
    pub(super) lines: HashMap<String, usize>,
    pub(super) disabled: Vec<String>,
    /// Those of which it is known only that they are meant to be there.
    pub(super) broken: Vec<String>,
    pub(super) inputs: Vec<Input>,
}

/// Reads the servers of a client's file.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Declared {
    let mut declared = Declared::default();
    let Some(members) = root.members() else {
        reader.expected(root, "an object");
        return declared;
    };
    reader.twice(members);
    let mut found = false;
    for member in members {
        found |= section(member, reader, &mut declared);
    }
    found |= project(root, reader, &mut declared);
    if found {
        return declared;
    }
    let near = members
        .iter()
        .find_map(|member| Some((member, meant(&member.name, SECTIONS.into_iter())?)));
    match near {
        Some((member, hint)) => {
            reader.fault(member.at, "no servers are looked for here", Some(hint))
        }
        None => {
            let hint = "put them under \"mcpServers\"";
            reader.fault(root.at, "it declares no servers", Some(hint.to_owned()));
        }
    }
    declared
}

/// Reads a part of the document, if servers stand in it.
fn section(member: &Member, reader: &mut Reader<'_>, declared: &mut Declared) -> bool {
    let node = &member.node;
    match member.name.as_str() {
        "inputs" => inputs(node, reader, declared),
        // Of VS Code's settings; otherwise it is opencode's.
        "mcp" if node.get("servers").is_some() => {
            let parts = node.members().unwrap_or_default();
            for part in parts {
                section(part, reader, declared);
            }
            return true;
        }
        "mcp" => {
            let before = std::mem::replace(&mut reader.source.notation, Notation::Braced);
            servers(node, reader, declared);
            reader.source.notation = before;
            return true;
        }
        name if SECTIONS.contains(&name) || (name == CODEX && reader.is_toml()) => {
            servers(node, reader, declared);
            return true;
        }
        name if name != "$schema" && name != "projects" => {
            match meant(name, SECTIONS.into_iter()).filter(|_| matches!(node.value, Value::Map(_)))
            {
                Some(hint) => reader.warn(member.at, "no servers are looked for here", Some(hint)),
                None => reader.note(member.at, "it is not about servers, and was not looked at"),
            }
        }
        _ => {}
    }
    false
}

/// Claude Code has servers of projects beside those of the user; they go before these.
fn project(root: &Node, reader: &mut Reader<'_>, declared: &mut Declared) -> bool {
    let Some(projects) = root.get("projects").and_then(|member| member.node.members()) else {
        return false;
    };
    let here = reader.source.project.to_string_lossy().into_owned();
    let of_project = projects.iter().find(|project| project.name == here);
    let Some(section) = of_project.and_then(|project| project.node.get("mcpServers")) else {
        return true;
    };
    let mut local = Declared::default();
    servers(&section.node, reader, &mut local);
    declared.overlay(local);
    true
}

fn servers(node: &Node, reader: &mut Reader<'_>, declared: &mut Declared) {
    let Some(members) = node.members() else {
        return reader.expected(node, "an object of servers");
    };
    reader.twice(members);
    // The same key twice is one entry, of which the last counts, whatever it says.
    let last: HashMap<_, _> = members.iter().map(|member| (&member.name, member.at)).collect();
    for member in members.iter().filter(|member| last[&member.name] == member.at) {
        let name = name_of(member, reader);
        let read = entry::read(&name, (&member.node, member.at), clients::read, reader);
        match read {
            Some((spec, disabled)) => declared.add(spec, disabled, member.at, reader),
            None => declared.spoil(name, member.at, reader),
        }
    }
}

impl Declared {
    #[cfg(feature = "hcl")]
    pub(super) fn has(&self, name: &str) -> bool {
        let named = |spec: &ServerSpec| spec.name() == name;
        let mut others = self.disabled.iter().chain(&self.broken);
        self.specs.iter().any(named) || others.any(|one| one == name)
    }

    pub(super) fn add(
        &mut self,
        spec: ServerSpec,
        disabled: bool,
        at: usize,
        reader: &mut Reader<'_>,
    ) {
        let name = spec.name().to_owned();
        if disabled {
            self.disabled.push(name);
            return;
        }
        self.displace(&name, at, reader);
        self.specs.push(spec);
    }

    /// Adds one that cannot be used. Another of its name does not start in its place.
    pub(super) fn spoil(&mut self, name: String, at: usize, reader: &mut Reader<'_>) {
        self.displace(&name, at, reader);
        self.broken.push(name);
    }

    /// Takes out what came before, for the last of a name counts: none is both usable and broken.
    fn displace(&mut self, name: &str, at: usize, reader: &mut Reader<'_>) {
        if self.lines.insert(name.to_owned(), reader.line(at)).is_none() {
            return;
        }
        self.specs.retain(|spec| spec.name() != name);
        self.broken.retain(|one| one != name);
        let hint = "give each its own name".to_owned();
        let message = format!("two servers come to be named {name:?}, and the last one counts");
        reader.warn(at, message, Some(hint));
    }

    /// Lets others go before all of their names, also those that are disabled or cannot be used.
    fn overlay(&mut self, over: Self) {
        let usable = over.specs.iter().map(ServerSpec::name);
        let others = over.disabled.iter().chain(&over.broken).map(String::as_str);
        let names: HashSet<_> = usable.chain(others).collect();
        self.specs.retain(|spec| !names.contains(spec.name()));
        self.lines.retain(|name, _| !names.contains(name.as_str()));
        self.disabled.retain(|name| !names.contains(name.as_str()));
        self.broken.retain(|name| !names.contains(name.as_str()));
        let Self { specs, lines, disabled, broken, inputs } = over;
        self.specs.extend(specs);
        self.lines.extend(lines);
        self.disabled.extend(disabled);
        self.broken.extend(broken);
        self.inputs.extend(inputs);
    }
}

/// Clients allow names that no tool id can begin with.
fn name_of(member: &Member, reader: &mut Reader<'_>) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let mut name: String = member.name.chars().map(fit).collect();
    name = name.trim_matches('-').chars().take(64).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name = format!("s{name}").chars().take(64).collect();
    }
    if member.name != name {
        reader.warn(
            member.at,
            format!("it is called {name:?} here, for tool ids begin with it"),
            None,
        );
    }
    name
}

/// What VS Code asks for.
fn inputs(node: &Node, reader: &mut Reader<'_>, declared: &mut Declared) {
    let Value::List(nodes) = &node.value else { return reader.expected(node, "a list") };
    for node in nodes {
        let text =
            |name: &str| node.get(name).and_then(|member| member.node.text()).map(str::to_owned);
        let Some(id) = text("id") else {
            reader.fault(node.at, "its id is missing", None);
            continue;
        };
        if text("type").is_some_and(|kind| kind == "command") {
            let hint = "the host has to answer for it".to_owned();
            reader.warn(node.at, "commands of an editor are not run", Some(hint));
        }
        let options = node.get("options").map(|member| &member.node.value);
        let options =
            if let Some(Value::List(options)) = options { options.as_slice() } else { &[] };
        let option = |node: &Node| {
            node.text()
                .map(str::to_owned)
                .or(node.get("value").and_then(|value| value.node.text()).map(str::to_owned))
        };
        declared.inputs.push(Input {
            secret_name: secrets::input(&id),
            id,
            description: text("description"),
            default: text("default"),
            options: options.iter().filter_map(option).collect(),
            password: node
                .get("password")
                .is_some_and(|member| matches!(member.node.value, Value::Flag(true))),
        });
    }
}
