//! Seeded chance: the only source of it in this room, so that the same request always meets the same luck.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A stream of numbers that depends on its seed alone (the splitmix64 sequence).
pub(super) struct Dice(u64);

impl Dice {
    /// A stream for one purpose: streams of different purposes are independent, so that changing the share of one
    /// fault moves no other.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        Self(xxh3_64_with_seed(purpose.as_bytes(), seed))
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let again = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        again ^ (again >> 31)
    }

    /// Evenly between 0 and 1, never 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly among `0..count`; 0 when there is nothing to choose from.
    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// One of them; `""` when there are none.
    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.below(from.len())).copied().unwrap_or("")
    }

    /// Around a mean with a long right tail, as lengths and waits are (log-normal; the mean stays the mean).
    pub(super) fn around(&mut self, mean: f64, spread: f64) -> f64 {
        // Twelve even draws, less six, are near enough to a normal one.
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        mean * (spread * normal - spread * spread / 2.0).exp()
    }

    /// A wait around its mean.
    pub(super) fn wait(&mut self, mean: Duration, spread: f64) -> Duration {
        let seconds = self.around(mean.as_secs_f64(), spread);
        Duration::try_from_secs_f64(seconds).unwrap_or(mean)
    }

    /// An id's tail: `length` letters and digits.
    pub(super) fn id(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).filter_map(|_| LETTERS.get(self.below(62)).copied().map(char::from)).collect()
    }
}

/// Whether a share of all requests takes this one. Raising the share only adds requests.
pub(super) fn happens(seed: u64, what: &str, share: f64) -> bool {
    share > 0.0 && Dice::new(seed, what).unit() < share
}
