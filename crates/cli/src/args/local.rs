//! Commands that speak to no server.

use std::path::PathBuf;

use clap_complete::Shell;

/// Print the lines that connect a shell to an instance
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  eval \"$(l0 endpoint --data-dir ./data)\"\n  l0 endpoint --syntax powershell")]
pub(crate) struct Endpoint {
    /// The instance's data directory; without it this user's default instance (credentials.json)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// bash, cmd or powershell
    #[arg(short, long, value_name = "SYNTAX", default_value = "bash")]
    pub(crate) syntax: String,
    /// Also skip the checks of certificate and version
    #[arg(short, long)]
    pub(crate) insecure: bool,
}

/// Print a completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 completion bash > /etc/bash_completion.d/l0")]
pub(crate) struct Completion {
    /// bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Run an instance of Layer0 on this machine
///
/// `l0 server --help` shows all of its flags.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 server --data-dir ./data --listen 127.0.0.1:9090")]
pub(crate) struct Server {
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address and port of API and registry
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,
    /// The name under which task definitions name images of this registry
    #[arg(long, value_name = "NAME")]
    pub(crate) registry_name: Option<String>,
}
