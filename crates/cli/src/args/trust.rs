//! `l0 trust`.

use clap::Subcommand;

/// Who from elsewhere signs in as a robot, without a secret
///
/// A pipeline shows a token of OpenID Connect that its platform made for it, or a request that it signed with its AWS identity, and
/// gets a token that ends soon.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 trust create team ci --github octo/app --scope 'pull,push:team/*'")]
pub(crate) enum Trust {
    /// Make a trust
    #[command(
        after_help = "Example:\n  l0 trust create team ci --github octo/app --scope 'pull,push:team/*'\n  l0 trust create team rel --github octo/app --claim ref=refs/heads/main --scope 'push:team/*'\n  l0 trust create team ci --issuer https://git.example.com --claim project=42 --scope 'push:team/*'\n  l0 trust create team aws --aws arn:aws:iam::123456789012:role/ci --scope 'push:team/*'"
    )]
    Create {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
        /// What to call it; it signs in as OWNER+NAME
        #[arg(value_name = "NAME")]
        name: String,
        /// A repository at GitHub whose actions sign in: as --issuer and --claim repository=…
        #[arg(long, value_name = "OWNER/NAME", conflicts_with_all = ["issuer", "gitlab", "aws"])]
        github: Option<String>,
        /// A project at gitlab.com whose jobs sign in: as --issuer and --claim project_path=…
        #[arg(long, value_name = "GROUP/NAME", conflicts_with_all = ["issuer", "aws"])]
        gitlab: Option<String>,
        /// Whose tokens of OpenID Connect are taken, as their claim `iss` has it
        #[arg(long, value_name = "URL", conflicts_with = "aws")]
        issuer: Option<String>,
        /// What such a token must say; `*` stands for any characters; all of them must fit
        #[arg(long = "claim", value_name = "CLAIM=PATTERN", conflicts_with = "aws")]
        claims: Vec<String>,
        /// Whose AWS identity is taken: an account, or arn:aws:iam::ACCOUNT:role/NAME
        #[arg(long, value_name = "PRINCIPAL")]
        aws: Option<String>,
        /// What it is good for, such as `pull,push:team/*`
        #[arg(long = "scope", value_name = "ACTIONS:OWNER/NAME[:TAGS]", required = true)]
        scopes: Vec<String>,
        /// How many minutes a token lives at most [default: 60]
        #[arg(long, value_name = "N")]
        minutes: Option<i64>,
        /// The server's address as pipelines have it in LAYER0_API_ENDPOINT [default: the endpoint in use]
        #[arg(long, value_name = "URL")]
        audience: Option<String>,
    },
    /// List the trusts of an owner
    #[command(after_help = "Example:\n  l0 trust list team")]
    List {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
    },
    /// Take a trust away, and with it at once all tokens that it gave
    #[command(after_help = "Example:\n  l0 trust delete team ci")]
    Delete {
        /// The owner's name
        #[arg(value_name = "OWNER")]
        owner: String,
        /// The trust's name
        #[arg(value_name = "NAME")]
        name: String,
    },
}
