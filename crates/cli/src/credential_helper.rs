//! `docker-credential-layer0`: this program under another name, in Docker's protocol for credential helpers
//! (docker/docker-credential-helpers, package `credentials`).
//!
//! ```text
//! get    stdin: the server's URL or host     stdout: {"ServerURL":…,"Username":…,"Secret":…}
//! store  stdin: that object
//! erase  stdin: the server's URL or host
//! list                                       stdout: {"host":"user",…}
//! ```
//! A failure is a sentence on stdout and exit code 1. Two sentences have a meaning to the callers and are exact:
//! [`NOT_FOUND`] (they go on without a credential) and those for what is missing in the input. docker hides every other one
//! when it pulls, and shows what is written to stderr; so the reason is written there too.
//!
//! What `get` hands out opens the registry as far as the user may, for hours, and nothing of the API
//! (`GET /token/registry`). The secret of the login itself never leaves this program.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};

use layer0_api::client::ClientError;
use layer0_api::types::{RegistryCredential, RegistryCredentialQuery};
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::credentials::{Credentials, Registry, Whose, from_keyring, is_at, token};
use crate::error::CliError;
use crate::host::Host;
use crate::identity::{self, Showing};
use crate::keyring::NOT_FOUND;
use crate::settings::{ENV_ENDPOINT, ENV_SKIP_SSL, ENV_TOKEN, Secret, authority_of, set};
use crate::sign_in::{self, Asking};
use crate::value::parse_bool;

/// The name of the program, by which it is known that it is meant to be one.
pub const PROGRAM: &str = "docker-credential-layer0";

/// What is read of standard input at most; a credential has a few hundred bytes.
const INPUT_MAX: u64 = 64 * 1024;

/// The package `credentials` says it of input without a server.
const NO_SERVER: &str = "no credentials server URL";
/// The package `credentials` says it of input without a user.
const NO_USER: &str = "no credentials username";
/// The user name that stands for an identity token (docker/cli, `config/credentials`).
const IDENTITY_TOKEN: &str = "<token>";

/// A credential on the wire.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Credential {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    /// For the caller, on stdout.
    said: String,
    /// For people, on stderr, where the caller goes on as if nothing was.
    reason: Option<String>,
}

impl Refusal {
    /// A sentence that the callers know.
    fn known(said: &str) -> Self {
        Self { said: said.to_owned(), reason: None }
    }

    /// A sentence for people.
    fn told(reason: String) -> Self {
        Self { said: reason.clone(), reason: Some(reason) }
    }

    fn of(why: &CliError) -> Self {
        let hint = why.hints.first().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self::told(format!("{}{hint}", why.message.replace('\n', " ")))
    }
}

/// Answers one call and returns its exit code.
pub(crate) fn run(host: Host) -> u8 {
    let Host { args, env, mut stdin, mut stdout, mut stderr, .. } = host;
    let mut input = String::new();
    let verb = args.get(1).and_then(|verb| verb.to_str()).unwrap_or_default().to_owned();
    let done = match (args.len(), verb.as_str()) {
        (2, "get" | "store" | "erase") => match stdin.by_ref().take(INPUT_MAX).read_to_string(&mut input) {
            Ok(_) => answer(&verb, input.trim(), &env),
            Err(why) => Err(Refusal::known(&format!("standard input can't be read: {why}"))),
        },
        (2, "list") => list(&env),
        (2, "version" | "--version") => Ok(format!("{PROGRAM} (l0) v{VERSION}\n")),
        (2, _) => Err(Refusal::known(&format!("Unknown credential action `{verb}`"))),
        _ => Err(Refusal::known(&format!("Usage: {PROGRAM} <store|get|erase|list|version>"))),
    };
    let (text, code) = match done {
        Ok(text) => (text, 0),
        Err(Refusal { said, reason }) => {
            if let Some(reason) = reason {
                // Nothing can be said of it when stderr is closed.
                let _ = writeln!(stderr, "layer0: {reason}");
            }
            (format!("{said}\n"), 1)
        }
    };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(_) => 1,
    }
}

fn answer(verb: &str, input: &str, env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    if verb == "store" {
        let given: Credential = serde_json::from_str(input).map_err(|why| {
            Refusal::known(&format!("the credential is no JSON: line {}, column {}", why.line(), why.column()))
        })?;
        if given.server_url.trim().is_empty() {
            return Err(Refusal::known(NO_SERVER));
        }
        if given.username.is_empty() {
            return Err(Refusal::known(NO_USER));
        }
        return store(&given, env);
    }
    let host = host_of(input);
    if host.is_empty() {
        return Err(Refusal::known(NO_SERVER));
    }
    if verb == "get" { get(input, &host, env) } else { erase(&host, env) }
}

/// The host that a server's URL names: docker sends `localhost:9090`, `https://registry.example.com` and
/// `https://registry.example.com/v1/` for the same thing.
fn host_of(url: &str) -> String {
    authority_of(url.trim()).to_ascii_lowercase()
}

/// What a registry is signed in to with.
struct Source {
    endpoint: String,
    /// `None` when nobody is signed in.
    token: Option<Secret>,
    /// Whose it is, for people.
    user: String,
    /// How to sign in anew.
    again: String,
    /// Whether `docker login` left it.
    is_of_docker: bool,
    /// Of which job of a pipeline it is.
    shown: Option<String>,
}

fn source(host: &str, env: &BTreeMap<String, String>) -> Result<Option<Source>, CliError> {
    let known = Credentials::read(env)?;
    let named = set(env, ENV_ENDPOINT).filter(|_| set(env, ENV_TOKEN).is_some());
    let registry = known.registries.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
    if let Some((name, Registry { endpoint, login: Some(login), token })) = registry {
        let token = match token {
            Some(token) => Some(token.clone()),
            None => from_keyring(login, &Whose::Registry(name.clone()), env)?,
        };
        let (endpoint, user) = (endpoint.clone(), login.user.clone());
        let again = format!("docker login {host}");
        return Ok(Some(Source { endpoint, token, user, again, is_of_docker: true, shown: None }));
    }
    let endpoint = known.endpoint_of_host(host).cloned();
    // In a pipeline there is no login but what the environment says.
    let by_environment = named
        .filter(|named| is_at(named, host) || endpoint.as_deref().is_some_and(|it| is_at(named, authority_of(it))));
    if let (Some(endpoint), Some(token)) = (by_environment, set(env, ENV_TOKEN)) {
        let again = format!("set {ENV_TOKEN} anew");
        let user = ENV_TOKEN.to_owned();
        let (endpoint, token) = (sign_in::endpoint_of(endpoint)?, Some(Secret::new(token)));
        return Ok(Some(Source { endpoint, token, user, again, is_of_docker: false, shown: None }));
    }
    let Some(endpoint) = endpoint else { return Ok(None) };
    let (token, user) = (known.token_of(&endpoint, env)?, known.user_of(&endpoint));
    let (again, shown) = (format!("l0 login {endpoint}"), known.login_of(&endpoint).and_then(|it| it.shown.clone()));
    Ok(Some(Source { again, endpoint, token, user, is_of_docker: false, shown }))
}

fn asking(env: &BTreeMap<String, String>) -> Asking {
    let skip_ssl_verify = set(env, ENV_SKIP_SSL).is_some_and(|text| parse_bool(text).unwrap_or(false));
    Asking { skip_ssl_verify, timeout: None }
}

fn get(input: &str, host: &str, env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let refusal = |why: CliError| Refusal::of(&why);
    let mut found = source(host, env).map_err(refusal)?;
    let known = Credentials::read(env).map_err(refusal)?;
    let pipeline = identity::of_pipeline(host, &known, env).map_err(refusal)?;
    let showing = Showing::of_environment(env);
    let mark = pipeline.as_ref().map(|(_, evidence)| identity::mark(evidence, &showing, env));
    // What another job got, or this one by another trust, is not this one's.
    if let Some(found) = found.as_mut().filter(|it| it.shown.is_some() && it.shown != mark) {
        found.token = None;
    }
    // What `docker login` left for the host counts before what a pipeline can show.
    let pipeline = pipeline.filter(|_| !found.as_ref().is_some_and(|it| it.token.is_some() && it.is_of_docker));
    let made = sign_in::run(async {
        let (endpoint, evidence) = match (&found, pipeline) {
            (Some(Source { endpoint, token: Some(token), .. }), pipeline) => {
                match (of_registry(endpoint, token, env).await, pipeline) {
                    (Err(ClientError::Refused { status: 401, .. }), Some(pipeline)) => pipeline,
                    (made, _) => return made.map(Some).map_err(|why| explained(why, found.as_ref())),
                }
            }
            (_, Some(pipeline)) => pipeline,
            _ => return Ok(None),
        };
        let signed_in = identity::exchange(asking(env), &endpoint, &evidence, &showing, env).await?;
        identity::keep(&endpoint, &signed_in, mark.as_deref().unwrap_or_default(), env);
        let token = token(&signed_in.user, &signed_in.secret);
        of_registry(&endpoint, &token, env).await.map(Some).map_err(|why| explained(why, found.as_ref()))
    });
    match (made.map_err(refusal)?, found) {
        (Some(made), _) => line(&Credential { server_url: input.to_owned(), username: made.user, secret: made.secret }),
        (None, None) => Err(Refusal::known(NOT_FOUND)),
        (None, Some(Source { endpoint, again, .. })) => {
            // What is public is pulled without a credential.
            let reason = format!("you are not signed in to {endpoint}: `{again}`");
            Err(Refusal { said: NOT_FOUND.to_owned(), reason: Some(reason) })
        }
    }
}

/// A credential for the registry, by a token.
async fn of_registry(
    endpoint: &str,
    token: &Secret,
    env: &BTreeMap<String, String>,
) -> Result<RegistryCredential, ClientError> {
    asking(env).client(endpoint, token)?.token_registry(&RegistryCredentialQuery::default()).await
}

/// Why there is none, in the words of one who was signed in.
fn explained(why: ClientError, source: Option<&Source>) -> CliError {
    match (&why, source) {
        (ClientError::Refused { status: 401, .. }, Some(Source { endpoint, user, again, .. })) => {
            CliError::usage(format!("the login of {user} at {endpoint} has expired or was revoked: `{again}`"))
        }
        (ClientError::Refused { status: 404, .. }, _) => {
            CliError::usage("the server is older than this program and makes no credentials for its registry")
        }
        _ => CliError::client(why, true),
    }
}

/// `docker login` at a registry: the credential is tried, and counts for this host until `docker logout`. The login of
/// `l0 login` stays what it is.
fn store(given: &Credential, env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let host = host_of(&given.server_url);
    if given.username == IDENTITY_TOKEN {
        return Err(Refusal::told(
            "an identity token can't be kept: sign in with a user's name and a password or token".to_owned(),
        ));
    }
    let known = Credentials::read(env).map_err(|why| Refusal::of(&why))?;
    let Some(endpoint) = known.endpoint_of_host(&host).cloned() else {
        return Err(Refusal::told(format!("{host} is no registry that l0 knows: `l0 login` signs in to its server")));
    };
    let (user, secret) = (given.username.clone(), Secret::new(given.secret.as_str()));
    let whose = Whose::Registry(host.clone());
    let kept = sign_in::run(async {
        sign_in::sign_in(asking(env), &endpoint, &user, &secret, None).await.map_err(|why| CliError::client(why, true))
    });
    let kept = kept.and_then(|signed_in| {
        let kept = sign_in::keep(&signed_in, &whose, None, env)?;
        let registry = Registry { endpoint, login: Some(kept.login), token: kept.token };
        Credentials::update(env, |known| Ok(known.registries.insert(host, registry)))
    });
    kept.map(|_| String::new()).map_err(|why| Refusal::of(&why))
}

/// `docker logout` ends what `docker login` began, and nothing else.
fn erase(host: &str, env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    if forget(host, env).map_err(|why| Refusal::of(&why))? {
        return Ok(String::new());
    }
    let known = Credentials::read(env).map_err(|why| Refusal::of(&why))?;
    Err(match known.endpoint_of_host(host) {
        Some(endpoint) => Refusal::told(format!("the login is that of l0: `l0 logout {endpoint}` ends it")),
        None => Refusal::known(NOT_FOUND),
    })
}

/// Forgets what `docker login` left for a host, and revokes the token that was made for it. Says whether there was anything.
pub(crate) fn forget(host: &str, env: &BTreeMap<String, String>) -> Result<bool, CliError> {
    let known = Credentials::read(env)?;
    let of_docker = known.registries.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
    let Some((name, Registry { endpoint, login: Some(login), token })) = of_docker else { return Ok(false) };
    let whose = Whose::Registry(name.clone());
    if let Some(id) = &login.token_id {
        let by = match token {
            Some(token) => Some(token.clone()),
            None => from_keyring(login, &whose, env)?,
        };
        if let Some(by) = by {
            sign_in::run(async {
                sign_in::revoke(asking(env), endpoint, &by, id).await.map_err(|why| CliError::client(why, true))
            })?;
        }
    }
    sign_in::forget(login, &whose, env)?;
    Credentials::update(env, |known| {
        if let Some(registry) = known.registries.get_mut(name) {
            (registry.login, registry.token) = (None, None);
        }
        Ok(true)
    })
}

/// The hosts that `get` has something for, with the users.
fn list(env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let known = Credentials::read(env).map_err(|why| Refusal::of(&why))?;
    let endpoints = known.all_endpoints().map(|it| (authority_of(it).to_owned(), known.user_of(it)));
    let registries = known.registries.iter().filter_map(|(host, registry)| {
        let user = match &registry.login {
            Some(login) => login.user.clone(),
            None => known.endpoint_like(&registry.endpoint).map(|endpoint| known.user_of(endpoint))?,
        };
        Some((host.clone(), user))
    });
    let all: BTreeMap<String, String> = endpoints.chain(registries).collect();
    line(&all)
}

fn line<T: Serialize>(value: &T) -> Result<String, Refusal> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(format!("{text}\n")),
        Err(why) => Err(Refusal::known(&format!("the answer can't be written: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_in_all_the_forms_that_are_sent() {
        for url in [
            "l0.example.com",
            "L0.Example.com\n",
            "https://l0.example.com",
            "http://l0.example.com/",
            " https://l0.example.com/v1/ \r\n",
            "l0.example.com/team/app",
        ] {
            assert_eq!(host_of(url), "l0.example.com", "{url:?}");
        }
        assert_eq!(host_of("localhost:9090/"), "localhost:9090");
        assert_eq!(host_of("https://"), "");
    }
}
