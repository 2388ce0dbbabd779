//! Parameters brought into a request.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Family, Param, ParamEdit, ParamValue, Place};
use crate::wire::Endpoint;
use crate::wire::edit::{self, Edits, ObjectEdit};
use crate::wire::json::{Kind, Span, elements, find, string_is};

/// What becomes of a place.
enum Wish {
    /// It stays.
    Keep,
    /// It gets this value.
    Write(Bytes),
    /// It should get one that the API does not have.
    Cannot,
}

/// A value for a member of a member.
struct Inner {
    object: &'static str,
    field: &'static str,
    value: Bytes,
}

type Inners = SmallVec<[Inner; 2]>;

impl Edits<'_> {
    /// Brings parameters into the request, each at the place where the request's API keeps it. To be asked for once, and
    /// before [`Edits::deny_tools`] and [`Edits::fit`]. Names of parameters that should have been written and have no
    /// place, or no such value, in this API are added to `dropped`; so are sampling parameters where they are refused.
    pub fn params(&mut self, edits: &[ParamEdit], refuses_sampling: bool, dropped: &mut Vec<String>) {
        let Some(family) = Family::of(self.view.endpoint()) else { return };
        let refuses_sampling = refuses_sampling && family == Family::Messages;
        let mut inner: Inners = SmallVec::new();
        for edit in edits {
            let param = edit.param;
            let place = param.place(self.view.endpoint());
            if place == Place::Idle || (param.of_tools && !self.brings_tools()) {
                continue;
            }
            let barred = place == Place::Nowhere || (param.sampling && refuses_sampling);
            for place in self.places(param, place) {
                let now = self.now(place);
                match edit.wish(now.map(|span| span.of(&self.body)), family) {
                    Wish::Keep => continue,
                    Wish::Write(value) if !barred => match place {
                        Spot::Member(name) => self.top.set(&self.body, name, value),
                        Spot::Inside(object, field) => inner.push(Inner { object, field, value }),
                        Spot::Nowhere => {}
                    },
                    Wish::Write(_) | Wish::Cannot => dropped.push(param.name.to_owned()),
                }
                if barred {
                    break;
                }
            }
        }
        while let Some(object) = inner.first().map(|first| first.object) {
            let (of_object, others): (Inners, Inners) =
                inner.into_iter().partition(|one| one.object == object);
            self.write_inside(object, &of_object);
            inner = others;
        }
    }

    /// Whether the request has tools: a list with something in it.
    fn brings_tools(&self) -> bool {
        let tools = self.view.value(&self.body, "tools");
        tools.is_some_and(|tools| elements(&self.body, tools).next().is_some())
    }

    /// The places of a parameter in this very request.
    fn places(&self, param: &Param, place: Place) -> SmallVec<[Spot; 2]> {
        let spot = match place {
            Place::Same => Spot::Member(param.name),
            Place::Member(name) => Spot::Member(name),
            Place::Inside(object, field) => Spot::Inside(object, field),
            Place::Nowhere | Place::Idle => Spot::Nowhere,
            Place::EitherOf(one, other) => return self.either(one, other),
        };
        SmallVec::from_slice(&[spot])
    }

    /// Both, as far as they say something; else the one that says `null`; else the second.
    fn either(&self, one: &'static str, other: &'static str) -> SmallVec<[Spot; 2]> {
        let value = |name| self.view.value(&self.body, name);
        let says = |name: &&'static str| value(name).is_some_and(|value| !self.is_null(value));
        let mut spots: SmallVec<[Spot; 2]> =
            [one, other].into_iter().filter(says).map(Spot::Member).collect();
        if spots.is_empty() {
            let only_one = value(one).is_some() && value(other).is_none();
            spots.push(Spot::Member(if only_one { one } else { other }));
        }
        spots
    }

    /// The value at a place; `null` is none.
    fn now(&self, spot: Spot) -> Option<Span> {
        let value = match spot {
            Spot::Member(name) => self.view.value(&self.body, name),
            Spot::Inside(object, field) => {
                self.view.value(&self.body, object).and_then(|object| find(&self.body, object, field))
            }
            Spot::Nowhere => None,
        };
        value.filter(|value| !self.is_null(*value))
    }

    fn is_null(&self, value: Span) -> bool {
        Kind::of(value.of(&self.body)) == Kind::Null
    }

    /// Values for members of one member. One that is there keeps everything else; one that is neither object nor `null` is
    /// left for the provider to refuse.
    fn write_inside(&mut self, object: &'static str, fields: &[Inner]) {
        let there = match self.top.place(&self.body, object) {
            Some(edit::Place::Original(value)) => Some(value),
            Some(edit::Place::Written(_)) => return,
            None => None,
        };
        match there.map(|value| (value, Kind::of(value.of(&self.body)))) {
            Some((value, Kind::Object)) => {
                if object == TOOL_CHOICE && self.forbids_tools(value) {
                    return;
                }
                let Some(members) = self.members_of(value) else { return };
                let mut inside = ObjectEdit::new(value.inside().start, &members);
                for field in fields {
                    let says_nothing = find(&self.body, value, field.field).is_none();
                    if !(says_nothing && is_implied(object, &field.value)) {
                        inside.set(&self.body, field.field, field.value.clone());
                    }
                }
                inside.splices(&mut self.within);
            }
            None | Some((_, Kind::Null)) => {
                if let Some(new) = new_object(object, fields) {
                    self.top.set(&self.body, object, new.into());
                }
            }
            Some(_) => {}
        }
    }

    /// `tool_choice` of Messages says that no tool is called: it has no other member then.
    fn forbids_tools(&self, choice: Span) -> bool {
        find(&self.body, choice, "type").is_some_and(|kind| string_is(&self.body, kind, "none"))
    }
}

/// A place in one request.
#[derive(Clone, Copy)]
enum Spot {
    Member(&'static str),
    Inside(&'static str, &'static str),
    Nowhere,
}

impl ParamEdit {
    /// What becomes of a place that holds `now`.
    fn wish(&self, now: Option<&[u8]>, family: Family) -> Wish {
        let given = self.set.as_ref().or(self.default.as_ref().filter(|_| now.is_none()));
        let max = self.max.as_ref();
        let above = |number: Option<f64>| {
            let over = |max: &&std::sync::Arc<ParamValue>| Some(number? > max.number()?);
            max.filter(|max| over(max) == Some(true))
        };
        let value = match given {
            Some(given) => above(given.number()).unwrap_or(given),
            None => match above(now.and_then(number)) {
                Some(max) => max,
                None => return Wish::Keep,
            },
        };
        match value.spelled(family) {
            // Nothing says that there is nothing, and what is right already is left alone.
            Some(spelled) if &**spelled == now.unwrap_or(b"null") => Wish::Keep,
            Some(spelled) => Wish::Write(spelled.clone()),
            None => Wish::Cannot,
        }
    }

    /// Whether the call that `endpoint` names could be given this value. Serves those who tell people.
    pub fn has_place(&self, endpoint: Endpoint) -> bool {
        self.param.has_place(endpoint)
    }
}

/// A JSON number; anything else is left for the provider to judge.
fn number(value: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(value).ok()?;
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then(|| text.parse().ok())?
}

const TOOL_CHOICE: &str = "tool_choice";

/// Parallel calls are allowed unless something forbids them: that needs no words.
fn is_implied(object: &str, value: &[u8]) -> bool {
    object == TOOL_CHOICE && value == b"false"
}

/// The member as it is where the request has none.
fn new_object(object: &str, fields: &[Inner]) -> Option<Vec<u8>> {
    let mut text: Vec<u8> =
        if object == TOOL_CHOICE { br#"{"type":"auto","#.to_vec() } else { b"{".to_vec() };
    let mut any = false;
    for field in fields.iter().filter(|field| !is_implied(object, &field.value)) {
        if any {
            text.push(b',');
        }
        any = true;
        text.extend_from_slice(format!("\"{}\":", field.field).as_bytes());
        text.extend_from_slice(&field.value);
    }
    text.push(b'}');
    any.then_some(text)
}
