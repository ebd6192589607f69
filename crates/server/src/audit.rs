//! Writes the audit log: around all routes, so that none is forgotten.
//!
//! Every request that may change something and comes from somebody who signed in is written down before it is answered:
//! what a client was told is in the log. What only reads is not, and neither are the steps of a push that nobody sees
//! (chunks of a blob). The action is the operation's id in the OpenAPI document; the registry names its own, and writes the record of
//! a push along with what was pushed where the store can.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use layer0_domain::model::access::Caller;
use layer0_domain::model::audit::{AuditRecord, PART_MAX};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Timestamp;
use layer0_registry::Audited;

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

/// Answers a request and writes down what it did; `operation` is what that is called, where the answer does not say it.
pub(crate) async fn audited<F: Future<Output = Response>>(
    auditing: &Auditing,
    operation: Option<String>,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    if request.method().is_safe() {
        return answer(request).await;
    }
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let from = auditing.app.sign_in.address(request.headers(), peer);
    let mut response = answer(request).await;

    let done = match response.extensions_mut().remove::<Audited>() {
        Some(audited) => Some(Done::from(audited)),
        None => {
            let note = trail.note();
            note.caller.zip(operation).map(|(caller, action)| {
                let (target, environment) = (note.target, note.environment);
                Done { caller, action, target, environment }
            })
        }
    };
    if let Some(done) = done {
        let record = done.record(auditing.app.clock.now(), from, response.status());
        if let Err(why) = auditing.app.access.audit_append(&record).await {
            // The change is made and can't be unmade; the operator must know what the log lacks.
            tracing::error!(
                error = %why, audit.who = record.who, audit.action = record.action, audit.target = record.target,
                audit.status = record.status, "a change could not be written to the audit log"
            );
        }
    }
    response
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
