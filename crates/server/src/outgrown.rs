//! A newer version has changed the shared state so that this one would misread it: then this server ends itself.
//!
//! It happens only when versions were left out on the way; a version announces such a change to those that run before it
//! makes it. Going on would write what the newer one takes for damage.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::port::BoxError;

use crate::app::App;

/// Says whether the state has been changed so.
#[async_trait]
pub(crate) trait Look: Send + Sync {
    /// Why this server can't go on with it; `None` where it can. An error says nothing either way.
    async fn outgrown(&self) -> Result<Option<String>, BoxError>;
}

#[cfg(feature = "aws")]
#[async_trait]
impl Look for layer0_store::DynamoStore {
    async fn outgrown(&self) -> Result<Option<String>, BoxError> {
        Ok(self.layout_outgrown().await?.map(|why| why.to_string()))
    }
}

/// Whether the state can change so, and what was found.
#[derive(Default)]
pub(crate) struct Outgrown {
    /// Whom to ask, and how often; `None` where nobody else writes the state.
    pub(crate) look: Option<(Arc<dyn Look>, Duration)>,
    why: OnceLock<String>,
}

impl Outgrown {
    /// For a state that others write too.
    pub(crate) fn new(look: Option<(Arc<dyn Look>, Duration)>) -> Self {
        Self { look, why: OnceLock::new() }
    }

    /// Why this server stopped by itself.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }
}

/// Asks again and again, and stops the app when it can't go on.
pub(crate) async fn watch(app: App) {
    let Some((look, every)) = &app.outgrown.look else { return };
    while !app.stop.asked() {
        tokio::select! {
            () = tokio::time::sleep(*every) => {}
            () = app.stop.wait() => return,
        }
        match look.outgrown().await {
            Ok(None) => {}
            Ok(Some(why)) => {
                tracing::error!("this server can't go on with the state, and ends: {why}");
                let _ = app.outgrown.why.set(why);
                app.stop.ask();
            }
            Err(why) => {
                tracing::warn!(error = %why, "it could not be asked whether the state is still for this version")
            }
        }
    }
}
