//! The record's rows, one for each request, and what they add up to.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::world::{CANARY, FLAG};

/// Every request that is kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: Vec<Row>,
}

/// One request, as it is exported.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    /// When its head had come.
    pub(super) at_us: u64,
    pub(super) route: String,
    pub(super) served: String,
    /// Why somebody else answered than what the flags chose.
    #[serde(default)]
    pub(super) fallback: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    cost_pico_usd: Option<u64>,
    #[serde(default)]
    output_chars: Option<u64>,
    flags: Vec<Flag>,
}

/// What a flag gave it.
#[derive(Clone, Debug, Deserialize)]
struct Flag {
    flag: String,
    variant: String,
    /// The variant's own target was asked.
    tried: bool,
}

/// What some requests add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) requests: u64,
    pub(super) users: u64,
    /// Dollars, as far as they are known.
    pub(super) usd: f64,
    /// Of a request whose cost is known.
    pub(super) usd_each: f64,
    /// The mean length of answers.
    pub(super) chars: f64,
}

impl Row {
    /// Its flag chose the canary.
    pub(super) fn chose_canary(&self) -> bool {
        self.flags.iter().any(|flag| flag.flag == FLAG && flag.variant == CANARY)
    }

    /// Its flag chose the canary, and it was asked.
    pub(super) fn saw_canary(&self) -> bool {
        self.flags.iter().any(|flag| flag.flag == FLAG && flag.variant == CANARY && flag.tried)
    }
}

impl Ledger {
    /// Of lines of JSON.
    pub(super) fn read(lines: &str) -> Result<Self, String> {
        let rows: Result<Vec<Row>, _> = lines.lines().map(serde_json::from_str).collect();
        Ok(Self { rows: rows.map_err(|error| format!("a record cannot be read: {error}"))? })
    }

    /// What those add up to that count.
    pub(super) fn sum(&self, counts: impl Fn(&Row) -> bool) -> Sum {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| counts(row)).collect();
        let users: BTreeSet<&str> = rows.iter().filter_map(|row| row.user_id.as_deref()).collect();
        let costs: Vec<f64> =
            rows.iter().filter_map(|row| row.cost_pico_usd).map(|pico| pico as f64 / PICO).collect();
        let lengths: Vec<f64> =
            rows.iter().filter_map(|row| row.output_chars).map(|chars| chars as f64).collect();
        let usd = costs.iter().sum::<f64>();
        Sum {
            requests: rows.len() as u64,
            users: users.len() as u64,
            usd,
            usd_each: mean(&costs),
            chars: mean(&lengths),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

const PICO: f64 = 1e12;
