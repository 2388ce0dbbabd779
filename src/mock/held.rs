//! What a simulated provider holds for its callers: responses, conversations, threads. Each belongs to the provider and
//! the credential that made it, as with real ones, so that a request at the wrong account finds nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use serde_json::Value;

/// Things kept at the same time. A test needs dozens; the oldest go first.
const THINGS_MAX: usize = 4096;

/// About what they may weigh together: a load test with large prompts must not fill the memory.
const WEIGHT_MAX: usize = 64 * 1024 * 1024;

/// Everything that is held, of all providers of the process. Shared by the connections.
#[derive(Default)]
pub(super) struct Held {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    things: HashMap<String, Kept>,
    /// The keys of `things`, the oldest first.
    order: VecDeque<String>,
    weight: usize,
}

struct Kept {
    thing: Thing,
    weight: usize,
}

/// Whose things: a provider's name and the digest of a credential.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owner(String);

/// Something that is held.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    /// A response.
    Response(Stored),
    /// A conversation.
    Conversation {
        /// As its calls answer it.
        object: Value,
        /// Its items, in order.
        items: Vec<Value>,
    },
    /// A thread, under the id of its last message.
    Thread {
        /// `system` and `tools` as they were sent first.
        fixed: [Value; 2],
        /// All messages, the last answer included.
        messages: Vec<Value>,
        /// It was gone on with: each answer once.
        continued: bool,
    },
}

/// A response that was stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// As it will be when it is done.
    pub(super) object: Value,
    /// The items that its own request gave.
    pub(super) given: Vec<Value>,
    /// What the next response knows: all items so far, the answer included.
    pub(super) context: Vec<Value>,
    /// Made in the background: when it will be done (since the epoch).
    pub(super) done_at: Option<Duration>,
}

impl Owner {
    /// Of a request to this provider, by its one credential.
    pub(super) fn of(provider: &str, headers: &HeaderMap) -> Self {
        let named = ["x-api-key", "api-key"].iter().find_map(|name| headers.get(*name));
        let credential = headers.get(AUTHORIZATION).or(named).map_or(&b""[..], |value| value.as_bytes());
        let secret = credential.strip_prefix(b"Bearer ").unwrap_or(credential);
        let hex: String = digest(&SHA256, secret).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{provider}/{hex}"))
    }

    fn key(&self, id: &str) -> String {
        format!("{}/{id}", self.0)
    }
}

impl Held {
    /// Keeps a thing in place of what had this id.
    pub(super) fn put(&self, owner: &Owner, id: &str, thing: Thing, weight: usize) {
        let key = owner.key(id);
        let mut inner = self.lock();
        inner.remove(&key);
        inner.weight += weight;
        inner.order.push_back(key.clone());
        inner.things.insert(key, Kept { thing, weight });
        while inner.things.len() > THINGS_MAX || inner.weight > WEIGHT_MAX {
            let Some(oldest) = inner.order.front().cloned() else { return };
            inner.remove(&oldest);
        }
    }

    /// A copy of it, and what it weighs.
    pub(super) fn get(&self, owner: &Owner, id: &str) -> Option<(Thing, usize)> {
        let inner = self.lock();
        inner.things.get(&owner.key(id)).map(|kept| (kept.thing.clone(), kept.weight))
    }

    /// Forgets it; false when it is not there.
    pub(super) fn forget(&self, owner: &Owner, id: &str) -> bool {
        self.lock().remove(&owner.key(id)).is_some()
    }

    /// The stored response of this id.
    pub(super) fn response(&self, owner: &Owner, id: &str) -> Option<(Stored, usize)> {
        match self.get(owner, id) {
            Some((Thing::Response(stored), weight)) => Some((stored, weight)),
            _ => None,
        }
    }

    /// A table of whole values: nothing that a panic could leave half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, key: &str) -> Option<Thing> {
        let kept = self.things.remove(key)?;
        self.weight -= kept.weight;
        self.order.retain(|known| known != key);
        Some(kept.thing)
    }
}
