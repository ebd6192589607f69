//! `l0 account`.

use clap::Subcommand;

/// AWS accounts that may pull from ECR
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 account grant 123456789012\n  l0 account status")]
pub(crate) enum Account {
    /// Let an AWS account pull, an organization, or a unit of one
    ///
    /// The policies of all repositories that are meant are written, and kept so: in what is made later too. Follows it to its
    /// end; with --no-wait it goes on by itself, and `l0 account status` shows how far it is.
    #[command(
        after_help = "Example:\n  l0 account grant 123456789012\n  l0 account grant org:o-a1b2c3d4e5 --owner team\n  l0 account grant ou:o-a1b2c3d4e5/ou-ab12-11111111 --repository team/app"
    )]
    Grant {
        /// An account's id, org:ORGANIZATION, or ou:ORGANIZATION/UNIT
        #[arg(value_name = "WHO")]
        who: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// List the grants that you may see
    #[command(after_help = "Example:\n  l0 account list")]
    List,
    /// Take a grant back
    ///
    /// It is there until no policy names it any more.
    #[command(
        after_help = "Example:\n  l0 account revoke 123456789012\n  l0 account revoke 123456789012 --repository team/app"
    )]
    Revoke {
        /// Whom it was granted to
        #[arg(value_name = "WHO")]
        who: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Show on how many repositories each grant is true, on which not, and why
    ///
    /// Begins with the strategy: in which policies the grants stand, and how far a change of that is.
    #[command(after_help = "Example:\n  l0 account status")]
    Status,
    /// Show the policies that would be written, and write nothing
    ///
    /// With WHO for what granting it would do, or with --revoke taking it back; without for what is not as it should be.
    /// Shows the registry's policy, where grants stand there, and the first ten repositories that are meant. With --strategy as
    /// it would be after the change to another one.
    #[command(
        after_help = "Example:\n  l0 account plan 123456789012 --owner team\n  l0 account plan 123456789012 --revoke\n  l0 account plan\n  l0 account plan --strategy registry"
    )]
    Plan {
        /// An account's id, org:ORGANIZATION, or ou:ORGANIZATION/UNIT
        #[arg(value_name = "WHO")]
        who: Option<String>,
        #[command(flatten)]
        scope: Scope,
        /// What taking it back would do
        #[arg(long, requires = "who")]
        revoke: bool,
        /// After a change to this strategy: repositories, registry or organization
        #[arg(long, value_name = "NAME")]
        strategy: Option<String>,
    },
}

/// Which repositories are meant; without any, all.
#[derive(Debug, clap::Args)]
pub(crate) struct Scope {
    /// Only the repositories of this owner
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// Only this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
}
