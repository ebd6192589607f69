//! What the server does for a backup: the state of one moment, and bytes that stay until it has ended.

use std::sync::Arc;

use futures_util::StreamExt as _;
use layer0_api::client::{ByteStream, Client};
use layer0_api::types::{BackupBlobQuery, GcQuery};
use layer0_domain::model::time::Timestamp;
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::kept::kept;
use layer0_testkit::until::until_true;
use reqwest::Method;
use serde_json::json;

use crate::support::Raw;

async fn all(mut pieces: ByteStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.expect("the stream holds"));
    }
    bytes
}

async fn blobs(client: &Client, id: &str) -> Vec<String> {
    let page = client.admin_backup_blobs(id, &BackupBlobQuery::default()).await.expect("a page");
    let digests: Vec<String> = page.blobs.into_iter().map(|it| it.digest).collect();
    let after = BackupBlobQuery { after: digests.last().cloned() };
    assert_eq!(client.admin_backup_blobs(id, &after).await.expect("a page").blobs, []);
    digests
}

#[tokio::test]
async fn what_a_backup_names_stays_until_it_has_ended() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let clock = Arc::new(FixedClock::at(Timestamp(1_700_000_000_000)));
    let app = TestApp::with(TestOptions { clock: clock.clone(), ..TestOptions::default() }).await;
    let (raw, client) = (Raw::of(&app), app.client());
    for name in ["app", "other"] {
        raw.post("/repository/team", &json!({"name": name})).await.expect(201);
    }
    raw.push("team/app", "1", "amd64", "one").await;
    raw.push("team/other", "1", "amd64", "two").await;
    let begun = client.admin_backup().await.expect("it begins");
    assert_eq!(
        (begun.instance.as_str(), begun.begun.as_str(), begun.settings),
        ("test", "2023-11-14T22:13:20.000Z", None)
    );
    let id = begun.backup_id.as_str();
    let named = blobs(&client, id).await;
    assert_eq!(u64::try_from(named.len()), Ok(begun.blobs));
    let is_kept = |digest: &str| kept(app.data_dir(), digest).is_some();

    // A repository goes at once, the images of the other one by a collection, and something new comes.
    raw.delete("/repository/team/other?force=true").await.expect(200);
    let answer = raw.get("/v2/team/app/manifests/1").await.expect(200);
    let digest = answer.header("docker-content-digest").to_owned();
    raw.delete(&format!("/v2/team/app/manifests/{digest}")).await.expect(202);
    clock.advance_ms(2 * DAY);
    assert!(client.admin_gc(&GcQuery::default()).await.expect("a report").blobs >= 2);
    for digest in &named {
        raw.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
    }
    raw.push("team/app", "3", "amd64", "three").await;

    // All of it is there for the backup, to the byte, as often as it is asked for.
    for digest in named.iter().chain(&named) {
        let bytes = all(client.admin_backup_blob(id, digest).await.expect("there")).await;
        assert_eq!(layer0_domain::model::digest::Digest::sha256_of(&bytes).to_string(), *digest);
    }
    let state = all(client.admin_backup_state(id).await.expect("there")).await;
    assert_eq!(u64::try_from(state.len()), Ok(begun.state_bytes));
    assert!(state.starts_with(b"SQLite format 3\0"));
    let new =
        raw.get("/v2/team/app/manifests/3").await.expect(200).json()["layers"][0]["digest"].as_str().map(str::to_owned);
    let new = new.expect("a layer");
    let unknown = client.admin_backup_blob(id, &new).await.err().expect("it came later");
    assert_eq!(unknown.code(), Some("BlobDoesNotExist"));

    // A second one, which holds too; the end of the first is not its end.
    let later = client.admin_backup().await.expect("it begins");
    client.admin_backup_end(id).await.expect("ended");
    client.admin_backup_end(id).await.expect("again");
    assert_eq!(client.admin_backup_state(id).await.err().expect("ended").code(), Some("BackupDoesNotExist"));
    assert!(named.iter().all(|digest| is_kept(digest)), "the second one holds them");
    assert_eq!(blobs(&client, &later.backup_id).await.len(), 2);
    client.admin_backup_end(&later.backup_id).await.expect("ended");
    let all_gone = async || named.iter().all(|digest| !is_kept(digest));
    until_true("what nothing names is gone", all_gone).await;
    assert!(is_kept(&new));
    assert_eq!(std::fs::read_dir(app.data_dir().join("copies")).expect("read").count(), 0, "a copy has no name");
}

#[tokio::test]
async fn backups_end_with_the_server_and_have_a_number() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let first = client.admin_backup().await.expect("it begins");
    let mut ids = vec![first.backup_id];
    for _ in 1..4 {
        ids.push(client.admin_backup().await.expect("it begins").backup_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let refused = Raw::of(&app).send(Method::POST, "/admin/backup", &[], "").await.error(429);
    assert!(refused.message.contains("4 backups"), "{refused:?}");
    // What a server that was killed in the middle left of a copy goes at the next start.
    let left = app.data_dir().join("copies/backup-left.db");
    std::fs::write(&left, "half").expect("written");
    app.restart().await;
    assert!(!left.exists());
    let gone = client.admin_backup_state(&ids[0]).await.err().expect("it is gone");
    assert_eq!(gone.code(), Some("BackupDoesNotExist"));
    client.admin_backup().await.expect("it begins");
}

#[tokio::test]
async fn a_copy_does_not_own_the_bucket_of_the_original() {
    const NAME: &str = "SELECT count(*) FROM setting WHERE key = 'image_index'";
    let app = TestApp::start().await;
    let client = app.client();
    // As a server whose images lie in a bucket writes it, before it claims the bucket by that name.
    let live = rusqlite::Connection::open(app.data_dir().join(layer0_store::SqliteStore::FILE_NAME)).expect("there");
    live.execute("INSERT INTO setting (key, value) VALUES ('image_index', x'6162')", []).expect("written");
    let begun = client.admin_backup().await.expect("it begins");
    let state = all(client.admin_backup_state(&begun.backup_id).await.expect("there")).await;
    assert_eq!(u64::try_from(state.len()), Ok(begun.state_bytes));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("copy.db");
    std::fs::write(&path, state).expect("written");
    let copy = rusqlite::Connection::open(path).expect("a database");
    let count = |of: &rusqlite::Connection| of.query_row(NAME, [], |row| row.get::<_, i64>(0)).expect("counted");
    assert_eq!((count(&live), count(&copy)), (1, 0));
    let said: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(said, "ok");
}
