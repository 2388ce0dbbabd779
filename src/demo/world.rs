//! The configuration that the demo serves, and what its story calls the things in it.

use std::net::SocketAddr;

use super::tempo::Tempo;

/// The flag of the story.
pub(super) const FLAG: &str = "inference_model";
/// Its rule.
pub(super) const RULE: &str = "canary";
/// What the rule serves.
pub(super) const CANARY: &str = "claude-sonnet-4-6";
/// Who serves it.
pub(super) const CANARY_PROVIDER: &str = "anthropic";
/// What the flag serves to everybody else.
pub(super) const SAFE: &str = "gpt-4o";
/// The route of the flag.
pub(super) const ROUTE: &str = "assistant";
/// The route whose model is killed by hand.
pub(super) const DESK: &str = "support";
/// That model.
pub(super) const DESK_MODEL: &str = "claude-haiku-4-5";
/// The shadow of `ROUTE`.
pub(super) const SHADOW: &str = "mini";
/// So many times as long are the canary's answers when it goes wrong.
pub(super) const RAMBLING: f64 = 8.0;

const ROUTES: &str = include_str!("world/routes.toml");
const SHADOW_TOML: &str = include_str!("world/shadow.toml");

/// The configuration. `shadow`: with the shadow.
pub(super) fn text(tempo: &Tempo, data: SocketAddr, admin: SocketAddr, shadow: bool) -> String {
    let text = if shadow { format!("{ROUTES}{SHADOW_TOML}") } else { ROUTES.to_owned() };
    let put = [
        ("@listen@", data.to_string()),
        ("@admin@", admin.to_string()),
        ("@first_token@", tempo.first_token.to_owned()),
        ("@quick_first_token@", tempo.quick_first_token.to_owned()),
        ("@per_token@", tempo.per_token.to_owned()),
        ("@window@", tempo.window.to_owned()),
        ("@min_requests@", tempo.min_requests.to_string()),
        ("@cooldown@", tempo.cooldown.to_owned()),
        ("@shadow_percent@", tempo.shadow_percent.to_string()),
    ];
    put.into_iter().fold(text, |text, (mark, value)| text.replace(mark, &value))
}
