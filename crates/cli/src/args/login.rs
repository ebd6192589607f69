//! `l0 login`, `l0 logout`, `l0 registry`.

use clap::Subcommand;

use crate::value::days;

/// Sign in to a server; its registry too
///
/// The credential is tried and kept for this program and for the credential helper of docker and podman. For a password a
/// token is made, so that no password is kept; `l0 logout` revokes it. The secret goes into the system's keyring where one
/// of Docker's credential helpers is installed for it, else into a file that only you can read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  l0 login layer0.example.com\n  l0 login layer0.example.com --user alice --password-stdin < password.txt\n  l0 login http://localhost:9090 --token-stdin < data/admin-token\n  l0 login layer0.example.com --sso\n  l0 login layer0.example.com --ci"
)]
pub(crate) struct Login {
    /// The server: a URL, or a host with or without a port [default: --endpoint, or the server that was used last]
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// Who you are there; a robot is OWNER+NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Read the password, or the secret of a token, from standard input (its first line)
    #[arg(long, conflicts_with = "token_stdin")]
    pub(crate) password_stdin: bool,
    /// Read a token from standard input (its first line): base64 of USER:SECRET, or a secret together with --user
    #[arg(long)]
    pub(crate) token_stdin: bool,
    /// Read a token of OpenID Connect from standard input, and sign in as the robot whose trust it fits
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "token_stdin"])]
    pub(crate) oidc_token_stdin: bool,
    /// Sign in with the AWS identity that this runs with, as the robot whose trust it fits
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "token_stdin", "oidc_token_stdin"])]
    pub(crate) aws: bool,
    /// Sign in at the server's provider: open an address in a browser anywhere, and agree there
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "token_stdin", "oidc_token_stdin", "aws", "ci", "trust", "audience", "expires_days"])]
    pub(crate) sso: bool,
    /// Sign in with what this pipeline can show of itself: GitHub's actions, LAYER0_ID_TOKEN, or its AWS identity
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "token_stdin", "oidc_token_stdin", "aws"])]
    pub(crate) ci: bool,
    /// The trust that is meant, where several fit [env: LAYER0_TRUST]
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) trust: Option<String>,
    /// For whom what is shown is made [default: the server's address] [env: LAYER0_AUDIENCE]
    #[arg(long, value_name = "URL")]
    pub(crate) audience: Option<String>,
    /// Days until the token ends that is made for a password [default: 90]
    #[arg(long, value_name = "N", value_parser = days)]
    pub(crate) expires_days: Option<i64>,
    /// Where the secret is kept: secretservice, pass, osxkeychain, or none for the file [env: LAYER0_KEYRING]
    #[arg(long, value_name = "NAME")]
    pub(crate) keyring: Option<String>,
}

/// Sign out of a server
///
/// The token that `l0 login` made is revoked; one that was given is only forgotten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 logout layer0.example.com\n  l0 logout --all")]
pub(crate) struct Logout {
    /// The server [default: --endpoint, or the server that was used last]
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// All servers that this machine is signed in to
    #[arg(long, conflicts_with = "server")]
    pub(crate) all: bool,
}

/// Let docker and podman sign in to a registry by your login
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 registry login")]
pub(crate) enum Registry {
    /// Make this program the credential helper of docker and podman for a registry
    ///
    /// Each pull and push then gets a credential of its own that opens the registry for four hours and nothing else; there
    /// is no `docker login` and no password in a file. Other registries keep their helpers.
    #[command(
        after_help = "Example:\n  l0 registry login\n  l0 registry login registry.example.com --endpoint https://layer0.example.com"
    )]
    Login {
        /// The registry, as images name it [default: the host of the server that was used last]
        #[arg(value_name = "HOST")]
        host: Option<String>,
    },
    /// Undo that
    #[command(after_help = "Example:\n  l0 registry logout registry.example.com")]
    Logout {
        /// The registry, as images name it [default: the host of the server that was used last]
        #[arg(value_name = "HOST")]
        host: Option<String>,
    },
}
