//! Breadth-first search over every reachable state of a small model.
//!
//! States are found in order of their distance from the start, so the first violation met has a shortest
//! trace. A state is kept once, under its canonical form; what is stored is the state as it was first
//! reached, so a trace keeps its names even where the model calls two states the same. Which states were
//! met is remembered by 64-bit fingerprints: among two million, the chance that any two clash is one in ten
//! million, and a clash could only hide a state.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A transition system whose states are small values.
pub trait Model {
    type State: Copy + Eq + Hash + Display;
    type Step: Display;

    fn initial(&self) -> Vec<Self::State>;

    /// Everything that can happen next, one atomic step each.
    fn successors(&self, state: &Self::State) -> Vec<(Self::Step, Self::State)>;

    /// What is wrong with this state, if something is.
    fn violation(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether all is well here: from everywhere, such a state must stay within reach.
    fn well(&self, state: &Self::State) -> bool;

    /// One state to stand for all that differ only in names.
    fn canonical(&self, state: &Self::State) -> Self::State {
        *state
    }
}

/// The states one step away from one state.
pub struct Successors<Step, State> {
    pub from: State,
    pub found: Vec<(Step, State)>,
}

impl<Step, State: Copy> Successors<Step, State> {
    pub fn of(from: State) -> Self {
        Self { from, found: Vec::with_capacity(16) }
    }

    /// Offers a step that is possible if `happen` says so; it changes the state that it is given.
    pub fn offer(&mut self, step: Step, happen: impl FnOnce(&mut State) -> Option<()>) {
        let mut state = self.from;
        if happen(&mut state).is_some() {
            self.found.push((step, state));
        }
    }
}

/// `Some` if so: the guards of a step read as lines of `when(…)?`.
pub fn when(so: bool) -> Option<()> {
    so.then_some(())
}

/// Every reachable state: none violates anything, and from each one all can be well again.
pub struct Proof {
    pub states: usize,
    pub steps: usize,
    /// The number of steps to the state farthest from the start.
    pub depth: usize,
}

/// The violation of a state from which there is no way back.
pub const STUCK: &str = "not all can be well again";

/// A shortest way to a state that must not be.
pub struct Counterexample {
    pub violation: &'static str,
    /// The start, then each step with the state after it.
    pub lines: Vec<String>,
}

impl Counterexample {
    pub fn steps(&self) -> usize {
        self.lines.len() - 1
    }
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} steps):", self.violation, self.steps())?;
        for (number, line) in self.lines.iter().enumerate() {
            writeln!(f, "{number:>4}  {line}")?;
        }
        Ok(())
    }
}

/// Visits every reachable state, or stops at the first that violates something.
pub fn explore<M: Model>(model: &M) -> Result<Proof, Counterexample> {
    let mut search = Search::new(model);
    for state in model.initial() {
        search.visit(state, None)?;
    }
    let mut next = 0;
    while next < search.states.len() {
        for (_, successor) in model.successors(&search.states[next]) {
            search.visit(successor, Some(next))?;
        }
        next += 1;
    }
    match search.stuck() {
        Some(state) => Err(search.counterexample(STUCK, state)),
        None => Ok(Proof {
            states: search.states.len(),
            steps: search.steps.iter().map(Vec::len).sum(),
            depth: search.path(search.states.len() - 1).len() - 1,
        }),
    }
}

struct Search<'m, M: Model> {
    model: &'m M,
    states: Vec<M::State>,
    /// For each state, the one it was first reached from.
    parents: Vec<Option<usize>>,
    /// For each state, those that have a step to it.
    steps: Vec<Vec<u32>>,
    numbers: HashMap<u64, usize, BuildHasherDefault<Mix>>,
}

impl<'m, M: Model> Search<'m, M> {
    fn new(model: &'m M) -> Self {
        Self {
            model,
            states: Vec::new(),
            parents: Vec::new(),
            steps: Vec::new(),
            numbers: HashMap::default(),
        }
    }

    fn visit(&mut self, state: M::State, from: Option<usize>) -> Result<(), Counterexample> {
        let fresh = self.states.len();
        let mut fingerprint = Mix::default();
        self.model.canonical(&state).hash(&mut fingerprint);
        let number = *self.numbers.entry(fingerprint.finish()).or_insert(fresh);
        if number == fresh {
            self.states.push(state);
            self.parents.push(from);
            self.steps.push(Vec::new());
            if let Some(violation) = self.model.violation(&state) {
                return Err(self.counterexample(violation, number));
            }
        }
        if let Some(from) = from.filter(|&from| from != number) {
            self.steps[number].push(u32::try_from(from).expect("the model is small"));
        }
        Ok(())
    }

    /// A state from which no state that is well can be reached, the nearest such one.
    fn stuck(&self) -> Option<usize> {
        let mut hopeful = vec![false; self.states.len()];
        let mut queue: Vec<usize> = Vec::new();
        for (number, state) in self.states.iter().enumerate() {
            if self.model.well(state) {
                hopeful[number] = true;
                queue.push(number);
            }
        }
        while let Some(number) = queue.pop() {
            for &before in &self.steps[number] {
                if !std::mem::replace(&mut hopeful[before as usize], true) {
                    queue.push(before as usize);
                }
            }
        }
        hopeful.iter().position(|hopeful| !hopeful)
    }

    /// The numbers of the states from a start to this one.
    fn path(&self, to: usize) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(Some(to), |&at| self.parents[at]).collect();
        path.reverse();
        path
    }

    fn counterexample(&self, violation: &'static str, to: usize) -> Counterexample {
        let path = self.path(to);
        let mut lines = vec![format!("{:<48} {}", "", self.states[path[0]])];
        for pair in path.windows(2) {
            let after = self.states[pair[1]];
            let step = self
                .model
                .successors(&self.states[pair[0]])
                .into_iter()
                .find_map(|(step, state)| (state == after).then_some(step))
                .expect("a parent has a step to its child");
            lines.push(format!("{:<48} {after}", step.to_string()));
        }
        Counterexample { violation, lines }
    }
}

/// A hash for small trusted values, quick even without optimization: each write is a bijection of the 64
/// bits so far.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_i8(&mut self, value: i8) {
        self.write_u64(u64::from(value.cast_unsigned()));
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
