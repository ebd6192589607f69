//! `l0 token`.

use clap::Subcommand;

use crate::grammar::scope;
use crate::value::days;

/// Credentials for the API and for `docker login`
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 token create laptop")]
pub(crate) enum Token {
    /// Make a token; its secret is shown this one time
    ///
    /// A token is yours, another user's (admins) or a robot's: a program's own, which belongs to an owner and not to a
    /// person. Scopes narrow what a token may, and are all that a robot may. Actions are pull, push, delete, deploy and
    /// admin; in OWNER/NAME and TAGS `*` stands for any characters, and ACTIONS:* is about the whole instance.
    #[command(
        after_help = "Example:\n  l0 token create laptop\n  l0 token create ci --owner team --scope 'pull,push:team/*' --expires-days 365\n  l0 token create releases --scope 'push:team/app:v*'"
    )]
    Create {
        /// What to call it; a robot signs in as OWNER+NAME
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// What it is good for; may be given several times [default: all that its user may]
        #[arg(long = "scope", value_name = "ACTIONS:OWNER/NAME[:TAGS]", value_parser = scope)]
        scopes: Vec<String>,
        /// Make it a robot's, which belongs to this owner
        #[arg(long, value_name = "OWNER", conflicts_with = "user")]
        owner: Option<String>,
        /// Make it for this user and not for yourself
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Days until it ends [default: 90]
        #[arg(long, value_name = "N", conflicts_with = "never", value_parser = days)]
        expires_days: Option<i64>,
        /// It never ends
        #[arg(long)]
        never: bool,
    },
    /// List tokens, never their secrets
    #[command(after_help = "Example:\n  l0 token list")]
    List,
    /// Give a token a new secret, shown this one time; the old one opens nothing any more
    #[command(after_help = "Example:\n  l0 token rotate ID")]
    Rotate {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Revoke a token, at once
    #[command(after_help = "Example:\n  l0 token revoke ID")]
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}
