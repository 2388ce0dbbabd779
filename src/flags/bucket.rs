//! The bucketing formula, frozen as `hash = "xxh3-1"`. docs/bucketing.md publishes it with vectors.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// How many buckets the ring has: a percentage has steps of 0.0001.
pub const BUCKETS: u32 = 1_000_000;

/// The seed that a salt stands for: `XXH3_64(salt)`. Computed once per configuration.
pub fn salt_seed(salt: &str) -> u64 {
    xxh3_64(salt.as_bytes())
}

/// The bucket of a key, `0..BUCKETS`: `XXH3_64_with_seed(key, seed)` mapped by multiply-shift. The key's bytes are used as
/// they are: no trim, no case fold, no Unicode normalisation.
pub fn bucket(seed: u64, key: &str) -> u32 {
    let hash = xxh3_64_with_seed(key.as_bytes(), seed);
    ((u128::from(hash) * u128::from(BUCKETS)) >> 64) as u32
}
