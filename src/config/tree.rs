//! A document of any form as one kind of tree that knows where each of its parts stands.

use std::{fmt, str::FromStr};

/// A part of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    /// A text with variables in it, of a form that has words of its own for them.
    #[cfg(feature = "hcl")]
    Template(Vec<Segment>),
    /// What no file may have, in words.
    #[cfg(feature = "hcl")]
    Foreign(&'static str),
    List(Vec<Node>),
    /// In the order of the document.
    Map(Vec<Member>),
}

/// A number, with the digits that it was written with: no float has all of those of an id.
#[derive(Debug)]
pub(super) struct Number(String);

/// A piece of a template.
#[cfg(feature = "hcl")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Text(String),
    /// A variable of the host's environment.
    Variable(String),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its name begins, in bytes.
    pub(super) at: usize,
    /// The names of a block, where it is one.
    pub(super) labels: Vec<String>,
    pub(super) node: Node,
}

impl Number {
    /// As it stands in the document.
    pub(super) fn written(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[cfg(feature = "hcl")]
    pub(super) fn negative(&self) -> Self {
        Self(self.0.strip_prefix('-').map_or_else(|| format!("-{}", self.0), str::to_owned))
    }

    /// None where it is larger than any float.
    pub(super) fn value(&self) -> Option<f64> {
        self.0.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// Whether it is whole, and fits.
    pub(super) fn whole<T: FromStr>(&self) -> Option<T> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Node {
    pub(super) fn members(&self) -> Option<&[Member]> {
        if let Value::Map(members) = &self.value { Some(members) } else { None }
    }

    /// The member of this name; of several, the last, as everywhere where JSON is read.
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.members()?.iter().rev().find(|member| member.name == name)
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// What it is, for those who expected something else.
    pub(super) fn what(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Flag(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            #[cfg(feature = "hcl")]
            Value::Template(_) => "a text with variables",
            #[cfg(feature = "hcl")]
            Value::Foreign(what) => what,
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    /// The path from here to what stands at this byte.
    pub(super) fn path_to(&self, at: usize) -> String {
        let (path, found) = self.descend(at);
        // Tables of TOML may be scattered, so that what is near need not be what is meant.
        let mut searched = String::new();
        if !found && self.search(at, &mut searched) { searched } else { path }
    }

    /// The path to what is nearest before this byte, and whether it begins there.
    fn descend(&self, at: usize) -> (String, bool) {
        let mut found = self.at == at;
        let mut path = String::new();
        let mut here = Some(self);
        while let Some(node) = here {
            here = match &node.value {
                Value::Map(members) => {
                    let after = members.partition_point(|member| member.at <= at);
                    after.checked_sub(1).map(|n| &members[n]).map(|member| {
                        found |= member.at == at;
                        push(&mut path, member);
                        &member.node
                    })
                }
                Value::List(nodes) => {
                    let after = nodes.partition_point(|node| node.at <= at);
                    after.checked_sub(1).map(|n| {
                        path.push_str(&format!("[{n}]"));
                        &nodes[n]
                    })
                }
                _ => None,
            }
            .filter(|node| node.at <= at);
            found |= here.is_some_and(|node| node.at == at);
        }
        (path, found)
    }

    /// Looks for what begins at this byte, wherever it is.
    fn search(&self, at: usize, path: &mut String) -> bool {
        if self.at == at {
            return true;
        }
        let Value::Map(members) = &self.value else { return false };
        members.iter().any(|member| {
            let length = path.len();
            push(path, member);
            let found = member.at == at || member.node.search(at, path);
            if !found {
                path.truncate(length);
            }
            found
        })
    }
}

/// Names that are no words stand in quotes, as those of blocks do.
fn push(path: &mut String, member: &Member) {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ' ');
    let Member { name, labels, .. } = member;
    if !path.is_empty() {
        path.push('.');
    }
    match name.chars().all(word) && !name.is_empty() {
        true => path.push_str(name),
        false => path.push_str(&format!("{name:?}")),
    }
    labels.iter().for_each(|label| path.push_str(&format!(" {label:?}")));
}
