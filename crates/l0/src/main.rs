//! The one executable. It only decides who runs: the server, the command line, or, under another name (a link to it), Docker's
//! credential helper or the command line's `setup`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Which version this is, for `l0 setup`, which makes images of programs that it does not run (`layer0_setup::image::MARK`).
#[used]
static VERSION: &str = concat!("layer0 executable of version ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(Path::new).and_then(Path::file_stem);
    if name.is_some_and(|name| name == layer0_cli::CREDENTIAL_HELPER) {
        return layer0_cli::credential_helper(args);
    }
    if name.is_some_and(|name| name == layer0_cli::SETUP) {
        args.insert(1, "setup".into());
    }
    if args.get(1).is_some_and(|word| word == "server") {
        return layer0_server::run(args.split_off(2));
    }
    layer0_cli::run(args)
}
