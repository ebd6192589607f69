//! The device flow of the issuer: it answers what a test tells it to, and keeps what it was asked.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{OidcIssuer, Shared};

/// The code by which a sign-in is asked about.
pub const DEVICE_CODE: &str = "device-code-1";

/// The code that somebody would type in.
pub const USER_CODE: &str = "WDJB-MJHT";

/// Where a sign-in begins, and where tokens are given.
const BEGIN: &str = "/device";
const TOKEN: &str = "/token";

/// What the issuer does with sign-ins.
#[derive(Default)]
pub(super) struct Device {
    answers: VecDeque<(u16, Value)>,
    seen: Vec<Asked>,
    begins: Option<(u16, Value)>,
    methods: Option<Value>,
}

/// What the issuer was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub path: String,
    /// `Authorization`; empty without one.
    pub authorization: String,
    /// The form, as it was sent.
    pub form: String,
}

impl OidcIssuer {
    /// The next question of how a sign-in stands is answered so; after the last of these that nobody has agreed yet.
    pub fn device_answers(&self, status: u16, body: Value) {
        self.shared.state().device.answers.push_back((status, body));
    }

    /// The next question is refused with this error (RFC 8628, section 3.5).
    pub fn device_refuses(&self, error: &str) {
        self.device_answers(400, json!({"error": error}));
    }

    /// Somebody with these claims has agreed: the next question is answered with a token that says so.
    pub fn device_agrees(&self, claims: &Value) {
        self.device_answers(200, json!({"access_token": "a", "token_type": "Bearer", "id_token": self.token(claims)}));
    }

    /// A sign-in begins with this answer from now on.
    pub fn device_begins(&self, status: u16, body: Value) {
        self.shared.state().device.begins = Some((status, body));
    }

    /// How clients may show their secret, as its document says it.
    pub fn auth_methods(&self, methods: Value) {
        self.shared.state().device.methods = Some(methods);
    }

    /// What it was asked about sign-ins.
    #[must_use]
    pub fn device_asked(&self) -> Vec<Asked> {
        self.shared.state().device.seen.clone()
    }
}

impl Shared {
    /// What its document says of sign-ins.
    pub(super) fn device_document(&self) -> Value {
        let mut document = json!({"device_authorization_endpoint": format!("{}{BEGIN}", self.url),
            "token_endpoint": format!("{}{TOKEN}", self.url)});
        if let Some(methods) = &self.state().device.methods {
            document["token_endpoint_auth_methods_supported"] = methods.clone();
        }
        document
    }

    /// The answer to a question about sign-ins; `None` for any other.
    pub(super) fn device_reply(&self, path: &str, authorization: &str, form: &str) -> Option<(u16, Value)> {
        if ![BEGIN, TOKEN].contains(&path) {
            return None;
        }
        let mut state = self.state();
        let (authorization, form) = (authorization.to_owned(), form.to_owned());
        state.device.seen.push(Asked { path: path.to_owned(), authorization, form });
        Some(if path == TOKEN {
            state.device.answers.pop_front().unwrap_or_else(|| (400, json!({"error": "authorization_pending"})))
        } else {
            state.device.begins.clone().unwrap_or_else(|| {
                let begun = json!({"device_code": DEVICE_CODE, "user_code": USER_CODE,
                    "verification_uri": format!("{}/activate", self.url),
                    "verification_uri_complete": format!("{}/activate?user_code={USER_CODE}", self.url),
                    "expires_in": 600, "interval": 1});
                (200, begun)
            })
        })
    }
}
