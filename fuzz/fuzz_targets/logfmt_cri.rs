//! Hands the fuzzer's bytes to `targets::logfmt_cri`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::logfmt_cri(data));
