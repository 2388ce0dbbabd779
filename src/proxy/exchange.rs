//! What is known so far about one request, stage by stage. Handed from stage to stage, then to the answer's body, and
//! counted when it is dropped, whoever drops it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::clock;
use crate::config::Client;
use crate::observe::Outcome;
use crate::proxy::accept::ConnectionState;
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::Phase;
use crate::proxy::exposure::Seed;
use crate::proxy::holders::Kept;
use crate::proxy::identify::{Reservation, Sought};
use crate::proxy::pins::Conversation;
use crate::proxy::rewrite::Dropped;
use crate::proxy::shadow::{Drawn, Watch};
use crate::proxy::trace::Tracing;
use crate::proxy::worker::{Gateway, RequestId, Worker};
use crate::snapshot::{Aboard, Live, ProviderPlan, RoutePlan, View};
use crate::wire::{Dialect, Endpoint, ErrorCode, Facts};

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The thread that serves it.
    pub(crate) worker: Rc<Worker>,
    /// The one snapshot that it sees, from start to end, and what was killed when its body had come.
    pub(crate) snapshot: Arc<View>,
    /// Its connection; told when the exchange ends.
    pub(crate) connection: Rc<ConnectionState>,
    /// When its head had come.
    pub(crate) started: Instant,
    /// Its id.
    pub(crate) id: RequestId,
    /// Its part in a trace; none where no traces are made. Written by `trace`.
    pub(crate) trace: Option<Box<Tracing>>,
    /// Which fields its head has. Written by `identify`, first of all.
    pub(crate) sought: Sought,
    /// How often it has come through a dimmer before. Written by `identify`.
    pub(crate) hops: u8,
    /// Which call it is. Written by `identify`.
    pub(crate) endpoint: Endpoint,
    /// In which call its target is asked, which may be of another dialect. Written by `rewrite`, for each target.
    pub(crate) spoken: Endpoint,
    /// Whose feature it is. Written by `identify`.
    pub(crate) route: Option<Arc<RoutePlan>>,
    /// Whether a stream was asked for. Written by `identify` where the body was read.
    pub(crate) stream: bool,
    /// Who calls; none where no client is declared. Written by `identify`.
    pub(crate) client: Option<Arc<Client>>,
    /// It asks something of dimmer itself: it is no request for an API, and not counted as one. Written by `feedback`.
    pub(crate) own: bool,
    /// What was decided. Written by `decide`.
    pub(crate) decision: Option<Decision>,
    /// A hash of the user, to count the different ones. Written by `choose`.
    pub(crate) user: Option<u64>,
    /// What its exposure needs of its context. Written by `choose` where exposures are kept, taken by `finish`.
    pub(crate) seed: Option<Box<Seed>>,
    /// What was taken out of the request, or could not be translated. Written by `rewrite`.
    pub(crate) dropped: Dropped,
    /// Who is asked. Written by `dispatch`.
    pub(crate) provider: Option<Arc<ProviderPlan>>,
    /// How many tries failed and were left, at this target or another. Written by `attempts`.
    pub(crate) tried: u32,
    /// What the target that the flags chose came to, where another one was asked after it. Written by `attempts`.
    pub(crate) assigned: Option<Outcome>,
    /// The present try is one of those that failed already. Written with it, taken back by `dispatch` when the next one begins.
    pub(crate) noted: bool,
    /// Tries at the present target beyond its first. Written by `dispatch`.
    pub(crate) again: u32,
    /// Something was tried again at the same target: the caller's SDK need not. Written by `dispatch`.
    pub(crate) retried: bool,
    /// What is sent is kept, so that it can be sent to another target, or once more. Written by `rewrite`.
    pub(crate) repeatable: bool,
    /// When the present target's try began. Written by `dispatch`.
    pub(crate) target_began: Option<Instant>,
    /// JSON is asked for, and somebody watches whether it comes. Written where the body was read.
    pub(crate) wants_json: bool,
    /// The provider's status. Written by `relay`.
    pub(crate) status: Option<u16>,
    /// The error that the caller is told of, and where it happened. Written by `respond`.
    pub(crate) failed: Option<(ErrorCode, Phase)>,
    /// Which of its own keys was sent, by its place; none: the caller's, or nothing. Written by `dispatch`.
    pub(crate) key: Option<usize>,
    /// The caller's own key was sent. Written by `rewrite`.
    pub(crate) callers_key_sent: bool,
    /// The conversation that it belongs to, where the route pins some. Written by `choose`.
    pub(crate) conversation: Option<Box<Conversation>>,
    /// What the answer will leave at the provider. Written by `decide`, taken by `relay` when it is known by name.
    pub(crate) kept: Option<Box<Kept>>,
    /// Which shadows get a copy. Written by `choose`, taken when it is sent.
    pub(crate) drawn: Option<Box<Drawn>>,
    /// The answer is to be compared with a copy's. Written when it is sent; sees what passes, and is told of the end.
    pub(crate) watched: Option<Box<Watch>>,
    /// The held body's share of the memory budget; given back when nobody else will be asked.
    pub(crate) reservation: Option<Reservation>,
    /// Time spent waiting for the caller's body and the provider.
    pub(crate) waited: Duration,
    /// When the first piece of content passed. Written by `relay`.
    pub(crate) first_token: Option<Duration>,
    /// What it is in flight with, from when its provider is asked. Written by `dispatch`.
    pub(crate) aboard: SmallVec<[Aboard; 8]>,
    /// An operator has ended it. Written by `relay`.
    pub(crate) cut_off: bool,
    /// What was learned from the answer. Written by `relay`.
    pub(crate) facts: Option<Facts>,
    /// The answer's head was sent.
    pub(crate) answered: bool,
    /// How it ended; still empty when the caller went away.
    pub(crate) outcome: Option<Outcome>,
    /// When, where somebody has looked at the clock then.
    pub(crate) ended: Option<Instant>,
}

impl Exchange {
    /// A request's head has come. Boxed: it goes through every stage and then with the answer, and would be copied each time.
    pub(crate) fn begin(worker: Rc<Worker>, connection: Rc<ConnectionState>) -> Box<Self> {
        let gateway = &worker.gateway;
        gateway.in_flight.fetch_add(1, Ordering::Relaxed);
        connection.begin();
        Box::new(Self {
            snapshot: gateway.snapshot(),
            id: worker.request_id(),
            worker,
            connection,
            started: clock::now(),
            trace: None,
            sought: Sought::default(),
            hops: 0,
            endpoint: Endpoint::Other(Dialect::OpenAi),
            spoken: Endpoint::Other(Dialect::OpenAi),
            route: None,
            stream: false,
            client: None,
            own: false,
            decision: None,
            user: None,
            seed: None,
            dropped: Dropped::default(),
            provider: None,
            tried: 0,
            assigned: None,
            noted: false,
            again: 0,
            retried: false,
            repeatable: false,
            target_began: None,
            wants_json: false,
            status: None,
            failed: None,
            key: None,
            callers_key_sent: false,
            conversation: None,
            kept: None,
            drawn: None,
            watched: None,
            reservation: None,
            waited: Duration::ZERO,
            first_token: None,
            aboard: SmallVec::new(),
            cut_off: false,
            facts: None,
            answered: false,
            outcome: None,
            ended: None,
        })
    }

    /// Request and answer are translated on their way.
    pub(crate) fn crosses(&self) -> bool {
        self.spoken != self.endpoint
    }

    /// The process's part.
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.worker.gateway
    }

    /// What holds at this moment, over the request's own configuration: a kill counts whatever was loaded meanwhile.
    pub(crate) fn newest(&self) -> Arc<View> {
        let newest = self.gateway().snapshot();
        if Arc::ptr_eq(&newest.snapshot, &self.snapshot.snapshot) {
            return newest;
        }
        let snapshot = Arc::clone(&self.snapshot.snapshot);
        let live = Live::of(&snapshot, &self.gateway().store.state());
        Arc::new(View { snapshot, live })
    }

    /// Time has passed since it began: what was killed meanwhile is killed for it too.
    pub(crate) fn catch_up(&mut self) {
        if !Arc::ptr_eq(&self.gateway().store.load(), &self.snapshot) {
            self.snapshot = self.newest();
        }
    }

    /// The provider is asked, or with none the service of a reply: from now on the request counts with everything that it is served.
    pub(crate) fn board(&mut self, provider: Option<&ProviderPlan>) {
        self.aboard.clear();
        self.aboard.extend(provider.map(|provider| provider.flight.board()));
        // What stands in for a route that is off is no part of it: a roll-back must not wait for it.
        if self.decision.as_ref().is_some_and(|decision| !decision.enabled) {
            return;
        }
        if let Some(route) = &self.route {
            self.aboard.push(route.flight.board());
        }
        let Some(decision) = &self.decision else { return };
        if let Answerer::Model { plan, .. } = &decision.answerer {
            self.aboard.push(plan.flight.board());
        }
        for evaluated in &decision.evaluated {
            let served =
                evaluated.served.and_then(|variant| evaluated.plan.flights.get(usize::from(variant.0)));
            // A flag may stand on several slots.
            if let Some(flight) = served
                && !self.aboard.iter().any(|aboard| aboard.is_of(flight))
            {
                self.aboard.push(flight.board());
            }
        }
    }

    /// An operator wants it to end.
    pub(crate) fn is_cut(&self) -> bool {
        is_cut(&self.aboard) || self.connection.is_cut()
    }

    /// The answer goes out. On a connection that has no other, the connection knows whom it is in flight with: a caller that takes
    /// nothing does not ask for more, so that only the connection can end it.
    pub(crate) fn hand_over(&mut self) {
        self.connection.carry(&mut self.aboard);
    }

    /// The route is known: it counts as in flight there.
    pub(crate) fn on_route(&mut self, route: Arc<RoutePlan>) {
        route.series.in_flight.inc();
        self.route = Some(route);
    }
}

/// How often it is looked whether somebody who waits for a provider was told to end.
pub(crate) const LOOK_FOR_CUTS: Duration = Duration::from_secs(1);

/// Whether a request with these was told to end.
pub(crate) fn is_cut(aboard: &[Aboard]) -> bool {
    aboard.iter().any(Aboard::is_cut)
}
