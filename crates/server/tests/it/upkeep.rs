//! How the registry looks after what it keeps, from the front door: verification and sweep.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use layer0_api::client::{Client, Verified};
use layer0_api::types::{GcQuery, VerifyFinding, VerifyProgress, VerifyReport, VerifyRequest};
use layer0_domain::model::time::Timestamp;
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::kept::kept;
use layer0_testkit::until::{ends, until_true};
use reqwest::Method;
use serde_json::json;

use crate::support::Raw;

/// Follows a run to its end.
async fn follow(client: &Client, mib_per_s: Option<i64>) -> (Vec<VerifyFinding>, Vec<VerifyProgress>, VerifyReport) {
    let (mut findings, mut progress) = (vec![], vec![]);
    let mut events = client.admin_verify(&VerifyRequest { mib_per_s }).await.expect("it begins");
    loop {
        match ends("the next event", events.next()).await.expect("an end comes").expect("the stream holds") {
            Verified::Progress(it) => progress.push(it),
            Verified::Finding(it) => findings.push(it),
            Verified::End(report) => {
                assert!(events.next().await.is_none(), "nothing follows the end");
                return (findings, progress, report);
            }
        }
    }
}

/// Turns one byte of a blob into another one.
fn rot(app: &TestApp, digest: &str) {
    kept(app.data_dir(), digest).expect("it is there").rot();
}

async fn layer_of(raw: &Raw, repository: &str, tag: &str) -> String {
    let manifest = raw.get(&format!("/v2/{repository}/manifests/{tag}")).await.expect(200).json();
    manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned()
}

#[tokio::test]
async fn damage_is_found_named_and_healed_by_a_push() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.push("team/app", "1", "amd64", "one").await;
    raw.push("team/app", "2", "amd64", "two").await;
    let (findings, _, report) = follow(&client, None).await;
    assert_eq!((findings, report.findings, report.manifests, report.error.as_deref()), (vec![], 0, 2, None));
    assert!(report.blobs >= 3 && report.bytes > 0, "{report:?}");

    let layer = layer_of(&raw, "team/app", "1").await;
    rot(&app, &layer);
    for _ in 0..2 {
        let (findings, _, report) = follow(&client, Some(1000)).await;
        assert_eq!((findings.len(), report.findings), (1, 1), "{findings:?}");
        assert_eq!(
            (findings[0].kind.as_str(), findings[0].digest.as_str(), findings[0].problem.as_str()),
            ("blob", layer.as_str(), "damaged")
        );
        assert_eq!(
            (findings[0].users[0].repository.as_str(), &findings[0].users[0].tags[..]),
            ("team/app", &["1".to_owned()][..])
        );
    }
    raw.get(&format!("/v2/team/app/blobs/{layer}")).await.expect(404);
    // The pull check has heard of it.
    let resolved = raw.get(&format!("/image/resolve?image={}/team/app:1", app.registry_address())).await.expect(200);
    let problem = resolved.json()["problem"].clone();
    assert!(problem["message"].as_str().is_some_and(|text| text.contains("not complete")), "{problem}");
    assert_eq!(problem["hint"], "push the image again");

    raw.push("team/app", "1", "amd64", "one").await;
    assert_eq!(follow(&client, None).await.2.findings, 0);
    raw.get(&format!("/v2/team/app/blobs/{layer}")).await.expect(200);
}

#[tokio::test]
async fn one_run_goes_on_at_a_time_and_others_join_it() {
    let mut app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let filler = "x".repeat(1 << 20);
    raw.push("team/app", "1", "amd64", &filler).await;
    rot(&app, &layer_of(&raw, "team/app", "1").await);

    // Slow enough that the second comes in the middle of it.
    let mut first = client.admin_verify(&VerifyRequest { mib_per_s: Some(1) }).await.expect("it begins");
    assert!(matches!(first.next().await, Some(Ok(Verified::Progress(it))) if it.mib_per_s == 1));
    let mut second = client.admin_verify(&VerifyRequest { mib_per_s: Some(1000) }).await.expect("it joins");
    assert!(matches!(second.next().await, Some(Ok(Verified::Progress(it))) if it.mib_per_s == 1), "no run of its own");
    // The one who began it leaves; it goes on.
    drop(first);
    let mut found = 0;
    let report = loop {
        match ends("an event", second.next()).await.expect("an end comes").expect("the stream holds") {
            Verified::Progress(_) => {}
            Verified::Finding(_) => found += 1,
            Verified::End(report) => break report,
        }
    };
    assert_eq!((found, report.findings), (1, 1));

    // A stop of the server ends a run and tells its listeners.
    let mut last = client.admin_verify(&VerifyRequest { mib_per_s: Some(1) }).await.expect("it begins");
    assert!(matches!(last.next().await, Some(Ok(Verified::Progress(_)))));
    app.stop().await;
    let mut end = None;
    while let Some(event) = ends("an event", last.next()).await {
        if let Ok(Verified::End(report)) = event {
            end = report.error;
        }
    }
    assert_eq!(end.as_deref(), Some("the server is stopping"));
}

/// The sweep at the start of a server takes what an earlier one left, by the clock.
#[tokio::test]
async fn abandoned_uploads_and_strays_go_when_they_are_a_day_old() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let now = SystemTime::now();
    let ms = now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    let clock = Arc::new(FixedClock::at(Timestamp(i64::try_from(ms).expect("not so late"))));
    let mut app = TestApp::with(TestOptions { clock, ..TestOptions::default() }).await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let registry = app.data_dir().join("registry");
    let (mut uploads, mut files) = (vec![], vec![]);
    for age in [23, 25] {
        let begun = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
        let upload = begun.header("location").to_owned();
        raw.send(Method::PATCH, &upload, &[], "half").await.expect(202);
        let file = registry.join("uploads").join(upload.rsplit('/').next().expect("an id"));
        File::options().write(true).open(&file).expect("there").set_modified(now - age * HOUR).expect("ours");
        uploads.push(upload);
        files.push(file);
    }
    raw.push("team/app", "1", "amd64", "one").await;
    let stray = registry.join("blobs/sha256/00").join("0".repeat(64));
    std::fs::create_dir_all(stray.parent().expect("in a directory")).expect("ours");
    std::fs::write(&stray, "left by a crash").expect("ours");
    File::options().write(true).open(&stray).expect("there").set_modified(now - 25 * HOUR).expect("ours");

    app.restart().await;
    // Looked at from outside: whoever asks the server for an upload before it sweeps goes on with it.
    until_true("the old upload goes", || async { !files[1].exists() }).await;
    // Its bytes go first.
    until_true("nobody finds it", || async { raw.get(&uploads[1]).await.status == 404 }).await;
    until_true("the stray goes", || async { !stray.exists() }).await;
    raw.get(&uploads[0]).await.expect(204);
    raw.get("/v2/team/app/manifests/1").await.expect(200);
    assert_eq!(follow(&app.client(), None).await.2.findings, 0);
}

#[tokio::test]
async fn rates_that_are_none() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for rate in [json!(0), json!(-1), json!(100_001), json!(5_000_000_000_i64)] {
        let refused = raw.post("/admin/verify", &json!({"mib_per_s": rate})).await.error(422);
        assert_eq!(refused.error_code, "InvalidValue");
        assert!(refused.message.contains("mib_per_s"), "{}", refused.message);
    }
    raw.post("/admin/verify", &json!({"mib_per_s": "fast"})).await.error(400);
    let all = raw.post("/admin/verify", &json!({"mib_per_s": null})).await.expect(200);
    assert_eq!(all.header("content-type"), "text/event-stream");
    assert!(all.text().contains("event: end"), "{}", all.text());
}

#[tokio::test]
async fn what_no_image_needs_goes_when_an_admin_asks_for_it() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let clock = Arc::new(FixedClock::at(Timestamp(1_700_000_000_000)));
    let app = TestApp::with(TestOptions { clock: clock.clone(), ..TestOptions::default() }).await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.push("team/app", "1", "amd64", "kept").await;
    raw.push("team/app", "2", "amd64", "left over").await;
    let layer = layer_of(&raw, "team/app", "2").await;
    let answer = raw.get("/v2/team/app/manifests/2").await.expect(200);
    let (digest, manifest) = (answer.header("docker-content-digest").to_owned(), answer.json());
    let bytes = [&manifest["config"], &manifest["layers"][0]].iter().filter_map(|it| it["size"].as_u64()).sum::<u64>();
    raw.delete(&format!("/v2/team/app/manifests/{digest}")).await.expect(202);
    let begun = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    raw.send(Method::PATCH, begun.header("location"), &[], "half").await.expect(202);
    let report = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!((report.blobs, report.waiting_blobs, report.waiting_bytes), (0, 2, bytes), "younger than the grace");
    assert_eq!((report.uploads, report.open_uploads, report.open_upload_bytes), (0, 1, 4));
    clock.advance_ms(DAY);

    let plan = client.admin_gc_plan(&GcQuery::default()).await.expect("a report");
    assert_eq!((plan.blobs, plan.freed_bytes, plan.grace_seconds), (2, bytes, 24 * 60 * 60));
    assert_eq!(plan.repositories[0].repository, "team/app");
    assert_eq!((plan.waiting_blobs, plan.upload_seconds), (0, 24 * 60 * 60));
    raw.get(&format!("/v2/team/app/blobs/{layer}")).await.expect(200);
    let went = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!((went.blobs, went.freed_bytes, went.repositories), (2, bytes, plan.repositories));
    raw.get(&format!("/v2/team/app/blobs/{layer}")).await.expect(404);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").blobs, 0);
    let kept = layer_of(&raw, "team/app", "1").await;
    raw.get(&format!("/v2/team/app/blobs/{kept}")).await.expect(200);
}
