//! Texts with variables in them: `${VAR}`, `${VAR:-otherwise}`, `${env:VAR}`, `${input:id}`.

#[cfg(feature = "hcl")]
use super::tree::Segment;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Text(String),
    /// A variable of the host's environment, and what stands for it where it is not set or empty.
    Variable(String, Option<String>),
    /// What a person, or the host, is asked for.
    Input(String),
    /// A file whose content it is.
    File(String),
    /// The folder of the project.
    Folder,
    /// The name of the folder of the project.
    FolderName,
    /// The folder of the user.
    Home,
}

/// Takes a text apart.
///
/// # Errors
///
/// The first reference in it that nothing is known of.
pub(super) fn parse(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let Some(length) = rest[begin..].find('}') else { break };
        push_text(&mut words, &rest[..begin]);
        words.push(reference(&rest[begin + 2..begin + length])?);
        rest = &rest[begin + length + 1..];
    }
    push_text(&mut words, rest);
    Ok(words)
}

/// The same for texts in which a client writes `{env:VAR}` and `{file:path}`.
pub(super) fn parse_braced(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(begin) = ["{env:", "{file:"].iter().filter_map(|mark| rest.find(mark)).min() {
        let Some(length) = rest[begin..].find('}') else { break };
        words.extend(parse(&rest[..begin])?);
        let inside = &rest[begin + 1..begin + length];
        words.push(match inside.split_once(':') {
            Some(("env", name)) => variable(name, inside)?,
            Some((_, path)) => Word::File(path.to_owned()),
            None => Word::Text(inside.to_owned()),
        });
        rest = &rest[begin + length + 1..];
    }
    words.extend(parse(rest)?);
    Ok(words)
}

#[cfg(feature = "hcl")]
pub(super) fn of_template(segments: &[Segment]) -> Vec<Word> {
    let word = |segment: &Segment| match segment {
        Segment::Text(text) => Word::Text(text.clone()),
        Segment::Variable(name) => Word::Variable(name.clone(), None),
    };
    segments.iter().map(word).collect()
}

fn push_text(words: &mut Vec<Word>, text: &str) {
    if !text.is_empty() {
        words.push(Word::Text(text.to_owned()));
    }
}

fn reference(inside: &str) -> Result<Word, String> {
    match inside {
        "workspaceFolder" | "workspaceRoot" => return Ok(Word::Folder),
        "workspaceFolderBasename" => return Ok(Word::FolderName),
        "userHome" => return Ok(Word::Home),
        "pathSeparator" | "/" => return Ok(Word::Text(std::path::MAIN_SEPARATOR.to_string())),
        _ => {}
    }
    if let Some(id) = inside.strip_prefix("input:").filter(|id| !id.is_empty()) {
        return Ok(Word::Input(id.to_owned()));
    }
    variable(inside.strip_prefix("env:").unwrap_or(inside), inside)
}

fn variable(text: &str, inside: &str) -> Result<Word, String> {
    let (name, otherwise) = match text.split_once(":-") {
        Some((name, otherwise)) => (name, Some(otherwise.to_owned())),
        None => (text, None),
    };
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !begins || !goes_on || otherwise.as_ref().is_some_and(|text| text.contains("${")) {
        return Err(inside.to_owned());
    }
    Ok(Word::Variable(name.to_owned(), otherwise))
}

#[cfg(test)]
mod tests {
    use super::{Word::*, *};

    #[test]
    fn texts_are_taken_apart() {
        let variable = |name: &str, otherwise: Option<&str>| {
            Variable(name.to_owned(), otherwise.map(str::to_owned))
        };
        let text = |text: &str| Text(text.to_owned());
        for (given, expected) in [
            ("plain $5 {x}", vec![text("plain $5 {x}")]),
            ("${A}", vec![variable("A", None)]),
            ("${env:A}", vec![variable("A", None)]),
            ("Bearer ${A:-x y}!", vec![text("Bearer "), variable("A", Some("x y")), text("!")]),
            ("${A:-}", vec![variable("A", Some(""))]),
            ("${input:the key}", vec![Input("the key".to_owned())]),
            ("${workspaceFolder}/x", vec![Folder, text("/x")]),
            ("${userHome}${workspaceFolderBasename}", vec![Home, FolderName]),
            ("${unfinished", vec![text("${unfinished")]),
            ("", vec![]),
        ] {
            assert_eq!(parse(given), Ok(expected), "{given}");
        }
        assert_eq!(
            parse_braced("a{env:A}b{file:~/x}${B}"),
            Ok(vec![
                text("a"),
                variable("A", None),
                text("b"),
                File("~/x".into()),
                variable("B", None)
            ])
        );
    }

    #[test]
    fn what_nothing_is_known_of_is_named() {
        for (given, named) in [
            ("${command:x.y}", "command:x.y"),
            ("${}", ""),
            ("${1A}", "1A"),
            ("${A:-${B}}", "A:-${B"),
        ] {
            assert_eq!(parse(given), Err(named.to_owned()), "{given}");
        }
    }
}
