//! The shapes in which a secret turns up: nobody has to mean harm to print one encoded.

use std::{collections::BTreeSet, fmt::Write as _};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};

/// Lines of a secret of many lines, such as a key, that are worth being found by themselves.
const LINE: usize = 16;

/// Of larger secrets only the text and its lines are looked for: nobody encodes them in passing, and
/// each form takes many times its size.
const LARGE: usize = 8 << 10;

/// Bytes that one percent-encoding or another leaves as they are, besides letters and digits: RFC
/// 3986, `encodeURIComponent`, Python's `quote`, `encodeURI`, and forms.
const KEPT: [&[u8]; 5] = [b"-._~", b"-._~!*'()", b"-._~/", b"-._~!*'();,/?:@&=+$#", b"-._*"];

/// Every form of a value, the value itself among them.
pub(super) fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.as_bytes().to_vec()]);
    let lines = value.lines().filter(|line| line.len() >= LINE && !line.starts_with("-----"));
    forms.extend(lines.map(|line| line.as_bytes().to_vec()));
    if value.len() > LARGE {
        return forms;
    }
    base64(value.as_bytes(), &mut forms);
    percent(value.as_bytes(), &mut forms);
    escaped(value, &mut forms);
    let mut hex = String::with_capacity(2 * value.len());
    for byte in value.bytes() {
        // Writing to a string cannot fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
    }
    forms.insert(hex.to_uppercase().into_bytes());
    forms.insert(hex.into_bytes());
    forms
}

/// By itself, and as a part of something longer: there it begins at one of three places of a group
/// of four letters, and the letters that it shares with its neighbours say nothing certain.
fn base64(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for engine in [BASE64_STANDARD, BASE64_URL_SAFE] {
        for offset in 0..3 {
            let padded = [&[0; 2][..offset], value].concat();
            let encoded = engine.encode(&padded).into_bytes();
            let (begin, end) = ((8 * offset).div_ceil(6), 8 * padded.len() / 6);
            forms.extend(encoded.get(begin..end).map(<[u8]>::to_vec));
            // At its end, with padding or without.
            forms.extend(encoded.get(begin..).map(<[u8]>::to_vec));
            forms.extend(encoded.get(begin..(8 * padded.len()).div_ceil(6)).map(<[u8]>::to_vec));
        }
    }
}

fn percent(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for kept in KEPT {
        for plus in [false, true] {
            let encode = |upper: bool| -> Vec<u8> {
                let mut encoded = String::new();
                for byte in value {
                    match byte {
                        b' ' if plus => encoded.push('+'),
                        byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => {
                            encoded.push(char::from(*byte));
                        }
                        byte if upper => write!(encoded, "%{byte:02X}").unwrap_or_default(),
                        byte => write!(encoded, "%{byte:02x}").unwrap_or_default(),
                    }
                }
                encoded.into_bytes()
            };
            forms.extend([encode(true), encode(false)]);
        }
    }
}

/// As JSON has it, with as much escaped as this or that library escapes, and as Rust and Python
/// print it for programmers.
fn escaped(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let html = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let unicode = |text: &str, upper: bool| -> String {
        let mut escaped = String::new();
        for c in text.chars() {
            if c.is_ascii() {
                escaped.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                match upper {
                    true => write!(escaped, "\\u{unit:04X}").unwrap_or_default(),
                    false => write!(escaped, "\\u{unit:04x}").unwrap_or_default(),
                }
            }
        }
        escaped
    };
    let variants = [
        json.to_owned(),
        json.replace('/', "\\/"),
        unicode(json, false),
        unicode(json, true),
        unicode(&json.replace('/', "\\/"), false),
        unicode(&html, false),
        html.clone(),
        html.replace('\'', "\\u0027"),
        value.escape_debug().to_string(),
        value.escape_default().to_string(),
        value.replace('\\', "\\\\").replace('\'', "\\'"),
        value.replace('\\', "\\\\"),
        format!("{value:?}").trim_matches('"').to_owned(),
    ];
    for variant in variants {
        // JSON within JSON, as text of a message that quotes another.
        let again = serde_json::to_string(&variant).unwrap_or_default();
        forms.extend(
            again.get(1..again.len().saturating_sub(1)).map(|text| text.as_bytes().to_vec()),
        );
        forms.insert(variant.into_bytes());
    }
}
