//! The schema's history: old databases are brought up to date, newer and foreign ones are left alone.

use std::path::{Path, PathBuf};

use layer0_domain::model::access::Token;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::registry_store::{Page, RegistryStore};
use layer0_domain::port::store::{Entity, Store};
use layer0_store::{OpenError, SqliteStore};
use layer0_testkit::access_store_suite::sample as access;
use layer0_testkit::registry_store_suite::sample as registry;
use layer0_testkit::store_suite::sample;
use rusqlite::Connection;

/// The oldest schema, with a row in each table, as `.dump` wrote it when it was the newest.
const OLDEST: &str = include_str!("dump/0001.sql");

fn database(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join(SqliteStore::FILE_NAME)
}

/// Everything the schema consists of, each column with its type and default, each index with its columns.
fn shape(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("it is a database");
    let sql = "SELECT 'column', t.name, c.cid, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk \
                 FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c WHERE t.type = 'table' \
               UNION ALL SELECT 'index', i.tbl_name, x.seqno, i.name, x.name, x.\"desc\", i.sql LIKE '%unique%', \
                 substr(i.sql, instr(i.sql, 'WHERE')) \
                 FROM sqlite_schema AS i JOIN pragma_index_xinfo(i.name) AS x WHERE i.type = 'index' \
               UNION ALL SELECT 'reference', t.name, f.seq, f.\"from\", f.\"table\", f.\"to\", f.on_delete, f.on_update \
                 FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table' \
               ORDER BY 1, 2, 3, 4";
    let mut select = connection.prepare(sql).expect("the statement is sound");
    let rows = select
        .query_map([], |row| {
            (0..8).map(|column| row.get_ref(column).map(|value| format!("{value:?}"))).collect::<Result<Vec<_>, _>>()
        })
        .expect("the statement runs");
    let mut shape: Vec<String> = rows.map(|row| row.expect("a row").join(" ")).collect();
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    shape.push(format!("schema {version}"));
    shape
}

#[tokio::test]
async fn a_fresh_database_equals_one_upgraded_from_the_oldest() {
    let fresh = tempfile::tempdir().expect("a directory can be made");
    SqliteStore::open(&database(&fresh)).expect("a new file opens").close().await;

    let old = tempfile::tempdir().expect("a directory can be made");
    let path = database(&old);
    Connection::open(&path).expect("a new file").execute_batch(OLDEST).expect("the dump is sound");
    SqliteStore::open(&path).expect("an old database is brought up to date").close().await;

    let expected = shape(&database(&fresh));
    assert!(expected.len() > 100, "the schema was read: {expected:?}");
    assert_eq!(shape(&path), expected);
}

#[tokio::test]
async fn what_the_oldest_schema_held_is_read() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = database(&directory);
    Connection::open(&path).expect("a new file").execute_batch(OLDEST).expect("the dump is sound");
    let store = SqliteStore::open(&path).expect("an old database is brought up to date");

    for (kind, count) in
        [(EntityKind::Environment, 2), (EntityKind::LoadBalancer, 1), (EntityKind::Service, 1), (EntityKind::Task, 1)]
    {
        assert_eq!(store.entity_list(kind).await.expect("a read succeeds").len(), count, "{kind}");
    }
    let service = EntityRef::from_parts(EntityKind::Service, "s").expect("an id");
    let service = store.entity_get(&service).await.expect("a read succeeds");
    assert_eq!(service, Some(Entity::Service(sample::service("s", "e", Some("lb")))));
    let deploys = store.summary_list(EntityKind::Deploy).await.expect("a read succeeds");
    assert_eq!(deploys.len(), 1);
    let next = store.deploy_create(sample::new_deploy("web")).await.expect("a write succeeds");
    assert_eq!(next.version, 3, "version 2 was deleted, its number stays used");
    let events = store.operation_events(&sample::operation_id("make-e"), 0).await.expect("a read succeeds");
    assert_eq!(events.len(), 1);
    assert_eq!(Store::tag_list(&store).await.expect("a read succeeds").len(), 1);
    // Every token was an admin's then.
    let found = store.token_find(&[7; 32]).await.expect("a read succeeds").expect("it is there");
    assert_eq!(found.token, Token { created: sample::CREATED, ..access::token("t", "admin", 7) });
    assert!(found.user.expect("its user was made").user.admin);
    let owner = store.owner_get(&access::owner_name("team")).await.expect("a read succeeds").expect("it was made");
    assert_eq!((owner.used_bytes, owner.repositories), (15, 1), "a layer and two manifests of five bytes each");
    assert_eq!(store.map_list().await.expect("a read succeeds").len(), 1);
    assert_eq!(store.setting_get("instance").await.expect("a read succeeds"), Some(b"i1".to_vec()));
    let app = registry::name("team/app");
    let manifest = store.manifest_get(&app, &ManifestRef::Tag("latest".to_owned())).await.expect("a read succeeds");
    assert_eq!(manifest, Some(registry::manifest_with("image", &["layer"])));
    let images = store.images(&app).await.expect("a read succeeds").expect("it is there");
    assert!(!images.tags.is_empty() && images.tags.iter().all(|tag| tag.pushed == registry::AT), "{images:?}");
    let users = store.manifest_users(&app, &registry::digest("image")).await.expect("a read succeeds");
    assert_eq!(users.expect("it is there").tags, ["index", "latest"], "the way up from a part is found");
    let repositories = store.repository_list(Some("team"), Page::default()).await.expect("a read succeeds");
    assert_eq!(repositories.len(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = database(&directory);
    SqliteStore::open(&path).expect("a new file opens").close().await;
    Connection::open(&path).expect("it is there").pragma_update(None, "user_version", 4711).expect("it is set");
    let before = std::fs::read(&path).expect("it is there");
    let error = SqliteStore::open(&path).err().expect("it is newer");
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("4711") && text.contains("newer l0") && text.contains(SqliteStore::FILE_NAME), "{text}");
    assert_eq!(std::fs::read(&path).expect("it is there"), before);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign)
        .expect("a new file")
        .execute_batch("CREATE TABLE recipes (name TEXT); PRAGMA user_version = 1")
        .expect("it is written");
    let text = directory.path().join("text.db");
    std::fs::write(&text, "dear diary, ".repeat(1000)).expect("it is written");
    for path in [&foreign, &text] {
        let before = std::fs::read(path).expect("it is there");
        let error = SqliteStore::open(path).err().expect("it is none of ours");
        assert_eq!(std::fs::read(path).expect("it is there"), before);
        match error {
            OpenError::NotOurs { .. } => assert_eq!(path, &foreign),
            OpenError::Unusable { .. } => assert_eq!(path, &text),
            other => panic!("{other:?}"),
        }
    }
    let nowhere = directory.path().join("no/such/directory.db");
    assert!(matches!(SqliteStore::open(&nowhere), Err(OpenError::File { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = SqliteStore::open(&database(&directory)).expect("a new file opens");
    store.setting_get_or_put("key", b"secret").await.expect("a write succeeds");
    let files: Vec<_> = std::fs::read_dir(directory.path()).expect("it is there").collect();
    assert!(files.len() >= 2, "the database and its WAL");
    for file in files {
        let file = file.expect("it is there");
        let mode = file.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
    store.close().await;
}
