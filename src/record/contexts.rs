//! A bounded sample of the evaluation contexts that were seen: of some users the last one on each route, enough to evaluate flags again.
//!
//! Serves `dimmer plan` and the preview of a percentage. What evaluation needs is the user's id as it came and what rules look at, which
//! is what hashing users keeps from the disk: so the sample is in this process's memory and nowhere else, whatever `user_ids` says, and
//! ends with it. Nothing of it is ever told but counts.
//!
//! Who is in it: the users with the smallest hashes (bottom-k). That has nothing to do with how often they ask nor with their buckets, is
//! the same on every replica, and tells how many there are in all. Must never keep a request waiting: who is not in it costs a
//! comparison.

mod note;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock;
use crate::flags::Context;
use crate::wire::Endpoint;

pub use note::{Noted, NotedContext, Shape, ShapeOf};

/// A user, to be counted among the different ones. The same everywhere, so that counts of several processes can be joined.
pub fn user_hash(user: &str) -> u64 {
    xxh3_64_with_seed(user.as_bytes(), USERS)
}

const USERS: u64 = 0x6469_6d6d_6572_0001;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Users: with so many a share is true to one percentage point.
    pub users: usize,
    /// Bytes, about: where contexts are long, there are fewer users.
    pub bytes: usize,
    /// Who did not ask for so long is left out.
    pub age: Duration,
}

impl Limits {
    /// What a process keeps whose records are kept for so long.
    pub fn within(retention: Duration) -> Self {
        Self { users: 10_000, bytes: 16 << 20, age: retention.min(Duration::from_secs(7 * 86_400)) }
    }
}

/// Routes of one user: who asks on more is known by the last ones.
const ROUTES_MAX: usize = 16;
/// How often it is looked who was not seen for long.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// So many users are looked at before whoever waits gets the lock: some microseconds' work.
const STEP: usize = 256;

/// The sample. One per process; written by requests, read by the admin API.
#[derive(Debug)]
pub struct Contexts {
    limits: Limits,
    /// Whose hash is larger is not in it. Written under the lock, read by every request.
    highest: AtomicU64,
    kept: Mutex<Kept>,
    /// When it began, on the process's own clock.
    began: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    users: BTreeMap<u64, User>,
    bytes: usize,
    /// When room was found for larger hashes again, and the highest before: nobody knows who of those came earlier.
    raised: Vec<(Duration, u64)>,
    swept: Duration,
    /// Requests of users whose id is too long to be kept.
    too_long: u64,
}

type User = SmallVec<[Visit; 1]>;

/// When a user was last seen on a route, and how.
#[derive(Clone, Debug)]
pub struct Visit {
    /// On the process's own clock.
    pub at: Duration,
    /// How.
    pub context: Arc<NotedContext>,
}

/// Those of the sample who were seen since then.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Each user's hash and what was seen of them, one user after the other.
    pub visits: Vec<(u64, Visit)>,
    /// How many users these are.
    pub users: u64,
    /// About how many there were in all; the same number where `whole`.
    pub of: u64,
    /// Nobody was left out.
    pub whole: bool,
    /// So far back it goes: less than was asked for where the process is younger.
    pub back: Duration,
    /// Requests of users whose id is too long to be kept.
    pub too_long: u64,
}

impl Contexts {
    /// Empty, from now on.
    pub fn new(limits: Limits) -> Self {
        let now = clock::uptime();
        let kept = Kept { swept: now, ..Kept::default() };
        Self { limits, highest: AtomicU64::new(u64::MAX), kept: Mutex::new(kept), began: now }
    }

    /// Somebody asks. `hash` is their [`user_hash`].
    pub fn saw(&self, hash: u64, shape: &Arc<Shape>, context: &Context<'_>, endpoint: Endpoint) {
        if hash <= self.highest.load(Ordering::Relaxed) {
            self.note(hash, shape, context, endpoint, clock::uptime());
        }
    }

    fn note(&self, hash: u64, shape: &Arc<Shape>, context: &Context<'_>, endpoint: Endpoint, now: Duration) {
        let Some(key) = context.targeting_key else { return };
        let mut kept = self.kept();
        // Somebody else may have lowered it meanwhile.
        if hash > self.highest.load(Ordering::Relaxed) {
            return;
        }
        if key.len() > note::TEXT_MAX {
            kept.too_long = kept.too_long.saturating_add(1);
            return;
        }
        if let Some(known) = kept.users.get_mut(&hash)
            && let Some(visit) = known.iter_mut().find(|visit| visit.context.route.as_str() == context.route)
            && visit.context.is(shape, context, endpoint)
        {
            visit.at = now;
            return;
        }
        kept.put(hash, Visit { at: now, context: Arc::new(NotedContext::of(shape, context, endpoint)) });
        if let Some(highest) = kept.fit(&self.limits) {
            self.highest.store(highest, Ordering::Relaxed);
        }
    }

    /// Takes a user out.
    pub fn forget(&self, user: &str) {
        let mut kept = self.kept();
        let hash = user_hash(user);
        if let Some(visits) = kept.users.get_mut(&hash) {
            let before: usize = visits.iter().map(|visit| visit.context.bytes()).sum();
            visits.retain(|visit| &*visit.context.key != user);
            let after: usize = visits.iter().map(|visit| visit.context.bytes()).sum();
            if visits.is_empty() {
                kept.users.remove(&hash);
            }
            kept.bytes = kept.bytes.saturating_sub(before.saturating_sub(after));
        }
    }

    /// Takes out whom nobody has seen for long, and makes room for others then. To be called now and then; does so only when it is time.
    pub fn sweep(&self, now: Duration) {
        if now < self.kept().swept + SWEEP_EVERY {
            return;
        }
        let oldest = now.saturating_sub(self.limits.age);
        let mut after = None;
        loop {
            let mut kept = self.kept();
            let (step, last) = kept.step(after);
            for hash in step {
                kept.expire(hash, oldest);
            }
            after = last;
            if after.is_none() {
                let highest = self.highest.load(Ordering::Relaxed);
                if let Some(higher) = kept.make_room(highest, now, &self.limits) {
                    self.highest.store(higher, Ordering::Relaxed);
                }
                kept.raised.retain(|(at, _)| *at >= oldest);
                kept.swept = now;
                return;
            }
        }
    }

    /// Who was seen in the last `back`. Copied piece by piece: no request waits for all of it.
    pub fn look(&self, back: Duration, now: Duration) -> Look {
        let back = back.min(now.saturating_sub(self.began)).min(self.limits.age);
        let since = now.saturating_sub(back);
        let mut look = Look { back, ..Look::default() };
        // Before and after: what is lowered meanwhile was not whole.
        let mut highest = self.since(since);
        let mut after = None;
        loop {
            let kept = self.kept();
            let (step, last) = kept.step(after);
            for hash in step {
                let visits = kept.users.get(&hash).into_iter().flatten();
                look.visits
                    .extend(visits.filter(|visit| visit.at >= since).map(|visit| (hash, visit.clone())));
            }
            after = last;
            if after.is_none() {
                look.too_long = kept.too_long;
                break;
            }
        }
        highest = highest.min(self.since(since));
        look.up_to(highest);
        look
    }

    /// Whoever has a hash up to this was noted all the time since then.
    fn since(&self, since: Duration) -> u64 {
        let kept = self.kept();
        let raised = kept.raised.iter().filter(|(at, _)| *at >= since).map(|(_, before)| *before);
        raised.fold(self.highest.load(Ordering::Relaxed), u64::min)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// Leaves only those with a hash up to this: as good a sample of all, and smaller.
    fn up_to(&mut self, highest: u64) {
        self.visits.retain(|(hash, _)| *hash <= highest);
        let mut hashes: Vec<u64> = self.visits.iter().map(|(hash, _)| *hash).collect();
        hashes.dedup();
        self.users = u64::try_from(hashes.len()).unwrap_or(u64::MAX);
        self.whole = highest == u64::MAX;
        self.of = match self.whole {
            true => self.users,
            false => (self.users as f64 / (highest as f64 / u64::MAX as f64)).round() as u64,
        };
    }

    /// Leaves so many visits at most.
    pub fn narrow(&mut self, visits: usize) {
        if let Some((first_out, _)) = self.visits.get(visits) {
            let highest = first_out.saturating_sub(1);
            self.up_to(highest);
        }
    }
}

impl Kept {
    fn put(&mut self, hash: u64, new: Visit) {
        let mut bytes = self.bytes.saturating_add(new.context.bytes());
        let visits = self.users.entry(hash).or_default();
        // Another user of the same hash is one of some billions: the last one counts.
        if let Some(old) = visits.iter_mut().find(|old| old.context.route == new.context.route) {
            bytes = bytes.saturating_sub(old.context.bytes());
            *old = new;
        } else {
            if visits.len() >= ROUTES_MAX
                && let Some(oldest) =
                    (0..visits.len()).min_by_key(|place| visits.get(*place).map(|old| old.at))
            {
                bytes = bytes.saturating_sub(visits.swap_remove(oldest).context.bytes());
            }
            visits.push(new);
        }
        self.bytes = bytes;
    }

    /// Leaves those out who are too many. Gives the highest hash from now on, if that is another.
    fn fit(&mut self, limits: &Limits) -> Option<u64> {
        let mut highest = None;
        while self.users.len() > limits.users || self.bytes > limits.bytes {
            let Some((hash, visits)) = self.users.pop_last() else { break };
            let bytes: usize = visits.iter().map(|visit| visit.context.bytes()).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            highest = Some(hash.saturating_sub(1));
        }
        highest
    }

    /// The next users after this one, and where the next step begins; `None`: that was the last.
    fn step(&self, after: Option<u64>) -> (Vec<u64>, Option<u64>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let step: Vec<u64> =
            self.users.range((from, Bound::Unbounded)).take(STEP).map(|(hash, _)| *hash).collect();
        let more = if step.len() < STEP { None } else { step.last().copied() };
        (step, more)
    }

    fn expire(&mut self, hash: u64, oldest: Duration) {
        let Some(visits) = self.users.get_mut(&hash) else { return };
        let mut bytes = self.bytes;
        visits.retain(|visit| {
            let stays = visit.at >= oldest;
            if !stays {
                bytes = bytes.saturating_sub(visit.context.bytes());
            }
            stays
        });
        if visits.is_empty() {
            self.users.remove(&hash);
        }
        self.bytes = bytes;
    }

    /// Where half of it is free, twice as many hashes are taken from now on.
    fn make_room(&mut self, highest: u64, now: Duration, limits: &Limits) -> Option<u64> {
        let free = self.users.len() < limits.users / 2 && self.bytes < limits.bytes / 2;
        if highest == u64::MAX || !free {
            return None;
        }
        self.raised.push((now, highest));
        Some(highest.saturating_mul(2).max(1))
    }
}

#[cfg(test)]
mod tests;
