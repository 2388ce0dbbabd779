//! What a request made for another model needs before this one takes it.

/// `fit` of a model: applied last, to the top-level members of a generation request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    /// Members taken out, each counted and named in `x-dimmer-dropped`.
    pub drop: Vec<String>,
    /// Members given another name: (from, to). Where `to` is there already, `from` is dropped.
    pub rename: Vec<(String, String)>,
    /// Members set to a JSON text: (name, value), replacing what is there.
    pub set: Vec<(String, String)>,
    /// `max_tokens` and `max_completion_tokens` above it become it.
    pub cap_max_tokens: Option<u64>,
}
