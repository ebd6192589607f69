//! Prints the configuration's reference page, for `cargo xtask generate`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(layer0_server::configuration_page().as_bytes())
}
