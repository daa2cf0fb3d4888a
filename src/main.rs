//! The `symbolon` command.

use std::process::ExitCode;

/// A request makes some dozens of small allocations; with this allocator they cost half as much as with
/// the C library's (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    symbolon::cli::run()
}
