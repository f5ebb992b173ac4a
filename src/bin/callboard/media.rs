//! Files for what is no text.

use std::{
    fs::{File, create_dir_all},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::exit::Failure;

/// How many files of one name there may be.
const MOST: usize = 10_000;

/// Saves bytes to a new file in this folder, and says where.
pub(crate) fn save(
    folder: &Path,
    name: &str,
    mime: &str,
    bytes: &[u8],
) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| {
        Failure::usage(format!(
            "no file can be written to {}: {error}; see --out",
            folder.display()
        ))
    };
    create_dir_all(folder).map_err(failed)?;
    let (name, ending) = (file_name(name), ending(mime));
    for number in 1..=MOST {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{name}{number}.{ending}"));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(bytes).map_err(failed)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// A name that is one file's, whatever a server calls it.
fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let name: String = text.chars().map(safe).take(80).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

/// The usual ending of files of a type.
fn ending(mime: &str) -> String {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = match mime.as_str() {
        "image/jpeg" => "jpg",
        "image/svg+xml" => "svg",
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" => "wav",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "application/octet-stream" | "" => "bin",
        other => other.split_once('/').map_or("bin", |(_, kind)| kind),
    };
    let known = known.trim_start_matches("x-");
    let safe =
        !known.is_empty() && known.len() <= 8 && known.chars().all(|c| c.is_ascii_alphanumeric());
    if safe { known.to_owned() } else { "bin".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("file:///a b.png"), "file----a-b-png");
        assert_eq!(file_name("..."), "file");
        for (mime, end) in [
            ("image/png", "png"),
            ("image/jpeg; q=1", "jpg"),
            ("audio/x-flac", "flac"),
            ("application/../x", "bin"),
            ("", "bin"),
        ] {
            assert_eq!(ending(mime), end, "{mime}");
        }
    }
}
