//! The system prompt of a request of the Responses API: the field `instructions`, then the items of role `system` or
//! `developer` that stand first in `input`.
//!
//! `instructions` concerns one answer and is not kept by the provider; items are. So a prompt goes into `instructions`
//! wherever it may, and a conversation that the provider holds never collects it once for each turn.

use bytes::Bytes;

use super::{BLANK_LINE, Edits, PromptMode, string};
use crate::wire::json::{JsonError, Kind, Span};

/// What the field `instructions` holds.
#[derive(Clone, Copy)]
enum Instructions {
    /// Not there, or empty: `null`, `""`.
    Empty,
    Text(Span),
    Other(Span),
}

impl Edits<'_> {
    pub(super) fn responses_prompt(&mut self, mode: PromptMode, text: &[u8]) -> Result<(), JsonError> {
        let field = self.instructions();
        let leading = self.view.leading_system(&self.body);
        match (mode, field, leading.as_slice()) {
            (PromptMode::Replace, ..) => self.replace_items(field, text)?,
            (PromptMode::IfAbsent, Instructions::Empty, []) if !self.has_stored_prompt() => {
                self.set_instructions(text);
            }
            (PromptMode::IfAbsent, ..) => {}
            (PromptMode::Append, _, [.., last]) => self.message_after(last, text),
            (_, Instructions::Empty, _) => self.set_instructions(text),
            (PromptMode::Prepend, Instructions::Text(value), _) => {
                self.insert(value.inside().start, &[text, BLANK_LINE]);
            }
            (PromptMode::Append, Instructions::Text(value), _) => {
                self.insert(value.inside().end, &[BLANK_LINE, text]);
            }
            (_, Instructions::Other(value), _) => {
                return self.wrong_kind("the field \"instructions\" is no text", Some(value));
            }
        }
        Ok(())
    }

    /// All leading content becomes one: the field where the app used it, else the first item. Only an item can hold a
    /// cache marker, so where there is one the field goes.
    fn replace_items(&mut self, field: Instructions, text: &[u8]) -> Result<(), JsonError> {
        let leading = self.view.leading_system(&self.body);
        let in_field = !matches!(field, Instructions::Empty);
        let marked = self.last_marker(&leading).is_some();
        match leading.first() {
            Some(first) if marked || !in_field => {
                self.replace_in_messages(first, &leading, text, "input_text")?;
                self.take_out("input", &leading, 1);
                if in_field {
                    self.top.drop(&self.body, NAME);
                }
            }
            _ => {
                self.set_instructions(text);
                self.take_out("input", &leading, 0);
            }
        }
        Ok(())
    }

    fn instructions(&self) -> Instructions {
        let Some(value) = self.view.value(&self.body, NAME) else { return Instructions::Empty };
        match Kind::of(value.of(&self.body)) {
            Kind::Null => Instructions::Empty,
            Kind::String if value.of(&self.body) == b"\"\"" => Instructions::Empty,
            Kind::String => Instructions::Text(value),
            Kind::Object | Kind::Array | Kind::Number | Kind::Bool => Instructions::Other(value),
        }
    }

    fn set_instructions(&mut self, text: &[u8]) {
        if !self.closed.iter().any(|closed| closed == NAME) {
            self.top.set(&self.body, NAME, Bytes::from(string(text)));
        }
    }

    /// A template that the provider holds: what is in it is not known here, and it may well be a system prompt.
    fn has_stored_prompt(&self) -> bool {
        let prompt = self.view.value(&self.body, "prompt");
        prompt.is_some_and(|prompt| Kind::of(prompt.of(&self.body)) == Kind::Object)
    }
}

const NAME: &str = "instructions";
