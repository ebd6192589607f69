//! Who this user is to which server: `~/.config/layer0/credentials.json`.
//!
//! The file is shared with the servers that are started on this machine: they add their endpoint and the token of their
//! admin to `endpoints`, under the same lock. What is here besides (`logins`, `registries`, and what is not known at all)
//! they keep. A secret lies in the file, which is for its owner only, or in a keyring; then the file says in which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::CliError;
use crate::file;
use crate::keyring::Keyring;
use crate::settings::{Secret, authority_of, set};

/// What the file holds.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// The endpoint that is meant when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
    /// Tokens by endpoint, base64 of `user:secret`.
    #[serde(default, serialize_with = "revealed")]
    pub(crate) endpoints: BTreeMap<String, Secret>,
    /// What is known of the logins of this user by endpoint, beside their secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) logins: BTreeMap<String, Login>,
    /// Names of registries that are no endpoint's own host, or that `docker login` signed in to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) registries: BTreeMap<String, Registry>,
    /// What others wrote, kept.
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    /// The name to sign in with.
    pub(crate) user: String,
    /// The token that `l0 login` made, which `l0 logout` revokes. Absent for one that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_id: Option<String>,
    /// The keyring that holds the secret; absent when the file does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keyring: Option<String>,
    /// The mark of what a job of a pipeline showed for it: it is good for that job alone. Absent for what somebody signed in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<String>,
}

/// A registry by its host.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Registry {
    /// The endpoint of its server.
    pub(crate) endpoint: String,
    /// What `docker login` left; absent where the login of the endpoint counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<Login>,
    /// Its token, when no keyring holds it.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "revealed_one")]
    pub(crate) token: Option<Secret>,
}

fn revealed<S: Serializer>(secrets: &BTreeMap<String, Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(secrets.iter().map(|(key, secret)| (key, secret.reveal())))
}

fn revealed_one<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::reveal).serialize(serializer)
}

/// Which of the two kinds of logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// `l0 login`'s, by endpoint.
    Endpoint(String),
    /// `docker login`'s, by host.
    Registry(String),
}

impl Whose {
    /// Under which URL a keyring keeps the secret. The path tells ours from what docker keeps there for the same host; the
    /// keyrings of Docker take nothing but URLs of `http` and `https`.
    pub(crate) fn keyring_url(&self) -> String {
        match self {
            Whose::Endpoint(endpoint) => format!("{}/layer0-login", endpoint.trim_end_matches('/')),
            Whose::Registry(host) => format!("https://{host}/layer0-registry"),
        }
    }
}

impl Credentials {
    /// Where the file is: `$XDG_CONFIG_HOME/layer0/`, else `$HOME/.config/layer0/`.
    pub(crate) fn path(env: &BTreeMap<String, String>) -> Option<PathBuf> {
        let config = set(env, "XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set(env, "HOME").map(|home| PathBuf::from(home).join(".config")))?;
        Some(config.join("layer0").join("credentials.json"))
    }

    /// Reads the file; one that is not there is empty.
    pub(crate) fn read(env: &BTreeMap<String, String>) -> Result<Self, CliError> {
        let Some(path) = Self::path(env) else { return Ok(Self::default()) };
        Self::read_at(&path)
    }

    fn read_at(path: &Path) -> Result<Self, CliError> {
        let Some(text) = file::read(path)? else { return Ok(Self::default()) };
        let read: Result<Self, serde_json::Error> = serde_json::from_str(&text);
        let mut file = read.map_err(|why| {
            // Neither the text nor a value of it is repeated: it holds secrets.
            CliError::usage(format!("{} is malformed at line {}, column {}", path.display(), why.line(), why.column()))
                .hint("correct it, or remove it and connect with `l0 endpoint --data-dir DIR` or `l0 login URL`")
        })?;
        file.default = file.default.filter(|endpoint| !endpoint.is_empty());
        Ok(file)
    }

    /// Changes the file; nothing that another program writes at the same time is lost. What fails changes nothing.
    pub(crate) fn update<T>(
        env: &BTreeMap<String, String>,
        change: impl FnOnce(&mut Self) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let path = Self::path(env).ok_or_else(|| {
            CliError::usage("there is no place to keep a login").hint("set HOME or XDG_CONFIG_HOME to a directory")
        })?;
        // The server's lock too: the file itself is replaced by another when it is written.
        let _turn = file::turn(&path.with_file_name("credentials.lock"))?;
        let mut known = Self::read_at(&path)?;
        let done = change(&mut known)?;
        let mut text = serde_json::to_string_pretty(&known)
            .map_err(|why| CliError::usage(format!("{} can't be written: {why}", path.display())))?;
        text.push('\n');
        file::replace(&path, &text)?;
        Ok(done)
    }

    /// The token of an endpoint, however its slash is written, from the file or the keyring that the file names.
    pub(crate) fn token_of(&self, endpoint: &str, env: &BTreeMap<String, String>) -> Result<Option<Secret>, CliError> {
        if let Some((_, token)) = self.endpoints.iter().find(|(known, _)| same_endpoint(known, endpoint)) {
            return Ok(Some(token.clone()));
        }
        let Some((known, login)) = self.logins.iter().find(|(known, _)| same_endpoint(known, endpoint)) else {
            return Ok(None);
        };
        from_keyring(login, &Whose::Endpoint(known.clone()), env)
    }

    /// The login of an endpoint, where more is known of it than its token.
    pub(crate) fn login_of(&self, endpoint: &str) -> Option<&Login> {
        self.logins.iter().find(|(known, _)| same_endpoint(known, endpoint)).map(|(_, login)| login)
    }

    /// Every endpoint, whether the file or a keyring has its token.
    pub(crate) fn all_endpoints(&self) -> impl Iterator<Item = &String> {
        self.endpoints.keys().chain(self.logins.keys().filter(|known| !self.endpoints.contains_key(*known)))
    }

    /// The endpoint that is written like this one up to its slash.
    pub(crate) fn endpoint_like(&self, endpoint: &str) -> Option<&String> {
        self.all_endpoints().find(|known| same_endpoint(known, endpoint))
    }

    /// The endpoint that a registry's host is behind, if any.
    pub(crate) fn endpoint_of_host(&self, host: &str) -> Option<&String> {
        let named = self.registries.iter().find(|(known, _)| known.eq_ignore_ascii_case(host));
        named.map(|(_, registry)| &registry.endpoint).or_else(|| self.all_endpoints().find(|it| is_at(it, host)))
    }

    /// Who signs in to an endpoint, as far as the file says; empty when it does not.
    pub(crate) fn user_of(&self, endpoint: &str) -> String {
        if let Some(login) = self.login_of(endpoint) {
            return login.user.clone();
        }
        let token = self.endpoints.iter().find(|(known, _)| same_endpoint(known, endpoint));
        token.and_then(|(_, token)| parts_of(token)).map(|(user, _)| user).unwrap_or_default()
    }
}

/// The secret that a keyring holds, as a token.
pub(crate) fn from_keyring(
    login: &Login,
    whose: &Whose,
    env: &BTreeMap<String, String>,
) -> Result<Option<Secret>, CliError> {
    let Some(name) = &login.keyring else { return Ok(None) };
    let found = Keyring::named(name, env)?.get(&whose.keyring_url())?;
    Ok(found.map(|(user, secret)| token(&user, &secret)))
}

/// base64 of `user:secret`.
pub(crate) fn token(user: &str, secret: &Secret) -> Secret {
    Secret::new(STANDARD.encode(format!("{user}:{}", secret.reveal())))
}

/// User and secret of a token; `None` for what is none.
pub(crate) fn parts_of(token: &Secret) -> Option<(String, Secret)> {
    let text = String::from_utf8(STANDARD.decode(token.reveal().trim()).ok()?).ok()?;
    let (user, secret) = text.split_once(':')?;
    (!user.is_empty() && !secret.is_empty()).then(|| (user.to_owned(), Secret::new(secret)))
}

pub(crate) fn same_endpoint(one: &str, other: &str) -> bool {
    one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}

/// Whether a registry's host (`localhost:9090`, `registry.example.com`) is that of an endpoint. A port that is the usual
/// one of the endpoint's scheme may be left out on either side.
pub(crate) fn is_at(endpoint: &str, host: &str) -> bool {
    let port = if endpoint.starts_with("https://") { ":443" } else { ":80" };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    bare(authority_of(endpoint)) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, BTreeMap<String, String>) {
        let dir = tempfile::tempdir().expect("a directory");
        let env = [("XDG_CONFIG_HOME".to_owned(), dir.path().to_str().expect("text").to_owned())].into();
        (dir, env)
    }

    #[test]
    fn a_change_keeps_what_others_wrote_and_a_failed_one_changes_nothing() {
        let (_dir, env) = home();
        let path = Credentials::path(&env).expect("a path");
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        let before = r#"{"endpoints": {"http://a/": "x"}, "theme": {"dark": true}, "default": ""}"#;
        std::fs::write(&path, before).expect("written");
        let failed: Result<(), CliError> = Credentials::update(&env, |known| {
            known.default = Some("http://b/".to_owned());
            Err(CliError::usage("no"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), before);
        Credentials::update(&env, |known| {
            known.endpoints.insert("http://b/".to_owned(), token("alice", &Secret::new("s")));
            Ok(())
        })
        .expect("written");
        let after: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("read")).expect("JSON");
        assert_eq!(
            after,
            serde_json::json!({"endpoints": {"http://a/": "x", "http://b/": "YWxpY2U6cw=="}, "theme": {"dark": true}})
        );
    }

    #[test]
    fn of_many_changes_at_once_none_is_lost() {
        let (_dir, env) = home();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let env = &env;
                scope.spawn(move || {
                    Credentials::update(env, |known| {
                        known.endpoints.insert(format!("http://localhost:{number}/"), Secret::new("x"));
                        Ok(())
                    })
                    .expect("written");
                });
            }
        });
        assert_eq!(Credentials::read(&env).expect("read").endpoints.len(), 16);
    }

    #[test]
    fn hosts_are_those_of_endpoints() {
        for (endpoint, host, at) in [
            ("http://localhost:9090/", "localhost:9090", true),
            ("http://localhost:9090", "LOCALHOST:9090", true),
            ("http://localhost:9090/", "localhost", false),
            ("https://l0.example.com/", "l0.example.com", true),
            ("https://l0.example.com:443/", "l0.example.com", true),
            ("https://l0.example.com/", "l0.example.com:443", true),
            ("https://l0.example.com/", "l0.example.com:80", false),
            ("http://l0.example.com/", "l0.example.com:80", true),
            ("https://l0.example.com/", "example.com", false),
        ] {
            assert_eq!(is_at(endpoint, host), at, "{endpoint} {host}");
        }
    }

    #[test]
    fn a_token_has_a_user_and_a_secret() {
        let (user, secret) = parts_of(&token("team+ci", &Secret::new("a:b"))).expect("a token");
        assert_eq!((user.as_str(), secret.reveal()), ("team+ci", "a:b"));
        for bad in ["", "QUJD", "???", "OnNlY3JldA==", "dXNlcjo="] {
            assert!(parts_of(&Secret::new(bad)).is_none(), "{bad}");
        }
    }
}
