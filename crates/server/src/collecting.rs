//! The collection of what nothing needs in the registry: by itself, and when an admin asks for it.
//!
//! First go images, by the rules of their owners, and then, whatever became of that, the blobs that no manifest needs, and uploads that nobody goes on with. Any server may do it, several at a time
//! too: what goes is decided in the store. By itself one does it, the one that holds the lease. It keeps no place over a restart.

use std::time::Duration;

use layer0_api::types as wire;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_registry::{Collection, Haste, Told, Unfinished};
use tracing::warn;

use crate::app::App;
use crate::clock_watch::Clock;
use crate::error::chain;
use crate::reconcile::{in_turns, unless_stopped, with_lease};
use crate::retaining;

/// The lease of whoever collects by itself.
const LEASE: &str = "registry-collection";

/// Lets images go by their owners' rules, collects, and answers what went or would go.
pub(crate) async fn collect(
    app: &App,
    collection: Collection,
    haste: Haste,
    clock: Clock,
) -> Result<wire::GcReport, RegistryStoreError> {
    let mut retention = retaining::retain(app, collection, haste, clock).await;
    let mut repositories = Vec::new();
    let all = app.registry.collect(collection, haste, |name, told| match told {
        Told::Lost(it) => repositories.push(wire::GcRepository {
            repository: name.to_string(),
            blobs: it.blobs,
            bytes: it.bytes,
            freed_bytes: it.freed,
        }),
        Told::PassedOver => retention.held.push(retaining::all_held(
            name.as_str(),
            "its blobs could not be collected: the log of the server says why",
        )),
    });
    let all = all.await?;
    let grace_seconds = app.registry.blob_grace().as_secs();
    // By themselves they go with the sweep, which comes more often.
    let unfinished = match haste {
        Haste::Gentle => Ok(Unfinished::default()),
        Haste::Now => app.registry.unfinished(collection).await,
    };
    let Unfinished { left, open } = unfinished.unwrap_or_else(|why| {
        warn!(
            error = chain(&why),
            "unfinished uploads could not be looked at; what was collected is told without them"
        );
        Unfinished::default()
    });
    Ok(wire::GcReport {
        repositories,
        blobs: all.blobs,
        freed_bytes: all.freed,
        grace_seconds,
        retention: retention.going,
        held: retention.held,
        waiting_blobs: all.waiting,
        waiting_bytes: all.waiting_bytes,
        uploads: left.uploads,
        upload_bytes: left.bytes,
        open_uploads: open.uploads,
        open_upload_bytes: open.bytes,
        upload_seconds: app.registry.upload_expiry().as_secs(),
        backups: app.backups.count(),
    })
}

/// Collects at once, to the end even when whoever asked for it goes away; ends when the server stops.
pub(crate) async fn now(app: &App, clock: Clock) -> Result<wire::GcReport, RegistryStoreError> {
    let app = app.clone();
    let run = tokio::spawn(async move {
        tokio::select! {
            end = collect(&app, Collection::Take, Haste::Now, clock) => end,
            () = app.stop.wait() => Err(RegistryStoreError::Failed { source: "the server is stopping".into() }),
        }
    });
    run.await.unwrap_or_else(|broken| Err(RegistryStoreError::Failed { source: broken.into() }))
}

/// Collects by itself, at the start and then whenever `gc_every` has passed, until the server stops. Of several servers on one store
/// one does it.
pub(crate) async fn by_itself(app: App) {
    let Some(every) = app.gc_every else { return };
    in_turns(&app, || with_lease(&app, LEASE, unless_stopped(&app, rounds(&app, every)))).await;
}

/// For ever.
async fn rounds(app: &App, every: Duration) {
    loop {
        if let Err(why) = collect(app, Collection::Take, Haste::Gentle, Clock::Watched).await {
            warn!(error = chain(&why), "what nothing needs in the registry could not be collected");
        }
        tokio::time::sleep(every).await;
    }
}
