//! `docs/RFC-COVERAGE.md` is true: what it names is there, and no conformance test is missing from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../../docs/RFC-COVERAGE.md");

/// One row of a table: its cells.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE
        .lines()
        .take_while(|line| *line != "## What is missing")
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id "));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between backticks.
pub fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let nested = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The names of the tests below a directory.
pub fn tests_below(directory: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources(&root().join(directory)) {
        let text = fs::read_to_string(&path).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some(rest) = function.filter(|_| is_test) {
                let name = rest.split('(').next().unwrap_or_default();
                found.insert(name.to_owned());
            }
            // One that a table of cases runs on every store.
            if let Some((name, _)) =
                line.strip_prefix("async fn ").and_then(|rest| rest.split_once("(kind: Kind)"))
            {
                found.insert(name.to_owned());
            }
            is_test =
                line == "#[test]" || line.starts_with("#[tokio::test") || is_test && line.starts_with("#[");
        }
    }
    found
}

#[test]
fn every_row_has_an_id_a_file_that_obeys_and_a_test_that_proves() {
    let rows = rows();
    assert!(rows.len() > 60, "the table was read: {}", rows.len());
    let mut ids = BTreeSet::new();
    for row in &rows {
        let [id, what, obeys, proves] = row.as_slice() else { panic!("four cells: {row:?}") };
        assert!(ids.insert(*id), "{id} twice");
        assert!(!what.is_empty(), "{id}");
        assert!(names(obeys).count() > 0, "{id}: which file obeys?");
        assert!(names(proves).count() > 0, "{id}: which test proves it?");
    }
}

#[test]
fn every_file_and_every_test_that_is_named_exists() {
    let tests: BTreeSet<String> = ["src", "tests"].into_iter().flat_map(tests_below).collect();
    for row in rows() {
        for file in names(row[2]) {
            assert!(root().join(file).is_file(), "{}: there is no {file}", row[0]);
        }
        for test in names(row[3]) {
            assert!(tests.contains(test), "{}: there is no test {test}", row[0]);
        }
    }
}

/// Whether the name begins with the id of an attack, or of what several replicas have to do.
fn is_about_an_attack_or_replicas(test: &str) -> bool {
    let id = test.split('_').next().unwrap_or_default();
    let number = id.strip_prefix(['x', 's']);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[test]
fn every_conformance_test_is_named_in_its_row() {
    let rows = rows();
    let mut tests = tests_below("tests");
    tests.retain(|test| is_about_an_attack_or_replicas(test));
    tests.extend(tests_below("tests/conformance"));
    for test in tests.iter().filter(|test| !test.starts_with("every_")) {
        let id = test.split('_').next().unwrap_or_default().to_uppercase();
        let row =
            rows.iter().find(|row| row[0] == id).unwrap_or_else(|| panic!("{test}: there is no row {id}"));
        assert!(names(row[3]).any(|name| name == test), "{test} is not in the row {id}");
    }
}
