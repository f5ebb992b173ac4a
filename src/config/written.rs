//! How what is declared stands in a file.

use std::ffi::OsString;

use serde_json::{Map, Value as Json, json};

use super::{
    secrets,
    words::{self, Word},
};
use crate::{
    secret::{Piece, Secret, Source},
    spec::{ArgValue, EnvValue, Http},
};

/// How a reference to a secret is written; none for one that is itself the secret.
pub(super) fn secret_text(secret: &Secret) -> Option<Json> {
    Some(match &secret.0 {
        Source::Literal(_) => return None,
        Source::File(path) => json!({ "file": path.to_string_lossy() }),
        Source::Command(command) => match command.op_reference() {
            Some(reference) => reference.into(),
            None => json!({ "exec": command.words() }),
        },
        Source::Provider(name) if !name.starts_with(&secrets::input("")) => {
            json!({ "provider": name })
        }
        Source::Env(name) => reference_to(&name.to_string_lossy()),
        Source::EnvOr(..) | Source::Provider(_) => variable_text(secret)?.into(),
        Source::Joined(pieces) => {
            let text = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Secret(secret) => variable_text(secret),
            });
            text.collect::<Option<String>>()?.into()
        }
    })
}

/// A variable of any name: not each may stand within a text.
fn reference_to(name: &str) -> Json {
    let text = format!("${{{name}}}");
    let plain = [Word::Variable(name.to_owned(), None)];
    if words::parse(&text).is_ok_and(|words| words == plain) {
        return text.into();
    }
    json!({ "env": name })
}

/// Whether a secret is a value, which nobody writes down.
pub(super) fn is_open(secret: &Secret) -> bool {
    secret_text(secret).is_none()
}

/// A reference that may stand within a text.
fn variable_text(secret: &Secret) -> Option<String> {
    match &secret.0 {
        Source::Env(name) => Some(format!("${{{}}}", name.to_string_lossy())),
        Source::EnvOr(name, otherwise) => {
            Some(format!("${{{}:-{otherwise}}}", name.to_string_lossy()))
        }
        Source::Provider(name) => Some(format!("${{{name}}}")),
        Source::Literal(_) | Source::File(_) | Source::Command(_) | Source::Joined(_) => None,
    }
}

/// The same, or a variable to put the secret into: what stood in the open is not written again.
pub(super) fn secret_or_variable(secret: &Secret, name: &str) -> Json {
    secret_text(secret).unwrap_or_else(|| format!("${{{}}}", variable_name(name)).into())
}

/// A name as those of variables are.
pub(super) fn variable_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(fit).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

pub(super) fn argument(argument: &ArgValue) -> Json {
    match argument {
        ArgValue::Literal(text) => text.to_string_lossy().into(),
        // A text that begins so is an argument like any other.
        ArgValue::Secret(Secret(Source::Command(command))) if command.op_reference().is_some() => {
            json!({ "op": command.op_reference() })
        }
        ArgValue::Secret(secret) => secret_or_variable(secret, "SECRET"),
    }
}

/// A list of names where nothing but names is said.
pub(super) fn environment(variables: &[(OsString, EnvValue)]) -> Json {
    let name = |name: &OsString| name.to_string_lossy().into_owned();
    if variables.iter().all(|(_, value)| matches!(value, EnvValue::Inherited)) {
        return variables.iter().map(|(variable, _)| Json::from(name(variable))).collect();
    }
    let value = |(variable, value): &(OsString, EnvValue)| {
        let variable = name(variable);
        let value = match value {
            EnvValue::Inherited => reference_to(&variable),
            EnvValue::Literal(text) => plain(&variable, text.to_string_lossy().into_owned()),
            EnvValue::Secret(secret) => secret_or_variable(secret, &variable),
        };
        (variable, value)
    };
    Json::Object(variables.iter().map(value).collect())
}

pub(super) fn headers(http: &Http) -> Json {
    let mut headers = Map::new();
    for (name, value) in &http.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.insert(name.as_str().to_owned(), plain(name.as_str(), value));
    }
    for (name, secret) in &http.secret_headers {
        headers.insert(name.as_str().to_owned(), secret_or_variable(secret, name.as_str()));
    }
    Json::Object(headers)
}

/// A text that is taken as it is, also where it looks like a reference. What looks like a secret is
/// not written.
fn plain(name: &str, text: String) -> Json {
    if secrets::looks_secret(name, &text) {
        return format!("${{{}}}", variable_name(name)).into();
    }
    match text.contains("${") || text.starts_with("op://") {
        true => json!({ "static": text }),
        false => text.into(),
    }
}
