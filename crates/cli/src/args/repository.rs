//! `l0 repository`.

use clap::Subcommand;

/// Repositories of the private registry
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 repository create team/app")]
pub(crate) enum Repository {
    /// Make a repository, to push images to
    #[command(after_help = "Example:\n  l0 repository create team/app")]
    Create {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
    /// List repositories
    #[command(after_help = "Example:\n  l0 repository list\n  l0 repository list team")]
    List {
        /// Those of this owner only
        #[arg(value_name = "OWNER")]
        owner: Option<String>,
    },
    /// Show a repository and where its bytes are
    #[command(after_help = "Example:\n  l0 repository get team/app")]
    Get {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
    /// Delete a repository
    #[command(after_help = "Example:\n  l0 repository delete team/app --force")]
    Delete {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
        /// Delete the images in it too
        #[arg(long)]
        force: bool,
    },
}
