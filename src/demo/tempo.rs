//! The times and amounts of a run: the same story, fast or at a pace at which one can watch it.

use std::time::Duration;

/// What differs between the two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    /// Requests in a second.
    pub(super) per_second: u32,
    /// A chapter lasts as long at least, so that it can be seen in a graph.
    pub(super) chapter: Duration,
    /// Between two lines that say how things stand.
    pub(super) between_lines: Duration,
    /// Requests that are enough to say that the traffic is steady.
    pub(super) steady: u64,
    /// Answers of the canary that are enough to say how long they usually are.
    pub(super) usual: u64,
    /// Answers of those who stand in that are enough to say that they do.
    pub(super) enough: u64,
    /// Of the configuration: the breakers' window.
    pub(super) window: &'static str,
    /// Of the configuration: so many attempts before one trips.
    pub(super) min_requests: u32,
    /// Of the configuration: how long a model is left alone.
    pub(super) cooldown: &'static str,
    /// Of the configuration: the share of requests that the shadow copies.
    pub(super) shadow_percent: u32,
    /// Of the simulated models: the mean wait before the first token.
    pub(super) first_token: &'static str,
    /// The same of the shadow's candidate.
    pub(super) quick_first_token: &'static str,
    /// Of the simulated models: the mean wait between two tokens.
    pub(super) per_token: &'static str,
}

/// All in a minute on an idle machine.
pub(super) const FAST: Tempo = Tempo {
    per_second: 30,
    chapter: Duration::from_secs(6),
    between_lines: Duration::from_secs(3),
    steady: 100,
    usual: 15,
    enough: 12,
    window: "30s",
    min_requests: 20,
    cooldown: "10s",
    shadow_percent: 80,
    first_token: "200ms",
    quick_first_token: "60ms",
    per_token: "1ms",
};

/// About five minutes: a scrape each few seconds sees every chapter.
pub(super) const SLOW: Tempo = Tempo {
    per_second: 20,
    chapter: Duration::from_secs(40),
    between_lines: Duration::from_secs(10),
    steady: 300,
    usual: 60,
    enough: 60,
    window: "2m",
    min_requests: 40,
    cooldown: "30s",
    shadow_percent: 30,
    first_token: "180ms",
    quick_first_token: "90ms",
    per_token: "10ms",
};

/// Whatever is waited for comes much earlier: this is for a machine that hardly gets to it.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
