//! The OpenMetrics text format, version 1.0.0: what Prometheus' own format says, and with it the traces of buckets.
//!
//! Counters lose `_total` from their family's name. Where another family has that name already, the counter keeps its own name and says no
//! type, so that each series is called the same in both formats.

use std::collections::HashSet;
use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use crate::observe::exemplars::{AllExemplars, Exemplar};

/// What is sent with it.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All families, with what is known of their buckets.
pub(super) fn encode(families: &[MetricFamily], exemplars: &AllExemplars) -> String {
    let names: HashSet<&str> = families.iter().map(MetricFamily::name).collect();
    let mut text = String::with_capacity(64 * 1024);
    for family in families {
        let name = family.name();
        let base = name.strip_suffix("_total").filter(|base| !names.contains(base));
        let (shown, kind) = match (family.get_field_type(), base) {
            (MetricType::COUNTER, Some(base)) => (base, "counter"),
            (MetricType::GAUGE, _) => (name, "gauge"),
            (MetricType::HISTOGRAM, _) => (name, "histogram"),
            _ => (name, "unknown"),
        };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# TYPE {shown} {kind}");
        let _ = writeln!(text, "# HELP {shown} {}", Escaped(family.help()));
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::HISTOGRAM => histogram(&mut text, name, metric, exemplars),
                MetricType::GAUGE => sample(&mut text, name, metric, metric.get_gauge().get_value()),
                _ => sample(&mut text, name, metric, metric.get_counter().get_value()),
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

fn sample(text: &mut String, name: &str, metric: &Metric, value: f64) {
    let _ = writeln!(text, "{name}{} {}", Labels(metric.get_label(), None), Number(value));
}

fn histogram(text: &mut String, name: &str, metric: &Metric, exemplars: &AllExemplars) {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let label = |name: &str| labels.iter().find(|label| label.name() == name).map_or("", LabelPair::value);
    let known = exemplars.find(name, [label("route"), label("model")]).unwrap_or_default();
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let buckets = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let last = (f64::INFINITY, histogram.get_sample_count());
    for (place, (bound, count)) in buckets.chain([last]).enumerate() {
        let _ = write!(text, "{name}_bucket{} {count}", Labels(labels, Some(bound)));
        if let Some(Exemplar { context, value, at }) =
            known.get(place).copied().flatten().filter(|_| count > 0)
        {
            let (trace, span) = (context.trace, context.span);
            let at = format_args!("{}.{:03}", at.as_secs(), at.subsec_millis());
            let _ = write!(text, " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {} {at}", Number(value));
        }
        text.push('\n');
    }
    let labels = Labels(labels, None);
    let _ = writeln!(text, "{name}_sum{labels} {}", Number(histogram.get_sample_sum()));
    let _ = writeln!(text, "{name}_count{labels} {}", histogram.get_sample_count());
}

/// `{a="b",le="1.0"}`, or nothing.
struct Labels<'a>(&'a [LabelPair], Option<f64>);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(pairs, bound) = self;
        let mut before = '{';
        for pair in *pairs {
            write!(f, "{before}{}=\"{}\"", pair.name(), Escaped(pair.value()))?;
            before = ',';
        }
        if let Some(bound) = bound {
            write!(f, "{before}le=\"{}\"", Number(*bound))?;
            before = ',';
        }
        if before == ',' { f.write_str("}") } else { Ok(()) }
    }
}

/// A number as the format wants it: one that is whole has a `.0`.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            number if number == f64::INFINITY => f.write_str("+Inf"),
            number if number == f64::NEG_INFINITY => f.write_str("-Inf"),
            number if number.is_nan() => f.write_str("NaN"),
            number if number.fract() == 0.0 && number.abs() < 1e15 => write!(f, "{number:.1}"),
            number => write!(f, "{number}"),
        }
    }
}

/// A text between quotes, or a help.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|sign| match sign {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

/// Whether who asks with this `Accept` wants this format rather than Prometheus' own.
pub(super) fn is_wanted(accept: &str) -> bool {
    let weight = |kind: &str| {
        let of = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(kind);
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f64>);
            quality.ok().filter(|_| is_it)
        });
        of.fold(0.0, f64::max)
    };
    let own = weight("application/openmetrics-text");
    own > 0.0 && own >= weight("text/plain").max(weight("*/*"))
}

#[cfg(test)]
mod tests;
