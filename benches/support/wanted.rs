//! The contenders named on the command line.

/// Whether to measure `name`: if it is named, or if nothing is.
pub(crate) fn is_wanted(name: &str) -> bool {
    // Cargo adds `--bench`.
    let mut asked = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).peekable();
    asked.peek().is_none() || asked.any(|asked| asked == name)
}
