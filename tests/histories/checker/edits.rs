//! What live grants were restricted to.

use std::collections::HashMap;
use std::rc::Rc;

use super::disturbances::{Disturbances, Span};
use super::register::{Register, Write};
use crate::history::{Answer, Asked, Edit, Event, History, Moment, Scope, TokenNumber};

/// How far from the exact moment an end may be seen: it is a whole second of a clock.
const BLUR: Moment = 2_000_000;

/// What was done to one grant.
#[derive(Debug)]
pub struct Edits {
    frozen: Register<bool>,
    lasting: Vec<Lasting>,
}

/// What nobody takes back.
#[derive(Clone, Copy, Debug)]
struct Lasting {
    span: Span,
    is_acknowledged: bool,
    edit: Edit,
}

/// Those of every grant that was edited, by its first token.
pub fn edits(
    history: &History,
    disturbances: &Disturbances<'_>,
    first: impl Fn(TokenNumber) -> TokenNumber,
) -> HashMap<TokenNumber, Rc<Edits>> {
    let mut events: HashMap<TokenNumber, Vec<(Edit, &Event)>> = HashMap::new();
    for event in &history.events {
        // Who objects has not done it.
        if let (Asked::Edit { token, edit }, Answer::Done | Answer::Failed(_)) = (event.asked, &event.answer)
        {
            events.entry(first(token)).or_default().push((edit, event));
        }
    }
    let edits = |events: Vec<(Edit, &Event)>| Rc::new(Edits::of(&events, disturbances));
    events.into_iter().map(|(token, events)| (token, edits(events))).collect()
}

impl Edits {
    /// Of a grant that nobody edited.
    pub fn none() -> Rc<Self> {
        Rc::new(Self { frozen: Register::of(Vec::new()), lasting: Vec::new() })
    }

    fn of(events: &[(Edit, &Event)], disturbances: &Disturbances<'_>) -> Self {
        let mut frozen = vec![Write { begin: 0, until: 0, acknowledged: Some(0), value: false }];
        let mut lasting = Vec::new();
        for (edit, event) in events {
            let (span, is_acknowledged) = (Span::of(event), event.answer == Answer::Done);
            let until = if is_acknowledged { span.end } else { disturbances.settled(span) };
            let acknowledged = is_acknowledged.then_some(span.end);
            match edit {
                Edit::Freeze | Edit::Thaw => {
                    let value = *edit == Edit::Freeze;
                    frozen.push(Write { begin: span.begin, until, acknowledged, value });
                }
                Edit::Narrow(_) | Edit::Shorten(_) => {
                    lasting.push(Lasting { span, is_acknowledged, edit: *edit });
                }
            }
        }
        Self { frozen: Register::of(frozen), lasting }
    }

    pub fn may_be_frozen(&self, span: Span) -> bool {
        self.frozen.possible(span).any(|frozen| frozen)
    }

    pub fn is_frozen(&self, span: Span) -> bool {
        let mut possible = self.frozen.possible(span).peekable();
        possible.peek().is_some() && possible.all(|frozen| frozen)
    }

    /// What may be left of a scope.
    pub fn left(&self, scope: Scope, span: Span) -> Vec<Scope> {
        let mut possible = vec![scope];
        for lasting in self.begun_before(span) {
            let Edit::Narrow(to) = lasting.edit else { continue };
            if lasting.holds(span) {
                for scope in &mut possible {
                    *scope = scope.and(to);
                }
            } else {
                let narrower: Vec<Scope> = possible.iter().map(|scope| scope.and(to)).collect();
                possible.extend(narrower);
                possible.sort_unstable();
                possible.dedup();
            }
        }
        possible
    }

    pub fn has_ended(&self, span: Span) -> bool {
        self.ends(span)
            .any(|(lasting, after)| lasting.holds(span) && lasting.span.end + after + BLUR < span.begin)
    }

    pub fn may_have_ended(&self, span: Span) -> bool {
        self.ends(span).any(|(lasting, after)| lasting.span.begin + after < span.end + BLUR)
    }

    /// Whether an edit may have been of no use: nothing would have been left, or it ends sooner already.
    pub fn may_object(&self, edit: Edit, scope: Scope, span: Span) -> bool {
        match edit {
            Edit::Freeze | Edit::Thaw => false,
            Edit::Narrow(to) => self.left(scope, span).into_iter().any(|left| left.and(to).is_empty()),
            Edit::Shorten(_) => self.ends(span).next().is_some(),
        }
    }

    fn ends(&self, span: Span) -> impl Iterator<Item = (&Lasting, Moment)> {
        self.begun_before(span).filter_map(|lasting| match lasting.edit {
            Edit::Shorten(seconds) => Some((lasting, Moment::from(seconds) * 1_000_000)),
            _ => None,
        })
    }

    fn begun_before(&self, span: Span) -> impl Iterator<Item = &Lasting> {
        self.lasting.iter().filter(move |lasting| lasting.span.begin < span.end)
    }
}

impl Lasting {
    /// Whether every server knows it.
    const fn holds(&self, span: Span) -> bool {
        self.is_acknowledged && self.span.end < span.begin
    }
}
