//! `l0 member`.

use clap::{Subcommand, ValueEnum};

/// Users' places in owners
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 member add team alice --role maintainer")]
pub(crate) enum Member {
    /// Give a user a place in an owner, or change it
    #[command(
        after_help = "Example:\n  l0 member add team alice\n  l0 member add team bob --role reader\n  l0 member add team carol --tags 'dev-*'"
    )]
    Add {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
        /// What the member may do
        #[arg(long, value_name = "ROLE", value_enum, default_value_t = Role::Writer)]
        role: Role,
        /// The only tags that the member may push and delete; `*` stands for any characters [default: all]
        #[arg(long, value_name = "PATTERN")]
        tags: Option<String>,
    },
    /// List the members of an owner
    #[command(after_help = "Example:\n  l0 member list team")]
    List {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
    },
    /// Take a user's place in an owner away, at once
    #[command(after_help = "Example:\n  l0 member remove team alice")]
    Remove {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
    },
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Pulls images; sees environments, services, tasks and their logs
    Reader,
    /// What a reader may, and pushes images, deploys, scales, runs tasks
    Writer,
    /// What a writer may, and deletes, makes repositories and environments, decides about members and robots
    Maintainer,
}

impl Role {
    /// As the wire spells it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Writer => "writer",
            Role::Maintainer => "maintainer",
        }
    }
}
