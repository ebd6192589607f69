//! `l0 token`.

use clap::Subcommand;

/// Credentials for the API and for `docker login`
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 token create laptop")]
pub(crate) enum Token {
    /// Make a token; its secret is shown this one time
    #[command(after_help = "Example:\n  l0 token create laptop --expires-days 30")]
    Create {
        /// What to call it
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Days until it ends [default: 90]
        #[arg(long, value_name = "N", conflicts_with = "never")]
        expires_days: Option<i64>,
        /// It never ends
        #[arg(long)]
        never: bool,
    },
    /// List tokens, never their secrets
    #[command(after_help = "Example:\n  l0 token list")]
    List,
    /// Revoke a token, at once
    #[command(after_help = "Example:\n  l0 token revoke ID")]
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}
