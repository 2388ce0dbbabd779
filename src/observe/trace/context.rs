//! Which trace a request belongs to: `traceparent` and `tracestate`, as W3C Trace Context has them. Pure.

use std::fmt;

/// A trace's id, as it is written: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// A span's id, as it is written: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub u64);

/// A span's place: what a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace. Never 0.
    pub trace: TraceId,
    /// The span. Never 0.
    pub span: SpanId,
    /// The trace's flags.
    pub flags: u8,
}

/// The trace is recorded.
const SAMPLED: u8 = 1;
/// The trace's id is random in its last seven bytes.
const RANDOM: u8 = 2;
/// What is passed on of a caller's flags: nobody knows yet what the others will mean.
const PASSED_ON: u8 = SAMPLED | RANDOM;
/// `00-`, the trace, `-`, the span, `-`, two digits.
const LENGTH: usize = 55;

impl TraceContext {
    /// What a field's value says. `None`: it is malformed, and a trace begins anew.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let version = number(value.get(..2)?)?;
        let ends = match (version, value.get(LENGTH)) {
            (0xff, _) => false,
            (0, rest) => rest.is_none(),
            // Later versions may have more behind it.
            (_, rest) => rest.is_none_or(|sign| *sign == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|place| value.get(*place) == Some(&b'-'));
        if !ends || !dashes {
            return None;
        }
        let trace = number(value.get(3..35)?)?;
        let span = u64::try_from(number(value.get(36..52)?)?).ok()?;
        let flags = u8::try_from(number(value.get(53..LENGTH)?)?).ok()?;
        let context = Self { trace: TraceId(trace), span: SpanId(span), flags: flags & PASSED_ON };
        (trace != 0 && span != 0).then_some(context)
    }

    /// One that begins here.
    pub(super) fn new(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, flags: if sampled { SAMPLED } else { 0 } }
    }

    /// Another span of the same trace.
    pub fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The value of `traceparent`, for who is asked by this span.
    pub fn header(self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let write = |part: Option<&mut [u8]>, mut number: u128| {
            for byte in part.into_iter().flatten().rev() {
                *byte = DIGITS.get((number & 0xf) as usize).copied().unwrap_or(b'0');
                number >>= 4;
            }
        };
        write(text.get_mut(3..35), self.trace.0);
        write(text.get_mut(36..52), u128::from(self.span.0));
        write(text.get_mut(53..LENGTH), u128::from(self.flags));
        text
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Hexadecimal digits in lower case, 32 at most.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// The most members of a `tracestate`.
const MEMBERS_MAX: usize = 32;

/// Whether a `tracestate`, its lines joined by commas, can be passed on. What it says is nobody's business but that of its members.
pub fn is_state(state: &str) -> bool {
    let mut members = 0;
    let fine = |member: &str| {
        let Some((key, value)) = member.split_once('=') else { return false };
        let key_sign =
            |sign: u8| matches!(sign, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
        let value_sign = |sign: u8| matches!(sign, 0x20..=0x7e) && sign != b',' && sign != b'=';
        (1..=256).contains(&key.len())
            && key.bytes().all(key_sign)
            && (1..=256).contains(&value.len())
            && value.bytes().all(value_sign)
    };
    let all = state.split(',').map(|member| member.trim_matches([' ', '\t'])).all(|member| {
        members += usize::from(!member.is_empty());
        member.is_empty() || fine(member)
    });
    all && (1..=MEMBERS_MAX).contains(&members)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SpanId, TraceContext, TraceId, is_state};

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = parse(GOOD).expect("it is one");
        assert_eq!(context.trace, TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
        assert_eq!(context.span, SpanId(0xb7ad_6b71_6920_3331));
        assert!(context.is_sampled());
        assert_eq!(context.header(), GOOD.as_bytes());
        assert_eq!(context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.with_span(SpanId(1)).span.to_string(), "0000000000000001");
        for (flags, sampled, written) in
            [("00", false, "00"), ("03", true, "03"), ("ff", true, "03"), ("08", false, "00")]
        {
            let context = parse(&GOOD.replace("-01", &format!("-{flags}"))).expect("it is one");
            assert_eq!(context.is_sampled(), sampled);
            assert!(context.header().ends_with(written.as_bytes()));
        }
        // A later version, with more than this one knows.
        assert!(parse(&format!("{}-more", GOOD.replacen("00", "01", 1))).is_some());
        assert!(parse(&GOOD.replacen("00", "cc", 1)).is_some());
    }

    #[test]
    fn what_is_malformed_is_none() {
        for wrong in [
            "",
            "00",
            GOOD.trim_end_matches('1'),
            &format!("{GOOD}-more"),
            &format!("{GOOD} "),
            &format!("{}x", GOOD.replacen("00", "01", 1)),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &GOOD.replace("b7ad", "b7ag"),
            &format!("{GOOD},{GOOD}"),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_state_is_a_list_of_members() {
        let many = |count: usize| vec!["a=1"; count].join(",");
        for good in ["a=1", "vendor@system=x:y;z, b=2", "a=1,,b=2", "a=1,\tb=2", &many(32)] {
            assert!(is_state(good), "{good}");
        }
        for wrong in ["", ",", "a", "A=1", "a=", "=1", "a=1,b", "a=b=c", "a=ä", &many(33)] {
            assert!(!is_state(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_it(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceContext::parse(&value);
        }

        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled in any::<bool>()) {
            let context = TraceContext::new(TraceId(trace), SpanId(span), sampled);
            prop_assert_eq!(TraceContext::parse(&context.header()), Some(context));
        }
    }
}
