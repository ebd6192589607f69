//! `l0 repository`.

use clap::{ArgGroup, Subcommand};

use crate::age::Hours;

/// Repositories of the private registry
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 repository create team/app")]
pub(crate) enum Repository {
    /// Make a repository, to push images to
    ///
    /// Its owner is made with it where there is none; `l0 owner update OWNER --quota SIZE` gives that one a quota.
    #[command(after_help = "Example:\n  l0 repository create team/app\n  l0 repository create team/tools --public")]
    Create {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
        /// Everybody may pull from it, without signing in
        #[arg(long)]
        public: bool,
    },
    /// Adopt a repository that is in ECR already
    ///
    /// It is marked as this instance's, and its policy gets what the account grants say. Its images, tags and settings stay, and
    /// so do the statements of others in its policy. Its friendly name is what the registry's prefix leaves of its name there.
    #[command(
        after_help = "Example:\n  l0 repository import l0/team/app --dry-run\n  l0 repository import 123456789012.dkr.ecr.us-west-2.amazonaws.com/l0/team/app team/app"
    )]
    Import {
        /// What it is called in ECR, or its URI
        #[arg(value_name = "REGISTRY-REPOSITORY")]
        backing: String,
        /// OWNER/NAME, when that is to be what it is called here, or nothing to be done
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// The registry of the server's configuration that it is in, where several could have it
        #[arg(long, value_name = "REGISTRY")]
        registry: Option<String>,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
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
    /// Change who may pull from a repository
    #[command(
        group(ArgGroup::new("visibility").args(["public", "private"]).required(true)),
        after_help = "Example:\n  l0 repository update team/app --public\n  l0 repository update team/app --private"
    )]
    Update {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
        /// Everybody may, without signing in
        #[arg(long)]
        public: bool,
        /// Only who has the right to
        #[arg(long)]
        private: bool,
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
    /// Move a repository to another registry behind the instance, under the same name
    ///
    /// All images are copied and compared: tags, platforms, signatures and what else refers to them. Pulls go on all the while;
    /// pushes wait for some seconds at the end. The old images stay until --delete-source. Follows it to its end; with
    /// --no-wait it goes on by itself, and `l0 repository migration get` shows how far it is. For admins.
    #[command(
        after_help = "Example:\n  l0 repository migrate team/app --to ecr\n  l0 repository migrate team/app --to local --delete-source"
    )]
    Migrate {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
        /// The registry: `local`, or what the server's configuration calls one in ECR
        #[arg(long, value_name = "REGISTRY")]
        to: String,
        /// Delete the old images as soon as the new ones answer
        #[arg(long)]
        delete_source: bool,
    },
    #[command(subcommand)]
    Migration(Migration),
    #[command(subcommand)]
    Immutable(Immutable),
    #[command(subcommand)]
    Retention(Retention),
}

/// Repositories that are being moved, or were
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 repository migration list")]
pub(crate) enum Migration {
    /// List the last move of each repository
    #[command(after_help = "Example:\n  l0 repository migration list")]
    List,
    /// Show how far a move is, and which images can't be moved
    #[command(after_help = "Example:\n  l0 repository migration get team/app")]
    Get {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
    /// Call a move off; what was copied is deleted
    #[command(after_help = "Example:\n  l0 repository migration cancel team/app")]
    Cancel {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
    /// Delete the images that a move has left where the repository lay before
    #[command(after_help = "Example:\n  l0 repository migration delete-source team/app")]
    DeleteSource {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
}

/// Tags that, once pushed, can be neither moved nor deleted
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 repository immutable add 'team/*' --tags 'v*'")]
pub(crate) enum Immutable {
    /// Make tags immutable; a rule with the same repositories and tags is replaced
    #[command(
        after_help = "Example:\n  l0 repository immutable add 'team/*' --except latest --except 'dev-*'\n  l0 repository immutable add team/app --tags 'v*'"
    )]
    Add {
        /// OWNER/PATTERN; in PATTERN `*` stands for any characters
        #[arg(value_name = "REPOSITORIES")]
        repositories: String,
        /// Which tags
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        tags: String,
        /// Which of them not; may be given several times
        #[arg(long, value_name = "PATTERN")]
        except: Vec<String>,
    },
    /// List the rules of an owner
    #[command(after_help = "Example:\n  l0 repository immutable list team")]
    List {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
    },
    /// Take a rule away: its tags can be moved and deleted again
    #[command(
        after_help = "Example:\n  l0 repository immutable remove 'team/*'\n  l0 repository immutable remove team/app --tags 'v*'"
    )]
    Remove {
        /// OWNER/PATTERN, as the rule has it
        #[arg(value_name = "REPOSITORIES")]
        repositories: String,
        /// Its tags, as the rule has them
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        tags: String,
    },
}

/// Rules for which images are kept
///
/// Without a rule all are. What a rule lets go of goes with the daily collection; `l0 admin gc --dry-run` shows it before. What a
/// service or task runs stays whatever a rule says, and so do immutable tags.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 repository retention add 'team/*' --tags 'dev-*' --keep-last 10 --untagged 7d")]
pub(crate) enum Retention {
    /// Let tags go but for the last or the young; a rule with the same repositories and tags is replaced
    #[command(
        after_help = "Example:\n  l0 repository retention add 'team/*' --tags 'dev-*' --keep-last 10 --keep 30d\n  l0 repository retention add team/app --untagged 7d"
    )]
    Add {
        /// OWNER/PATTERN; in PATTERN `*` stands for any characters
        #[arg(value_name = "REPOSITORIES")]
        repositories: String,
        /// Which tags
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        tags: String,
        /// Keep so many of them, those that were pushed last
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        keep_last: Option<u32>,
        /// Keep those that were pushed less than so long ago: 12h, 30d
        #[arg(long, value_name = "AGE", value_parser = Hours::parse)]
        keep: Option<Hours>,
        /// Let images without a tag go that were pushed so long ago: 12h, 7d [default: they stay]
        #[arg(long, value_name = "AGE", value_parser = Hours::parse)]
        untagged: Option<Hours>,
    },
    /// List the rules of an owner
    #[command(after_help = "Example:\n  l0 repository retention list team")]
    List {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
    },
    /// Take a rule away
    #[command(after_help = "Example:\n  l0 repository retention remove 'team/*' --tags 'dev-*'")]
    Remove {
        /// OWNER/PATTERN, as the rule has it
        #[arg(value_name = "REPOSITORIES")]
        repositories: String,
        /// Its tags, as the rule has them
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        tags: String,
    },
}
