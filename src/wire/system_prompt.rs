//! Where a system prompt lives in each API's request, and how another one gets there.

/// `system_prompt.mode`: what becomes of the system prompt that the app sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PromptMode {
    /// All leading system content becomes one block; the last cache marker stays.
    #[default]
    Replace,
    /// Before the app's own.
    Prepend,
    /// After the app's own.
    Append,
    /// Only where the app sends none.
    IfAbsent,
}
