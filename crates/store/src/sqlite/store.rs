//! The port `Store`: each method is handed as one unit of work to the thread that does it.

use async_trait::async_trait;
use layer0_domain::model::deploy::Deploy;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::{DeployId, OperationId};
use layer0_domain::model::image_map::MapRule;
use layer0_domain::model::name::Name;
use layer0_domain::model::operation::{Operation, OperationEvent, Verb};
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::tag::Tag;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{
    Alongside, Entity, Holder, Lease, LeaseAnswer, NewDeploy, OperationLog, OperationLogLine, Store, StoreError,
    Summary,
};
use rusqlite::Connection;

use super::operation::Change;
use super::writer::{DiskRoom, Repeated, Scope};
use super::{SqliteStore, deploy, entity, image_map, lease, operation, setting, tag};

#[async_trait]
impl Store for SqliteStore {
    async fn entity_create(&self, entity: &Entity, operation: &Operation) -> Result<(), StoreError> {
        let row = entity::Row::at(entity, entity.generation())?;
        let asked = operation.clone();
        self.write(move |db| entity::create_tx(db, &row, &asked)).await
    }

    async fn entity_update(&self, entity: &Entity, operation: &Operation) -> Result<Generation, StoreError> {
        let row = entity::Row::after(entity)?;
        let asked = operation.clone();
        self.write_in(
            Scope::Any,
            room(asked.verb),
            Repeated(move |db: &Connection| entity::update_tx(db, &row, &asked)),
        )
        .await
    }

    async fn entity_get(&self, entity: &EntityRef) -> Result<Option<Entity>, StoreError> {
        let entity = entity.clone();
        self.read(move |db| entity::get_tx(db, &entity)).await
    }

    async fn entity_list(&self, kind: EntityKind) -> Result<Vec<Entity>, StoreError> {
        self.read(move |db| entity::list_tx(db, kind)).await
    }

    fn version(&self) -> Option<u64> {
        self.commits_of_all()
    }

    async fn summary_list(&self, kind: EntityKind) -> Result<Vec<Summary>, StoreError> {
        self.read(move |db| match kind {
            EntityKind::Deploy => deploy::summaries_tx(db),
            EntityKind::Environment | EntityKind::LoadBalancer | EntityKind::Service | EntityKind::Task => {
                entity::summaries_tx(db, kind)
            }
        })
        .await
    }

    async fn entity_holders(&self, entity: &EntityRef) -> Result<Vec<Holder>, StoreError> {
        let entity = entity.clone();
        self.read(move |db| entity::holders_tx(db, &entity)).await
    }

    async fn deploy_create(&self, new: NewDeploy) -> Result<Deploy, StoreError> {
        let row = deploy::Row::of(new)?;
        self.write(move |db| deploy::create_tx(db, row)).await
    }

    async fn deploy_owner(&self, name: &Name) -> Result<Option<Option<OwnerName>>, StoreError> {
        let name = name.clone();
        self.read(move |db| deploy::owner_tx(db, &name)).await
    }

    async fn deploy_get(&self, id: &DeployId) -> Result<Option<Deploy>, StoreError> {
        let id = id.clone();
        self.read(move |db| deploy::get_tx(db, &id)).await
    }

    async fn deploy_delete(&self, id: &DeployId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write_giving(Scope::Any, move |db| deploy::delete_tx(db, &id)).await
    }

    async fn operation_get(&self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        let id = id.clone();
        self.read(move |db| operation::get_tx(db, &id)).await
    }

    async fn operation_list(&self, most: u32) -> Result<Vec<Operation>, StoreError> {
        self.read(move |db| operation::newest_tx(db, most)).await
    }

    async fn operation_list_running(&self) -> Result<Vec<Operation>, StoreError> {
        self.read(operation::running_tx).await
    }

    async fn operation_events(&self, id: &OperationId, after: u64) -> Result<Vec<OperationEvent>, StoreError> {
        let id = id.clone();
        self.read(move |db| operation::events_tx(db, &id, after)).await
    }

    async fn operation_log(&self, log: &OperationLog) -> Result<Vec<OperationLogLine>, StoreError> {
        let log = log.clone();
        self.read(move |db| operation::log_tx(db, &log)).await
    }

    async fn operation_progress(
        &self,
        operation: &Operation,
        events: &[(Timestamp, String)],
        alongside: Alongside,
    ) -> Result<bool, StoreError> {
        let change = match alongside {
            Alongside::Nothing => Change::Nothing,
            Alongside::Update(entity) => Change::Rewrite(Box::new(entity::Row::after(&entity)?)),
            Alongside::Purge(entity, generation) => Change::Purge(entity, generation),
        };
        let operation = operation.clone();
        let events = events.to_vec();
        // What was begun goes on to its end.
        self.write_giving(Scope::Any, move |db| operation::progress_tx(db, &operation, &events, &change)).await
    }

    async fn tag_list(&self) -> Result<Vec<Tag>, StoreError> {
        self.read(tag::list_tx).await
    }

    async fn tag_put(&self, tag: &Tag) -> Result<(), StoreError> {
        let tag = tag.clone();
        self.write(move |db| tag::put_tx(db, &tag)).await
    }

    async fn tag_delete(&self, tag: &Tag) -> Result<bool, StoreError> {
        let tag = tag.clone();
        self.write_giving(Scope::Any, move |db| tag::delete_tx(db, &tag)).await
    }

    async fn map_list(&self) -> Result<Vec<MapRule>, StoreError> {
        self.read(image_map::list_tx).await
    }

    async fn map_replace(&self, read: &[MapRule], write: &[MapRule]) -> Result<bool, StoreError> {
        let (read, write) = (read.to_vec(), write.to_vec());
        self.write(move |db| image_map::replace_tx(db, &read, &write)).await
    }

    async fn setting_get_or_put(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        // What is there stays as it is; only the first start finds nothing.
        if let Some(there) = self.read_near(|db| setting::get_tx(db, key))? {
            return Ok(there);
        }
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |db| setting::get_or_put_tx(db, &key, &value)).await
    }

    async fn setting_replace(&self, key: &str, read: Option<&[u8]>, write: &[u8]) -> Result<bool, StoreError> {
        let (key, read, write) = (key.to_owned(), read.map(<[u8]>::to_vec), write.to_owned());
        self.write_giving(Scope::Any, move |db| setting::replace_tx(db, &key, read.as_deref(), &write)).await
    }

    async fn setting_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_near(|db| setting::get_tx(db, key))
    }

    async fn lease_take(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |db| lease::take_tx(db, &name, &holder, now, until)).await
    }

    async fn lease_renew(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<Option<Lease>, StoreError> {
        let lease = lease.clone();
        self.write(move |db| lease::renew_tx(db, &lease, now, until)).await
    }

    async fn lease_release(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        let lease = lease.clone();
        self.write(move |db| lease::release_tx(db, &lease, now)).await
    }
}

/// Whoever has too much running must be able to end it, though the disk is full.
fn room(verb: Verb) -> DiskRoom {
    match verb {
        Verb::Delete | Verb::Stop | Verb::Abort | Verb::Scale => DiskRoom::Gives,
        Verb::Create | Verb::Update | Verb::Rollback => DiskRoom::Takes,
    }
}
