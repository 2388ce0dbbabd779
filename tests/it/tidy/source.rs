//! One Rust file as the house rules see it: its code without comments and texts, its texts, and the paths that it names.
//!
//! Not a Rust parser: it knows comments, texts, `crate::` and `super::` paths and `#[cfg(test)]`, which is what the rules
//! are about. Macros that build paths from pieces escape it.

use std::path::Path;

use crate::clients::root;

/// One file of `src/`.
pub(super) struct Source {
    /// From the clone's root.
    pub(super) file: String,
    /// The first folder under `src/`, or the file's own name there; `main` for `main.rs`, `lib` for `lib.rs`.
    pub(super) room: String,
    /// As it stands.
    pub(super) text: String,
    /// Comments and texts replaced by spaces, `#[cfg(test)]` modules too; same lines.
    code: String,
    /// The texts with the line on which each begins.
    pub(super) literals: Vec<(usize, String)>,
    /// The names of `#[cfg(test)] mod NAME;`.
    test_modules: Vec<String>,
    /// A file of unit tests.
    pub(super) is_test: bool,
    module: Vec<String>,
}

/// A path below the crate's root, and where it is named.
pub(super) struct CratePath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// Calls `see` with the path (from the clone's root) and the text of every text file under `directory`.
pub(super) fn walk(directory: &Path, see: &mut dyn FnMut(&Path, &str)) {
    let mut entries: Vec<_> = std::fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !["target", ".git", "node_modules", "__pycache__"].contains(&name) {
                walk(&path, see);
            }
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            see(path.strip_prefix(root()).unwrap_or(&path), &text);
        }
    }
}

/// Marks the files that a `#[cfg(test)] mod NAME;` declares, and what lies below them.
pub(super) fn mark_tests(sources: &mut [Source]) {
    let tests: Vec<Vec<String>> = sources
        .iter()
        .flat_map(|source| {
            source.test_modules.iter().map(|name| {
                let mut module = source.module.clone();
                module.push(name.clone());
                module
            })
        })
        .collect();
    for source in sources {
        source.is_test = tests.iter().any(|module| source.module.starts_with(module));
    }
}

impl Source {
    pub(super) fn read(path: &Path, text: &str) -> Self {
        let file = path.to_string_lossy().replace('\\', "/");
        let inside = file.strip_prefix("src/").unwrap_or(&file).trim_end_matches(".rs");
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        let room = module.first().cloned().unwrap_or_default();
        if module.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
            module.pop();
        }
        let (code, literals) = strip(text);
        let (code, test_modules) = strip_tests(&code);
        Self { file, room, text: text.to_owned(), code, literals, test_modules, is_test: false, module }
    }

    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file)
    }

    /// The stage of `proxy` that the file belongs to.
    pub(super) fn stage(&self) -> Option<String> {
        (self.room == "proxy").then(|| self.module.get(1).cloned()).flatten()
    }

    /// Lines of code with their numbers.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(number, line)| (number + 1, line))
    }

    /// Every path that starts with `crate::` or leaves the module by `super::`; in `main.rs` also `dimmer::`.
    pub(super) fn crate_paths(&self) -> Vec<CratePath> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let (line, token) = &tokens[at];
            let continues = at > 0 && tokens[at - 1].1 == "::";
            let starts = tokens.get(at + 1).is_some_and(|(_, next)| next == "::") && !continues;
            let base = match token.as_str() {
                "crate" if starts => Some(Vec::new()),
                "dimmer" if starts && self.room == "main" => Some(Vec::new()),
                "super" if starts => Some(self.module[..self.module.len().saturating_sub(1)].to_vec()),
                _ => None,
            };
            at += 1;
            if let Some(base) = base {
                follow(&tokens, at, *line, base, &mut found);
            }
        }
        found
    }
}

/// Follows `::a::{b, c::d}` from the token after a path's first word; gives one path for each leaf.
fn follow(
    tokens: &[(usize, String)],
    mut at: usize,
    line: usize,
    mut path: Vec<String>,
    found: &mut Vec<CratePath>,
) -> usize {
    let mut line = line;
    while is(tokens, at, "::") {
        at += 1;
        let Some((here, word)) = tokens.get(at) else { break };
        line = *here;
        match word.as_str() {
            "{" => return follow_group(tokens, at + 1, &path, found),
            "super" => {
                path.pop();
            }
            word if is_word(word) => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
    }
    found.push(CratePath { line, segments: path });
    at
}

/// Follows each branch of `{a, b::c as d, self}` up to its closing brace.
fn follow_group(
    tokens: &[(usize, String)],
    mut at: usize,
    path: &[String],
    found: &mut Vec<CratePath>,
) -> usize {
    while let Some((line, token)) = tokens.get(at).filter(|(_, token)| token != "}") {
        at += 1;
        if token == "as" {
            at += 1;
        } else if is_word(token) || token == "*" {
            let mut branch = path.to_vec();
            if token != "self" {
                branch.push(token.clone());
            }
            at = follow(tokens, at, *line, branch, found);
        }
    }
    at + 1
}

fn is(tokens: &[(usize, String)], at: usize, wanted: &str) -> bool {
    tokens.get(at).is_some_and(|(_, token)| token == wanted)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single signs, each with its line.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            tokens.push((number + 1, token.to_owned()));
            rest = after.trim_start();
        }
    }
    tokens
}

/// Replaces comments and texts by spaces, line by line the same; gives the texts too.
fn strip(text: &str) -> (String, Vec<(usize, String)>) {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut at = 0;
    while let Some(&here) = characters.get(at) {
        let end = match (here, characters.get(at + 1)) {
            ('/', Some('/')) => until(&characters, at, "\n").saturating_sub(1),
            ('/', Some('*')) => until(&characters, at + 2, "*/"),
            ('r', Some('"' | '#')) if raw_hashes(&characters, at).is_some() => {
                let hashes = raw_hashes(&characters, at).unwrap_or_default();
                until(&characters, at + hashes + 2, &format!("\"{}", "#".repeat(hashes)))
            }
            ('"', _) => text_end(&characters, at + 1),
            ('\'', _) if characters.get(at + 1) == Some(&'\\') => until(&characters, at + 3, "'"),
            ('\'', _) if characters.get(at + 2) == Some(&'\'') => at + 3,
            _ => {
                code.push(here);
                at += 1;
                continue;
            }
        };
        let piece: String = characters[at..end].iter().collect();
        if here == '"' || here == 'r' {
            literals.push((code.matches('\n').count() + 1, piece.clone()));
        }
        code.extend(piece.chars().map(|sign| if sign == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    (code, literals)
}

fn raw_hashes(characters: &[char], at: usize) -> Option<usize> {
    let word_before = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    let bytes = word_before && characters[at - 1] == 'b';
    let hashes = characters[at + 1..].iter().take_while(|sign| **sign == '#').count();
    ((!word_before || bytes) && characters.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// The place after the next `end`, or the end of the file.
fn until(characters: &[char], from: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (from..characters.len())
        .find(|at| characters[*at..].starts_with(&end))
        .map_or(characters.len(), |at| at + end.len())
}

fn text_end(characters: &[char], mut at: usize) -> usize {
    while let Some(sign) = characters.get(at) {
        match sign {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// Blanks out `#[cfg(test)] mod x { … }` and gives the names of `#[cfg(test)] mod x;`.
fn strip_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut names = Vec::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once(MARK) {
        out.push_str(before);
        let (item, left) = after.split_at(item_end(after));
        let name =
            item.split_once("mod ").and_then(|(_, name)| name.split(|sign: char| !is_name(sign)).next());
        if item.ends_with(';')
            && let Some(name) = name
        {
            names.push(name.to_owned());
        }
        out.extend(item.chars().filter(|sign| *sign == '\n'));
        rest = left;
    }
    out.push_str(rest);
    (out, names)
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// The end of an item: its `;`, or the brace that closes its first one.
fn item_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn paths_are_found_in_all_their_forms() {
    let text = "//! x\nuse crate::flags::{self, Flag, rule::{Rule, Serve as S}};\nuse super::relay::Tap;\n\
                fn f() { crate::config::check(\"crate::proxy\"); /* crate::cli */ let _ = r#\"crate::app\"#; }\n\
                #[cfg(test)]\nmod tests { use crate::control::X; }\n#[cfg(test)]\nmod cases;\nuse crate::names::*;\n";
    let source = Source::read(Path::new("src/proxy/dispatch/mod.rs"), text);
    let found: Vec<String> = source
        .crate_paths()
        .iter()
        .map(|path| format!("{} {}", path.line, path.segments.join("::")))
        .collect();
    assert_eq!(
        found,
        [
            "2 flags",
            "2 flags::Flag",
            "2 flags::rule::Rule",
            "2 flags::rule::Serve",
            "3 proxy::relay::Tap",
            "4 config::check",
            "9 names"
        ]
    );
    assert_eq!(source.test_modules, ["cases"]);
    assert_eq!(source.stage().as_deref(), Some("dispatch"));
    assert_eq!(source.literals.len(), 2);
}
