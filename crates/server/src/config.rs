//! The configuration: flags, then environment, then the TOML file, then defaults; read once.

mod args;
mod aws;
mod ecr;
mod environment;
mod file;
mod gc;
mod grants;
mod mirrors;
mod page;
mod provider;
mod registries;
mod s3;
mod template;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use layer0_domain::model::access::Secret;
use layer0_domain::model::image_map::MapRule;
use layer0_domain::ops::token::{WeakSecret, given_secret};

pub(crate) use args::{Asked, ParsedArgs, parse};
pub(crate) use aws::AwsConfig;
pub(crate) use ecr::EcrConfig;
pub(crate) use environment::ENVIRONMENT;
pub(crate) use gc::GcConfig;
pub(crate) use grants::{GrantsConfig, GrantsKept};
pub(crate) use mirrors::{MirrorAs, MirrorConfig};
pub use page::configuration_page;
pub(crate) use provider::ProviderConfig;
pub(crate) use registries::RegistriesConfig;
pub(crate) use s3::S3Config;
use values::{default_data_dir, engine, image_map, instance, listen, log, registry_host, seconds};

use crate::stop::StopTimes;

/// The variable with the first admin token. No flag, which every process of the machine could read, and no key of the file.
const ADMIN_TOKEN: &str = "LAYER0_ADMIN_TOKEN";

/// What that secret was made for.
const ADMIN_TOKEN_FOR: &str = "LAYER0_ADMIN_TOKEN_FOR";

/// Which engine runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// A Docker Engine.
    Docker,
    /// ECS on AWS.
    Ecs,
    /// The fake: everything as if, nothing runs.
    Fake,
    /// None: the registry alone.
    None,
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
    /// What it was made for: with another one it is the first token anew.
    pub(crate) admin_token_for: Option<String>,
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

/// Whether there is something by that name, a link to what is not there among it: that is a mistake, and no reason to start without.
fn is_given(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound)
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
                match data_dir.map(|dir| dir.join("layer0.toml")).filter(|path| is_given(path)) {
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
            admin_token_for: variable(ADMIN_TOKEN_FOR),
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

#[cfg(test)]
mod tests;
