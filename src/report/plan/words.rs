//! What becomes of a rule's users, in a sentence.

use super::RuleMoves;
use crate::flags::{Rule, Serve};
use crate::units::Percent;

/// The rule is on another ring: who is in has nothing to do with who was.
pub(super) fn is_drawn_anew(was: Option<(&Rule, Percent)>, is: Option<(&Rule, Percent)>) -> bool {
    let (Some((was, was_at)), Some((is, is_at))) = (was, is) else { return false };
    let draws = |rule: &Rule, at: Percent| {
        matches!(rule.serve, Serve::Split { .. }) || (at != Percent::FULL && at != Percent::ZERO)
    };
    (was.seed != is.seed || was.by != is.by) && draws(was, was_at) && draws(is, is_at)
}

/// `raised from 10 % to 25 %: 150 users join, nobody leaves`
pub(super) fn rule(
    (was, is): (Option<Percent>, Option<Percent>),
    users: RuleMoves,
    drawn_anew: bool,
) -> String {
    let RuleMoves { before, after, join, leave } = users;
    let how = match (was, is) {
        (None, None) => return String::new(),
        (None, Some(is)) => return format!("new, at {is} %: it takes {}", people(after)),
        (Some(was), None) => {
            return format!("gone; at {was} % it took {}", people(before));
        }
        (Some(was), Some(is)) if was < is => format!("raised from {was} % to {is} %"),
        (Some(was), Some(is)) if was > is => format!("lowered from {was} % to {is} %"),
        (Some(was), Some(_)) => format!("at {was} % as before"),
    };
    let anew = if drawn_anew { ", and everybody is drawn anew" } else { "" };
    let raised = matches!((was, is), (Some(was), Some(is)) if was < is);
    let why = match raised && leave > 0 && !drawn_anew {
        true => " (not for its percentage: what it serves or asks for differs, or a rule above takes them)",
        false => "",
    };
    format!(
        "{how}{anew}: {} {}, {} {}{why}",
        people(join),
        verb(join, "joins", "join"),
        nobody_or(leave),
        verb(leave, "leaves", "leave")
    )
}

fn people(users: u64) -> String {
    match users {
        0 => "nobody".to_owned(),
        1 => "1 user".to_owned(),
        several => format!("{several} users"),
    }
}

fn nobody_or(users: u64) -> String {
    if users == 0 { "nobody".to_owned() } else { users.to_string() }
}

fn verb(users: u64, one: &'static str, several: &'static str) -> &'static str {
    if users < 2 { one } else { several }
}
