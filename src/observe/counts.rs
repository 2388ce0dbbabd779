//! What was counted of requests so far, read back: two readings apart in time say what happens now.
//!
//! Costs a request nothing: the same counters that `/metrics` shows are looked at by whoever wants to know.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::proto::{Histogram, Metric, MetricFamily};

use crate::observe::{Metrics, Outcome};

/// One reading of the counters.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By route and model (or reply).
    pub answers: BTreeMap<[Box<str>; 2], Counted>,
    /// By route, flag and variant.
    pub variants: BTreeMap<[Box<str>; 3], Counted>,
    /// Requests being served, by route.
    pub in_flight: BTreeMap<Box<str>, u64>,
}

/// What was counted of some requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    outcomes: [u64; Outcome::ALL.len()],
    /// How long they took, in seconds.
    pub seconds: Heights,
    /// How many characters their answers had.
    pub chars: Heights,
}

/// A histogram: how many values were at most so high.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heights {
    sum: f64,
    count: u64,
    /// Upper bounds, each with the number of values up to it.
    up_to: Vec<(f64, u64)>,
}

impl Counts {
    /// What came since an earlier reading.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            answers: apart(&self.answers, &before.answers),
            variants: apart(&self.variants, &before.variants),
            in_flight: self.in_flight.clone(),
        }
    }
}

fn apart<K: Ord + Clone>(now: &BTreeMap<K, Counted>, before: &BTreeMap<K, Counted>) -> BTreeMap<K, Counted> {
    let none = Counted::default();
    now.iter().map(|(key, one)| (key.clone(), one.since(before.get(key).unwrap_or(&none)))).collect()
}

impl Counted {
    fn since(&self, before: &Self) -> Self {
        let mut outcomes = self.outcomes;
        for (now, before) in outcomes.iter_mut().zip(before.outcomes) {
            *now = now.saturating_sub(before);
        }
        Self {
            outcomes,
            seconds: self.seconds.since(&before.seconds),
            chars: self.chars.since(&before.chars),
        }
    }

    /// Takes these in too.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.outcomes.iter_mut().zip(other.outcomes) {
            *own = own.saturating_add(other);
        }
        self.seconds.add(&other.seconds);
        self.chars.add(&other.chars);
    }

    /// How many ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Those that the provider failed, was too slow for, or broke off, as a part of those that say something of it: callers' own
    /// faults and hang-ups do not, and neither do replies.
    pub fn error_rate(&self) -> Option<f64> {
        let sum = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| self.of(*outcome)).sum::<u64>();
        let errors = sum(&[Outcome::UpstreamError, Outcome::Timeout, Outcome::Cut]);
        let judged = errors + sum(&[Outcome::Ok, Outcome::Refused]);
        (judged > 0).then(|| errors as f64 / judged as f64)
    }
}

impl Heights {
    fn of(histogram: &Histogram) -> Self {
        let buckets = histogram.get_bucket();
        Self {
            sum: histogram.get_sample_sum(),
            count: histogram.get_sample_count(),
            up_to: buckets.iter().map(|one| (one.upper_bound(), one.cumulative_count())).collect(),
        }
    }

    fn since(&self, before: &Self) -> Self {
        let earlier = |place: usize| before.up_to.get(place).map_or(0, |(_, count)| *count);
        let up_to = self.up_to.iter().enumerate();
        Self {
            sum: (self.sum - before.sum).max(0.0),
            count: self.count.saturating_sub(before.count),
            up_to: up_to.map(|(place, (bound, now))| (*bound, now.saturating_sub(earlier(place)))).collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
        if self.up_to.is_empty() {
            self.up_to.clone_from(&other.up_to);
            return;
        }
        for ((_, own), (_, other)) in self.up_to.iter_mut().zip(&other.up_to) {
            *own = own.saturating_add(*other);
        }
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// So high at most is this part of the values: about, as far as the bounds tell. What is over the last bound is said to be there.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = part.clamp(0.0, 1.0) * self.count as f64;
        let (mut low, mut below) = (0.0, 0);
        for (bound, up_to) in &self.up_to {
            if *up_to as f64 >= rank && *up_to > below {
                return Some(low + (bound - low) * ((rank - below as f64) / (up_to - below) as f64));
            }
            (low, below) = (*bound, *up_to);
        }
        Some(low)
    }
}

impl Metrics {
    /// What was counted of requests until now.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let (routes, flags) = (&self.routes, &self.flags);
        each(&routes.requests, |metric| {
            outcome(counts.answers.entry(labels(metric, ["route", "model"])).or_default(), metric);
        });
        each(&routes.request_seconds, |metric| {
            let key = labels(metric, ["route", "model"]);
            counts.answers.entry(key).or_default().seconds = Heights::of(metric.get_histogram());
        });
        each(&routes.output_chars, |metric| {
            let key = labels(metric, ["route", "model"]);
            counts.answers.entry(key).or_default().chars = Heights::of(metric.get_histogram());
        });
        each(&routes.in_flight, |metric| {
            let [route] = labels(metric, ["route"]);
            counts.in_flight.insert(route, metric.get_gauge().get_value().max(0.0) as u64);
        });
        let of_variant = |metric: &Metric| labels(metric, ["route", "flag", "variant"]);
        each(&flags.variant_requests, |metric| {
            outcome(counts.variants.entry(of_variant(metric)).or_default(), metric);
        });
        each(&flags.variant_seconds, |metric| {
            counts.variants.entry(of_variant(metric)).or_default().seconds =
                Heights::of(metric.get_histogram());
        });
        each(&flags.variant_output_chars, |metric| {
            counts.variants.entry(of_variant(metric)).or_default().chars =
                Heights::of(metric.get_histogram());
        });
        counts
    }
}

fn each(family: &impl Collector, mut see: impl FnMut(&Metric)) {
    family.collect().iter().flat_map(MetricFamily::get_metric).for_each(&mut see);
}

fn labels<const N: usize>(metric: &Metric, names: [&str; N]) -> [Box<str>; N] {
    names.map(|name| label(metric, name).into())
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

fn outcome(counted: &mut Counted, metric: &Metric) {
    let name = label(metric, "outcome");
    let place = Outcome::ALL.iter().position(|outcome| outcome.as_str() == name);
    if let Some(slot) = place.and_then(|place| counted.outcomes.get_mut(place)) {
        *slot = metric.get_counter().get_value() as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::observe::{FlagSeries, Metrics, ModelSeries, Outcome};

    #[test]
    fn two_readings_say_what_came_between_them() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let model = ModelSeries::new(&metrics, "r", "m");
        let flag = FlagSeries::new(&metrics, "r", "f", ["a", "b"].into_iter());
        model.ended(Outcome::UpstreamError, Duration::from_secs(300));
        let before = metrics.counts();
        for _ in 0..98 {
            model.ended(Outcome::Ok, Duration::from_millis(900));
            model.output_chars(400);
        }
        model.ended(Outcome::Timeout, Duration::from_secs(30));
        model.ended(Outcome::CallerError, Duration::from_millis(1));
        flag.ended(1, Outcome::Ok, Duration::from_millis(20));
        let came = metrics.counts().since(&before);
        let one = &came.answers[&["r".into(), "m".into()]];
        assert_eq!((one.requests(), one.of(Outcome::UpstreamError)), (100, 0));
        assert_eq!(one.error_rate(), Some(1.0 / 99.0), "a caller's own fault says nothing of the provider");
        let median = one.seconds.quantile(0.5).unwrap();
        assert!((0.64..=1.28).contains(&median), "{median}");
        assert!(one.seconds.quantile(1.0).unwrap() > 20.0);
        assert_eq!(one.chars.mean(), Some(400.0));
        assert_eq!(came.variants[&["r".into(), "f".into(), "b".into()]].requests(), 1);
        assert!(!came.variants.contains_key(&["r".into(), "f".into(), "a".into()]));
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let model = ModelSeries::new(&metrics, "r", "m");
        model.ended(Outcome::Reply, Duration::from_secs(1));
        let now = metrics.counts();
        let none = now.since(&now);
        let one = &none.answers[&["r".into(), "m".into()]];
        assert_eq!((one.requests(), one.error_rate(), one.chars.mean()), (0, None, None));
        assert_eq!(one.seconds.quantile(0.95), None);
        let reply = &now.answers[&["r".into(), "m".into()]];
        assert_eq!((reply.requests(), reply.error_rate()), (1, None), "no provider was asked");
        let beyond = super::Heights { sum: 1e9, count: 2, up_to: vec![(600.0, 0)] };
        assert_eq!(beyond.quantile(0.5), Some(600.0));
    }

    #[test]
    fn routes_are_summed_over_their_models() {
        let metrics = Arc::new(Metrics::new().unwrap());
        for (model, took) in [("a", 1), ("b", 30)] {
            ModelSeries::new(&metrics, "r", model).ended(Outcome::Ok, Duration::from_secs(took));
        }
        let mut sum = super::Counted::default();
        metrics.counts().answers.values().for_each(|one| sum.add(one));
        assert_eq!((sum.requests(), sum.error_rate(), sum.seconds.mean()), (2, Some(0.0), Some(15.5)));
    }
}
