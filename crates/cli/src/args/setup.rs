//! `l0 setup`.

use std::path::PathBuf;

use clap::Subcommand;

/// Make, change and take away an instance in an AWS account
///
/// An instance is one stack of CloudFormation. What is wished of it stands in ~/.layer0/NAME/instance.toml, which holds no
/// secret; all else is kept by AWS. Credentials and region are found as every AWS tool finds them.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  l0 setup init prod --aws-region eu-central-1\n  l0 setup plan prod\n  l0 setup apply prod\n  eval \"$(l0 setup endpoint prod)\""
)]
pub(crate) enum Setup {
    Init(Box<Init>),
    /// Show what apply would change, what it would allow and what it would cost
    #[command(after_help = "Example:\n  l0 setup plan prod")]
    Plan(Plan),
    /// Make or change the instance until it is as it is wished
    ///
    /// Carries out exactly the plan that it shows, or that `plan` showed, and follows it to its end. After an interruption the same
    /// command goes on. The version of the servers stays: `upgrade` changes it.
    #[command(after_help = "Example:\n  l0 setup apply prod\n  l0 setup apply prod --yes --quick")]
    Apply {
        #[command(flatten)]
        plan: Plan,
        /// Don't wait until the servers answer
        #[arg(long)]
        quick: bool,
        /// Don't ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Move the servers to the version of this program
    ///
    /// New servers come before the old ones go, so that the API keeps answering; ones that are not healthy are rolled back.
    #[command(
        after_help = "Example:\n  l0 setup upgrade prod\n  l0 setup upgrade prod 1.2.0 --executable ./l0-linux-amd64"
    )]
    Upgrade {
        #[command(flatten)]
        plan: Plan,
        /// The version that it must be
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// Also go back to an older version
        #[arg(long)]
        force: bool,
        /// Don't ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Take everything away that the instance is and has made
    ///
    /// Lists what will go and asks for the instance's name. Images and tables stay, unless --with-data.
    #[command(after_help = "Example:\n  l0 setup destroy prod\n  l0 setup destroy prod --with-data --yes")]
    Destroy {
        #[command(flatten)]
        which: Which,
        /// Also delete the state and all images
        #[arg(long)]
        with_data: bool,
        /// Don't ask
        #[arg(short, long, visible_alias = "force")]
        yes: bool,
    },
    /// List the instances of this machine (l) and of the account (r)
    #[command(after_help = "Example:\n  l0 setup list\n  l0 setup list --remote --aws-region eu-central-1")]
    List {
        /// Those of this machine alone
        #[arg(short, long)]
        local: bool,
        /// Those of the account alone
        #[arg(short, long)]
        remote: bool,
        /// The region [default: as every AWS tool finds it]
        #[arg(long, value_name = "REGION")]
        aws_region: Option<String>,
    },
    /// Print the lines that connect a shell to an instance
    ///
    /// The first admin token is read from Secrets Manager with your own rights.
    #[command(
        after_help = "Example:\n  eval \"$(l0 setup endpoint prod)\"\n  l0 setup endpoint prod --syntax powershell"
    )]
    Endpoint {
        #[command(flatten)]
        which: Which,
        /// bash, cmd or powershell
        #[arg(short, long, value_name = "SYNTAX", default_value = "bash")]
        syntax: String,
        /// Also skip the check of the version
        #[arg(short, long)]
        insecure: bool,
        /// Also what servers need that are developed: network, roles, table
        #[arg(long)]
        dev: bool,
    },
    /// Change wishes of instance.toml
    #[command(
        after_help = "Example:\n  l0 setup set prod --input server.copies=3\n  l0 setup set prod --input 'registry.image_map=[\"registry.example.com|ecr\"]'"
    )]
    Set {
        #[command(flatten)]
        which: Which,
        /// A key and its value, as in instance.toml; may be given several times
        #[arg(long, value_name = "KEY=VALUE", required = true)]
        input: Vec<String>,
    },
    /// Take wishes out of instance.toml
    #[command(after_help = "Example:\n  l0 setup unset prod registry.name")]
    Unset {
        #[command(flatten)]
        which: Which,
        /// The key
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// Write this machine's instance.toml into the account, for others to pull
    #[command(after_help = "Example:\n  l0 setup push prod")]
    Push(Which),
    /// Read instance.toml from the account
    #[command(after_help = "Example:\n  l0 setup pull prod --aws-region eu-central-1")]
    Pull {
        #[command(flatten)]
        which: Which,
        /// Write over another one
        #[arg(long)]
        force: bool,
    },
    /// Show what stands and whether it answers
    #[command(after_help = "Example:\n  l0 setup status prod\n  l0 setup status prod -o json")]
    Status(Which),
    /// Look for what is wrong, and say what to do
    #[command(after_help = "Example:\n  l0 setup doctor prod")]
    Doctor(Which),
}

/// An instance.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The instance
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The region [default: instance.toml's, then as every AWS tool finds it]
    #[arg(long, value_name = "REGION")]
    pub(crate) aws_region: Option<String>,
}

/// An instance that is to become something.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The program that the servers' image is made of, for Linux and linked statically [default: this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) executable: Option<PathBuf>,
    /// Certificates of authorities that the servers trust, PEM [default: this machine's]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Say what an instance shall be: asks for what no flag says, and checks it against the account
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  l0 setup init prod\n  l0 setup init prod --yes --aws-region eu-central-1 --network nat\n  l0 setup init prod --domain l0.example.com --hosted-zone Z0123456789ABCDEFGHIJ\n  l0 setup init prod --image-map 'registry.example.com|123456789012.dkr.ecr.us-west-2.amazonaws.com'"
)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Take the defaults for what is not said; ask nothing
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The way out of a new network: endpoints, nat or public
    #[arg(long, value_name = "KIND")]
    pub(crate) network: Option<String>,
    /// The addresses of a new network [default: the first free of 10.100.0.0/16, 10.101.0.0/16, …]
    #[arg(long, value_name = "CIDR")]
    pub(crate) cidr: Option<String>,
    /// In how many zones it has subnets [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) zones: Option<u8>,
    /// A network that is there
    #[arg(long, value_name = "ID")]
    pub(crate) vpc: Option<String>,
    /// Its subnets for tasks [default: those whose default route leads to NAT]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) private_subnet: Vec<String>,
    /// Its subnets for what is reached from outside [default: those whose default route leads to the internet]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) public_subnet: Vec<String>,
    /// The domain name of API and registry; without one there is no TLS
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// The certificate for it [default: one is made where --hosted-zone is given]
    #[arg(long, value_name = "ARN")]
    pub(crate) certificate: Option<String>,
    /// The zone of Route 53 that the name is written into
    #[arg(long, value_name = "ID")]
    pub(crate) hosted_zone: Option<String>,
    /// From which addresses it is reached; without --domain nobody else's
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Where images lie: ecr or s3
    #[arg(long, value_name = "KIND")]
    pub(crate) registry: Option<String>,
    /// The name under which task definitions name images [default: the domain]
    #[arg(long, value_name = "HOST")]
    pub(crate) registry_name: Option<String>,
    /// A rule of the image map; may be given several times
    #[arg(long, visible_alias = "docker-repo-override", value_name = "PREFIX|TARGET")]
    pub(crate) image_map: Vec<String>,
    /// An account that may pull; may be given several times
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) grant_account: Vec<String>,
    /// An organization whose accounts may pull
    #[arg(long, value_name = "o-…", value_delimiter = ',')]
    pub(crate) grant_organization: Vec<String>,
    /// How many servers
    #[arg(long, value_name = "N")]
    pub(crate) copies: Option<u8>,
    /// Fargate's CPU units of a server
    #[arg(long, value_name = "UNITS")]
    pub(crate) cpu: Option<u32>,
    /// Fargate's memory of a server
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u32>,
    /// A further variable of the servers' environment; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) server_env: Vec<String>,
    #[command(flatten)]
    pub(crate) former: Former,
}

/// Flags of the predecessor that mean nothing any more: whoever gives one is told what to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Former {
    /// A key of AWS; credentials are found as every AWS tool finds them
    #[arg(long, hide = true)]
    pub(crate) aws_access_key: Option<String>,
    /// A key of AWS; credentials are found as every AWS tool finds them
    #[arg(long, hide = true)]
    pub(crate) aws_secret_key: Option<String>,
    /// A key of SSH; nothing is reached by one
    #[arg(long, hide = true)]
    pub(crate) aws_ssh_key_pair: Option<String>,
    /// A Docker login for hosts; images come from ECR
    #[arg(long, hide = true)]
    pub(crate) docker_path: Option<String>,
    /// Where the servers' image came from; it is made of this program
    #[arg(long, hide = true)]
    pub(crate) docker_registry: Option<String>,
    /// A module of Terraform; there is none
    #[arg(long, hide = true)]
    pub(crate) module_source: Option<String>,
}
