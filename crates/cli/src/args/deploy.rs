//! `l0 deploy`.

use std::path::PathBuf;

use clap::Subcommand;

/// Named, versioned task definitions
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 deploy create Dockerrun.aws.json app")]
pub(crate) enum Deploy {
    /// Make the next version of a deploy from a task definition file
    #[command(
        after_help = "Example:\n  l0 deploy create Dockerrun.aws.json app\n  l0 deploy create Dockerrun.aws.json app --owner team"
    )]
    Create {
        /// The task definition (Dockerrun.aws.json); `-` reads standard input
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// The name that its versions share
        #[arg(value_name = "DEPLOY_NAME")]
        name: String,
        /// Whose it is to be [default: whose its versions are; else the only owner in which you may make one; the instance's
        /// own for an admin]
        #[arg(long, value_name = "OWNER")]
        owner: Option<String>,
    },
    /// Delete one version of a deploy; services that run it go on
    #[command(after_help = "Example:\n  l0 deploy delete app:1")]
    Delete {
        /// NAME, NAME:VERSION, NAME:latest or an id
        #[arg(value_name = "DEPLOY_NAME")]
        target: String,
    },
    /// Show deploys
    #[command(after_help = "Example:\n  l0 deploy get app:latest\n  l0 deploy get 'app*'")]
    Get {
        /// NAME, NAME:VERSION, NAME:latest or an id; `*` stands for any characters
        #[arg(value_name = "DEPLOY_NAME")]
        target: String,
    },
    /// List deploys, the newest version of each name
    #[command(after_help = "Example:\n  l0 deploy list --all")]
    List {
        /// All versions
        #[arg(long)]
        all: bool,
    },
}
