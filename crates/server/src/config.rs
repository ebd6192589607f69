//! The configuration: flags, then environment, then the TOML file, then defaults; read once.

mod args;
mod aws;
mod ecr;
mod file;
mod gc;
mod grants;
mod mirrors;
mod page;
mod provider;
mod registries;
mod s3;
mod template;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use layer0_domain::model::access::Secret;
use layer0_domain::model::image_map::{ImageMap, MapRule};
use layer0_domain::ops::token::{WeakSecret, given_secret};

pub(crate) use args::{Asked, ParsedArgs, parse};
pub(crate) use aws::AwsConfig;
pub(crate) use ecr::EcrConfig;
pub(crate) use gc::GcConfig;
pub(crate) use grants::{GrantsConfig, GrantsKept};
pub(crate) use mirrors::{MirrorAs, MirrorConfig};
pub use page::configuration_page;
pub(crate) use provider::ProviderConfig;
pub(crate) use registries::RegistriesConfig;
pub(crate) use s3::S3Config;

use crate::stop::StopTimes;

/// Environment variables that are read, with what each sets. The reference page is made from this table.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("LAYER0_CONFIG", "the TOML file (flag `--config`)"),
    ("LAYER0_DATA_DIR", "the data directory (flag `--data-dir`, key `data_dir`)"),
    ("LAYER0_LISTEN", "address and port to listen on (flag `--listen`, key `listen`)"),
    (
        "LAYER0_ADMIN_TOKEN",
        "the first admin token of a new instance, in place of one that is made and shown: 43 random letters and digits or more, behind `l0_` or not. The environment alone: it is a secret. Not looked at once the instance has had its first token",
    ),
    ("LAYER0_PORT", "the port alone, on 127.0.0.1 (flag `--port`); LAYER0_LISTEN wins over it"),
    ("LAYER0_INSTANCE", "the instance's name (flag `--instance`, key `instance`)"),
    (
        "LAYER0_REGISTRY_NAME",
        "the name of the registry in task definitions (flag `--registry-name`, key `registry_name`)",
    ),
    (
        "LAYER0_REGISTRY_ADDRESS",
        "where the engine reaches the registry (flag `--registry-address`, key `registry_address`)",
    ),
    ("LAYER0_IMAGE_MAP", "map rules, `prefix|target`, separated by commas (flag `--image-map`, key `image_map`)"),
    ("ECR_BACKED_REPO", "the older name of LAYER0_IMAGE_MAP, read when that is not set"),
    ("LAYER0_DOCKER_REPO_OVERRIDE", "the oldest name of LAYER0_IMAGE_MAP, read when neither of the others is set"),
    ("LAYER0_CREATE_ON_PUSH", "`true`: a push makes the repository (flag `--create-on-push`, key `create_on_push`)"),
    ("LAYER0_REGISTRY_CHALLENGE", "`bearer` or `basic`: how clients are asked to sign in (key `registry_challenge`)"),
    (
        "LAYER0_TRUSTED_PROXY",
        "`true`: a TLS proxy stands in front, its X-Forwarded-Proto and X-Forwarded-For are believed (flag `--trusted-proxy`, key `trusted_proxy`)",
    ),
    ("LAYER0_OIDC_ISSUER", "the provider at which people sign in (flag `--oidc-issuer`, key `oidc_issuer`)"),
    ("LAYER0_OIDC_CLIENT_ID", "as what this server is known there (flag `--oidc-client-id`, key `oidc_client_id`)"),
    (
        "LAYER0_OIDC_CLIENT_SECRET",
        "the client's secret there. The environment alone; none for a public client, and none beside a file with it",
    ),
    (
        "LAYER0_OIDC_CLIENT_SECRET_FILE",
        "a file with the client's secret (flag `--oidc-client-secret-file`, key `oidc_client_secret_file`)",
    ),
    (
        "LAYER0_OIDC_SCOPES",
        "what the provider is asked for, `openid` among it, separated by commas (flag `--oidc-scopes`, key `oidc_scopes`)",
    ),
    (
        "LAYER0_OIDC_GROUPS_CLAIM",
        "the claim with somebody's groups (flag `--oidc-groups-claim`, key `oidc_groups_claim`)",
    ),
    ("LAYER0_OIDC_NAME_CLAIM", "the claim with somebody's name (flag `--oidc-name-claim`, key `oidc_name_claim`)"),
    (
        "LAYER0_OIDC_GROUPS",
        "what groups give, `platform=team:writer,operators=admin` (flag `--oidc-groups`, key `oidc_groups`, there a list too)",
    ),
    (
        "LAYER0_OIDC_HOURS",
        "how many hours a token lives that a sign-in at the provider gives (flag `--oidc-hours`, key `oidc_hours`)",
    ),
    ("LAYER0_ENGINE", "`docker`, `ecs` or `fake` (flag `--engine`, key `engine`)"),
    ("LAYER0_DOCKER_HOST", "where the Docker engine is, else DOCKER_HOST (flag `--docker-host`, key `docker_host`)"),
    (
        "LAYER0_PUBLIC_ADDRESS",
        "the address in the URLs of public load balancers (flag `--public-address`, key `public_address`)",
    ),
    ("LAYER0_AWS_REGION", "the region, else AWS_REGION or a profile's (flag `--aws-region`, key `aws_region`)"),
    (
        "LAYER0_ENDPOINT_URL",
        "what stands in for all of AWS, else AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> (flag `--endpoint-url`, key `endpoint_url`)",
    ),
    (
        "LAYER0_TABLE",
        "a DynamoDB table for the state in place of the data directory; several servers may share it (flag `--table`, key `table`)",
    ),
    ("LAYER0_AWS_VPC", "the VPC that everything stands in (flag `--aws-vpc`, key `aws_vpc`)"),
    (
        "LAYER0_AWS_PRIVATE_SUBNETS",
        "subnets for tasks, machines and private load balancers, separated by commas (flag `--aws-private-subnets`, key `aws_private_subnets`)",
    ),
    (
        "LAYER0_AWS_PUBLIC_SUBNETS",
        "subnets for public load balancers, separated by commas (flag `--aws-public-subnets`, key `aws_public_subnets`)",
    ),
    (
        "LAYER0_AWS_EXECUTION_ROLE",
        "the role that pulls images and writes logs, for deploys that name none (flag `--aws-execution-role`, key `aws_execution_role`)",
    ),
    (
        "LAYER0_AWS_MACHINE_PROFILE",
        "the instance profile of machines, whose role has the same name (flag `--aws-machine-profile`, key `aws_machine_profile`)",
    ),
    (
        "LAYER0_AWS_PUBLIC_IP",
        "`true`: tasks get a public address, their way to ECR without NAT and endpoints (flag `--aws-public-ip`, key `aws_public_ip`)",
    ),
    (
        "LAYER0_AWS_RATE",
        "how fast AWS is called: 2 is twice as fast as usual, 0.5 half as fast (flag `--aws-rate`, key `aws_rate`)",
    ),
    (
        "LAYER0_REGISTRY_BACKING",
        "where images lie: `disk`, `s3` or `ecr` (flag `--registry-backing`, key `registry_backing`)",
    ),
    ("LAYER0_S3_BUCKET", "the bucket that images lie in with `s3` (flag `--s3-bucket`, key `s3_bucket`)"),
    ("LAYER0_S3_PREFIX", "what stands before all keys in the bucket (flag `--s3-prefix`, key `s3_prefix`)"),
    (
        "LAYER0_S3_REDIRECT",
        "`true`: clients fetch blobs from S3 at a signed address (flag `--s3-redirect`, key `s3_redirect`)",
    ),
    (
        "LAYER0_REGISTRY_STREAM",
        "`true`: blobs of ECR go through the server (flag `--registry-stream`, key `registry_stream`)",
    ),
    ("LAYER0_ECR_PREFIX", "what stands before all names in ECR (flag `--ecr-prefix`, key `ecr_prefix`)"),
    ("LAYER0_ECR_HOST", "the name of ECR's registry for those who pull (flag `--ecr-host`, key `ecr_host`)"),
    (
        "LAYER0_ECR_IMMUTABLE_TAGS",
        "`true`: tags of new repositories can't be moved (flag `--ecr-immutable-tags`, key `ecr_immutable_tags`)",
    ),
    (
        "LAYER0_ECR_SCAN_ON_PUSH",
        "`true`: ECR scans what is pushed to new repositories (flag `--ecr-scan-on-push`, key `ecr_scan_on_push`)",
    ),
    ("LAYER0_ECR_KMS_KEY", "the KMS key of new repositories (flag `--ecr-kms-key`, key `ecr_kms_key`)"),
    (
        "LAYER0_ECR_LIFECYCLE_POLICY",
        "the lifecycle policy of new repositories: JSON, or a file with it (flag `--ecr-lifecycle-policy`, key `ecr_lifecycle_policy`)",
    ),
    (
        "LAYER0_ECR_KEEP_UNTAGGED_DAYS",
        "a lifecycle policy by which images without a tag go after so many days (flag `--ecr-keep-untagged-days`, key `ecr_keep_untagged_days`)",
    ),
    ("LAYER0_ECR_TAGS", "tags of new repositories, `team=web,cost=7` (flag `--ecr-tags`, key `ecr_tags`)"),
    (
        "LAYER0_ACCOUNT_GRANTS",
        "`on`: account grants are written into the policies of the account's ECR registry, and kept true; `report-only`: what comes undone is only reported; `off` (flag `--account-grants`, key `account_grants`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_TO",
        "who may pull everything: accounts, `org:o-…` and `ou:o-…/ou-…`, separated by commas; `none` for nobody. What is new in it is granted at the start, and what has left it is taken back (flag `--account-grants-to`, key `account_grants_to`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_EVERY",
        "how many minutes pass between two looks at all policies (flag `--account-grants-every`, key `account_grants_every`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_STRATEGY",
        "in which documents account grants stand: `repositories`, `registry` or `organization` (flag `--account-grants-strategy`, key `account_grants_strategy`)",
    ),
    (
        "LAYER0_STOP_DELAY",
        "for how many seconds after SIGTERM all goes on while `/health` answers 503, for a load balancer to notice (flag `--stop-delay`, key `stop_delay`)",
    ),
    (
        "LAYER0_REGISTRY_GC_EVERY",
        "how many hours after a collection of what no image needs the next begins, 0 for never (flag `--registry-gc-every`, key `registry_gc_every`)",
    ),
    (
        "LAYER0_REGISTRY_GC_GRACE",
        "how many hours a blob is kept that no image needs (flag `--registry-gc-grace`, key `registry_gc_grace`)",
    ),
    (
        "LAYER0_REGISTRY_MIRRORS",
        "prefixes that mirror other registries, `hub=https://registry-1.docker.io`, separated by commas (flag `--registry-mirrors`, key `registry_mirrors`)",
    ),
    (
        "LAYER0_STOP_GRACE",
        "how many seconds requests that run may then take to end (flag `--stop-grace`, key `stop_grace`)",
    ),
    ("LAYER0_LOG", "what is logged: `info`, `debug`, `layer0_server=debug` (flag `--log`, key `log`)"),
    ("LAYER0_LOG_FORMAT", "`text` or `json` (flag `--log-format`, key `log_format`)"),
    ("LAYER0_DEBUG", "`true`: as `--log debug`"),
];

/// The variable with the first admin token. No flag, which every process of the machine could read, and no key of the file.
const ADMIN_TOKEN: &str = "LAYER0_ADMIN_TOKEN";

/// Which engine runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// A Docker Engine.
    Docker,
    /// ECS on AWS.
    Ecs,
    /// The fake: everything as if, nothing runs.
    Fake,
}

/// How clients of the registry are asked to sign in. Both are always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeKind {
    /// With a token from `/auth/token`.
    Bearer,
    /// With user and secret on every request.
    Basic,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The configuration of a server.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The instance's name.
    pub(crate) instance: String,
    /// The name of the registry in task definitions.
    pub(crate) registry_name: String,
    /// Where the engine reaches the registry; worked out of `listen` when not given.
    pub(crate) registry_address: Option<String>,
    /// Map rules from the configuration.
    pub(crate) image_map: Vec<MapRule>,
    /// Whether a push makes the repository.
    pub(crate) create_on_push: bool,
    /// When what no image needs goes.
    pub(crate) gc: GcConfig,
    /// How clients of the registry are asked to sign in.
    pub(crate) challenge: ChallengeKind,
    /// Whether a proxy in front says which scheme clients use.
    pub(crate) trusted_proxy: bool,
    /// Whether this start makes another admin token.
    pub(crate) new_admin_token: bool,
    /// The secret of the first admin token, where it was made elsewhere.
    pub(crate) admin_token: Option<Secret>,
    /// At which provider people sign in; `None` for at none.
    pub(crate) provider: Option<ProviderConfig>,
    /// What runs containers.
    pub(crate) engine: EngineKind,
    /// Where the Docker engine is; `None` for its usual socket.
    pub(crate) docker_host: Option<String>,
    /// The address in the URLs of public load balancers; worked out when not given.
    pub(crate) public_address: Option<String>,
    /// The account on AWS.
    pub(crate) aws: AwsConfig,
    /// The registries behind the instance.
    pub(crate) registries: RegistriesConfig,
    /// The prefixes that mirror other registries.
    pub(crate) mirrors: Vec<MirrorConfig>,
    /// Account grants.
    pub(crate) grants: GrantsConfig,
    /// How a stop goes.
    pub(crate) stop: StopTimes,
    /// What is logged.
    pub(crate) log: String,
    /// How it looks.
    pub(crate) log_format: LogFormat,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A flag is wrong; the text says all.
    #[error("{0}")]
    Flags(String),
    /// The file can't be read.
    #[error("{file}: {message}")]
    File {
        /// Which file.
        file: String,
        /// What is wrong, with the key and the line.
        message: String,
    },
    /// A value is wrong.
    #[error("{origin}: `{value}` {message}")]
    Value {
        /// The flag, variable, or file and key that it comes from.
        origin: String,
        /// The value.
        value: String,
        /// What it must be.
        message: String,
    },
    /// A secret can't be one. It is not repeated.
    #[error("{origin}")]
    Secret {
        /// The variable.
        origin: &'static str,
        /// What is wrong with it.
        #[source]
        source: WeakSecret,
    },
}

/// The kinds of places that a value comes from; a later one wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    File,
    Environment,
    Flag,
}

/// A value as text, with where it comes from.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    source: Source,
    origin: String,
}

impl Given {
    fn wrong(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::Value { origin: self.origin.clone(), value: self.text.clone(), message: message.into() }
    }

    fn boolean(&self) -> Result<bool, ConfigError> {
        match self.text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => Ok(true),
            "0" | "f" | "false" | "" => Ok(false),
            _ => Err(self.wrong("must be `true` or `false`")),
        }
    }
}

/// Looks a key up: flag, then environment, then file.
struct Sources<'a> {
    args: &'a ParsedArgs,
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: file::FileConfig,
    file_name: String,
}

impl Sources<'_> {
    fn find(&self, key: &str, variables: &[&str]) -> Option<Given> {
        let flag = key.replace('_', "-");
        if let Some(text) = self.args.values.get(flag.as_str()) {
            return Some(Given { text: text.clone(), source: Source::Flag, origin: format!("--{flag}") });
        }
        for variable in variables {
            if let Some(text) = (self.environment)(variable).filter(|text| !text.is_empty()) {
                return Some(Given { text, source: Source::Environment, origin: (*variable).to_owned() });
            }
        }
        let text = self.file.get(key)?;
        Some(Given { text, source: Source::File, origin: format!("{}: {key}", self.file_name) })
    }
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// [`ConfigError`] names the flag, variable, or file and key.
    pub(crate) fn load(args: &ParsedArgs, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let variable = |name: &str| environment(name).filter(|text| !text.is_empty());
        let data_dir_given = args.values.get("data-dir").cloned().or_else(|| variable("LAYER0_DATA_DIR"));
        let (file, file_name) = match args.values.get("config").cloned().or_else(|| variable("LAYER0_CONFIG")) {
            Some(path) => (file::read(&PathBuf::from(&path))?, path),
            None => {
                let data_dir = data_dir_given.map(PathBuf::from).or_else(|| default_data_dir(environment));
                match data_dir.map(|dir| dir.join("layer0.toml")).filter(|path| path.exists()) {
                    Some(path) => (file::read(&path)?, path.display().to_string()),
                    None => (file::FileConfig::default(), String::new()),
                }
            }
        };
        let sources = Sources { args, environment, file, file_name };
        let find = |key: &str, variables: &[&str]| sources.find(key, variables);

        let data_dir = match find("data_dir", &["LAYER0_DATA_DIR"]) {
            Some(given) => PathBuf::from(given.text),
            None => default_data_dir(environment)
                .ok_or_else(|| ConfigError::Flags("say where everything is to be kept: `--data-dir DIR`".to_owned()))?,
        };
        let engine = match find("engine", &["LAYER0_ENGINE"]) {
            None => EngineKind::Docker,
            Some(given) => engine(&given)?,
        };
        let aws = AwsConfig::load(&find)?;
        let registries = RegistriesConfig::load(engine, &find, &sources.file.registry, &sources.file_name)?;
        let mirrors =
            mirrors::load(&find, environment, &sources.file.mirror, &sources.file_name, &registries.placement)?;
        if engine == EngineKind::Ecs {
            aws.complete()?;
        }
        Ok(Self {
            data_dir,
            listen: listen(find("listen", &["LAYER0_LISTEN"]), find("port", &["LAYER0_PORT"]))?,
            instance: match find("instance", &["LAYER0_INSTANCE"]) {
                Some(given) => instance(&given)?,
                None => "local".to_owned(),
            },
            registry_name: match find("registry_name", &["LAYER0_REGISTRY_NAME"]) {
                Some(given) => registry_host(&given)?,
                None => "registry.layer0.test".to_owned(),
            },
            registry_address: match find("registry_address", &["LAYER0_REGISTRY_ADDRESS"]) {
                Some(given) => Some(registry_host(&given)?),
                None => None,
            },
            image_map: match find("image_map", &["LAYER0_IMAGE_MAP", "ECR_BACKED_REPO", "LAYER0_DOCKER_REPO_OVERRIDE"])
            {
                Some(given) => image_map(&given)?,
                None => vec![],
            },
            create_on_push: match find("create_on_push", &["LAYER0_CREATE_ON_PUSH"]) {
                Some(given) => given.boolean()?,
                None => false,
            },
            gc: GcConfig::load(&find)?,
            challenge: match find("registry_challenge", &["LAYER0_REGISTRY_CHALLENGE"]) {
                None => ChallengeKind::Bearer,
                Some(given) => match given.text.as_str() {
                    "bearer" => ChallengeKind::Bearer,
                    "basic" => ChallengeKind::Basic,
                    _ => return Err(given.wrong("must be `bearer` or `basic`")),
                },
            },
            trusted_proxy: match find("trusted_proxy", &["LAYER0_TRUSTED_PROXY"]) {
                Some(given) => given.boolean()?,
                None => false,
            },
            // A flag only: left in the environment or the file it would make a token at each start.
            new_admin_token: match find("new_admin_token", &[]) {
                Some(given) => given.boolean()?,
                None => false,
            },
            admin_token: match variable(ADMIN_TOKEN) {
                Some(text) => {
                    Some(given_secret(&text).map_err(|source| ConfigError::Secret { origin: ADMIN_TOKEN, source })?)
                }
                None => None,
            },
            provider: ProviderConfig::load(&find, &variable)?,
            engine,
            aws,
            grants: GrantsConfig::load(&find, engine, !registries.ecr.is_empty())?,
            registries,
            mirrors,
            docker_host: find("docker_host", &["LAYER0_DOCKER_HOST", "DOCKER_HOST"]).map(|given| given.text),
            public_address: find("public_address", &["LAYER0_PUBLIC_ADDRESS"]).map(|given| given.text),
            stop: StopTimes {
                delay: seconds(find("stop_delay", &["LAYER0_STOP_DELAY"]), StopTimes::default().delay)?,
                grace: seconds(find("stop_grace", &["LAYER0_STOP_GRACE"]), StopTimes::default().grace)?,
            },
            log: log(find("log", &["LAYER0_LOG"]), find("debug", &["LAYER0_DEBUG"]))?,
            log_format: match find("log_format", &["LAYER0_LOG_FORMAT"]) {
                None => LogFormat::Text,
                Some(given) => match given.text.as_str() {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return Err(given.wrong("must be `text` or `json`")),
                },
            },
        })
    }
}

fn default_data_dir(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let variable = |name: &str| environment(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let base = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("layer0"))
}

/// A log filter wins over `--debug` from the same source, not over one from a stronger source.
fn log(filter: Option<Given>, debug: Option<Given>) -> Result<String, ConfigError> {
    let debug = match debug {
        Some(given) => given.boolean()?.then_some(given),
        None => None,
    };
    Ok(match (filter, debug) {
        (Some(filter), Some(debug)) if debug.source <= filter.source => filter.text,
        (_, Some(_)) => "debug".to_owned(),
        (Some(filter), None) => filter.text,
        (None, None) => "info".to_owned(),
    })
}

/// An address with its port wins over a port from the same source, not over one from a stronger source.
fn listen(address: Option<Given>, port: Option<Given>) -> Result<SocketAddr, ConfigError> {
    let stronger = |given: &Given| port.as_ref().is_none_or(|port| port.source <= given.source);
    if let Some(given) = address.filter(stronger) {
        let text = match given.text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None if given.text.starts_with(':') => format!("0.0.0.0{}", given.text),
            None => given.text.clone(),
        };
        return text.parse().map_err(|_| given.wrong("is no address and port, such as `127.0.0.1:9090`"));
    }
    let port = match port {
        Some(given) => given.text.parse().map_err(|_| given.wrong("is no port (0 to 65535)"))?,
        None => 9090,
    };
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Seconds of a stop. Nobody waits an hour for one.
fn seconds(given: Option<Given>, usual: Duration) -> Result<Duration, ConfigError> {
    let Some(given) = given else { return Ok(usual) };
    match given.text.parse() {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(given.wrong("must be a number of seconds from 0 to 3600")),
    }
}

/// The rule of the predecessor's instance names, so that `l0-<instance>-<id>` fits everywhere.
fn instance(given: &Given) -> Result<String, ConfigError> {
    let text = &given.text;
    let legal = text.len() <= 16
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if legal {
        Ok(text.clone())
    } else {
        Err(given.wrong("must be 1 to 16 lower-case letters and digits, a letter first"))
    }
}

/// A host that an image can begin with.
fn registry_host(given: &Given) -> Result<String, ConfigError> {
    let probe = layer0_domain::model::image::ImageRef::parse(&format!("{}/x", given.text));
    match probe {
        Ok(image) if image.host() == Some(given.text.as_str()) => Ok(given.text.clone()),
        _ => Err(given.wrong("is no registry host, such as `registry.example.com` or `localhost:9090`")),
    }
}

fn image_map(given: &Given) -> Result<Vec<MapRule>, ConfigError> {
    match ImageMap::parse_list(&given.text) {
        Ok(map) => Ok(map.rules().to_vec()),
        Err(why) => {
            let mut message = format!("is no image map: {why}");
            let mut source = std::error::Error::source(&why);
            while let Some(inner) = source {
                message = format!("{message}: {inner}");
                source = inner.source();
            }
            Err(given.wrong(message))
        }
    }
}

fn engine(given: &Given) -> Result<EngineKind, ConfigError> {
    match given.text.as_str() {
        "docker" => Ok(EngineKind::Docker),
        "fake" => Ok(EngineKind::Fake),
        "ecs" if cfg!(feature = "aws") => Ok(EngineKind::Ecs),
        "ecs" => Err(given.wrong("is not built into this executable: build it with `--features aws`")),
        _ => Err(given.wrong("is no engine; `docker`, `ecs` and `fake` are")),
    }
}

#[cfg(test)]
mod tests;
