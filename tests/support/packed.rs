//! Packed bodies, written by hand: all but the bomb hold their text as it is.

#![allow(dead_code, reason = "each test uses its own part of it")]
#![allow(missing_docs, reason = "a test's harness")]

/// The longest block of any of the three formats below.
const BLOCK: usize = 0xffff;

/// In stored blocks (RFC 1951, 3.2.4; RFC 1952).
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = gzip_head();
    let mut blocks = text.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed.extend_from_slice(&checksum(text).to_le_bytes());
    packed.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    packed
}

fn gzip_head() -> Vec<u8> {
    vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
}

fn checksum(text: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !text.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

/// In uncompressed meta-blocks (RFC 7932, 9.2).
pub(crate) fn brotli(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (place, block) in text.chunks(BLOCK).enumerate() {
        let length = u32::try_from(block.len() - 1).unwrap();
        // Not the last, four nibbles of length, the length, uncompressed.
        let head = (length << 3) | (1 << 19);
        // The first is behind one bit that says how large the window is.
        let bytes = if place == 0 { (head << 1).to_le_bytes() } else { head.to_le_bytes() };
        packed.extend_from_slice(&bytes[..3]);
        packed.extend_from_slice(block);
    }
    // The last, and empty.
    packed.push(3);
    packed
}

/// In raw blocks (RFC 8878, 3.1.1).
pub(crate) fn zstd(text: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    packed.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    let mut blocks = text.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let head = (u32::try_from(block.len()).unwrap() << 3) | last;
        packed.extend_from_slice(&head.to_le_bytes()[..3]);
        packed.extend_from_slice(block);
    }
    packed
}

/// A gzip body that unpacks to at least this many spaces, of a two-hundredth of their size.
pub(crate) fn bomb(size: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with the fixed codes (RFC 1951, 3.2.6).
    bits.push(1, 1);
    bits.push(1, 2);
    bits.code(0x30 + u32::from(b' '), 8);
    for _ in 0..=size / 258 {
        // The longest match, one back: code 285, and distance code 0.
        bits.code(0xc5, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    let mut packed = gzip_head();
    packed.append(&mut bits.bytes);
    packed.push(bits.rest.to_le_bytes()[0]);
    // What would be the checksum is never reached.
    packed.extend_from_slice(&[0; 8]);
    packed
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    rest: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.rest |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.rest.to_le_bytes()[0]);
            self.rest >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes come with their highest bit first.
    fn code(&mut self, code: u32, length: u32) {
        self.push(code.reverse_bits() >> (32 - length), length);
    }
}
