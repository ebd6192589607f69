//! The port `PublicStore`: a row for each public repository that does not lie here.

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::store::StoreError;
use rusqlite::Connection;

use super::SqliteStore;
use super::convert::parsed;
use super::fault::StoreWork;
use super::shut_out;
use super::writer::{DiskRoom, Repeated, Scope};

pub(super) const BY_REPOSITORY: &str = "SELECT 1 FROM public_repository WHERE repository = ?1";

#[async_trait]
impl PublicStore for SqliteStore {
    async fn visibility_get(&self, repository: &RepositoryName) -> Result<Visibility, StoreError> {
        let repository = repository.clone();
        self.read(move |db| get_tx(db, &repository)).await
    }

    async fn visibility_put(&self, repository: &RepositoryName, visibility: Visibility) -> Result<(), StoreError> {
        let repository = repository.clone();
        let room = DiskRoom::of(visibility);
        self.write_in(Scope::Any, room, Repeated(move |db: &Connection| put_tx(db, &repository, visibility))).await
    }

    async fn public_list(&self) -> Result<Vec<RepositoryName>, StoreError> {
        self.read(list_tx).await
    }
}

fn get_tx(db: &Connection, repository: &RepositoryName) -> StoreWork<Visibility> {
    let is_public = db.prepare_cached(BY_REPOSITORY)?.exists([repository.as_str()])?;
    Ok(if is_public { Visibility::Public } else { Visibility::Private })
}

fn put_tx(db: &Connection, repository: &RepositoryName, visibility: Visibility) -> StoreWork<()> {
    let sql = match visibility {
        Visibility::Public => "INSERT OR IGNORE INTO public_repository (repository) VALUES (?1)",
        Visibility::Private => "DELETE FROM public_repository WHERE repository = ?1",
    };
    let changed = db.prepare_cached(sql)?.execute([repository.as_str()])?;
    if changed > 0 && visibility == Visibility::Private {
        shut_out::note_tx(db)?;
    }
    Ok(())
}

fn list_tx(db: &Connection) -> StoreWork<Vec<RepositoryName>> {
    let mut select = db.prepare_cached("SELECT repository FROM public_repository ORDER BY repository")?;
    let mut rows = select.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        names.push(parsed("public repository", RepositoryName::parse(&name))?);
    }
    Ok(names)
}
