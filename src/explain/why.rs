//! The lines of an explanation: everything that applied, in the order in which it applied.

use crate::clock::rfc3339;
use crate::explain::{Asked, candidates};
use crate::flags::{BUCKETS, Evaluation, Flag, Reason, Rule, Serve};
use crate::names::KillTarget;
use crate::proxy::{Answerer, Decision, Evaluated};
use crate::units::Percent;
use crate::wire::Endpoint;

/// All of them but the error that the app gets.
pub(super) fn of(asked: &Asked<'_>, decision: &Decision) -> Vec<String> {
    let mut why = Vec::new();
    let route = asked.route;
    let switches = [KillTarget::All, KillTarget::Route(route.name.clone()), KillTarget::Flags];
    why.extend(
        switches.iter().filter_map(|target| Some(format!("{}: {}", killed(asked, target)?, means(target)))),
    );
    for evaluated in &decision.evaluated {
        flag(asked, evaluated, &mut why);
    }
    if let Answerer::Model { plan, as_sent: true } = &decision.answerer {
        why.push(format!("model: the app's own choice, `{}`", plan.model.name));
    }
    if decision.enabled {
        candidates::of(asked, decision, &mut why);
    } else {
        let answers = match &decision.answerer {
            Answerer::Reply(Some(_)) => "the first reply of its fallback answers",
            _ => "it has no fallback: 503",
        };
        let off = if asked.view.live.route_killed(route) { "calls no model" } else { "is not enabled" };
        why.push(format!("the route `{}` {off}: {answers}", route.name));
    }
    let spoken = translation(asked, decision, &mut why);
    let nowhere =
        decision.params.iter().filter(|edit| !edit.has_place(asked.endpoint) && !edit.has_place(spoken));
    why.extend(nowhere.map(|edit| {
        let dialect = asked.endpoint.dialect().as_str();
        format!(
            "{}: {dialect}'s API has no such parameter: it is dropped, and x-dimmer-dropped says so",
            edit.param.name
        )
    }));
    let tools = asked.state.kills.keys().filter(|target| matches!(target, KillTarget::Tool(_)));
    why.extend(tools.filter_map(|target| Some(format!("{}: it is taken out", killed(asked, target)?))));
    why
}

/// In which call the model is asked; a line where that is another one than the app's.
fn translation(asked: &Asked<'_>, decision: &Decision, why: &mut Vec<String>) -> Endpoint {
    let endpoint = asked.endpoint;
    let provider = match &decision.answerer {
        Answerer::Model { plan, .. } => &plan.provider,
        Answerer::Unknown { provider } => provider,
        Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => return endpoint,
    };
    let (kind, name) = (provider.provider.kind, &provider.provider.name);
    match kind.asked_in(endpoint) {
        Some(spoken) if spoken != endpoint => {
            why.push(format!(
                "the provider `{name}` is asked through {}: request and answer are translated, and a request with something that \
                 cannot be goes to the next of the chain, or gets a 400",
                spoken.as_str()
            ));
            spoken
        }
        None if endpoint.counts() => {
            why.push(format!("the provider `{name}` has no call like {}: 404", endpoint.as_str()));
            endpoint
        }
        _ => endpoint,
    }
}

fn means(target: &KillTarget) -> &'static str {
    match target {
        KillTarget::Flags => "no flag decides, every slot keeps the request's own value",
        _ => "no model is called",
    }
}

/// `` `model:gpt-4o` is killed, by alice at 2026-11-21T15:04:05Z (errors) ``; `None`: it is not.
pub(super) fn killed(asked: &Asked<'_>, target: &KillTarget) -> Option<String> {
    let kill = asked.state.kills.get(target)?;
    Some(format!("`{target}` is killed, by {} at {} ({})", kill.by, rfc3339(kill.at_ms), kill.reason))
}

/// One line per rule that was looked at, and one for what came out.
fn flag(asked: &Asked<'_>, evaluated: &Evaluated, why: &mut Vec<String>) {
    let Evaluated { plan, evaluation, served: slots, .. } = evaluated;
    let flag = &plan.flag;
    let key = &flag.key;
    let served = evaluation.rule.map(usize::from);
    let percents = asked.view.live.flag(plan).percents;
    let looked_at = if evaluation.reason == Reason::Disabled { &[][..] } else { &flag.rules[..] };
    for (place, rule) in looked_at.iter().enumerate() {
        let set = percents.get(place).copied().flatten();
        let percent = set.unwrap_or(rule.serve.percent());
        let bucket = rule.bucket(asked.context);
        let share = share(rule, percent);
        let line = match (rule.when.holds(asked.context), bucket) {
            (false, _) => "its `when` does not hold".to_owned(),
            (true, _) if served == Some(place) && evaluation.reason == Reason::TargetingMatch => {
                "its `when` holds, and it takes everybody".to_owned()
            }
            (true, Some(bucket)) if served == Some(place) => {
                format!("its `when` holds, and bucket {bucket} of {BUCKETS} is within {share}")
            }
            (true, Some(bucket)) => {
                format!("its `when` holds, but bucket {bucket} of {BUCKETS} is outside of {share}")
            }
            (true, None) if percent == Percent::ZERO => "its `when` holds, but it takes nobody".to_owned(),
            (true, None) => format!("its `when` holds, but there is no key to cut {share} by"),
        };
        let set = set.map(|set| overridden(asked, flag, rule, set)).unwrap_or_default();
        why.push(format!("{key}: rule `{}`: {line}{set}", rule.name));
        if served == Some(place) {
            break;
        }
    }
    let variant =
        flag.variant(evaluation.variant).map(|variant| variant.name.to_string()).unwrap_or_default();
    let by =
        killed(asked, &KillTarget::Flag(key.clone())).map(|killed| format!("; {killed}")).unwrap_or_default();
    why.push(format!("{key}: `{variant}`, because {}{by}", because(evaluation)));
    if *slots != Some(evaluation.variant) {
        let instead = slots.and_then(|instead| flag.variant(instead));
        let instead = instead.map_or_else(
            || "the request's own value stands".to_owned(),
            |instead| format!("`{}` is served instead", instead.name),
        );
        let target = KillTarget::Variant(key.clone(), variant.as_str().into());
        let why_not = killed(asked, &target)
            .unwrap_or_else(|| format!("the breaker of `{variant}` is open on this route"));
        why.push(format!("{key}: {why_not}: {instead}"));
    }
}

/// Who set the percentage that counts, and what the file says.
fn overridden(asked: &Asked<'_>, flag: &Flag, rule: &Rule, set: Percent) -> String {
    let file = rule.serve.percent();
    match asked.state.overrides.get(&(flag.key.clone(), rule.name.clone())) {
        Some(one) => format!(
            "; {set} % was set by {} at {} ({}), the file says {file} %",
            one.by,
            rfc3339(one.at_ms),
            one.reason
        ),
        None => format!("; {set} % was set at run time, the file says {file} %"),
    }
}

fn share(rule: &Rule, percent: Percent) -> String {
    match rule.serve {
        Serve::One { .. } => format!("the first {percent} %"),
        Serve::Split { .. } if percent == Percent::FULL => "a slot of the split".to_owned(),
        Serve::Split { .. } => format!("the first {percent} % of its slot of the split"),
    }
}

fn because(evaluation: &Evaluation) -> &'static str {
    match evaluation.reason {
        Reason::TargetingMatch | Reason::Split => "this rule serves it",
        Reason::Default => "no rule took the caller: the default",
        Reason::Static => "the flag has no rules: the default",
        Reason::Disabled => "the flag is killed: its off variant",
        Reason::Cached => "the conversation is pinned to it",
        Reason::Stale => "the flag's source is out of reach: its last known value",
        Reason::Error => "a percentage needs a targeting key, and the caller has none: the default",
    }
}
