//! English about the question, from a small grammar: enough to see that two models answer differently, no more.

use super::ask::{Ask, first_words};
use super::dice::Dice;

/// An answer of about `words` words. Its first sentence names the model and what it was told to be, so that whoever
/// reads it sees which model and which system prompt answered.
pub(super) fn compose(ask: &Ask, words: usize, dice: &mut Dice) -> String {
    let mut text = introduction(ask);
    let topic = topic(&ask.question);
    let mut length = text.split_whitespace().count();
    let mut sentences = 0_usize;
    while length < words {
        let sentence = sentence(&topic, dice);
        let room = words - length;
        // The last sentence is left out where it would go far beyond the length that was drawn.
        if sentences > 0 && sentence.split_whitespace().count() > room + 6 {
            break;
        }
        length += sentence.split_whitespace().count();
        text.push_str(if sentences > 0 && sentences.is_multiple_of(5) { "\n\n" } else { " " });
        text.push_str(&sentence);
        sentences += 1;
    }
    text
}

/// Why it will not answer.
pub(super) fn refusal(ask: &Ask) -> String {
    format!("{} I am sorry, but I can not help with that.", introduction(ask))
}

/// The words of a question that carry its meaning.
pub(super) fn content_words(question: &str) -> Vec<&str> {
    let words = question.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty() && !EMPTY_WORDS.contains(&&*word.to_lowercase())).collect()
}

fn introduction(ask: &Ask) -> String {
    let told = match ask.system.as_deref().map(|system| first_words(system, 12)) {
        Some(start) if !start.is_empty() => format!("told: {start}"),
        _ => "told nothing".to_owned(),
    };
    let mut text = format!("({}, {told})", ask.model);
    match ask.images {
        0 => {}
        1 => text.push_str(" I looked at the image."),
        images => text.push_str(&format!(" I looked at the {images} images.")),
    }
    if let Some(result) = &ask.tool_result {
        text.push_str(&format!(" The tool says: {}", first_words(result, 24)));
    }
    text
}

fn topic(question: &str) -> String {
    let words = content_words(question);
    let start: Vec<&str> = words.into_iter().take(5).collect();
    if start.is_empty() { "this".to_owned() } else { start.join(" ") }
}

fn sentence(topic: &str, dice: &mut Dice) -> String {
    let pattern = dice.pick(&PATTERNS);
    let mut said = String::with_capacity(pattern.len() + topic.len());
    for word in pattern.split_inclusive(' ') {
        let space = if word.ends_with(' ') { " " } else { "" };
        let bare = word.trim_end();
        let (slot, after) = bare.split_at_checked(2).unwrap_or((bare, ""));
        match slot {
            "@t" => said.push_str(topic),
            "@n" => said.push_str(dice.pick(&NOUNS)),
            "@a" => said.push_str(dice.pick(&ADJECTIVES)),
            "@v" => said.push_str(dice.pick(&VERBS)),
            _ => said.push_str(slot),
        }
        said.push_str(after);
        said.push_str(space);
    }
    capitalised(&said)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `@t` is the topic, `@n` a noun, `@a` an adjective, `@v` a verb.
const PATTERNS: [&str; 18] = [
    "with @t it helps to @v the @n before anything else.",
    "most people who ask about @t want a @a @n and a @a way to @v it.",
    "the @n matters more than the @n here.",
    "for @t, I would first @v the @n and only then @v the rest.",
    "a @a @n is often enough.",
    "when @t gets in the way, look at the @n and @v it in small steps.",
    "you can @v the @n without touching the @n.",
    "the short answer: @v the @n, keep it @a, and come back to @t later.",
    "there is a @a side to @t that is easy to miss.",
    "if the @n stays @a, nothing else has to change.",
    "one @a @n beats three that nobody can @v.",
    "think of @t as a @n that you @v every day.",
    "what makes @t hard is the @n, not the @n around it.",
    "start with the @a case and let the @n grow from there.",
    "nobody should have to @v a @n twice.",
    "the risk in @t is a @n that looks @a and is not.",
    "a good test for @t is whether a stranger could @v the @n.",
    "after that, @t mostly takes care of itself.",
];

const NOUNS: [&str; 20] = [
    "plan",
    "boundary",
    "example",
    "default",
    "queue",
    "name",
    "measurement",
    "list",
    "step",
    "question",
    "interface",
    "detail",
    "habit",
    "limit",
    "document",
    "tool",
    "reason",
    "budget",
    "draft",
    "signal",
];

const ADJECTIVES: [&str; 14] = [
    "small",
    "clear",
    "boring",
    "careful",
    "visible",
    "plain",
    "stable",
    "cheap",
    "quiet",
    "honest",
    "simple",
    "reversible",
    "patient",
    "direct",
];

const VERBS: [&str; 14] = [
    "write down",
    "check",
    "measure",
    "rename",
    "explain",
    "sketch",
    "limit",
    "test",
    "share",
    "simplify",
    "compare",
    "review",
    "describe",
    "finish",
];

const EMPTY_WORDS: [&str; 62] = [
    "a", "an", "the", "and", "or", "but", "if", "of", "in", "on", "at", "to", "for", "with", "by", "from",
    "is", "are", "was", "be", "been", "do", "does", "did", "can", "could", "should", "would", "will",
    "shall", "i", "me", "my", "we", "our", "you", "your", "he", "she", "it", "its", "they", "them", "this",
    "that", "what", "which", "who", "how", "why", "when", "where", "please", "tell", "give", "say", "use",
    "call", "so", "not", "no", "about",
];
