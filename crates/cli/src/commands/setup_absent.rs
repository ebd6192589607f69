//! `l0 setup` of a program that was built without AWS.

use std::path::Path;

use super::login::Local;
use crate::args::setup::Setup;
use crate::error::CliError;
use crate::host::Terminal;
use crate::settings::Settings;

/// What of the host matters where there is AWS.
#[derive(Clone, Copy)]
pub(crate) struct HostSeen<'a> {
    #[expect(dead_code, reason = "nothing is told")]
    pub(crate) terminal: Terminal,
    #[expect(dead_code, reason = "no image is made of it")]
    pub(crate) executable: Option<&'a Path>,
    #[expect(dead_code, reason = "nothing is printed")]
    pub(crate) stdout_is_terminal: bool,
}

/// Says why nothing can be done.
pub(crate) fn run(_: &Local<'_>, _: &Setup, _: &Settings, _: HostSeen<'_>) -> Result<(), CliError> {
    Err(CliError::usage("this l0 was built without AWS and can't set up an instance there")
        .hint("`make release` builds one with AWS: `cargo build --release --features aws`"))
}
