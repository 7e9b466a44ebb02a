//! Hands the fuzzer's bytes to `targets::csv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::csv(data));
