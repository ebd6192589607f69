//! Prints the page of the servers' rights, for `cargo xtask generate`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(layer0_setup::words::rights::page().as_bytes())
}
