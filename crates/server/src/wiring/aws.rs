//! What of an instance is on AWS: its state in DynamoDB, its engine in ECS.

use std::sync::Arc;

use layer0_domain::port::engine::Engine;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_engine::ecs::{EcsConfig, EcsEngine};
use layer0_store::{DynamoClient, DynamoStore, LAYOUT_LOOK, SqliteStore};

use super::{Stores, WiringError, cant, mirrors};
use crate::config::{Config, EngineKind, GrantsKept};
use crate::outgrown::Look;

/// The way to AWS, for an instance that needs it.
pub(super) struct Aws(Option<layer0_engine::ecs::Connection>);

impl Aws {
    pub(super) async fn connect(config: &Config) -> Result<Self, WiringError> {
        let grants = config.grants.kept != GrantsKept::Off && config.engine != EngineKind::Fake;
        if config.engine != EngineKind::Ecs
            && config.aws.table.is_none()
            && config.registries.ecr.is_empty()
            && !grants
            && config.registries.s3.is_none()
            && !mirrors::need_aws(config)
        {
            return Ok(Self(None));
        }
        let (region, endpoint) = (config.aws.region.as_deref(), config.aws.endpoint_url.as_deref());
        let connection = layer0_engine::ecs::connect(region, endpoint).await;
        let connection = connection.map_err(cant("AWS can't be worked with"))?;
        connection.credentials_check().await.map_err(cant("AWS can't be worked with"))?;
        Ok(Self(Some(connection)))
    }

    pub(super) fn connection(&self) -> Result<&layer0_engine::ecs::Connection, WiringError> {
        self.0.as_ref().ok_or("it was not asked for at the start").map_err(cant("there is no AWS"))
    }

    /// Users, tokens, entities and operations in the table where one is named. Which images there are stands where their bytes
    /// are: in the table when those are in a bucket, which all servers share too, else in the data directory.
    pub(super) async fn stores(&self, config: &Config, local: SqliteStore) -> Result<Stores, WiringError> {
        let Some(table) = &config.aws.table else { return Ok(Stores::of(local)) };
        let client = DynamoClient::new(&self.connection()?.sdk);
        let store = DynamoStore::new(client, table);
        store.table_ensure().await.map_err(cant("the state in DynamoDB can't be used"))?;
        let store = Arc::new(store);
        let look: Arc<dyn Look> = store.clone();
        let images: Arc<dyn RegistryStore> = match &config.registries.s3 {
            Some(_) => store.clone(),
            None => Arc::new(local),
        };
        let stores = Stores::split(store.clone(), store.clone(), store.clone(), images, store);
        Ok(Stores { look: Some((look, LAYOUT_LOOK)), ..stores })
    }

    pub(super) fn engine(&self, config: &Config, instance_id: String) -> Result<Arc<dyn Engine>, WiringError> {
        let connection = self.connection()?;
        let mut ecs = EcsConfig::new(config.instance.clone(), instance_id, connection.region.clone());
        ecs.vpc.clone_from(&config.aws.vpc);
        ecs.private_subnets.clone_from(&config.aws.private_subnets);
        ecs.public_subnets.clone_from(&config.aws.public_subnets);
        ecs.execution_role.clone_from(&config.aws.execution_role);
        ecs.machine_profile.clone_from(&config.aws.machine_profile);
        ecs.public_ip = config.aws.public_ip;
        ecs.rates = ecs.rates.times(config.aws.rate.unwrap_or(1.0));
        ecs.look_set_up = true;
        Ok(Arc::new(EcsEngine::start(ecs, &connection.sdk)))
    }
}
