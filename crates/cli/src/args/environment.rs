//! `l0 environment`.

use std::path::PathBuf;

use clap::{ArgAction, Subcommand};

use super::LogWindow;
use crate::value::parse_bool;

/// Isolation for services, tasks and load balancers
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 environment create dev")]
pub(crate) enum Environment {
    /// Make an environment
    #[command(
        after_help = "Example:\n  l0 environment create dev\n  l0 environment create big --type m5.large --scale 2\n  l0 environment create dev --owner team"
    )]
    Create {
        /// Its name
        #[arg(value_name = "ENVIRONMENT_NAME")]
        name: String,
        /// Type of its machines, where it has some of its own
        #[arg(long = "type", alias = "size", value_name = "TYPE", default_value = "t2.small")]
        instance_type: String,
        /// Number of its machines
        #[arg(long, alias = "min-count", value_name = "N", default_value = "0")]
        scale: String,
        /// Start script of its machines
        #[arg(long, value_name = "PATH")]
        user_data: Option<PathBuf>,
        /// Operating system
        #[arg(long, value_name = "OS", default_value = "linux")]
        os: String,
        /// Image of its machines
        #[arg(long, value_name = "AMI", default_value = "", hide_default_value = true)]
        ami: String,
        /// Whose it is to be [default: the only owner in which you may make one; the instance's own for an admin]
        #[arg(long, value_name = "OWNER")]
        owner: Option<String>,
    },
    /// Delete an environment
    #[command(after_help = "Example:\n  l0 environment delete dev\n  l0 environment delete -r dev")]
    Delete {
        /// NAME or an id
        #[arg(value_name = "NAME")]
        target: String,
        /// Delete its services, tasks and load balancers first, and wait until these are gone
        #[arg(short, long)]
        recursive: bool,
    },
    /// Show environments
    #[command(after_help = "Example:\n  l0 environment get dev")]
    Get {
        /// NAME or an id; `*` stands for any characters
        #[arg(value_name = "ENVIRONMENT_NAME")]
        target: String,
    },
    /// List environments
    #[command(after_help = "Example:\n  l0 environment list")]
    List,
    /// Show what happened in an environment
    ///
    /// What its operations did, who asked for what, and, on AWS, what CloudTrail wrote down about it (some minutes late), in the
    /// order of time.
    #[command(after_help = "Example:\n  l0 environment logs dev --tail 50\n  l0 environment logs -f dev")]
    Logs {
        /// NAME or an id
        #[arg(value_name = "ENVIRONMENT_NAME")]
        target: String,
        #[command(flatten)]
        window: LogWindow,
        /// Go on as lines are written; without --timeout until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Set the number of an environment's machines
    #[command(alias = "setmincount", after_help = "Example:\n  l0 environment scale dev 3")]
    Scale {
        /// NAME or an id
        #[arg(value_name = "ENVIRONMENT_NAME")]
        target: String,
        /// Number of machines
        #[arg(value_name = "SCALE", allow_negative_numbers = true)]
        scale: String,
    },
    /// Let two environments reach each other
    #[command(after_help = "Example:\n  l0 environment link dev shared")]
    Link {
        /// NAME or an id
        #[arg(value_name = "SOURCE_ENVIRONMENT_NAME")]
        source: String,
        /// NAME or an id
        #[arg(value_name = "DESTINATION_ENVIRONMENT_NAME")]
        destination: String,
        /// Both ways
        #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool)]
        bi_directional: bool,
    },
    /// Take a link away
    #[command(after_help = "Example:\n  l0 environment unlink dev shared")]
    Unlink {
        /// NAME or an id
        #[arg(value_name = "SOURCE_ENVIRONMENT_NAME")]
        source: String,
        /// NAME or an id
        #[arg(value_name = "DESTINATION_ENVIRONMENT_NAME")]
        destination: String,
        /// Both ways
        #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool)]
        bi_directional: bool,
    },
}
