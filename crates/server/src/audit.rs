//! Writes the audit log: around all routes, so that none is forgotten.
//!
//! Every request that may change something and comes from somebody who signed in is written down before it is answered:
//! what a client was told is in the log. What only reads is not, and neither are the steps of a push that nobody sees
//! (chunks of a blob). The action is the operation's id in the OpenAPI document (`image_delete` for what
//! `repository_delete` does below a repository); the registry names its own, and writes the record of
//! a push along with what was pushed where the store can.
//!
//! A client that hangs up ends no change that was begun: what follows the commit (the record, the news for streams that somebody was shut
//! out, the nudge of whoever carries an operation out) must not depend on whether somebody waits for the answer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use layer0_domain::model::access::Caller;
use layer0_domain::model::audit::{AuditRecord, PART_MAX};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Timestamp;
use layer0_registry::Audited;
use tokio::runtime::Handle;

use crate::app::App;
use crate::auth::Trail;

/// The operation of a method and path of the document.
pub(crate) type Operations = HashMap<(Method, String), String>;

/// What the layer works with.
#[derive(Clone)]
pub(crate) struct Auditing {
    pub(crate) app: App,
    pub(crate) operations: Arc<Operations>,
}

/// When a request goes on though its client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoesOn {
    /// Once somebody has signed in: those who guess passwords leave no queue behind.
    SignedIn,
    /// In any case: the registry keeps to itself who it is. What comes in a body ends with the connection.
    Always,
}

/// Answers a request and writes down what it did; `operation` is what that is called, where the answer does not say it.
pub(crate) async fn audited<F>(
    auditing: &Auditing,
    operation: Option<String>,
    goes_on: GoesOn,
    mut request: Request,
    answer: impl FnOnce(Request) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    if request.method().is_safe() {
        return answer(request).await;
    }
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let from = auditing.app.sign_in.address(request.headers(), peer);
    let (app, noted) = (auditing.app.clone(), trail.clone());
    let change = async move {
        let mut response = answer(request).await;
        let done = match response.extensions_mut().remove::<Audited>() {
            Some(audited) => Some(Done::from(audited)),
            None => {
                let note = noted.note();
                let target = note.whole_target();
                note.caller.zip(operation).map(|(caller, action)| {
                    let action = note.action.map_or(action, str::to_owned);
                    let environment = note.environment;
                    Done { caller, action, target, environment }
                })
            }
        };
        if let Some(done) = done {
            written_down(&app, &done.record(app.clock.now(), from, response.status())).await;
        }
        response
    };
    Unbroken { change: Some(Box::pin(change)), goes_on, trail }.await
}

async fn written_down(app: &App, record: &AuditRecord) {
    if let Err(why) = app.access.audit_append(record).await {
        // The change is made and can't be unmade; the operator must know what the log lacks.
        tracing::error!(
            error = %why, audit.who = record.who, audit.action = record.action, audit.target = record.target,
            audit.status = record.status, "a change could not be written to the audit log"
        );
    }
}

/// A change that is carried to its end by itself when whoever waited for it is dropped, as a connection's requests are when its client
/// hangs up. A server that stops ends it all the same, as a kill would.
struct Unbroken<F: Future + Send + 'static> {
    /// `None` when it is done.
    change: Option<Pin<Box<F>>>,
    goes_on: GoesOn,
    trail: Trail,
}

impl<F: Future + Send + 'static> Future for Unbroken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(change) = &mut self.change else { return Poll::Pending };
        let done = ready!(change.as_mut().poll(cx));
        self.change = None;
        Poll::Ready(done)
    }
}

impl<F: Future + Send + 'static> Drop for Unbroken<F> {
    fn drop(&mut self) {
        let Some(change) = self.change.take() else { return };
        if self.goes_on == GoesOn::SignedIn && !self.trail.is_signed_in() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { drop(change.await) });
        }
    }
}

/// What was done, or tried, by whom.
pub(crate) struct Done {
    caller: Caller,
    action: String,
    target: String,
    environment: Option<EnvironmentId>,
}

impl From<Audited> for Done {
    fn from(Audited { caller, action, target }: Audited) -> Self {
        Self { caller, action: action.to_owned(), target, environment: None }
    }
}

impl Done {
    /// The record of it, when it is answered so at this moment.
    pub(crate) fn record(self, at: Timestamp, from: Option<IpAddr>, status: StatusCode) -> AuditRecord {
        let Caller { who, token, .. } = self.caller;
        AuditRecord {
            at,
            who: who.to_string(),
            token,
            from: from.map(|from| from.to_string()).unwrap_or_default(),
            action: self.action,
            target: self.target.chars().take(PART_MAX).collect(),
            status: status.as_u16(),
            environment: self.environment,
        }
    }
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::access::{Rights, Who};
    use layer0_domain::model::name::Name;
    use tokio::sync::oneshot;

    use super::*;

    /// Begins a change that waits for word, drops it, and gives the word; answers whether it went on.
    async fn went_on(goes_on: GoesOn, trail: Trail) -> bool {
        let (word, waits) = oneshot::channel::<()>();
        let (tells, told) = oneshot::channel::<()>();
        let change = async move {
            waits.await.expect("the word is given");
            tells.send(()).expect("somebody listens");
        };
        let mut change = Unbroken { change: Some(Box::pin(change)), goes_on, trail };
        assert!(futures_util::poll!(&mut change).is_pending(), "it waits");
        drop(change);
        // Nobody waits for it where it was dropped.
        word.send(()).ok();
        told.await.is_ok()
    }

    #[tokio::test]
    async fn a_change_goes_on_when_nobody_waits_for_it() {
        let somebody = Trail::default();
        let who = Who::User(Name::parse("alice").expect("a name"));
        somebody.by(Caller { who, token: None, rights: Rights::everything() }, String::new());
        assert!(went_on(GoesOn::SignedIn, somebody).await);
        assert!(went_on(GoesOn::Always, Trail::default()).await);
        assert!(!went_on(GoesOn::SignedIn, Trail::default()).await, "nobody has signed in");
    }
}
