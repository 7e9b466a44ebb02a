//! Hands the fuzzer's bytes to `targets::multiline`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::multiline(data));
