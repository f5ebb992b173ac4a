//! Where secrets may stand in a file, and how they look.

use super::{
    reader::{Given, Reader},
    tree::{Node, Value},
    words::Word,
};
use crate::secret::{Piece, Secret};

/// The name by which a host's provider is asked for an input.
pub(super) fn input(id: &str) -> String {
    format!("input:{id}")
}

/// What these words come to.
pub(super) fn of(words: Vec<Word>) -> Given {
    let mut pieces = words.into_iter().map(piece).collect::<Vec<_>>();
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Given::Plain(String::new()),
        (Some(Piece::Secret(secret)), true) => Given::Secret(secret),
        (Some(last), _) => {
            pieces.push(last);
            let text: Option<String> = pieces.iter().map(text).collect();
            text.map_or_else(|| Given::Secret(Secret::joined(pieces)), Given::Plain)
        }
    }
}

fn text(piece: &Piece) -> Option<&str> {
    if let Piece::Text(text) = piece { Some(text) } else { None }
}

fn piece(word: Word) -> Piece {
    match word {
        Word::Text(text) => Piece::Text(text),
        Word::Variable(name, None) => Piece::Secret(Secret::env(name)),
        Word::Variable(name, Some(text)) => Piece::Secret(Secret::env_or(name, text)),
        Word::Input(id) => Piece::Secret(Secret::provider(input(&id))),
        Word::File(path) => Piece::Secret(Secret::file(path)),
        // Put in by the reader.
        Word::Folder | Word::FolderName | Word::Home => Piece::Text(String::new()),
    }
}

/// The keys by which a reference says where its secret is kept.
pub(super) const SOURCES: [&str; 6] = ["env", "file", "op", "exec", "provider", "static"];

impl Reader<'_> {
    /// A secret, as a text (with variables, or of 1Password), or as an object that says where it is:
    /// `{ env = "NAME" }`.
    pub(super) fn secret(&mut self, node: &Node) -> Option<Secret> {
        if let Value::Map(members) = &node.value {
            let [member] = members.as_slice() else {
                let hint = format!("name one of {}", SOURCES.join(", "));
                self.fault(
                    node.at,
                    "it says where its secret is in more ways than one, or in none",
                    Some(hint),
                );
                return None;
            };
            return self.secret_from(&member.name, &member.node, member.at);
        }
        Some(match self.given(node)? {
            Given::Secret(secret) => secret,
            Given::Plain(text) if text.starts_with("op://") => Secret::op(text),
            Given::Plain(text) => self.literal(node.at, text),
        })
    }

    /// The secret that is kept there.
    pub(super) fn secret_from(&mut self, source: &str, node: &Node, at: usize) -> Option<Secret> {
        Some(match source {
            "env" => Secret::env(self.text(node)?),
            "file" => Secret::file({
                let path = self.text(node)?;
                self.path(&path)
            }),
            "op" => Secret::op(self.text(node)?),
            "exec" => Secret::exec(self.texts(node)?),
            "provider" => Secret::provider(self.text(node)?),
            "static" => {
                let text = self.text(node)?;
                self.literal(node.at, text)
            }
            other => {
                let hint = super::fault::meant(other, SOURCES.into_iter());
                self.fault(at, "no secret is kept there", hint);
                return None;
            }
        })
    }

    /// A secret that stands in the file.
    pub(super) fn literal(&mut self, at: usize, text: String) -> Secret {
        self.warn(at, IN_THE_OPEN, Some(TAKE_IT_OUT.to_owned()));
        Secret::literal(text)
    }

    pub(super) fn texts(&mut self, node: &Node) -> Option<Vec<String>> {
        let Value::List(nodes) = &node.value else {
            self.expected(node, "a list of texts");
            return None;
        };
        nodes.iter().map(|node| self.text(node)).collect()
    }
}

pub(super) const IN_THE_OPEN: &str = "a secret stands in the file, where whoever reads it has it";
pub(super) const TAKE_IT_OUT: &str = "put it into a variable, and write ${NAME} here";

/// Whether this is probably a secret, going by its name and its looks.
pub(super) fn looks_secret(name: &str, value: &str) -> bool {
    const MARKS: [&str; 12] = [
        "sk-",
        "ghp_",
        "gho_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "AKIA",
        "AIza",
        "eyJ",
        "lin_api_",
        "ntn_",
    ];
    const NAMES: [&str; 8] =
        ["token", "key", "secret", "passw", "credential", "authorization", "cookie", "pat"];
    let value = value.trim();
    let bare =
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("Basic ")).unwrap_or(value);
    let name = name.to_lowercase();
    let named = name.split(['_', '-']).any(|word| {
        NAMES.iter().any(|mark| word.contains(mark) && (*mark != "pat" || word == "pat"))
    });
    let placeholder = bare.contains(['<', ' ', '…'])
        || ["your", "xxx", "...", "changeme"].iter().any(|mark| bare.to_lowercase().contains(mark));
    let place =
        bare.starts_with(['/', '.', '~']) || bare.contains("://") || bare.starts_with("http");
    let looks = bare.len() >= 8 && !placeholder && !place;
    looks && (named || MARKS.iter().any(|mark| bare.starts_with(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_probably_a_secret() {
        for (name, value) in [
            ("GITHUB_TOKEN", "abcdef0123456789"),
            ("X-Api-Key", "0123456789abcdef"),
            ("Authorization", "Bearer abcdef012345"),
            ("ANYTHING", "sk-abcdef0123456789"),
            ("GITHUB_PAT", "0123456789"),
        ] {
            assert!(looks_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("GITHUB_TOKEN", "<your token>"),
            ("API_KEY", "YOUR_API_KEY"),
            ("KEY_FILE", "/etc/key.pem"),
            ("TOKEN_URL", "https://example.com/token"),
            ("LOG_LEVEL", "verbose-and-long"),
            ("PATH_PREFIX", "somewhere-long"),
            ("API_KEY", "short"),
        ] {
            assert!(!looks_secret(name, value), "{name}");
        }
    }
}
