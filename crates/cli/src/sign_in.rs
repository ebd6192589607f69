//! Signing in to a server: a credential is tried, and a password is changed for a token, so that no password is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use layer0_api::client::{Client, ClientError, ClientOptions, endpoint_check};
use layer0_api::types::CreateTokenRequest;

use crate::credentials::{Login, Whose, token};
use crate::error::{CliError, Exit};
use crate::keyring::{Chosen, Keyring};
use crate::settings::{DEFAULT_ENDPOINT, Secret, authority_of};

/// How long a server may take to answer, at most.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// What the token is called that a login makes.
const TOKEN_NAME: &str = "l0-login";

/// How servers are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    /// Accept a certificate that can't be verified.
    pub(crate) skip_ssl_verify: bool,
    /// Limit for a request; `None` for the usual.
    pub(crate) timeout: Option<Duration>,
}

impl Asking {
    /// A client for a server, with a token.
    pub(crate) fn client(self, endpoint: &str, token: &Secret) -> Result<Client, ClientError> {
        Client::new(ClientOptions {
            endpoint: endpoint.to_owned(),
            token: Some(token.reveal().to_owned()),
            timeout: self.limit(),
            skip_ssl_verify: self.skip_ssl_verify,
        })
    }

    /// How long one request may take.
    pub(crate) fn limit(self) -> Duration {
        self.timeout.unwrap_or(REQUEST_LIMIT).min(REQUEST_LIMIT)
    }
}

/// Runs what asks a server to its end.
pub(crate) fn run<T>(asking: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CliError::new(Exit::Other, format!("no runtime can be started: {why}")))?;
    runtime.block_on(asking)
}

/// Who one is to a server now.
#[derive(Debug)]
pub(crate) struct SignedIn {
    /// The name to sign in with.
    pub(crate) user: String,
    /// The secret of the token.
    pub(crate) secret: Secret,
    /// The token, when it was made here.
    pub(crate) token_id: Option<String>,
    /// When that ends, RFC 3339; empty for never and for a token that was given.
    pub(crate) expires: String,
}

/// Tries a credential. A token is kept as it is; for a password a token is made.
pub(crate) async fn sign_in(
    asking: Asking,
    endpoint: &str,
    user: &str,
    secret: &Secret,
    expires_days: Option<i64>,
) -> Result<SignedIn, ClientError> {
    let client = asking.client(endpoint, &token(user, secret))?;
    let who = client.whoami().await?;
    if who.token_id.is_some() {
        return Ok(SignedIn { user: user.to_owned(), secret: secret.clone(), token_id: None, expires: String::new() });
    }
    let request =
        CreateTokenRequest { name: Some(TOKEN_NAME.to_owned()), expires_days, ..CreateTokenRequest::default() };
    let made = client.token_create(&request).await?;
    Ok(SignedIn {
        user: made.user,
        secret: Secret::new(made.secret),
        token_id: Some(made.token_id),
        expires: made.expires,
    })
}

/// Where the secret of a login was put.
pub(crate) struct Kept {
    /// What the file says of the login.
    pub(crate) login: Login,
    /// The token for the file; `None` when a keyring has it.
    pub(crate) token: Option<Secret>,
    /// Why a keyring that is there was not used.
    pub(crate) warning: Option<String>,
}

/// Puts the secret of a login into the keyring, or gives it back for the file.
pub(crate) fn keep(
    signed_in: &SignedIn,
    whose: &Whose,
    named: Option<&str>,
    env: &BTreeMap<String, String>,
) -> Result<Kept, CliError> {
    let SignedIn { user, secret, token_id, .. } = signed_in;
    let login =
        |keyring: Option<String>| Login { user: user.clone(), token_id: token_id.clone(), keyring, shown: None };
    let mut warning = None;
    if let Some((keyring, chosen)) = Keyring::choose(named, env)? {
        match (keyring.store(&whose.keyring_url(), user, secret), chosen) {
            (Ok(()), _) => return Ok(Kept { login: login(Some(keyring.name)), token: None, warning: None }),
            (Err(why), Chosen::Named) => return Err(why),
            (Err(why), Chosen::Found) => warning = Some(format!("the keyring is not used: {}", why.message)),
        }
    }
    Ok(Kept { login: login(None), token: Some(token(user, secret)), warning })
}

/// Takes the secret of a login out of its keyring.
pub(crate) fn forget(login: &Login, whose: &Whose, env: &BTreeMap<String, String>) -> Result<(), CliError> {
    match &login.keyring {
        Some(name) => Keyring::named(name, env)?.erase(&whose.keyring_url()),
        None => Ok(()),
    }
}

/// Revokes the token that a login made. One that opens nothing any more is as good as revoked.
pub(crate) async fn revoke(asking: Asking, endpoint: &str, token: &Secret, id: &str) -> Result<(), ClientError> {
    match asking.client(endpoint, token)?.token_revoke(id).await {
        Ok(_) | Err(ClientError::Refused { status: 401 | 404, .. }) => Ok(()),
        Err(why) => Err(why),
    }
}

/// The endpoint that somebody means by a server's name: a URL, or a host with or without a port. A host is asked by
/// https, this machine by http, as Docker does it.
pub(crate) fn endpoint_of(text: &str) -> Result<String, CliError> {
    let text = text.trim();
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        let host = text.split(['/', ':']).next().unwrap_or_default();
        let here = host == "localhost"
            || host.ends_with(".localhost")
            || host.starts_with("127.")
            || text.starts_with("[::1]");
        format!("{}://{text}", if here { "http" } else { "https" })
    };
    if authority_of(&url).contains('@') {
        // It is printed in errors; this one holds a password.
        return Err(CliError::usage("the server's address holds a credential")
            .hint("give the name with --user and the password on standard input"));
    }
    if authority_of(&url).is_empty() {
        return Err(
            CliError::usage(format!("`{text}` is no server")).hint(format!("a server looks like {DEFAULT_ENDPOINT}"))
        );
    }
    let endpoint = format!("{}/", url.trim_end_matches('/'));
    endpoint_check(&endpoint).map_err(|why| CliError::client(why, true))?;
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_or_a_host() {
        for (text, url) in [
            ("l0.example.com", "https://l0.example.com/"),
            ("l0.example.com:8443", "https://l0.example.com:8443/"),
            ("localhost:9090", "http://localhost:9090/"),
            ("127.0.0.1:9090/", "http://127.0.0.1:9090/"),
            ("[::1]:9090", "http://[::1]:9090/"),
            ("http://l0.example.com", "http://l0.example.com/"),
            ("https://example.com/layer0/", "https://example.com/layer0/"),
        ] {
            assert_eq!(endpoint_of(text).expect("a server"), url, "{text}");
        }
        for bad in [
            "",
            "https://",
            "https://alice:hunter2@l0.example.com/",
            "alice:hunter2@l0.example.com",
            "ftp://l0.example.com",
            "l0 example",
        ] {
            let error = endpoint_of(bad).expect_err(bad);
            assert!(!error.text().contains("hunter2"), "{}", error.text());
        }
    }
}
