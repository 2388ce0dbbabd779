//! What is called certain is so, whatever the attributes are that nobody noted; and not everything is called open.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use crate::flags::tests::{A, B, C, flag, one, rule, split, user};
use crate::flags::{
    Attribute, AttributeValue, By, Condition, Context, Flag, FlagState, Literal, Operator, Rule, Test,
    evaluate, open_rule,
};

/// Three declared attributes, each missing or one of two texts.
const VALUES: [Option<AttributeValue<'static>>; 3] =
    [None, Some(AttributeValue::Text("x")), Some(AttributeValue::Text("y"))];

fn test() -> impl Strategy<Value = Condition> {
    let operator = prop_oneof![
        Just(Operator::Equals(Literal::Text("x".into()))),
        Just(Operator::Not(Box::new(Operator::Equals(Literal::Text("y".into()))))),
        Just(Operator::Exists(true)),
        Just(Operator::Exists(false)),
    ];
    (0..3_u16, operator)
        .prop_map(|(place, operator)| Condition::Test(Test { attribute: Attribute::Custom(place), operator }))
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![1 => Just(Condition::Always), 4 => test()];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let parts = prop::collection::vec(inner, 0..3);
        prop_oneof![
            parts.clone().prop_map(Condition::All),
            parts.clone().prop_map(Condition::Any),
            parts.prop_map(Condition::NoneOf),
        ]
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let serve = prop_oneof![
        Just(one(A, 1_000_000)),
        Just(one(B, 400_000)),
        Just(one(C, 0)),
        Just(split(&[(A, 50), (B, 50)], 600_000)),
        Just(split(&[(B, 50), (C, 50)], 1_000_000)),
    ];
    let by = prop_oneof![
        4 => Just(By::TargetingKey),
        1 => (0..3_u16).prop_map(By::Attribute),
        1 => Just(By::Conversation),
    ];
    let one = (condition(), serve, by).prop_map(|(when, serve, by)| Rule { when, by, ..rule(serve) });
    prop::collection::vec(one, 0..4)
}

/// Every context that may be meant where only `known` of the attributes are.
fn possible(values: [usize; 3], known: [bool; 3]) -> Vec<[Option<AttributeValue<'static>>; 3]> {
    let mut all = vec![[None; 3]];
    for (place, (value, known)) in values.into_iter().zip(known).enumerate() {
        let choices = if known { vec![VALUES[value]] } else { VALUES.to_vec() };
        all = all
            .into_iter()
            .flat_map(|context| {
                choices.iter().map(move |choice| {
                    let mut context = context;
                    context[place] = *choice;
                    context
                })
            })
            .collect();
    }
    all
}

proptest! {
    #[test]
    fn what_is_certain_is_so_whatever_is_not_known(
        rules in rules(),
        values in prop::array::uniform3(0..3_usize),
        known in prop::array::uniform3(any::<bool>()),
        key in 0..40_u32,
    ) {
        let flag = flag(rules);
        let key = format!("user-{key}");
        let noted = [0, 1, 2].map(|place| if known[place] { VALUES[values[place]] } else { None });
        let knows = |attribute: Attribute| match attribute {
            Attribute::Custom(place) => known[usize::from(place)],
            Attribute::TargetingKey => true,
            _ => false,
        };
        let context = Context { custom: &noted, ..user(&key) };
        if open_rule(&flag, &context, &FlagState::default(), &knows).is_none() {
            let told = evaluate(&flag, &context, &FlagState::default());
            for possible in possible(values, known) {
                for conversation in [None, Some("s-1"), Some("s-2")] {
                    let context = Context { custom: &possible, conversation, ..user(&key) };
                    let real = evaluate(&flag, &context, &FlagState::default());
                    assert_eq!(told.variant, real.variant, "{flag:?} {possible:?}");
                }
            }
        }
    }
}

fn open(flag: &Flag, key: &str, known: bool) -> Option<usize> {
    let custom = VALUES;
    let context = Context { custom: &custom, ..user(key) };
    open_rule(flag, &context, &FlagState::default(), &|_| known)
}

// Buckets with the salt `flag`, as in `rules.rs`.
const AT_016: &str = "user-7";
const AT_095: &str = "user-1";

#[test]
fn only_what_depends_on_it_is_open() {
    let equals = |value: &str| {
        let operator = Operator::Equals(Literal::Text(value.into()));
        Condition::Test(Test { attribute: Attribute::Custom(1), operator })
    };
    let when = |serve| Rule { when: equals("x"), ..rule(serve) };
    let few = flag([when(one(A, 300_000)), rule(one(B, 1_000_000))]);
    assert_eq!(open(&few, AT_016, true), None, "everything is known");
    // The percentage would not take this one, whatever the attribute is; and whoever has no key that is known may be anywhere.
    let knows = |attribute: Attribute| attribute == Attribute::TargetingKey;
    let of = |flag: &Flag, key: &str| open_rule(flag, &user(key), &FlagState::default(), &knows);
    assert_eq!((of(&few, AT_016), of(&few, AT_095)), (Some(0), None));
    assert_eq!(
        of(&flag([rule(one(B, 1_000_000)), when(one(A, 1_000_000))]), AT_016),
        None,
        "the first one serves"
    );
    let by_request = flag([Rule { by: By::Request, ..rule(one(A, 500_000)) }]);
    assert_eq!(open(&by_request, AT_016, true), Some(0), "it is drawn anew each time");
    let all = flag([Rule { by: By::Request, ..rule(one(A, 1_000_000)) }]);
    assert_eq!(open(&all, AT_016, true), None, "it draws nobody");
    let killed = FlagState { killed: true, ..FlagState::default() };
    assert_eq!(open_rule(&few, &user(AT_016), &killed, &knows), None);
}
