//! What the service manager is told, where there is one (`NOTIFY_SOCKET`): systemd starts what comes after dimmer when it serves,
//! and waits for a drain that is longer than its own patience.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock;

/// It serves, this configuration of the process.
pub(super) fn serves(generation: u64) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serves configuration {generation}"))]);
}

/// It looks at its configuration again; [`serves`] says that it is done.
pub(super) fn reloads() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // A manager that knows when it asked for the reload takes none without a time; all others do.
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It drains for so long at most, and then has a few things to write.
pub(super) fn drains(patience: Duration) {
    let until = patience.saturating_add(LAST_WRITES);
    // As much as one message can ask for is more than an hour.
    let more = u32::try_from(until.as_micros()).unwrap_or(u32::MAX);
    let status =
        format!("drains until {}", clock::rfc3339(clock::unix_ms().saturating_add(millis(patience))));
    tell(&[NotifyState::Stopping, NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(more)]);
}

/// What is written when nobody is served any more has its own limits, which add up to less.
const LAST_WRITES: Duration = Duration::from_secs(30);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "the service manager was not told; is NOTIFY_SOCKET its socket?");
    }
}
