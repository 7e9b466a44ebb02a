//! Hands the fuzzer's bytes to `targets::redact`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::redact(data));
