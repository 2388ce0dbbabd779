//! Arguments → command → exit code; no logic.

fn main() {}
