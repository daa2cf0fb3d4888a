//! What the operating system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No core is left by a crash: it would hold tokens, passwords, and what tokens are made with.
///
/// One byte and not none: Linux hands the core to a program that is waiting for it (`core_pattern`
/// with a `|`) whatever the limit is, but for this one; and a file of one byte it does not write.
pub fn leave_no_core() {
    let limit = getrlimit(Resource::Core).maximum.map_or(1, |most| most.min(1));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(limit), maximum: Some(limit) }) {
        log::warn!("a crash may leave a core, with secrets in it: {error}");
    }
}

/// As many files may be open as the system allows at all: each connection is one, and shells allow
/// few by default.
pub fn open_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        log::info!("no more files may be open than before: {error}");
    }
}
