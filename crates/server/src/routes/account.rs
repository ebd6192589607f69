//! `/account`: leave for other AWS accounts to pull, as the predecessor's registry front had it, for one owner or repository
//! and for whole organizations too. It belongs to where the image bytes lie: an instance that keeps them on its own disk has
//! nothing that another account could pull.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place, Rights};
use layer0_domain::model::grant::{Grant, GrantScope, Grantee, KeptGrant, WrongRepository};
use layer0_domain::ops::OpsError;
use layer0_domain::ops::grant as ops;
use tokio::sync::mpsc::Sender;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, accepted, events};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::convert::grant as convert;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, ApiQuery};
use crate::grants::{Keeper, LookError};

/// How often a follower looks in the store though nobody nudged: another server may be at it.
const BACKSTOP: Duration = Duration::from_secs(2);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, grant))
        .routes(routes!(plan))
        .routes(routes!(follow))
        .routes(routes!(revoke))
}

/// What writes grants down, or why there is none.
fn keeper(app: &App) -> Result<&Keeper, ApiError> {
    app.grants.keeper.as_deref().ok_or_else(|| {
        ApiError::value("this instance has no account grants: its images lie on its own disk, not in ECR").hint(format!(
            "`l0 token create` makes a token for whoever shall pull from {}; where images lie in ECR, start the server with \
             `--account-grants on`",
            app.identity.registry_name
        ))
    })
}

/// What the right to a grant is about: whose repositories it opens.
fn place(scope: &GrantScope) -> OwnedPlace {
    match scope {
        GrantScope::Instance => OwnedPlace::new(None, ""),
        GrantScope::Owner(owner) => OwnedPlace::new(Some(owner.clone()), ""),
        GrantScope::Repository(name) => OwnedPlace::new(Some(name.owner_name()), name.name()),
    }
}

/// Demands the right to decide who may pull from what a grant means: an admin's for everything, a maintainer's for what an
/// owner has. A maintainer may let anybody in anyway, by a robot's token.
fn must_decide(who: &SignedIn, grant: &Grant) -> Result<(), ApiError> {
    let decided = match &grant.scope {
        GrantScope::Instance => who.must_administer(),
        GrantScope::Owner(owner) => who.must(Action::Admin, Place::owner(owner)),
        GrantScope::Repository(_) => who.must(Action::Admin, place(&grant.scope).place()),
    };
    who.about(grant.key());
    decided
}

/// Whether the caller may know of a grant: everybody who is signed in, of one for everything.
fn is_shown(rights: &Rights, scope: &GrantScope) -> bool {
    *scope == GrantScope::Instance || rights.may(Action::Pull, place(scope).place())
}

/// Who of AWS may pull
///
/// `accounts` are the accounts that may pull from every repository; `grants` has all, with what has become of each; `strategy`
/// says in which policies they stand. An instance whose images lie on its own disk has none.
#[utoipa::path(get, path = "/account", operation_id = "account_list", tag = "account",
    responses((status = 200, body = wire::AccountList, description = "The grants."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<wire::AccountList>, ApiError> {
    let all = ops::grant_list(&app.ctx(&who.caller)).await?;
    let accounts = all.iter().filter_map(|kept| match (&kept.grant.grantee, &kept.grant.scope) {
        (Grantee::Account(id), GrantScope::Instance) if kept.is_wanted() => Some(id.to_string()),
        _ => None,
    });
    let shown = all.iter().filter(|kept| is_shown(&who.caller.rights, &kept.grant.scope));
    let strategy = match &app.grants.keeper {
        Some(keeper) => {
            let mut strategy = keeper.strategy().await?;
            let is_shown =
                |it: &WrongRepository| is_shown(&who.caller.rights, &GrantScope::Repository(it.repository.clone()));
            strategy.report.wrong.retain(is_shown);
            Some(convert::strategy(&strategy))
        }
        None => None,
    };
    Ok(Json(wire::AccountList { accounts: accounts.collect(), grants: shown.map(convert::kept).collect(), strategy }))
}

/// Let an AWS account pull
///
/// From every repository, those of an owner, or one; now, and from what is made later. The answer comes at once; `GET
/// /account/events` follows how the policies are written. Admins only; for an owner's repositories its maintainers too. An
/// instance without ECR refuses it (422).
#[utoipa::path(post, path = "/account", operation_id = "account_grant", tag = "account",
    request_body = wire::GrantAccountRequest,
    responses((status = 202, body = wire::AccountGrant, description = "It is being carried out."), Errors))]
async fn grant(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::GrantAccountRequest>,
) -> Result<Response, ApiError> {
    let asked = asked(&who, &request.account, &request.owner, &request.repository)?;
    keeper(&app)?;
    let kept = ops::grant_ask(&app.ctx(&who.caller), asked).await?;
    app.grants.asked.nudge();
    Ok(accepted(convert::kept(&kept)))
}

/// The grant that a request names, when the caller may decide about it. Whoever may not decide about anything hears so first.
fn asked(who: &SignedIn, account: &str, owner: &str, repository: &str) -> Result<Grant, ApiError> {
    if owner.is_empty() && repository.is_empty() {
        who.must_administer()?;
        who.about(account);
    }
    let grant = convert::grant(account, owner, repository)?;
    must_decide(who, &grant)?;
    Ok(grant)
}

/// Let an AWS account pull no more
///
/// The grant is there, with `wish` `take_back`, until no policy names it any more. The same rights as to grant it.
#[utoipa::path(delete, path = "/account/{id}", operation_id = "account_revoke", tag = "account",
    params(("id" = String, Path), ("owner" = Option<String>, Query), ("repository" = Option<String>, Query)),
    responses((status = 202, body = wire::AccountGrant, description = "It is being taken back."), Errors))]
async fn revoke(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<wire::AccountQuery>,
) -> Result<Response, ApiError> {
    let asked = asked(&who, &id, &query.owner, &query.repository)?;
    keeper(&app)?;
    let kept = ops::grant_take_back(&app.ctx(&who.caller), &asked).await?;
    app.grants.asked.nudge();
    Ok(accepted(convert::kept(&kept)))
}

/// What a grant would write
///
/// With `account`: what granting it would do, or with `revoke=true` taking it back; without: what the next look would mend.
/// With `strategy`: what the policies would be after the change to that one. Reads the registry's policy, where grants stand
/// there and the caller is an admin, and those of the first ten repositories that are meant, and changes nothing. The same
/// rights as to grant it.
#[utoipa::path(get, path = "/account/plan", operation_id = "account_plan", tag = "account",
    params(("account" = Option<String>, Query), ("owner" = Option<String>, Query),
        ("repository" = Option<String>, Query), ("revoke" = Option<bool>, Query),
        ("strategy" = Option<String>, Query)),
    responses((status = 200, body = wire::AccountPlan, description = "Policies."), Errors))]
async fn plan(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::AccountQuery>,
) -> Result<Json<wire::AccountPlan>, ApiError> {
    let grant = match query.account.as_str() {
        "" => None,
        account => Some(asked(&who, account, &query.owner, &query.repository)?),
    };
    let scope = match &grant {
        Some(grant) => grant.scope.clone(),
        None => {
            let scope = convert::scope(&query.owner, &query.repository)?;
            who.must(Action::Admin, place(&scope).place())?;
            scope
        }
    };
    let (added, removed) = if query.revoke == "true" { (None, grant.as_ref()) } else { (grant.as_ref(), None) };
    let strategy = convert::strategy_read(&query.strategy)?;
    let keeper = keeper(&app)?;
    let mut preview = keeper.preview(&scope, added, removed, strategy).await?;
    if !who.caller.rights.may(Action::Admin, place(&GrantScope::Instance).place()) {
        // It says of all owners whom they have let in.
        preview.documents.retain(|document| document.repository.is_some());
    }
    Ok(Json(convert::preview(&preview, keeper.names.host())))
}

/// Follow a grant
///
/// Server-sent events: `event: grant`, each an `AccountGrant`, as it changes; one `event: end` when it is carried out, refused
/// or gone, and the stream closes. A grant that was taken back is not there (404).
#[utoipa::path(get, path = "/account/events", operation_id = "account_follow", tag = "account",
    params(("account" = String, Query), ("owner" = Option<String>, Query), ("repository" = Option<String>, Query)),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events."), Errors))]
async fn follow(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::AccountQuery>,
) -> Result<Response, ApiError> {
    let grant = convert::grant(&query.account, &query.owner, &query.repository)?;
    let missing = || ApiError::from(OpsError::GrantMissing { grant: grant.clone() });
    if !is_shown(&who.caller.rights, &grant.scope) {
        return Err(missing());
    }
    let all = ops::grant_list(&app.ctx(&who.caller)).await?;
    let found = all.into_iter().find(|kept| kept.grant == grant).ok_or_else(missing)?;
    let ended = who.ended_unless(&app, move |rights| is_shown(rights, &grant.scope));
    Ok(events::answer(ended, |sender| send_events(app, found, sender)))
}

/// Sends events until the grant is at an end, the client goes, or the server stops.
async fn send_events(app: App, mut last: KeptGrant, sender: Sender<Event>) {
    let mut nudges = app.nudge.listen();
    let mut sent = None;
    loop {
        nudges.mark_unchanged();
        let Ok(all) = app.access.grant_list().await else { return };
        let (state, has_ended) = match all.into_iter().find(|kept| kept.grant == last.grant) {
            Some(kept) => {
                last = kept;
                (convert::kept(&last), last.state.ended())
            }
            None => {
                let gone = "taken back".to_owned();
                let state = "taken_back".to_owned();
                (wire::AccountGrant { state, progress: gone, ..convert::kept(&last) }, true)
            }
        };
        if has_ended || sent.as_ref() != Some(&state) {
            let name = if has_ended { "end" } else { "grant" };
            let Ok(event) = Event::default().event(name).json_data(&state) else { return };
            if sender.send(event).await.is_err() || has_ended {
                return;
            }
            sent = Some(state);
        }
        tokio::select! {
            _ = nudges.changed() => {}
            () = tokio::time::sleep(BACKSTOP) => {}
            () = sender.closed() => return,
            () = app.stop.wait() => return,
        }
    }
}

impl From<LookError> for ApiError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(error) => error.into(),
            LookError::Strategy(error) => error.into(),
            LookError::List(error) => ApiError::new(
                layer0_api::error::ErrorCode::EngineUnavailable,
                format!("the repositories can't be listed: {}", crate::error::chain(&error)),
            ),
        }
    }
}
