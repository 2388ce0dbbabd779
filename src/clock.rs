//! The only reader of time. Everything that decides over time takes `now` as an argument from here.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point on the monotonic clock: for waiting and measuring.
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for what people and other machines read. A clock before 1970 reads as 0.
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

/// Time since 1970, with its fraction.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the process first asked for it: what atomics can hold of the monotonic clock.
pub fn uptime() -> Duration {
    static BORN: OnceLock<Instant> = OnceLock::new();
    now().saturating_duration_since(*BORN.get_or_init(now))
}

/// A wait between half as long and as long: who all waits for the same does not come back at once.
pub fn jittered(wait: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without random numbers there is no jitter, which is no reason to wait longer.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    wait.mul_f64(0.5 + f64::from(byte) / 512.0)
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970.
pub fn unix_us() -> u64 {
    micros(unix_time())
}

/// A time in whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as people and other machines read them: `2027-03-31T14:00:00.250Z`.
pub fn rfc3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

/// Microseconds since 1970 of a time as people write it: `2027-03-31`, or with `T14:00:00Z`. A day begins in UTC.
pub fn unix_us_of(text: &str) -> Option<u64> {
    let stamp: jiff::Timestamp = match text.parse() {
        Ok(stamp) => stamp,
        Err(_) => format!("{}T00:00:00Z", text.parse::<jiff::civil::Date>().ok()?).parse().ok()?,
    };
    u64::try_from(stamp.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::{rfc3339, unix_us_of};

    #[test]
    fn a_time_is_said_in_utc_with_its_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_805_983_200_250), "2027-03-25T14:00:00.250Z");
        assert!(rfc3339(u64::MAX).starts_with("9999-"));
    }

    #[test]
    fn a_time_is_read_as_people_write_it() {
        assert_eq!(unix_us_of("1970-01-02"), Some(86_400_000_000));
        assert_eq!(unix_us_of("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(unix_us_of("1970-01-01T01:00:00+01:00"), Some(0));
        for wrong in ["", "yesterday", "1969-12-31", "1970-13-01", "7"] {
            assert_eq!(unix_us_of(wrong), None, "{wrong}");
        }
    }
}
