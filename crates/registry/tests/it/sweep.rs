//! What nobody finished, and what nobody holds, goes after a time; what is in use stays.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_registry::Swept;
use layer0_testkit::clock::FixedClock;
use layer0_testkit::until::until_true;

use crate::client::{Client, noise, pieces};
use crate::common::{Doors, TestRegistry};

#[tokio::test]
async fn abandoned_uploads_are_swept() {
    let registry = TestRegistry::with(Doors::Open, |config| config.upload_expiry = Duration::ZERO).await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "half").await.expect(202);
    let busy = client.begin("team/app").await;
    let (sender, body) = pieces();
    // Two whole batches of a stream.
    let content = noise((256 << 10) + (1 << 20));
    let writing = client.send(Method::PATCH, &busy, &[], body);
    let sweeping = async {
        sender.send(content.into()).await.unwrap();
        until_true("the request writes", || async { client.get(&busy).await.header("range") == "0-1310719" }).await;
        assert_eq!(registry.registry.sweep().await.unwrap().uploads, 1);
        drop(sender);
    };
    let (got, ()) = tokio::join!(writing, sweeping);
    got.expect(202);
    client.get(&upload).await.expect(404);
    client.get(&busy).await.expect(204);
    assert_eq!(registry.registry.sweep().await.unwrap().uploads, 1);
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn fresh_uploads_are_not_swept_even_by_a_new_process() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "half").await.expect(202);
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    let registry = registry.restart().await;
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    Client::of(&registry).get(&upload).await.expect(204);
}

#[tokio::test]
async fn an_upload_expires_a_day_after_somebody_last_named_it() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let mut registry = TestRegistry::start().await;
    let clock = Arc::new(FixedClock::at(registry.clock.now()));
    registry.clock = clock.clone();
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    let (forgotten, kept) = (client.begin("team/app").await, client.begin("team/app").await);
    client.ask(Method::PATCH, &forgotten, &[], "half").await.expect(202);
    client.ask(Method::PATCH, &kept, &[], "con").await.expect(202);
    let sweep = async || registry.registry.sweep().await.unwrap().uploads;
    clock.advance_ms(DAY - 1);
    client.get(&kept).await.expect(204);
    assert_eq!((sweep().await, registry.staged().len()), (0, 2));
    clock.advance_ms(1);
    assert_eq!((sweep().await, registry.staged().len()), (1, 1));
    assert_eq!(client.get(&forgotten).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    assert_eq!(client.ask(Method::PATCH, &forgotten, &[], "more").await.error().0, 404);
    let digest = Digest::sha256_of(b"content");
    client.ask(Method::PUT, &format!("{kept}?digest={digest}"), &[], "tent").await.expect(201);
    clock.advance_ms(DAY);
    assert_eq!((sweep().await, registry.staged().len()), (0, 0));
}

/// A file as a crash leaves it between its new name and its link, last written to so long ago.
pub(crate) fn stray(registry: &TestRegistry, content: &[u8], age: Duration) -> Digest {
    let digest = Digest::sha256_of(content);
    let path = registry.blob_file(&digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    digest
}

#[tokio::test]
async fn files_that_nobody_holds_go_when_they_are_old() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let registry = TestRegistry::unpacked().await;
    let held = Client::of(&registry).push("team/app", "held").await;
    File::options().write(true).open(registry.blob_file(&held)).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
    stray(&registry, b"old", DAY);
    let fresh = stray(&registry, b"fresh", DAY - Duration::from_secs(60));
    let foreign = registry.root().join("blobs/sha256/00");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("notes.txt"), "not ours").unwrap();

    assert_eq!(registry.registry.sweep().await.unwrap(), Swept { uploads: 0, strays: 1 });
    let mut left = vec![held.hex().to_owned(), fresh.hex().to_owned(), "notes.txt".to_owned()];
    left.sort();
    assert_eq!(registry.blob_files(), left);
    // Not again before a day has passed.
    stray(&registry, b"old", DAY);
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    // A push takes a stray's place.
    let client = Client::of(&registry);
    let old = client.push("team/app", "old").await;
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{old}")).await.expect(200).body, "old");
}

/// A stray that can't be removed, as on a file system with an error in it: here there is a directory in the file's place.
#[tokio::test]
async fn a_stray_that_stays_holds_up_no_other_and_is_not_tried_again_for_a_day() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let registry = TestRegistry::start().await;
    let stuck = registry.blob_file(&stray(&registry, b"stuck", DAY));
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir(&stuck).unwrap();
    File::open(&stuck).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
    let words: Vec<String> = (0..40).map(|number| format!("stray {number}")).collect();
    for word in &words {
        stray(&registry, word.as_bytes(), DAY);
    }
    // Some lie before it, and some behind.
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept { uploads: 0, strays: 40 });
    assert!(stuck.is_dir());
    stray(&registry, b"another", DAY);
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn strays_are_looked_for_though_uploads_can_not_be_listed() {
    let registry = TestRegistry::start().await;
    let old = stray(&registry, b"old", Duration::from_secs(24 * 60 * 60));
    let (uploads, aside) = (registry.root().join("uploads"), registry.root().join("aside"));
    std::fs::rename(&uploads, &aside).unwrap();
    registry.registry.sweep().await.unwrap_err();
    assert!(!registry.blob_file(&old).exists());
    std::fs::rename(&aside, &uploads).unwrap();
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
}
