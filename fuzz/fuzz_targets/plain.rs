//! Hands the fuzzer's bytes to `targets::plain`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::plain(data));
