#![no_main]

#[path = "../promises/rule_evaluation.rs"]
mod rule_evaluation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rule_evaluation::hold(data));
