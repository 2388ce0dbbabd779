#![no_main]

#[path = "../promises/configuration.rs"]
mod configuration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| configuration::hold(data));
