//! A timer for limits that are hardly ever reached: it serves one deadline after another, and is hardly ever touched.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

use crate::clock;

/// Set for the earliest moment that was ever asked for, and set anew only when that has come: a request's deadline is nearly
/// always later than the one that the timer still waits for, and costs no operation on the runtime's timers.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl Timer {
    /// Ready when `deadline` has passed; until then the task is woken for it, perhaps also sooner.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let Self { sleep, waker } = self;
        let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if sleep.deadline().into_std() > deadline {
            sleep.as_mut().reset(deadline.into());
            *waker = None;
        }
        let waits = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if waits && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if clock::now() >= deadline {
                *waker = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline.into());
        }
        // Without budget the runtime wakes the task at once instead of telling the timer whom to wake.
        *waker = coop::has_budget_remaining().then(|| cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
