//! The `galton` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    galton::main()
}
