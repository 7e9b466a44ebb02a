//! Hands the fuzzer's bytes to `targets::filter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::filter(data));
