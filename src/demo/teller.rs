//! Tells the story: lines for people, at most 79 columns wide, or events as lines of JSON. Knows no numbers of its own.

use std::io::{self, Write};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::clock;

/// Tells to one place.
pub(super) struct Teller<'o> {
    out: &'o mut dyn Write,
    json: bool,
    color: bool,
    begun: Instant,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// What is.
    Plain,
    /// How things stand meanwhile.
    Quiet,
    /// What went wrong.
    Bad,
    /// What went well.
    Good,
    /// What a person would type.
    Command,
}

/// So wide is what is shown.
const WIDTH: usize = 79;
/// Behind a line that goes on, as a shell wants it.
const CONTINUED: &str = " \\";
/// `12:34  `
const INDENT: usize = 7;

impl<'o> Teller<'o> {
    /// Begins to count the time.
    pub(super) fn new(out: &'o mut dyn Write, json: bool, color: bool) -> Self {
        Self { out, json, color: color && !json, begun: clock::now() }
    }

    /// Programs read it, not people.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// A heading.
    pub(super) fn chapter(&mut self, number: u32, title: &str) -> io::Result<()> {
        if self.json {
            return self.event("chapter", title, json!({ "number": number }));
        }
        let heading = format!("── {number}. {title} ");
        let rule = "─".repeat(WIDTH.saturating_sub(heading.chars().count()));
        writeln!(self.out, "\n{}", self.painted("1", &format!("{heading}{rule}")))?;
        self.out.flush()
    }

    /// Something happened.
    pub(super) fn tell(&mut self, event: &str, tone: Tone, text: &str, data: Value) -> io::Result<()> {
        if self.json {
            return self.event(event, text, data);
        }
        let ink = match tone {
            Tone::Plain => "",
            Tone::Quiet => "2",
            Tone::Bad => "31",
            Tone::Good => "32",
            Tone::Command => "36",
        };
        let mut before = format!("{:>5}  ", self.elapsed());
        let lines = wrapped(text, WIDTH - INDENT - usize::from(tone == Tone::Command) * CONTINUED.len());
        let last = lines.len();
        for (place, mut line) in lines.into_iter().enumerate() {
            // So that a shell takes it as it stands.
            if tone == Tone::Command && place + 1 < last {
                line.push_str(CONTINUED);
            }
            writeln!(self.out, "{before}{}", self.painted(ink, &line))?;
            before = " ".repeat(INDENT);
        }
        self.out.flush()
    }

    /// What belongs to the line before; people alone read it.
    pub(super) fn more(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        for line in wrapped(text, WIDTH - INDENT) {
            writeln!(self.out, "{:INDENT$}{line}", "")?;
        }
        self.out.flush()
    }

    /// What a chapter is about; people alone read it.
    pub(super) fn about(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        for line in wrapped(text, WIDTH) {
            writeln!(self.out, "{}", self.painted("3", &line))?;
        }
        self.out.flush()
    }

    /// A line as it stands; people alone read it.
    pub(super) fn plain(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Text of two columns, the first `wide`, the second wrapped; people alone read it.
    pub(super) fn row(&mut self, left: &str, wide: usize, right: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut left = left;
        for line in wrapped(right, WIDTH.saturating_sub(wide)) {
            writeln!(self.out, "{left:<wide$}{line}")?;
            left = "";
        }
        self.out.flush()
    }

    fn event(&mut self, event: &str, text: &str, data: Value) -> io::Result<()> {
        let ms =
            u64::try_from(clock::now().saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let mut line = Map::new();
        line.insert("at".to_owned(), json!(clock::rfc3339(clock::unix_ms())));
        line.insert("ms".to_owned(), json!(ms));
        line.insert("event".to_owned(), json!(event));
        line.insert("text".to_owned(), json!(text));
        if let Value::Object(data) = data {
            line.extend(data);
        }
        writeln!(self.out, "{}", Value::Object(line))?;
        self.out.flush()
    }

    fn painted(&self, ink: &str, text: &str) -> String {
        if self.color && !ink.is_empty() { format!("\u{1b}[{ink}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn elapsed(&self) -> String {
        minutes(
            u64::try_from(clock::now().saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX),
        )
    }
}

/// `1:05`
pub(super) fn minutes(ms: u64) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}

/// Lines of whole words; a word that is too long has a line of its own. Two blanks in a row, as in a table, stay.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    // A number stays with its sign.
    for paragraph in text.replace(" %", "\u{a0}%").lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let long = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && long > width {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect()
}
