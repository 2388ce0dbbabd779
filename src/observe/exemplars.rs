//! Of each bucket of a histogram, the last trace that fell into it: from a peak on a dashboard to a request that was in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::observe::trace::TraceContext;

/// The traces of one histogram's buckets, the last of which has no bound.
#[derive(Debug)]
pub(super) struct Exemplars {
    bounds: &'static [f64],
    /// Written with each traced request, read with each look at the metrics.
    slots: Mutex<Vec<Option<Exemplar>>>,
}

/// One trace, and what was measured of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) context: TraceContext,
    pub(super) value: f64,
    /// Since 1970.
    pub(super) at: Duration,
}

impl Exemplars {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, slots: Mutex::new(vec![None; bounds.len() + 1]) }
    }

    /// Takes the place of the one before in its bucket. Never waits: while somebody else is at it, it is left out.
    pub(super) fn put(&self, exemplar: Exemplar) {
        let bucket = self.bounds.partition_point(|bound| *bound < exemplar.value);
        if let Ok(mut slots) = self.slots.try_lock()
            && let Some(slot) = slots.get_mut(bucket)
        {
            *slot = Some(exemplar);
        }
    }

    /// What is there, by bucket.
    pub(super) fn read(&self) -> Vec<Option<Exemplar>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All of them, by metric, route and model: as many as there are series.
#[derive(Debug, Default)]
pub(super) struct AllExemplars {
    sets: Mutex<BTreeMap<Key, Arc<Exemplars>>>,
}

type Key = (&'static str, [Box<str>; 2]);

impl AllExemplars {
    /// Those of one series; the same from one configuration to the next.
    pub(super) fn of(
        &self,
        metric: &'static str,
        labels: [&str; 2],
        bounds: &'static [f64],
    ) -> Arc<Exemplars> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (metric, labels.map(Into::into));
        Arc::clone(sets.entry(key).or_insert_with(|| Arc::new(Exemplars::new(bounds))))
    }

    /// What is there now.
    pub(super) fn find(&self, metric: &str, labels: [&str; 2]) -> Option<Vec<Option<Exemplar>>> {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(name, own): &Key| *name == metric && own.iter().map(|own| &**own).eq(labels);
        sets.iter().find(|(key, _)| is_it(key)).map(|(_, set)| set.read())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AllExemplars, Exemplar};
    use crate::observe::trace::{SpanId, TraceContext, TraceId};

    #[test]
    fn the_last_of_each_bucket_is_kept() {
        let all = AllExemplars::default();
        let set = all.of("seconds", ["r", "m"], &[0.1, 1.0]);
        let exemplar = |value: f64, span: u64| Exemplar {
            context: TraceContext { trace: TraceId(1), span: SpanId(span), flags: 1 },
            value,
            at: Duration::from_secs(span),
        };
        // A bound belongs to its own bucket.
        for (value, span) in [(0.05, 1), (0.1, 2), (1.0, 3), (0.5, 4), (7.0, 5)] {
            set.put(exemplar(value, span));
        }
        let spans = |read: Option<Vec<Option<Exemplar>>>| -> Vec<Option<u64>> {
            read.into_iter().flatten().map(|one| one.map(|one| one.context.span.0)).collect()
        };
        assert_eq!(spans(all.find("seconds", ["r", "m"])), [Some(2), Some(4), Some(5)]);
        assert_eq!(spans(all.find("seconds", ["m", "r"])), []);
        assert_eq!(spans(all.find("chars", ["r", "m"])), []);
    }
}
