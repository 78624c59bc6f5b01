//! The `lockgate` program: hands the command line to `cli` and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate::cli::main(std::env::args_os(), lockgate::server::open_inside)
}
