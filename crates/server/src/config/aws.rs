//! What an instance on AWS must know of its account.

use super::{ConfigError, Given};

/// What an instance on AWS must know of its account. Credentials are no part of it: they come from the SDK's own chain.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AwsConfig {
    /// The region; `None` for what the SDK finds.
    pub(crate) region: Option<String>,
    /// What stands in for all of AWS, for emulators.
    pub(crate) endpoint_url: Option<String>,
    /// What stands in for AWS's Security Token Service, for emulators.
    pub(crate) sts: Option<String>,
    /// The DynamoDB table that keeps the state; `None` for the data directory.
    pub(crate) table: Option<String>,
    /// The VPC.
    pub(crate) vpc: String,
    /// Subnets for tasks, machines and private load balancers.
    pub(crate) private_subnets: Vec<String>,
    /// Subnets for public load balancers.
    pub(crate) public_subnets: Vec<String>,
    /// The role that pulls images and writes logs.
    pub(crate) execution_role: Option<String>,
    /// The instance profile of machines.
    pub(crate) machine_profile: Option<String>,
    /// Whether tasks get a public address.
    pub(crate) public_ip: bool,
    /// How many times as fast as usual AWS is called; `None` for once.
    pub(crate) rate: Option<f64>,
}

impl AwsConfig {
    pub(super) fn load(find: &dyn Fn(&str, &[&str]) -> Option<Given>) -> Result<Self, ConfigError> {
        let text = |key: &str, variable: &str| find(key, &[variable]).map(|given| given.text);
        let mut aws = Self {
            region: find("aws_region", &["LAYER0_AWS_REGION"]).map(|given| given.text),
            endpoint_url: match find("endpoint_url", &["LAYER0_ENDPOINT_URL"]) {
                Some(given) if !given.text.starts_with("http://") && !given.text.starts_with("https://") => {
                    return Err(given.wrong("is no URL, such as `http://127.0.0.1:4566`"));
                }
                given => given.map(|given| given.text),
            },
            table: match find("table", &["LAYER0_TABLE"]) {
                // `TableName` of the DynamoDB API.
                Some(given) if !is_table_name(&given.text) => {
                    return Err(given.wrong("is no table's name: 3 to 255 letters, digits, `_`, `-` and `.`"));
                }
                Some(given) if !cfg!(feature = "aws") => {
                    return Err(given.wrong("needs an executable that is built with `--features aws`"));
                }
                given => given.map(|given| given.text),
            },
            vpc: text("aws_vpc", "LAYER0_AWS_VPC").unwrap_or_default(),
            private_subnets: names(text("aws_private_subnets", "LAYER0_AWS_PRIVATE_SUBNETS")),
            public_subnets: names(text("aws_public_subnets", "LAYER0_AWS_PUBLIC_SUBNETS")),
            execution_role: match find("aws_execution_role", &["LAYER0_AWS_EXECUTION_ROLE"]) {
                Some(given) if !given.text.starts_with("arn:") => {
                    return Err(given.wrong("is no role's ARN, such as `arn:aws:iam::123456789012:role/l0-execution`"));
                }
                given => given.map(|given| given.text),
            },
            machine_profile: match find("aws_machine_profile", &["LAYER0_AWS_MACHINE_PROFILE"]) {
                Some(given) if !is_profile(&given.text) => {
                    return Err(given.wrong("is no name of an instance profile: 1 to 64 letters, digits and `+=,.@_-`"));
                }
                given => given.map(|given| given.text),
            },
            public_ip: match find("aws_public_ip", &["LAYER0_AWS_PUBLIC_IP"]) {
                Some(given) => given.boolean()?,
                None => false,
            },
            sts: None,
            rate: find("aws_rate", &["LAYER0_AWS_RATE"]).map(|given| rate(&given)).transpose()?,
        };
        // As the SDK's clients read it, which the rest of AWS is called with.
        let of_sts = || find("", &["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]).map(|given| given.text);
        aws.sts = aws.endpoint_url.clone().or_else(of_sts);
        Ok(aws)
    }

    /// What is missing for the engine `ecs`.
    pub(super) fn complete(&self) -> Result<(), ConfigError> {
        let missing = match (self.vpc.is_empty(), self.private_subnets.is_empty()) {
            (true, _) => "the VPC: `--aws-vpc vpc-…`",
            (false, true) => "subnets for what runs: `--aws-private-subnets subnet-…,subnet-…`",
            (false, false) => return Ok(()),
        };
        Err(ConfigError::Flags(format!("the engine `ecs` has to know {missing}")))
    }
}

/// How many times as fast as usual. So far from 1 that it can't be meant, it is a mistake.
fn rate(given: &Given) -> Result<f64, ConfigError> {
    match given.text.parse::<f64>() {
        Ok(times) if (0.01..=1000.0).contains(&times) => Ok(times),
        _ => Err(given.wrong("must be a number from 0.01 to 1000")),
    }
}

fn is_table_name(text: &str) -> bool {
    (3..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// `InstanceProfileName` of the IAM API.
fn is_profile(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
}

/// Names separated by commas.
fn names(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
