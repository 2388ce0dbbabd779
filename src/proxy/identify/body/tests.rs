//! How long a body that streams through may take.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;

use super::{LEAST_RATE, Streamed, Trouble};
use crate::clock;
use crate::proxy::timer::Timer;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a body has left after it brought `came` bytes and its caller was waited for so long.
fn left(came: u64, waited: Duration) -> (Duration, Trouble) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let body = Streamed {
        body: Full::new(Bytes::from_static(b"x")),
        upload: Default::default(),
        left: 1000,
        patience: PATIENCE,
        timer: Timer::default(),
        waiting: None,
        waited,
        came,
    };
    let now = clock::now();
    let (deadline, trouble) = body.deadline(now);
    (deadline - now, trouble)
}

#[test]
fn a_silence_may_take_the_patience_and_no_longer() {
    assert_eq!(left(0, Duration::ZERO), (PATIENCE, Trouble::TooSlow));
    // What came in time gives no right to a longer silence.
    assert_eq!(left(u64::MAX, Duration::ZERO), (PATIENCE, Trouble::TooSlow));
    assert_eq!(left(100 * LEAST_RATE, Duration::from_secs(70)), (PATIENCE, Trouble::TooSlow));
}

#[test]
fn a_thin_body_has_the_patience_in_all_and_more_for_what_it_brings() {
    let seconds = Duration::from_secs;
    assert_eq!(left(29, seconds(29)), (seconds(1), Trouble::TooThin));
    assert_eq!(left(29, seconds(40)), (Duration::ZERO, Trouble::TooThin));
    assert_eq!(left(100 * LEAST_RATE, seconds(90)), (seconds(10), Trouble::TooThin));
}
