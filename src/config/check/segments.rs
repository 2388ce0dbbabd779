//! `[segments]`: named conditions, which may use each other but not themselves.

use std::collections::HashSet;
use std::sync::Arc;

use toml::de::DeValue;

use crate::config::check::attributes::Attributes;
use crate::config::check::conditions::when;
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Table, in_file_order};
use crate::flags::Segment;
use crate::names::SegmentName;

/// The segments of a file, each compiled when it is first asked for.
pub(super) struct Segments {
    built: Vec<Arc<Segment>>,
    declared: Vec<String>,
}

/// Compiles all segments. A segment may use others, but not itself.
pub(super) fn segments(root: &Table<'_>, attributes: &Attributes<'_, '_>) -> Segments {
    let tables = root.named("segments");
    for (name, table) in &tables {
        super::check_name(table, name, "");
    }
    let declared: Vec<String> = tables.iter().map(|(name, _)| name.value.to_owned()).collect();
    let mut segments = Segments { built: Vec::new(), declared };
    // Each round builds the segments whose own segments are built. What is left when a round builds none is a cycle,
    // or leans on one.
    let mut waiting = tables;
    for _ in 0..DEPTH_MAX {
        let (ready, blocked): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, table)| segments.has_all_of(table));
        if ready.is_empty() {
            report_cycles(&blocked);
            return segments;
        }
        for (name, table) in ready {
            let when = when(&table, attributes, &segments);
            segments.built.push(Arc::new(Segment { name: SegmentName::from(name.value), when }));
        }
        waiting = blocked;
    }
    for (name, table) in waiting {
        let message = format!("leans on more than {DEPTH_MAX} segments, one inside the other: flatten them");
        table.error(&name.span, &message);
    }
    segments
}

/// A condition is evaluated by recursion: its depth has a bound. Nobody reads deeper ones either.
const DEPTH_MAX: usize = 32;

/// Says it once per cycle's member; a segment that only leans on a cycle is mended with it.
fn report_cycles(blocked: &[(At<&str>, Table<'_>)]) {
    for (name, table) in blocked {
        let mut reached: HashSet<&str> = HashSet::new();
        let mut open: Vec<&str> = used_segments(table);
        while let Some(next) = open.pop() {
            if reached.insert(next)
                && let Some((_, used)) = blocked.iter().find(|(other, _)| other.value == next)
            {
                open.extend(used_segments(used));
            }
        }
        if reached.contains(name.value) {
            table.error(
                &name.span,
                "uses itself, directly or through others: take one of them out of the circle",
            );
        }
    }
}

impl Segments {
    fn has_all_of(&self, table: &Table<'_>) -> bool {
        let missing = |name: &&str| {
            self.declared.iter().any(|declared| declared == name)
                && !self.built.iter().any(|segment| segment.name.as_str() == *name)
        };
        !used_segments(table).iter().any(missing)
    }
}

impl Segments {
    /// The segment called so, or what to say about it; an empty message where it was said already.
    pub(super) fn segment(&self, name: &str) -> Result<Arc<Segment>, String> {
        let built = self.built.iter().find(|segment| segment.name.as_str() == name);
        built.map(Arc::clone).ok_or_else(|| {
            if self.declared.iter().any(|declared| declared == name) {
                return String::new();
            }
            let suggestion = did_you_mean(name, self.declared.iter().map(String::as_str));
            format!("{name:?} is no segment{suggestion}")
        })
    }
}

/// The names of the segments that a table's `when` speaks of.
fn used_segments<'d>(table: &Table<'d>) -> Vec<&'d str> {
    fn collect<'d>(value: &'d DeValue<'d>, names: &mut Vec<&'d str>) {
        match value {
            DeValue::Table(table) => {
                for (key, inner) in in_file_order(table) {
                    match (key.value, inner.value) {
                        ("segment", DeValue::String(name)) => names.push(name),
                        _ => collect(inner.value, names),
                    }
                }
            }
            DeValue::Array(list) => list.iter().for_each(|inner| collect(inner.get_ref(), names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    if let Some(at) = table.written("when") {
        collect(at.value, &mut names);
    }
    names
}
