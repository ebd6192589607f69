//! The keyring of the system, through the helpers that Docker's users have for it (`docker-credential-secretservice`,
//! `-pass`, `-osxkeychain`, `-wincred`): programs that are asked on standard input and answer on standard output
//! (docker/docker-credential-helpers, package `client`). Why these and no library: `docs/decisions/0013`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::engines;
use crate::error::{CliError, Exit};
use crate::settings::{Secret, set};

/// Which keyring: a name behind `docker-credential-`, or `none` for the file.
pub(crate) const ENV_KEYRING: &str = "LAYER0_KEYRING";
/// No keyring: the file, which is for its owner only.
const NONE: &str = "none";
/// Our own name there, which would ask itself.
pub(crate) const OURSELVES: &str = "layer0";
/// What every helper says of a credential that it has not (package `credentials`, `errCredentialsNotFoundMessage`).
pub(crate) const NOT_FOUND: &str = "credentials not found in native keychain";

/// A keyring.
pub(crate) struct Keyring<'a> {
    /// What stands behind `docker-credential-`.
    pub(crate) name: String,
    program: PathBuf,
    env: &'a BTreeMap<String, String>,
}

/// What `get` answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Whether somebody named a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// By flag or variable: it must work.
    Named,
    /// By what is there: when it does not work, the file will do.
    Found,
}

impl<'a> Keyring<'a> {
    /// The keyring to keep a new login in: the one that is named, else the one that Docker is set to use for all hosts, else
    /// the system's, where its helper is installed. `None` for the file.
    pub(crate) fn choose(
        named: Option<&str>,
        env: &'a BTreeMap<String, String>,
    ) -> Result<Option<(Self, Chosen)>, CliError> {
        match named.or_else(|| set(env, ENV_KEYRING)) {
            Some(NONE) => return Ok(None),
            Some(name) => return Ok(Some((Self::named(name, env)?, Chosen::Named))),
            None => {}
        }
        let of_docker = engines::creds_store(env);
        let of_system = system(env).into_iter().map(str::to_owned);
        let found = of_docker.into_iter().chain(of_system).find_map(|name| Self::named(&name, env).ok());
        Ok(found.map(|keyring| (keyring, Chosen::Found)))
    }

    /// The keyring of this name, if its helper is installed.
    pub(crate) fn named(name: &str, env: &'a BTreeMap<String, String>) -> Result<Self, CliError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name == OURSELVES || name.is_empty() || !name.chars().all(legal) {
            return Err(CliError::usage(format!("`{name}` is no keyring"))
                .hint("`none` is the file; secretservice, pass and osxkeychain are keyrings"));
        }
        let program = engines::on_path(&format!("docker-credential-{name}"), env).ok_or_else(|| {
            CliError::usage(format!("the keyring `{name}` needs the program docker-credential-{name}, which is not in PATH"))
                .hint("install it (Debian: golang-docker-credential-helpers), or keep the login in the file: `--keyring none`")
        })?;
        Ok(Self { name: name.to_owned(), program, env })
    }

    /// Keeps a secret, and makes sure that it comes back: some helpers succeed without a keyring that works.
    pub(crate) fn store(&self, url: &str, user: &str, secret: &Secret) -> Result<(), CliError> {
        let input = json!({ "ServerURL": url, "Username": user, "Secret": secret.reveal() });
        self.ask("store", &input.to_string())?;
        match self.get(url)? {
            Some((name, kept)) if name == user && kept == *secret => Ok(()),
            _ => Err(self.error("store", "what was kept does not come back")),
        }
    }

    /// User and secret; `None` when it has none.
    pub(crate) fn get(&self, url: &str) -> Result<Option<(String, Secret)>, CliError> {
        let Some(text) = self.ask("get", url)? else { return Ok(None) };
        let found: Found = serde_json::from_str(&text).map_err(|_| self.error("get", "it answered no JSON"))?;
        // `pass` answers an empty credential for what it has not.
        Ok((!found.username.is_empty() && !found.secret.is_empty())
            .then(|| (found.username, Secret::new(found.secret))))
    }

    /// Forgets a secret. One that is not there is forgotten.
    pub(crate) fn erase(&self, url: &str) -> Result<(), CliError> {
        self.ask("erase", url).map(drop)
    }

    /// Asks the helper; `None` when it says that there is no such credential. Its answer is a secret and never shown.
    fn ask(&self, verb: &str, input: &str) -> Result<Option<String>, CliError> {
        let mut command = Command::new(&self.program);
        command.arg(verb).env_clear().envs(self.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|why| self.error(verb, &why.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                Err(why) if why.kind() != ErrorKind::BrokenPipe => return Err(self.error(verb, &why.to_string())),
                _ => {}
            }
        }
        let done = child.wait_with_output().map_err(|why| self.error(verb, &why.to_string()))?;
        let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        if done.status.success() {
            return Ok(Some(said));
        }
        if said == NOT_FOUND {
            return Ok(None);
        }
        let talk = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        let why = [said, talk].into_iter().find(|text| !text.is_empty());
        Err(self.error(verb, why.as_deref().and_then(|text| text.lines().last()).unwrap_or("it says nothing")))
    }

    fn error(&self, verb: &str, why: &str) -> CliError {
        CliError::new(Exit::Other, format!("docker-credential-{} {verb}: {why}", self.name))
            .hint("unlock the keyring, or keep the login in the file: `l0 login --keyring none`")
    }
}

/// The helpers of this system's keyrings, the best first, as far as something there could answer them.
fn system(env: &BTreeMap<String, String>) -> Vec<&'static str> {
    if cfg!(target_os = "macos") {
        return vec!["osxkeychain"];
    }
    if cfg!(windows) {
        return vec!["wincred"];
    }
    let mut found = Vec::new();
    if set(env, "DBUS_SESSION_BUS_ADDRESS").is_some() {
        found.push("secretservice");
    }
    let passwords = set(env, "PASSWORD_STORE_DIR")
        .map(PathBuf::from)
        .or_else(|| set(env, "HOME").map(|home| PathBuf::from(home).join(".password-store")));
    // `pass init` writes it; without it the helper asks nobody and keeps nothing.
    if passwords.is_some_and(|store| store.join(".gpg-id").exists()) {
        found.push("pass");
    }
    found
}
