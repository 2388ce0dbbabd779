//! Generated JSON texts for the properties of this room: every spelling that RFC 8259 allows, not only the tidy ones.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::BoxedStrategy;

/// White space as people, printers and hostile senders put it.
pub(crate) fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => Just(" ".to_owned()), 1 => "[ \t\r\n]{1,4}"]
}

/// Numbers with unusual but valid spellings, small enough for `serde_json::Value`.
pub(crate) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1e+05".to_owned()),
        Just("-0".to_owned()),
        Just("1.50".to_owned()),
        Just("0.0E-0".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ]
}

/// The inside of a string: plain text, other scripts, every kind of escape, sometimes long.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ !#-\\[\\]-~]{0,20}",
        2 => "[é€ßж漢𝄞\u{2028}\u{85}\u{7f}]{1,3}",
        2 => prop_oneof![Just("\\n"), Just("\\\""), Just("\\\\"), Just("\\/"), Just("\\b\\f\\r\\t")]
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(escaped),
        1 => Just("a long text without any escape in it. ".repeat(20)),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// A character written as `\u` escapes, as one or as a pair.
pub(crate) fn escaped(letter: char) -> String {
    letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()
}

/// A name of which some letters are spelled with escapes.
pub(crate) fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    let plain = Just(name.to_owned());
    let with_escapes = proptest::collection::vec(any::<bool>(), name.len()).prop_map(move |escapes| {
        let letters = name.chars().zip(escapes);
        letters.map(|(letter, escape)| if escape { escaped(letter) } else { letter.to_string() }).collect()
    });
    prop_oneof![4 => plain, 1 => with_escapes]
}

/// Any value.
pub(crate) fn value() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        number(),
        text().prop_map(|text| format!("\"{text}\"")),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let element =
            (space(), inner.clone(), space()).prop_map(|(before, value, after)| before + &value + &after);
        let elements = proptest::collection::vec(element, 0..6);
        let array = (elements, space()).prop_map(|(elements, space)| match elements.is_empty() {
            true => format!("[{space}]"),
            false => format!("[{}]", elements.join(",")),
        });
        let members = proptest::collection::vec(member(text().boxed(), inner.boxed()), 0..6);
        prop_oneof![array, (members, space()).prop_map(|(members, space)| object(&members, &space))]
    })
    .boxed()
}

/// A member with white space around everything.
pub(crate) fn member(
    name: BoxedStrategy<String>,
    value: BoxedStrategy<String>,
) -> impl Strategy<Value = String> {
    let spaces = (space(), space(), space(), space());
    (name, value, spaces).prop_map(|(name, value, (a, b, c, d))| format!("{a}\"{name}\"{b}:{c}{value}{d}"))
}

/// An object of such members.
pub(crate) fn object(members: &[String], space_if_empty: &str) -> String {
    if members.is_empty() { format!("{{{space_if_empty}}}") } else { format!("{{{}}}", members.join(",")) }
}
