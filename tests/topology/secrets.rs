//! The token key and the passwords, made by the script that the compose file runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::files::repository;
use crate::support::scratch;

/// The three volumes of the `init` service, as directories.
pub struct Secrets {
    directory: TempDir,
}

/// Who reads a volume, in the order of the script's arguments.
pub const READERS: [&str; 3] = ["symbolon", "redis", "postgres"];

impl Secrets {
    pub fn make() -> Self {
        let secrets = Self::empty();
        let output = secrets.run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        secrets
    }

    fn empty() -> Self {
        let directory = scratch::directory("secrets");
        for reader in READERS {
            fs::create_dir(directory.path().join(reader)).unwrap();
        }
        Self { directory }
    }

    fn run(&self) -> Output {
        let directories = READERS.map(|reader| self.volume(reader));
        Command::new("sh").arg(repository("deploy/init.sh")).args(directories).output().expect("sh starts")
    }

    pub fn volume(&self, reader: &str) -> PathBuf {
        self.directory.path().join(reader)
    }

    pub fn read(&self, reader: &str, name: &str) -> String {
        fs::read_to_string(self.volume(reader).join(name)).unwrap()
    }

    /// Points a URL at the process that stands for a service.
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let path = self.volume("symbolon").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} does not name {from}");
        // It is read-only, even for its owner.
        fs::remove_file(&path).unwrap();
        fs::write(&path, text.replace(from, to)).unwrap();
    }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn secrets_are_made_once_each_for_its_reader_and_for_nobody_else() {
    let secrets = Secrets::make();
    let contents = READERS.map(|reader| files(&secrets.volume(reader)));
    let names =
        contents.each_ref().map(|files| files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    assert_eq!(names, [&["database_url", "redis_url", "token_key"][..], &["users.acl"], &["password"]]);
    for (reader, files) in READERS.iter().zip(&contents) {
        for (name, _) in files {
            let path = secrets.volume(reader).join(name);
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o400, "{reader}/{name}");
        }
    }
    // Redis learns no password, only its digest, and not PostgreSQL's.
    let password = secrets.read("postgres", "password");
    let url = secrets.read("symbolon", "redis_url");
    let redis_password = url.split([':', '@']).nth(2).unwrap();
    assert_eq!((password.len(), redis_password.len()), (64, 64));
    let users = secrets.read("redis", "users.acl");
    assert!(!users.contains(redis_password) && !users.contains(&password), "{users}");

    let again = secrets.run();
    assert!(again.status.success());
    assert_eq!(
        READERS.map(|reader| files(&secrets.volume(reader))),
        contents,
        "the second start changes nothing"
    );
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(!said.contains(&password) && !said.contains(redis_password), "{said}");

    let other = Secrets::make();
    assert_ne!(other.read("postgres", "password"), password);
    assert_ne!(other.read("symbolon", "token_key"), secrets.read("symbolon", "token_key"));
}

#[test]
fn a_first_start_that_was_cut_short_is_done_again() {
    let secrets = Secrets::make();
    // Written last, so the one that is missing after a crash.
    fs::remove_file(secrets.volume("symbolon").join("token_key")).unwrap();
    fs::write(secrets.volume("redis").join("users.acl.new"), "half").unwrap();
    assert!(secrets.run().status.success());
    let password = secrets.read("postgres", "password");
    assert!(secrets.read("symbolon", "database_url").contains(&format!(":{password}@")), "they fit together");
    assert!(secrets.volume("symbolon").join("token_key").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let secrets = Secrets::empty();
    fs::remove_dir(secrets.volume("redis")).unwrap();
    assert!(!secrets.run().status.success());
    assert!(!secrets.volume("symbolon").join("token_key").exists(), "it is not taken for done");
}
