//! Is this JSON? Answered without a slow look at every byte of a long text.

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

/// Below this size everything is looked at.
const LONG: usize = 16 << 10;

/// How many bytes of a string are looked at in one go.
const BLOCK: usize = 64;

/// How long what follows `\u` in a string is.
const DIGITS: usize = 4;

/// Whether a text is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.as_bytes();
    let short = if text.len() < LONG { None } else { abridge(text) };
    serde_json::from_slice::<IgnoredAny>(short.as_deref().unwrap_or(text)).is_ok()
}

/// Leaves long runs of plain characters out of strings, which changes nothing about whether a text
/// is JSON: all else stays, so every quote that opens or closes a string does, and every escape.
/// (The parser goes 8 bytes at a time; a long text, or a picture in base 64, is most of its time.)
/// `None` if too little can be left out to be worth it.
fn abridge(text: &[u8]) -> Option<Vec<u8>> {
    let most = text.len() / 16;
    let (mut kept, mut rest) = (Vec::new(), text);
    while let Some(quote) = memchr(b'"', rest) {
        let (outside, string) = rest.split_at(quote + 1);
        kept.extend_from_slice(outside);
        rest = abridge_string(string, &mut kept);
        if kept.len() > most {
            return None;
        }
    }
    kept.extend_from_slice(rest);
    Some(kept)
}

/// Goes from behind the quote that opens a string to behind the one that closes it.
fn abridge_string<'a>(mut rest: &'a [u8], kept: &mut Vec<u8>) -> &'a [u8] {
    loop {
        let plain = rest.as_chunks().0.iter().take_while(|block| is_plain(block)).count() * BLOCK;
        // They may be the digits of an escape.
        kept.extend_from_slice(&rest[..plain.min(DIGITS)]);
        rest = &rest[plain..];
        let Some(at) = memchr2(b'"', b'\\', rest) else {
            kept.extend_from_slice(rest);
            return &[];
        };
        let closed = rest[at] == b'"';
        let (seen, behind) = rest.split_at(rest.len().min(at + if closed { 1 } else { 2 }));
        kept.extend_from_slice(seen);
        rest = behind;
        if closed {
            return rest;
        }
    }
}

/// Whether nothing here means anything in a string, or must not stand there.
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    // Without a way out in the middle, which the compiler makes many bytes a step of.
    !block.iter().fold(false, |found, &byte| found | special(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether it is JSON, with and without leaving anything out.
    fn both(text: &str) -> [bool; 2] {
        let whole = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let abridged = abridge(text.as_bytes());
        [
            whole,
            abridged.map_or(whole, |short| serde_json::from_slice::<IgnoredAny>(&short).is_ok()),
        ]
    }

    #[test]
    fn a_long_text_is_left_out() {
        let text = format!("[{{\"a\\u0041\":\"{}\"}}, 5 ]", "é".repeat(50_000));
        assert!(abridge(text.as_bytes()).unwrap().len() < 200);
        assert_eq!(both(&text), [true, true]);
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        let long = "x".repeat(20_000);
        for (odd, valid) in [
            ("\\u00e9", true),
            ("\\\\", true),
            ("\\\"", true),
            ("\u{7f}", true),
            ("\n", false),
            ("\0", false),
            ("\\u00", false),
            ("\\x", false),
            ("\"", false),
            ("\" \"", false),
            ("\",\"", true),
            ("\",x\"", false),
        ] {
            for text in [
                format!("[\"{long}{odd}{long}\"]"),
                format!("[\"{long}{odd}\"]"),
                format!("[\"{odd}{long}\"]"),
            ] {
                let short = text.replace(&long, "x…x");
                // With a quote too many, or a line end, little is left out, and the parser has it all.
                let left_out = abridge(text.as_bytes()).is_some();
                assert!(left_out || !(valid || odd.starts_with('\\')), "{short}");
                assert_eq!(both(&text), [valid, valid], "{short}");
            }
        }
        for text in [format!("\"{long}"), format!("\"{long}\\"), format!("x\"{long}\""), long] {
            assert_eq!(both(&text), [false, false]);
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("x".repeat(3_000)),
                    Just("é".repeat(700)),
                    Just("\\u00".to_owned()),
                    "[\"\\\\ux0 \n,:\\[\\]{}é]{1,3}",
                ],
                0..12,
            ),
        ) {
            let text = format!("\"{}\"", pieces.concat());
            let [whole, abridged] = both(&text);
            prop_assert_eq!(whole, abridged);
            let text = format!("[{}]", pieces.concat());
            let [whole, abridged] = both(&text);
            prop_assert_eq!(whole, abridged);
        }
    }
}
