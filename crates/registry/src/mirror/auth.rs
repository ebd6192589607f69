//! How a mirror shows its upstream who it is: the token flow of the distribution project ("Token Authentication Specification"),
//! Basic (RFC 7617), and ECR's tokens.
//!
//! The upstream's challenge says which. What was good for a repository is shown again with the next request there, until it
//! ends or is refused. No credential leaves this module but in a header that is marked as sensitive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Uri};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use serde::Deserialize;

use super::refusal::Refusal;
use super::settings::MirrorLogin;
use super::upstream::Wire;
#[cfg(feature = "ecr")]
use crate::ecr::Tokens;
use crate::path::percent;

/// How long a token is good whose end is not told ("Token Response": 60 seconds).
const UNTOLD_S: i64 = 60;
/// A token is renewed so long before its end: it must last until the upstream has read it.
const EARLY_MS: i64 = 10_000;
/// The longest answer of a token server that is read.
const ANSWER_MAX: usize = 256 << 10;
/// At most so many tokens are remembered.
const HELD_MAX: usize = 10_000;
/// So many turns are kept before those that nobody has are dropped.
const TURNS: usize = 64;

/// What is shown for a repository.
#[derive(Clone)]
struct Held {
    header: HeaderValue,
    until: Timestamp,
}

enum Login {
    Anonymous,
    /// `Basic …`, marked as sensitive.
    Basic(HeaderValue),
    #[cfg(feature = "ecr")]
    Ecr(Tokens),
}

/// The credentials of one mirror.
pub(super) struct Auth {
    login: Login,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<String, Held>>,
    /// One asks for a repository's token at a time; the others find what it got, or why it got none.
    turns: Mutex<HashMap<String, Turn>>,
}

/// Whoever holds it asks; with why the last one got none.
type Turn = Arc<tokio::sync::Mutex<Option<Failure>>>;

/// Why there was no token.
struct Failure {
    /// When that was known.
    at: Instant,
    refusal: Refusal,
}

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
}

impl Auth {
    pub(super) fn new(login: MirrorLogin, clock: Arc<dyn Clock>) -> Self {
        let login = match login {
            MirrorLogin::Anonymous => Login::Anonymous,
            MirrorLogin::Password { user, password } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
                Login::Basic(sensitive(&format!("Basic {pair}")).expect("base64 is legal in a header"))
            }
            #[cfg(feature = "ecr")]
            MirrorLogin::Ecr(source) => Login::Ecr(Tokens::new(source, Arc::clone(&clock))),
        };
        Self { login, clock, held: Mutex::default(), turns: Mutex::default() }
    }

    /// The turn of a repository.
    fn turn(&self, repository: &str) -> Turn {
        // Whole at every moment.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= TURNS {
            // What nobody waits for says nothing to anybody.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(repository.to_owned()).or_default())
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // Whole at every moment.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to show for a repository before the upstream has asked for anything.
    pub(super) async fn known(&self, wire: &Wire, repository: &str) -> Result<Option<HeaderValue>, Refusal> {
        let _ = wire;
        match &self.login {
            #[cfg(feature = "ecr")]
            Login::Ecr(tokens) => {
                let token = tokens.current().await.map_err(|error| Refusal::no_credential(wire.host(), &error))?;
                Ok(Some(token.header.clone()))
            }
            Login::Anonymous | Login::Basic(_) => {
                let now = self.clock.now();
                Ok(self.held().get(repository).filter(|it| now < it.until).map(|it| it.header.clone()))
            }
        }
    }

    /// What to show instead of `shown`, which the upstream has refused with these headers; `None` when there is nothing.
    pub(super) async fn instead(
        &self,
        wire: &Wire,
        repository: &str,
        shown: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let basic = match &self.login {
            #[cfg(feature = "ecr")]
            Login::Ecr(tokens) => {
                let failed = |error| Refusal::no_credential(wire.host(), &error);
                let token = tokens.current().await.map_err(failed)?;
                if shown != Some(&token.header) {
                    return Ok(Some(token.header.clone()));
                }
                let other = tokens.instead_of(&token).await.map_err(failed)?;
                return Ok(other.map(|token| token.header.clone()));
            }
            Login::Anonymous => None,
            Login::Basic(header) => Some(header),
        };
        let came = Instant::now();
        let turn = self.turn(repository);
        let mut turn = turn.lock().await;
        // Somebody else has just got one.
        if let Some(header) = self.known(wire, repository).await?.filter(|header| Some(header) != shown) {
            return Ok(Some(header));
        }
        // Or has waited in vain, and with him all who came meanwhile.
        if let Some(failure) = turn.as_ref().filter(|it| it.at >= came) {
            return Err(failure.refusal.clone());
        }
        self.held().remove(repository);
        let asked: Vec<Challenge> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .collect();
        let held = if let Some(bearer) = asked.iter().find(|it| it.scheme == "bearer") {
            match self.token(wire, repository, bearer, basic).await {
                Ok(held) => held,
                Err(refusal) => {
                    *turn = Some(Failure { at: Instant::now(), refusal: refusal.clone() });
                    return Err(refusal);
                }
            }
        } else if asked.iter().any(|it| it.scheme == "basic")
            && let Some(header) = basic.filter(|header| Some(*header) != shown)
        {
            Held { header: header.clone(), until: Timestamp(i64::MAX) }
        } else {
            return Ok(None);
        };
        let header = held.header.clone();
        let mut all = self.held();
        if all.len() >= HELD_MAX {
            all.clear();
        }
        all.insert(repository.to_owned(), held);
        Ok(Some(header))
    }

    /// Fetches a token from where the challenge says.
    async fn token(
        &self,
        wire: &Wire,
        repository: &str,
        asked: &Challenge,
        basic: Option<&HeaderValue>,
    ) -> Result<Held, Refusal> {
        let host = wire.host();
        let realm = asked.get("realm").and_then(|realm| realm.parse::<Uri>().ok());
        let realm = realm.filter(|it| it.authority().is_some());
        let Some(realm) = realm else { return Err(Refusal::nonsense(host, "asks for a token from nowhere")) };
        // A password that TLS was to keep goes nowhere without it.
        if wire.scheme() == &Scheme::HTTPS && realm.scheme() != Some(&Scheme::HTTPS) {
            return Err(Refusal::nonsense(host, "asks for a token from where all can read along"));
        }
        let scope = asked.get("scope").map_or_else(|| format!("repository:{repository}:pull"), str::to_owned);
        let mut query = format!("scope={}", percent::encode(&scope));
        if let Some(service) = asked.get("service") {
            query = format!("service={}&{query}", percent::encode(service));
        }
        let joined = if realm.query().is_some() { '&' } else { '?' };
        let address = format!("{realm}{joined}{query}").parse::<Uri>();
        let address = address.map_err(|_| Refusal::nonsense(host, "asks for a token from nowhere"))?;
        let mut headers = HeaderMap::new();
        if let Some(basic) = basic {
            headers.insert(AUTHORIZATION, basic.clone());
        }
        let now = self.clock.now();
        let followed = wire.follow(&Method::GET, address, &headers).await?;
        let answer = wire.good(followed.answer, wire.host()).await.map_err(Refusal::of_tokens)?;
        let body = wire.collect(answer.into_body(), ANSWER_MAX).await?;
        let nonsense = || Refusal::nonsense(host, "has a token server that gives no token");
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| nonsense())?;
        let token = answer.token.filter(|it| !it.is_empty()).or(answer.access_token).ok_or_else(nonsense)?;
        let header = sensitive(&format!("Bearer {token}")).ok_or_else(nonsense)?;
        let good_ms = answer.expires_in.unwrap_or(UNTOLD_S).saturating_mul(1000);
        Ok(Held { header, until: now.plus_ms(good_ms.saturating_sub(EARLY_MS)) })
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A challenge: a scheme, in small letters, and its parameters (RFC 9110, section 11.6.1).
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ')?;
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let Some((key, tail)) = rest.split_once('=') else { break };
            let value;
            (value, rest) = match tail.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => tail.split_at(tail.find(',').unwrap_or(tail.len())),
            };
            parameters.push((key.trim().to_ascii_lowercase(), value.to_owned()));
        }
        Some(Self { scheme: scheme.to_ascii_lowercase(), parameters })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let bearer = Challenge::parse(text).unwrap();
        assert_eq!(bearer.scheme, "bearer");
        assert_eq!(bearer.get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(bearer.get("service"), Some("registry.docker.io"));
        assert_eq!(bearer.get("scope"), Some("repository:a/b:pull,push"));
        let basic = Challenge::parse("BASIC realm=here, charset=\"UTF-8\"").unwrap();
        assert_eq!(
            (basic.scheme.as_str(), basic.get("realm"), basic.get("charset")),
            ("basic", Some("here"), Some("UTF-8"))
        );
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer realm=\"open"), None);
    }
}
