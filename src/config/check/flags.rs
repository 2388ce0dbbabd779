//! `[flags]`: variants, rules, and how each rule shares its callers out.

use std::sync::Arc;

use toml::de::DeValue;

use crate::config::check::attributes::Attributes;
use crate::config::check::check_name;
use crate::config::check::conditions::when;
use crate::config::check::segments::Segments;
use crate::config::check::slots::{self, SlotKind};
use crate::config::check::variants::{Use, Variants};
use crate::config::quantity::{day_start_s, did_you_mean};
use crate::config::read::{At, Table, number};
use crate::flags::{
    BUCKETS, By, Flag, Lifetime, Rule, Serve, Slice, Takes, VariantIndex, coverage, salt_seed,
};
use crate::names::{FlagKey, RuleName};
use crate::units::Percent;

/// A flag, and where the file says what it serves.
pub(super) struct Drafted<'d> {
    /// The flag.
    pub(super) flag: Arc<Flag>,
    /// Every place where the file names a value.
    pub(super) uses: Vec<Use>,
    /// Its table.
    pub(super) table: Table<'d>,
}

/// What all flags of a file are read with.
struct Reading<'r, 'd> {
    root: &'r Table<'d>,
    attributes: &'r Attributes<'r, 'd>,
    segments: &'r Segments,
    bindings: slots::Bindings<'d>,
}

/// Reads `[flags]`.
pub(super) fn flags<'d>(
    root: &Table<'d>,
    attributes: &Attributes<'_, 'd>,
    segments: &Segments,
) -> Vec<Drafted<'d>> {
    let reading = Reading { root, attributes, segments, bindings: slots::bindings(root) };
    root.named("flags").into_iter().map(|(name, table)| reading.flag(&name, table)).collect()
}

/// What stands behind `dimmer flags` and is no flag.
const COMMANDS: [&str; 4] = ["export", "help", "reset", "set"];

/// Such a flag decides like any other; only the command line would take its name for something else.
fn warn_of_command(table: &Table<'_>, name: &At<&str>) {
    if COMMANDS.contains(&name.value) {
        let message = format!(
            "`dimmer flags {0}` is a command: this flag is shown by `dimmer flags -- {0}`; another name is easier to live with",
            name.value
        );
        table.warn(&name.span, &message);
    }
}

impl<'d> Reading<'_, 'd> {
    fn flag(&self, name: &At<&'d str>, table: Table<'d>) -> Drafted<'d> {
        check_name(&table, name, "");
        warn_of_command(&table, name);
        let bound = self.bindings.get(name.value).map(Vec::as_slice).unwrap_or_default();
        let mut variants = Variants::declared(&table);
        let default = match table.written("default") {
            Some(at) => variants.serve(&at, "default is"),
            None => VariantIndex(0),
        };
        let rules = self.rules(&table, name, &mut variants);
        let off = match table.written("off") {
            Some(at) => variants.serve(&at, "off is"),
            None if bound.contains(&SlotKind::Enabled) => variants.off_of_enabled(name).unwrap_or(default),
            None if bound.contains(&SlotKind::DeniedTools) => variants.off_of_tools(name).unwrap_or(default),
            None => default,
        };
        let (variants, uses) = variants.finish();
        let flag = Flag {
            key: FlagKey::from(name.value),
            description: text(&table, "description"),
            owner: text(&table, "owner"),
            lifetime: lifetime(&table, name),
            variants,
            default,
            off,
            rules,
        };
        let drafted = Drafted { flag: Arc::new(flag), uses, table };
        self.check_fit(&drafted, bound);
        check_reach(&drafted);
        drafted
    }

    fn rules(&self, table: &Table<'d>, flag: &At<&str>, variants: &mut Variants<'d>) -> Vec<Rule> {
        table.written("hash");
        let flag_by = by(table, self.attributes).unwrap_or(By::TargetingKey);
        let flag_salt = table.text("salt").map_or(flag.value, |at| at.value);
        let mut rules: Vec<Rule> = Vec::new();
        for rule in table.tables("rules") {
            let name = rule.text("name");
            if let Some(name) = &name {
                check_name(&rule, name, "");
                if rules.iter().any(|other| other.name.as_str() == name.value) {
                    rule.error(&name.span, "another rule of the flag has this name: choose another");
                }
            }
            let salt = rule.text("salt").map_or(flag_salt, |at| at.value);
            rules.push(Rule {
                name: RuleName::from(name.map_or("", |at| at.value)),
                when: when(&rule, self.attributes, self.segments),
                by: by(&rule, self.attributes).unwrap_or(flag_by),
                seed: salt_seed(salt),
                serve: serve(&rule, variants),
            });
        }
        if rules.len() > usize::from(u16::MAX) {
            table.error_at("rules", &table.span, "there are more than 65535");
        }
        rules
    }

    /// Every value must fit every slot that uses the flag.
    fn check_fit(&self, drafted: &Drafted<'_>, bound: &[SlotKind]) {
        for kind in bound {
            for used in &drafted.uses {
                let variant = drafted.flag.variant(used.variant);
                if let Some(why) = variant.and_then(|variant| kind.refuses(&variant.value, self.root)) {
                    drafted.table.error(&used.span, &format!("{}, {why}", used.said));
                }
            }
        }
    }
}

/// The `by` of a flag, a rule or a shadow, if it has one.
pub(super) fn by(table: &Table<'_>, attributes: &Attributes<'_, '_>) -> Option<By> {
    table.written("by")?;
    let at = table.text("by")?;
    let by = match at.value {
        "targeting_key" => By::TargetingKey,
        "conversation" => By::Conversation,
        "client" => By::Client,
        "request" => By::Request,
        name => match attributes.custom(name) {
            Some(index) => By::Attribute(index),
            None => {
                let fixed = ["targeting_key", "conversation", "client", "request"];
                let suggestion = did_you_mean(name, fixed.into_iter().chain(attributes.custom_names()));
                let message = format!(
                    "{name:?} is neither targeting_key, conversation, client, request nor a declared attribute{suggestion}"
                );
                table.error_at("by", &at.span, &message);
                return None;
            }
        },
    };
    Some(by)
}

/// A rule that can take nobody, because rules above it take everybody whom it could take, is a mistake.
fn check_reach(drafted: &Drafted<'_>) {
    // A rule that could not be read stands in for another one, which may seem to take more than it does.
    if drafted.table.has_errors() {
        return;
    }
    let shares = coverage(&drafted.flag);
    for (share, rule) in shares.iter().zip(drafted.table.tables("rules")) {
        match share.takes {
            Takes::Somebody => {}
            Takes::NobodyYet => rule.warn(&rule.span, "takes nobody as it stands: percent is 0"),
            Takes::Nobody => {
                let message =
                    "can take nobody, because the rules above take everybody: move it up, or take it out";
                rule.error(&rule.span, message);
            }
        }
    }
}

fn text(table: &Table<'_>, key: &str) -> String {
    table.text(key).map(|at| at.value.to_owned()).unwrap_or_default()
}

fn lifetime(table: &Table<'_>, name: &At<&str>) -> Lifetime {
    let expires = table.written("expires");
    let permanent = table.boolean("permanent");
    match (expires, permanent) {
        (Some(at), Some(true)) => table.error(&at.span, "has both expires and permanent: take one out"),
        (None, Some(false)) | (None, None) if !table.has("permanent") || permanent == Some(false) => {
            table.error(
                &name.span,
                "says not how long it lives: write expires = 2027-03-31 or permanent = true",
            );
        }
        (Some(at), _) => {
            let date = at.value.as_datetime().and_then(|datetime| datetime.date);
            if let Some(start_s) = date.and_then(|date| day_start_s(&date)) {
                if start_s <= table.loading.env.now_s() {
                    table.warn(&at.span, "has expired: it still decides; take it out, or give it more time");
                }
                return Lifetime::Expires(start_s);
            }
        }
        (None, _) => {}
    }
    Lifetime::Permanent
}

fn serve(rule: &Table<'_>, variants: &mut Variants<'_>) -> Serve {
    let percent = rule.number("percent").and_then(Percent::from_percent).unwrap_or(Percent::FULL);
    let said = match rule.text("name") {
        Some(name) => format!("rule {:?} serves", name.value),
        None => "a rule serves".to_owned(),
    };
    match (rule.written("serve"), rule.written("split")) {
        (Some(at), None) => Serve::One { variant: variants.serve(&at, &said), percent },
        (None, Some(at)) => Serve::Split { slices: slices(rule, &at, variants, &said), percent },
        (Some(_), Some(at)) => {
            rule.error(&at.span, "has both serve and split: take one out");
            Serve::One { variant: VariantIndex(0), percent }
        }
        (None, None) => {
            rule.error(&rule.span, r#"serves nothing: write serve = "…" or split = { a = 50, b = 50 }"#);
            Serve::One { variant: VariantIndex(0), percent }
        }
    }
}

/// Each variant of a split owns the next part of the ring; together they are the whole ring.
fn slices(rule: &Table<'_>, at: &At<&DeValue<'_>>, variants: &mut Variants<'_>, said: &str) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut start: u32 = 0;
    let mut sound = true;
    for (name, weight) in rule.table("split").entries() {
        let text = DeValue::String(name.value.into());
        let variant = variants.serve_owned(&text, &name.span, said);
        let Some(width) = number(weight.value).and_then(Percent::from_percent).map(Percent::ppm) else {
            sound = false;
            continue;
        };
        slices.push(Slice { variant, start: start.min(BUCKETS), width });
        start = start.saturating_add(width);
    }
    if sound && start != BUCKETS {
        let sum = f64::from(start) / 10_000.0;
        let message = format!("split: the percentages add up to {sum}, not to 100");
        rule.error(&at.span, &message);
    }
    slices
}

/// Flags that nobody uses, with a warning of each.
pub(super) fn unused<'d>(root: &Table<'d>, drafted: &[Drafted<'_>]) -> Vec<At<&'d str>> {
    let bindings = slots::bindings(root);
    let mut unused = Vec::new();
    for (one, (name, _)) in drafted.iter().zip(root.named("flags")) {
        if !bindings.contains_key(name.value) {
            one.table.warn(&one.table.span, "no route uses it");
            unused.push(name);
        }
    }
    unused
}
