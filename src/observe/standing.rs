//! What stands at this moment: percentages, defaults, budgets. It changes without anybody being told, so it is looked up when the
//! metrics are asked for.

use prometheus::{GaugeVec, IntGaugeVec};

use super::metrics::{Families, Metrics, MetricsError};

/// The families.
#[derive(Debug)]
pub(super) struct Standing {
    defaults: IntGaugeVec,
    rollouts: GaugeVec,
    budget: GaugeVec,
    spent: GaugeVec,
}

impl Standing {
    pub(super) fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            defaults: make.int_gauges(
                "dimmer_flag_default_info",
                "1, labelled with the flag and its default variant: the arm that others are held against",
                &["flag", "variant"],
            )?,
            rollouts: make.gauges(
                "dimmer_flag_rollout_ratio",
                "The share of its users that a rule takes now: as set at run time, else as the file says",
                &["flag", "rule"],
            )?,
            budget: make.gauges(
                "dimmer_shadow_budget_usd",
                "What a shadow's copies may cost in a day (UTC), in US dollars",
                ROUTE_SHADOW,
            )?,
            spent: make.gauges(
                "dimmer_shadow_budget_spent_usd",
                "What of a shadow's budget is gone today (UTC), what is set aside for copies under way included",
                ROUTE_SHADOW,
            )?,
        })
    }
}

const ROUTE_SHADOW: &[&str] = &["route", "shadow"];

/// A shadow's money, for a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowMoney<'a> {
    /// Its route.
    pub route: &'a str,
    /// Its name.
    pub shadow: &'a str,
    /// What it may cost in a day; `None`: no limit.
    pub per_day: Option<f64>,
    /// What is gone of today's.
    pub spent: f64,
}

impl Metrics {
    /// Every flag's key and default variant: all others are forgotten.
    pub fn flag_defaults<'a>(&self, flags: impl Iterator<Item = (&'a str, &'a str)>) {
        self.standing.defaults.reset();
        for (flag, variant) in flags {
            self.standing.defaults.with_label_values(&[flag, variant]).set(1);
        }
    }

    /// Every rule of every flag, and the share that it takes from 0 to 1: all others are forgotten.
    pub fn flag_rollouts<'a>(&self, rules: impl Iterator<Item = (&'a str, &'a str, f64)>) {
        self.standing.rollouts.reset();
        for (flag, rule, share) in rules {
            self.standing.rollouts.with_label_values(&[flag, rule]).set(share);
        }
    }

    /// Every shadow's money: all others are forgotten.
    pub fn shadow_money<'a>(&self, shadows: impl Iterator<Item = ShadowMoney<'a>>) {
        self.standing.budget.reset();
        self.standing.spent.reset();
        for ShadowMoney { route, shadow, per_day, spent } in shadows {
            self.standing.spent.with_label_values(&[route, shadow]).set(spent);
            if let Some(per_day) = per_day {
                self.standing.budget.with_label_values(&[route, shadow]).set(per_day);
            }
        }
    }
}
