//! What is known while a file is read, and what was found wrong with it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    fault::Fault,
    files, secrets,
    tree::{Node, Value},
    words::{self, Word},
};
use crate::{secret::Secret, transport::environment};

/// More than this of a kind nobody reads.
const MOST_FAULTS: usize = 1000;

/// No certificate, and no file of variables, is larger.
const MOST_BYTES: u64 = 1 << 20;

/// The document that is read.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// The folder of the file, from which other files are named; none for a text that is in none.
    pub(super) folder: Option<&'a Path>,
    /// The folder of the project that is worked on.
    pub(super) project: &'a Path,
    pub(super) notation: Notation,
}

/// How a document writes variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// `${VAR}`.
    Dollar,
    /// `{env:VAR}`, too.
    Braced,
    /// The form has a way of its own, and a text is what it says.
    #[cfg(any(feature = "hcl", feature = "toml"))]
    Own,
}

/// Reads the parts of one document.
pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    root: &'a Node,
    /// The first byte of each line.
    lines: Vec<usize>,
    /// Whether a key of which nothing is known keeps an entry from being used.
    pub(super) strict: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    pub(super) notes: Vec<Fault>,
}

/// A text as it was written, or what refers to it.
pub(super) enum Given {
    Plain(String),
    Secret(Secret),
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source<'a>, root: &'a Node) -> Self {
        let lines = line_starts(source.text);
        let (faults, warnings, notes) = Default::default();
        Self { source, root, lines, strict: false, faults, warnings, notes }
    }

    /// Notes what keeps an entry from being used.
    pub(super) fn fault(&mut self, at: usize, message: impl Into<String>, hint: Hint) {
        if self.faults.len() < MOST_FAULTS {
            let fault = self.found(at, message.into(), hint);
            self.faults.push(fault);
        }
    }

    /// Notes what is odd, and probably not meant.
    pub(super) fn warn(&mut self, at: usize, message: impl Into<String>, hint: Hint) {
        if self.warnings.len() < MOST_FAULTS {
            let fault = self.found(at, message.into(), hint);
            self.warnings.push(fault);
        }
    }

    /// Notes what has no effect here, and need not have.
    pub(super) fn note(&mut self, at: usize, message: impl Into<String>) {
        if self.notes.len() < MOST_FAULTS {
            let fault = self.found(at, message.into(), None);
            self.notes.push(fault);
        }
    }

    fn found(&self, at: usize, message: String, suggestion: Hint) -> Fault {
        let (line, column) = place(self.source.text, &self.lines, at);
        let path = self.root.path_to(at);
        Fault { file: self.source.file.to_owned(), line, column, path, message, suggestion }
    }

    pub(super) fn line(&self, at: usize) -> usize {
        place(self.source.text, &self.lines, at).0
    }

    /// Says that something else was expected.
    pub(super) fn expected(&mut self, node: &Node, wanted: &str) {
        self.fault(node.at, format!("{wanted} is wanted here, not {}", node.what()), None);
    }

    /// Whether the document is TOML. The other form with a way of its own has blocks.
    pub(super) fn is_toml(&self) -> bool {
        !matches!(self.source.notation, Notation::Dollar | Notation::Braced)
    }

    /// A text that is no reference.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            #[cfg(feature = "hcl")]
            Value::Template(_) => {
                let hint = "variables may stand where a secret may: in env, headers, args and auth";
                self.fault(node.at, "no variable may stand here", Some(hint.to_owned()));
                None
            }
            _ => {
                self.expected(node, "a text");
                None
            }
        }
    }

    /// A text with whatever stands in it in its place, as it is now: for what is no secret.
    pub(super) fn resolved(&mut self, node: &Node) -> Option<String> {
        // HCL has its variables where secrets may stand, and nowhere else.
        #[cfg(feature = "hcl")]
        if matches!(node.value, Value::Template(_)) {
            return self.text(node);
        }
        let words = self.words(node)?;
        let mut text = String::new();
        for word in words {
            match self.settled(&word, node.at)? {
                Word::Text(piece) => text.push_str(&piece),
                Word::Variable(name, otherwise) => {
                    let value = variable(&name).or(otherwise);
                    let Some(value) = value else {
                        let hint =
                            format!("set it, or write ${{{name}:-…}} with what stands for it");
                        self.fault(node.at, format!("the variable {name} is not set"), Some(hint));
                        return None;
                    };
                    text.push_str(&value);
                }
                _ => {
                    let message = "only folders and variables may stand here, and no input or file";
                    self.fault(node.at, message, None);
                    return None;
                }
            }
        }
        Some(text)
    }

    /// A text where a secret may stand. What comes from the environment, or from whoever is asked,
    /// is only referred to.
    pub(super) fn given(&mut self, node: &Node) -> Option<Given> {
        let words = self.words(node)?;
        let mut settled = Vec::with_capacity(words.len());
        for word in &words {
            settled.push(self.settled(word, node.at)?);
        }
        Some(secrets::of(settled))
    }

    /// The value of the variable that is named here, as it is now.
    pub(super) fn variable(&mut self, node: &Node) -> Option<String> {
        let name = self.text(node)?;
        let value = variable(&name);
        if value.is_none() {
            self.fault(node.at, format!("the variable {name} is not set"), None);
        }
        value
    }

    /// The content of the file that is named here.
    pub(super) fn file(&mut self, node: &Node) -> Option<Vec<u8>> {
        let path = self.resolved(node)?;
        let path = self.path(&path);
        files::read(&path, MOST_BYTES)
            .map_err(|error| {
                let message = format!("{} cannot be read: {error}", path.display());
                self.fault(node.at, message, None);
            })
            .ok()
    }

    fn words(&mut self, node: &Node) -> Option<Vec<Word>> {
        let text = match &node.value {
            #[cfg(feature = "hcl")]
            Value::Template(segments) => return Some(words::of_template(segments)),
            Value::Text(text) => text.clone(),
            // Clients take them for what they look like.
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            _ => {
                self.expected(node, "a text");
                return None;
            }
        };
        let parsed = match self.source.notation {
            Notation::Dollar => words::parse(&text),
            Notation::Braced => words::parse_braced(&text),
            #[cfg(any(feature = "hcl", feature = "toml"))]
            Notation::Own => Ok(vec![Word::Text(text)]),
        };
        parsed
            .map_err(|unknown| {
                let hint = "${VAR}, ${VAR:-otherwise}, ${env:VAR} and ${input:id} are known";
                let message = format!("nothing is known of ${{{unknown}}}");
                self.fault(node.at, message, Some(hint.to_owned()));
            })
            .ok()
    }

    /// With what is known of folders put in.
    fn settled(&mut self, word: &Word, at: usize) -> Option<Word> {
        let text = |path: &Path| Word::Text(path.to_string_lossy().into_owned());
        Some(match word {
            Word::Folder => text(self.source.project),
            Word::FolderName => {
                text(Path::new(self.source.project.file_name().unwrap_or_default()))
            }
            Word::Home => match variable(environment::HOME) {
                Some(home) => Word::Text(home),
                None => {
                    self.fault(at, format!("the variable {} is not set", environment::HOME), None);
                    return None;
                }
            },
            Word::File(path) => Word::File(self.path(path).to_string_lossy().into_owned()),
            Word::Text(_) | Word::Variable(..) | Word::Input(_) => word.clone(),
        })
    }

    /// A path that is named in the document, from the document's folder.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let home = path.strip_prefix("~/").zip(variable(environment::HOME));
        let path =
            home.map_or_else(|| PathBuf::from(path), |(rest, home)| Path::new(&home).join(rest));
        self.source.folder.map_or(path.clone(), |folder| folder.join(&path))
    }
}

/// What to do about a fault, where that is known.
pub(super) type Hint = Option<String>;

fn variable(name: &str) -> Option<String> {
    let value = environment::variable(OsStr::new(name))?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

pub(super) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// Line and column, both from 1.
pub(super) fn place(text: &str, lines: &[usize], at: usize) -> (usize, usize) {
    let line = lines.partition_point(|start| *start <= at);
    let start = lines.get(line.wrapping_sub(1)).copied().unwrap_or_default();
    let before = text.get(start..at).map_or(0, |before| before.chars().count());
    (line, before + 1)
}
