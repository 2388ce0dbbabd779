//! What copies may cost and have cost: one ledger for each shadow, kept from one configuration to the next.
//!
//! Dollars are set aside before a copy is sent, and what it really cost is written when that is known; until then, and where it
//! never is, what was set aside counts as spent. A day is one in UTC.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::names::RouteName;
use crate::state::Noted;
use crate::units::PicoUsd;

/// The ledger of one shadow. Locked for a few sums at a time.
#[derive(Debug, Default)]
pub struct Ledger {
    under_way: AtomicU64,
    money: Mutex<Money>,
}

/// Money of one shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Money {
    /// Days since 1970, in UTC.
    day: u64,
    spent: PicoUsd,
    /// Set aside for copies under way, from whichever day.
    aside: PicoUsd,
}

/// A copy's place among those that may be under way. Given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Ledger>);

/// What is set aside for one copy. Counts as spent when dropped without a word.
#[derive(Debug)]
pub struct Aside {
    ledger: Arc<Ledger>,
    amount: PicoUsd,
    day: u64,
}

/// The ledgers of all shadows and judges. Owned by who loads configurations.
#[derive(Debug, Default)]
pub struct Ledgers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ledgers: HashMap<(RouteName, Box<str>), Arc<Ledger>>,
    /// What was kept over a restart, until a configuration names its shadow.
    before: HashMap<(RouteName, Box<str>), Money>,
    /// What was last told to be kept.
    kept: Vec<Row>,
}

/// A shadow's day: route, name, day, 10^-12 USD.
type Row = (String, String, u64, u64);

impl Ledger {
    /// Whether `limit` places are taken, for a look: a place is only had by taking it.
    pub fn is_full(&self, limit: u64) -> bool {
        self.under_way.load(Ordering::Relaxed) >= limit
    }

    /// A place, where fewer than `limit` are taken.
    pub fn place(self: &Arc<Self>, limit: u64) -> Option<Place> {
        let free = |taken: u64| (taken < limit).then_some(taken + 1);
        let taken = self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// Sets `amount` aside, where the day's `limit` leaves room for it.
    pub fn set_aside(self: &Arc<Self>, amount: PicoUsd, limit: Option<PicoUsd>, now_s: u64) -> Option<Aside> {
        let day = now_s / DAY_S;
        let mut money = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        money.begin(day);
        if limit.is_some_and(|limit| money.spent + money.aside + amount > limit) {
            return None;
        }
        money.aside += amount;
        drop(money);
        Some(Aside { ledger: Arc::clone(self), amount, day })
    }

    /// What is gone of the day's dollars, for a look: spent, or set aside for copies under way.
    pub fn gone(&self, now_s: u64) -> PicoUsd {
        let mut money = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        money.begin(now_s / DAY_S);
        money.spent + money.aside
    }

    fn settle(&self, amount: PicoUsd, cost: PicoUsd, day: u64) {
        let mut money = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        money.aside = PicoUsd(money.aside.0.saturating_sub(amount.0));
        // It is of the day on which it was sent; where that is over, nobody asks any more.
        if money.day == day {
            money.spent += cost;
        }
    }
}

impl Money {
    fn begin(&mut self, day: u64) {
        if day > self.day {
            self.day = day;
            self.spent = PicoUsd(0);
        }
    }
}

/// Seconds of a day.
const DAY_S: u64 = 86_400;

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Aside {
    /// How much it is.
    pub fn amount(&self) -> PicoUsd {
        self.amount
    }

    /// The copy has cost this; nothing where nothing of it was sent.
    pub fn cost(self, cost: PicoUsd) {
        let mut this = self;
        let amount = std::mem::take(&mut this.amount);
        this.ledger.settle(amount, cost, this.day);
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.ledger.settle(self.amount, self.amount, self.day);
    }
}

impl Noted for Ledgers {
    const NAME: &'static str = "shadow_spending";
    const WHAT: &'static str = "what shadows have spent today";
    /// So much of a day's spending is forgotten at most when the process is killed. Nothing is written where nothing was spent.
    const EVERY: Duration = Duration::from_secs(1);

    fn to_note(&self) -> Option<Vec<u8>> {
        self.to_keep()
    }

    fn not_kept(&self) {
        Self::not_kept(self);
    }

    fn take_note(&self, bytes: &[u8]) -> bool {
        self.restore(bytes).is_some()
    }
}

impl Ledgers {
    /// The shadow's ledger: the same for every configuration that has it.
    pub fn of(&self, route: &RouteName, shadow: &str) -> Arc<Ledger> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.clone(), Box::from(shadow));
        if let Some(ledger) = known.ledgers.get(&key) {
            return Arc::clone(ledger);
        }
        let money = known.before.remove(&key).unwrap_or_default();
        let ledger = Arc::new(Ledger { under_way: AtomicU64::new(0), money: Mutex::new(money) });
        known.ledgers.insert(key, Arc::clone(&ledger));
        ledger
    }

    /// The judge's ledger. No route is called nothing.
    pub fn of_judge(&self, judge: &str) -> Arc<Ledger> {
        self.of(&RouteName::from(""), judge)
    }

    /// Takes up what was kept before a restart. `None`: it cannot be read.
    pub fn restore(&self, bytes: &[u8]) -> Option<()> {
        let rows: Vec<Row> = serde_json::from_slice(bytes).ok()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, shadow, day, spent) in &rows {
            let key = (RouteName::from(route.as_str()), Box::from(shadow.as_str()));
            let kept = Money { day: *day, spent: PicoUsd(*spent), aside: PicoUsd(0) };
            match known.ledgers.get(&key) {
                Some(ledger) => {
                    let mut money = ledger.money.lock().unwrap_or_else(PoisonError::into_inner);
                    money.begin(kept.day);
                    if money.day == kept.day {
                        money.spent += kept.spent;
                    }
                }
                None => drop(known.before.insert(key, kept)),
            }
        }
        known.kept = rows;
        Some(())
    }

    /// What has to be kept, where it has changed since it was asked for last. What is set aside counts as spent: a process that
    /// ends too early never hears what it cost.
    pub fn to_keep(&self) -> Option<Vec<u8>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |((route, shadow), money): (&(RouteName, Box<str>), Money)| {
            (route.to_string(), shadow.to_string(), money.day, (money.spent + money.aside).0)
        };
        let money = |ledger: &Arc<Ledger>| *ledger.money.lock().unwrap_or_else(PoisonError::into_inner);
        let present = known.ledgers.iter().map(|(key, ledger)| (key, money(ledger)));
        let gone = known.before.iter().map(|(key, money)| (key, *money));
        let mut rows: Vec<Row> = present.chain(gone).map(of).filter(|row| row.3 > 0).collect();
        rows.sort_unstable();
        if rows == known.kept {
            return None;
        }
        let bytes = serde_json::to_vec(&rows).ok()?;
        known.kept = rows;
        Some(bytes)
    }

    /// It could not be kept after all.
    pub fn not_kept(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).kept.clear();
    }

    /// Forgets the shadows that no configuration has any more and that spent nothing.
    pub fn forget_strangers(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.ledgers.retain(|_, ledger| {
            let money = ledger.money.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::strong_count(ledger) > 1 || money.spent > PicoUsd(0)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOLLAR: PicoUsd = PicoUsd(1_000_000_000_000);
    const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;

    fn usd(dollars: u64) -> PicoUsd {
        DOLLAR.times(dollars)
    }

    #[test]
    fn a_budget_is_for_what_is_spent_and_what_is_set_aside() {
        let ledger = Arc::new(Ledger::default());
        let aside = |amount: u64| ledger.set_aside(usd(amount), Some(usd(10)), NOON);
        let first = aside(4).unwrap();
        let second = aside(6).unwrap();
        assert!(aside(1).is_none());
        first.cost(usd(1));
        let third = aside(3).unwrap();
        assert!(aside(1).is_none());
        third.cost(usd(0));
        // Nobody says what it cost: all of it is spent.
        drop(second);
        assert!(aside(4).is_none());
        assert!(aside(3).is_some());
        assert_eq!((ledger.gone(NOON), ledger.gone(NOON + DAY_S)), (usd(10), usd(0)));
    }

    #[test]
    fn a_new_day_has_the_whole_budget_but_for_what_is_under_way() {
        let ledger = Arc::new(Ledger::default());
        let aside = |amount: u64, at: u64| ledger.set_aside(usd(amount), Some(usd(10)), at);
        drop(aside(10, NOON).unwrap());
        assert!(aside(1, NOON).is_none());
        let late = aside(7, NOON + DAY_S).unwrap();
        assert!(aside(4, NOON + 2 * DAY_S).is_none());
        late.cost(usd(7));
        assert!(aside(10, NOON + 2 * DAY_S).is_some(), "it was spent on the day before");
    }

    #[test]
    fn without_a_limit_everything_goes() {
        let ledger = Arc::new(Ledger::default());
        assert!(ledger.set_aside(usd(1_000), None, NOON).is_some());
    }

    #[test]
    fn places_are_given_back() {
        let ledger = Arc::new(Ledger::default());
        let (one, two) = (ledger.place(2), ledger.place(2));
        assert!(one.is_some() && two.is_some() && ledger.place(2).is_none());
        drop(one);
        assert!(ledger.place(2).is_some());
    }

    #[test]
    fn what_was_spent_outlives_the_process() {
        let (route, before) = (RouteName::from("r"), Ledgers::default());
        let ledger = before.of(&route, "s");
        assert_eq!(before.to_keep(), None);
        ledger.set_aside(usd(3), None, NOON).unwrap().cost(usd(2));
        let _under_way = ledger.set_aside(usd(4), None, NOON).unwrap();
        let bytes = before.to_keep().unwrap();
        assert_eq!(before.to_keep(), None, "nothing has changed");

        // The configuration may be there before what was kept, or after it.
        for early in [true, false] {
            let after = Ledgers::default();
            let known = early.then(|| after.of(&route, "s"));
            after.restore(&bytes).unwrap();
            let ledger = known.unwrap_or_else(|| after.of(&route, "s"));
            assert!(ledger.set_aside(usd(5), Some(usd(10)), NOON).is_none());
            drop(ledger.set_aside(usd(4), Some(usd(10)), NOON).unwrap());
            assert!(ledger.set_aside(usd(10), Some(usd(10)), NOON + DAY_S).is_some());
        }
        assert_eq!(Ledgers::default().restore(b"{}"), None);
    }

    #[test]
    fn a_shadow_that_has_spent_is_not_forgotten_with_its_line() {
        let (route, ledgers) = (RouteName::from("r"), Ledgers::default());
        ledgers.of(&route, "s").set_aside(usd(3), None, NOON).unwrap().cost(usd(3));
        drop(ledgers.of(&route, "idle"));
        ledgers.forget_strangers();
        assert!(ledgers.of(&route, "s").set_aside(usd(1), Some(usd(3)), NOON).is_none());
    }
}
