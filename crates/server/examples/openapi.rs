//! Prints the OpenAPI document, for `cargo xtask openapi`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(layer0_server::openapi_json().as_bytes())
}
