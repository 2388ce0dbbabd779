//! A change of any file that decides is seen, whenever it comes.

use super::World;
use crate::harness::{Dimmer, wait_until};
use crate::upstreams::Api;

const PROMPT: &str = "[prompts.p]\nfile = \"FILE\"\n[routes.r]\npath = \"/r\"\nsystem_prompt = \"p\"\n";

/// Writes a file as an editor does.
fn replace(file: &std::path::Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// The system prompt that the provider got.
fn prompt(world: &World) -> String {
    assert_eq!(world.ask(Api::Chat, "/r", "").status, 200);
    let body: serde_json::Value = serde_json::from_slice(&world.chat.last().body).unwrap();
    body["messages"][0]["content"].as_str().unwrap().trim_end().to_owned()
}

fn generation(dimmer: &Dimmer) -> u32 {
    dimmer.metrics().metric("dimmer_config_generation", &[]) as u32
}

#[test]
fn a_prompts_file_decides_as_the_configuration_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.md");
    replace(&file, "First.");
    let world = World::start(&PROMPT.replace("FILE", file.to_str().unwrap()));
    assert_eq!(prompt(&world), "First.");
    // A new configuration is seen, so files are watched by now.
    world.dimmer.reload_and_wait(&format!("{}# again\n[routes.s]\npath = \"/s\"\n", world.config));
    let before = generation(&world.dimmer);
    replace(&file, "Second.");
    wait_until("the prompt is read again", || generation(&world.dimmer) > before);
    assert_eq!(prompt(&world), "Second.");
}

#[test]
fn a_file_that_has_just_become_part_of_the_configuration_is_watched_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.md");
    replace(&file, "Second.");
    let world = World::start(&PROMPT.replace("file = \"FILE\"", "text = \"First.\""));
    let with_file = format!("file = {:?}", file.to_str().unwrap());
    world.dimmer.reload_and_wait(&world.config.replace("text = \"First.\"", &with_file));
    assert_eq!(prompt(&world), "Second.");
    replace(&file, "Third.");
    wait_until("the changed prompt is served", || prompt(&world) == "Third.");
}

#[test]
fn a_change_right_after_the_start_is_seen() {
    for _ in 0..20 {
        let world = World::start("[routes.r]\npath = \"/r\"\n");
        world.dimmer.write_config(&world.config.replace("/r", "/moved"));
        wait_until("the change is seen", || generation(&world.dimmer) > 1);
    }
}
