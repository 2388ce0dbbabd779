//! The format, and who wants it.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Registry, histogram_opts, opts};

use super::{Number, encode, is_wanted};
use crate::observe::exemplars::{AllExemplars, Exemplar};
use crate::observe::trace::{SpanId, TraceContext, TraceId};

#[test]
fn who_asks_for_it_gets_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let newer = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for accept in [prometheus, newer, "Application/OpenMetrics-Text", "application/openmetrics-text; q=0.3"] {
        assert!(is_wanted(accept), "{accept}");
    }
    for accept in [
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.1,text/plain",
        "application/openmetrics-text;q=a",
    ] {
        assert!(!is_wanted(accept), "{accept}");
    }
}

#[test]
fn numbers_are_said_in_one_way() {
    let said: Vec<String> = [0.01, 1.0, 160.0, 0.0, 1e20, f64::INFINITY]
        .iter()
        .map(|number| Number(*number).to_string())
        .collect();
    assert_eq!(said, ["0.01", "1.0", "160.0", "0.0", "100000000000000000000", "+Inf"]);
}

#[test]
fn every_kind_is_written() {
    let registry = Registry::new();
    let counter = prometheus::IntCounterVec::new(opts!("x_total", "Counts \"x\""), &["a"]).unwrap();
    counter.with_label_values(&["b\"\\\n"]).inc();
    let twin = prometheus::IntCounter::new("seconds_total", "Of the same name as a histogram").unwrap();
    let gauge = prometheus::Gauge::new("g", "A gauge").unwrap();
    gauge.set(0.5);
    let buckets = vec![0.1, 1.0];
    let histogram =
        prometheus::HistogramVec::new(histogram_opts!("seconds", "Time", buckets), &["route", "model"])
            .unwrap();
    let one = histogram.with_label_values(&["r", "m"]);
    one.observe(0.25);
    one.observe(3.0);
    for family in [
        Box::new(counter) as Box<dyn prometheus::core::Collector>,
        Box::new(twin),
        Box::new(gauge),
        Box::new(histogram),
    ] {
        registry.register(family).unwrap();
    }
    let exemplars = AllExemplars::default();
    let set = Arc::clone(&exemplars.of("seconds", ["r", "m"], &[0.1, 1.0]));
    let context = TraceContext { trace: TraceId(0xab), span: SpanId(0xcd), flags: 1 };
    set.put(Exemplar { context, value: 0.25, at: Duration::from_millis(1_500) });
    let expected = r#"# TYPE g gauge
# HELP g A gauge
g 0.5
# TYPE seconds histogram
# HELP seconds Time
seconds_bucket{model="m",route="r",le="0.1"} 0
seconds_bucket{model="m",route="r",le="1.0"} 1 # {trace_id="000000000000000000000000000000ab",span_id="00000000000000cd"} 0.25 1.500
seconds_bucket{model="m",route="r",le="+Inf"} 2
seconds_sum{model="m",route="r"} 3.25
seconds_count{model="m",route="r"} 2
# TYPE seconds_total unknown
# HELP seconds_total Of the same name as a histogram
seconds_total 0.0
# TYPE x counter
# HELP x Counts \"x\"
x_total{a="b\"\\\n"} 1.0
# EOF
"#;
    assert_eq!(encode(&registry.gather(), &exemplars), expected);
}
