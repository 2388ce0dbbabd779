//! Quantities with their units: percentages, sizes, money and secrets.
//!
//! Band 0: imports nothing of ours. Must never round silently: what cannot be held exactly is refused by the parser
//! in `config`.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use zeroize::Zeroizing;

/// A rollout percentage in steps of 0.0001, held as parts of a million (0..=1,000,000).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Percent(u32);

impl Percent {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody, with or without a targeting key.
    pub const FULL: Self = Self(1_000_000);

    /// From parts of a million; more than a million is refused.
    pub fn from_ppm(ppm: u32) -> Option<Self> {
        (ppm <= 1_000_000).then_some(Self(ppm))
    }

    /// From a number between 0 and 100. Refuses what is no multiple of 0.0001 (within 1e-9, the noise of decimal text).
    pub fn from_percent(percent: f64) -> Option<Self> {
        let ppm = percent * 10_000.0;
        let nearest = ppm.round();
        let exact = (ppm - nearest).abs() < 1e-5;
        (exact && (0.0..=1_000_000.0).contains(&nearest)).then_some(Self(nearest as u32))
    }

    /// Parts of a million, 0..=1,000,000.
    pub fn ppm(self) -> u32 {
        self.0
    }

    /// Between 0 and 100.
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_percent())
    }
}

/// Money in millionths of a millionth of a US dollar, so that a price of one token is a whole number:
/// 1 USD per million tokens = 1,000,000 pico-dollars per token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// The price of one token, from USD per million tokens. Refuses negative and non-finite prices.
    pub fn per_token(usd_per_million: f64) -> Option<Self> {
        let pico = (usd_per_million * 1_000_000.0).round();
        (pico.is_finite() && (0.0..=1e18).contains(&pico)).then_some(Self(pico as u64))
    }

    /// The price of `count` tokens, saturating.
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// In dollars, for metrics and people.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl Add for PicoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PicoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// A key or token. Never shown: `Debug` and `Display` say `[secret]`; the memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: only for putting it on the wire or comparing it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
