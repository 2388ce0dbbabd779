//! 7: a finished exchange becomes numbers. Also when the caller went away: what was decided is counted all the same.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::field;

use crate::clock;
use crate::observe::{ModelSeries, Outcome, ServedBy, TokenKind};
use crate::proxy::decide::{Answerer, Decision, Evaluated};
use crate::proxy::exchange::Exchange;
use crate::proxy::{attempts, exposure, trace};
use crate::snapshot::{RoutePlan, shown};
use crate::wire::Facts;

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(clock::now);
        finish(self, now);
        let news = self.watched.take().map(|watched| {
            let told = self.decision.as_ref().zip(self.facts.as_ref());
            let cost = told.and_then(|(decision, facts)| exposure::cost(decision, facts));
            watched.ended(self, cost, now)
        });
        trace::end(self, self.outcome.unwrap_or(Outcome::Cancelled), now);
        exposure::record(self, self.outcome.unwrap_or(Outcome::Cancelled), now);
        // Last: whoever says something of the answer must find that the request is known.
        if let Some(news) = news {
            news.tell();
        }
        if let Some(route) = &self.route {
            route.series.in_flight.dec();
        }
        self.gateway().in_flight.fetch_sub(1, Ordering::Relaxed);
        self.connection.end(now);
    }
}

fn finish(exchange: &Exchange, now: Instant) {
    let outcome = exchange.outcome.unwrap_or(Outcome::Cancelled);
    let took = now.saturating_duration_since(exchange.started);
    match &exchange.route {
        Some(route) => {
            count(exchange, route, outcome, took);
            attempts::record(exchange, route, outcome, now);
        }
        None if exchange.own => {}
        None => exchange.snapshot.unrouted.ended(outcome, took),
    }
    if let (Some(provider), false, Outcome::Cancelled) = (&exchange.provider, exchange.answered, outcome) {
        // The caller went away before the provider answered: asked it was all the same.
        provider.series.answered(None);
    }
    let gateway = exchange.gateway();
    for field in &exchange.dropped.known {
        gateway.series.dropped_parameter(field);
    }
    // A name that came with the request is no label.
    exchange.dropped.own.iter().for_each(|_| gateway.series.dropped_parameter("other"));
    if exchange.answered {
        match outcome {
            Outcome::Cancelled => gateway.series.breaks_client.inc(),
            Outcome::Cut | Outcome::Timeout => gateway.series.breaks_upstream.inc(),
            _ => {}
        }
    }
    log(exchange, outcome, took);
}

fn count(exchange: &Exchange, route: &RoutePlan, outcome: Outcome, took: Duration) {
    if outcome == Outcome::Cancelled {
        route.series.disconnects.inc();
    }
    let place = match &exchange.decision {
        Some(decision) => decision.place(route),
        None => route.none_place(),
    };
    if let Some(series) = route.model_series(place) {
        series.ended(outcome, took);
        if let Some(context) = trace::recorded_context(exchange) {
            series.traced(context, took, exchange.first_token, clock::unix_time());
        }
        if let Some(after) = exchange.first_token {
            series.first_token(after);
        }
        if let Some(facts) = &exchange.facts {
            count_facts(exchange, series, facts);
        }
    }
    if let Some(cause) = exchange.decision.as_ref().and_then(|decision| decision.fallback) {
        route.series.fell_back(cause.as_str());
    }
    count_user(exchange, route, outcome);
    // A variant is judged by its answers: a count that follows its decision is none.
    let judged = exchange.decision.as_ref().filter(|_| !exchange.endpoint.counts());
    for evaluated in judged.iter().flat_map(|decision| &decision.evaluated) {
        let variant = evaluated.evaluation.variant.0;
        let outcome = exposure::own_outcome(exchange, evaluated, outcome);
        evaluated.plan.series.ended(variant, outcome, took);
        if let Some(after) = exchange.first_token {
            evaluated.plan.series.first_token(variant, after);
        }
    }
}

/// The user is one of those of the route, and of each variant that was tried for it.
fn count_user(exchange: &Exchange, route: &RoutePlan, outcome: Outcome) {
    let Some(user) = exchange.user else { return };
    let uptime = clock::uptime();
    route.series.user(ServedBy::All, user, uptime);
    match outcome {
        Outcome::Reply => route.series.user(ServedBy::Reply, user, uptime),
        _ if exchange.answered && exchange.status.is_some_and(|status| status < 400) => {
            route.series.user(ServedBy::Model, user, uptime);
        }
        _ => {}
    }
    for evaluated in exchange.decision.iter().flat_map(tried) {
        evaluated.plan.series.user(evaluated.evaluation.variant.0, user, uptime);
    }
}

/// Tokens, cost and length, of answers that are known to the end.
fn count_facts(exchange: &Exchange, series: &ModelSeries, facts: &Facts) {
    let Some(decision) = &exchange.decision else { return };
    if facts.complete && !facts.text_unknown {
        series.output_chars(facts.output_chars);
        for evaluated in tried(decision).filter(|_| exchange.assigned.is_none()) {
            evaluated.plan.series.output_chars(evaluated.evaluation.variant.0, facts.output_chars);
        }
    }
    if let Some(usage) = &facts.usage {
        series.tokens(TokenKind::Input, usage.input);
        series.tokens(TokenKind::CachedInput, usage.cache_read);
        series.tokens(TokenKind::CacheWrite, usage.cache_write);
        series.tokens(TokenKind::Output, usage.output);
        series.tokens(TokenKind::Reasoning, usage.reasoning);
    }
    match exposure::cost(decision, facts) {
        Some(cost) => {
            let usd = cost.as_usd();
            series.cost_usd(usd);
            for evaluated in tried(decision) {
                evaluated.plan.series.cost_usd(evaluated.evaluation.variant.0, usd);
            }
        }
        None => series.unpriced(),
    }
}

/// The flags whose variant was tried: an answer from elsewhere says nothing of the others.
fn tried(decision: &Decision) -> impl Iterator<Item = &Evaluated> {
    decision.evaluated.iter().filter(|one| one.passed_over.is_none())
}

/// What the provider calls the model that was asked.
fn sent(exchange: &Exchange) -> Option<&str> {
    match &exchange.decision.as_ref()?.answerer {
        Answerer::Model { plan, .. } => Some(&plan.model.upstream_model),
        Answerer::Unknown { .. } | Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => {
            None
        }
    }
}

/// One line per request, for those who ask for it (`DIMMER_LOG=dimmer::access=debug`).
fn log(exchange: &Exchange, outcome: Outcome, took: Duration) {
    let context = trace::context(exchange);
    tracing::debug!(
        target: "dimmer::access",
        request_id = exchange.id.as_str(),
        trace_id = context.map(|context| field::display(context.trace)),
        span_id = context.map(|context| field::display(context.span)),
        route = exchange.route.as_ref().map_or("none", |route| route.name.as_str()),
        endpoint = exchange.endpoint.as_str(),
        model = exchange.decision.as_ref().map_or("none", |decision| decision.model_label()),
        sent = sent(exchange),
        answered = exchange.facts.as_ref().and_then(|facts| facts.answered_model.as_deref()).map(shown),
        provider = exchange.provider.as_ref().map_or("none", |plan| plan.provider.name.as_str()),
        flags = exchange.decision.as_ref().map(Decision::flags_header).unwrap_or_default(),
        outcome = outcome.as_str(),
        stream = exchange.stream,
        tried = exchange.tried,
        duration_ms = took.as_secs_f64() * 1e3,
        "request"
    );
}
