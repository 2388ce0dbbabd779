//! What the demo asks of the gateway and does to it: by the admin API, its metrics and its record, as any operator could.

use std::net::SocketAddr;

use http::Method;
use serde::de::DeserializeOwned;

use super::ledger::Ledger;
use super::scrape::{Counted, counted};
use crate::cli::client::{Client, segment};
use crate::clock;
use crate::control::api::shapes::{
    Aim, Audit, AuditView, BreakerView, Breakers, ConfigView, Done, FlagView, KillView, Kills, RecordsView,
    RollbackAsk, RollbackView, SetPercent,
};
use crate::report::adoption::Adoption;
use crate::report::impact::Impact;
use crate::report::shadow::Report;

/// The gateway as its operators have it.
pub(super) struct Desk {
    client: Client,
}

/// How many entries of the audit come at once.
const PAGE: u64 = 1000;

impl Desk {
    /// Nothing is asked yet.
    pub(super) fn new(admin: SocketAddr) -> Self {
        Self { client: Client::here(admin) }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.client.get(path)?.read()
    }

    /// Who was served what on a route.
    pub(super) fn adoption(&self, route: &str) -> Result<Adoption, String> {
        self.get(&format!("/adoption/{}", segment(route)))
    }

    /// What a flag's variants did.
    pub(super) fn impact(&self, flag: &str) -> Result<Impact, String> {
        self.get(&format!("/impact/{}", segment(flag)))
    }

    /// The breaker of this id, once it has seen a request.
    pub(super) fn breaker(&self, id: &str) -> Result<Option<BreakerView>, String> {
        let all: Breakers = self.get("/breakers")?;
        Ok(all.breakers.into_iter().find(|breaker| breaker.id == id))
    }

    /// The kill of this target, if it is killed.
    pub(super) fn killed(&self, target: &str) -> Result<Option<KillView>, String> {
        let all: Kills = self.get("/kills")?;
        Ok(all.kills.into_iter().find(|kill| kill.target == target))
    }

    /// What serves.
    pub(super) fn config(&self) -> Result<ConfigView, String> {
        self.get("/config")
    }

    /// How a shadow's candidate compares.
    pub(super) fn shadow(&self, route: &str, name: &str) -> Result<Report, String> {
        self.get(&format!("/shadow/{}/{}", segment(route), segment(name)))
    }

    /// Sets a rule's percentage.
    pub(super) fn set_percent(
        &self,
        flag: &str,
        rule: &str,
        percent: f64,
        reason: &str,
    ) -> Result<FlagView, String> {
        let path = format!("/flags/{}/rules/{}", segment(flag), segment(rule));
        let set = SetPercent { percent, reason: reason.to_owned() };
        self.client.change(&Method::PATCH, &path, &set)?.read()
    }

    /// Kills.
    pub(super) fn kill(&self, target: &str, reason: &str) -> Result<Done, String> {
        let aim = Aim { target: target.to_owned(), reason: reason.to_owned(), dry_run: false };
        self.client.change(&Method::POST, "/kill", &aim)?.read()
    }

    /// Takes a kill back.
    pub(super) fn revive(&self, target: &str, reason: &str) -> Result<Done, String> {
        let aim = Aim { target: target.to_owned(), reason: reason.to_owned(), dry_run: false };
        self.client.change(&Method::POST, "/revive", &aim)?.read()
    }

    /// What a roll-back would do.
    pub(super) fn would_roll_back(&self, target: &str) -> Result<RollbackView, String> {
        let ask = RollbackAsk {
            target: target.to_owned(),
            reason: "to see what it would do".to_owned(),
            cut: false,
            dry_run: true,
        };
        self.client.change(&Method::POST, "/rollback", &ask)?.read()
    }

    /// Who did what, from the beginning.
    pub(super) fn audit(&self) -> Result<Vec<AuditView>, String> {
        let mut entries: Vec<AuditView> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.number);
            let page: Audit = self.get(&format!("/audit?after={after}&limit={PAGE}"))?;
            if page.entries.is_empty() {
                return Ok(entries);
            }
            entries.extend(page.entries);
        }
    }

    /// What is kept of requests.
    pub(super) fn records(&self) -> Result<RecordsView, String> {
        self.get("/records")
    }

    /// Each request that is kept and came then or later.
    pub(super) fn ledger(&self, since_ms: u64) -> Result<Ledger, String> {
        let since = segment(&clock::rfc3339(since_ms));
        Ledger::read(&self.client.text(&format!("/records/export?what=exposures&since={since}"))?)
    }

    /// The requests that the metrics have counted.
    pub(super) fn counted(&self) -> Result<Vec<Counted>, String> {
        Ok(counted(&self.client.listener("/metrics")?))
    }

    /// Whether the listener has a page for browsers at `path`.
    pub(super) fn has_page(&self, path: &str) -> bool {
        let page = |text: String| text.trim_start().to_lowercase().starts_with("<!doctype html");
        self.client.listener(path).is_ok_and(page)
    }
}
