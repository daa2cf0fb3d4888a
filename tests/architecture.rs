//! Who may import whom, where frameworks stay, how long a file may be.
//!
//! Rust never reports an import cycle between the modules of one crate, so this test does. The rules are the tables
//! at the top: a new module is a new line.

#![allow(clippy::expect_used, reason = "a test that cannot read the source has to stop")]

#[path = "architecture/imports.rs"]
mod imports;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::{Import, imports};

/// Every module of the crate, from the bottom up, and what it may import of ours. A module may only name modules
/// above its own line, so the table itself cannot hold a cycle.
const MODULES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("sql", &["domain"]),
    ("grants", &["domain", "sql"]),
    ("changes", &["domain", "sql"]),
    ("directory", &["domain", "sql", "changes"]),
    ("oauth", &["domain", "grants", "changes", "directory"]),
    ("identity", &["domain", "sql", "grants", "changes", "directory"]),
    ("admin", &["domain", "sql", "grants", "changes", "directory", "identity"]),
    ("http", &["domain", "config", "telemetry", "oauth", "identity", "admin"]),
    ("startup", ANYTHING_ABOVE),
    ("cli", ANYTHING_ABOVE),
];

const ANYTHING_ABOVE: &[&str] = &["*"];

/// The crate's own roots, which put the modules together.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs"];

/// What is confined, and the places that may name it: a folder or a file, without `.rs`.
const CONFINED: &[(&str, &[&str])] = &[
    ("actix_web", &["src/http", "src/startup", "src/main"]),
    ("actix_http", &["src/http", "src/startup", "src/main"]),
    ("utoipa", &["src/http"]),
    ("redis", &["src/grants/redis"]),
    ("deadpool_redis", &["src/grants/redis"]),
    ("diesel", SQL),
    ("diesel_async", SQL),
    ("diesel_migrations", SQL),
    ("libsqlite3_sys", SQL),
    ("tokio_postgres", &["src/sql", "src/changes"]),
    ("argon2", &["src/identity"]),
    ("zxcvbn", &["src/identity"]),
    ("env_logger", &["src/telemetry"]),
    ("prometheus", &["src/telemetry"]),
    ("std::env", &["src/config"]),
];

const SQL: &[&str] = &["src/sql", "src/changes", "src/directory", "src/grants/sqlite"];

/// No room is larger than this.
const LONGEST_FILE: usize = 500;
const MEASURED: &[&str] = &["src", "tests", "benches"];

/// Folders that only a machine of somebody's has. Written in two halves, so that this file holds none of them.
const MACHINE_FOLDERS: &[(&str, &str)] =
    &[("/wo", "rk/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/tmp/ba", "sh_")];

#[test]
fn modules_import_only_downwards() {
    let mut faults = Vec::new();
    for file in rust_files("src") {
        if ROOTS.contains(&file.as_str()) {
            continue;
        }
        let module = module_of(&file);
        let Some((row, (_, allowed))) = MODULES.iter().enumerate().find(|(_, (name, _))| *name == module)
        else {
            faults.push(format!("{file}: module `{module}` has no line in MODULES"));
            continue;
        };
        for Import { line, path } in imports_of(&file) {
            let [first, target, ..] = path.as_slice() else { continue };
            if first != "crate" || *target == module {
                continue;
            }
            let Some(target_row) = MODULES.iter().position(|(name, _)| name == target) else {
                faults.push(format!("{file}:{line}: `{}` is in no line of MODULES", path.join("::")));
                continue;
            };
            let is_allowed =
                allowed.contains(&target.as_str()) || (*allowed == ANYTHING_ABOVE && target_row < row);
            if !is_allowed {
                faults.push(format!("{file}:{line}: `{module}` may not import `{}`", path.join("::")));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_table_of_modules_has_no_cycle() {
    let mut faults = Vec::new();
    for (row, (module, allowed)) in MODULES.iter().enumerate() {
        let above = MODULES.get(..row).expect("a row is in its table");
        for target in allowed.iter().filter(|target| **target != "*") {
            if !above.iter().any(|(name, _)| name == target) {
                faults.push(format!("`{module}` names `{target}`, which does not stand above it"));
            }
        }
    }
    report(&faults);
}

#[test]
fn frameworks_stay_where_they_belong() {
    let mut faults = Vec::new();
    for file in rust_files("src") {
        for Import { line, path } in imports_of(&file) {
            let path = path.join("::");
            for (framework, places) in CONFINED {
                if is_within(&path, framework, "::") && !places.iter().any(|place| is_in_place(&file, place))
                {
                    faults.push(format!("{file}:{line}: `{path}` belongs to {}", places.join(", ")));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn no_file_is_too_long_to_read() {
    let files = MEASURED.iter().flat_map(|folder| rust_files(folder));
    let lengths = files.map(|file| (read(&file).lines().count(), file));
    let faults: Vec<String> = lengths
        .filter(|(length, _)| *length > LONGEST_FILE)
        .map(|(length, file)| format!("{file}: {length} lines, and {LONGEST_FILE} is the most"))
        .collect();
    report(&faults);
}

#[test]
fn every_module_says_what_it_is() {
    let faults: Vec<String> = rust_files("src")
        .into_iter()
        .filter(|file| is_head_of_module(file) && !read(file).trim_start().starts_with("//!"))
        .map(|file| format!("{file}: does not begin with `//!`"))
        .collect();
    report(&faults);
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let mut faults = Vec::new();
    for file in tracked_files() {
        // What is not text holds no path that anybody wrote.
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (index, line) in text.lines().enumerate() {
            for (head, tail) in MACHINE_FOLDERS {
                if names_folder(line, &format!("{head}{tail}")) {
                    faults.push(format!("{file}:{}: names {head}{tail}", index + 1));
                }
            }
        }
    }
    report(&faults);
}

/// Whether the folder stands in the line at the beginning of a path; in the middle of one it is another folder.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|character| character.is_alphanumeric() || "._-/}".contains(character))
    })
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The module at the top of the crate that a file belongs to.
fn module_of(file: &str) -> String {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// `src/x.rs`, `src/x/mod.rs`, and `src/x/y.rs` where `src/x/y/` exists: where a reader looks first.
fn is_head_of_module(file: &str) -> bool {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    file.matches('/').count() == 1 || file.ends_with("/mod.rs") || root().join(stem).is_dir()
}

fn is_in_place(file: &str, place: &str) -> bool {
    is_within(file.strip_suffix(".rs").unwrap_or(file), place, "/")
}

fn is_within(path: &str, start: &str, separator: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
}

fn imports_of(file: &str) -> Vec<Import> {
    let module: Vec<String> = file
        .strip_prefix("src/")
        .unwrap_or(file)
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part).to_owned())
        .filter(|part| !["mod", "lib", "main"].contains(&part.as_str()))
        .collect();
    imports(&read(file), &module)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("a source file can be read")
}

fn rust_files(folder: &str) -> Vec<String> {
    let mut files = files_below(&root().join(folder));
    files.retain(|file| Path::new(file).extension().is_some_and(|extension| extension == "rs"));
    files
}

/// What git tracks or would track; without git, every file that is not built.
fn tracked_files() -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match git {
        Ok(output) if output.status.success() => {
            let listed = String::from_utf8_lossy(&output.stdout).into_owned();
            listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect()
        }
        _ => files_below(root()),
    }
}

/// The files below a folder, in order, as paths from the root of the repository.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
            if path.ends_with("target") || path.ends_with(".git") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(inside) = path.strip_prefix(root()) {
                files.push(inside.display().to_string());
            }
        }
    }
    files.sort();
    files
}
