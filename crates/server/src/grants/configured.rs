//! Account grants that the configuration asks for (`--account-grants-to`): granted for everything in the instance.
//!
//! What is new in the configuration is granted, and what has left it is taken back, at a server's start; what was asked for the
//! last time is noted in the store. Nothing else is touched: a grant that an admin revoked by hand stays revoked though the
//! configuration still names it, because a server that starts anew by itself must not undo that, and one that was made by hand
//! stays though no configuration names it. Of several servers the one that started last is right; during an update that is a
//! new one.
//!
//! Rejected: *whoever installs the instance asks the API*. It would have to reach it, which a machine outside of the VPC may not,
//! and what broke off in between nobody would go on with.

use std::collections::BTreeSet;

use layer0_domain::model::access::{Caller, Rights, Who};
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::grant::{Grant, GrantScope, Grantee};
use layer0_domain::model::name::Name;
use layer0_domain::ops::OpsError;
use layer0_domain::ops::grant::{grant_ask, grant_take_back};
use layer0_domain::port::BoxError;

use crate::app::App;
use crate::auth::ADMIN;

/// The setting with what the configuration asked for the last time: a list in JSON.
const ASKED: &str = "account_grants_to";

/// In whose name it is written into the audit log. No user can be called so.
const WHO: &str = "(configuration)";

/// Asks for what is new in the configuration and takes back what has left it. Idempotent: what broke off is done again.
///
/// # Errors
/// The store's.
pub(super) async fn ask(app: &App, to: &BTreeSet<Grantee>) -> Result<(), BoxError> {
    loop {
        let read = app.store.setting_get(ASKED).await?;
        let before: BTreeSet<Grantee> = match &read {
            Some(bytes) => serde_json::from_slice(bytes)?,
            None => BTreeSet::new(),
        };
        if before == *to {
            return Ok(());
        }
        let admin = Name::parse(ADMIN).expect("a legal name");
        let caller = Caller { who: Who::User(admin), token: None, rights: Rights::everything() };
        let ctx = app.ctx(&caller);
        for new in to.difference(&before) {
            let grant = of_all(new);
            grant_ask(&ctx, grant.clone()).await?;
            note(app, "account_grant", &grant).await?;
        }
        for gone in before.difference(to) {
            let grant = of_all(gone);
            match grant_take_back(&ctx, &grant).await {
                Ok(_) => note(app, "account_revoke", &grant).await?,
                // By hand, before.
                Err(OpsError::GrantMissing { .. }) => {}
                Err(why) => return Err(why.into()),
            }
        }
        app.grants.asked.nudge();
        if app.store.setting_replace(ASKED, read.as_deref(), &serde_json::to_vec(to)?).await? {
            return Ok(());
        }
        // Another server has written what it asks for: what is the difference now?
    }
}

fn of_all(grantee: &Grantee) -> Grant {
    Grant { grantee: grantee.clone(), scope: GrantScope::Instance }
}

async fn note(app: &App, action: &str, grant: &Grant) -> Result<(), BoxError> {
    tracing::info!("{action}: {grant}, as the configuration says");
    let record = AuditRecord {
        at: app.clock.now(),
        who: WHO.to_owned(),
        token: None,
        from: String::new(),
        action: action.to_owned(),
        target: grant.key(),
        environment: None,
        status: 202,
    };
    Ok(app.access.audit_append(&record).await?)
}
