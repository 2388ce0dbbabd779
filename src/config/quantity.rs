//! Durations, sizes, shares, addresses and dates as the file spells them. Each parser says what is wrong and how to mend it.

use std::time::Duration;

use crate::config::BaseUrl;

/// `"250ms"`, `"30s"`, `"15m"`, `"24h"`, `"7d"`: a whole number and a unit. The longest is a year, so that adding one to
/// a clock never overflows.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let remedy = r#"write a whole number and ms, s, m, h or d, such as "30s""#;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("{text:?} is no duration: {remedy}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no duration: {remedy}"))?;
    let total_ms = number.checked_mul(factor_ms).filter(|ms| *ms <= DURATION_MS_MAX);
    total_ms
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is longer than a year: write 366d or less"))
}

/// A year: nothing that dimmer waits for takes longer.
const DURATION_MS_MAX: u64 = 366 * 86_400_000;

/// `"64KiB"`, `"32MiB"`, `"2GiB"`, `"512B"`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let remedy = r#"write a whole number and B, KiB, MiB or GiB, such as "32MiB""#;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(format!("{text:?} is no size: {remedy}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no size: {remedy}"))?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes <= SIZE_MAX);
    match bytes {
        Some(0) => Err(format!("{text:?} is no limit: {remedy}")),
        Some(bytes) => Ok(bytes),
        None => Err(format!("{text:?} is more than 1024 GiB: write less")),
    }
}

/// No machine holds more; it keeps sums of limits far from overflow.
const SIZE_MAX: u64 = 1 << 40;

/// `"2%"` as 0.02.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!(r#"{text:?} is no share: write a number from 0 to 100 and a sign, such as "2%""#);
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0).ok_or_else(wrong)
}

/// An `http` or `https` address with an optional path and nothing else.
pub(crate) fn base_url(text: &str) -> Result<BaseUrl, String> {
    let wrong = |why: &str| format!(r#"{why}: write an address such as "https://api.openai.com/v1""#);
    // The text is not quoted in these messages: an address may carry a password.
    if text.contains(['#', '?', '@']) {
        return Err(wrong("an address here has no query, fragment, user or password"));
    }
    let uri: http::Uri = text.parse().map_err(|_| wrong("this is no address"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong("an address starts with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    let has_port = authority.as_str().len() > authority.host().len();
    let port = authority.port_u16().filter(|port| *port > 0);
    if has_port && port.is_none() {
        return Err(wrong("the port is none"));
    }
    let path = uri.path().trim_end_matches('/');
    if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(wrong("the path has empty, `.` or `..` segments"));
    }
    Ok(BaseUrl {
        tls,
        host: host.to_ascii_lowercase(),
        port: port.unwrap_or(if tls { 443 } else { 80 }),
        path: path.to_owned(),
    })
}

/// The start of a TOML date in UTC, in seconds since 1970.
pub(crate) fn day_start_s(date: &toml::value::Date) -> Option<i64> {
    let year = i16::try_from(date.year).ok()?;
    let day =
        jiff::civil::Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The nearest of `known`, where it is near enough to be meant.
pub(crate) fn nearest<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance <= name.chars().count().max(wrong.chars().count()) / DIFFERENCE_MIN
        })
        .min()
        .map(|(_, name)| name)
}

/// One slip in this many characters is taken for a slip, more for another word.
const DIFFERENCE_MIN: usize = 3;

/// `; did you mean "…"?`, or nothing.
pub(crate) fn did_you_mean<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}
