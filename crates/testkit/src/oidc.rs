//! An issuer of OpenID Connect on this machine: its document, its keys, and tokens that say whatever a test wants, signed rightly
//! or not. With it GitHub's way of asking for a token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

mod device;

pub use device::{Asked, DEVICE_CODE, USER_CODE};

/// An RSA key of 2048 bits that opens nothing but tests: making one takes longer than all that is done with it.
const RSA: &str = include_str!("oidc_key.txt");

const MADE: &str = "a key can be made";

/// A running issuer. It ends when dropped.
pub struct OidcIssuer {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    url: String,
    rsa: RsaKeyPair,
    state: Mutex<State>,
}

struct State {
    ec: EcdsaKeyPair,
    /// The name of the key, which changes with it.
    number: u64,
    /// Whether it answers.
    is_away: bool,
    /// What stands in its document in place of its own name.
    says: Option<String>,
    fetches: u64,
    /// Whether it takes requests and never answers.
    hangs: bool,
    /// Whether its keys are more than anybody reads.
    is_huge: bool,
    device: device::Device,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OidcIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn ec() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect(MADE);
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).expect(MADE)
}

impl OidcIssuer {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When the machine has no socket to give.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let rsa = STANDARD.decode(RSA.split_whitespace().collect::<String>()).expect("the key is base64");
        let rsa = RsaKeyPair::from_pkcs8(&rsa).expect("the key is one");
        let state = Mutex::new(State {
            ec: ec(),
            number: 1,
            is_away: false,
            says: None,
            fetches: 0,
            hangs: false,
            is_huge: false,
            device: device::Device::default(),
        });
        let shared = Arc::new(Shared { url: url.clone(), rsa, state });
        let serving = shared.clone();
        let server = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(answer(serving.clone(), stream));
            }
        });
        Self { url, shared, server }
    }

    /// What it is called: its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a job of GitHub's actions would ask for a token of this subject; the credential is `actions-credential`.
    #[must_use]
    pub fn actions_url(&self, subject: &str) -> String {
        format!("{}/actions/{}?api-version=2.0", self.url, URL_SAFE_NO_PAD.encode(subject))
    }

    /// A token with these claims and the issuer's name, signed by RS256.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.shared.token(claims)
    }

    /// The same, signed by ES256.
    #[must_use]
    pub fn token_es256(&self, claims: &Value) -> String {
        let kid = format!("ec-{}", self.shared.state().number);
        self.signed(&json!({"alg": "ES256", "typ": "JWT", "kid": kid}), &self.shared.named(claims))
    }

    /// A token with this header and these claims and nothing else, signed as `alg` says; by RS256 for what is no algorithm of
    /// this issuer's.
    #[must_use]
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        self.shared.signed(header, claims)
    }

    /// Has other keys from now on.
    pub fn keys_change(&self) {
        let mut state = self.shared.state();
        state.ec = ec();
        state.number += 1;
    }

    /// Answers no more, or again.
    pub fn away(&self, is_away: bool) {
        self.shared.state().is_away = is_away;
    }

    /// Takes requests and never answers, or answers again.
    pub fn hangs(&self, hangs: bool) {
        self.shared.state().hangs = hangs;
    }

    /// Has more keys than anybody reads, from now on.
    pub fn keys_huge(&self) {
        self.shared.state().is_huge = true;
    }

    /// Says in its document that it is another.
    pub fn says(&self, name: &str) {
        self.shared.state().says = Some(name.to_owned());
    }

    /// How often its keys were fetched.
    #[must_use]
    pub fn fetches(&self) -> u64 {
        self.shared.state().fetches
    }
}

impl Shared {
    /// The claims with the issuer's name, where they have none.
    fn named(&self, claims: &Value) -> Value {
        let mut claims = claims.clone();
        if claims.get("iss").is_none() {
            claims["iss"] = json!(self.url);
        }
        claims
    }

    fn token(&self, claims: &Value) -> String {
        let kid = format!("rsa-{}", self.state().number);
        self.signed(&json!({"alg": "RS256", "typ": "JWT", "kid": kid}), &self.named(claims))
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signature = if header["alg"] == "ES256" {
            self.state().ec.sign(&random, signed.as_bytes()).expect("it signs").as_ref().to_vec()
        } else {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("it signs");
            signature
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn keys(&self) -> Value {
        let mut state = self.state();
        state.fetches += 1;
        let rsa: RsaPublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        let point = state.ec.public_key().as_ref().to_vec();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let number = state.number;
        if state.is_huge {
            return json!({"keys": [{"kid": "x".repeat(1024 * 1024)}]});
        }
        json!({"keys": [
            {"kid": format!("rsa-{number}"), "kty": "RSA", "use": "sig", "alg": "RS256", "n": text(&rsa.n), "e": text(&rsa.e)},
            {"kid": format!("ec-{number}"), "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])},
        ]})
    }

    /// What a request is answered with: status and body.
    fn reply(&self, target: &str, authorization: &str, body: &str) -> (u16, Value) {
        if self.state().is_away {
            return (503, json!({}));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(reply) = self.device_reply(path, authorization, body) {
            return reply;
        }
        match path {
            "/.well-known/openid-configuration" => {
                let name = self.state().says.clone().unwrap_or_else(|| self.url.clone());
                let mut document = self.device_document();
                (document["issuer"], document["jwks_uri"]) = (json!(name), json!(format!("{}/keys", self.url)));
                (200, document)
            }
            "/keys" => (200, self.keys()),
            path => match path.strip_prefix("/actions/").and_then(|subject| URL_SAFE_NO_PAD.decode(subject).ok()) {
                Some(_) if authorization != "Bearer actions-credential" => (401, json!({})),
                Some(subject) => {
                    let audience = query.split('&').find_map(|pair| pair.strip_prefix("audience=")).unwrap_or_default();
                    let audience = audience.replace("%3A", ":").replace("%2F", "/");
                    let claims = json!({"sub": String::from_utf8_lossy(&subject), "aud": audience, "exp": u32::MAX});
                    (200, json!({"count": 1, "value": self.token(&claims)}))
                }
                None => (404, json!({})),
            },
        }
    }
}

/// One request, one answer.
async fn answer(shared: Arc<Shared>, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let (mut target, mut authorization, mut length) = (String::new(), String::new(), 0);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(length) if length > 2) {
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => value.clone_into(&mut authorization),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => target = line.split(' ').nth(1).unwrap_or_default().to_owned(),
        }
        line.clear();
    }
    let mut form = vec![0; length];
    if stream.read_exact(&mut form).await.is_err() {
        return;
    }
    if shared.state().hangs {
        return std::future::pending().await;
    }
    let (status, body) = shared.reply(&target, &authorization, &String::from_utf8_lossy(&form));
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 {status} .\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ");
    // Whoever has gone meanwhile reads nothing.
    let _ = stream.get_mut().write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await;
}
