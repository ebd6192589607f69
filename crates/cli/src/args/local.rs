//! Commands that speak to no server.

use std::path::PathBuf;

use clap_complete::Shell;

/// Print the lines that connect a shell to an instance
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  eval \"$(l0 endpoint --data-dir ./data)\"\n  l0 endpoint --syntax powershell")]
pub(crate) struct Endpoint {
    /// The instance's data directory; without it this user's default instance (credentials.json)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// bash, cmd or powershell
    #[arg(short, long, value_name = "SYNTAX", default_value = "bash")]
    pub(crate) syntax: String,
    /// Also skip the checks of certificate and version
    #[arg(short, long)]
    pub(crate) insecure: bool,
}

/// Print a completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 completion bash > /etc/bash_completion.d/l0")]
pub(crate) struct Completion {
    /// bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Run an instance of Layer0 on this machine
///
/// The flags are here for the sake of completion; the server reads them itself and `l0 server --help` says more of each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 server --data-dir ./data --listen 127.0.0.1:9090")]
pub(crate) struct Server {
    #[command(flatten)]
    flags: ServerFlags,
}

macro_rules! server_flags {
    ($($(#[$doc:meta])* $name:ident = $value:literal),+ $(,)?) => {
        #[derive(Debug, clap::Args)]
        struct ServerFlags {
            $($(#[$doc])* #[arg(long, value_name = $value)] $name: Option<String>),+
        }
    };
}

server_flags! {
    /// Where everything is kept
    data_dir = "DIR",
    /// Address and port of API and registry
    listen = "ADDR:PORT",
    /// The port alone
    port = "PORT",
    /// A TOML file with the same settings
    config = "FILE",
    /// The instance's name
    instance = "NAME",
    /// The name under which task definitions name images of this registry
    registry_name = "HOST",
    /// Where the engine reaches the registry
    registry_address = "HOST:PORT",
    /// More map rules
    image_map = "RULES",
    /// How registry clients are asked to sign in
    registry_challenge = "KIND",
    /// What runs containers; none for the registry alone
    engine = "ENGINE",
    /// Where the Docker engine is
    docker_host = "URL",
    /// The address in the URLs of public load balancers
    public_address = "ADDR",
    /// The AWS region
    aws_region = "REGION",
    /// What stands in for all of AWS: an emulator
    endpoint_url = "URL",
    /// A DynamoDB table for the state
    table = "NAME",
    /// The VPC that everything stands in
    aws_vpc = "ID",
    /// Subnets for tasks, machines and private load balancers
    aws_private_subnets = "IDS",
    /// Subnets for public load balancers
    aws_public_subnets = "IDS",
    /// The role that pulls images and writes logs
    aws_execution_role = "ARN",
    /// The instance profile of machines, whose role has the same name
    aws_machine_profile = "NAME",
    /// Tasks get a public address
    aws_public_ip = "BOOL",
    /// How fast AWS is called, against the usual
    aws_rate = "TIMES",
    /// Where images lie: disk, s3 or ecr
    registry_backing = "KIND",
    /// The bucket that images lie in
    s3_bucket = "NAME",
    /// What stands before all keys in the bucket
    s3_prefix = "PREFIX",
    /// Clients fetch blobs from S3 at a signed address
    s3_redirect = "BOOL",
    /// Blobs of ECR go through the server
    registry_stream = "BOOL",
    /// What stands before the names of all repositories in ECR
    ecr_prefix = "PREFIX",
    /// The name of ECR's registry for those who pull
    ecr_host = "HOST",
    /// Tags of new repositories in ECR can't be moved
    ecr_immutable_tags = "BOOL",
    /// ECR scans what is pushed to new repositories
    ecr_scan_on_push = "BOOL",
    /// The KMS key of new repositories in ECR
    ecr_kms_key = "ARN",
    /// The lifecycle policy of new repositories in ECR, or a file with it
    ecr_lifecycle_policy = "JSON|FILE",
    /// Images without a tag go from ECR after so many days
    ecr_keep_untagged_days = "DAYS",
    /// Tags of new repositories in ECR
    ecr_tags = "TAGS",
    /// Whether account grants are kept: on, report-only or off
    account_grants = "KIND",
    /// Who may pull everything, separated by commas; none for nobody
    account_grants_to = "WHO",
    /// Minutes from one look at all policies in ECR to the next
    account_grants_every = "MINUTES",
    /// In which policies account grants stand: repositories, registry or organization
    account_grants_strategy = "NAME",
    /// Seconds in which all goes on after SIGTERM, for a load balancer to notice
    stop_delay = "SECONDS",
    /// Seconds in which requests that run may end after that
    stop_grace = "SECONDS",
    /// Hours from one collection of what no image needs to the next; 0 for never
    registry_gc_every = "HOURS",
    /// Hours for which a blob is kept that no image needs
    registry_gc_grace = "HOURS",
    /// The provider of OpenID Connect at which people sign in
    oidc_issuer = "URL",
    /// As what this server is known at the provider
    oidc_client_id = "ID",
    /// A file with the client's secret
    oidc_client_secret_file = "FILE",
    /// What the provider is asked for
    oidc_scopes = "SCOPES",
    /// The claim with somebody's groups
    oidc_groups_claim = "NAME",
    /// The claim with somebody's name
    oidc_name_claim = "NAME",
    /// What groups give: GROUP=OWNER:ROLE or GROUP=admin
    oidc_groups = "RULES",
    /// How long a token lives that such a sign-in gives
    oidc_hours = "HOURS",
    /// Prefixes that mirror other registries
    registry_mirrors = "RULES",
    /// What is logged
    log = "FILTER",
    /// text or json
    log_format = "FORMAT",
    /// A TLS proxy stands in front: believe its X-Forwarded-Proto
    trusted_proxy = "BOOL",
    /// Make another admin token: the way back in
    new_admin_token = "BOOL",
    /// A push to a repository that does not exist makes it
    create_on_push = "BOOL",
}
