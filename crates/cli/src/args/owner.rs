//! `l0 owner`.

use clap::Subcommand;

use crate::size::Quota;

/// Teams, to which repositories, environments and deploys belong
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 owner create team --quota 10GiB")]
pub(crate) enum Owner {
    /// Make an owner
    #[command(after_help = "Example:\n  l0 owner create team\n  l0 owner create team --quota 10GiB")]
    Create {
        /// The first part of its repositories' names
        #[arg(value_name = "NAME")]
        name: String,
        /// The most that its repositories may hold: bytes, or such as 500MB, 10GiB, 2TB [default: none]
        #[arg(long, value_name = "SIZE", value_parser = Quota::parse)]
        quota: Option<Quota>,
    },
    /// List the owners that you may see
    #[command(after_help = "Example:\n  l0 owner list")]
    List,
    /// Show an owner, what it uses, and which of its tags are immutable
    #[command(after_help = "Example:\n  l0 owner get team")]
    Get {
        /// The owner's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Change an owner's quota
    #[command(after_help = "Example:\n  l0 owner update team --quota 2TB\n  l0 owner update team --quota none")]
    Update {
        /// The owner's name
        #[arg(value_name = "NAME")]
        name: String,
        /// The most that its repositories may hold: bytes, or such as 500MB, 10GiB, 2TB; none takes the quota away
        #[arg(long, value_name = "SIZE", required = true, value_parser = Quota::parse)]
        quota: Quota,
    },
    /// Delete an owner that has no repositories, environments and deploys any more
    #[command(after_help = "Example:\n  l0 owner delete team")]
    Delete {
        /// The owner's name
        #[arg(value_name = "NAME")]
        name: String,
    },
}
