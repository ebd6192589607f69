//! What a command runs with: flags, then environment, then the file that the server left for this user, then defaults.
//! Read once.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::args::Globals;
use crate::credentials::Credentials;
use crate::error::{CONNECT_HINT, CliError};
use crate::sign_in::endpoint_of;
use crate::value::{parse_bool, parse_duration};

/// Where the API is.
pub(crate) const ENV_ENDPOINT: &str = "LAYER0_API_ENDPOINT";
/// base64 of `user:secret`.
pub(crate) const ENV_TOKEN: &str = "LAYER0_AUTH_TOKEN";
/// What a pipeline shows in place of a token: `aws` for its AWS identity, `none` for nothing.
pub(crate) const ENV_IDENTITY: &str = "LAYER0_IDENTITY";
/// A token of OpenID Connect that a pipeline shows.
pub(crate) const ENV_ID_TOKEN: &str = "LAYER0_ID_TOKEN";
/// By which trust, `OWNER/NAME`.
pub(crate) const ENV_TRUST: &str = "LAYER0_TRUST";
/// For whom what is shown is made, where it is not the endpoint.
pub(crate) const ENV_AUDIENCE: &str = "LAYER0_AUDIENCE";
/// Accept a certificate that can't be verified.
pub(crate) const ENV_SKIP_SSL: &str = "LAYER0_SKIP_SSL_VERIFY";
/// Don't compare versions.
pub(crate) const ENV_SKIP_VERSION: &str = "LAYER0_SKIP_VERSION_VERIFY";
/// Limit for the whole command.
pub(crate) const ENV_TIMEOUT: &str = "LAYER0_TIMEOUT";
/// Say more.
pub(crate) const ENV_DEBUG: &str = "LAYER0_DEBUG";

/// Where a server listens when nobody says otherwise.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://localhost:9090/";
/// The predecessor's limit: long enough for a slow roll-out, short enough for CI.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Tables for people.
    Text,
    /// Arrays for programs.
    Json,
}

impl Output {
    /// Reads the value of `--output`.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        match text {
            "text" => Ok(Output::Text),
            "json" => Ok(Output::Json),
            _ => {
                Err(CliError::usage(format!("Unrecognized output format '{text}'")).hint("`text` and `json` are known"))
            }
        }
    }
}

/// A credential that no log, error or `Debug` shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The credential itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What holds for every command.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) output: Output,
    /// Limit for the whole command; `None` for none.
    pub(crate) timeout: Option<Duration>,
    /// Whether somebody asked for that limit.
    pub(crate) timeout_given: bool,
    pub(crate) debug: bool,
    pub(crate) skip_ssl_verify: bool,
    pub(crate) skip_verify_version: bool,
    pub(crate) no_wait: bool,
}

impl Settings {
    /// Merges flags and environment.
    pub(crate) fn read(flags: &Globals, env: &BTreeMap<String, String>) -> Result<Self, CliError> {
        let output = Output::parse(flags.output.as_deref().unwrap_or("text"))?;
        let given = match (&flags.timeout, set(env, ENV_TIMEOUT)) {
            (Some(text), _) => Some(parse_duration(text).map_err(|why| CliError::usage(format!("--timeout: {why}")))?),
            (None, Some(text)) => {
                Some(parse_duration(text).map_err(|why| CliError::usage(format!("{ENV_TIMEOUT}: {why}")))?)
            }
            (None, None) => None,
        };
        Ok(Self {
            output,
            timeout: Some(given.unwrap_or(DEFAULT_TIMEOUT)).filter(|limit| !limit.is_zero()),
            timeout_given: given.is_some(),
            debug: switch(flags.debug, env, ENV_DEBUG)?,
            skip_ssl_verify: switch(flags.skip_ssl_verify, env, ENV_SKIP_SSL)?,
            skip_verify_version: switch(flags.skip_verify_version, env, ENV_SKIP_VERSION)?,
            no_wait: flags.no_wait || flags.wait == Some(false),
        })
    }
}

/// A variable that is there and not empty.
pub(crate) fn set<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn switch(flag: Option<bool>, env: &BTreeMap<String, String>, name: &str) -> Result<bool, CliError> {
    match (flag, set(env, name)) {
        (Some(value), _) => Ok(value),
        (None, Some(text)) => parse_bool(text).map_err(|why| CliError::usage(format!("{name}: {why}"))),
        (None, None) => Ok(false),
    }
}

/// Host and port of a URL, as they are written.
pub(crate) fn authority_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default()
}

/// Which server, and who we are to it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) endpoint: String,
    /// Whether somebody named the endpoint.
    pub(crate) endpoint_given: bool,
    pub(crate) token: Secret,
}

impl Connection {
    /// Merges flags, environment and the credentials file. A token of the file is used for its own endpoint only.
    pub(crate) fn read(flags: &Globals, env: &BTreeMap<String, String>) -> Result<Self, CliError> {
        let named = flags.endpoint.as_deref().or_else(|| set(env, ENV_ENDPOINT));
        if named.is_some_and(|text| authority_of(text).contains('@')) {
            // Endpoints are printed in errors; this one holds a password.
            return Err(CliError::usage("the endpoint holds a credential")
                .hint(format!("give it as {ENV_TOKEN}, base64 of USER:SECRET")));
        }
        // One that nobody can be asked at is named before a token for it is missed.
        let named = named.map(endpoint_of).transpose()?;
        let token = flags.token.as_ref().map(Secret::reveal).or_else(|| set(env, ENV_TOKEN));
        let file = if named.is_some() && token.is_some() { Credentials::default() } else { Credentials::read(env)? };
        let endpoint_given = named.is_some() || file.default.is_some();
        let endpoint = named.or_else(|| file.default.clone()).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let token = match token {
            Some(token) => Secret::new(token),
            None => file.token_of(&endpoint, env)?.ok_or_else(|| {
                CliError::usage("Required Variable 'token' is not set!")
                    .hint(format!("there is no credential for {endpoint}"))
                    .hint(CONNECT_HINT)
            })?,
        };
        Ok(Self { endpoint, endpoint_given, token })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn globals(line: &[&str]) -> Globals {
        let line = ["l0"].iter().chain(line).chain(["version"].iter());
        Cli::try_parse_from(line).expect("a command line").globals
    }

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn home() -> (tempfile::TempDir, BTreeMap<String, String>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("layer0")).expect("a directory");
        let env = env(&[("XDG_CONFIG_HOME", dir.path().to_str().expect("text"))]);
        (dir, env)
    }

    fn write(dir: &tempfile::TempDir, text: &str) {
        std::fs::write(dir.path().join("layer0/credentials.json"), text).expect("a file");
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_default() {
        let none = env(&[]);
        let read = Settings::read(&globals(&[]), &none).expect("defaults");
        assert_eq!((read.timeout, read.timeout_given, read.debug), (Some(DEFAULT_TIMEOUT), false, false));
        let vars = env(&[(ENV_TIMEOUT, "90s"), (ENV_SKIP_SSL, "1"), (ENV_DEBUG, "")]);
        let read = Settings::read(&globals(&[]), &vars).expect("environment");
        assert_eq!((read.timeout, read.skip_ssl_verify, read.debug), (Some(Duration::from_secs(90)), true, false));
        let read = Settings::read(&globals(&["--timeout=1m", "--skip-ssl-verify=false", "--wait=false"]), &vars)
            .expect("flags");
        assert_eq!((read.timeout, read.skip_ssl_verify, read.no_wait), (Some(Duration::from_secs(60)), false, true));
        assert_eq!(Settings::read(&globals(&["--timeout=0"]), &vars).expect("no limit").timeout, None);
    }

    #[test]
    fn a_bad_value_is_named_with_its_source() {
        let error = Settings::read(&globals(&[]), &env(&[(ENV_SKIP_SSL, "maybe")])).expect_err("no boolean");
        assert!(error.message.starts_with("LAYER0_SKIP_SSL_VERIFY: 'maybe'"), "{}", error.message);
        let error = Settings::read(&globals(&["-t", "5"]), &env(&[])).expect_err("no duration");
        assert!(error.message.starts_with("--timeout: '5'"), "{}", error.message);
        let error = Settings::read(&globals(&["-o", "yaml"]), &env(&[])).expect_err("no format");
        assert_eq!((error.message.as_str(), error.exit.code()), ("Unrecognized output format 'yaml'", 2));
    }

    #[test]
    fn the_file_gives_its_token_to_its_own_endpoint_only() {
        let (dir, mut env) = home();
        write(&dir, r#"{"default":"http://localhost:9191","endpoints":{"http://localhost:9191":"QUJD"}}"#);
        let read = Connection::read(&globals(&[]), &env).expect("a connection");
        assert_eq!((read.endpoint.as_str(), read.token.reveal()), ("http://localhost:9191", "QUJD"));
        env.insert(ENV_ENDPOINT.to_owned(), "http://LOCALHOST:9191/".to_owned());
        assert_eq!(Connection::read(&globals(&[]), &env).expect("a connection").token.reveal(), "QUJD");
        env.insert(ENV_ENDPOINT.to_owned(), "http://elsewhere:9191/".to_owned());
        let error = Connection::read(&globals(&[]), &env).expect_err("no token");
        assert_eq!(error.exit.code(), 2);
        assert!(error.text().contains("l0 endpoint"), "{}", error.text());
        env.insert(ENV_TOKEN.to_owned(), "WFla".to_owned());
        assert_eq!(Connection::read(&globals(&[]), &env).expect("a connection").token.reveal(), "WFla");
    }

    #[test]
    fn without_a_file_the_standard_endpoint_is_asked() {
        let (_dir, env) = home();
        let read = Connection::read(&globals(&["--token", "QUJD"]), &env).expect("a connection");
        assert_eq!((read.endpoint.as_str(), read.endpoint_given), (DEFAULT_ENDPOINT, false));
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_without_showing_it() {
        let (_dir, env) = home();
        let error = Connection::read(&globals(&["--endpoint", "http://admin:hunter2@host/", "--token", "x"]), &env)
            .expect_err("a password");
        assert!(!error.text().contains("hunter2"), "{}", error.text());
    }

    #[test]
    fn a_server_is_named_as_login_names_it() {
        let (dir, mut env) = home();
        write(&dir, r#"{"endpoints":{"http://localhost:9191/":"QUJD"}}"#);
        let read = Connection::read(&globals(&["--endpoint", "localhost:9191"]), &env).expect("a connection");
        assert_eq!((read.endpoint.as_str(), read.token.reveal()), ("http://localhost:9191/", "QUJD"));
        env.insert(ENV_ENDPOINT.to_owned(), "localhost:9191".to_owned());
        assert_eq!(Connection::read(&globals(&[]), &env).expect("a connection").token.reveal(), "QUJD");
        // What is no endpoint is named, and not the token that it has none.
        for bad in ["ftp://host/", "http://ho st/", "https://"] {
            let error = Connection::read(&globals(&["--endpoint", bad]), &env).expect_err(bad);
            assert_eq!(error.exit.code(), 2);
            assert!(error.message.contains(bad.trim_end_matches('/')), "{}", error.message);
        }
    }

    #[test]
    fn an_empty_flag_is_not_the_default() {
        for line in
            [["l0", "--endpoint", "", "version"], ["l0", "--token", "", "version"], ["l0", "--token", " ", "version"]]
        {
            let why = Cli::try_parse_from(line).expect_err("it is empty").to_string();
            assert!(why.contains(line[1]), "{why}");
        }
        // An empty variable is one that is not set.
        let (_dir, mut env) = home();
        env.extend([(ENV_ENDPOINT.to_owned(), String::new()), (ENV_TOKEN.to_owned(), "QUJD".to_owned())]);
        assert_eq!(Connection::read(&globals(&[]), &env).expect("a connection").endpoint, DEFAULT_ENDPOINT);
    }

    #[test]
    fn a_malformed_file_is_named_and_its_secret_kept() {
        let (dir, env) = home();
        write(&dir, r#"{"endpoints":{"http://localhost:9191":"c2VjcmV0"},"default":["c2VjcmV0"]}"#);
        let error = Connection::read(&globals(&[]), &env).expect_err("a malformed file");
        assert!(error.message.contains("credentials.json is malformed"), "{}", error.message);
        assert!(!error.text().contains("c2VjcmV0"));
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::new("c2VjcmV0")), "[redacted]");
        assert!(!format!("{:?}", globals(&["--token", "c2VjcmV0"])).contains("c2VjcmV0"));
    }
}
