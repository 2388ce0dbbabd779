//! What `/metrics` says of requests: the one family that the demo reads, as a scraper gets it.

use crate::observe::{Outcome, REQUESTS_TOTAL};

/// A series of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) route: String,
    pub(super) model: String,
    pub(super) outcome: String,
    pub(super) requests: u64,
}

impl Counted {
    /// A caller got an error, or only a part of an answer.
    pub(super) fn failed(&self) -> bool {
        let answered = [Outcome::Ok, Outcome::Reply, Outcome::Refused];
        !answered.iter().any(|outcome| outcome.as_str() == self.outcome)
    }
}

/// How many there are of those that count.
pub(super) fn sum(all: &[Counted], counts: impl Fn(&Counted) -> bool) -> u64 {
    all.iter().filter(|one| counts(one)).map(|one| one.requests).sum()
}

/// Reads them.
pub(super) fn counted(text: &str) -> Vec<Counted> {
    text.lines().filter_map(|line| line.strip_prefix(REQUESTS_TOTAL)).filter_map(series).collect()
}

/// `{model="m",outcome="ok",route="r"} 12`
fn series(rest: &str) -> Option<Counted> {
    let (labels, value) = rest.strip_prefix('{')?.rsplit_once("} ")?;
    let label = |name: &str| {
        let (_, behind) = labels.split_once(&format!("{name}=\""))?;
        behind.split_once('"').map(|(value, _)| value.to_owned())
    };
    Some(Counted {
        route: label("route")?,
        model: label("model")?,
        outcome: label("outcome")?,
        requests: value.trim().parse::<f64>().ok()? as u64,
    })
}
