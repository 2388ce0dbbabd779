//! Everything that is wrong with a file, at once, each with its place and its remedy.
//!
//! Rendered plain (one line each, for logs and editors) or pretty (with the source line and a caret, for people).
//! Must never show a secret: what looks like one in a source line is masked.

use std::fmt;
use std::ops::Range;

use crate::config::Watched;

/// What is wrong with one configuration file. Never empty.
#[derive(Clone, Debug)]
pub struct Errors {
    faults: Vec<Fault>,
    watched: Vec<Watched>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named to the loader.
    pub file: String,
    /// Line and column, both from 1, the column in characters; `None` where the whole file is meant.
    pub position: Option<Position>,
    /// Where, what is wrong, what was expected, how to mend it.
    pub message: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters of the line are meant, at least one.
    pub width: usize,
    /// The line itself, what looks like a secret masked.
    pub source: String,
}

impl Errors {
    /// One error about the whole file.
    pub(crate) fn whole_file(file: &str, message: String) -> Self {
        let fault = Fault { file: file.to_owned(), position: None, message };
        Self { faults: vec![fault], watched: Vec::new() }
    }

    /// The errors found at byte spans of `text`, in the file's order. `found` is not empty.
    pub(crate) fn at_spans(file: &str, text: &str, mut found: Vec<(Range<usize>, String)>) -> Self {
        found.sort_by(|a, b| (a.0.start, &a.1).cmp(&(b.0.start, &b.1)));
        found.dedup_by(|a, b| a.0.start == b.0.start && a.1 == b.1);
        let faults = found
            .into_iter()
            .map(|(span, message)| Fault {
                file: file.to_owned(),
                position: Some(Position::of(text, &span)),
                message,
            })
            .collect();
        Self { faults, watched: Vec::new() }
    }

    /// The same, and which files besides the configuration itself were read or should have been.
    pub(crate) fn with_watched(self, watched: Vec<Watched>) -> Self {
        Self { watched, ..self }
    }

    /// All of them, in the file's order.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Files besides the configuration itself whose change may mend it: to be followed like `Config::watched`.
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// With the source line and a caret under what is meant.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        for fault in &self.faults {
            out.push_str(&fault.pretty());
            out.push('\n');
        }
        let count = self.faults.len();
        out.push_str(&format!("{count} error{}\n", if count == 1 { "" } else { "s" }));
        out
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(at) => write!(f, "{}:{}:{}: {}", self.file, at.line, at.column, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl Fault {
    fn pretty(&self) -> String {
        let Some(at) = &self.position else {
            return format!("{}: {}\n", self.file, self.message);
        };
        let number = at.line.to_string();
        let gutter = " ".repeat(number.len());
        let indent: String =
            at.source.chars().take(at.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(at.width);
        format!(
            "{}:{}:{}: {}\n{gutter} |\n{number} | {}\n{gutter} | {indent}{carets}\n",
            self.file, at.line, at.column, self.message, at.source
        )
    }
}

impl Position {
    /// Where the bytes of `span` are in `text`; a span that is none of its own is pulled to the nearest character.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.floor_char_boundary(span.end.max(start));
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let meant = text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column,
            width: meant.chars().count().max(1),
            source: mask_secrets(source),
        }
    }
}

/// Replaces the contents of quoted texts by stars of the same length on lines that speak of keys, tokens or secrets,
/// unless they are references or names of PEM files. Too much is masked rather than too little: the caret still says what is meant.
fn mask_secrets(line: &str) -> String {
    let lower = line.to_ascii_lowercase().replace("max_tokens", "");
    let speaks_of_secrets =
        ["key", "token", "secret", "passw", "auth", "sk-"].iter().any(|word| lower.contains(word));
    if !speaks_of_secrets {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(open);
        out.push_str(before);
        let mut characters = quoted.chars();
        let Some(quote) = characters.next() else { break };
        let inside = characters.as_str();
        let length = inside.find(quote).unwrap_or(inside.len());
        let (content, after) = inside.split_at(length);
        out.push(quote);
        if is_reference(content) {
            out.push_str(content);
        } else {
            out.extend(content.chars().map(|_| '*'));
        }
        let mut closing = after.chars();
        if let Some(character) = closing.next() {
            out.push(character);
        }
        rest = closing.as_str();
    }
    out.push_str(rest);
    out
}

fn is_reference(content: &str) -> bool {
    let variable = content.starts_with("${") && content.ends_with('}');
    let pem = content.ends_with(".pem") && !content.contains(' ');
    variable || pem || ["file:", "header:", "body:"].iter().any(|prefix| content.starts_with(prefix))
}
