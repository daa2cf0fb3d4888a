//! SQL through psql, so that no test trusts the client library that it tests; and databases of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::postgres::{PASSWORD, USER};
use super::scratch;

/// The way to one server, over its Unix socket.
#[derive(Clone, Debug)]
pub struct Psql {
    sockets: PathBuf,
    port: u16,
}

/// An empty database of a test's own; dropped with this value.
#[derive(Debug)]
pub struct Database {
    psql: Psql,
    name: String,
}

/// A database as `pg_dump` found it.
pub struct Dump(TempDir);

impl Psql {
    /// The server with this port whose sockets are in this directory.
    pub fn new(sockets: &Path, port: u16) -> Self {
        Self { sockets: sockets.to_path_buf(), port }
    }

    /// Whether the server answers.
    pub fn answers(&self) -> bool {
        self.run("postgres", "SELECT 1").status.success()
    }

    /// The rows as psql prints them: a line each, columns separated by `|`.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        let output = self.run(database, sql);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql failed for {sql:?}:\n{errors}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A database with a name that no other test has.
    pub fn create_database(&self) -> Database {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        Database { psql: self.clone(), name }
    }

    /// Runs another of PostgreSQL's programs, with options and a file.
    fn tool(&self, name: &str, database: &str, options: &[&str], file: &Path) {
        let output = Command::new(program(name))
            .env_clear()
            .arg("--host")
            .arg(&self.sockets)
            .args(["--port", &self.port.to_string(), "--username", USER, "--dbname", database])
            .args(options)
            .arg(file)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} failed:\n{errors}");
    }

    fn run(&self, database: &str, sql: &str) -> Output {
        self.run_with(database, sql, "")
    }

    fn run_with(&self, database: &str, sql: &str, options: &str) -> Output {
        Command::new(program("psql"))
            .env_clear()
            .env("PGOPTIONS", options)
            .env("PGCONNECT_TIMEOUT", "10")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .arg("--host")
            .arg(&self.sockets)
            .args([
                "--port",
                &self.port.to_string(),
                "--username",
                USER,
                "--dbname",
                database,
                "--command",
                sql,
            ])
            .stdin(Stdio::null())
            .output()
            .expect("psql starts")
    }
}

impl Database {
    /// What `SYMBOLON_DATABASE_URL` takes.
    pub fn url(&self) -> String {
        url(self.psql.port, &self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL in it; rows come back a line each, columns separated by `|`.
    pub fn execute(&self, sql: &str) -> String {
        self.psql.execute(&self.name, sql)
    }

    /// `pg_dump`, while others read and write.
    pub fn dump(&self) -> Dump {
        let file = scratch::directory("dump");
        let options = ["--format=custom", "--file"];
        self.psql.tool("pg_dump", &self.name, &options, &file.path().join("dump"));
        Dump(file)
    }

    /// `pg_restore`, over what is there and under whoever uses it, in one transaction.
    pub fn restore(&self, dump: &Dump) {
        let options = ["--clean", "--if-exists", "--single-transaction"];
        self.psql.tool("pg_restore", &self.name, &options, &dump.0.path().join("dump"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Many databases of one shared server would fill the memory that it lives in. If the server is gone, psql
        // says so at once, and there is nothing to do.
        if fs::exists(self.psql.sockets.join(format!(".s.PGSQL.{}", self.psql.port))).unwrap_or(false) {
            // The standby for which commits wait may be gone.
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            self.psql.run_with("postgres", &drop, "-c synchronous_commit=local");
        }
    }
}

/// The URL of a database, over TCP as a server connects.
pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// Where a program of PostgreSQL's is. Debian keeps the server's programs out of the path.
pub fn program(name: &str) -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&in_path).collect();
    let mut versions: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    versions.sort_unstable();
    places.extend(
        versions.iter().rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))),
    );
    places
        .into_iter()
        .map(|place| place.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; run scripts/setup"))
}
