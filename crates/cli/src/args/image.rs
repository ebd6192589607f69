//! `l0 image` and `l0 map`.

use clap::Subcommand;

/// Images of the private registry, and what image names become
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 image resolve registry.example.com/team/app:1")]
pub(crate) enum Image {
    /// List the images of a repository by their tags, or those without a tag
    #[command(after_help = "Example:\n  l0 image list team/app\n  l0 image list team/app --untagged")]
    List {
        /// OWNER/NAME
        #[arg(value_name = "REPOSITORY")]
        repository: String,
        /// The images that no tag leads to, by their digests
        #[arg(long)]
        untagged: bool,
    },
    /// Show an image: digest, size, platforms
    #[command(after_help = "Example:\n  l0 image get team/app:1")]
    Get {
        /// OWNER/NAME:TAG or OWNER/NAME@DIGEST
        #[arg(value_name = "REPOSITORY:TAG")]
        image: String,
    },
    /// Delete a tag, or by digest an image with all its tags
    ///
    /// The image behind a tag stays, but for ECR, where it goes with its last tag: `l0 image list REPOSITORY --untagged` lists those without one.
    #[command(after_help = "Example:\n  l0 image delete team/app:1")]
    Delete {
        /// OWNER/NAME:TAG or OWNER/NAME@DIGEST
        #[arg(value_name = "REPOSITORY:TAG")]
        image: String,
    },
    /// Check that the engine could pull an image, and say what is missing
    #[command(
        after_help = "Example:\n  l0 image check registry.example.com/team/app:1\n  l0 image check team/app:1 --environment prod"
    )]
    Check {
        /// The image as a task definition names it
        #[arg(value_name = "IMAGE")]
        image: String,
        /// NAME or id of the environment that it would run in
        #[arg(long, value_name = "ENVIRONMENT")]
        environment: Option<String>,
        /// What it would run on, such as linux/arm64, where the engine has a choice
        #[arg(long, value_name = "OS/ARCH")]
        platform: Option<String>,
        /// For machines of the environment's own
        #[arg(long)]
        stateful: bool,
    },
    /// Show the steps from an image's name to what the engine pulls
    #[command(after_help = "Example:\n  l0 image resolve registry.example.com/team/app:1")]
    Resolve {
        /// The image as a task definition names it
        #[arg(value_name = "IMAGE")]
        image: String,
    },
}

/// The rules that turn image names into what the engine pulls
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 map list")]
pub(crate) enum Map {
    /// List the rules
    #[command(after_help = "Example:\n  l0 map list")]
    List,
    /// Add a rule; it holds for deploys made from now on
    ///
    /// The target `ecr` is the registry in ECR that the instance keeps its images in: account, region and prefix are filled in.
    #[command(
        after_help = "Example:\n  l0 map add 'hub.example.com/team|registry.example.com/team'\n  l0 map add 'images.example.com/team|ecr'"
    )]
    Add {
        /// PREFIX|TARGET
        #[arg(value_name = "RULE")]
        rule: String,
    },
    /// Take a rule away
    #[command(after_help = "Example:\n  l0 map remove hub.example.com/team")]
    Remove {
        /// The rule's prefix
        #[arg(value_name = "PREFIX")]
        prefix: String,
    },
}
