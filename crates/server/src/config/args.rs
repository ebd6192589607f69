//! The flags of `l0 server`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::ConfigError;

/// Flags as they were given, by their long name. Values stay text until all sources are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParsedArgs {
    /// Flag to value.
    pub(crate) values: BTreeMap<String, String>,
}

/// What the arguments ask for.
pub(crate) enum Asked {
    /// Run with these flags.
    Run(ParsedArgs),
    /// Print this and end well: help or version.
    Print(String),
}

/// Flags with a value: name, what the value is, help.
pub(super) const FLAGS: &[(&str, &str, &str)] = &[
    ("data-dir", "DIR", "Where everything is kept [default: ~/.local/share/layer0]"),
    ("listen", "ADDR:PORT", "Where API and registry listen [default: 127.0.0.1:9090]"),
    ("port", "PORT", "The port alone, on 127.0.0.1"),
    (
        "config",
        "FILE",
        "A TOML file with the same settings (data_dir, listen, …) [default: DIR/layer0.toml if it is there]",
    ),
    ("instance", "NAME", "The instance's name [default: local]"),
    ("registry-name", "HOST", "The name of the registry in task definitions [default: registry.layer0.test]"),
    ("registry-address", "HOST:PORT", "Where the engine reaches the registry [default: localhost and the port]"),
    ("image-map", "RULES", "More map rules, `prefix|target`, separated by commas"),
    ("registry-challenge", "KIND", "How registry clients are asked to sign in: bearer or basic [default: bearer]"),
    ("oidc-issuer", "URL", "The provider of OpenID Connect at which people sign in: `l0 login --sso` [default: none]"),
    ("oidc-client-id", "ID", "As what this server is known at the provider"),
    ("oidc-client-secret-file", "FILE", "A file with the client's secret [default: a public client]"),
    ("oidc-scopes", "SCOPES", "What the provider is asked for [default: openid,profile,email]"),
    ("oidc-groups-claim", "NAME", "The claim with somebody's groups [default: groups]"),
    (
        "oidc-name-claim",
        "NAME",
        "The claim with somebody's name [default: preferred_username, else what stands before the @ of email]",
    ),
    (
        "oidc-groups",
        "RULES",
        "What groups give, GROUP=OWNER:ROLE or GROUP=admin, separated by commas: platform=team:writer",
    ),
    ("oidc-hours", "HOURS", "How long a token lives that such a sign-in gives [default: 12]"),
    ("engine", "ENGINE", "What runs containers: docker, ecs, fake, or none for the registry alone [default: docker]"),
    ("docker-host", "URL", "Where the Docker engine is [default: unix:///var/run/docker.sock]"),
    ("public-address", "ADDR", "The address in the URLs of public load balancers [default: this machine's]"),
    ("aws-region", "REGION", "The AWS region [default: AWS_REGION, or the profile's]"),
    ("endpoint-url", "URL", "What stands in for all of AWS: an emulator"),
    ("table", "NAME", "A DynamoDB table for the state, in place of DIR; several servers may share it"),
    ("aws-vpc", "ID", "The VPC that everything stands in"),
    ("aws-private-subnets", "IDS", "Subnets for tasks, machines and private load balancers, separated by commas"),
    ("aws-public-subnets", "IDS", "Subnets for public load balancers, separated by commas"),
    ("aws-execution-role", "ARN", "The role that pulls images and writes logs, for deploys that name none"),
    (
        "aws-machine-profile",
        "NAME",
        "The instance profile of machines, whose role has the same name [default: one for each environment]",
    ),
    ("aws-rate", "TIMES", "How fast AWS is called: 2 is twice as fast as usual, for an account with higher limits"),
    ("registry-backing", "KIND", "Where images lie: disk, s3 or ecr [default: disk]"),
    ("s3-bucket", "NAME", "The bucket that images lie in (--registry-backing s3)"),
    ("s3-prefix", "PREFIX", "What stands before all keys in the bucket"),
    ("ecr-prefix", "PREFIX", "What stands before the names of all repositories in ECR"),
    ("ecr-host", "HOST", "The name of ECR's registry for those who pull [default: what ECR says]"),
    ("ecr-kms-key", "ARN", "The KMS key that new repositories are encrypted with [default: ECR's own]"),
    (
        "ecr-lifecycle-policy",
        "JSON|FILE",
        "The lifecycle policy of new repositories in ECR, or a file with it [default: none]",
    ),
    ("ecr-keep-untagged-days", "DAYS", "A lifecycle policy by which images without a tag go after so many days"),
    ("ecr-tags", "TAGS", "Tags of new repositories in ECR: team=web,cost=7"),
    (
        "account-grants",
        "KIND",
        "Whether `l0 account` writes into the policies of the account's ECR registry: on, report-only or off [default: on with --registry-backing ecr, else off]",
    ),
    (
        "account-grants-to",
        "WHO",
        "Who may pull everything: accounts, org:o-…, ou:o-…/ou-…, separated by commas; none for nobody [default: whom `l0 account` let in]",
    ),
    ("account-grants-every", "MINUTES", "From one look at all these policies to the next [default: 15]"),
    (
        "account-grants-strategy",
        "NAME",
        "In which policies account grants stand: repositories, registry or organization [default: as they do; at first, repositories]",
    ),
    ("stop-delay", "SECONDS", "How long all goes on after SIGTERM while /health answers 503 [default: 0]"),
    ("registry-gc-every", "HOURS", "How often what no image needs is collected; 0 for never [default: 24]"),
    (
        "registry-gc-grace",
        "HOURS",
        "How long a blob is kept that no image needs, and at most an upload that nobody goes on with [default: 24]",
    ),
    (
        "registry-mirrors",
        "RULES",
        "Prefixes that mirror other registries: hub=https://registry-1.docker.io, separated by commas",
    ),
    ("stop-grace", "SECONDS", "How long requests that run may then take to end [default: 10]"),
    ("log", "FILTER", "What is logged, on stderr: info, debug, layer0_server=debug [default: info]"),
    ("log-format", "FORMAT", "text or json [default: text]"),
];

/// Flags that are on or off: name, help.
pub(super) const SWITCHES: &[(&str, &str)] = &[
    ("create-on-push", "A push to a repository that does not exist makes it"),
    ("trusted-proxy", "A TLS proxy stands in front: believe its X-Forwarded-Proto and X-Forwarded-For"),
    ("s3-redirect", "Clients fetch blobs from S3 at a signed address, good for minutes"),
    ("registry-stream", "Blobs of ECR go through the server: for clients that can't reach S3"),
    ("ecr-immutable-tags", "Tags of new repositories in ECR can't be moved"),
    ("ecr-scan-on-push", "ECR scans each image that is pushed to a new repository"),
    ("aws-public-ip", "Tasks get a public address: their way to ECR without NAT and endpoints"),
    ("new-admin-token", "Make another admin token, print it, and keep it in DIR/admin-token: the way back in"),
    ("debug", "As `--log debug`"),
];

/// A paragraph is one line here: whoever shows it wraps it.
const AFTER: &str = "\
Example:
  l0 server --data-dir ~/layer0 --listen 127.0.0.1:9090
  eval \"$(l0 endpoint --data-dir ~/layer0)\"
  l0 server --engine none                                  # the registry alone

The first start makes an admin token, prints it once, and keeps it in DIR/admin-token for the local command line; with \
LAYER0_ADMIN_TOKEN in the environment it takes that one, and shows nothing. When all tokens are lost or have expired, stop the \
server and start it once with --new-admin-token. Nearly every flag can stand in the environment (LAYER0_LISTEN, …) or in the \
TOML file as well; a flag wins over both. Several registries in ECR stand in the file alone, each as a table [[registry]]; and \
so do mirrors with a password, each as a table [[mirror]].";

/// The example, and the environment variables.
fn after() -> String {
    let mut text = format!("{AFTER}\n\nEnvironment variables:\n");
    for (name, sets) in super::ENVIRONMENT {
        text.push_str(&format!("  {name:<28} {sets}\n"));
    }
    text
}

fn command() -> Command {
    let mut command = Command::new("l0 server")
        .bin_name("l0 server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Run an instance: registry, API and load balancers in one process")
        .after_help(after());
    for (name, value, help) in FLAGS {
        command = command.arg(Arg::new(*name).long(*name).value_name(*value).help(*help).overrides_with(*name));
    }
    for (name, help) in SWITCHES {
        let switch = Arg::new(*name).long(*name).help(*help).action(ArgAction::Set).num_args(0..=1);
        let switch =
            switch.require_equals(true).default_missing_value("true").value_name("true|false").overrides_with(*name);
        command = command.arg(switch);
    }
    command
}

/// Reads the arguments behind `l0 server`.
///
/// # Errors
/// [`ConfigError::Flags`] with the closest flag where one is near.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Asked, ConfigError> {
    let all = std::iter::once(OsString::from("l0 server")).chain(args);
    let matches = match command().try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(why) if !why.use_stderr() => return Ok(Asked::Print(why.to_string())),
        Err(why) => {
            let text = why.to_string();
            return Err(ConfigError::Flags(text.trim_start_matches("error: ").trim_end().to_owned()));
        }
    };
    let names = FLAGS.iter().map(|(name, ..)| *name).chain(SWITCHES.iter().map(|(name, _)| *name));
    let values = names.filter_map(|name| Some((name.to_owned(), matches.get_one::<String>(name)?.clone()))).collect();
    Ok(Asked::Run(ParsedArgs { values }))
}
