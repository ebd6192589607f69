//! Signing in without a secret: what this program can show of where it runs, exchanged for a token.
//!
//! What a platform makes for a job is made for one server, by that server's address. So nothing is shown to a server that the
//! command line or the environment does not name, and what one server gets to see opens no other.

use std::collections::BTreeMap;

use layer0_api::client::{Client, ClientError, ClientOptions, actions_id_token};
use layer0_api::types::ExchangeTokenRequest;

use crate::aws_identity;
use crate::backup::sha256_hex;
use crate::credentials::{Credentials, Login, Whose, is_at, same_endpoint};
use crate::error::{CliError, Exit};
use crate::settings::{
    ENV_AUDIENCE, ENV_ENDPOINT, ENV_ID_TOKEN, ENV_IDENTITY, ENV_TOKEN, ENV_TRUST, Secret, authority_of, set,
};
use crate::sign_in::{self, Asking, SignedIn};

/// Where a job of GitHub's actions asks for a token, and with what.
const ACTIONS_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const ACTIONS_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// A build of AWS CodeBuild has it.
const CODEBUILD: &str = "CODEBUILD_BUILD_ID";

/// What says of which build it is, and with which identity of AWS.
const AWS_IDENTITY: [&str; 6] = [
    CODEBUILD,
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// What can be shown.
#[derive(Debug, Clone)]
pub(crate) enum Evidence {
    /// A token of OpenID Connect.
    Token(Secret),
    /// A token that GitHub's actions make when asked.
    Actions { address: String, credential: Secret },
    /// A signed request to AWS.
    Aws,
}

impl Evidence {
    /// What the environment says that can be shown: a token in LAYER0_ID_TOKEN, one of GitHub's actions, or the AWS identity where
    /// LAYER0_IDENTITY is `aws` and in CodeBuild. LAYER0_IDENTITY is `none` where nothing is to be shown.
    pub(crate) fn of_environment(env: &BTreeMap<String, String>) -> Result<Option<Self>, CliError> {
        match set(env, ENV_IDENTITY) {
            None => {}
            Some("aws") => return Ok(Some(Evidence::Aws)),
            Some("none") => return Ok(None),
            Some(other) => {
                return Err(CliError::usage(format!("{ENV_IDENTITY}: `{other}` is neither `aws` nor `none`")));
            }
        }
        if let Some(token) = set(env, ENV_ID_TOKEN) {
            return Ok(Some(Evidence::Token(Secret::new(token))));
        }
        if let (Some(address), Some(credential)) = (set(env, ACTIONS_URL), set(env, ACTIONS_TOKEN)) {
            return Ok(Some(Evidence::Actions { address: address.to_owned(), credential: Secret::new(credential) }));
        }
        let is_build_of_aws = aws_identity::IS_BUILT && set(env, CODEBUILD).is_some();
        Ok(is_build_of_aws.then_some(Evidence::Aws))
    }
}

/// What says of which job something is: what it can show, and by which trust. Nothing of it can be read from the mark.
pub(crate) fn mark(evidence: &Evidence, showing: &Showing, env: &BTreeMap<String, String>) -> String {
    let mut said = vec![showing.trust.as_deref(), showing.audience.as_deref()];
    match evidence {
        Evidence::Token(token) => said.push(Some(token.reveal())),
        // The address has the run and the job in it.
        Evidence::Actions { address, .. } => said.push(Some(address)),
        Evidence::Aws => said.extend(AWS_IDENTITY.map(|name| set(env, name))),
    }
    let said: Vec<u8> = said.iter().flat_map(|it| [it.unwrap_or_default().as_bytes(), b"\0"].concat()).collect();
    sha256_hex(&said)
}

/// How it is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Showing {
    /// By which trust, `OWNER/NAME`.
    pub(crate) trust: Option<String>,
    /// For whom it is made; `None` for the endpoint.
    pub(crate) audience: Option<String>,
}

impl Showing {
    /// As the environment says it.
    pub(crate) fn of_environment(env: &BTreeMap<String, String>) -> Self {
        let text = |name| set(env, name).map(str::to_owned);
        Self { trust: text(ENV_TRUST), audience: text(ENV_AUDIENCE) }
    }
}

/// Shows a server who this is, and gets a token.
pub(crate) async fn exchange(
    asking: Asking,
    endpoint: &str,
    evidence: &Evidence,
    showing: &Showing,
    env: &BTreeMap<String, String>,
) -> Result<SignedIn, CliError> {
    let audience = showing.audience.as_deref().unwrap_or(endpoint).trim_end_matches('/');
    let mut request = ExchangeTokenRequest { trust: showing.trust.clone(), ..ExchangeTokenRequest::default() };
    match evidence {
        Evidence::Token(token) => request.oidc_token = Some(token.reveal().trim().to_owned()),
        Evidence::Actions { address, credential } => {
            let made = actions_id_token(address, credential.reveal(), audience).await.map_err(|why| {
                CliError::new(Exit::Connection, format!("GitHub's actions make no token for this job: {why}"))
                    .hint("the job needs `permissions: id-token: write`")
            })?;
            request.oidc_token = Some(made);
        }
        Evidence::Aws => request.aws = Some(aws_identity::signed(audience, env).await?),
    }
    let client = Client::new(ClientOptions {
        endpoint: endpoint.to_owned(),
        token: None,
        timeout: asking.limit(),
        skip_ssl_verify: asking.skip_ssl_verify,
    });
    let client = client.map_err(|why| CliError::client(why, true))?;
    let made = client.token_exchange(&request).await.map_err(|why| match &why {
        ClientError::Refused { status: 401, body } => CliError::new(Exit::Refused, body.message.clone())
            .hint(format!("what is shown must be made for {audience}, the audience of the trust"))
            .hint("`l0 trust list OWNER` shows its maintainers whom it lets in"),
        ClientError::Refused { status: 404, .. } => {
            CliError::usage(format!("the server at {endpoint} is older than this program and knows no trusts"))
        }
        _ => CliError::client(why, true),
    })?;
    Ok(SignedIn {
        user: made.user,
        secret: Secret::new(made.secret),
        token_id: Some(made.token_id),
        expires: made.expires,
    })
}

/// The server at which a pipeline signs in to a registry by itself, with what it can show: the one that the environment names,
/// when the registry is its own, and nobody has signed in otherwise.
pub(crate) fn of_pipeline(
    host: &str,
    known: &Credentials,
    env: &BTreeMap<String, String>,
) -> Result<Option<(String, Evidence)>, CliError> {
    let Some(named) = set(env, ENV_ENDPOINT).filter(|_| set(env, ENV_TOKEN).is_none()) else { return Ok(None) };
    let of_host = known.endpoint_of_host(host);
    if !is_at(named, host) && !of_host.is_some_and(|it| is_at(it, authority_of(named))) {
        return Ok(None);
    }
    let endpoint = sign_in::endpoint_of(named)?;
    Ok(Evidence::of_environment(env)?.map(|evidence| (endpoint, evidence)))
}

/// Keeps what a pipeline got, so that it need not ask before each layer. Where nothing can be kept it asks again, and where somebody has
/// signed in otherwise.
pub(crate) fn keep(endpoint: &str, signed_in: &SignedIn, mark: &str, env: &BTreeMap<String, String>) {
    let is_somebodys = |known: &Credentials| match known.login_of(endpoint) {
        Some(login) => login.shown.is_none(),
        None => known.endpoints.keys().any(|it| same_endpoint(it, endpoint)),
    };
    if Credentials::read(env).is_ok_and(|known| is_somebodys(&known)) {
        return;
    }
    let kept = sign_in::keep(signed_in, &Whose::Endpoint(endpoint.to_owned()), None, env);
    let _ = kept.and_then(|kept| {
        Credentials::update(env, |known| {
            known.endpoints.remove(endpoint);
            if let Some(token) = kept.token {
                known.endpoints.insert(endpoint.to_owned(), token);
            }
            known.logins.insert(endpoint.to_owned(), Login { shown: Some(mark.to_owned()), ..kept.login });
            Ok(())
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn found(pairs: &[(&str, &str)]) -> String {
        match Evidence::of_environment(&env(pairs)) {
            Ok(Some(Evidence::Token(token))) => format!("token {}", token.reveal()),
            Ok(Some(Evidence::Actions { address, .. })) => format!("actions {address}"),
            Ok(Some(Evidence::Aws)) => "aws".to_owned(),
            Ok(None) => "nothing".to_owned(),
            Err(why) => why.message,
        }
    }

    #[test]
    fn what_is_shown_is_what_the_environment_says() {
        let actions = [(ACTIONS_URL, "https://x"), (ACTIONS_TOKEN, "secret")];
        assert_eq!(found(&[]), "nothing");
        assert_eq!(found(&actions), "actions https://x");
        assert_eq!(found(&actions[..1]), "nothing", "the job may not ask");
        assert_eq!(found(&[(ENV_ID_TOKEN, "t"), actions[0], actions[1]]), "token t");
        assert_eq!(found(&[(ENV_IDENTITY, "none"), (ENV_ID_TOKEN, "t")]), "nothing");
        assert_eq!(found(&[(ENV_IDENTITY, "aws"), (ENV_ID_TOKEN, "t")]), "aws");
        assert_eq!(found(&[(ENV_IDENTITY, "azure")]), "LAYER0_IDENTITY: `azure` is neither `aws` nor `none`");
        let build = if aws_identity::IS_BUILT { "aws" } else { "nothing" };
        assert_eq!(found(&[(CODEBUILD, "app:1")]), build);
        assert!(!format!("{:?}", Evidence::of_environment(&env(&actions))).contains("secret"));
    }

    #[test]
    fn only_the_server_that_is_named_gets_to_see_anything() {
        let known = Credentials::default();
        let of = |host: &str, pairs: &[(&str, &str)]| {
            let found = of_pipeline(host, &known, &env(pairs)).expect("no mistake in it");
            found.map(|(endpoint, _)| endpoint)
        };
        let named = (ENV_ENDPOINT, "https://l0.example.com");
        let token = (ENV_ID_TOKEN, "t");
        assert_eq!(of("l0.example.com", &[named, token]).as_deref(), Some("https://l0.example.com/"));
        assert_eq!(of("l0.example.com:443", &[named, token]).as_deref(), Some("https://l0.example.com/"));
        assert_eq!(of("other.example.com", &[named, token]), None);
        assert_eq!(of("l0.example.com", &[token]), None);
        assert_eq!(of("l0.example.com", &[named]), None);
        assert_eq!(of("l0.example.com", &[named, token, (ENV_TOKEN, "x")]), None, "a token that was given counts");
    }
}
