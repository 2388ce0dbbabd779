//! Tests of the flag evaluator; this file holds the flags and contexts that they are written with.

use crate::flags::{
    AttributeValue, By, Condition, Context, Flag, Lifetime, Rule, Serve, Slice, Value, Variant, VariantIndex,
    salt_seed,
};
use crate::units::Percent;

mod conditions;
mod coverage;
mod distribution;
mod keys;
mod panics;
mod promises;
mod rules;
mod settled;
mod units;
mod vectors;

/// The variants of every flag here: the default, and three more.
const VARIANTS: [&str; 4] = ["default", "a", "b", "c"];
const DEFAULT: VariantIndex = VariantIndex(0);
const A: VariantIndex = VariantIndex(1);
const B: VariantIndex = VariantIndex(2);
const C: VariantIndex = VariantIndex(3);

/// A flag with the salt `flag`, which serves `default` where no rule serves, and `c` when killed.
fn flag(rules: impl IntoIterator<Item = Rule>) -> Flag {
    let variants = VARIANTS.map(|name| Variant { name: name.into(), value: Value::Json(name.into()) });
    Flag {
        key: "flag".into(),
        description: String::new(),
        owner: "team".to_owned(),
        lifetime: Lifetime::Permanent,
        variants: variants.to_vec(),
        default: DEFAULT,
        off: C,
        rules: rules.into_iter().collect(),
    }
}

/// A rule for everybody, by targeting key, salted with `flag`.
fn rule(serve: Serve) -> Rule {
    Rule {
        name: "rule".into(),
        when: Condition::Always,
        by: By::TargetingKey,
        seed: salt_seed("flag"),
        serve,
    }
}

/// `serve = …` with `percent = …`, in steps of 0.0001.
fn one(variant: VariantIndex, ppm: u32) -> Serve {
    Serve::One { variant, percent: percent(ppm) }
}

/// `split = { … }`, weights in percent, with `percent = …` in steps of 0.0001.
fn split(weights: &[(VariantIndex, u32)], ppm: u32) -> Serve {
    let mut start = 0;
    let slices = weights.iter().map(|&(variant, weight)| {
        let slice = Slice { variant, start, width: weight * 10_000 };
        start += slice.width;
        slice
    });
    Serve::Split { slices: slices.collect(), percent: percent(ppm) }
}

fn percent(ppm: u32) -> Percent {
    Percent::from_ppm(ppm).expect("a test's percentage is at most 100")
}

/// A caller of whom only the targeting key is known; an empty one is none.
fn user(targeting_key: &str) -> Context<'_> {
    Context { targeting_key: Some(targeting_key), ..Context::default() }
}

/// A caller of whom only the declared attributes are known.
fn with_attributes<'a>(custom: &'a [Option<AttributeValue<'a>>]) -> Context<'a> {
    Context { custom, ..Context::default() }
}
