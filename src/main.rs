//! `keydesk`: see `keydesk help`.

fn main() -> std::process::ExitCode {
    keydesk::commands::main()
}
