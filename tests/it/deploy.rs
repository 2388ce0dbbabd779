//! What operators start dimmer with: images, units, manifests and scripts, each held against the files and the program that they name.

mod image;
mod kubernetes;
mod manager;
mod native;
mod systemd;

use std::path::Path;

use serde_json::Value;

use crate::clients::root;

/// Every document of a YAML file of the clone.
fn yaml(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(text).collect()
}

/// The `${NAME}`s of a configuration, sorted, each once.
fn variables(configuration: &str) -> Vec<&str> {
    let without_comments = configuration.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = without_comments.flat_map(|line| line.split("${").skip(1));
    let mut names: Vec<&str> = names.filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `"30s"` and the like, in seconds.
fn seconds(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("{text} is no duration"),
    };
    number.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no duration")) * factor
}

/// A configuration's drain, in seconds; the default's where it says nothing.
fn drain(configuration: &str) -> u64 {
    let table: toml::Table = configuration.parse().expect("TOML");
    seconds(table.get("server").and_then(|server| server.get("drain")?.as_str()).unwrap_or("30s"))
}

/// What is written when a drain is over has its own limits.
const LAST_WRITES: u64 = 15;

/// `dimmer check` on a configuration of `deploy/`, every variable set.
fn loads(configuration: &str) {
    let folder = crate::docs::clone_of_the_configuration();
    assert_eq!(crate::docs::check(folder.path(), configuration), Ok(()));
}

/// The clone's file, which must be there.
fn there(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a program is on the PATH.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
