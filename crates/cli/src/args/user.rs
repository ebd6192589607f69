//! `l0 user`.

use clap::Subcommand;

use crate::value::parse_bool;

/// People who sign in
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 user create alice")]
pub(crate) enum User {
    /// Make a user; without a password one signs in with tokens only
    ///
    /// A user may do nothing at first: `l0 member add OWNER USER` gives a place in an owner.
    #[command(
        after_help = "Example:\n  l0 user create alice\n  l0 user create bob --admin --password-stdin < password.txt\n  l0 user create carol --subject 5f7c8ec7c33c"
    )]
    Create {
        /// The name to sign in with
        #[arg(value_name = "NAME")]
        name: String,
        /// May do everything in the instance
        #[arg(long)]
        admin: bool,
        /// Read a password from standard input, one line
        #[arg(long)]
        password_stdin: bool,
        /// Who signs in at the server's provider as this user: what it says as `sub`
        #[arg(long, value_name = "SUB")]
        subject: Option<String>,
    },
    /// List the users that you may see
    #[command(after_help = "Example:\n  l0 user list")]
    List,
    /// Show a user and the user's places in owners
    #[command(after_help = "Example:\n  l0 user get alice")]
    Get {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Change a user's password, or whether the user is an admin
    #[command(
        after_help = "Example:\n  l0 user update alice --password-stdin < password.txt\n  l0 user update alice --admin=false\n  l0 user update alice --no-password"
    )]
    Update {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Whether the user may do everything in the instance
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
        admin: Option<bool>,
        /// Read a new password from standard input, one line
        #[arg(long, conflicts_with = "no_password")]
        password_stdin: bool,
        /// Take the password away; tokens go on opening
        #[arg(long)]
        no_password: bool,
    },
    /// Delete a user, with the user's tokens and places in owners
    #[command(after_help = "Example:\n  l0 user delete alice")]
    Delete {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show who you are to the server, and what your credential is good for
    #[command(after_help = "Example:\n  l0 user whoami")]
    Whoami,
}
