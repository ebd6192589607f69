//! The one executable. It only decides who runs: the server, or the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == "server") {
        layer0_server::run(args.into_iter().skip(2).collect())
    } else {
        layer0_cli::run(args)
    }
}
