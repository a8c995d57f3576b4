//! `galton`, for the tests of this package; and with the argument `checks`, those checks that take minutes or need a quiet
//! machine, which print what they measured.

mod checks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("checks") {
        return checks::main(&args.collect::<Vec<_>>());
    }
    galton::main()
}
