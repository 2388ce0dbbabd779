//! What the pages show must work: TOML blocks load, the README's tour runs, links lead somewhere.
//!
//! A block is told what it is by an HTML comment on the line before it:
//!
//! - a `toml` block without a comment is a whole routes.toml: `dimmer check` must take it;
//! - `<!-- test: on FILE -->` · it is appended to FILE (from the clone's root) first;
//! - `<!-- test: elsewhere -->` · settings without their table; the test in `src/wire/edit` reads them.
//! - `<!-- test: not ours -->` · another program's TOML: it must only parse;
//! - `<!-- test: tour -->` before a `console`, `sh` or `bash` block · part of the page's tour: one gateway for each page
//!   serves a copy of the clone's routes.toml and prompts, and the tour's blocks run in it from the top. A `text` or
//!   `json` block directly after it is what the output must show: each of its lines, in any place, `…` for whatever
//!   differs from run to run. Where a change needs a moment to be seen, the block is run again until it shows, for ten
//!   seconds at most: so a block either changes something or shows something.
//!
//! Pages whose `toml` blocks are all of one kind stand in `PAGES` instead.
//!
//! In a tour `dimmer` is the binary under test, and the default addresses are replaced by those of its gateway.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::clients::root;
use crate::harness::{DIMMER, Dimmer};

/// Pages whose unmarked `toml` blocks are all of one kind.
const PAGES: &[(&str, &str)] = &[
    ("docs/flags.md", "on routes.toml"),
    ("docs/parameters.md", "on routes.toml"),
    // Settings without their table; the test in `src/wire/edit` reads this page.
    ("docs/rewriting.md", "elsewhere"),
];

/// A fenced block of a page.
pub(crate) struct Block {
    /// `README.md:12`, where it begins.
    pub(crate) place: String,
    pub(crate) language: String,
    /// The text of `<!-- test: … -->` before it.
    mark: Option<String>,
    pub(crate) text: String,
    /// No text stands between the block before and this one.
    follows: bool,
}

#[test]
fn every_toml_block_loads() {
    let mut blocks = 0;
    let mut wrong = Vec::new();
    for block in pages().iter().flat_map(|page| blocks_of(page)).filter(|block| block.language == "toml") {
        blocks += 1;
        if let Err(problem) = load(&block) {
            wrong.push(format!("{}: {problem}", block.place));
        }
    }
    assert!(blocks > 0, "the pages show configuration");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn load(block: &Block) -> Result<(), String> {
    let page = PAGES.iter().find(|(page, _)| block.place.starts_with(page)).map(|(_, mark)| *mark);
    let text = match block.mark.as_deref().or(page) {
        None => block.text.clone(),
        Some("elsewhere") => return Ok(()),
        Some("not ours") => {
            return block.text.parse::<toml::Table>().map(|_| ()).map_err(|error| error.to_string());
        }
        Some(mark) => {
            let base = mark.strip_prefix("on ").ok_or(format!("what is `test: {mark}`?"))?;
            let base =
                std::fs::read_to_string(root().join(base)).map_err(|error| format!("{base}: {error}"))?;
            format!("{base}\n{}", block.text)
        }
    };
    let directory = clone_of_the_configuration();
    let (cert, key) = crate::encrypted::pair();
    for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
        std::fs::write(directory.path().join(name), text).map_err(|error| error.to_string())?;
    }
    check(directory.path(), &text)
}

/// `dimmer check` on a text, in a directory that has the files it may name; every variable that it wants is set.
pub(crate) fn check(directory: &Path, text: &str) -> Result<(), String> {
    std::fs::write(directory.join("block.toml"), text).map_err(|error| error.to_string())?;
    let mut command = Command::new(DIMMER);
    command.args(["check", "block.toml"]).current_dir(directory);
    for name in text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name) {
        let scheme = match name {
            name if name.ends_with("RECORDS_URL") => "postgres://dimmer@",
            name if name.ends_with("_URL") => "https://",
            _ => "",
        };
        command.env(name, format!("{scheme}a-value-for-the-test-that-is-long-enough-{name}"));
    }
    let output = command.output().map_err(|error| error.to_string())?;
    output.status.success().then_some(()).ok_or_else(|| said(&output))
}

#[test]
fn what_is_deployed_loads() {
    for file in ["routes.toml", "deploy/dimmer/routes.toml"] {
        let text = std::fs::read_to_string(root().join(file)).expect("a configuration");
        let checked = check(clone_of_the_configuration().path(), &text);
        assert_eq!(checked, Ok(()), "{file}");
    }
}

#[test]
fn tours_run() {
    for page in pages() {
        let blocks = blocks_of(&page);
        if !blocks.iter().any(is_tour) {
            continue;
        }
        let directory = clone_of_the_configuration();
        let routes = directory.path().join("routes.toml");
        let text = std::fs::read_to_string(&routes).expect("routes.toml");
        std::fs::write(&routes, on_free_ports(&text)).expect("routes.toml");
        let gateway = Dimmer::start_in(directory, &[]);
        for (number, block) in blocks.iter().enumerate().filter(|(_, block)| is_tour(block)) {
            let shown = blocks
                .get(number + 1)
                .filter(|next| next.follows && ["text", "json"].contains(&next.language.as_str()));
            let problem = run(block, shown, &gateway);
            assert!(problem.is_empty(), "{}: {problem}", block.place);
        }
    }
}

fn is_tour(block: &Block) -> bool {
    block.mark.as_deref() == Some("tour")
}

/// Runs a block until it shows what it should; gives what is wrong, or nothing.
fn run(block: &Block, shown: Option<&Block>, gateway: &Dimmer) -> String {
    let script = addressed(&commands(&block.text), gateway);
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let path = Path::new(DIMMER).parent().expect("a directory");
        let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(gateway.folder())
            .env("PATH", path)
            .env("DIMMER_ADMIN_URL", format!("http://{}", gateway.admin))
            .output()
            .expect("bash");
        let said = said(&output);
        let missing = shown.and_then(|shown| {
            let expected = addressed(&shown.text, gateway);
            expected.lines().find(|line| !is_shown(line, &said)).map(str::to_owned)
        });
        if output.status.success() && missing.is_none() {
            return String::new();
        }
        if Instant::now() > end {
            let missing = missing.map(|line| format!("; not shown: {line}")).unwrap_or_default();
            return format!("{}{missing}\n--- it ran\n{script}\n--- it said\n{said}", output.status);
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Of a `console` block the lines after `$ `; of a block without prompts all lines.
fn commands(text: &str) -> String {
    if !text.lines().any(|line| line.starts_with("$ ")) {
        return text.to_owned();
    }
    let mut commands = String::new();
    let mut continued = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ").or(continued.then_some(line)) {
            commands.push_str(command);
            commands.push('\n');
            continued = command.ends_with('\\');
        }
    }
    commands
}

fn addressed(text: &str, gateway: &Dimmer) -> String {
    let (data, admin) = (gateway.data.to_string(), gateway.admin.to_string());
    text.replace("127.0.0.1:8080", &data)
        .replace("localhost:8080", &data)
        .replace("127.0.0.1:9901", &admin)
        .replace("localhost:9901", &admin)
}

/// Whether the pieces of `expected` between `…` stand in one line of `said`, in their order.
fn is_shown(expected: &str, said: &str) -> bool {
    said.lines().any(|line| {
        let mut rest = line;
        expected.trim().split('…').all(|piece| match rest.split_once(piece) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

/// The text of a configuration with both listeners on free ports.
pub(crate) fn on_free_ports(text: &str) -> String {
    let text = text
        .replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"")
        .replace("\"127.0.0.1:9901\"", "\"127.0.0.1:0\"");
    let table: toml::Table = text.parse().expect("routes.toml is TOML");
    let mut missing = String::new();
    let mut text = text;
    for section in ["server", "admin"] {
        match table.get(section) {
            None => missing.push_str(&format!("[{section}]\nlisten = \"127.0.0.1:0\"\n")),
            Some(there) if there.get("listen").is_none() => {
                text = text.replacen(
                    &format!("[{section}]\n"),
                    &format!("[{section}]\nlisten = \"127.0.0.1:0\"\n"),
                    1,
                );
            }
            Some(_) => {}
        }
    }
    format!("{text}\n{missing}")
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    let more =
        ["ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "src/README.md"].map(|page| root().join(page));
    for page in pages().into_iter().chain(more) {
        let text =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let folder = page.parent().expect("a folder");
        for (number, line) in text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
                let file = target.split('#').next().unwrap_or_default();
                let outside = target.contains("://") || target.starts_with("mailto:");
                if !outside && !file.is_empty() && !folder.join(file).exists() {
                    wrong.push(format!("{}:{}: no such file: {target}", page.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// README.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .expect("docs/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

pub(crate) fn blocks_of(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let name = page.strip_prefix(root()).unwrap_or(page).display();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut mark = None;
    let mut follows = false;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => {
                blocks.extend(open.take());
                follows = true;
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(language)) => {
                let language = language.trim().to_owned();
                let place = format!("{name}:{}", number + 1);
                open = Some(Block { place, language, mark: mark.take(), text: String::new(), follows });
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => {
                let comment =
                    line.trim().strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
                mark = comment.map(str::to_owned);
                follows = false;
            }
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    blocks
}

/// A directory with the clone's routes.toml, its prompts and what else a configuration names.
pub(crate) fn clone_of_the_configuration() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let copied = Command::new("cp")
        .arg("-r")
        .args(["routes.toml", "prompts"].map(|name| root().join(name)))
        .arg(directory.path())
        .status()
        .expect("cp");
    assert!(copied.success(), "routes.toml and prompts/ are in the clone's root");
    directory
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_line_is_shown_with_gaps() {
    for (expected, said, shown) in [
        ("x-dimmer-flags: …model=large;SPLIT…", "< x-dimmer-flags: a=b;STATIC, model=large;SPLIT, c", true),
        ("x-dimmer-flags: model=large", "x-dimmer-flags: model=small", false),
        ("a … b", "b a", false),
        ("  indented  ", "is indented here", true),
    ] {
        assert_eq!(is_shown(expected, said), shown, "{expected:?} in {said:?}");
    }
}
