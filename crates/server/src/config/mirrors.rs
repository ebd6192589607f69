//! Prefixes of the registry that mirror other registries.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use layer0_domain::model::access::Secret;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::{Placement, RepositoryPrefix};
use layer0_registry::{MirrorLogin, MirrorSettings, UpstreamUrl};

use super::file::MirrorTable;
use super::{ConfigError, Given, Source};

/// The longest that a tag may be believed: a month.
const TAG_MINUTES_MAX: u64 = 31 * 24 * 60;
/// The longest password: a token of AWS has 4 KiB.
const PASSWORD_MAX: usize = 16 << 10;

/// How a mirror signs in.
#[derive(Debug, Clone)]
pub(crate) enum MirrorAs {
    /// Not at all, or by a password.
    Login(MirrorLogin),
    /// By ECR's token, in this region.
    #[cfg(feature = "aws")]
    Ecr(String),
}

/// A mirror.
#[derive(Debug, Clone)]
pub(crate) struct MirrorConfig {
    /// All of it but how it signs in.
    pub(crate) settings: MirrorSettings,
    /// How it signs in.
    pub(crate) login: MirrorAs,
}

/// The mirrors of the flag (`--registry-mirrors PREFIX=URL,…`, nobody signed in) and of the file's tables.
pub(super) fn load(
    find: &dyn Fn(&str, &[&str]) -> Option<Given>,
    environment: &dyn Fn(&str) -> Option<String>,
    tables: &[MirrorTable],
    file_name: &str,
    placement: &Placement,
) -> Result<Vec<MirrorConfig>, ConfigError> {
    let mut all = Vec::new();
    if let Some(given) = find("registry_mirrors", &["LAYER0_REGISTRY_MIRRORS"]) {
        for rule in given.text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let part = |text: &str| Given { text: text.to_owned(), ..given.clone() };
            let Some((prefix, url)) = rule.split_once('=') else {
                return Err(
                    without_user(&part(rule)).wrong("is no `PREFIX=URL`, such as `hub=https://registry-1.docker.io`")
                );
            };
            let settings = settings(&part(prefix), &part(url), placement)?;
            let login = signed_in(&settings, None, &part(url))?;
            all.push(MirrorConfig { settings, login });
        }
    }
    for table in tables {
        let given = |key: &str, value: &str| Given {
            text: value.to_owned(),
            source: Source::File,
            origin: format!("{file_name}: {key} of mirror `{}`", table.prefix),
        };
        let url = given("upstream", &table.upstream);
        let mut settings = settings(&given("prefix", &table.prefix), &url, placement)?;
        if table.docker_hub == Some(true) {
            settings.upstream = settings.upstream.like_hub();
        }
        if let Some(minutes) = table.tag_minutes {
            if minutes > TAG_MINUTES_MAX {
                let wrong = format!("must be a number of minutes from 0 to {TAG_MINUTES_MAX}");
                return Err(given("tag_minutes", &minutes.to_string()).wrong(wrong));
            }
            settings.tag_ttl = Duration::from_secs(minutes * 60);
        }
        let login = match password(table, environment, &given)? {
            Some(login) if settings.upstream.is_open() => {
                let MirrorLogin::Password { user, .. } = &login else { continue };
                return Err(
                    given("username", user).wrong("needs an upstream with https: a password would be read on the way")
                );
            }
            Some(login) => MirrorAs::Login(login),
            None => signed_in(&settings, table.ecr_region.as_deref(), &url)?,
        };
        all.push(MirrorConfig { settings, login });
    }
    Ok(all)
}

/// What may be repeated of it: nothing where it may hold a password.
fn without_user(given: &Given) -> Given {
    let text = if given.text.contains('@') { "…@…".to_owned() } else { given.text.clone() };
    Given { text, ..given.clone() }
}

fn settings(prefix: &Given, url: &Given, placement: &Placement) -> Result<MirrorSettings, ConfigError> {
    let upstream = UpstreamUrl::parse(&url.text).map_err(|why| without_user(url).wrong(why.to_string()))?;
    let legal = RepositoryPrefix::parse(&prefix.text).map_err(|_| {
        without_user(prefix).wrong("is no beginning of repositories' names, such as `hub` or `mirrors/hub`")
    })?;
    // One below it that has rules of its own, and any other.
    let below = placement.rules().iter().filter(|rule| !rule.backing.is_local()).map(|rule| rule.prefix.as_str());
    let is_elsewhere = below.map(|it| format!("{it}/name")).chain([format!("{legal}/name")]).any(|name| {
        RepositoryName::parse(&name).is_ok_and(|name| legal.covers(&name) && !placement.of(&name).is_local())
    });
    if is_elsewhere {
        return Err(prefix.wrong(
            "goes to a registry in ECR: a mirror is kept in the embedded registry (ECR has pull-through rules of its own)",
        ));
    }
    Ok(MirrorSettings::new(legal, upstream))
}

/// How a mirror without a password signs in: at ECR by the server's own role.
fn signed_in(settings: &MirrorSettings, region: Option<&str>, url: &Given) -> Result<MirrorAs, ConfigError> {
    match region.or_else(|| ecr_region(settings.upstream.host())) {
        None => Ok(MirrorAs::Login(MirrorLogin::Anonymous)),
        Some(_) if settings.upstream.is_open() => {
            Err(url.wrong("needs https: the token for ECR would be read on the way"))
        }
        #[cfg(feature = "aws")]
        Some(region) => Ok(MirrorAs::Ecr(region.to_owned())),
        #[cfg(not(feature = "aws"))]
        Some(_) => Err(url.wrong("is ECR, whose tokens this executable can't get: build it with `--features aws`")),
    }
}

/// The region of a registry in ECR: `<account>.dkr.ecr[-fips].<region>.<domain>`.
fn ecr_region(host: &str) -> Option<&str> {
    let (account, rest) = host.split_once(".dkr.ecr")?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let (region, domain) = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?.split_once('.')?;
    (is_account && domain.starts_with("amazonaws.")).then_some(region)
}

fn password(
    table: &MirrorTable,
    environment: &dyn Fn(&str) -> Option<String>,
    given: &dyn Fn(&str, &str) -> Given,
) -> Result<Option<MirrorLogin>, ConfigError> {
    if table.password.is_some() {
        return Err(given("password", "…").wrong(
            "does not stand in this file: name a file (password_file) or a variable (password_env) that it stands in",
        ));
    }
    let (origin, text) = match (&table.password_file, &table.password_env) {
        (None, None) => match &table.username {
            Some(user) => return Err(given("username", user).wrong("needs a password_file or a password_env")),
            None => return Ok(None),
        },
        (Some(file), Some(_)) => return Err(given("password_file", file).wrong("is given beside a password_env")),
        (Some(file), None) => {
            let origin = given("password_file", file);
            let text = read_secret(Path::new(file)).map_err(|why| origin.wrong(why))?;
            (origin, text)
        }
        (None, Some(variable)) => {
            let origin = given("password_env", variable);
            let text = environment(variable).ok_or_else(|| origin.wrong("is not in the environment"))?;
            (origin, text)
        }
    };
    let Some(user) = &table.username else { return Err(origin.wrong("needs a username")) };
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() || password.len() > PASSWORD_MAX || user.contains(':') {
        return Err(origin.wrong("holds no password, or the username has a colon in it"));
    }
    Ok(Some(MirrorLogin::Password { user: user.clone(), password: Secret::new(password) }))
}

/// Reads a file that others may not read.
fn read_secret(path: &Path) -> Result<String, String> {
    let failed = |why: std::io::Error| format!("can't be read: {why}");
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!("can be read by everybody (mode {:o}): chmod o-rwx", mode & 0o777));
    }
    std::fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests;
