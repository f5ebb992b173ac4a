//! What is wrong with a file, and where.

use std::fmt;

/// One thing that is wrong with a file, or odd: where it stands, and what to do about it.
///
/// Printed as one line, `servers.json:12:9: mcpServers.git.agrs: nothing is called so; did you mean
/// "args"?`. No value of the file is in it that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The file, as it was named by whoever had it loaded.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where it stands in the document, such as `mcpServers.git.args[2]`, or
    /// `mcp_server "git".args[2]`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that is known.
    pub suggestion: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, path, message, suggestion } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)?;
        suggestion.as_ref().map_or(Ok(()), |suggestion| write!(f, "; {suggestion}"))
    }
}

/// The word of these that was probably meant.
pub(super) fn meant<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // Clients write what others do in other cases: `startupTimeout`, `startup_timeout`.
    let plain = |word: &str| word.replace(['_', '-'], "").to_lowercase();
    let given = plain(given);
    let near = known.map(|word| {
        let known = plain(word);
        // In short words, one slip weighs too much.
        let slip = known.len() > 2 && strsim::osa_distance(&given, &known) == 1;
        (if slip { 0.97 } else { strsim::jaro_winkler(&given, &known) }, word)
    });
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.84).then(|| format!("did you mean {:?}?", best.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_far_from_it() {
        let known = ["command", "args", "env", "request_timeout"];
        let meant = |given| meant(given, known.into_iter());
        assert_eq!(meant("agrs").unwrap(), "did you mean \"args\"?");
        assert_eq!(meant("requestTimeout").unwrap(), "did you mean \"request_timeout\"?");
        assert_eq!(meant("comand").unwrap(), "did you mean \"command\"?");
        assert_eq!(meant("evn").unwrap(), "did you mean \"env\"?");
        assert_eq!(meant("gallery"), None);
    }
}
