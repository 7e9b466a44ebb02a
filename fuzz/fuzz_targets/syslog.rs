//! Hands the fuzzer's bytes to `targets::syslog`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::syslog(data));
