#![no_main]

#[path = "../promises/body_splice.rs"]
mod body_splice;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body_splice::hold(data));
