//! Numbers into a table, for a terminal and as Markdown: one text serves both.

use std::fmt::Write;

/// What the repeats of one target came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let upper = sorted.get(half).copied().unwrap_or(f64::NAN);
        match sorted.len() % 2 {
            0 => (upper + sorted.get(half.wrapping_sub(1)).copied().unwrap_or(f64::NAN)) / 2.0,
            _ => upper,
        }
    }

    /// Each repeat by the same round's repeat of `base`: what was the same for both in a round cancels out.
    pub(crate) fn by(&self, base: &Self) -> Self {
        Self(self.0.iter().zip(&base.0).map(|(own, base)| own / base).collect())
    }

    /// Median, and the range of all: `1.43 (1.40-1.51)`.
    pub(crate) fn spread(&self) -> String {
        let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.2} ({low:.2}-{high:.2})", self.median())
    }
}

/// Rows of equal length, the first is the heading; columns are padded, so that it reads well unrendered.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a String cannot fail.
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            let _ = writeln!(text, "|{}|", lines.join("|"));
        }
    }
    text
}
