//! It never fires early, always fires, and wakes whoever asked last.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::Timer;

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(600);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() })
}

/// Counts how often it wakes.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn until(timer: &mut Timer, deadline: Instant) {
    poll_fn(|cx| timer.poll_until(cx, deadline)).await;
    assert!(Instant::now() >= deadline, "too early");
}

#[test]
fn a_deadline_that_moves_is_met_where_it_is() {
    run(async {
        let mut timer = Timer::default();
        let begun = Instant::now();
        // Earlier than what it waits for, then later, then in the past, then as far away as before.
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_until(cx, begun + LONG))).await.is_pending());
        until(&mut timer, begun + SHORT).await;
        until(&mut timer, begun + 3 * SHORT).await;
        until(&mut timer, begun).await;
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_until(cx, begun + LONG))).await.is_pending());
        let mut deadline = Instant::now() + SHORT;
        let last = deadline + 2 * SHORT;
        // It moves on each time that it is looked at, as it does while bytes drip in.
        poll_fn(|cx| {
            deadline = (deadline + SHORT / 2).min(last);
            timer.poll_until(cx, deadline)
        })
        .await;
        assert!(Instant::now() >= last);
    });
}

#[test]
fn whoever_asked_last_is_woken() {
    run(async {
        let mut timer = Timer::default();
        let (first, second) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        let deadline = Instant::now() + SHORT;
        for who in [&first, &second, &first, &second, &second] {
            let waker = Waker::from(Arc::clone(who));
            assert!(timer.poll_until(&mut Context::from_waker(&waker), deadline).is_pending());
        }
        tokio::time::sleep(2 * SHORT).await;
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
        // It has fired for the second; the first has to be heard all the same, and with a deadline of its own.
        until(&mut timer, Instant::now() + SHORT).await;
        until(&mut timer, Instant::now() + SHORT).await;
    });
}

#[test]
fn it_goes_from_task_to_task() {
    run(async {
        let mut timer = Timer::default();
        for turn in 0..4 {
            let task = tokio::task::spawn_local(async move {
                let far = Instant::now() + LONG;
                assert!(poll_fn(|cx| Poll::Ready(timer.poll_until(cx, far))).await.is_pending());
                until(&mut timer, Instant::now() + SHORT).await;
                if turn % 2 == 0 {
                    // Left behind with a waker of a task that is over by then.
                    let near = Instant::now() + SHORT;
                    assert!(poll_fn(|cx| Poll::Ready(timer.poll_until(cx, near))).await.is_pending());
                }
                timer
            });
            timer = task.await.unwrap();
        }
    });
}

#[test]
fn a_task_that_used_up_its_turn_is_woken_all_the_same() {
    run(async {
        let mut timer = Timer::default();
        let mut spent = false;
        let deadline = Instant::now() + SHORT;
        poll_fn(|cx| {
            if !spent {
                spent = true;
                while tokio::task::coop::has_budget_remaining() {
                    if let Poll::Ready(turn) = tokio::task::coop::poll_proceed(cx) {
                        turn.made_progress();
                    }
                }
            }
            timer.poll_until(cx, deadline)
        })
        .await;
        assert!(Instant::now() >= deadline);
    });
}
