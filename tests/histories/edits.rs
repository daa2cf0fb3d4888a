//! The command line narrows, shortens, freezes and thaws grants.

use serde_json::Value;

use crate::administration::answer;
use crate::dice::index;
use crate::history::{Answer, Asked, Edit, Scope};
use crate::plan::Step;
use crate::requests::Worker;
use crate::support::cli::CliOutput;
use crate::world::{Held, UNCHANGED};

/// So many grants are edited by one command.
const AT_ONCE: usize = 3;

impl Worker<'_> {
    pub fn edit(&self, step: Step) {
        let (edit, grants) = match step.how % 8 {
            0..2 => (Edit::Freeze, self.some_to_edit(step, |_| true)),
            2..4 => (Edit::Thaw, (0..AT_ONCE).filter_map(|_| self.world.one_to_thaw()).collect()),
            4..7 => {
                let scope = Scope::any(step.how / 8);
                (Edit::Narrow(scope), self.some_to_edit(step, |held| scope.is_within(held.scope)))
            }
            _ => {
                let seconds = 2 + u32::try_from(index(step.how / 8, 6)).expect("few seconds");
                (Edit::Shorten(seconds), self.some_to_edit(step, |_| true))
            }
        };
        if !grants.is_empty() {
            self.edit_all(edit, &grants);
        }
    }

    /// Some that were issued lately; mostly users', and those of clients that nobody changes.
    fn some_to_edit(&self, step: Step, fits: impl Fn(&Held) -> bool) -> Vec<Held> {
        let any = step.which.is_multiple_of(4);
        let is_meant = |held: &Held| (any || held.client < UNCHANGED) && fits(held);
        let skipped = index(step.which / 4, 6);
        self.world.newest(skipped + AT_ONCE, is_meant).into_iter().skip(skipped).collect()
    }

    fn edit_all(&self, edit: Edit, grants: &[Held]) {
        for held in grants {
            self.world.dispute(held.number);
        }
        let ids: Vec<&str> = grants.iter().map(|held| held.token.grant_id()).collect();
        let answers = self.world.record_all(self.thread, || {
            let output = self.command(edit, &ids.join("\n"));
            let asked = grants.iter().map(|held| Asked::Edit { token: held.number, edit });
            asked.zip(verdicts(output, grants.len())).collect()
        });
        for (held, answer) in grants.iter().zip(answers) {
            if answer == Answer::Done {
                self.world.note_edited(held.number);
            }
            if edit == Edit::Freeze && !matches!(answer, Answer::Objected(_)) {
                self.world.note_frozen(held.number);
            }
            self.introspect_everywhere(held);
        }
    }

    fn command(&self, edit: Edit, ids: &str) -> CliOutput {
        let (verb, further) = match edit {
            Edit::Freeze => ("freeze", None),
            Edit::Thaw => ("thaw", None),
            Edit::Narrow(scope) => ("narrow", Some(["--scope".to_owned(), scope.to_string()])),
            Edit::Shorten(seconds) => ("shorten", Some(["--ends-in".to_owned(), format!("{seconds}s")])),
        };
        let mut arguments = vec!["token", verb, "-", "--yes", "--json"];
        arguments.extend(further.iter().flatten().map(String::as_str));
        self.world.command(&arguments, ids)
    }
}

/// What became of each grant.
fn verdicts(output: CliOutput, count: usize) -> Vec<Answer> {
    let document = serde_json::from_str::<Value>(&output.stdout).unwrap_or_default();
    let Some(grants) = document["grants"].as_array().filter(|grants| grants.len() == count) else {
        return vec![answer(output); count];
    };
    let verdict = |grant: &Value| match &grant["error"] {
        Value::Null => Answer::Done,
        // The grant store did not answer, and an id alone does not say what it is of.
        why if why.to_string().contains("nobody can tell") => Answer::Failed(why.to_string()),
        why => Answer::Objected(why.to_string()),
    };
    grants.iter().map(verdict).collect()
}
