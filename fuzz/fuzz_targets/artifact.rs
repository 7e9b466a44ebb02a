//! Hands the fuzzer's bytes to `targets::artifact`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::artifact(data));
