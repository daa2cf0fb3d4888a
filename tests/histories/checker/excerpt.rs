//! What to look at when an answer is not allowed: everything that touched the token or the client, and the faults.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Violation;
use crate::history::{Answer, Asked, ClientNumber, Event, Fault, History, Moment, TokenNumber};

/// More lines than anybody reads.
const LINES: usize = 200;

/// The smallest part of a history that shows a violation, a line each.
pub fn excerpt(history: &History, violation: &Violation) -> String {
    let mut text = format!("{:?}: {}\n", violation.rule, violation.text);
    let Some(event) = violation.event.map(|index| &history.events[index]) else { return text };
    let (tokens, clients) = concerned(history, event);
    let mut lines: Vec<(Moment, String)> = history.faults.iter().map(|f| (f.begin, fault_line(f))).collect();
    let concerns = |other: &&Event| match other.asked {
        Asked::Introspect { token, .. } | Asked::Revoke { token, .. } => tokens.contains(&token),
        Asked::Administer { client, .. } => clients.contains(&client),
        Asked::Mint { .. } => {
            std::ptr::eq(*other, event) || minted(other).is_some_and(|t| tokens.contains(&t))
        }
    };
    lines.extend(history.events.iter().filter(concerns).map(|e| (e.begin, event_line(e, e == event))));
    lines.sort();
    let before = lines.iter().filter(|(begin, _)| *begin <= event.end).count();
    let skipped = before.saturating_sub(LINES);
    if skipped > 0 {
        writeln!(text, "… {skipped} earlier lines").expect("a string takes all");
    }
    for (_, line) in lines.iter().take(before).skip(skipped) {
        writeln!(text, "{line}").expect("a string takes all");
    }
    text
}

fn concerned(history: &History, event: &Event) -> (BTreeSet<TokenNumber>, BTreeSet<ClientNumber>) {
    let token = match event.asked {
        Asked::Introspect { token, .. } | Asked::Revoke { token, .. } => Some(token),
        _ => minted(event),
    };
    let mint = history.events.iter().find(|other| token.is_some() && minted(other) == token);
    let clients = [Some(event), mint].into_iter().flatten().filter_map(|event| match event.asked {
        Asked::Mint { client, .. } | Asked::Administer { client, .. } => Some(client),
        _ => None,
    });
    (token.into_iter().collect(), clients.collect())
}

const fn minted(event: &Event) -> Option<TokenNumber> {
    match event.answer {
        Answer::Minted { token, .. } => Some(token),
        _ => None,
    }
}

fn event_line(event: &Event, offending: bool) -> String {
    let mark = if offending { ">>>" } else { "   " };
    let Event { begin, end, thread, asked, answer } = event;
    format!("{mark} {begin:>10} – {end:>10} µs  thread {thread}: {asked:?} → {answer:?}")
}

fn fault_line(fault: &Fault) -> String {
    let healed = fault.healed.map_or_else(|| "never".to_owned(), |healed| healed.to_string());
    format!("  * {:>10} – {:>10} µs  {:?}, healed {healed}", fault.begin, fault.end, fault.kind)
}
