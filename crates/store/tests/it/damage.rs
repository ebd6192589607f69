//! Rows that somebody else's hand, or a disk, has changed.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestRef};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, RegistryStore};
use layer0_store::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

#[tokio::test]
async fn a_manifest_whose_row_can_not_be_read_is_healed_by_the_next_push() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("layer0.db");
    let (name, bytes) = (RepositoryName::parse("team/app").expect("a name"), b"{}".to_vec());
    let manifest = Manifest {
        digest: Digest::sha256_of(&bytes),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes,
        blobs: Vec::new(),
        children: Vec::new(),
        subject: None,
        artifact_type: None,
        annotations: Default::default(),
        pushed: Timestamp(1),
    };
    let reference = ManifestRef::Tag("v1".to_owned());
    let create = Along { create: Some(Timestamp(1)), record: None };
    let store = SqliteStore::open(&path).expect("it opens");
    store.manifest_put(&name, &manifest, &["v1".to_owned()], &create).await.expect("a write");
    store.close().await;

    let changed = Connection::open(&path).expect("it opens").execute("UPDATE manifest SET annotations = 'no JSON'", []);
    assert_eq!(changed, Ok(1));
    let store = SqliteStore::open(&path).expect("it opens");
    store.manifest_get(&name, &reference).await.expect_err("it can't be read");
    store.manifest_put(&name, &manifest, &["v1".to_owned()], &Along::NOTHING).await.expect("a write");
    assert_eq!(store.manifest_get(&name, &reference).await.expect("a read"), Some(manifest));
}
