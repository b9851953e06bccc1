//! The command `portcullis`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sim::cli::main()
}
