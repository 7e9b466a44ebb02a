//! Hands the fuzzer's bytes to `targets::otlp_proto`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::otlp_proto(data));
