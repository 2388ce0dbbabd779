#![no_main]

#[path = "../promises/event_stream.rs"]
mod event_stream;

libfuzzer_sys::fuzz_target!(|data: &[u8]| event_stream::hold(data));
