//! The loader against good files and bad ones, each error with its exact text.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{Config, Environment, Errors, load, parse};

/// An environment that does not depend on the machine.
struct Fixed(HashMap<&'static str, &'static str>);

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }

    fn open_files(&self) -> u64 {
        20_000
    }

    fn now_s(&self) -> i64 {
        // 2026-11-20
        1_795_132_800
    }
}

fn env() -> Fixed {
    Fixed(HashMap::from([
        ("KEY", "sk-0123456789"),
        ("TOKEN", "0123456789abcdef0123456789abcdef"),
        ("SPACED", "a b"),
    ]))
}

#[test]
fn the_file_of_the_repository_loads_without_warnings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml");
    let config = load(&path, &env()).unwrap_or_else(|errors| panic!("{}", errors.pretty()));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.server.limits.concurrent, 9900);
}
