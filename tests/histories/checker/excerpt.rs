//! What to look at when an answer is not allowed: everything that touched the token or the client, and the faults.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Violation;
use crate::history::{Answer, Asked, ClientNumber, Event, Fault, History, Moment, TokenNumber};

/// How far before the token was minted things may matter, in microseconds.
const BEFORE: Moment = 10_000_000;
/// More lines than anybody reads.
const LINES: usize = 200;

/// The smallest part of a history that shows a violation, a line each.
pub fn excerpt(history: &History, violation: &Violation) -> String {
    let mut text = format!("{:?}: {}\n", violation.rule, violation.text);
    let Some(event) = violation.event.map(|index| &history.events[index]) else { return text };
    let (tokens, clients, since) = concerned(history, event);
    let faults = history.faults.iter().filter(|fault| fault.end >= since);
    let mut lines: Vec<(Moment, String)> = faults.map(|fault| (fault.begin, fault_line(fault))).collect();
    let concerns = |other: &&Event| match other.asked {
        Asked::Introspect { token, .. } | Asked::Revoke { token, .. } | Asked::Edit { token, .. } => {
            tokens.contains(&token)
        }
        Asked::Administer { client, .. } => clients.contains(&client) && other.end >= since,
        Asked::Refresh { grant, .. } => tokens.contains(&grant),
        Asked::Kill(_) => other.end >= since,
        Asked::Mint { .. } | Asked::Authorize { .. } => {
            std::ptr::eq(*other, event) || minted(other).is_some_and(|t| tokens.contains(&t))
        }
    };
    let marked = |other: &Event| (other.begin, event_line(other, std::ptr::eq(other, event)));
    lines.extend(history.events.iter().filter(concerns).map(marked));
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

/// Which tokens of which grant, which clients, and since when.
fn concerned(history: &History, event: &Event) -> (BTreeSet<TokenNumber>, BTreeSet<ClientNumber>, Moment) {
    let token = match event.asked {
        Asked::Introspect { token, .. } | Asked::Revoke { token, .. } | Asked::Edit { token, .. } => {
            Some(token)
        }
        Asked::Refresh { grant, .. } => Some(grant),
        _ => minted(event),
    };
    let refreshed = |other: &Event| match other.asked {
        Asked::Refresh { grant, .. } if minted(other) == token => Some(grant),
        _ => None,
    };
    let grant = history.events.iter().filter(|_| token.is_some()).find_map(refreshed).or(token);
    let is_mint = |other: &&Event| !matches!(other.asked, Asked::Refresh { .. }) && minted(other) == grant;
    let mint = history.events.iter().filter(|_| grant.is_some()).find(is_mint);
    let clients = [Some(event), mint].into_iter().flatten().filter_map(|event| match event.asked {
        Asked::Mint { client, .. } | Asked::Authorize { client, .. } | Asked::Administer { client, .. } => {
            Some(client)
        }
        _ => None,
    });
    let since = mint.map_or(event.begin, |mint| mint.begin).saturating_sub(BEFORE);
    (token.into_iter().chain(grant).collect(), clients.collect(), since)
}

const fn minted(event: &Event) -> Option<TokenNumber> {
    match event.answer {
        Answer::Minted { token, .. } | Answer::Refreshed { token, .. } => Some(token),
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
