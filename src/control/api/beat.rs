//! The numbers of now, of two readings of the counters: computed once for all who look on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::control::api::shapes::{
    BreakerLive, BreakerView, FlagLive, KillView, Live, ModelLive, Numbers, RouteLive, VariantLive,
};
use crate::observe::{Counted, Counts, Outcome};
use crate::snapshot::View;

/// Rates are of so long: short enough that a kill is seen, long enough that a number can be read.
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Everything else is of so long: a quantile needs requests.
const SPAN: Duration = Duration::from_secs(60);
/// Readings of a minute, one each second, and some to spare.
const READINGS_MAX: usize = 64;

/// The readings of the last minute, oldest first.
#[derive(Debug, Default)]
pub(super) struct Readings(VecDeque<(Duration, Counts)>);

/// What came within a span, and how long that is.
struct Came {
    counts: Counts,
    seconds: f64,
}

impl Readings {
    /// The reading of now.
    pub(super) fn take(&mut self, now: Duration, counts: Counts) {
        // The oldest that is still needed is the last one before the minute.
        while self.0.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= SPAN)
            || self.0.len() >= READINGS_MAX
        {
            self.0.pop_front();
        }
        self.0.push_back((now, counts));
    }

    /// What came within the span, as far as there are readings.
    fn within(&self, span: Duration) -> Option<Came> {
        let (now, last) = self.0.back()?;
        let at_most = |at: &Duration| now.saturating_sub(*at) <= span + RATE_SPAN / 20;
        let (from, first) = self.0.iter().find(|(at, _)| at_most(at)).filter(|(at, _)| at < now)?;
        let seconds = now.saturating_sub(*from).as_secs_f64();
        Some(Came { counts: last.since(first), seconds })
    }

    /// The numbers of now.
    pub(super) fn live(
        &self,
        at_ms: u64,
        version: u64,
        view: &View,
        (breakers, kills): (&[BreakerView], Vec<KillView>),
    ) -> Live {
        let (recent, minute) = (self.within(RATE_SPAN), self.within(SPAN));
        let none = Counts::default();
        let both = Both {
            recent: recent.as_ref(),
            minute: minute.as_ref().map_or(&none, |came| &came.counts),
            in_flight: self.0.back().map(|(_, counts)| counts),
        };
        Live {
            at_ms,
            generation: view.generation,
            version,
            routes: view.config.routes.iter().map(|route| both.route(view, &route.name)).collect(),
            flags: both.flags(),
            breakers: breakers
                .iter()
                .map(|one| BreakerLive { id: one.id.clone(), state: one.state.clone() })
                .collect(),
            kills,
        }
    }
}

/// What came within both spans.
struct Both<'c> {
    recent: Option<&'c Came>,
    minute: &'c Counts,
    in_flight: Option<&'c Counts>,
}

impl Both<'_> {
    fn route(&self, view: &View, name: &str) -> RouteLive {
        let of_route = |counts: &Counts| {
            let mut sum = Counted::default();
            let own = counts.answers.iter().filter(|([route, _], _)| **route == *name);
            own.for_each(|(_, one)| sum.add(one));
            sum
        };
        let recent = self.recent.map(|came| (of_route(&came.counts), came.seconds));
        let models =
            self.minute.answers.iter().filter(|([route, _], one)| **route == *name && one.requests() > 0);
        RouteLive {
            route: name.to_owned(),
            killed: view.by_name.get(name).is_some_and(|plan| view.live.route_killed(plan)),
            in_flight: self.in_flight.and_then(|counts| counts.in_flight.get(name).copied()).unwrap_or(0),
            now: numbers(recent.as_ref().map(|(one, seconds)| (one, *seconds)), &of_route(self.minute)),
            models: models
                .map(|(key, one)| {
                    let [_, model] = key;
                    let recent = self.recent.map(|came| (came.counts.answers.get(key), came.seconds));
                    let none = Counted::default();
                    let recent = recent.map(|(one, seconds)| (one.unwrap_or(&none), seconds));
                    ModelLive { model: model.to_string(), now: numbers(recent, one) }
                })
                .collect(),
        }
    }

    fn flags(&self) -> Vec<FlagLive> {
        let mut flags: Vec<FlagLive> = Vec::new();
        // By route, then by flag: those of one flag on one route stand together.
        for (key, one) in self.minute.variants.iter().filter(|(_, one)| one.requests() > 0) {
            let [route, flag, variant] = key;
            let none = Counted::default();
            let recent =
                self.recent.map(|came| (came.counts.variants.get(key).unwrap_or(&none), came.seconds));
            let variant = VariantLive { variant: variant.to_string(), now: numbers(recent, one) };
            match flags.last_mut().filter(|last| *last.route == **route && *last.flag == **flag) {
                Some(last) => last.variants.push(variant),
                None => flags.push(FlagLive {
                    flag: flag.to_string(),
                    route: route.to_string(),
                    variants: vec![variant],
                }),
            }
        }
        flags
    }
}

fn numbers(recent: Option<(&Counted, f64)>, minute: &Counted) -> Numbers {
    // A reply takes no time, and would make its route look quick.
    let answered = minute.requests() > minute.of(Outcome::Reply) + minute.of(Outcome::NotTried);
    let ms = |part: f64| minute.seconds.quantile(part).filter(|_| answered).map(|seconds| seconds * 1e3);
    Numbers {
        rate: recent.map(|(one, seconds)| one.requests() as f64 / seconds),
        requests: minute.requests(),
        error_rate: minute.error_rate(),
        p50_ms: ms(0.5),
        p95_ms: ms(0.95),
        output_chars: minute.chars.mean(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Both, RATE_SPAN, READINGS_MAX, Readings, SPAN};
    use crate::observe::{FlagSeries, Metrics, ModelSeries, Outcome};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rates_are_of_ten_seconds_and_the_rest_of_a_minute() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let model = ModelSeries::new(&metrics, "r", "m");
        let flag = FlagSeries::new(&metrics, "r", "f", ["a", "b"].into_iter());
        let mut readings = Readings::default();
        readings.take(at(100), metrics.counts());
        assert!(readings.within(SPAN).is_none(), "one reading says nothing of a rate");
        for second in 101..=200 {
            // Ten a second, none in the last ten.
            for _ in 0..if second <= 190 { 10 } else { 0 } {
                model.ended(Outcome::Ok, Duration::from_millis(500));
                flag.ended(0, Outcome::Ok, Duration::from_millis(500));
            }
            readings.take(at(second), metrics.counts());
        }
        assert!(readings.0.len() <= READINGS_MAX);
        let (recent, minute) = (readings.within(RATE_SPAN).unwrap(), readings.within(SPAN).unwrap());
        assert_eq!((recent.seconds, minute.seconds), (10.0, 60.0));
        let both = Both { recent: Some(&recent), minute: &minute.counts, in_flight: None };
        let flags = both.flags();
        assert_eq!((flags.len(), flags[0].variants.len()), (1, 1), "what was given to nobody is left out");
        let one = flags[0].variants[0].now;
        assert_eq!((one.rate, one.requests, one.error_rate), (Some(0.0), 500, Some(0.0)));
        assert!(one.p50_ms.is_some_and(|ms| (320.0..=640.0).contains(&ms)), "{one:?}");
    }

    /// A machine that slept has readings hours apart.
    #[test]
    fn old_readings_go() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut readings = Readings::default();
        for second in [0, 1, 2, 9000, 9001] {
            readings.take(at(second), metrics.counts());
        }
        assert_eq!(readings.within(RATE_SPAN).unwrap().seconds, 1.0);
        assert!(readings.0.len() <= 3);
    }
}
