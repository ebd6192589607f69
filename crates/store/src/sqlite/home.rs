//! The port `HomeStore`: repositories that were moved.

use async_trait::async_trait;
use layer0_domain::model::home::Home;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::home_store::{HomeStore, HomeStoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::convert::{from_integer, from_json, to_integer, to_json};
use super::fault::{Fault, Stop};
use super::writer::Scope;

/// The setting that keeps the number of changes, in decimal digits.
const COUNT: &str = "repository_home.changes";

pub(super) const BY_REPOSITORY: &str = "SELECT generation, body FROM repository_home WHERE repository = ?1";

type HomeWork<T> = Result<T, Stop<HomeStoreError>>;

#[async_trait]
impl HomeStore for SqliteStore {
    async fn home_list(&self) -> Result<Vec<Home>, HomeStoreError> {
        // As in most instances: for that no thread opens a connection of its own.
        if self.read_near(is_empty_tx)? {
            return Ok(Vec::new());
        }
        self.read(list_tx).await
    }

    async fn home_get(&self, repository: &RepositoryName) -> Result<Option<Home>, HomeStoreError> {
        self.read_near(|db| get_tx(db, repository))
    }

    async fn home_put(&self, home: &Home, read: Option<Generation>) -> Result<Option<Generation>, HomeStoreError> {
        let home = home.clone();
        self.write_giving(Scope::Any, move |db| put_tx(db, &home, read)).await
    }

    async fn home_delete(&self, repository: &RepositoryName, read: Generation) -> Result<bool, HomeStoreError> {
        let repository = repository.clone();
        self.write_giving(Scope::Any, move |db| delete_tx(db, &repository, read)).await
    }

    async fn home_count(&self) -> Result<u64, HomeStoreError> {
        self.read_near(count_tx)
    }
}

fn home(generation: i64, body: &str) -> Result<Home, Fault> {
    let generation = Generation(from_integer("generation", generation)?);
    Ok(Home { generation, ..from_json("repository home", body)? })
}

fn is_empty_tx(db: &Connection) -> HomeWork<bool> {
    Ok(!db.prepare_cached("SELECT 1 FROM repository_home")?.exists([])?)
}

fn list_tx(db: &Connection) -> HomeWork<Vec<Home>> {
    let mut select = db.prepare_cached("SELECT generation, body FROM repository_home ORDER BY repository")?;
    let mut rows = select.query([])?;
    let mut homes = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        homes.push(home(row.get(0)?, &body)?);
    }
    Ok(homes)
}

fn get_tx(db: &Connection, repository: &RepositoryName) -> HomeWork<Option<Home>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = db.prepare_cached(BY_REPOSITORY)?.query_row([repository.as_str()], read).optional()?;
    Ok(found.map(|(generation, body)| home(generation, &body)).transpose()?)
}

fn put_tx(db: &Connection, home: &Home, read: Option<Generation>) -> HomeWork<Option<Generation>> {
    if get_tx(db, &home.repository)?.map(|stored| stored.generation) != read {
        return Ok(None);
    }
    let next = read.unwrap_or_default().next();
    let sql = "INSERT INTO repository_home (repository, generation, body) VALUES (?1, ?2, ?3) \
               ON CONFLICT (repository) DO UPDATE SET generation = excluded.generation, body = excluded.body";
    let body = to_json("repository home", home)?;
    db.prepare_cached(sql)?.execute(params![home.repository.as_str(), to_integer("generation", next.0)?, body])?;
    note_tx(db)?;
    Ok(Some(next))
}

fn delete_tx(db: &Connection, repository: &RepositoryName, read: Generation) -> HomeWork<bool> {
    let sql = "DELETE FROM repository_home WHERE repository = ?1 AND generation = ?2";
    let gone = db.prepare_cached(sql)?.execute(params![repository.as_str(), to_integer("generation", read.0)?])? == 1;
    if gone {
        note_tx(db)?;
    }
    Ok(gone)
}

/// Counts a change.
fn note_tx(db: &Connection) -> HomeWork<()> {
    let sql = "INSERT INTO setting (key, value) VALUES (?1, CAST(1 AS BLOB)) \
               ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS BLOB)";
    db.prepare_cached(sql)?.execute([COUNT])?;
    Ok(())
}

fn count_tx(db: &Connection) -> HomeWork<u64> {
    let sql = "SELECT CAST(value AS INTEGER) FROM setting WHERE key = ?1";
    let count: Option<i64> = db.prepare_cached(sql)?.query_row([COUNT], |row| row.get(0)).optional()?;
    Ok(u64::try_from(count.unwrap_or(0)).map_err(|_| Fault::Unreadable { what: "number of moves" })?)
}
