//! What the image is built from is there, and is enough: the build context holds just what is copied.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::files::{Dockerfile, read, repository};
use crate::support::scratch;

/// The sources of each `COPY` from the build context.
fn copied() -> Vec<String> {
    let dockerfile = Dockerfile::parse(&read("Dockerfile"));
    let copies = dockerfile.all("COPY").into_iter().filter(|copy| !copy.starts_with("--from="));
    let sources = copies.flat_map(|copy| {
        let words: Vec<String> = copy.split(' ').map(str::to_owned).collect();
        words.split_last().map(|(_, sources)| sources.to_vec()).unwrap_or_default()
    });
    sources.collect()
}

#[test]
fn what_is_copied_into_the_image_is_there_and_let_into_the_build() {
    let ignored = read(".dockerignore");
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    assert_eq!(lines.next(), Some("*"), "nothing goes into the build but what is named");
    let let_in: Vec<&str> =
        lines.map(|line| line.strip_prefix('!').expect("a name that is let in")).collect();
    let copied = copied();
    for source in &copied {
        assert!(repository(source).exists(), "{source} is copied and is not there");
        assert!(let_in.contains(&source.as_str()), "{source} is copied and not let in");
    }
    for source in let_in {
        assert!(copied.iter().any(|other| other == source), "{source} is let in and not copied");
    }
}

/// A folder with what the build has when it compiles, made as the Dockerfile makes it.
fn build_context() -> TempDir {
    let directory = scratch::directory("image");
    for source in copied() {
        let status = Command::new("cp").arg("-r").arg(repository(&source)).arg(directory.path()).status();
        assert!(status.expect("cp starts").success(), "{source}");
    }
    let dockerfile = Dockerfile::parse(&read("Dockerfile"));
    // What stands in for sources until they are copied, and stays where they are not.
    let touched = dockerfile.all("RUN").into_iter().flat_map(|run| run.split("&&"));
    let touched =
        touched.filter_map(|command| command.trim().strip_prefix("touch ")).flat_map(|it| it.split(' '));
    for file in touched.map(|file| directory.path().join(file)).filter(|file| !file.exists()) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    directory
}

fn metadata(directory: &Path) -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(directory)
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo cannot read what the image is built from:\n{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn cargo_finds_every_target_in_what_the_image_is_built_from() {
    let directory = build_context();
    let targets = metadata(directory.path());
    let targets = targets["packages"][0]["targets"].as_array().unwrap().clone();
    let named = |name: &str, kind: &str| {
        targets.iter().any(|target| target["name"] == name && target["kind"][0] == kind)
    };
    assert!(named("symbolon", "bin") && named("symbolon", "lib"), "{targets:?}");
    // What the code includes at compile time lies below what is copied.
    let outside = Command::new("grep")
        .args([
            "-rnE",
            r#"(include_str|include_bytes|embed_migrations)!\("(\.\./)*(docs|tests|deploy|scripts)"#,
        ])
        .arg(repository("src"))
        .output()
        .expect("grep starts");
    assert!(outside.stdout.is_empty(), "{}", String::from_utf8_lossy(&outside.stdout));
}
