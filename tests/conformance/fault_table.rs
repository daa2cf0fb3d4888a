//! `docs/RELIABILITY.md` is true: every test that it names is there, and no fault is claimed without one.

use std::collections::BTreeSet;

use crate::coverage::{names, tests_below};

const PAGE: &str = include_str!("../../docs/RELIABILITY.md");

/// The rows of the fault tables: their cells.
fn faults() -> Vec<Vec<&'static str>> {
    let (_, tables) = PAGE.split_once("\n## Faults\n").expect("a section Faults");
    let lines = tables.lines().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with("| ") && !line.starts_with("| fault "));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn every_fault_says_what_was_done_promised_and_seen_and_names_its_tests() {
    let rows = faults();
    assert!(rows.len() > 40, "the tables were read: {}", rows.len());
    for row in &rows {
        let [.., tests] = row.as_slice() else { panic!("an empty row") };
        assert_eq!(row.len(), 6, "fault, done, how often, promised, seen, tests: {row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(names(tests).count() > 0, "{}: which test shows it?", row[0]);
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let tests: BTreeSet<String> = ["src", "tests"].into_iter().flat_map(tests_below).collect();
    for row in faults() {
        for test in names(row[5]) {
            assert!(tests.contains(test), "{}: there is no test {test}", row[0]);
        }
    }
}
