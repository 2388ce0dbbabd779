//! Who wins, line by line of docs/who-wins.md; and what holds whatever is killed.

mod limits;
mod probes;
mod properties;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Environment, parse};
use crate::flags::{AttributeValue, Context};
use crate::names::KillTarget;
use crate::observe::{Metrics, Outcome};
use crate::proxy::decide::{Answerer, Decision, decision};
use crate::rollout::Sample;
use crate::snapshot::{Breakers, KeyRests, SlotPlan, Snapshot, Store, TargetPlan};
use crate::state::{Change, Kill, Origin, RunState};
use crate::wire::Endpoint;

/// Two providers of one dialect, one of the other; `pro` is for those of that tier.
const WORLD: &str = r#"
[context.attributes]
tier = { from = "header:x-tier", order = ["free", "pro"] }
[providers.one]
dialect = "openai"
[providers.two]
dialect = "openai"
[providers.other]
dialect = "anthropic"
[models.a]
provider = "one"
also = ["a-*"]
[models.b]
provider = "two"
[models.c]
provider = "two"
[models.pro]
provider = "one"
allow = { tier = "pro" }
[models.claude]
provider = "other"
[prompts.short]
text = "Be short."
[prompts.long]
text = "Be long."
[replies.sorry]
text = "Sorry."
[replies.gone]
error = "Gone."
[flags.on]
owner = "o"
permanent = true
default = true
[flags.model]
owner = "o"
permanent = true
default = "b"
off = "c"
rules = [{ name = "all", serve = "a" }]
[flags.model_pro]
owner = "o"
permanent = true
default = "b"
rules = [{ name = "all", serve = "pro" }]
[flags.model_claude]
owner = "o"
permanent = true
default = "a"
rules = [{ name = "all", serve = "claude" }]
[flags.prompt]
owner = "o"
permanent = true
default = "short"
off = "as_sent"
rules = [{ name = "all", serve = "long" }]
[flags.warmth]
owner = "o"
permanent = true
default = 0.5
rules = [{ name = "all", serve = 1.0 }]
[flags.tools]
owner = "o"
permanent = true
default = "shell"
off = "as_sent"
[routes.default]
provider = ["one", "other"]
[routes.bare]
path = "/bare"
provider = ["one", "other"]
fallback = ["b", "sorry"]
[routes.full]
path = "/full"
provider = ["one", "other"]
enabled.flag = "on"
model.flag = "model"
system_prompt.flag = "prompt"
params.temperature.flag = "warmth"
params.max_tokens = { max = 9 }
tools.deny.flag = "tools"
fallback = ["b", "c", "sorry", "gone"]
[routes.alias]
path = "/alias"
aliases = ["assistant"]
provider = ["one", "other"]
model.flag = "model"
fallback = ["c"]
[routes.guarded]
path = "/guarded"
provider = ["one", "other"]
model.flag = "model_pro"
fallback = ["c", "sorry"]
[routes.guarded_fallback]
path = "/guarded_fallback"
provider = ["one", "other"]
model = "a"
fallback = ["pro", "b"]
[routes.fixed_pro]
path = "/fixed_pro"
provider = ["one", "other"]
model = "pro"
[routes.no_chain]
path = "/no_chain"
provider = ["one", "other"]
model.flag = "model"
fallback = ["sorry"]
fallback_on = ["5xx"]
[routes.crossing]
path = "/crossing"
provider = ["one", "other"]
model.flag = "model_claude"
fallback = ["b"]
[routes.answers]
path = "/answers"
provider = ["one", "other"]
model = "sorry"
fallback = ["gone"]
[routes.vectors]
path = "/vectors"
provider = ["one", "other"]
embeddings.model = "a"
fallback = ["b", "gone"]
[routes.off]
path = "/off"
provider = ["one", "other"]
enabled = false
fallback = ["a", "sorry", "gone"]
"#;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn open_files(&self) -> u64 {
        1024
    }

    fn now_s(&self) -> i64 {
        0
    }
}

/// When everything is decided, on the process's own clock.
const NOW: Duration = Duration::from_secs(100);

/// A configuration in force, and what is killed.
struct World {
    store: Store,
    metrics: Arc<Metrics>,
}

impl World {
    fn new(toml: &str) -> Self {
        let config = parse(toml, "f", Path::new("."), &Nothing).unwrap_or_else(|e| panic!("{}", e.pretty()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let breakers = Breakers::new(&metrics, Duration::ZERO);
        let snapshot = Snapshot::build(config, 1, &metrics, None, &KeyRests::default(), &breakers).unwrap();
        Self { store: Store::new(Arc::new(snapshot), RunState::default()), metrics }
    }

    /// These kills and no others.
    fn only(&self, targets: &[&str]) {
        self.store.change(|state| *state = RunState::default());
        self.kill(&targets.join(" "));
    }

    fn kill(&self, targets: &str) {
        for target in targets.split_whitespace() {
            let target: KillTarget = target.parse().unwrap();
            let kill = Kill { reason: "r".into(), by: "b".into(), at_ms: 1, origin: Origin::Person };
            self.store.change(|state| state.apply(&Change::Kill(target, kill)));
        }
    }

    /// Opens breakers of `route`, each by what its errors were: `a` for the model, `model/a` for the flag's variant.
    fn open(&self, route: &str, targets: &[&str]) {
        let view = self.store.load_full();
        let route = &view.by_name[route];
        let variants = match &route.model {
            SlotPlan::Flag { plan, .. } => plan.breakers.as_slice(),
            _ => &[],
        };
        for target in targets {
            let id = match target.contains('/') {
                true => format!("route:{}/flag:{target}", route.name),
                false => format!("route:{}/model:{target}", route.name),
            };
            let mut all = route.model_breakers.iter().chain(variants).flatten();
            let breaker = all.find(|breaker| breaker.id.to_string() == id).expect("it is watched");
            let sample = Sample { error: true, ..Sample::default() };
            (0..200).for_each(|_| breaker.record(&sample, NOW));
        }
    }

    /// Decides a request for `model` by a caller of `tier`.
    fn decide(&self, route: &str, endpoint: Endpoint, model: &str, tier: &str) -> Decision {
        let view = self.store.load_full();
        let custom = [(!tier.is_empty()).then_some(AttributeValue::Text(tier))];
        let context = Context {
            request_model: (!model.is_empty()).then_some(model),
            request_dialect: endpoint.dialect().as_str(),
            route,
            custom: &custom,
            ..Context::default()
        };
        let route = Arc::clone(&view.by_name[route]);
        decision(&view, &route, endpoint, &context, None, NOW).unwrap()
    }
}

fn name(target: &TargetPlan) -> &str {
    match target {
        TargetPlan::Model(plan) => &plan.model.name,
        TargetPlan::Reply(plan) => &plan.reply.name,
    }
}

/// `ANSWERER then REST (CAUSE)`, or the error's code.
fn told(decision: &Decision) -> String {
    let who = match (&decision.refusal, &decision.answerer) {
        (Some(refusal), _) => refusal.code.as_str().to_owned(),
        (None, Answerer::Model { plan, .. }) => plan.model.name.to_string(),
        (None, Answerer::Reply(Some(plan))) => plan.reply.name.to_string(),
        (None, Answerer::Reply(None)) => "503".to_owned(),
        (None, Answerer::Unknown { provider } | Answerer::PassThrough { provider }) => {
            format!("at {}", provider.provider.name)
        }
        (None, Answerer::Nobody) => "nobody".to_owned(),
    };
    let rest: Vec<&str> = decision.rest.iter().map(name).collect();
    let then = if rest.is_empty() { String::new() } else { format!(" then {}", rest.join(" ")) };
    let cause = decision.fallback.map(|cause| format!(" ({})", cause.as_str())).unwrap_or_default();
    format!("{who}{then}{cause}")
}

/// What a chat request for `asked` comes to while `kills` hold.
#[track_caller]
fn check(route: &str, asked: &str, kills: &str, want: &str) {
    check_as(route, Endpoint::Chat, asked, "", kills, want);
}

#[track_caller]
fn check_as(route: &str, endpoint: Endpoint, asked: &str, tier: &str, kills: &str, want: &str) {
    let world = World::new(WORLD);
    world.kill(kills);
    assert_eq!(
        told(&world.decide(route, endpoint, asked, tier)),
        want,
        "{route} {endpoint:?} {asked} {tier} [{kills}]"
    );
}

#[test]
fn nothing_is_killed() {
    check("full", "x", "", "a then b c sorry gone");
    check("bare", "x", "", "at one then b sorry");
    check("bare", "c", "", "c then b sorry");
    check("bare", "b", "", "b then sorry");
    check("answers", "x", "", "sorry then gone");
    check("default", "x", "", "at one");
    // What is killed elsewhere is nothing to this route.
    check(
        "full",
        "x",
        "route:bare flag:nobody model:nobody provider:nobody tool:t shadow:r/s",
        "a then b c sorry gone",
    );
}

#[test]
fn line_1_a_route_that_is_off_calls_no_model() {
    check("full", "x", "all", "sorry then gone (killed)");
    check("full", "x", "route:full", "sorry then gone (killed)");
    check("full", "x", "flag:on", "sorry then gone (killed)");
    check("off", "x", "", "sorry then gone (killed)");
    check("default", "x", "all", "503");
    check("guarded_fallback", "x", "route:guarded_fallback", "503");
    // Neither a literal nor `fallback_on` brings it back.
    check("off", "x", "flags", "sorry then gone (killed)");
    check("no_chain", "x", "all", "sorry (killed)");
    for endpoint in [Endpoint::Messages, Endpoint::CountTokens, Endpoint::Responses, Endpoint::Completions] {
        check_as("full", endpoint, "x", "", "all", "sorry then gone (killed)");
    }
    let everything_else = [Endpoint::Embeddings, Endpoint::Other(crate::wire::Dialect::OpenAi)];
    for endpoint in everything_else {
        check_as("full", endpoint, "x", "", "route:full", "sorry then gone (killed)");
    }
}

#[test]
fn line_1_without_flags_every_slot_of_a_flag_keeps_the_requests_own_value() {
    let world = World::new(WORLD);
    world.kill("flags flag:on");
    let decided = world.decide("full", Endpoint::Chat, "x", "");
    assert_eq!(told(&decided), "at one then b c sorry gone (killed)");
    assert!(decided.evaluated.is_empty() && decided.prompt.is_none() && decided.denied_tools.is_none());
    // A literal is no flag.
    let params: Vec<&str> = decided.params.iter().map(|edit| edit.param.name).collect();
    assert_eq!(params, ["max_tokens"]);
    // Tier guards hold, and an alias is no model that anybody could be asked for.
    check("full", "pro", "flags", "b then c sorry gone (killed)");
    check("alias", "assistant", "flags", "c (killed)");
    check("bare", "x", "flags", "at one then b sorry");
}

#[test]
fn line_3_a_killed_flag_serves_its_off() {
    let world = World::new(WORLD);
    world.kill("flag:model");
    let decided = world.decide("full", Endpoint::Chat, "x", "");
    assert_eq!(told(&decided), "c then b sorry gone (killed)");
    assert!(decided.flags_header().contains("model=c;DISABLED,"), "{}", decided.flags_header());
    // Where it would have served the same, nothing is from elsewhere.
    let world = World::new(&WORLD.replace("off = \"c\"", "off = \"a\""));
    world.kill("flag:model");
    assert_eq!(told(&world.decide("full", Endpoint::Chat, "x", "")), "a then b c sorry gone");
}

#[test]
fn line_4_a_killed_variant_gives_way_to_the_default_then_to_off() {
    check("full", "x", "flag:model/a", "b then c sorry gone (killed)");
    check("full", "x", "flag:model/a flag:model/b", "c then b sorry gone (killed)");
    // For a model the chain comes then, of which the models themselves are not killed.
    check("full", "x", "flag:model/a flag:model/b flag:model/c", "b then c sorry gone (killed)");
    check("no_chain", "x", "flag:model/a flag:model/b flag:model/c", "dimmer_kill_switch");
    let header = |kills: &str| {
        let world = World::new(WORLD);
        world.kill(kills);
        world.decide("full", Endpoint::Chat, "x", "").flags_header()
    };
    assert_eq!(header("").split(", ").nth(1), Some("model=a;TARGETING_MATCH"));
    assert_eq!(header("flag:model/a").split(", ").nth(1), Some("model=a;TARGETING_MATCH;served=b"));
    assert_eq!(
        header("flag:prompt/long").split(", ").nth(2),
        Some("prompt=long;TARGETING_MATCH;served=short")
    );
    let all = "flag:prompt/long flag:prompt/short flag:prompt/as_sent";
    assert_eq!(header(all).split(", ").nth(2), Some("prompt=long;TARGETING_MATCH;served=as_sent"));
}

#[test]
fn line_4_every_slot() {
    let world = World::new(WORLD);
    world.kill("flag:prompt/long flag:warmth/1.0 flag:on/true");
    assert_eq!(told(&world.decide("full", Endpoint::Chat, "x", "")), "sorry then gone (killed)");
    let world = World::new(WORLD);
    world.kill("flag:prompt/long flag:warmth/1.0");
    let decided = world.decide("full", Endpoint::Chat, "x", "");
    assert_eq!(told(&decided), "a then b c sorry gone (killed)");
    assert_eq!(decided.prompt.map(|(text, _)| text), Some("Be short.".into()));
    assert_eq!(decided.params[0].set.as_ref().and_then(|value| value.number()), Some(0.5));
    let passed: Vec<bool> = decided.evaluated.iter().map(|one| one.passed_over.is_some()).collect();
    assert_eq!(passed, [false, false, true, true, false]);
}

#[test]
fn line_5_a_killed_model_gives_way_to_the_fallback() {
    check("full", "x", "model:a", "b then c sorry gone (killed)");
    check("full", "x", "provider:one", "b then c sorry gone (killed)");
    check("full", "x", "model:a-2026", "b then c sorry gone (killed)");
    check("full", "x", "model:a model:b", "c then sorry gone (killed)");
    check("full", "x", "provider:one provider:two", "sorry then gone (killed)");
    check("full", "x", "model:b", "a then c sorry gone");
    check("guarded_fallback", "x", "model:a model:b", "dimmer_kill_switch");
    // Never the flag's default: no one has killed the variant.
    check("alias", "assistant", "model:a", "c (killed)");
    check("no_chain", "x", "model:a", "dimmer_kill_switch");
    check("default", "a", "model:a", "dimmer_kill_switch");
}

#[test]
fn line_5_the_apps_own_choice_can_be_killed_too() {
    check("bare", "c", "model:c", "b then sorry (killed)");
    check("bare", "a-2026", "model:a", "b then sorry (killed)");
    // A model that the file does not know, and all that its provider serves.
    check("bare", "x", "model:x", "b then sorry (killed)");
    check("bare", "y", "model:x", "at one then b sorry");
    check("bare", "x", "provider:one", "b then sorry (killed)");
    check("default", "x", "model:x", "dimmer_kill_switch");
}

#[test]
fn line_5_a_tier_guard_holds_whoever_chose() {
    check_as("guarded", Endpoint::Chat, "x", "pro", "", "pro then c sorry");
    // The flag's default, then the chain.
    check("guarded", "x", "", "b then c sorry (tier_guard)");
    check("guarded", "x", "model:b", "c then sorry (tier_guard)");
    check("guarded", "x", "flag:model_pro/b", "c then sorry (tier_guard)");
    check_as("guarded", Endpoint::Chat, "x", "free", "provider:two", "sorry (tier_guard)");
    check("bare", "pro", "", "b then sorry (tier_guard)");
    check("fixed_pro", "x", "", "dimmer_tier_guard");
    check("default", "pro", "", "dimmer_tier_guard");
    // In the chain it is passed over without a word.
    check("guarded_fallback", "x", "", "a then b");
    check("guarded_fallback", "x", "model:a", "b (killed)");
    check_as("guarded_fallback", Endpoint::Chat, "x", "pro", "model:b", "a then pro");
    // Killed and refused: it is not the caller's tier alone.
    check("guarded_fallback", "x", "model:a provider:two", "dimmer_kill_switch");
}

#[test]
fn line_5_what_speaks_another_dialect_is_passed_over_where_nothing_can_be_translated() {
    // Where the call can be translated it is nobody's fault.
    check("crossing", "x", "", "claude then b");
    check("crossing", "x", "provider:two", "claude");
    check_as("crossing", Endpoint::Messages, "x", "", "", "claude then b");
    check_as("full", Endpoint::Messages, "x", "", "", "a then b c sorry gone");
    check("bare", "claude", "", "claude then b sorry");
    // Completions are a call of OpenAI's API alone.
    check_as("crossing", Endpoint::Completions, "x", "", "", "b (cannot_take)");
    check_as("crossing", Endpoint::Completions, "x", "", "provider:two", "dimmer_kill_switch");
    // The app's own mistake is told.
    check_as("bare", Endpoint::Completions, "claude", "", "", "dimmer_cannot_translate");
}

#[test]
fn line_5_other_calls() {
    let other = Endpoint::Other(crate::wire::Dialect::OpenAi);
    // Vectors of two models cannot be compared: no other model stands in.
    check_as("vectors", Endpoint::Embeddings, "x", "", "", "a then gone");
    check_as("vectors", Endpoint::Embeddings, "x", "", "model:a", "gone (killed)");
    check_as("bare", Endpoint::Embeddings, "a", "", "model:a", "dimmer_kill_switch");
    check_as("bare", Endpoint::Embeddings, "x", "", "model:x", "dimmer_kill_switch");
    check_as("default", Endpoint::Embeddings, "x", "", "provider:one", "dimmer_kill_switch");
    // A text answers none of these.
    check_as("bare", other, "", "", "", "at one");
    check_as("bare", other, "", "", "provider:one", "dimmer_kill_switch");
    check_as("default", other, "", "", "provider:one", "dimmer_kill_switch");
    check_as("default", other, "", "", "model:x", "at one");
    // A count follows its message.
    check_as("bare", Endpoint::CountTokens, "claude", "", "model:claude", "b then sorry (killed)");
    check_as("bare", Endpoint::Messages, "claude", "", "model:claude", "b then sorry (killed)");
    check_as("bare", Endpoint::InputTokens, "a", "", "model:a", "b then sorry (killed)");
}

#[test]
fn line_6_killed_tools_come_before_those_of_the_route() {
    let denied = |route: &str, kills: &str| {
        let world = World::new(WORLD);
        world.kill(kills);
        let denied = world.decide(route, Endpoint::Chat, "x", "").denied_tools;
        denied.map(|names| names.join(" ")).unwrap_or_default()
    };
    assert_eq!(denied("full", ""), "shell");
    assert_eq!(denied("full", "tool:mcp tool:ls"), "ls mcp shell");
    assert_eq!(denied("full", "tool:shell"), "shell");
    assert_eq!(denied("bare", "tool:shell"), "shell");
    assert_eq!(denied("full", "flags tool:mcp"), "mcp");
    assert_eq!(denied("bare", ""), "");
    let world = World::new(WORLD);
    assert!(!world.store.load().live.reads, "nothing has to be read");
    world.kill("tool:t");
    assert!(world.store.load().live.reads, "a tool stands in the body");
}

#[test]
fn a_cause_that_fallback_on_lacks_leads_to_the_error() {
    for (cause, kills, asked, want) in
        [("killed", "model:a", "x", "dimmer_kill_switch"), ("denied", "", "pro", "dimmer_tier_guard")]
    {
        let with = |on: &str| {
            let world = World::new(&format!(
                "{WORLD}[routes.r]\npath = \"/r\"\nprovider = [\"one\", \"other\"]\nfallback = [\"b\"]\nfallback_on = [{on}]\n"
            ));
            world.kill(kills);
            let asked = if cause == "killed" { "a" } else { asked };
            told(&world.decide("r", Endpoint::Chat, asked, ""))
        };
        assert_eq!(with("\"5xx\""), want, "{cause}");
        assert!(with(&format!("\"{cause}\"")).starts_with("b ("), "{cause}");
    }
    // The flag's own default is no fallback.
    let world = World::new(
        &WORLD.replace("fallback = [\"c\", \"sorry\"]", "fallback = [\"c\", \"sorry\"]\nfallback_on = []"),
    );
    assert_eq!(told(&world.decide("guarded", Endpoint::Chat, "x", "")), "b then c sorry (tier_guard)");
}

#[test]
fn what_was_not_tried_is_not_counted_as_tried() {
    let passed_over = |route: &str, kills: &str| {
        let world = World::new(WORLD);
        world.kill(kills);
        let decided = world.decide(route, Endpoint::Chat, "x", "");
        let flag =
            decided.evaluated.iter().find(|one| one.plan.flag.key.as_str().starts_with("model")).unwrap();
        let variant = flag.plan.flag.variant(flag.evaluation.variant).unwrap().name.to_string();
        (variant, flag.outcome(Outcome::Ok) == Outcome::NotTried)
    };
    assert_eq!(passed_over("full", ""), ("a".to_owned(), false));
    assert_eq!(passed_over("full", "flag:model/a"), ("a".to_owned(), true));
    assert_eq!(passed_over("full", "model:a"), ("a".to_owned(), true));
    assert_eq!(passed_over("full", "model:b"), ("a".to_owned(), false));
    assert_eq!(passed_over("guarded", ""), ("pro".to_owned(), true));
    assert_eq!(passed_over("no_chain", "model:a"), ("a".to_owned(), true));
    // What cannot take the request is the arm's own failure, rescued or not.
    let decided = World::new(WORLD).decide("crossing", Endpoint::Completions, "x", "");
    assert_eq!(decided.evaluated[0].outcome(Outcome::Ok), Outcome::UpstreamError);
}

#[test]
fn tier_guards_are_counted_when_they_keep_somebody_away() {
    let world = World::new(WORLD);
    world.decide("guarded", Endpoint::Chat, "x", "");
    world.decide("guarded", Endpoint::Chat, "x", "pro");
    world.decide("guarded_fallback", Endpoint::Chat, "x", "");
    let text = world.metrics.render().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("dimmer_tier_guard_total")).collect();
    assert_eq!(lines, [r#"dimmer_tier_guard_total{model="pro",route="guarded"} 1"#]);
}

#[test]
fn an_override_of_a_percentage_counts_for_the_next_request() {
    let world = World::new(WORLD);
    let set = crate::state::Override {
        percent: crate::units::Percent::ZERO,
        replaced: crate::units::Percent::FULL,
        reason: "r".into(),
        by: "b".into(),
        at_ms: 1,
    };
    world.store.change(|state| state.apply(&Change::Override("model".into(), "all".into(), set)));
    assert_eq!(told(&world.decide("full", Endpoint::Chat, "x", "")), "b then c sorry gone");
}

#[test]
fn an_open_breaker_is_passed_over_like_a_kill_and_says_so() {
    let check = |route: &str, open: &[&str], kills: &str, want: &str| {
        let breaker = "[breakers.std]\nerror_rate = \"5%\"\n";
        let watched = WORLD.replace(
            "provider = [\"one\", \"other\"]\n",
            "provider = [\"one\", \"other\"]\nbreaker = \"std\"\n",
        );
        let world = World::new(&format!("{watched}{breaker}"));
        world.open(route, open);
        world.kill(kills);
        assert_eq!(told(&world.decide(route, Endpoint::Chat, "x", "")), want, "{route} {open:?} [{kills}]");
    };
    check("full", &[], "", "a then b c sorry gone");
    // A variant's: the default, `off`, the chain. The default itself is never watched.
    check("full", &["model/a"], "", "b then c sorry gone (breaker_open)");
    check("full", &["model/a", "model/c"], "flag:model/b", "b then c sorry gone (breaker_open)");
    // A model's: the chain.
    check("full", &["a"], "", "b then c sorry gone (breaker_open)");
    check("full", &["a", "b"], "", "c then sorry gone (breaker_open)");
    // Whether the next one's stands open is asked when it comes to that.
    check("full", &["b"], "", "a then b c sorry gone");
    check("full", &["a", "b", "c"], "", "sorry then gone (breaker_open)");
    check("guarded_fallback", &["a", "b"], "", "dimmer_breaker_open");
    check("guarded_fallback", &["a"], "model:b", "dimmer_kill_switch");
    check("guarded", &["b"], "", "c then sorry (tier_guard)");
    check("no_chain", &["a"], "", "dimmer_breaker_open");
    check("no_chain", &["model/a"], "", "b then sorry (breaker_open)");
}
