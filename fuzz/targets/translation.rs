#![no_main]

#[path = "../promises/mod.rs"]
#[allow(dead_code, reason = "each target holds one promise")]
mod promises;

libfuzzer_sys::fuzz_target!(|data: &[u8]| promises::translation::hold(data));
