//! `/auth/token`: the token endpoint of the registry (distribution project, "Token Authentication Specification" and
//! "OAuth2 Token Authentication"). Not `/token`, which is the API's.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use layer0_api::error::ErrorCode;
use layer0_domain::model::access::{Action, Caller, Secret};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use serde_json::json;

use super::sign_in::{Signed, Verdict};
use super::signed::{Access, Claims, REFRESH_TOKEN_S, REGISTRY_TOKEN_S, Session};
use crate::app::App;
use crate::error::ApiError;
use crate::extract;
use crate::text_time::rfc3339;

/// The most repositories that one registry token speaks of. A push names its own and those that it mounts from; the
/// token is sent with every request, in a header that proxies bound to a few KiB.
pub(super) const REPOSITORIES_MAX: usize = 16;

/// Its path.
pub(crate) const PATH: &str = "/auth/token";

/// The endpoint.
pub(crate) fn router() -> Router<App> {
    Router::new().route(PATH, get(by_basic).post(by_form))
}

async fn by_basic(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let scopes = scopes(query.as_deref().unwrap_or_default());
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer);
    match app.sign_in.who(&headers, peer, Signed::Accepted).await {
        // No refresh token here, though `docker login` asks for one (`offline_token`): it would keep that in place of the
        // password, and podman and buildah refuse to work with a file that holds such a thing.
        Ok(verdict) => answer(&app, verdict, scopes, false).await,
        Err(error) => ApiError::from(error).into_registry_response(),
    }
}

/// The OAuth2 form: `grant_type=password` with a user and a secret; `refresh_token` with a
/// token's secret alone, or with a refresh token of ours (`access_type=offline`).
async fn by_form(
    State(app): State<App>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match extract::form(body).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_registry_response(),
    };
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| pairs(&text).find(|(key, _)| key == name).map(|(_, value)| value);
    let scopes = scopes(&text);
    let from = app.sign_in.address(&headers, peer.map(|Extension(ConnectInfo(peer))| peer));
    let (user, secret) =
        match (field("grant_type").as_deref(), field("username"), field("password"), field("refresh_token")) {
            (Some("password"), Some(user), Some(password), _) => (Some(user), Secret::new(password)),
            (Some("refresh_token"), _, _, Some(token)) => (None, Secret::new(token)),
            _ => {
                let message = "grant_type must be `password` with username and password, or `refresh_token`";
                return ApiError::request(message).into_registry_response();
            }
        };
    let verdict = match user {
        Some(user) => app.sign_in.basic(&user, &secret, from).await,
        None => app.sign_in.refreshed(&secret, from).await,
    };
    match verdict {
        Ok(verdict) => answer(&app, verdict, scopes, field("access_type").as_deref() == Some("offline")).await,
        Err(error) => ApiError::from(error).into_registry_response(),
    }
}

fn refused() -> Response {
    ApiError::new(ErrorCode::Unauthorized, "no valid user and token were given")
        .hint("`l0 token create` makes a token; its secret is the password for `docker login`")
        .into_registry_response()
}

/// A signed token for what was asked for and is allowed, and with `offline` one to get others with; the rest is left out, as the specification wants it ("Token
/// Authentication Specification", step 4).
async fn answer(app: &App, verdict: Verdict, asked: Vec<Access>, offline: bool) -> Response {
    let now = app.clock.now();
    let mut expires = now.plus_ms(REGISTRY_TOKEN_S * 1000);
    let mut bound = None;
    let (known, session) = match verdict {
        Verdict::Wrong => return refused(),
        Verdict::Throttled { after_s } => return ApiError::throttled(after_s).into_registry_response(),
        Verdict::Nothing => (None, Some(Session::Anonymous)),
        Verdict::Known(known) => {
            // A signed credential bounds what is made with it.
            bound = known.expires;
            expires = bound.map_or(expires, |end| expires.min(end));
            let session = known.session.clone();
            (Some(known.caller.clone()), session)
        }
    };
    let anonymous = known.is_none();
    let caller = known.unwrap_or_else(Caller::anonymous);
    let mut granted = Vec::new();
    for Access { repository, actions } in asked {
        let mut allowed: Vec<Action> =
            actions.iter().copied().filter(|action| caller.rights.may(*action, (&repository).into())).collect();
        if actions.contains(&Action::Pull) && !allowed.contains(&Action::Pull) {
            match app.registry.repository_visibility(&repository).await {
                Ok(Visibility::Public) => allowed.push(Action::Pull),
                Ok(Visibility::Private) => {}
                Err(error) => return ApiError::from(error).into_registry_response(),
            }
        }
        if !allowed.is_empty() {
            granted.push(Access { repository, actions: allowed });
        }
    }
    if anonymous && granted.is_empty() {
        return ApiError::new(ErrorCode::Unauthorized, "sign in first: nothing of this is public")
            .hint("`docker login`, with your user name and a token of `l0 token create`")
            .into_registry_response();
    }
    let refresh = match &session {
        Some(Session::Token(..) | Session::Password(..)) if offline => {
            let expires = now.plus_ms(REFRESH_TOKEN_S * 1000);
            // Of what ends by itself nothing is made that lives longer.
            let expires = bound.map_or(expires, |end| expires.min(end));
            let session = session.clone();
            Some(app.keys.sign(&Claims { session, access: vec![], expires, refresh: true, registry: false }))
        }
        _ => None,
    };
    let claims = Claims { session, access: granted, expires, refresh: false, registry: false };
    let token = app.keys.sign(&claims);
    let mut body = json!({
        "token": token.expose(),
        "access_token": token.expose(),
        "expires_in": claims.expires.ms_since(now) / 1000,
        "issued_at": rfc3339(now),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = refresh.expose().into();
    }
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The repository scopes of a query or form: `scope=repository:team/app:pull,push`, several in one or several fields.
/// One repository named several times has one entry with all that is asked for there: containerd asks for
/// `repository:x:pull` and `repository:x:pull,push` at once. What is no scope of a repository, and what is beyond
/// [`REPOSITORIES_MAX`], is left out, as the specification wants it.
pub(super) fn scopes(text: &str) -> Vec<Access> {
    let mut found: Vec<Access> = Vec::new();
    for (_, value) in pairs(text).filter(|(key, _)| key == "scope") {
        for scope in value.split(' ') {
            let Some((name, actions)) = scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')) else {
                continue;
            };
            let Ok(repository) = RepositoryName::parse(name) else { continue };
            let at = match found.iter().position(|access| access.repository == repository) {
                Some(at) => at,
                None if found.len() == REPOSITORIES_MAX => continue,
                None => {
                    found.push(Access { repository, actions: Vec::new() });
                    found.len() - 1
                }
            };
            let granted = &mut found[at].actions;
            for action in actions.split(',').flat_map(wanted) {
                if !granted.contains(&action) {
                    granted.push(action);
                }
            }
        }
    }
    found
}

/// What can be done in a registry.
const REGISTRY: [Action; 3] = [Action::Pull, Action::Push, Action::Delete];

/// The actions behind one word of a scope.
fn wanted(word: &str) -> Vec<Action> {
    match word {
        "*" => REGISTRY.to_vec(),
        word => Action::parse(word).filter(|action| REGISTRY.contains(action)).into_iter().collect(),
    }
}

/// The fields of a query or form (`application/x-www-form-urlencoded`).
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => match (hex(at + 1), hex(at + 2)) {
                (Some(high), Some(low)) => {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                    at += 2;
                }
                _ => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_in_all_their_forms() {
        let one = scopes("service=x&scope=repository%3Ateam%2Fapp%3Apull%2Cpush");
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].actions, [Action::Pull, Action::Push]);
        let two =
            scopes("scope=repository:a/b:pull+repository:c/d:*&scope=registry:catalog:*&scope=repository:e/f:pull");
        assert_eq!(two.iter().map(|it| it.repository.to_string()).collect::<Vec<_>>(), ["a/b", "c/d", "e/f"]);
        assert_eq!(two[1].actions.len(), 3);
        assert!(scopes("scope=repository:UPPER/x:pull&scope=%").is_empty());
    }

    #[test]
    fn scopes_of_one_repository_are_one_and_their_number_is_bounded() {
        let both = scopes("scope=repository:a/b:pull&scope=repository:c/d:pull&scope=repository:a/b:pull,push");
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].actions, [Action::Pull, Action::Push]);
        let many: Vec<String> =
            (0..1000).map(|number| format!("scope=repository:a/r{number}:pull,pull,pull")).collect();
        let many = scopes(&many.join("&"));
        assert_eq!(many.len(), REPOSITORIES_MAX);
        assert!(many.iter().all(|access| access.actions == [Action::Pull]));
    }
}
