//! `l0 operation`, and `l0 job`, its name of old.

use clap::Subcommand;

/// Changes that take time
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 operation list")]
pub(crate) enum Operation {
    /// List the newest operations
    #[command(after_help = "Example:\n  l0 operation list")]
    List,
    /// Show an operation and what happened in it
    #[command(after_help = "Example:\n  l0 operation get ID")]
    Get {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Follow an operation to its end
    #[command(after_help = "Example:\n  l0 operation follow ID")]
    Follow {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Operations under their old name
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 job list")]
pub(crate) enum Job {
    /// List the newest operations
    #[command(after_help = "Example:\n  l0 job list")]
    List,
    /// Show an operation
    #[command(after_help = "Example:\n  l0 job get ID")]
    Get {
        /// Its id
        #[arg(value_name = "NAME")]
        id: String,
    },
    /// Does nothing: operations are kept as a record
    #[command(after_help = "Example:\n  l0 job delete ID")]
    Delete {
        /// Its id
        #[arg(value_name = "NAME")]
        id: String,
    },
    /// Show what happened in an operation
    #[command(after_help = "Example:\n  l0 job logs ID")]
    Logs {
        /// Its id
        #[arg(value_name = "NAME")]
        id: String,
        #[command(flatten)]
        window: super::LogWindow,
    },
}
