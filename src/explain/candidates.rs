//! Who could answer, in their order, and why those before the one that does were passed over.

use std::sync::Arc;

use crate::config::{ModelLimits, ReplyContent};
use crate::explain::Asked;
use crate::explain::why::killed;
use crate::names::KillTarget;
use crate::proxy::{Answerer, Decision};
use crate::snapshot::{ModelPlan, SlotPlan, TargetPlan};

/// A line for each candidate that was passed over, one for who answers in its place, and one for who would be tried next.
pub(super) fn of(asked: &Asked<'_>, decision: &Decision, why: &mut Vec<String>) {
    if !asked.endpoint.generation() {
        return;
    }
    let mut seen = Vec::new();
    let own = own(asked, decision);
    for target in own.iter().chain(&asked.route.fallback) {
        if seen.contains(&target.place()) {
            continue;
        }
        seen.push(target.place());
        if answers(decision, target) {
            break;
        }
        if let TargetPlan::Model(plan) = target
            && let Some(refused) = refused(asked, plan)
        {
            why.push(format!("model: `{}` is passed over: {refused}", plan.model.name));
        }
    }
    if let Some(cause) = decision.fallback.filter(|_| decision.refusal.is_none()) {
        let cause = cause.as_str();
        why.push(format!("model: `{}` answers, and x-dimmer-fallback says {cause}", decision.model_label()));
    }
    let stands_in = |target: &&TargetPlan| {
        let is_own = || own.iter().any(|one| one.place() == target.place());
        let waits = decision.rest.iter().any(|rest| rest.place() == target.place());
        waits || (answers(decision, target) && !is_own())
    };
    for target in asked.route.fallback.iter().filter(stands_in) {
        if let TargetPlan::Model(plan) = target
            && let Some(limits) = &plan.limits
        {
            let name = &plan.model.name;
            why.push(format!("model: `{name}`, being of the fallback, is passed over {}", where_not(limits)));
        }
    }
    if let (Answerer::Reply(Some(plan)), None) = (&decision.answerer, decision.fallback)
        && let Some(unfit) = unfit(&plan.reply.content)
        && !decision.rest.is_empty()
    {
        why.push(format!(
            "model: `{}` is passed over where a request {unfit}, and x-dimmer-fallback says cannot_take then",
            plan.reply.name
        ));
    }
    if !decision.rest.is_empty() {
        let names: Vec<String> = decision.rest.iter().map(|target| format!("`{}`", name(target))).collect();
        why.push(format!(
            "model: should it fail before its answer begins, {} is tried",
            names.join(", then ")
        ));
    }
}

/// For what requests that is, which nobody can tell before there is one.
fn where_not(limits: &ModelLimits) -> String {
    let output = limits.output.map(|output| format!(", more than {output} asked for"));
    let tools = match (limits.tools, limits.forced_tools) {
        (false, _) => ", or tools",
        (true, false) => ", or a tool that has to be called",
        (true, true) => "",
    };
    let (context, output) = (limits.context, output.unwrap_or_default());
    format!("for a request with surely more than {context} tokens of text{output}{tools}")
}

/// What a request asks for that the reply cannot give.
fn unfit(content: &ReplyContent) -> Option<&'static str> {
    match content {
        ReplyContent::Answer { json: None, .. } => Some("asks for JSON, or for a call of a tool"),
        ReplyContent::Answer { json: Some(_), .. } | ReplyContent::Http(_) => {
            Some("asks for a call of a tool")
        }
        ReplyContent::Error { .. } => None,
    }
}

/// What the slot says, the flag's default, the request's own: in the order in which they are looked at, before the fallback.
fn own(asked: &Asked<'_>, decision: &Decision) -> Vec<TargetPlan> {
    let own = asked.context.request_model.and_then(|name| asked.view.snapshot.model(name));
    let own = own.map(|plan| TargetPlan::Model(Arc::clone(plan)));
    let mut all = Vec::new();
    match &asked.route.model {
        SlotPlan::AsSent => all.extend(own),
        SlotPlan::Flag { .. } if asked.view.live.flags => all.extend(own),
        SlotPlan::Fixed(target) => all.push(target.clone()),
        SlotPlan::Flag { plan, values } => {
            let one = decision.evaluated.iter().find(|one| Arc::ptr_eq(&one.plan.flag, &plan.flag));
            for variant in one.and_then(|one| one.served).into_iter().chain([plan.flag.default]) {
                let target = values.get(usize::from(variant.0)).and_then(Option::as_ref);
                all.extend(target.cloned().or_else(|| own.clone()));
            }
        }
    }
    all
}

fn answers(decision: &Decision, target: &TargetPlan) -> bool {
    match (&decision.answerer, target) {
        (Answerer::Model { plan, .. }, TargetPlan::Model(other)) => plan.place == other.place,
        (Answerer::Reply(Some(plan)), TargetPlan::Reply(other)) => plan.place == other.place,
        _ => false,
    }
}

/// Why nobody calls the model for this caller now, as far as that is known before it is tried.
fn refused(asked: &Asked<'_>, plan: &ModelPlan) -> Option<String> {
    let (model, provider) = (&plan.model.name, &plan.provider.provider.name);
    if asked.view.live.model_killed(plan) {
        let target = KillTarget::Model(model.clone());
        let by = killed(asked, &target).or_else(|| killed(asked, &KillTarget::Provider(provider.clone())));
        return Some(by.unwrap_or_else(|| "it is killed".to_owned()));
    }
    let dialect = asked.endpoint.dialect();
    if plan.provider.provider.kind.asked_in(asked.endpoint.followed()).is_none() {
        let dialect = dialect.as_str();
        return Some(format!(
            "its provider `{provider}` does not speak {dialect}'s API, and such a call cannot be translated"
        ));
    }
    if !plan.model.allow.holds(asked.context) {
        return Some("its `allow` does not hold for this caller".to_owned());
    }
    let breaker = asked.route.model_breakers.get(plan.place).and_then(Option::as_ref)?;
    (!breaker.would_admit(asked.now)).then(|| "its breaker is open on this route".to_owned())
}

fn name(target: &TargetPlan) -> &str {
    match target {
        TargetPlan::Model(plan) => &plan.model.name,
        TargetPlan::Reply(plan) => &plan.reply.name,
    }
}
