//! Hands the fuzzer's bytes to `targets::access`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::access(data));
