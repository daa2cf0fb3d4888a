//! What the operating system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No core is left by a crash: it would hold tokens, and what they are made with. And as many files
/// may be open as the system allows at all, for each connection is one; shells allow few by default.
pub fn adjust() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        log::warn!("a crash may leave a core, with secrets in it: {error}");
    }
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        log::info!("no more files may be open than before: {error}");
    }
}
