//! `routes.toml` → raw → checked; every error with line, column and remedy.
//!
//! The only reader of configuration files, secret files and the environment.

mod checked;

pub use checked::{
    Admin, Admitted, AnswerHeaders, AttributeKind, AttributeSpec, BaseUrl, Client, Config, ContextSpec,
    Limits, MockModel, Model, OwnedAttribute, Price, Prompt, Provider, ProviderKind, Reply, ReplyContent,
    Role, Route, Server, Slot, Source, Target, Timeouts, Token,
};
