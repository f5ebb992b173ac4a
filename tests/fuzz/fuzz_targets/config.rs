#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| callboard::testing::fuzzed::config(data));
