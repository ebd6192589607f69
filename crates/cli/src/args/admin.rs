//! `l0 admin`.

use clap::Subcommand;

use super::LogWindow;

/// About the instance itself
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 admin debug")]
pub(crate) enum Admin {
    /// Show the instance's configuration and this program's
    #[command(after_help = "Example:\n  l0 admin debug")]
    Debug,
    /// Show the server's own log
    #[command(after_help = "Example:\n  l0 admin logs --tail 100")]
    Logs {
        #[command(flatten)]
        window: LogWindow,
    },
    /// Print the server's version
    #[command(after_help = "Example:\n  l0 admin version")]
    Version,
}
