//! Another try at the same target: only where nothing can happen twice, within the provider's budget, and not for long.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock;
use crate::observe::{Outcome, RetryCause, RetrySkipped};
use crate::proxy::attempts::{self, Fault};
use crate::proxy::dispatch::chain;
use crate::proxy::dispatch::cut::unless_cut;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::trace;
use crate::snapshot::{KeyWish, ProviderPlan};
use crate::wire::ErrorCode;

/// A longer wait is not waited: the chain goes on, or the caller's own SDK waits, which holds nothing here.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The first wait where the provider asks for none: a connection that is refused is a restart mostly, and a second try at once
/// would meet it too.
const AFTER_CONNECT: Duration = Duration::from_millis(100);

/// The same after an answer that says that there is no room.
const AFTER_ANSWER: Duration = Duration::from_millis(400);

/// Nothing was written: whether the same may be tried again. Waits where it may.
pub(super) async fn unwritten(exchange: &mut Exchange, provider: &ProviderPlan, error: &ProxyError) -> bool {
    let tries = exchange.again;
    if !provider.provider.retries.connect || !may(exchange, provider) || !is_passing(error) {
        return false;
    }
    trace::unwritten(exchange, error);
    let again = wait(exchange, provider, RetryCause::Connect, backoff(AFTER_CONNECT, tries)).await;
    if again {
        trace::asks(exchange, clock::now());
    }
    again
}

/// A certificate does not mend itself, a connection that hung for its whole time has used up the caller's patience, and what an
/// operator has ended is not begun anew.
fn is_passing(error: &ProxyError) -> bool {
    !matches!(error.code, ErrorCode::UpstreamTls | ErrorCode::UpstreamTimeout | ErrorCode::KillSwitch)
}

/// The provider has said that it has no room: whether to ask it again. Waits where it is.
pub(super) async fn refused(
    exchange: &mut Exchange,
    provider: &ProviderPlan,
    status: StatusCode,
    headers: &HeaderMap,
) -> bool {
    let retries = provider.provider.retries;
    let cause = match status {
        StatusCode::TOO_MANY_REQUESTS if retries.limited => RetryCause::Limited,
        StatusCode::SERVICE_UNAVAILABLE if retries.unavailable => RetryCause::Unavailable,
        _ => return false,
    };
    if !may(exchange, provider) || headers.get("x-should-retry").is_some_and(|value| value == "false") {
        return false;
    }
    let pause = match another_key(exchange, provider, status) {
        true => Duration::ZERO,
        false => {
            told(headers, clock::unix_time()).unwrap_or_default().max(backoff(AFTER_ANSWER, exchange.again))
        }
    };
    wait(exchange, provider, cause, pause).await
}

/// Tries are left, and the target was not switched off meanwhile.
fn may(exchange: &Exchange, provider: &ProviderPlan) -> bool {
    exchange.again < provider.provider.retries.attempts && chain::still_serves(exchange)
}

/// A key that does not rest takes over at once.
fn another_key(exchange: &Exchange, provider: &ProviderPlan, status: StatusCode) -> bool {
    let sticky =
        exchange.decision.as_ref().is_some_and(|decision| matches!(decision.key, KeyWish::Sticky(_)));
    let ours = exchange.key.is_some();
    let keys = &provider.keys;
    status == StatusCode::TOO_MANY_REQUESTS
        && ours
        && sticky
        && keys.several()
        && keys.resting(clock::uptime()) < keys.count()
}

/// Notes the try that failed and waits for the next, if the wait is short and the budget has one.
async fn wait(exchange: &mut Exchange, provider: &ProviderPlan, cause: RetryCause, pause: Duration) -> bool {
    if pause > WAIT_MAX {
        provider.series.retry_skipped(RetrySkipped::TooLong);
        return false;
    }
    if !provider.budget.take(clock::uptime()) {
        provider.series.retry_skipped(RetrySkipped::OverBudget);
        return false;
    }
    let fault = match cause {
        RetryCause::Connect => Fault::Unreached,
        RetryCause::Limited => Fault::NoRoom,
        RetryCause::Unavailable => Fault::Own,
    };
    attempts::note(exchange, Outcome::UpstreamError, fault);
    if chain::is_shut(exchange) {
        return false;
    }
    provider.series.retried(cause);
    exchange.again += 1;
    exchange.retried = true;
    if !pause.is_zero() {
        let began = clock::now();
        let slept = unless_cut(&exchange.aboard, tokio::time::sleep(jittered(exchange, pause))).await;
        exchange.waited += clock::now().saturating_duration_since(began);
        if slept.is_none() {
            return false;
        }
    }
    // It may have been switched off while nobody looked.
    let again = !exchange.is_cut() && chain::still_serves(exchange) && !chain::is_shut(exchange);
    if again {
        exchange.target_began = Some(clock::now());
        exchange.noted = false;
    }
    again
}

/// Twice as long each time.
fn backoff(first: Duration, tries: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(WAIT_MAX)
}

/// Up to a half more: those who were refused at one moment do not come back at one moment. Never less, since the provider may
/// have asked for it.
fn jittered(exchange: &Exchange, pause: Duration) -> Duration {
    let random = xxh3_64_with_seed(exchange.id.as_str().as_bytes(), u64::from(exchange.again));
    pause + pause.mul_f64((random >> 32) as f64 / f64::from(u32::MAX) / 2.0)
}

/// What the provider asks for: `retry-after-ms`, else `Retry-After` in seconds or as a date, from `now` on.
pub(super) fn told(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds =
        |text: &str| text.parse().ok().and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    let millis = text("retry-after-ms").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let after = text(header::RETRY_AFTER.as_str());
    millis.or_else(|| after.and_then(|after| seconds(after).or_else(|| until(after, now))))
}

/// From now to an HTTP date; one that has passed is no time at all.
fn until(date: &str, now: Duration) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    Some(Duration::from_secs(u64::try_from(at).ok()?).saturating_sub(now))
}

/// No byte of the request was written, or it ended before a connection was there.
pub(super) fn is_unwritten(error: &ProxyError) -> bool {
    error.phase == Phase::Dispatch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<u128> = (0..5).map(|tries| backoff(AFTER_ANSWER, tries).as_millis()).collect();
        assert_eq!(waits, [400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(backoff(AFTER_CONNECT, 40), WAIT_MAX);
    }
}
