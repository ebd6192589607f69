//! The first admin token of an instance, and the way back in.

use layer0_domain::model::access::{Caller, Rights, Secret, Subject, Token, Who};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::name::Name;
use layer0_domain::model::user::{User, UserChange};
use layer0_domain::ops::token::{Expiry, NewToken, hash, token_create, token_create_once};
use layer0_domain::port::access_store::AccessStoreError;

use super::{WiringError, cant};
use crate::app::App;
use crate::auth::ADMIN;
use crate::routes;

/// The setting that says that the first token was made.
const ADMIN_MADE: &str = "admin_token_made";

/// The setting that says what the first token was made for.
const ADMIN_FOR: &str = "admin_token_for";

/// The name of the first token.
const FIRST: &str = "first";

/// The name of the tokens of `--new-admin-token`.
const AGAIN: &str = "admin";

/// Makes the first token of a new instance; `None` when it was made before. It never expires.
///
/// A start that crashed before [`first_token_shown`] may have left a first token that nobody knows: it goes, after the
/// new one is there.
pub(crate) async fn first_token(app: &App) -> Result<Option<Secret>, WiringError> {
    let made = app.store.setting_get(ADMIN_MADE).await.map_err(cant("the store can't be read"))?;
    if made.is_some() {
        return Ok(None);
    }
    let (first, auth) = admin_token(app, FIRST).await?;
    unshown_revoke(app, &first).await?;
    Ok(Some(auth))
}

/// Makes the first token of a new instance of a secret that was made elsewhere, which whoever made it knows: nothing is shown, and
/// nothing written into the data directory. It never expires.
///
/// Once an instance has had its first token no start makes another one: that token may have been revoked on purpose, and another
/// secret in its place is no order either. Of several servers that start at once on one store, one makes it.
///
/// `made_for` says what the secret was made for, where whoever made it says so: the store may outlive that, and the secret with it be
/// gone. When it is another one than before, the secret becomes the first token once more, in the place of the one before.
pub(crate) async fn first_token_given(app: &App, secret: &Secret, made_for: Option<&str>) -> Result<(), WiringError> {
    let get = async |key: &str| app.store.setting_get(key).await.map_err(cant("the store can't be read"));
    let made = get(ADMIN_MADE).await?;
    let (before, made_for) = (get(ADMIN_FOR).await?, made_for.map(str::as_bytes));
    let noted = match (&before, made_for) {
        _ if made.is_none() => Some(ADMIN_MADE.to_owned()),
        (Some(before), Some(now)) if before != now => Some(format!("{ADMIN_MADE}.{}", Digest::sha256_of(now).hex())),
        _ => None,
    };
    if let Some(noted) = noted {
        let (caller, new) = admin(app, FIRST).await?;
        let made = token_create_once(&app.ctx(&caller), new, secret, &noted).await;
        if let Some(first) = made.map_err(cant("the first admin token can't be made"))? {
            tracing::info!("the first admin token is the one that was given");
            unshown_revoke(app, &first).await?;
        }
    }
    if let Some(now) = made_for.filter(|now| before.as_deref() != Some(*now)) {
        let written = match &before {
            Some(before) => app.store.setting_replace(ADMIN_FOR, Some(before), now).await.map(drop),
            None => app.store.setting_get_or_put(ADMIN_FOR, now).await.map(drop),
        };
        written.map_err(cant("the store can't be written"))?;
    }
    let found = app.access.token_find(&hash(secret)).await.map_err(cant("the store can't be read"))?;
    if found.is_none() {
        tracing::info!(
            "LAYER0_ADMIN_TOKEN opens nothing: this instance has had its first admin token, and it was another one or is revoked"
        );
    }
    Ok(())
}

/// Revokes what an earlier start made as its first token and never showed.
async fn unshown_revoke(app: &App, first: &Token) -> Result<(), WiringError> {
    for token in app.access.token_list().await.map_err(cant("the store can't be read"))? {
        if token.name == first.name && token.id != first.id {
            let gone = app.access.token_delete(&token.id, app.clock.now()).await;
            gone.map_err(cant("a first token that was never shown can't be revoked"))?;
        }
    }
    Ok(())
}

/// Makes another token of the admin: the way back in when all tokens are lost or have expired. Whoever may write the data
/// directory may have it.
pub(crate) async fn another_token(app: &App) -> Result<Secret, WiringError> {
    Ok(admin_token(app, AGAIN).await?.1)
}

/// A token of the admin that never expires, and base64 of `user:secret`.
async fn admin_token(app: &App, called: &str) -> Result<(Token, Secret), WiringError> {
    let (caller, new) = admin(app, called).await?;
    let made = token_create(&app.ctx(&caller), new).await;
    let (token, secret) = made.map_err(cant("an admin token can't be made"))?;
    let auth = Secret::new(routes::basic(&token.sign_in_name(), &secret));
    Ok((token, auth))
}

/// The admin, made or made an admin again, and what a token of theirs is to be.
async fn admin(app: &App, called: &str) -> Result<(Caller, NewToken), WiringError> {
    let name = |text: &str| Name::parse(text).expect("a legal name");
    let mut user = User { name: name(ADMIN), admin: true, password: None, created: app.clock.now(), person: None };
    // Somebody whom a provider signs in keeps what they are and may: `admin-2` is made in that case, and so on.
    for number in 2_u32.. {
        match app.access.user_create(&user).await {
            Ok(()) => break,
            Err(AccessStoreError::Exists { .. }) => {}
            Err(why) => return Err(cant("the admin can't be made")(why)),
        }
        let found = app.access.user_get(&user.name).await.map_err(cant("the store can't be read"))?;
        if found.is_some_and(|found| found.user.person.is_none()) {
            // Whoever may write the data directory is an admin, whatever became of the user of that name.
            let change = UserChange { admin: Some(true), ..UserChange::default() };
            let changed = app.access.user_update(&user.name, &change, app.clock.now()).await;
            changed.map_err(cant("the admin can't be made one"))?;
            break;
        }
        user.name = name(&format!("{ADMIN}-{number}"));
    }
    let caller = Caller { who: Who::User(user.name.clone()), token: None, rights: Rights::everything() };
    let new = NewToken { subject: Subject::User(user.name), name: name(called), scopes: None, expiry: Expiry::Never };
    Ok((caller, new))
}

/// Notes that the first token was made and its files written. Before this, a crash makes another one at the next start, so
/// that nobody is locked out of an instance whose only token was never shown.
pub(crate) async fn first_token_shown(app: &App) -> Result<(), WiringError> {
    app.store.setting_get_or_put(ADMIN_MADE, b"yes").await.map_err(cant("the store can't be written"))?;
    Ok(())
}
