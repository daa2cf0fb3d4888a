//! The same servers with the allocator that Symbolon has, to tell what that alone is worth.

#[path = "main.rs"]
mod baseline;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    baseline::main()
}
