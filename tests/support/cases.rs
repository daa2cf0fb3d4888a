//! Cases that are asynchronous: where they run, and for how long at most.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// No case takes this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the parts of a server run that tests use as a library: on several threads, as in the server.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("threads can be started")
    })
}

/// Runs one case, on the test's own thread, which it may block.
pub fn run(case: impl Future<Output = ()>) {
    runtime().block_on(async {
        tokio::time::timeout(PATIENCE, case).await.expect("the case ends");
    });
}
