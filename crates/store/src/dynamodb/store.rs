//! The port `Store`: each method is one read, or one unit of work that is tried until its conditions hold.

use async_trait::async_trait;
use layer0_domain::model::deploy::Deploy;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::{DeployId, OperationId};
use layer0_domain::model::image_map::MapRule;
use layer0_domain::model::name::Name;
use layer0_domain::model::operation::{Operation, OperationEvent};
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::tag::Tag;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{
    Alongside, Entity, Holder, Lease, LeaseAnswer, NewDeploy, OperationLog, OperationLogLine, Store, StoreError,
    Summary,
};

use super::table::Step;
use super::{DynamoStore, tag};

#[async_trait]
impl Store for DynamoStore {
    async fn entity_create(&self, entity: &Entity, operation: &Operation) -> Result<(), StoreError> {
        self.table.unit(|| self.table.entity_create_step(entity, operation)).await
    }

    async fn entity_update(&self, entity: &Entity, operation: &Operation) -> Result<Generation, StoreError> {
        self.table.unit(|| self.table.entity_update_step(entity, operation)).await
    }

    async fn entity_get(&self, entity: &EntityRef) -> Result<Option<Entity>, StoreError> {
        Ok(self.table.entity(entity).await?)
    }

    async fn entity_list(&self, kind: EntityKind) -> Result<Vec<Entity>, StoreError> {
        Ok(self.table.entities(kind).await?)
    }

    fn version(&self) -> Option<u64> {
        // Other servers write to the table too.
        None
    }

    async fn summary_list(&self, kind: EntityKind) -> Result<Vec<Summary>, StoreError> {
        Ok(match kind {
            EntityKind::Deploy => self.table.deploy_summaries().await?,
            EntityKind::Environment | EntityKind::LoadBalancer | EntityKind::Service | EntityKind::Task => {
                self.table.summaries(kind).await?
            }
        })
    }

    async fn entity_holders(&self, entity: &EntityRef) -> Result<Vec<Holder>, StoreError> {
        Ok(self.table.holders(entity).await?)
    }

    async fn deploy_create(&self, new: NewDeploy) -> Result<Deploy, StoreError> {
        self.table.unit(|| self.table.deploy_create_step(&new)).await
    }

    async fn deploy_owner(&self, name: &Name) -> Result<Option<Option<OwnerName>>, StoreError> {
        Ok(self.table.deploy_owner(name).await?)
    }

    async fn deploy_get(&self, id: &DeployId) -> Result<Option<Deploy>, StoreError> {
        Ok(self.table.deploy(id).await?)
    }

    async fn deploy_delete(&self, id: &DeployId) -> Result<(), StoreError> {
        self.table.unit(|| self.table.deploy_delete_step(id)).await
    }

    async fn operation_get(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        Ok(self.table.operation(id).await?)
    }

    async fn operation_list(&self, most: u32) -> Result<Vec<Operation>, StoreError> {
        Ok(self.table.operations_newest(most).await?)
    }

    async fn operation_list_running(&self) -> Result<Vec<Operation>, StoreError> {
        Ok(self.table.operations_running().await?)
    }

    async fn operation_events(&self, id: &OperationId, after: u64) -> Result<Vec<OperationEvent>, StoreError> {
        Ok(self.table.events(id, after).await?)
    }

    async fn operation_log(&self, log: &OperationLog) -> Result<Vec<OperationLogLine>, StoreError> {
        Ok(self.table.operation_log(log).await?)
    }

    async fn operation_progress(
        &self,
        operation: &Operation,
        events: &[(Timestamp, String)],
        alongside: Alongside,
    ) -> Result<bool, StoreError> {
        self.table.unit(|| self.table.progress_step(operation, events, &alongside)).await
    }

    async fn tag_list(&self) -> Result<Vec<Tag>, StoreError> {
        Ok(self.table.tags().await?)
    }

    async fn tag_put(&self, tag: &Tag) -> Result<(), StoreError> {
        self.table.unit(|| async { Ok(Step::Write(vec![tag::put(tag)], ())) }).await
    }

    async fn tag_delete(&self, tag: &Tag) -> Result<bool, StoreError> {
        self.table.unit(|| self.table.tag_delete_step(tag)).await
    }

    async fn map_list(&self) -> Result<Vec<MapRule>, StoreError> {
        Ok(self.table.map_rules().await?)
    }

    async fn map_replace(&self, read: &[MapRule], write: &[MapRule]) -> Result<bool, StoreError> {
        self.table.unit(|| self.table.map_step(read, write)).await
    }

    async fn setting_get_or_put(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.table.unit(|| self.table.setting_step(key, value)).await
    }

    async fn setting_replace(&self, key: &str, read: Option<&[u8]>, write: &[u8]) -> Result<bool, StoreError> {
        self.table.unit(|| self.table.setting_replace_step(key, read, write)).await
    }

    async fn setting_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.table.setting(key).await?)
    }

    async fn lease_take(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        self.table.unit(|| self.table.lease_take_step(name, holder, now, until)).await
    }

    async fn lease_renew(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.table.unit(|| self.table.lease_renew_step(lease, now, until)).await
    }

    async fn lease_release(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        self.table.unit(|| self.table.lease_release_step(lease, now)).await
    }
}
