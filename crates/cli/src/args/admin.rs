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
    /// Read all of the registry again and name what is damaged
    ///
    /// Every blob and every manifest is compared with its digest. What is damaged counts as missing until it is pushed again.
    /// The exit code is 5 when something is damaged. One run goes on at a time, at the rate of who began it, and it goes on
    /// when nobody looks; the same command joins it.
    #[command(after_help = "Example:\n  l0 admin verify --rate 200")]
    Verify {
        /// How much to read a second, in MiB [default: 64]
        #[arg(long, value_name = "MIB_PER_S")]
        rate: Option<i64>,
    },
    /// Print the server's version
    #[command(after_help = "Example:\n  l0 admin version")]
    Version,
}
