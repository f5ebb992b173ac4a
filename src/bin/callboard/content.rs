//! What a tool or a prompt answered, for a person: text as it is, the rest in files.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{console::Console, exit::Failure, media};

/// Prints the blocks of a content, saving what is no text to this folder under a name like this.
pub(crate) fn print(
    console: &Console,
    blocks: &[Value],
    (folder, name): (&Path, &str),
) -> Result<(), Failure> {
    blocks.iter().try_for_each(|block| print_block(console, block, (folder, name)))
}

fn print_block(console: &Console, block: &Value, place: (&Path, &str)) -> Result<(), Failure> {
    match block["type"].as_str().unwrap_or_default() {
        "text" => console.foreign(block["text"].as_str().unwrap_or_default()),
        kind @ ("image" | "audio") => saved(console, kind, block, place),
        "resource" => resource(console, &block["resource"], place),
        "resource_link" => {
            let uri = block["uri"].as_str().unwrap_or_default();
            let name = block["name"].as_str().unwrap_or_default();
            console.foreign(&format!("{uri}  {name}"))
        }
        _ => console.foreign(&block.to_string()),
    }
}

fn resource(console: &Console, resource: &Value, place: (&Path, &str)) -> Result<(), Failure> {
    match (&resource["text"], &resource["blob"]) {
        (Value::String(text), _) => console.foreign(text),
        (_, Value::String(blob)) => {
            let block = serde_json::json!({ "data": blob, "mimeType": resource["mimeType"] });
            saved(console, "resource", &block, place)
        }
        _ => console.foreign(&resource.to_string()),
    }
}

fn saved(
    console: &Console,
    kind: &str,
    block: &Value,
    (folder, name): (&Path, &str),
) -> Result<(), Failure> {
    let mime = block["mimeType"].as_str().unwrap_or_default();
    let Ok(bytes) = BASE64_STANDARD.decode(block["data"].as_str().unwrap_or_default()) else {
        console.warn(&format!("an answer of type {kind} is no base64, and left out"));
        return Ok(());
    };
    let path = media::save(folder, name, mime, &bytes)?;
    console.foreign(&format!("{kind} saved to {} ({} bytes)", path.display(), bytes.len()))
}
