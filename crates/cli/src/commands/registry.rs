//! `l0 registry login` and `l0 registry logout`: who answers docker and podman for a registry.

use std::path::Path;

use super::login::Local;
use crate::args::login::Registry as Verb;
use crate::credential_helper::PROGRAM;
use crate::credentials::{Credentials, Registry, is_at};
use crate::engines::{self, Entry, Helper};
use crate::error::{CliError, Exit};
use crate::identity::Evidence;
use crate::keyring::OURSELVES;
use crate::settings::{ENV_ENDPOINT, ENV_TOKEN, authority_of, set};

pub(crate) fn run(local: &Local<'_>, verb: &Verb, executable: Option<&Path>) -> Result<(), CliError> {
    match verb {
        Verb::Login { host } => login(local, host.as_deref(), executable),
        Verb::Logout { host } => logout(local, host.as_deref()),
    }
}

fn login(local: &Local<'_>, host: Option<&str>, executable: Option<&Path>) -> Result<(), CliError> {
    let known = Credentials::read(local.env)?;
    let named = local.named()?;
    let (host, endpoint) = registry(&known, named, host)?;
    let file = engines::docker_file(local.env).ok_or_else(|| {
        CliError::usage("there is no place for the settings of docker").hint("set HOME or DOCKER_CONFIG to a directory")
    })?;
    // The helper must be there before anybody is told to ask it.
    let link = program(local, executable)?;
    let own = is_at(&endpoint, &host);
    // A pipeline signs in by itself when docker asks.
    let pipeline = set(local.env, ENV_ENDPOINT).is_some() && Evidence::of_environment(local.env)?.is_some();
    let lasts = pipeline || known.endpoint_like(&endpoint).is_some();
    let signed_in = lasts || set(local.env, ENV_TOKEN).is_some();
    if !own {
        Credentials::update(local.env, |known| {
            let login = known.registries.remove(&host).filter(|it| it.endpoint == endpoint);
            let (login, token) = login.map_or((None, None), |it| (it.login, it.token));
            known.registries.insert(host.clone(), Registry { endpoint: endpoint.clone(), login, token });
            Ok(())
        })?;
    }

    configure(local, &file, &host)?;
    for file in engines::podman_files(local.env) {
        // What podman finds there comes before docker's file.
        if engines::entry(&file, &host)? != Entry::default() {
            configure(local, &file, &host)?;
        }
    }
    local.printer.message(&format!("docker and podman sign in to {host} by your login at {endpoint}"))?;
    if let Some(link) = link {
        local.printer.note(&link);
    }
    if signed_in && !lasts {
        local.printer.warn(&format!(
            "no login is stored: docker is signed in where {ENV_TOKEN} is set, as here; `l0 login {endpoint}` signs in for good"
        ));
    }
    if !signed_in {
        local.printer.warn(&format!("you are not signed in to {endpoint}: `l0 login {endpoint}`"));
    }
    Ok(())
}

/// Sets the helper in one file, and says what it took the place of.
fn configure(local: &Local<'_>, file: &Path, host: &str) -> Result<(), CliError> {
    let before = engines::entry(file, host)?;
    if !engines::set_helper(file, host, Helper::Is(OURSELVES))? {
        return Ok(());
    }
    let shown = file.display();
    local.printer.note(&format!("{shown}: `credHelpers` names `{OURSELVES}` for {host}"));
    if let Some(other) = before.helper {
        local.printer.warn(&format!("{shown}: it took the place of the helper `{other}` for {host}"));
    }
    if before.password {
        local.printer.warn(&format!("{shown}: a password for {host} is still in it, and is not used any more"));
    }
    Ok(())
}

/// The registry that is meant and the endpoint of its server.
fn registry(known: &Credentials, named: Option<String>, host: Option<&str>) -> Result<(String, String), CliError> {
    let unknown = || {
        CliError::new(Exit::NotFound, "no server is known on this machine")
            .hint("`l0 login SERVER` signs in to one; --endpoint URL names one")
    };
    let Some(host) = host else {
        let endpoint = named.or_else(|| known.default.clone()).ok_or_else(unknown)?;
        return Ok((authority_of(&endpoint).to_ascii_lowercase(), endpoint));
    };
    let host = authority_of(host).to_ascii_lowercase();
    if host.is_empty() || host.contains('@') {
        return Err(CliError::usage("that is no registry")
            .hint("a registry is a host with or without a port, as images name it"));
    }
    if let Some(endpoint) = named {
        return Ok((host, endpoint));
    }
    match known.endpoint_of_host(&host) {
        Some(endpoint) => Ok((host, endpoint.clone())),
        // A credential handed to a host by mistake is a credential lost: nothing is guessed.
        None => {
            Err(CliError::new(Exit::NotFound, format!("{host} is no host of a server that is known on this machine"))
                .hint(format!("`l0 login {host}` signs in to it"))
                .hint("a registry under another name than its server needs `--endpoint URL` of that server"))
        }
    }
}

/// Sees to it that docker finds this program under the helper's name. Answers what is left for people to do.
fn program(local: &Local<'_>, executable: Option<&Path>) -> Result<Option<String>, CliError> {
    let Some(executable) = executable else {
        return Ok(Some(format!("docker needs this program in PATH under the name {PROGRAM}")));
    };
    let same = |path: &Path| {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        real(path).is_some() && real(path) == real(executable) || is_same_file(path, executable)
    };
    match engines::on_path(PROGRAM, local.env) {
        Some(found) if same(&found) => return Ok(None),
        Some(found) => {
            return Ok(Some(format!(
                "docker will ask {}, which is another program than {}",
                found.display(),
                executable.display()
            )));
        }
        None => {}
    }
    let link = executable.with_file_name(PROGRAM);
    if !link.exists() && link_make(executable, &link).is_err() {
        return Ok(Some(format!(
            "make the helper known with: sudo ln -s {} /usr/local/bin/{PROGRAM}",
            executable.display()
        )));
    }
    if !same(&link) {
        return Ok(Some(format!("{} is another program than {}", link.display(), executable.display())));
    }
    if engines::on_path(PROGRAM, local.env).is_some() {
        return Ok(None);
    }
    let directory = link.parent().unwrap_or(Path::new("")).display().to_string();
    Ok(Some(format!("docker finds {PROGRAM} when {directory} is in PATH: export PATH=\"$PATH:{directory}\"")))
}

#[cfg(unix)]
fn link_make(executable: &Path, link: &Path) -> std::io::Result<()> {
    // By its name alone, so that both can be moved together.
    std::os::unix::fs::symlink(executable.file_name().unwrap_or_default(), link)
}

#[cfg(not(unix))]
fn link_make(executable: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::hard_link(executable, link)
}

/// Whether both are names of one file, as with a hard link.
#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()));
    identity(one).is_some() && identity(one) == identity(other)
}

#[cfg(not(unix))]
fn is_same_file(_one: &Path, _other: &Path) -> bool {
    false
}

fn logout(local: &Local<'_>, host: Option<&str>) -> Result<(), CliError> {
    let known = Credentials::read(local.env)?;
    let host = match host {
        Some(host) => authority_of(host).to_ascii_lowercase(),
        None => {
            let endpoint = local.named()?.or_else(|| known.default.clone());
            let endpoint =
                endpoint.ok_or_else(|| CliError::usage("no server is known on this machine: name the registry"))?;
            authority_of(&endpoint).to_ascii_lowercase()
        }
    };
    let files = engines::docker_file(local.env).into_iter().chain(engines::podman_files(local.env));
    let mut changed = false;
    for file in files {
        if engines::set_helper(&file, &host, Helper::IsNot(OURSELVES))? {
            local.printer.note(&format!("{}: `credHelpers` names nobody for {host} any more", file.display()));
            changed = true;
        }
    }
    let alias = known.registries.contains_key(&host);
    if alias {
        // What `docker login` left goes with it.
        crate::credential_helper::forget(&host, local.env)?;
        Credentials::update(local.env, |known| {
            known.registries.remove(&host);
            Ok(())
        })?;
    }
    if !changed && !alias {
        return Err(CliError::new(Exit::NotFound, format!("docker and podman do not ask l0 about {host}")));
    }
    local.printer.message(&format!("docker and podman do not sign in to {host} by your login any more"))
}
