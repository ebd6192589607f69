//! A caller who has signed in, and what that one may do: what every handler but the open ones asks for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use layer0_api::error::ErrorCode;
use layer0_domain::model::access::{Action, Caller, Place, Rights};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::registry::Repository;
use layer0_domain::port::store::{Entity, StoreExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::sign_in::{self, Known, LookBy, Signed, Verdict};
use super::signed::Session;
use crate::app::App;
use crate::error::{ApiError, missing};

/// How long a body may take before it is asked again who sends it, though nobody told of a change: a token may have come to its end, and
/// another server may have shut somebody out.
const UNTOLD_MAX: Duration = Duration::from_secs(1);

/// Somebody who has signed in. A handler that names it can't be reached without.
pub(crate) struct SignedIn {
    /// Who, and what that one may do.
    pub(crate) caller: Caller,
    /// What was signed in with; `None` for what is no session of its own.
    pub(crate) session: Option<Session>,
    trail: Trail,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
}

/// What the audit log will say of a request, filled in on its way. The outermost layer puts an empty one into every
/// request.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Note>>);

/// What is known so far.
#[derive(Default, Clone)]
pub(crate) struct Note {
    /// Who.
    pub(crate) caller: Option<Caller>,
    /// What is done, where one operation of the document is several.
    pub(crate) action: Option<&'static str>,
    /// To what.
    pub(crate) target: String,
    /// What it is to become, each value by itself.
    becomes: Vec<String>,
    /// In which environment, or to which.
    pub(crate) environment: Option<EnvironmentId>,
}

impl Note {
    /// To what, and what it is to become.
    pub(crate) fn whole_target(&self) -> String {
        if self.becomes.is_empty() {
            self.target.clone()
        } else {
            format!("{}: {}", self.target, self.becomes.join(", "))
        }
    }
}

impl Trail {
    fn with(&self, change: impl FnOnce(&mut Note)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says who did something to what, where nobody had signed in before.
    pub(crate) fn by(&self, caller: Caller, target: String) {
        self.with(|note| (note.caller, note.target) = (Some(caller), target));
    }

    /// Whether it is known who it is.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).caller.is_some()
    }

    /// What is known now.
    pub(crate) fn note(&self) -> Note {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        // From before the look on, so that nothing is missed.
        let changes = app.sign_in.changes.listen();
        let known = known(app, &parts.headers, peer).await?;
        parts.extensions.insert(Admitted { caller: known.caller.clone(), peer, changes, at: Instant::now() });
        let trail = parts.extensions.get::<Trail>().cloned().unwrap_or_default();
        trail.with(|note| note.caller = Some(known.caller.clone()));
        let Known { caller, session, .. } = Arc::unwrap_or_clone(known);
        Ok(Self { caller, session, trail, headers: parts.headers.clone(), peer })
    }
}

/// Who a request comes from.
async fn known(app: &App, headers: &HeaderMap, peer: Option<SocketAddr>) -> Result<Arc<Known>, ApiError> {
    match app.sign_in.who(headers, peer, Signed::Refused).await? {
        Verdict::Known(known) => Ok(known),
        Verdict::Throttled { after_s } => Err(ApiError::throttled(after_s)),
        Verdict::Nothing => {
            let hint = "`l0 login URL` signs in; on the server's machine `eval \"$(l0 endpoint --data-dir DIR)\"` connects a shell";
            Err(ApiError::new(ErrorCode::Unauthorized, "no token was given").hint(hint))
        }
        // Which of the three it is, is told to nobody: it would say what was once good.
        Verdict::Wrong => Err(ApiError::new(ErrorCode::Unauthorized, "the token is wrong, has expired or was revoked")
            .hint("`l0 login URL` signs in again; scripts need another LAYER0_AUTH_TOKEN")),
    }
}

/// Who was let in by a request's head. Its body may be kept back for minutes, and what is taken away meanwhile must not be done by it.
#[derive(Clone)]
pub(crate) struct Admitted {
    caller: Caller,
    peer: Option<SocketAddr>,
    changes: watch::Receiver<()>,
    at: Instant,
}

impl Admitted {
    /// Demands that it is the same caller still, with the same rights, where somebody may have lost something since.
    pub(crate) async fn still(&self, app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
        let is_told = self.changes.has_changed().unwrap_or(true);
        if !is_told && self.at.elapsed() < UNTOLD_MAX {
            return Ok(());
        }
        if known(app, headers, self.peer).await?.caller == self.caller {
            return Ok(());
        }
        let message = "what you may do has changed while the request came in";
        Err(ApiError::new(ErrorCode::Forbidden, message).hint("send it again"))
    }
}

/// What belongs to an owner, by that owner and its name.
#[derive(Debug, Clone)]
pub(crate) struct OwnedPlace {
    owner: Option<OwnerName>,
    name: String,
}

impl OwnedPlace {
    pub(crate) fn new(owner: Option<OwnerName>, name: impl Into<String>) -> Self {
        Self { owner, name: name.into() }
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place::of(self.owner.as_ref(), &self.name)
    }
}

impl SignedIn {
    /// Says what the request is about, for the audit log.
    pub(crate) fn about(&self, target: impl ToString) {
        self.trail.with(|note| note.target = target.to_string());
    }

    /// Says what that is to become, for the audit log: a new value in few words, never a secret.
    pub(crate) fn becomes(&self, value: impl ToString) {
        self.trail.with(|note| note.becomes.push(value.to_string()));
    }

    /// Says what the request does, for the audit log, where the operation's own name says less.
    pub(crate) fn does(&self, action: &'static str) {
        self.trail.with(|note| note.action = Some(action));
    }

    /// Says in which environment the request does something, for the audit log.
    pub(crate) fn within(&self, environment: &EnvironmentId) {
        self.trail.with(|note| note.environment = Some(environment.clone()));
    }

    /// Whether the caller may do something on a place.
    pub(crate) fn may(&self, action: Action, place: Place<'_>) -> bool {
        self.caller.rights.may(action, place)
    }

    /// Whether the caller may pull from a repository.
    pub(crate) fn may_pull(&self, repository: &Repository) -> bool {
        self.caller.rights.may_pull(&repository.name, repository.visibility)
    }

    /// Demands that the caller may do something on a place.
    pub(crate) fn must(&self, action: Action, place: Place<'_>) -> Result<(), ApiError> {
        self.about(place);
        if self.may(action, place) { Ok(()) } else { Err(self.forbidden(action, place)) }
    }

    /// Demands an admin's right to the instance itself.
    pub(crate) fn must_administer(&self) -> Result<(), ApiError> {
        self.must(Action::Admin, Place::instance())
    }

    /// Returns when the caller may do something on a place no more: for what goes on after its request was let in.
    pub(crate) fn ended(
        &self,
        app: &App,
        action: Action,
        place: OwnedPlace,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.ended_unless(app, move |rights| rights.may(action, place.place()))
    }

    /// Returns when the caller is signed in no more, or with rights of which `still` says no.
    pub(crate) fn ended_unless(
        &self,
        app: &App,
        still: impl Fn(&Rights) -> bool + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (sign_in, headers, peer) = (app.sign_in.clone(), self.headers.clone(), self.peer);
        async move {
            let mut changes = sign_in.changes.listen();
            loop {
                let by = match sign_in.who(&headers, peer, Signed::Refused).await {
                    Ok(Verdict::Known(known)) if still(&known.caller.rights) => LookBy::of(&Verdict::Known(known)),
                    // A store that does not answer for a moment ends nothing that was begun by right.
                    Err(_) => LookBy::Soon,
                    Ok(_) => return,
                };
                sign_in::next_look(&mut changes, sign_in.clock.as_ref(), by).await;
            }
        }
    }

    /// Demands an admin with nothing held back: whoever decides about people could give himself everything.
    pub(crate) fn must_be_unbounded_admin(&self) -> Result<(), ApiError> {
        if self.caller.rights.are_everything() {
            return Ok(());
        }
        let message =
            format!("{} may not decide about users: that takes an admin whose token has no scopes", self.caller.who);
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }

    /// Demands that the caller may see a place, else it isn't there (`missing`), and may do something on it.
    fn on(&self, action: Action, place: Place<'_>, missing: impl FnOnce() -> ApiError) -> Result<(), ApiError> {
        if self.may(action, place) {
            return Ok(());
        }
        if self.may(Action::Pull, place) { Err(self.forbidden(action, place)) } else { Err(missing()) }
    }

    /// Demands that the caller may do something on an environment and with what stands in it.
    pub(crate) async fn on_environment(
        &self,
        app: &App,
        id: &EnvironmentId,
        action: Action,
    ) -> Result<OwnedPlace, ApiError> {
        let entity = EntityRef::Environment(id.clone());
        let found = app.store.environment_get(id).await?.ok_or_else(|| missing(&entity))?;
        let place = OwnedPlace::new(found.owner, found.name.to_string());
        self.about(place.place());
        self.within(id);
        self.on(action, place.place(), || missing(&entity))?;
        Ok(place)
    }

    /// Demands that the caller may do something on an entity: by its environment, or by itself where it has an owner.
    /// Answers what the right is about.
    pub(crate) async fn on_entity(
        &self,
        app: &App,
        entity: &EntityRef,
        action: Action,
    ) -> Result<OwnedPlace, ApiError> {
        let gone = || missing(entity);
        let place = match entity {
            EntityRef::Environment(id) => {
                let place = self.on_environment(app, id, action).await?;
                self.about(entity);
                return Ok(place);
            }
            EntityRef::Deploy(id) => {
                let found = app.store.deploy_get(id).await?.ok_or_else(gone)?;
                OwnedPlace::new(found.owner, found.name.to_string())
            }
            EntityRef::LoadBalancer(_) | EntityRef::Service(_) | EntityRef::Task(_) => {
                let found: Entity = app.store.entity_get(entity).await?.ok_or_else(gone)?;
                match found.environment() {
                    Some(id) => {
                        self.within(id);
                        environment_place(app, id).await?
                    }
                    None => OwnedPlace::new(None, ""),
                }
            }
        };
        self.about(entity);
        self.on(action, place.place(), gone)?;
        Ok(place)
    }

    /// The user behind the caller.
    pub(crate) fn user(&self) -> Option<&Name> {
        self.caller.user()
    }

    /// The refusal, in words.
    pub(crate) fn forbidden(&self, action: Action, place: Place<'_>) -> ApiError {
        let what = match action {
            Action::Pull => "see",
            Action::Push => "push to",
            Action::Delete => "delete in",
            Action::Deploy => "deploy to",
            Action::Admin => "administer",
        };
        let refused = ApiError::new(ErrorCode::Forbidden, format!("{} may not {what} {place}", self.caller.who));
        match place.owner {
            Some(owner) => refused.hint(format!(
                "`l0 member list {owner}` shows who may what there, `l0 whoami` what your token is good for"
            )),
            None => refused.hint("that takes an admin of the instance; `l0 whoami` shows what your token is good for"),
        }
    }
}

/// Whose an environment is; nobody's when it has gone.
pub(crate) async fn environment_place(app: &App, id: &EnvironmentId) -> Result<OwnedPlace, ApiError> {
    Ok(match app.store.environment_get(id).await? {
        Some(found) => OwnedPlace::new(found.owner, found.name.to_string()),
        None => OwnedPlace::new(None, ""),
    })
}
