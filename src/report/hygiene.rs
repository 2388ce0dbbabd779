//! What of a configuration may be tidied up: flags past their date, rollouts that ended, what nobody asks for or names.
//!
//! Pure: the checked file, what holds at run time, and what was watched are arguments; see docs/hygiene.md for what each kind means.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::config::{Config, Unused, UnusedKind};
use crate::flags::{BUCKETS, Condition, Flag, Lifetime, Rule, Serve, VariantIndex};
use crate::names::{FlagKey, RuleName};
use crate::state::Override;
use crate::units::Percent;

/// A rollout that has been at 100 % for so long is over, unless somebody says otherwise.
pub const FULL_FOR: Duration = Duration::from_secs(14 * 86_400);
/// What nobody has asked for in so long is asked for by nobody, unless somebody says otherwise: weekends and the week's batch jobs
/// are within it.
pub const QUIET_FOR: Duration = Duration::from_secs(7 * 86_400);

/// `GET /hygiene`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hygiene {
    /// What was found, the kinds in their order, within a kind as the file has it.
    pub findings: Vec<Finding>,
    /// By what was judged.
    pub looked: Looked,
}

/// One thing to tidy up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Why.
    pub kind: Kind,
    /// What: `flag:KEY`, `segment:S`, `prompt:NAME`, `reply:R`, `model:M`, `provider:P`, `judge:J`, `breaker:B`, `route:R`.
    pub what: String,
    /// Who answers for it; null: the file does not say.
    pub owner: Option<String>,
    /// Since when it is so, at least; null: that is not known.
    pub since: Option<String>,
    /// What is the matter and how to mend it, in a sentence.
    pub says: String,
}

/// Why something is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A flag past its `expires`.
    Expired,
    /// A rule at 100 % for long: its rollout is over.
    FullForLong,
    /// A flag that decides on a route, and that no request asked for in long.
    NeverEvaluated,
    /// Declared, and nothing uses it.
    Unused,
}

/// By what was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Looked {
    /// When.
    pub at: String,
    /// 100 % for so many seconds is long.
    pub full_for_s: u64,
    /// Nobody asking for so many seconds is long.
    pub quiet_for_s: u64,
    /// Since when this gateway has watched its requests, over restarts; null: only the file was read.
    pub watched_since: Option<String>,
    /// `read`: the records of all gateways were asked too; `off`: none are kept; or why they could not be read.
    pub record: String,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Expired, Self::FullForLong, Self::NeverEvaluated, Self::Unused];

    /// As JSON, metrics and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::FullForLong => "full_for_long",
            Self::NeverEvaluated => "never_evaluated",
            Self::Unused => "unused",
        }
    }

    /// From that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How long is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A rule at 100 %.
    pub full_for: Duration,
    /// A flag, or a model, that nobody asks for.
    pub quiet_for: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { full_for: FULL_FOR, quiet_for: QUIET_FOR }
    }
}

/// What was watched while requests came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watched {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Flags, by key.
    pub flags: BTreeMap<String, Quiet>,
    /// Models, by name.
    pub models: BTreeMap<String, Quiet>,
    /// Since when each rule that is at 100 % now was seen there.
    pub full: BTreeMap<(FlagKey, RuleName), FullSince>,
    /// As [`Looked::record`].
    pub record: String,
}

/// How long nobody has asked for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quiet {
    /// When it was asked for last, or first watched where it never was, in milliseconds since 1970.
    pub since_ms: u64,
    /// It was asked for then.
    pub asked: bool,
    /// For so long somebody was there to see it, and nobody asked.
    pub quiet_s: u64,
}

/// Since when a rule gives one variant to all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FullSince {
    /// In milliseconds since 1970.
    pub since_ms: u64,
    /// Which.
    pub variant: String,
}

/// What holds at run time.
pub type Overrides = BTreeMap<(FlagKey, RuleName), Override>;

/// A rule that gives one variant to all whom it is for.
#[derive(Clone, Copy, Debug)]
pub struct Full<'a> {
    /// Its flag.
    pub flag: &'a Flag,
    /// The rule.
    pub rule: &'a Rule,
    /// What it gives.
    pub variant: VariantIndex,
    /// What was set at run time, where that made it so.
    pub set: Option<&'a Override>,
}

/// What is worth a look. `watched`: `None` where only the file is known.
pub fn hygiene(
    config: &Config,
    overrides: &Overrides,
    watched: Option<&Watched>,
    patience: Patience,
    now_ms: u64,
) -> Hygiene {
    let mut findings = Vec::new();
    findings.extend(config.flags.iter().filter_map(|flag| expired(config, flag, now_ms)));
    if let Some(watched) = watched {
        let long = millis(patience.full_for);
        let rules = full(config, overrides).into_iter();
        findings.extend(rules.filter_map(|rule| full_for_long(config, rule, watched, long, now_ms)));
        let quiet = config.flags.iter().filter_map(|flag| never_evaluated(config, flag, watched, patience));
        findings.extend(quiet);
    }
    findings.extend(config.unused.iter().filter_map(|one| unused(config, one, watched, patience)));
    let looked = Looked {
        at: clock::rfc3339(now_ms),
        full_for_s: patience.full_for.as_secs(),
        quiet_for_s: patience.quiet_for.as_secs(),
        watched_since: watched.map(|watched| clock::rfc3339(watched.since_ms)),
        record: watched.map_or_else(|| "off".to_owned(), |watched| watched.record.clone()),
    };
    Hygiene { findings, looked }
}

/// Every rule of a flag that is to go some day, and at 100 % now: one that is for everybody, or that was raised so far at run time. A
/// rule with a `when` that the file itself gives 100 % is no rollout that ended, but says who gets what.
pub fn full<'a>(config: &'a Config, overrides: &'a Overrides) -> Vec<Full<'a>> {
    let mut found = Vec::new();
    for flag in config.flags.iter().filter(|flag| flag.lifetime != Lifetime::Permanent) {
        for rule in &flag.rules {
            let file = rule.serve.percent();
            let set =
                overrides.get(&(flag.key.clone(), rule.name.clone())).filter(|set| set.replaced == file);
            if set.map_or(file, |set| set.percent) != Percent::FULL {
                continue;
            }
            let for_all = matches!(rule.when, Condition::Always);
            if let Some(variant) = only_variant(&rule.serve).filter(|_| for_all || set.is_some()) {
                found.push(Full { flag, rule, variant, set });
            }
            if for_all {
                // Nobody gets to the rules below it.
                break;
            }
        }
    }
    found
}

fn only_variant(serve: &Serve) -> Option<VariantIndex> {
    match serve {
        Serve::One { variant, .. } => Some(*variant),
        Serve::Split { slices, .. } => {
            slices.iter().find(|slice| slice.width == BUCKETS).map(|slice| slice.variant)
        }
    }
}

fn expired(config: &Config, flag: &Flag, now_ms: u64) -> Option<Finding> {
    let Lifetime::Expires(at_s) = flag.lifetime else { return None };
    let at_ms = u64::try_from(at_s).unwrap_or(0).saturating_mul(1000);
    (at_ms <= now_ms).then(|| {
        let (key, day) = (&flag.key, day(at_ms));
        let says = match slots(config, flag) {
            None => format!("`{key}` was to be gone on {day}: delete [flags.{key}], no route uses it"),
            Some(slots) => format!(
                "`{key}` was to be gone on {day} and still decides on {slots}: write there what it serves and delete \
                 [flags.{key}], or give it a new `expires`"
            ),
        };
        of_flag(Kind::Expired, flag, Some(at_ms), says)
    })
}

fn full_for_long(
    config: &Config,
    full: Full<'_>,
    watched: &Watched,
    long_ms: u64,
    now_ms: u64,
) -> Option<Finding> {
    let Full { flag, rule, variant, set } = full;
    let since_ms = watched.full.get(&(flag.key.clone(), rule.name.clone()))?.since_ms;
    if now_ms.saturating_sub(since_ms) < long_ms {
        return None;
    }
    let value = flag.variant(variant).map_or("", |one| one.name.as_str());
    let (key, name) = (&flag.key, &rule.name);
    let from = day(since_ms);
    let slots = slots(config, flag)?;
    let says = match (&rule.when, set) {
        (Condition::Always, None) => format!(
            "rule `{name}` of `{key}` has given `{value}` to everybody since {from} or longer: write it on {slots} and delete \
             [flags.{key}]"
        ),
        (Condition::Always, Some(set)) => format!(
            "rule `{name}` of `{key}` has given `{value}` to everybody since {from}, set by {} at run time: write it on {slots} \
             and delete [flags.{key}]",
            set.by
        ),
        (_, set) => format!(
            "rule `{name}` of `{key}` has been at 100 % since {from}, set by {} at run time: take its `percent` out of the file \
             and reset it (`dimmer flags reset {key}`), so that the file says what holds",
            set.map_or("somebody", |set| &set.by)
        ),
    };
    Some(of_flag(Kind::FullForLong, flag, Some(since_ms), says))
}

fn never_evaluated(config: &Config, flag: &Flag, watched: &Watched, patience: Patience) -> Option<Finding> {
    // What no route uses is unused.
    let slots = slots(config, flag)?;
    let quiet = long_quiet(watched.flags.get(flag.key.as_str()), patience)?;
    let (key, since) = (&flag.key, day(quiet.since_ms));
    let says = if quiet.asked {
        format!(
            "no request has asked for `{key}` since {since}: does an app still call {slots}? Else delete [flags.{key}]"
        )
    } else {
        format!(
            "no request has ever asked for `{key}`, watched since {since}: does an app call {slots}? Else delete [flags.{key}]"
        )
    };
    Some(of_flag(Kind::NeverEvaluated, flag, Some(quiet.since_ms), says))
}

fn unused(config: &Config, one: &Unused, watched: Option<&Watched>, patience: Patience) -> Option<Finding> {
    let (kind, name) = (one.kind.as_str(), &one.name);
    let table = format!("[{}.{name}] on line {}", one.kind.table(), one.line);
    let mut since_ms = None;
    let says = match one.kind {
        UnusedKind::Flag => format!("no route uses flag `{name}`: bind it to a slot, or delete {table}"),
        UnusedKind::Route => format!(
            "nobody reaches route `{name}`, which has no path and no alias and is not called default: give it a `path`, or \
             delete {table}"
        ),
        UnusedKind::Model if one.askable => {
            // Only watching tells: callers may ask for it by its name.
            let quiet = long_quiet(watched?.models.get(&**name), patience)?;
            since_ms = Some(quiet.since_ms);
            format!(
                "nothing in the file names model `{name}`, and no caller was answered by it since {}: delete {table}",
                day(quiet.since_ms)
            )
        }
        _ => format!("nothing uses {kind} `{name}`: delete {table}"),
    };
    let flag = config.flags.iter().find(|flag| one.kind == UnusedKind::Flag && flag.key.as_str() == &**name);
    Some(Finding {
        kind: Kind::Unused,
        what: format!("{kind}:{name}"),
        owner: flag.map(|flag| flag.owner.clone()).filter(|owner| !owner.is_empty()),
        since: since_ms.map(clock::rfc3339),
        says,
    })
}

fn long_quiet(quiet: Option<&Quiet>, patience: Patience) -> Option<Quiet> {
    // Who asks just now is not quiet, however little patience there is.
    let quiet = quiet.copied().filter(|quiet| !quiet.asked || quiet.quiet_s > 0);
    quiet.filter(|quiet| quiet.quiet_s >= patience.quiet_for.as_secs())
}

fn of_flag(kind: Kind, flag: &Flag, since_ms: Option<u64>, says: String) -> Finding {
    let owner = Some(flag.owner.clone()).filter(|owner| !owner.is_empty());
    Finding { kind, what: format!("flag:{}", flag.key), owner, since: since_ms.map(clock::rfc3339), says }
}

/// Where a flag decides, as the file spells it: `assistant.model, search.model`; `None`: nowhere.
fn slots(config: &Config, flag: &Flag) -> Option<String> {
    let of_route = |route: &std::sync::Arc<crate::config::Route>| -> Vec<String> {
        let slots = route.flagged_slots().into_iter().filter(|(_, one)| one.key == flag.key);
        slots.map(|(slot, _)| format!("{}.{slot}", route.name)).collect()
    };
    let all: Vec<String> = config.routes.iter().flat_map(of_route).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn day(at_ms: u64) -> String {
    clock::rfc3339(at_ms).chars().take_while(|sign| *sign != 'T').collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
