//! What there is to tidy up, and what was ever asked for: counted by the metrics already, read back here.

use std::collections::BTreeMap;

use prometheus::IntGaugeVec;
use prometheus::core::Collector;

use super::metrics::{Families, Metrics, MetricsError};

/// What is said of hygiene.
#[derive(Debug)]
pub(super) struct Hygiene {
    findings: IntGaugeVec,
}

impl Hygiene {
    pub(super) fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            findings: make.int_gauges(
                "dimmer_hygiene_findings",
                "What of the configuration may be tidied up, by why (expired, full_for_long, never_evaluated, unused)",
                &["kind"],
            )?,
        })
    }
}

impl Metrics {
    /// So many findings of a kind, one of a fixed list.
    pub fn hygiene(&self, kind: &'static str, findings: usize) {
        let findings = i64::try_from(findings).unwrap_or(i64::MAX);
        self.hygiene.findings.with_label_values(&[kind]).set(findings);
    }

    /// How often each flag was evaluated since the process began; those that never were are left out.
    pub fn evaluations(&self) -> BTreeMap<String, u64> {
        sums(&self.flags.evaluations, "flag")
    }

    /// How many requests each model or reply has ended since the process began; those that had none are left out.
    pub fn requests_by_model(&self) -> BTreeMap<String, u64> {
        sums(&self.routes.requests, "model")
    }
}

/// The counters of a family, added up by one of its labels.
fn sums(family: &impl Collector, label: &str) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for family in family.collect() {
        for metric in family.get_metric() {
            let named = metric.get_label().iter().find(|pair| pair.name() == label);
            let Some(named) = named else { continue };
            let sum = sums.entry(named.value().to_owned()).or_default();
            *sum = sum.saturating_add(metric.get_counter().get_value() as u64);
        }
    }
    sums
}
