//! What stands in the place of AWS in an executable without it.

use std::sync::Arc;

use layer0_domain::port::engine::Engine;
use layer0_store::SqliteStore;

use super::{Stores, WiringError, cant};
use crate::config::Config;

/// There is no way to AWS.
pub(super) struct Aws;

impl Aws {
    pub(super) async fn connect(_config: &Config) -> Result<Self, WiringError> {
        Ok(Self)
    }

    pub(super) async fn stores(&self, _config: &Config, local: SqliteStore) -> Result<Stores, WiringError> {
        Ok(Stores::of(local))
    }

    pub(super) fn engine(&self, _config: &Config, _instance_id: String) -> Result<Arc<dyn Engine>, WiringError> {
        Err(cant("the engine `ecs` is not built into this executable")("build it with `--features aws`"))
    }
}
