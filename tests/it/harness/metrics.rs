//! Prometheus' text format, as far as tests look into it.

use std::collections::BTreeMap;

/// All samples of one scrape: name and sorted labels to value.
#[derive(Debug)]
pub(crate) struct Metrics {
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Metrics {
    /// Reads a scrape; what is no sample or comment fails the test.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { samples: lines.map(sample).collect() }
    }

    /// The sum of all samples with this name that have these labels (and maybe others); 0 when there are none.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |have: &[(String, String)]| {
            labels.iter().all(|(key, value)| have.iter().any(|(k, v)| k == key && v == value))
        };
        let matching = self.samples.iter().filter(|((known, have), _)| known == name && has(have));
        matching.map(|(_, value)| value).sum()
    }
}

fn sample(line: &str) -> ((String, Vec<(String, String)>), f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, label_list(rest.strip_suffix('}').unwrap())),
        None => (series, Vec::new()),
    };
    ((name.to_owned(), labels), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

fn label_list(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next().unwrap() {
                (_, '\\') => value.push(match letters.next().unwrap().1 {
                    'n' => '\n',
                    letter => letter,
                }),
                (at, '"') => break at + 1,
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = after.get(end..).unwrap();
    }
    labels.sort();
    labels
}

#[test]
fn samples_are_read() {
    let metrics = Metrics::parse("# HELP a b\na{x=\"1\",y=\"q\\\"{}, \"} 2\na{x=\"1\",y=\"z\"} 3.5\nb 7\n");
    assert_eq!(metrics.metric("a", &[("x", "1")]).to_string(), "5.5");
    assert_eq!(metrics.metric("a", &[("y", "q\"{}, ")]).to_string(), "2");
    assert_eq!(metrics.metric("b", &[]).to_string(), "7");
}
