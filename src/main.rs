//! `keydesk`: see `keydesk help`.

/// Threads free what others allocated, call by call; the system's allocator makes them wait for each other then.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    keydesk::commands::main()
}
