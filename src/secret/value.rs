//! What needs the value itself: a text with secrets in it, and whether two declarations are one.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Command, Secret, Source};

/// The text of these pieces, which is wiped when it is dropped, and copied nowhere on the way.
pub(super) fn join(pieces: &[SecretString]) -> SecretString {
    let length = pieces.iter().map(|piece| piece.expose_secret().len()).sum();
    let mut text = String::with_capacity(length);
    pieces.iter().for_each(|piece| text.push_str(piece.expose_secret()));
    SecretString::from(text)
}

/// Whether both refer to the same place. What is kept there is not looked at, but for literals, which
/// are their own place.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Literal(a), Source::Literal(b)) => a.expose_secret() == b.expose_secret(),
            (Source::Env(a), Source::Env(b)) => a == b,
            (Source::File(a), Source::File(b)) => a == b,
            (Source::Command(a), Source::Command(b)) => a == b,
            (Source::Provider(a), Source::Provider(b)) => a == b,
            (Source::EnvOr(a, x), Source::EnvOr(b, y)) => (a, x) == (b, y),
            (Source::Joined(a), Source::Joined(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Secret {}

impl PartialEq for Command {
    /// What a program is passed follows from the program.
    fn eq(&self, other: &Self) -> bool {
        self.argv == other.argv && self.shown == other.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Piece;

    #[test]
    fn secrets_are_the_same_by_reference() {
        assert_eq!(Secret::env("A"), Secret::env("A"));
        assert_ne!(Secret::env("A"), Secret::env("B"));
        assert_ne!(Secret::env("A"), Secret::provider("A"));
        assert_eq!(Secret::literal("x"), Secret::literal("x"));
        assert_ne!(Secret::literal("x"), Secret::literal("y"));
        assert_ne!(Secret::exec(["op", "read"]), Secret::exec(["op", "list"]));
        let bearer = |name: &str| {
            let pieces = [Piece::Text("Bearer ".to_owned()), Piece::Secret(Secret::env(name))];
            Secret(Source::Joined(pieces.into()))
        };
        assert_eq!(bearer("A"), bearer("A"));
        assert_ne!(bearer("A"), bearer("B"));
    }
}
