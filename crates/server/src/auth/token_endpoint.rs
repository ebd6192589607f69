//! `/auth/token`: the token endpoint of the registry (distribution project, "Token Authentication Specification" and
//! "OAuth2 Token Authentication"). Not `/token`, which is the API's.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use layer0_api::error::ErrorCode;
use layer0_domain::model::access::{RegistryAction, Secret};
use layer0_domain::model::image::RepositoryName;
use serde_json::json;

use super::signed::{Access, Claims, REGISTRY_TOKEN_S};
use super::{PULL_USER, Presented, presented, token_of};
use crate::app::App;
use crate::error::ApiError;
use crate::extract;
use crate::text_time::rfc3339;

/// The most repositories that one registry token speaks of. A push names its own and those that it mounts from; the
/// token is sent with every request, in a header that proxies bound to a few KiB.
pub(super) const REPOSITORIES_MAX: usize = 16;

/// The endpoint.
pub(crate) fn router() -> Router<App> {
    Router::new().route("/auth/token", get(by_basic).post(by_form))
}

async fn by_basic(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let scopes = scopes(query.as_deref().unwrap_or_default());
    match presented(&headers) {
        Presented::Basic(user, secret) => answer(&app, &user, &secret, &scopes).await,
        _ => refused(),
    }
}

/// The OAuth2 form: `grant_type=password` with a user and a secret; `refresh_token` with the secret alone.
async fn by_form(State(app): State<App>, body: Body) -> Response {
    let bytes = match extract::form(body).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| pairs(&text).find(|(key, _)| key == name).map(|(_, value)| value);
    let scopes = scopes(&text);
    match (field("grant_type").as_deref(), field("username"), field("password"), field("refresh_token")) {
        (Some("password"), Some(user), Some(password), _) => answer(&app, &user, &Secret::new(password), &scopes).await,
        (Some("refresh_token"), _, _, Some(token)) => {
            match token_of(app.store.as_ref(), app.clock.as_ref(), None, &Secret::new(&token)).await {
                Ok(Some(found)) => answer(&app, found.user.as_str(), &Secret::new(token), &scopes).await,
                Ok(None) => refused(),
                Err(error) => ApiError::from(error).into_response(),
            }
        }
        _ => ApiError::request("grant_type must be `password` with username and password, or `refresh_token`")
            .into_response(),
    }
}

fn refused() -> Response {
    ApiError::new(ErrorCode::Unauthorized, "no valid user and token were given")
        .hint("`l0 token create` makes a token; its secret is the password for `docker login`")
        .into_response()
}

async fn answer(app: &App, user: &str, secret: &Secret, scopes: &[Access]) -> Response {
    let now = app.clock.now();
    let expires = now.plus_ms(REGISTRY_TOKEN_S * 1000);
    let claims = if user == PULL_USER {
        match app.keys.read(secret, now) {
            // What is asked for beyond the credential is left out, as the specification wants it.
            Some(claims) => Claims { expires: expires.min(claims.expires), ..claims },
            None => return refused(),
        }
    } else {
        match token_of(app.store.as_ref(), app.clock.as_ref(), Some(user), secret).await {
            Ok(Some(token)) => Claims { user: Some((token.user, token.id)), access: scopes.to_vec(), expires },
            Ok(None) => return refused(),
            Err(error) => return ApiError::from(error).into_response(),
        }
    };
    let token = app.keys.sign(&claims);
    let body = json!({
        "token": token.expose(),
        "access_token": token.expose(),
        "expires_in": claims.expires.ms_since(now) / 1000,
        "issued_at": rfc3339(now),
    });
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

/// The actions behind one word of a scope.
fn wanted(word: &str) -> Vec<RegistryAction> {
    match word {
        "*" => vec![RegistryAction::Pull, RegistryAction::Push, RegistryAction::Delete],
        word => RegistryAction::parse(word).into_iter().collect(),
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
        assert_eq!(one[0].actions, [RegistryAction::Pull, RegistryAction::Push]);
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
        assert_eq!(both[0].actions, [RegistryAction::Pull, RegistryAction::Push]);
        let many: Vec<String> =
            (0..1000).map(|number| format!("scope=repository:a/r{number}:pull,pull,pull")).collect();
        let many = scopes(&many.join("&"));
        assert_eq!(many.len(), REPOSITORIES_MAX);
        assert!(many.iter().all(|access| access.actions == [RegistryAction::Pull]));
    }
}
