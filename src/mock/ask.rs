//! What a generation request asks for, whichever dialect it came in, and how its text is counted.
//!
//! Read by the four generation APIs' files, answered by `answer`. Must never keep what it does not need to answer.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::failure::Failure;

/// A generation request, understood.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// The model's name as it was asked for.
    pub(super) model: String,
    /// The system prompt, its parts joined.
    pub(super) system: Option<String>,
    /// The text of the last user turn.
    pub(super) question: String,
    /// Images in the last user turn.
    pub(super) images: usize,
    /// What a tool gave back, when that is what was sent last.
    pub(super) tool_result: Option<String>,
    /// The tools that we may call.
    pub(super) tools: Vec<Tool>,
    /// Whether we must.
    pub(super) choice: Choice,
    /// Several at once.
    pub(super) parallel: bool,
    /// A JSON answer is asked for; with its schema, if one was given.
    pub(super) json: Option<Option<Value>>,
    /// The longest answer in tokens.
    pub(super) max_tokens: Option<u64>,
    /// Texts that end the answer.
    pub(super) stops: Vec<String>,
    /// A stream is asked for.
    pub(super) stream: bool,
    /// Chat Completions: usage is asked for in the stream.
    pub(super) include_usage: bool,
    /// Tokens of the whole prompt.
    pub(super) prompt: PromptTokens,
    /// What the words are drawn from: model, system prompt, messages and the provider's seed.
    pub(super) words_seed: u64,
    /// What luck is drawn from: the whole body but for the way the answer is sent, and the provider's seed.
    pub(super) luck: u64,
}

/// The prompt's size, each token counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PromptTokens {
    /// Tokens that no cache had.
    pub(super) fresh: u64,
    /// Read from a cache.
    pub(super) read: u64,
    /// Written to a cache.
    pub(super) written: u64,
}

impl PromptTokens {
    /// All of them.
    pub(super) fn all(self) -> u64 {
        self.fresh + self.read + self.written
    }
}

/// A tool that may be called.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: String,
    /// What its arguments must look like.
    pub(super) schema: Value,
}

/// `tool_choice`
#[derive(Debug, Default, PartialEq)]
pub(super) enum Choice {
    /// As the question wants.
    #[default]
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Any,
    /// This one.
    Named(String),
}

/// A text field that must be there.
pub(super) fn required_text(body: &Map<String, Value>, field: &str) -> Result<String, Failure> {
    match body.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(Failure::bad_field(field, "must be a text that is not empty")),
        None => Err(Failure::bad_field(field, "is required")),
    }
}

/// The list of messages, each an object with a role.
pub(super) fn required_messages(body: &Map<String, Value>) -> Result<&Vec<Value>, Failure> {
    let messages = match body.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(_) => return Err(Failure::bad_field("messages", "must be a list of at least one message")),
        None => return Err(Failure::bad_field("messages", "is required")),
    };
    match messages.iter().position(|message| role(message).is_empty()) {
        Some(index) => Err(Failure::bad_field(&format!("messages[{index}].role"), "is required")),
        None => Ok(messages),
    }
}

/// A whole number of at least one, if it is there.
pub(super) fn whole_number(body: &Map<String, Value>, field: &str) -> Result<Option<u64>, Failure> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(Failure::bad_field(field, "must be a whole number of at least 1")),
        },
    }
}

/// A switch, off when it is not there.
pub(super) fn flag(body: &Map<String, Value>, field: &str) -> bool {
    body.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// Who said a message; `""` when it does not say.
pub(super) fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or("")
}

/// The text of a `content`, be it a text or a list of parts.
pub(super) fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    }
}

/// The parts of a `content` that are of one of these types.
pub(super) fn parts_of<'a>(content: Option<&'a Value>, types: &[&str]) -> Vec<&'a Value> {
    let parts = content.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let kind = |part: &Value| part.get("type").and_then(Value::as_str).map(str::to_owned);
    parts.iter().filter(|part| kind(part).is_some_and(|name| types.contains(&&*name))).collect()
}

/// The two seeds of a request: for its words and for its luck.
pub(super) fn seeds(body: &Map<String, Value>, provider_seed: u64) -> (u64, u64) {
    let mix = |seed, value: &Value| xxh3_64_with_seed(value.to_string().as_bytes(), seed);
    let words = ["model", "system", "messages"].iter().fold(provider_seed, |seed, field| {
        body.get(*field).map_or_else(|| xxh3_64_with_seed(b"", seed), |value| mix(seed, value))
    });
    let words = ["instructions", "prompt"].iter().filter_map(|field| body.get(*field)).fold(words, mix);
    // The way that the answer is sent must not change what it says or whether it fails.
    let told = body.iter().filter(|(field, _)| !field.starts_with("stream"));
    let luck = told.fold(provider_seed, |seed, (field, value)| {
        xxh3_64_with_seed(format!("{field}={value}").as_bytes(), seed)
    });
    (words, luck)
}

/// The same, where the messages are `items`, some of which the body only names. Their ids say nothing.
pub(super) fn seeds_with(body: &Map<String, Value>, items: &[Value], provider_seed: u64) -> (u64, u64) {
    let (words, luck) = seeds(body, provider_seed);
    let words = items.iter().fold(words, |seed, item| {
        let told = ["role", "content", "output", "arguments"].iter().filter_map(|field| item.get(*field));
        told.fold(seed, |seed, value| xxh3_64_with_seed(value.to_string().as_bytes(), seed))
    });
    (words, luck)
}

/// Whether a `format` asks for JSON, and with which schema, which is found at `schema` of it.
pub(super) fn json_asked(format: Option<&Value>, schema: &str) -> Option<Option<Value>> {
    let format = format?;
    match format.get("type")?.as_str()? {
        "json_object" => Some(None),
        "json_schema" => Some(format.pointer(schema).cloned()),
        _ => None,
    }
}

/// `stop`: a text or several.
pub(super) fn stop_texts(stop: Option<&Value>) -> Vec<String> {
    match stop {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A text in tokens: a word with the white space before it; long words take several.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    const LONGEST: usize = 8;
    let mut found = Vec::new();
    let (mut start, mut letters, mut in_word) = (0, 0, false);
    for (at, letter) in text.char_indices() {
        let word_ends = letter.is_whitespace() && in_word;
        if word_ends || letters == LONGEST {
            found.extend(text.get(start..at));
            (start, letters) = (at, 0);
        }
        in_word = !letter.is_whitespace();
        letters += usize::from(in_word);
    }
    found.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    found
}

/// How many tokens a text has.
pub(super) fn count(text: &str) -> u64 {
    tokens(text).len() as u64
}

/// The first words of a text, with an ellipsis where it goes on.
pub(super) fn first_words(text: &str, words: usize) -> String {
    let start: Vec<&str> = text.split_whitespace().take(words).collect();
    let more = text.split_whitespace().nth(words).is_some();
    start.join(" ") + if more { "…" } else { "" }
}
