//! UTF-8 as streams of events are decoded: what is none is replaced, and never fails (WHATWG HTML,
//! 9.2.5).

use bytes::Bytes;

/// Decodes a text that comes in pieces, wherever they are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character whose rest is still to come.
    begun: Vec<u8>,
}

impl Decoder {
    /// The same text, with what is no UTF-8 replaced.
    pub(super) fn decode(&mut self, piece: Bytes) -> Bytes {
        if self.begun.is_empty() && std::str::from_utf8(&piece).is_ok() {
            return piece;
        }
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(&piece);
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            decoded.extend_from_slice(chunk.valid().as_bytes());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_begun(invalid) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                decoded.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        decoded.into()
    }
}

/// Whether more bytes may make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8], size: usize) -> String {
        let mut decoder = Decoder::default();
        let pieces = text.chunks(size).map(|piece| decoder.decode(Bytes::copy_from_slice(piece)));
        String::from_utf8(pieces.flatten().collect()).unwrap()
    }

    #[test]
    fn what_is_no_utf8_is_replaced_wherever_the_text_is_cut() {
        for text in ["plain", "é, €, 😀"]
            .map(str::as_bytes)
            .into_iter()
            .chain([&b"a\xff\xfeb\xe2\x82c"[..]])
        {
            for size in 1..=text.len() {
                assert_eq!(decoded(text, size), String::from_utf8_lossy(text), "pieces of {size}");
            }
        }
    }
}
