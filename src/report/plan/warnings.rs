//! What to think of before another file serves, and what nobody could know of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::side::{Side, SideFlag};
use super::tally::{Pair, Tally};
use super::{Question, Seen, differences, percent_at, rule_of, words};
use crate::config::{AttributeSpec, Config};
use crate::flags::{Attribute, By, Flag, Rule, Serve, Slice, Variant};
use crate::names::KillTarget;
use crate::record::Look;
use crate::state::RunState;
use crate::units::Percent;

/// With fewer to compare with, nobody sees what a variant does.
const CONTROL_MIN: u32 = 50_000;

/// All of them, the flags' first.
pub(super) fn of(question: &Question<'_>, pairs: &[Pair<'_, '_>], tallies: &[Tally]) -> Vec<String> {
    let mut all = Vec::new();
    for (pair, tally) in pairs.iter().zip(tallies) {
        of_rules(pair, &mut all);
        of_flag(question, pair, tally, &mut all);
    }
    let Question { new, state, .. } = *question;
    all.extend(dropped(new, state));
    all.extend(orphans(new, state));
    all.extend(at_the_next_start(question));
    all.extend(new.warnings.iter().cloned());
    all
}

fn of_rules(pair: &Pair<'_, '_>, all: &mut Vec<String>) {
    let Some(new) = pair.new else { return };
    let key = &new.flag.key;
    for (place, rule) in new.flag.rules.iter().enumerate() {
        let was = rule_of(pair.now, &rule.name);
        let Some(percent) = percent_at(new, place) else { continue };
        if words::is_drawn_anew(was, Some((rule, percent))) {
            let what = match was.is_some_and(|(was, _)| was.by != rule.by) {
                true => "`by`",
                false => "salt",
            };
            all.push(format!(
                "flag `{key}`: rule `{}` has another {what}: everybody is drawn anew, and who has a variant now says nothing of who \
                 will",
                rule.name
            ));
        }
        if let (Some((was, _)), Serve::Split { slices, .. }) = (was, &rule.serve)
            && let Serve::Split { slices: before, .. } = &was.serve
            && slots(pair.now.map(|one| one.flag), before) != slots(Some(new.flag), slices)
        {
            all.push(format!(
                "flag `{key}`: rule `{}` splits otherwise: slots move on the ring, and users between variants with them",
                rule.name
            ));
        }
        let few = |(rule, percent): (&Rule, Percent), flag: &Flag| is_without_control(flag, rule, percent);
        let had = was.zip(pair.now).is_some_and(|(was, now)| few(was, now.flag));
        if few((rule, percent), new.flag) && !had {
            all.push(format!(
                "flag `{key}`: rule `{}` leaves less than 5 % to compare with: nobody will see what its variants do",
                rule.name
            ));
        }
    }
}

/// Each variant's name and slot.
fn slots(flag: Option<&Flag>, slices: &[Slice]) -> Vec<(String, u32, u32)> {
    let name = |slice: &Slice| {
        let variant = flag.and_then(|flag| flag.variant(slice.variant));
        variant.map_or_else(String::new, |variant| variant.name.to_string())
    };
    slices.iter().map(|slice| (name(slice), slice.start, slice.width)).collect()
}

/// Some are drawn, and hardly anybody gets the default. Who gives a variant to all or to none compares nothing.
fn is_without_control(flag: &Flag, rule: &Rule, percent: Percent) -> bool {
    let whole = Percent::FULL.ppm();
    let control = match &rule.serve {
        Serve::One { .. } => whole.saturating_sub(percent.ppm()),
        Serve::Split { slices, .. } => {
            let of_default = slices.iter().filter(|slice| slice.variant == flag.default);
            let within: u32 = of_default.map(|slice| slice.covered(percent)).sum();
            within.saturating_add(whole.saturating_sub(percent.ppm()))
        }
    };
    let draws = match &rule.serve {
        Serve::One { .. } => percent != Percent::FULL,
        // Several variants may be compared with each other.
        Serve::Split { slices, .. } => slices.iter().any(|slice| slice.variant == flag.default),
    };
    draws && percent != Percent::ZERO && control < CONTROL_MIN
}

fn of_flag(question: &Question<'_>, pair: &Pair<'_, '_>, tally: &Tally, all: &mut Vec<String>) {
    let (Some(now), Some(new)) = (pair.now, pair.new) else { return };
    let key = &now.flag.key;
    let name = |flag: &Flag, variant| {
        flag.variant(variant).map_or_else(String::new, |variant| variant.name.to_string())
    };
    let (was, is) = (name(now.flag, now.flag.default), name(new.flag, new.flag.default));
    if was != is {
        all.push(format!(
            "flag `{key}`: its default was `{was}`, is `{is}`: all whom no rule takes move, those without a key too, who are not \
             counted here"
        ));
    }
    let gone = now
        .flag
        .variants
        .iter()
        .filter(|variant| new.flag.variants.iter().all(|one| one.name != variant.name));
    for variant in gone {
        let has = match tally.has(&variant.name) {
            0 => "nobody who was seen has it".to_owned(),
            users => format!("{users} of those who were seen have it now"),
        };
        let pinned = match is_pinned(question.now, now) {
            true => "; conversations that are pinned to it are drawn anew",
            false => "",
        };
        all.push(format!("flag `{key}`: its variant `{}` is gone: {has}{pinned}", variant.name));
    }
    if new.killed {
        all.push(format!(
            "flag `{key}` is killed, and stays so: nothing that its rules say counts until it is revived"
        ));
    }
    let killed = |variant: &&Variant| {
        let target = KillTarget::Variant(key.clone(), variant.name.clone());
        question.state.kills.contains_key(&target)
    };
    for variant in new.flag.variants.iter().filter(killed) {
        all.push(format!(
            "flag `{key}`: its variant `{}` is killed, and stays so: who is to get it gets the default",
            variant.name
        ));
    }
}

fn is_pinned(config: &Config, flag: &SideFlag<'_>) -> bool {
    config.routes.iter().any(|route| route.pin && flag.routes.contains(route.name.as_str()))
}

/// Overrides that count now and will not.
fn dropped(new: &Config, state: &RunState) -> Vec<String> {
    let lost = state.overrides.iter().filter_map(|((key, rule), set)| {
        let flag = new.flags.iter().find(|flag| flag.key == *key);
        let file = flag.and_then(|flag| Some(flag.rule(rule)?.serve.percent()));
        if file == Some(set.replaced) {
            return None;
        }
        let says = file.map_or_else(|| "has no such rule".to_owned(), |file| format!("says {file} %"));
        Some(format!(
            "flag `{key}`: rule `{rule}` was set to {} % by {} when the file said {} %; the new file {says}, and what was set is \
             dropped",
            set.percent, set.by, set.replaced
        ))
    });
    lost.collect()
}

/// What is killed and would not be there any more.
fn orphans(new: &Config, state: &RunState) -> Vec<String> {
    let is_there = |target: &KillTarget| match target {
        KillTarget::All | KillTarget::Flags | KillTarget::Model(_) | KillTarget::Tool(_) => true,
        KillTarget::Route(name) => new.routes.iter().any(|route| route.name == *name),
        KillTarget::Flag(key) => new.flags.iter().any(|flag| flag.key == *key),
        KillTarget::Variant(key, name) => {
            let mut flags = new.flags.iter().filter(|flag| flag.key == *key);
            flags.any(|flag| flag.variants.iter().any(|variant| variant.name == *name))
        }
        KillTarget::Provider(name) => new.providers.iter().any(|provider| provider.name == *name),
        KillTarget::Shadow(route, name) => {
            let mut routes = new.routes.iter().filter(|one| one.name == *route);
            routes.any(|route| route.shadows.iter().any(|shadow| *shadow.name == **name))
        }
    };
    let gone = state.kills.keys().filter(|target| !is_there(target));
    gone.map(|target| {
        format!("{target} is killed, and the new file has no such thing: the kill stands, and counts again should it come back")
    })
    .collect()
}

/// Keys that are read once.
fn at_the_next_start(question: &Question<'_>) -> Vec<String> {
    let keys = ["server.listen", "server.workers", "admin.listen", "state", "records"];
    let value = |config: &Config, key: &str| -> Option<Value> {
        key.split('.').try_fold(config.written.clone(), |value, part| value.get(part).cloned())
    };
    let has_tls = |config: &Config| value(config, "server.tls").is_some();
    // Another certificate is taken at once; whether there is one is not.
    let tls = (has_tls(question.now) != has_tls(question.new)).then_some(&"server.tls");
    let differs = keys.iter().filter(|key| value(question.now, key) != value(question.new, key));
    differs.chain(tls).map(|key| format!("{key} takes effect with the next start")).collect()
}

/// What could not be known, and what was not looked at.
pub(super) fn notes(question: &Question<'_>, seen: &Seen) -> Vec<String> {
    let Question { now, new, look, state, .. } = *question;
    let mut all = of_look(look, seen);
    let secrets = unseen_secrets(now, new);
    if !secrets.is_empty() {
        all.push(format!(
            "secrets are not looked at here, and these are new with the file: see that the gateway has them: {}",
            secrets.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    let sources =
        |config: &Config| (config.context.targeting_key.clone(), config.context.headers_from.clone());
    if sources(now) != sources(new) {
        all.push(
            "the file takes users from elsewhere, or believes others: they are counted as they are known now"
                .to_owned(),
        );
    }
    if now.written.get("clients") != new.written.get("clients") {
        all.push("the file has other clients: users are counted as if their apps may still call, and were believed as now".to_owned());
    }
    let unnoted = unnoted(now, new);
    if !unnoted.is_empty() {
        all.push(format!(
            "no flag of the file that serves looks at {}: it was noted of nobody, and users whom it decides about are counted as open",
            unnoted.join(", ")
        ));
    }
    if state.kills.contains_key(&KillTarget::Flags) {
        all.push("flags are killed: nobody gets what is counted here until they are revived".to_owned());
    }
    if new.routes.iter().any(|route| route.pin) {
        all.push("conversations that are pinned keep the variants that they have until they end".to_owned());
    }
    if differences::of_users(now, new) {
        all.push(
            "models with `allow` are guarded by it, whoever chose them: that is not counted here".to_owned(),
        );
    }
    all
}

fn of_look(look: Option<&Look>, seen: &Seen) -> Vec<String> {
    let Some(look) = look else {
        return vec![
            "nobody was counted: without records (records.url = \"none\") no user is noted, and only the files are compared"
                .to_owned(),
        ];
    };
    let mut all = Vec::new();
    if look.users == 0 {
        all.push(format!("nobody was counted: no user with a targeting key was seen since {}", seen.since));
    } else {
        all.push(
            "counted are users with a targeting key whom this gateway saw, each as they were last seen on a route; callers without a \
             key get what rules for everybody and the default say"
                .to_owned(),
        );
    }
    if !look.whole {
        all.push(format!(
            "of about {} users {} were looked at, a sample that has nothing to do with what they do or get: shares are true to {}",
            look.of,
            look.users,
            within(look.users)
        ));
    }
    if look.too_long > 0 {
        all.push(format!(
            "{} requests had a targeting key of more than 256 bytes: their users are not noted",
            look.too_long
        ));
    }
    all
}

/// Two standard errors of a share of one half, the widest.
fn within(users: u64) -> String {
    format!("{:.1} percentage points", 100.0 / (users.max(1) as f64).sqrt())
}

/// References to secrets that only the new file has.
fn unseen_secrets(now: &Config, new: &Config) -> BTreeSet<String> {
    let mut sets = [BTreeSet::new(), BTreeSet::new()];
    for (set, config) in sets.iter_mut().zip([now, new]) {
        references(&config.written, set);
    }
    let [was, is] = sets;
    is.difference(&was).cloned().collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with("${") && text.ends_with('}') => found.extend([text.clone()]),
        Value::Array(list) => list.iter().for_each(|one| references(one, found)),
        Value::Object(table) => table.values().for_each(|one| references(one, found)),
        _ => {}
    }
}

/// Attributes that rules of the new file look at, and none of what serves.
fn unnoted(now: &Config, new: &Config) -> Vec<String> {
    let noted = looked_at(now);
    let fresh = looked_at(new).into_iter().filter(|name| !noted.contains(name));
    fresh.collect()
}

fn looked_at(config: &Config) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let spec = |place: u16| -> Option<&AttributeSpec> { config.context.attributes.get(usize::from(place)) };
    for rule in config.flags.iter().flat_map(|flag| &flag.rules) {
        let mut look = |attribute| match attribute {
            Attribute::Custom(place) => names.extend(spec(place).map(|spec| spec.name.to_string())),
            Attribute::Conversation => names.extend(["conversation".to_owned()]),
            Attribute::RequestModel => names.extend(["request.model".to_owned()]),
            Attribute::RequestTools => names.extend(["request.tools".to_owned()]),
            _ => {}
        };
        rule.when.attributes(&mut look);
        match rule.by {
            By::Attribute(place) => look(Attribute::Custom(place)),
            By::Conversation => look(Attribute::Conversation),
            By::TargetingKey | By::Client | By::Request => {}
        }
    }
    names
}

/// What a preview cannot know.
pub(super) fn of_preview(config: &Config, state: &RunState, flag: &SideFlag<'_>, look: &Look) -> Vec<String> {
    let mut all = Vec::new();
    if !look.whole {
        all.push(format!(
            "of about {} users {} were looked at: shares are true to {}",
            look.of,
            look.users,
            within(look.users)
        ));
    }
    if flag.killed || state.kills.contains_key(&KillTarget::Flags) {
        all.push("it is killed: no percentage counts until it is revived".to_owned());
    }
    if is_pinned(config, flag) {
        all.push("conversations that are pinned keep what they have until they end".to_owned());
    }
    let unused = Side::new(config, state).flag(&flag.flag.key).is_some_and(|flag| flag.routes.is_empty());
    if unused {
        all.push("no route asks it for a request that generates".to_owned());
    }
    all
}
