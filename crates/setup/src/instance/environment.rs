//! Further settings of the servers, from `[server.environment]`: what must not be among them, with the reason.

use std::collections::BTreeMap;

/// What the stack sets itself, sorted.
pub(crate) const OWN: &[&str] = &[
    "LAYER0_ACCOUNT_GRANTS_TO",
    "LAYER0_ADMIN_TOKEN",
    "LAYER0_ADMIN_TOKEN_FOR",
    "LAYER0_AWS_EXECUTION_ROLE",
    "LAYER0_AWS_MACHINE_PROFILE",
    "LAYER0_AWS_PRIVATE_SUBNETS",
    "LAYER0_AWS_PUBLIC_IP",
    "LAYER0_AWS_PUBLIC_SUBNETS",
    "LAYER0_AWS_REGION",
    "LAYER0_AWS_VPC",
    "LAYER0_DATA_DIR",
    "LAYER0_ECR_PREFIX",
    "LAYER0_ENGINE",
    "LAYER0_IMAGE_MAP",
    "LAYER0_INSTANCE",
    "LAYER0_LISTEN",
    "LAYER0_PORT",
    "LAYER0_REGISTRY_BACKING",
    "LAYER0_REGISTRY_NAME",
    "LAYER0_S3_BUCKET",
    "LAYER0_STOP_DELAY",
    "LAYER0_STOP_GRACE",
    "LAYER0_TABLE",
    "LAYER0_TRUSTED_PROXY",
];

/// Parts of names that speak of secrets.
const SECRETS: [&str; 4] = ["TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];

/// A path at the address that every task has for its role's credentials, and no secret: emulators of ECS don't set it.
const PATH: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";

/// What makes the SDK of AWS somebody else than the servers' role.
const IDENTITY: [&str; 5] =
    ["AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN"];

/// The most variables.
const COUNT_MAX: usize = 50;
/// The longest value in bytes. A task definition has 64 KiB for everything ("Amazon ECS service quotas").
const VALUE_MAX: usize = 512;
/// The longest name.
const NAME_MAX: usize = 128;

/// Why some of the variables can't be set.
pub(super) fn refusals(environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut all: Vec<String> = environment.iter().filter_map(|(name, value)| refusal(name, value)).collect();
    if environment.len() > COUNT_MAX {
        all.push(format!("{} variables; {COUNT_MAX} can be", environment.len()));
    }
    all
}

/// The value is never part of the reason: it may be a secret after all.
fn refusal(name: &str, value: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(legal) || name.as_bytes()[0].is_ascii_digit() {
        return Some(format!(
            "`{}` is no variable's name: capital letters, digits and `_`, no digit first",
            name.chars().take(NAME_MAX).collect::<String>().escape_default()
        ));
    }
    if OWN.contains(&name) {
        return Some(format!("{name} is set by `l0 setup` itself"));
    }
    let is_secret = SECRETS.iter().any(|word| name.contains(word)) || name.ends_with("_KEY");
    if is_secret && !(name == PATH && value.starts_with('/')) {
        return Some(format!(
            "{name} looks like a secret, and what stands here can be read in the task definition; Layer0 needs none here"
        ));
    }
    if IDENTITY.contains(&name) {
        return Some(format!("{name} would make the servers somebody else: they work with their own role"));
    }
    if value.len() > VALUE_MAX {
        return Some(format!("{name} has {} bytes; {VALUE_MAX} can be", value.len()));
    }
    if value.chars().any(char::is_control) {
        return Some(format!("{name} has a line break or another control character"));
    }
    // CloudFormation would put something else in its place, a secret for example.
    value.contains("{{").then(|| format!("{name} has `{{{{`, which CloudFormation reads as a reference"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_elsewhere_and_what_is_secret_has_no_place() {
        for (name, value, words) in [
            ("LAYER0_TABLE", "x", "itself"),
            ("GITHUB_TOKEN", "x", "secret"),
            ("DB_PASSWORD_FILE", "x", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "x", "secret"),
            ("AWS_SHARED_CREDENTIALS_FILE", "x", "secret"),
            ("SIGNING_KEY", "x", "secret"),
            ("AWS_ACCESS_KEY_ID", "x", "somebody else"),
            ("layer0_log", "x", "no variable's name"),
            ("7UP", "x", "no variable's name"),
            ("", "x", "no variable's name"),
            ("LAYER0_LOG", "a\nb", "control character"),
            ("LAYER0_LOG", "{{resolve:secretsmanager:x}}", "reference"),
        ] {
            let why = refusal(name, value).unwrap_or_else(|| panic!("{name}={value} is taken"));
            assert!(why.contains(words), "{name}: {why}");
        }
        assert!(refusal("LAYER0_LOG", &"x".repeat(513)).is_some_and(|why| why.contains("513 bytes")));
        let long = refusal("PLAIN", &format!("hunter2{}", "x".repeat(600))).expect("refused");
        assert!(!long.contains("hunter2"), "{long}");
        for (name, value) in [("LAYER0_LOG", "layer0=debug"), ("LAYER0_AWS_RATE", "0.5"), ("AWS_MAX_ATTEMPTS", "5")] {
            assert_eq!(refusal(name, value), None, "{name}");
        }
    }

    #[test]
    fn what_the_stack_sets_is_sorted_and_there_is_a_bound() {
        assert!(OWN.is_sorted());
        let many: BTreeMap<String, String> = (0..51).map(|at| (format!("A{at}"), String::new())).collect();
        assert_eq!(refusals(&many), ["51 variables; 50 can be"]);
    }
}
