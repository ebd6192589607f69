//! The one executable. It only decides who runs: the server, or the command line.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "server") {
        return layer0_server::run(args.split_off(2));
    }
    layer0_cli::run(args)
}
