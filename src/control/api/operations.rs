//! Every operation of the admin API, once: the router, the roles and the OpenAPI document all read this table.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::config::Role;
use crate::control::api::shapes::{
    Aim, Audit, Breakers, ConfigView, Done, ExplainAsk, FlagView, Flags, ForgetAsk, Forgotten, Kills,
    Nothing, PlanAsk, PreviewAsk, RecordsView, RollbackAsk, RollbackView, Rollbacks, SetPercent, Shadows,
    WebhooksTested, Why,
};
use crate::report::adoption::Adoption;
use crate::report::impact::Impact;
use crate::report::plan::{Plan, Preview};
use crate::report::shadow::{Pairs, Report};

/// Which operation: what answers is chosen by it, so that none can be in the table and not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    ListFlags,
    ExportFlags,
    ReadFlag,
    SetPercent,
    ResetPercent,
    PreviewPercent,
    Kill,
    Revive,
    ListKills,
    RollBack,
    ListRollbacks,
    ReadRollback,
    ListBreakers,
    ResetBreaker,
    Explain,
    Plan,
    ReadImpact,
    ReadAdoption,
    ReadAudit,
    ReadRecords,
    ExportRecords,
    ForgetRecords,
    ReadConfig,
    TestWebhooks,
    ListShadows,
    ReadShadow,
    ReadShadowPairs,
    ReadShadowPage,
    ReadOpenApi,
}

/// One operation.
pub(super) struct Operation {
    pub(super) id: Id,
    /// Its `operationId`.
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    /// Below [`PREFIX`]. `{name}` is one segment, `{+name}` one or more.
    pub(super) path: &'static str,
    /// Who may.
    pub(super) role: Role,
    pub(super) summary: &'static str,
    /// What may stand behind `?`: name, whether it is a number, and what it says.
    pub(super) query: &'static [(&'static str, bool, &'static str)],
    /// The body.
    pub(super) takes: Option<SchemaOf>,
    pub(super) gives: Gives,
    /// Answers besides 200 and those that every operation has.
    pub(super) also: &'static [Also],
}

/// How a shape describes itself.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What an operation answers with.
pub(super) enum Gives {
    Json(SchemaOf),
    /// A JSON object that is described elsewhere.
    Object,
    Toml,
    /// HTML.
    Page,
    /// A JSON object on each line.
    Lines,
}

/// An answer that only some operations have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Also {
    /// 202: done, and not yet all of it: not stored, or under way.
    Accepted,
    /// 404: no such thing.
    NotFound,
    /// 503: nothing was changed, because no store takes it.
    NotStored,
    /// 503: the records cannot be read, or none are kept.
    NotRead,
}

/// Under which all paths are.
pub(super) const PREFIX: &str = "/api/v1";

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn read(
    id: Id,
    name: &'static str,
    path: &'static str,
    gives: Gives,
    summary: &'static str,
) -> Operation {
    let (method, role) = ("GET", Role::Viewer);
    Operation { id, name, method, path, role, summary, query: &[], takes: None, gives, also: &[] }
}

const fn write(
    id: Id,
    name: &'static str,
    path: &'static str,
    (takes, gives): (Option<SchemaOf>, Gives),
    summary: &'static str,
) -> Operation {
    let (method, role) = ("POST", Role::Operator);
    Operation { id, name, method, path, role, summary, query: &[], takes, gives, also: &[Also::NotFound] }
}

const KEPT: &[Also] = &[Also::NotFound, Also::NotStored];
const HELD: &[Also] = &[Also::Accepted, Also::NotFound];
const RECORDED: &[Also] = &[Also::NotFound, Also::NotRead];
const FROM: (&str, bool, &str) = (
    "since",
    false,
    "From when on: a duration back from now, such as 7d (unless given), or a time as RFC 3339 writes it",
);
const FROM_WHEN: &[(&str, bool, &str)] = &[FROM];
const FROM_AND_LIMIT: &[(&str, bool, &str)] =
    &[FROM, ("limit", true, "So many at most, the newest: 10 unless given, 100 at most")];
const FOUND: &[Also] = &[Also::NotFound];
const SINCE: &[(&str, bool, &str)] =
    &[("since", false, "How far to look back, such as 7d, which is the default")];

/// All of them. Where two paths match, the first does.
pub(super) static OPERATIONS: &[Operation] = &[
    read(
        Id::ListFlags,
        "listFlags",
        "/flags",
        Gives::Json(of::<Flags>),
        "Every flag, and what of it differs from the file",
    ),
    read(
        Id::ExportFlags,
        "exportFlags",
        "/flags/export",
        Gives::Toml,
        "The configuration file as it stands, with the percentages that were set at run time in their places",
    ),
    Operation {
        also: FOUND,
        ..read(Id::ReadFlag, "readFlag", "/flags/{key}", Gives::Json(of::<FlagView>), "One flag")
    },
    Operation {
        method: "PATCH",
        also: KEPT,
        ..write(
            Id::SetPercent,
            "setPercent",
            "/flags/{key}/rules/{rule}",
            (Some(of::<SetPercent>), Gives::Json(of::<FlagView>)),
            "Set a rule's percentage until the file says something newer",
        )
    },
    Operation {
        method: "DELETE",
        also: KEPT,
        query: &[("reason", false, "Why")],
        ..write(
            Id::ResetPercent,
            "resetPercent",
            "/flags/{key}/rules/{rule}/override",
            (None, Gives::Json(of::<FlagView>)),
            "Let the file's percentage count again",
        )
    },
    Operation {
        role: Role::Viewer,
        ..write(
            Id::PreviewPercent,
            "previewPercent",
            "/flags/{key}/rules/{rule}/preview",
            (Some(of::<PreviewAsk>), Gives::Json(of::<Preview>)),
            "How many of the users seen would get another variant with another percentage; nothing is changed",
        )
    },
    Operation {
        also: HELD,
        ..write(
            Id::Kill,
            "kill",
            "/kill",
            (Some(of::<Aim>), Gives::Json(of::<Done>)),
            "Kill a target: the next request obeys. 202 when the kill holds and is not stored yet",
        )
    },
    Operation {
        also: KEPT,
        ..write(
            Id::Revive,
            "revive",
            "/revive",
            (Some(of::<Aim>), Gives::Json(of::<Done>)),
            "Take a kill back",
        )
    },
    read(Id::ListKills, "listKills", "/kills", Gives::Json(of::<Kills>), "Everything that is killed"),
    Operation {
        also: HELD,
        ..write(
            Id::RollBack,
            "rollBack",
            "/rollback",
            (Some(of::<RollbackAsk>), Gives::Json(of::<RollbackView>)),
            "Kill a route, a flag or a variant and wait for what is in flight. 202: the kill stands, the rest is under way",
        )
    },
    read(
        Id::ListRollbacks,
        "listRollbacks",
        "/rollbacks",
        Gives::Json(of::<Rollbacks>),
        "The latest roll-backs",
    ),
    Operation {
        also: FOUND,
        ..read(
            Id::ReadRollback,
            "readRollback",
            "/rollbacks/{id}",
            Gives::Json(of::<RollbackView>),
            "One roll-back",
        )
    },
    read(
        Id::ListBreakers,
        "listBreakers",
        "/breakers",
        Gives::Json(of::<Breakers>),
        "Every breaker that has seen a request, and how far it is from tripping",
    ),
    Operation {
        also: KEPT,
        ..write(
            Id::ResetBreaker,
            "resetBreaker",
            "/breakers/{+id}/reset",
            (Some(of::<Why>), Gives::Json(of::<Done>)),
            "Close a breaker and forget what it has seen",
        )
    },
    Operation {
        role: Role::Viewer,
        ..write(
            Id::Explain,
            "explain",
            "/explain",
            (Some(of::<ExplainAsk>), Gives::Object),
            "Who would get what now, and why; nothing is sent and nothing is changed",
        )
    },
    Operation {
        role: Role::Viewer,
        also: &[],
        ..write(
            Id::Plan,
            "plan",
            "/plan",
            (Some(of::<PlanAsk>), Gives::Json(of::<Plan>)),
            "What a configuration would change if it served: who of the users seen moves, and everything else; nothing is changed",
        )
    },
    Operation {
        also: FOUND,
        query: SINCE,
        ..read(
            Id::ReadImpact,
            "readImpact",
            "/impact/{flag}",
            Gives::Json(of::<Impact>),
            "What a flag's variants did, and what of it may be claimed",
        )
    },
    Operation {
        also: FOUND,
        query: SINCE,
        ..read(
            Id::ReadAdoption,
            "readAdoption",
            "/adoption/{route}",
            Gives::Json(of::<Adoption>),
            "Requests and users of a route by what answered them, day by day",
        )
    },
    Operation {
        query: &[
            ("after", true, "Only entries with a larger number"),
            ("limit", true, "So many at most: 100 unless given, 1,000 at most"),
        ],
        ..read(
            Id::ReadAudit,
            "readAudit",
            "/audit",
            Gives::Json(of::<Audit>),
            "Who did what, oldest first, as a hash chain",
        )
    },
    read(
        Id::ReadRecords,
        "readRecords",
        "/records",
        Gives::Json(of::<RecordsView>),
        "What is kept of requests, where, and what of it was lost",
    ),
    Operation {
        role: Role::Operator,
        query: &[
            ("what", false, "exposures (unless given), feedback, shadow or verdicts"),
            ("since", false, "Not before: a time, or how long ago, such as 7d"),
            ("until", false, "Before: the same"),
            ("route", false, "Of this route only"),
            ("flag", false, "With this flag only"),
            ("shadow", false, "Of this shadow only"),
        ],
        ..read(
            Id::ExportRecords,
            "exportRecords",
            "/records/export",
            Gives::Lines,
            "Records as lines of JSON, oldest first. One at a time",
        )
    },
    Operation {
        also: &[],
        ..write(
            Id::ForgetRecords,
            "forgetRecords",
            "/records/forget",
            (Some(of::<ForgetAsk>), Gives::Json(of::<Forgotten>)),
            "Delete all that one user left. The audit names them by their hash",
        )
    },
    read(
        Id::ReadConfig,
        "readConfig",
        "/config",
        Gives::Json(of::<ConfigView>),
        "What serves, without secrets",
    ),
    Operation {
        also: &[],
        ..write(
            Id::TestWebhooks,
            "testWebhooks",
            "/webhooks/test",
            (Some(of::<Nothing>), Gives::Json(of::<WebhooksTested>)),
            "Send a test message to every webhook",
        )
    },
    Operation {
        query: FROM_WHEN,
        also: RECORDED,
        ..read(
            Id::ListShadows,
            "listShadows",
            "/shadow/{route}",
            Gives::Json(of::<Shadows>),
            "The shadows of a route that left records",
        )
    },
    Operation {
        query: FROM_WHEN,
        also: RECORDED,
        ..read(
            Id::ReadShadow,
            "readShadow",
            "/shadow/{route}/{name}",
            Gives::Json(of::<Report>),
            "How a shadow's candidate compares with what callers are served",
        )
    },
    Operation {
        query: FROM_AND_LIMIT,
        also: RECORDED,
        ..read(
            Id::ReadShadowPairs,
            "readShadowPairs",
            "/shadow/{route}/{name}/pairs",
            Gives::Json(of::<Pairs>),
            "Pairs to read side by side; with both texts for tokens of the role operator, where records.bodies keeps them",
        )
    },
    Operation {
        query: FROM_WHEN,
        also: RECORDED,
        ..read(
            Id::ReadShadowPage,
            "readShadowPage",
            "/shadow/{route}/{name}/report.html",
            Gives::Page,
            "The report as one page with plots, to be looked at, printed or sent on",
        )
    },
    read(Id::ReadOpenApi, "readOpenApi", "/openapi.json", Gives::Object, "This description"),
];

/// What is at a path.
pub(super) enum Found {
    /// This operation, with what stands in its braces.
    Operation(&'static Operation, Vec<String>),
    /// Other methods, as `Allow` lists them.
    Methods(String),
    Nothing,
}

/// Finds the operation of a path below [`PREFIX`].
pub(super) fn find(method: &Method, path: &str) -> Found {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut allowed: Vec<&str> = Vec::new();
    for operation in OPERATIONS {
        let template: Vec<&str> = operation.path.split('/').skip(1).collect();
        let mut within = Vec::new();
        if !matches(&template, &segments, &mut within) {
            continue;
        }
        let asked = if *method == Method::HEAD { "GET" } else { method.as_str() };
        if operation.method == asked {
            return Found::Operation(operation, within);
        }
        allowed.push(operation.method);
        if operation.method == "GET" {
            allowed.push("HEAD");
        }
    }
    match allowed.is_empty() {
        true => Found::Nothing,
        false => Found::Methods(allowed.join(", ")),
    }
}

fn matches(template: &[&str], segments: &[&str], within: &mut Vec<String>) -> bool {
    let Some((first, later)) = template.split_first() else { return segments.is_empty() };
    let takes = match first {
        one if one.starts_with("{+") => segments.len().saturating_sub(later.len()),
        _ => 1,
    };
    let Some((own, rest)) = segments.split_at_checked(takes).filter(|(own, _)| !own.is_empty()) else {
        return false;
    };
    if first.starts_with('{') {
        let Some(value) = decoded(&own.join("/")).filter(|value| !value.is_empty()) else { return false };
        within.push(value);
    } else if own != [*first] {
        return false;
    }
    matches(later, rest, within)
}

/// Without `%XX`; `None`: that is no UTF-8, or no hexadecimal number.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let value = digits.iter().try_fold(0, |sum, byte| Some(sum * 16 + digit(byte)?))?;
        bytes.push(u8::try_from(value).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;

    use super::{Found, Id, OPERATIONS, find};

    #[test]
    fn a_path_finds_its_operation() {
        let check = |method: Method, path: &str, id: Id, within: &[&str]| match find(&method, path) {
            Found::Operation(found, values) => {
                assert_eq!(
                    (found.id, values.as_slice()),
                    (id, within.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>().as_slice()),
                    "{path}"
                );
            }
            _ => panic!("{method} {path}"),
        };
        check(Method::GET, "/flags", Id::ListFlags, &[]);
        check(Method::HEAD, "/flags", Id::ListFlags, &[]);
        check(Method::GET, "/flags/export", Id::ExportFlags, &[]);
        check(Method::GET, "/flags/a%2Fb", Id::ReadFlag, &["a/b"]);
        check(Method::PATCH, "/flags/k/rules/r", Id::SetPercent, &["k", "r"]);
        check(
            Method::POST,
            "/breakers/route:a/model:org/m/reset",
            Id::ResetBreaker,
            &["route:a/model:org/m"],
        );
        check(Method::POST, "/breakers/route%3Aa%2Fmodel%3Am/reset", Id::ResetBreaker, &["route:a/model:m"]);
    }

    #[test]
    fn another_method_hears_which_there_are() {
        let Found::Methods(allowed) = find(&Method::POST, "/flags/k") else { panic!() };
        assert_eq!(allowed, "GET, HEAD");
        let Found::Methods(allowed) = find(&Method::GET, "/kill") else { panic!() };
        assert_eq!(allowed, "POST");
        for nothing in
            ["", "/", "/flags/", "/flag", "/flags/%zz", "/flags/%ff", "/breakers/reset", "/kill/all"]
        {
            assert!(matches!(find(&Method::POST, nothing), Found::Nothing), "{nothing}");
        }
    }

    #[test]
    fn every_operation_is_in_the_table_once() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len(), OPERATIONS.len());
        let paths: BTreeSet<(&str, &str)> =
            OPERATIONS.iter().map(|operation| (operation.method, operation.path)).collect();
        assert_eq!(paths.len(), OPERATIONS.len());
    }
}
