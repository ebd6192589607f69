//! The one executable. It only decides who runs: the server, the command line, or Docker's credential helper, which is this
//! program under another name (a link to it).

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(Path::new).and_then(Path::file_stem);
    if name.is_some_and(|name| name == layer0_cli::CREDENTIAL_HELPER) {
        return layer0_cli::credential_helper(args);
    }
    if args.get(1).is_some_and(|word| word == "server") {
        return layer0_server::run(args.split_off(2));
    }
    layer0_cli::run(args)
}
