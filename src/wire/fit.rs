//! What a request made for another model needs before this one takes it.

use bytes::Bytes;

use super::edit::{Edits, Place};

/// `fit` of a model: applied last, to the top-level members of a generation request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    /// Members taken out, each counted and named in `x-dimmer-dropped`.
    pub drop: Vec<String>,
    /// Members given another name: (from, to). Where `to` is there already and not `null`, `from` is dropped.
    pub rename: Vec<(String, String)>,
    /// Members set to a JSON text: (name, value), replacing what is there.
    pub set: Vec<(String, String)>,
    /// `max_tokens` and `max_completion_tokens`, in Responses `max_output_tokens`, above it become it.
    pub cap_max_tokens: Option<u64>,
}

impl Edits<'_> {
    /// Makes the request fit a model: drop, rename, set, cap, in this order, each seeing what the ones before it left.
    /// Names of fields that the app sent and that go out no more are added to `dropped`.
    pub fn fit(&mut self, fit: &Fit, dropped: &mut Vec<String>) {
        self.fit_where(fit, dropped, |_, _| true);
        for (name, value) in &fit.set {
            self.top.set(&self.body, name, Bytes::from(value.clone()));
        }
        self.cap_all(fit.cap_max_tokens);
    }

    /// The same, but only for what dimmer itself wrote into a request that was made for this very model: that need not
    /// fit, and all else does. To be asked for instead.
    pub fn fit_written(&mut self, fit: &Fit, dropped: &mut Vec<String>) {
        let cap = fit.cap_max_tokens.filter(|_| self.limits().iter().any(|name| self.wrote(name)));
        self.fit_where(fit, dropped, Self::wrote);
        self.cap_all(cap);
    }

    /// Drops and renames the members that `chosen` names.
    fn fit_where(&mut self, fit: &Fit, dropped: &mut Vec<String>, chosen: impl Fn(&Self, &str) -> bool) {
        for name in &fit.drop {
            if !chosen(self, name) {
                continue;
            }
            if self.top.drop(&self.body, name) {
                dropped.push(name.clone());
            }
            self.closed.push(name.clone());
        }
        for (from, to) in &fit.rename {
            if chosen(self, from) && self.top.rename(&self.body, from, to) {
                dropped.push(from.clone());
            }
        }
    }

    /// Whether the value that has this name by now is of dimmer's own writing.
    fn wrote(&self, name: &str) -> bool {
        matches!(self.top.place(&self.body, name), Some(Place::Written(_)))
    }

    /// The names under which this API bounds an answer's length.
    fn limits(&self) -> &'static [&'static str] {
        if self.view.endpoint().takes_items() {
            &["max_output_tokens"]
        } else {
            &["max_tokens", "max_completion_tokens"]
        }
    }

    fn cap_all(&mut self, cap: Option<u64>) {
        for name in self.limits() {
            cap.into_iter().for_each(|cap| self.cap(name, cap));
        }
    }

    fn cap(&mut self, name: &str, cap: u64) {
        let exceeds = match self.top.place(&self.body, name) {
            Some(Place::Original(value)) => is_over(value.of(&self.body), cap),
            Some(Place::Written(value)) => is_over(&value, cap),
            None => false,
        };
        if exceeds {
            self.top.set(&self.body, name, Bytes::from(cap.to_string()));
        }
    }
}

/// Whether a JSON text is a number above `cap`. Anything else is left for the provider to judge.
fn is_over(value: &[u8], cap: u64) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    match text.parse::<u64>() {
        Ok(number) => number > cap,
        Err(_) if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => false,
        Err(_) => text.parse::<f64>().is_ok_and(|number| number > cap as f64),
    }
}
