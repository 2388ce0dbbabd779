//! The watcher over real files: every way in which editors and orchestrators change them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::config::{Watch, Watched, watch};

/// Longer than any debounce and poll; a change that is not seen by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    directory: tempfile::TempDir,
    changes: Receiver<String>,
    watch: Watch,
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits until a change was said after which the file reads `expected`.
    #[track_caller]
    fn reads(&self, expected: &str) {
        loop {
            match self.changes.recv_timeout(PATIENCE) {
                Ok(found) if found == expected => return,
                Ok(_) => {}
                Err(_) => panic!("no change to {expected:?} was said"),
            }
        }
    }
}

/// Watches `routes.toml`; each change sends what the file reads then.
fn watched(prepare: impl FnOnce(&Path)) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let (said, changes) = channel();
    let path = directory.path().join("routes.toml");
    let read = path.clone();
    let watch = watch(&path, &[], move || {
        let _test_over = said.send(std::fs::read_to_string(&read).unwrap_or_else(|_| "absent".to_owned()));
    })
    .unwrap();
    Scene { directory, changes, watch }
}

fn plain(directory: &Path) {
    std::fs::write(directory.join("routes.toml"), "one").unwrap();
}

#[test]
fn a_rename_over_the_file() {
    let watched = watched(plain);
    std::fs::write(watched.path("new"), "two").unwrap();
    std::fs::rename(watched.path("new"), watched.path("routes.toml")).unwrap();
    watched.reads("two");
    std::fs::write(watched.path("new"), "three").unwrap();
    std::fs::rename(watched.path("new"), watched.path("routes.toml")).unwrap();
    watched.reads("three");
}

#[cfg(unix)]
#[test]
fn a_symlink_swap_as_kubernetes_does_it() {
    use std::os::unix::fs::symlink;
    let volume = |directory: &Path, name: &str, text: &str| {
        std::fs::create_dir(directory.join(name)).unwrap();
        std::fs::write(directory.join(name).join("routes.toml"), text).unwrap();
    };
    let watched = watched(|directory| {
        volume(directory, "..1", "one");
        symlink("..1", directory.join("..data")).unwrap();
        symlink("..data/routes.toml", directory.join("routes.toml")).unwrap();
    });
    for (name, text) in [("..2", "two"), ("..3", "three")] {
        volume(watched.directory.path(), name, text);
        symlink(name, watched.path("..data_tmp")).unwrap();
        std::fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
        watched.reads(text);
    }
}

#[test]
fn a_slow_write_in_place_ends_with_the_whole_text() {
    let watched = watched(plain);
    let mut file = std::fs::File::create(watched.path("routes.toml")).unwrap();
    let mut whole = String::new();
    for number in 0..30 {
        let line = format!("line {number}\n");
        file.write_all(line.as_bytes()).unwrap();
        file.flush().unwrap();
        whole.push_str(&line);
    }
    drop(file);
    watched.reads(&whole);
}

#[test]
fn a_file_that_goes_and_comes_back() {
    let watched = watched(plain);
    std::fs::remove_file(watched.path("routes.toml")).unwrap();
    watched.reads("absent");
    std::fs::write(watched.path("routes.toml"), "two").unwrap();
    watched.reads("two");
}

#[test]
fn a_hundred_changes_are_said_a_few_times_and_the_last_is_not_lost() {
    let watched = watched(plain);
    for number in 0..100 {
        std::fs::write(watched.path("new"), number.to_string()).unwrap();
        std::fs::rename(watched.path("new"), watched.path("routes.toml")).unwrap();
    }
    let mut said = 0;
    loop {
        said += 1;
        if watched.changes.recv_timeout(PATIENCE).expect("the last change is lost") == "99" {
            break;
        }
    }
    assert!(said < 50, "{said} reloads");
}

#[test]
fn other_files_and_equal_contents_say_nothing() {
    let watched = watched(plain);
    std::fs::write(watched.path("other"), "x").unwrap();
    std::fs::write(watched.path("routes.toml"), "one").unwrap();
    std::fs::write(watched.path("fence"), "x").unwrap();
    assert!(watched.changes.recv_timeout(Duration::from_secs(1)).is_err());
    std::fs::write(watched.path("routes.toml"), "two").unwrap();
    assert_eq!(watched.changes.recv_timeout(PATIENCE).unwrap(), "two");
}

#[test]
fn followed_files_count_until_they_are_followed_no_more() {
    let watched = watched(plain);
    let far = tempfile::tempdir().unwrap();
    let prompt = far.path().join("prompt.md");
    std::fs::write(&prompt, "x").unwrap();
    watched.watch.follow(&[Watched::now(&prompt)]);
    // Following is taken up by the thread at its next turn, which this change brings about.
    std::fs::write(watched.path("routes.toml"), "two").unwrap();
    watched.reads("two");
    std::fs::write(&prompt, "y").unwrap();
    watched.reads("two");
    watched.watch.follow(&[]);
    std::fs::write(watched.path("routes.toml"), "three").unwrap();
    watched.reads("three");
    std::fs::write(&prompt, "z").unwrap();
    std::fs::write(watched.path("routes.toml"), "four").unwrap();
    assert_eq!(watched.changes.recv_timeout(PATIENCE).unwrap(), "four");
}

#[test]
fn a_directory_that_is_not_there_yet_is_found_by_looking() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later/routes.toml");
    let (said, changes) = channel();
    let _watch = watch(&path, &[], move || {
        let _test_over = said.send(());
    })
    .unwrap();
    std::fs::create_dir(directory.path().join("later")).unwrap();
    std::fs::write(&path, "one").unwrap();
    changes.recv_timeout(PATIENCE).expect("found by the look every few seconds");
}
