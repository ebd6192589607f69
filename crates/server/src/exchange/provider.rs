//! The device flow (RFC 8628) with the provider at which people sign in. The server speaks it, so that the client's secret and the
//! way to the provider are the server's alone: whoever signs in has a browser and a code. No token of the provider leaves the server,
//! and none is taken from anybody but the provider itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_domain::model::person::Given;
use layer0_domain::ops::person::ShownPerson;
use layer0_domain::plan::person::{identify, name_of};
use layer0_domain::plan::trust::shown;
use layer0_domain::port::BoxError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::issuers::Discovery;
use super::{Exchange, Unproven};
use crate::config::ProviderConfig;

/// What of a value in a form is written as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The grant of the device flow (RFC 8628, section 3.4).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a provider refuses for good: another question gets the same answer (RFC 6749, section 5.2).
const FINAL: [&str; 5] =
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"];

/// How often the provider is asked when it says nothing of that, in seconds (RFC 8628, section 3.2).
const INTERVAL_S: u64 = 5;

/// The longest address and the longest code that are shown to somebody.
const ADDRESS_MAX: usize = 2000;
const CODE_MAX: usize = 100;

/// A sign-in that has begun (RFC 8628, section 3.2).
#[derive(Debug, Deserialize)]
pub(crate) struct DeviceBegun {
    /// What the provider knows the sign-in by.
    pub(crate) device_code: String,
    /// What somebody types in there.
    pub(crate) user_code: String,
    /// Where. Google writes it with `url`.
    #[serde(alias = "verification_url")]
    pub(crate) verification_uri: String,
    /// Where nothing is left to type.
    pub(crate) verification_uri_complete: Option<String>,
    /// For how many seconds.
    pub(crate) expires_in: u64,
    /// How many seconds pass between two questions.
    #[serde(default = "interval")]
    pub(crate) interval: u64,
}

fn interval() -> u64 {
    INTERVAL_S
}

/// How a sign-in stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nobody has agreed yet.
    Pending,
    /// The same, and it was asked too often: five seconds more between two questions from now on.
    SlowDown,
    /// Somebody said no.
    Denied,
    /// Nobody said anything in time, or the code is not known any more.
    Expired,
    /// Somebody signed in there.
    Shown(Box<ShownPerson>),
}

/// How the provider refuses (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

impl Exchange {
    /// Begins a sign-in.
    pub(crate) async fn device_begin(&self, provider: &ProviderConfig) -> Result<DeviceBegun, Unproven> {
        let known = self.issuers.discovery(&provider.issuer).await?;
        let Some(place) = &known.device_authorization_endpoint else {
            return Err(away(provider, "has no device flow", "no device_authorization_endpoint in its document"));
        };
        let (status, body) = self.post(provider, &known, place, &[("scope", &provider.scopes)]).await?;
        if status != 200 {
            let why = refusal(&body).unwrap_or_else(|| format!("status {status}"));
            return Err(away(provider, &format!("does not let this server begin a sign-in ({why})"), "it refused"));
        }
        let begun: DeviceBegun =
            serde_json::from_slice(&body).map_err(|why| away(provider, "answered what can't be read", why))?;
        // It is shown on somebody's terminal, and opened there.
        let complete = begun.verification_uri_complete.as_ref();
        let fit = is_address(&begun.verification_uri, provider)
            && complete.is_none_or(|it| is_address(it, provider))
            && begun.user_code.len() <= CODE_MAX
            && begun.user_code.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if fit { Ok(begun) } else { Err(away(provider, "answered what can't be shown", "address or code")) }
    }

    /// Asks how a sign-in stands. One question to the provider.
    pub(crate) async fn device_ask(&self, provider: &ProviderConfig, code: &str) -> Result<Standing, Unproven> {
        let known = self.issuers.discovery(&provider.issuer).await?;
        let Some(place) = &known.token_endpoint else {
            return Err(away(provider, "gives no tokens", "no token_endpoint in its document"));
        };
        let form = [("grant_type", GRANT), ("device_code", code)];
        let (status, body) = self.post(provider, &known, place, &form).await?;
        if status != 200 {
            return match refusal(&body).as_deref() {
                Some("authorization_pending") => Ok(Standing::Pending),
                Some("slow_down") => Ok(Standing::SlowDown),
                Some("access_denied") => Ok(Standing::Denied),
                // A code that nobody knows any more, or has used.
                Some("expired_token" | "invalid_grant") => Ok(Standing::Expired),
                Some(why) if FINAL.contains(&why) => {
                    let issuer = &provider.issuer;
                    Err(Unproven::Refused(format!(
                        "the provider {issuer} gives this server no token ({why}); an admin can see to it"
                    )))
                }
                Some(why) => Err(away(provider, &format!("gives no token ({why})"), "it refused")),
                None => Err(away(provider, "gives no token", format!("status {status}"))),
            };
        }
        let tokens: Tokens =
            serde_json::from_slice(&body).map_err(|why| away(provider, "answered what can't be read", why))?;
        let Some(token) = tokens.id_token else {
            return Err(Unproven::Refused(format!(
                "{} does not say who signed in: there is no ID token",
                provider.issuer
            )));
        };
        let claims = self.signed_by(&provider.issuer, &token).await?;
        let id = identify(&claims, &provider.issuer, &provider.client_id, self.now()).map_err(Unproven::refused)?;
        let given = Given::of(&provider.groups, &claims.texts(&provider.groups_claim));
        let name = name_of(&claims, provider.name_claim.as_deref());
        Ok(Standing::Shown(Box::new(ShownPerson { id, name, given })))
    }

    /// Sends a form as the client that this server is there.
    async fn post(
        &self,
        provider: &ProviderConfig,
        known: &Discovery,
        place: &str,
        fields: &[(&str, &str)],
    ) -> Result<(u16, Vec<u8>), Unproven> {
        let gone = |why: BoxError| away(provider, "does not answer", why);
        // What is sent has the client's secret in it.
        if !provider.issuer.admits(place) {
            return Err(away(provider, "gives tokens where no server is sent", shown(place)));
        }
        let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
        let mut form: Vec<(&str, &str)> = fields.to_vec();
        let mut basic = None;
        match &provider.secret {
            None => form.push(("client_id", &provider.client_id)),
            Some(secret) if known.takes_secrets_in_forms_alone() => {
                form.extend([("client_id", provider.client_id.as_str()), ("client_secret", secret.expose())]);
            }
            // RFC 6749, section 2.3.1: both are encoded as in a form.
            Some(secret) => {
                basic = Some(STANDARD.encode(format!("{}:{}", encoded(&provider.client_id), encoded(secret.expose()))));
            }
        }
        let form = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let _turn = self.turns.acquire().await.map_err(|why| gone(why.into()))?;
        let client = self.fetcher.client().map_err(gone)?;
        let mut request = client
            .post(place)
            .timeout(provider.patience)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form);
        if let Some(basic) = basic {
            request = request.header("authorization", format!("Basic {basic}"));
        }
        self.fetcher.send(request).await.map_err(gone)
    }
}

fn away(provider: &ProviderConfig, what: &str, source: impl Into<BoxError>) -> Unproven {
    Unproven::Unavailable { what: format!("the provider {} {what}", provider.issuer), source: source.into() }
}

/// The code of a refusal, as far as it is one: it is shown.
fn refusal(body: &[u8]) -> Option<String> {
    let code = serde_json::from_slice::<Refusal>(body).ok()?.error;
    let is_one = code.len() <= CODE_MAX && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_one.then(|| shown(&code))
}

/// Whether somebody may be sent to an address: by https, or to this machine when the provider is here too.
fn is_address(text: &str, provider: &ProviderConfig) -> bool {
    let here = provider.issuer.as_str().starts_with("http://") && text.starts_with("http://");
    let scheme = text.starts_with("https://") || here;
    scheme && text.len() <= ADDRESS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}
