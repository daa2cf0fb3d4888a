//! The tables, as Markdown, and their place in `docs/PERFORMANCE.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/PERFORMANCE.md";
const BEGIN: &str = "<!-- the tables of scripts/bench begin -->";
const END: &str = "<!-- the tables of scripts/bench end -->";

/// A table in the making.
pub struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, columns: &[&'static str]) -> Self {
        Self { title: title.to_owned(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n| {} |\n", self.title, self.columns.join(" | "));
        writeln!(text, "|{}", "---|".repeat(self.columns.len())).expect("a string takes everything");
        for row in &self.rows {
            writeln!(text, "| {} |", row.join(" | ")).expect("a string takes everything");
        }
        text
    }
}

/// Every budget, and what it came to.
pub struct Budgets {
    table: Table,
    missed: usize,
}

impl Budgets {
    pub fn new() -> Self {
        Self { table: Table::new("Budgets", &["what", "budget", "measured", ""]), missed: 0 }
    }

    /// Notes a budget; `met` says whether it is kept.
    pub fn note(&mut self, what: &str, budget: &str, measured: String, met: bool) {
        eprintln!("{} {what}: {measured} ({budget})", if met { "ok  " } else { "MISS" });
        self.missed += usize::from(!met);
        let verdict = if met { "kept" } else { "**missed**" };
        self.table.row(vec![what.to_owned(), budget.to_owned(), measured, verdict.to_owned()]);
    }

    pub const fn missed(&self) -> usize {
        self.missed
    }
}

/// All tables, the budgets first.
pub fn render(machine: &str, budgets: &Budgets, tables: &[Table]) -> String {
    let mut text = format!("{machine}\n\n{}", budgets.table.markdown());
    for table in tables {
        text.push('\n');
        text.push_str(&table.markdown());
    }
    text
}

/// Replaces what stands between the marks of the page.
pub fn write(tables: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).expect("the page is there");
    let (head, rest) = page.split_once(BEGIN).expect("the page has the mark of the beginning");
    let (_, tail) = rest.split_once(END).expect("the page has the mark of the end");
    fs::write(&path, format!("{head}{BEGIN}\n\n{tables}\n{END}{tail}")).expect("the page can be written");
}
