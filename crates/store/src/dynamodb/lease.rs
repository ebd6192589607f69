//! What one server at a time does.

use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::lease::{self, REMEMBERED_MS};
use layer0_domain::port::store::{Lease, LeaseAnswer, StoreError};

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{EXPIRES, Item, Key, word};
use super::table::{Step, Table};

fn key(name: &str) -> Key {
    Key::new("lease", format!("name#{}", word(name)))
}

fn read(name: &str, item: &Item) -> Result<Lease, Fault> {
    Ok(Lease {
        name: name.to_owned(),
        holder: item.text("holder")?.to_owned(),
        fence: item.number("fence")?,
        until: item.time("until")?,
    })
}

/// Writes a lease over the one that was read.
fn write(lease: &Lease, stored: Option<&Lease>) -> Action {
    let item = Item::at(&key(&lease.name))
        .with_text("holder", &lease.holder)
        .with_number("fence", lease.fence)
        .with_number("until", lease.until.0)
        .with_number(EXPIRES, lease.until.plus_ms(REMEMBERED_MS).0.div_euclid(1_000));
    let put = Action::put(item);
    match stored {
        // The end too: a release and a renewal keep the fence.
        Some(stored) => put
            .only_if("#fence = :fence AND #until = :until")
            .with_number(":fence", stored.fence)
            .with_number(":until", stored.until.0),
        None => put.only_if(ABSENT),
    }
}

impl Table {
    async fn lease(&self, name: &str) -> Result<Option<Lease>, Fault> {
        self.get(&key(name)).await?.map(|item| read(name, &item)).transpose()
    }

    pub(super) async fn lease_take_step(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Step<LeaseAnswer>, StoreError> {
        let stored = self.lease(name).await?;
        Ok(match lease::take(stored.clone(), name, holder, now, until) {
            LeaseAnswer::Taken(lease) => Step::Write(vec![write(&lease, stored.as_ref())], LeaseAnswer::Taken(lease)),
            held @ LeaseAnswer::Held(_) => Step::Answer(held),
        })
    }

    pub(super) async fn lease_renew_step(
        &self,
        lease: &Lease,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Step<Option<Lease>>, StoreError> {
        let stored = self.lease(&lease.name).await?;
        Ok(match lease::renew(stored.as_ref(), lease, now, until) {
            Some(renewed) => Step::Write(vec![write(&renewed, stored.as_ref())], Some(renewed)),
            None => Step::Answer(None),
        })
    }

    pub(super) async fn lease_release_step(&self, lease: &Lease, now: Timestamp) -> Result<Step<bool>, StoreError> {
        let stored = self.lease(&lease.name).await?;
        Ok(match lease::release(stored.as_ref(), lease, now) {
            Some(released) => Step::Write(vec![write(&released, stored.as_ref())], true),
            None => Step::Answer(false),
        })
    }
}
