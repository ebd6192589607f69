//! Retention rules of owners, from the front door.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use layer0_api::types::{CreateServiceRequest, GcQuery, RetentionRule, RetiredImage};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_server::testing::{TestApp, TestOptions};
use layer0_store::SqliteStore;
use layer0_testkit::clock::FixedClock;
use serde_json::json;

use crate::support::{Raw, deploy_of, environment, new_service, service};

const HOUR: i64 = 60 * 60 * 1000;

async fn started() -> (TestApp, Arc<FixedClock>, Raw) {
    let clock = Arc::new(FixedClock::at(Timestamp(1_700_000_000_000)));
    let app = TestApp::with(TestOptions { clock: clock.clone(), ..TestOptions::default() }).await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    (app, clock, raw)
}

fn tags(images: &[RetiredImage]) -> Vec<&str> {
    images.iter().filter_map(|it| it.tag.as_deref()).collect()
}

async fn listed(raw: &Raw) -> Vec<String> {
    let answer = raw.get("/v2/team/app/tags/list").await.expect(200).json();
    answer["tags"].as_array().expect("a list").iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn images_without_a_tag_are_listed_by_their_digests() {
    let (app, _clock, raw) = started().await;
    let client = app.client();
    let first = raw.push("team/app", "v1", "amd64", "first").await;
    let second = raw.push("team/app", "v2", "amd64", "second").await;
    let untagged = async || client.image_list_untagged("team", "app").await.expect("a list").images;
    assert_eq!(untagged().await, Vec::<String>::new());
    client.image_delete("team", "app", "v1").await.expect("it goes");
    assert_eq!(untagged().await, [first.as_str()], "its tag is deleted");
    assert_ne!(raw.push("team/app", "v2", "amd64", "third").await, second);
    let mut both = [first.as_str(), second.as_str()];
    both.sort_unstable();
    assert_eq!(untagged().await, both, "its tag has moved on");
    client.image_delete("team", "app", &first).await.expect("it goes");
    client.image_delete("team", "app", &second).await.expect("it goes");
    assert_eq!(untagged().await, Vec::<String>::new());
    assert_eq!(client.image_list("team", "app").await.expect("a list").images, ["v2"]);
    raw.get("/repository/team/none/image?untagged=true").await.expect(404);
}

#[tokio::test]
async fn images_go_by_the_rules_of_their_owner_and_their_space_comes_back() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    let mut digests = vec![];
    for tag in ["dev-1", "dev-2", "dev-3", "v1"] {
        digests.push(raw.push("team/app", tag, "amd64", tag).await);
        clock.advance_ms(HOUR);
    }
    assert_eq!(
        client.admin_gc_plan(&GcQuery::default()).await.expect("a report").retention,
        [],
        "without a rule all stay"
    );
    let rule = RetentionRule {
        repositories: Some("*".to_owned()),
        tags: Some("dev-*".to_owned()),
        keep_last: Some(1),
        keep_hours: None,
        untagged_hours: Some(1),
    };
    assert_eq!(client.retention_rule_add("team", &rule).await.expect("a legal rule"), rule);
    assert_eq!(client.owner_get("team").await.expect("it is there").retention, [rule]);

    let plan = client.admin_gc_plan(&GcQuery::default()).await.expect("a report");
    assert_eq!(tags(&plan.retention), ["dev-1", "dev-2"]);
    assert_eq!(
        (plan.retention[0].digest.as_str(), plan.retention[0].pushed_at.as_str()),
        (digests[0].as_str(), "2023-11-14T22:13:20.000Z")
    );
    assert_eq!(plan.retention[0].rule, "team/*:dev-* last 1 untagged 1h");
    let untagged: Vec<&str> =
        plan.retention.iter().filter(|it| it.tag.is_none()).map(|it| it.digest.as_str()).collect();
    assert_eq!(untagged.len(), 2);
    assert!(untagged.iter().all(|digest| digests[..2].iter().any(|it| it == digest)), "{untagged:?}");
    assert_eq!(listed(&raw).await, ["dev-1", "dev-2", "dev-3", "v1"], "nothing was changed");

    let went = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!((went.retention, went.blobs), (plan.retention, 0), "their blobs stay for the grace");
    assert_eq!(listed(&raw).await, ["dev-3", "v1"]);
    raw.get(&format!("/v2/team/app/manifests/{}", digests[0])).await.expect(404);
    raw.get(&format!("/v2/team/app/manifests/{}", digests[2])).await.expect(200);
    let log = raw.get("/admin/audit?who=retention").await.expect(200).text();
    assert!(log.contains(&format!("team/app:dev-1@{} by the rule team/*:dev-*", digests[0])), "{log}");
    assert!(log.contains("tag_retire") && log.contains("manifest_retire"), "{log}");

    clock.advance_ms(24 * HOUR);
    let later = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!((later.retention, later.blobs), (vec![], 4), "two images of a configuration and a layer");
    client.retention_rule_remove("team", "*", "dev-*").await.expect("it is there");
    assert_eq!(client.owner_get("team").await.expect("it is there").retention, []);
}

/// A clock that leaps makes all images old. It may be wrong, or the server was off for long: nobody knows, and a day tells.
#[tokio::test]
async fn a_clock_that_leaps_lets_no_image_go_before_it_has_gone_on_for_a_day() {
    const YEAR: i64 = 365 * 24 * HOUR;
    let (mut app, clock, raw) = started().await;
    let client = app.client();
    raw.push("team/app", "1", "amd64", "1").await;
    raw.post("/owner/team/retention", &json!({"keep_hours": 720, "untagged_hours": 1})).await.expect(201);
    let watched = GcQuery::default();
    assert_eq!(client.admin_gc(&watched).await.expect("a report").retention, []);

    let because = "the server's clock says 2024-11-13T22:13:20.000Z, 365 days after the last time that was seen: rules wait until \
                   2024-11-14T22:13:20.000Z, or for `--trust-clock`";
    clock.advance_ms(YEAR);
    for report in [client.admin_gc_plan(&watched).await, client.admin_gc(&watched).await] {
        let report = report.expect("a report");
        let held: Vec<_> = report.held.iter().map(|it| (it.repository.as_str(), it.because.as_str())).collect();
        assert_eq!((report.retention, held), (vec![], vec![("*", because)]));
    }
    clock.advance_ms(HOUR - YEAR);
    let right = client.admin_gc(&watched).await.expect("a report");
    assert_eq!((right.retention, right.held), (vec![], vec![]), "it was put right, and no image is old");

    clock.advance_ms(YEAR);
    assert_eq!(client.admin_gc(&watched).await.expect("a report").held.len(), 1);
    app.restart().await;
    let client = app.client();
    clock.advance_ms(24 * HOUR - 1);
    let still = client.admin_gc(&watched).await.expect("a report");
    assert_eq!((still.retention, still.held.len()), (vec![], 1), "a restart forgets no doubt");
    clock.advance_ms(1);
    let after = client.admin_gc(&watched).await.expect("a report");
    assert_eq!((tags(&after.retention), after.held), (vec!["1"], vec![]));
}

/// A clock that is a year ahead from the moment at which it was asked so many more times.
#[derive(Debug)]
struct Leaping {
    clock: FixedClock,
    left: AtomicI64,
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        let has_leapt = self.left.fetch_sub(1, Ordering::SeqCst) <= 0;
        self.clock.now().plus_ms(if has_leapt { 365 * 24 * HOUR } else { 0 })
    }

    fn random(&self) -> [u8; 32] {
        self.clock.random()
    }
}

/// A run that found the clock right, and at each of its later looks at it is told that it is a year later.
#[tokio::test]
async fn a_clock_that_leaps_in_the_middle_of_a_run_lets_no_image_go() {
    let clock = FixedClock::at(Timestamp(1_700_000_000_000));
    let clock = Arc::new(Leaping { clock, left: AtomicI64::new(i64::MAX) });
    let app = TestApp::with(TestOptions { clock: clock.clone(), ..TestOptions::default() }).await;
    let (raw, client) = (Raw::of(&app), app.client());
    for name in ["app", "web"] {
        raw.post("/repository/team", &json!({"name": name})).await.expect(201);
        raw.push(&format!("team/{name}"), "1", "amd64", "1").await;
    }
    raw.post("/owner/team/retention", &json!({"keep_hours": 720, "untagged_hours": 1})).await.expect(201);
    // Since it only counts down from here on, a run of its own says how often it asks.
    let vouched = GcQuery { trust_clock: Some("true".to_owned()) };
    clock.left.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(client.admin_gc(&vouched).await.expect("a report").retention, []);
    let asked = i64::MAX - clock.left.load(Ordering::SeqCst);
    assert!(asked > 1, "{asked}");
    for left in 0..=asked {
        clock.left.store(left, Ordering::SeqCst);
        let report = client.admin_gc(&GcQuery::default()).await.expect("a report");
        assert_eq!(report.retention, [], "it leaps after {left} looks");
        clock.left.store(i64::MAX, Ordering::SeqCst);
        assert_eq!(client.admin_gc(&vouched).await.expect("a report").retention, [], "it was put right");
    }
}

#[tokio::test]
async fn an_admin_says_that_the_clock_is_right() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    raw.push("team/app", "1", "amd64", "1").await;
    raw.post("/owner/team/retention", &json!({"keep_hours": 720, "untagged_hours": 1})).await.expect(201);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").retention, []);
    clock.advance_ms(31 * 24 * HOUR);
    assert_eq!(client.admin_gc_plan(&GcQuery::default()).await.expect("a report").retention, []);
    let vouched = GcQuery { trust_clock: Some("true".to_owned()) };
    let plan = client.admin_gc_plan(&vouched).await.expect("a report").retention;
    assert_eq!(tags(&plan), ["1"]);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").held.len(), 1, "a dry run says nothing");
    assert_eq!(client.admin_gc(&vouched).await.expect("a report").retention, plan);
    raw.push("team/app", "2", "amd64", "2").await;
    clock.advance_ms(24 * HOUR);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").held, [], "it is right from then on");
}

/// As cosign keeps signatures where a registry has no referrers: under a tag of their own, which no pattern of an owner names.
#[tokio::test]
async fn the_signature_of_an_image_goes_with_it() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    let mut signatures = vec![];
    for tag in ["dev-1", "dev-2"] {
        let signed = raw.push("team/app", tag, "amd64", tag).await;
        let signature = format!("{}.sig", signed.replace(':', "-"));
        raw.push("team/app", &signature, "amd64", &format!("signature of {tag}")).await;
        signatures.push(signature);
        clock.advance_ms(HOUR);
    }
    clock.advance_ms(9 * HOUR);
    raw.post("/owner/team/retention", &json!({"tags": "dev-*", "keep_last": 1, "untagged_hours": 1})).await.expect(201);
    let plan = client.admin_gc_plan(&GcQuery::default()).await.expect("a report").retention;
    assert_eq!((tags(&plan), plan.len()), (vec!["dev-1", signatures[0].as_str()], 4));
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").retention, plan);
    assert_eq!(listed(&raw).await, ["dev-2", signatures[1].as_str()]);
}

/// A grace begins when a rule lets an image go, however old it is: who is deploying it at this moment can pull it to the end.
#[tokio::test]
async fn the_layers_of_an_old_image_stay_for_the_grace_when_a_rule_lets_it_go() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    for tag in ["1", "2"] {
        raw.push("team/app", tag, "amd64", tag).await;
    }
    raw.post("/owner/team/retention", &json!({"keep_last": 1, "untagged_hours": 1})).await.expect(201);
    clock.advance_ms(30 * HOUR);
    let went = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!((tags(&went.retention), went.blobs), (vec!["1"], 0));
    clock.advance_ms(24 * HOUR - 1);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").blobs, 0);
    clock.advance_ms(1);
    assert_eq!(client.admin_gc(&GcQuery::default()).await.expect("a report").blobs, 2, "a configuration and a layer");
}

#[tokio::test]
async fn what_goes_is_written_down_in_the_same_few_units_of_work() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    for number in 0..60 {
        raw.push("team/app", &format!("dev-{number:02}"), "amd64", &number.to_string()).await;
    }
    clock.advance_ms(2 * HOUR);
    raw.post("/owner/team/retention", &json!({"keep_last": 1, "untagged_hours": 1})).await.expect(201);
    let commits = || RegistryStore::version(app.store()).expect("nobody else writes");
    let before = commits();
    let went = client.admin_gc(&GcQuery::default()).await.expect("a report").retention;
    assert_eq!((tags(&went).len(), went.len()), (59, 118));
    // One batch of tags and one of manifests; what else goes on in a server needs some too.
    let made = commits() - before;
    assert!(made < 30, "{made} commits for 59 tags and as many manifests");
    let log = raw.get("/admin/audit?who=retention&limit=1000").await.expect(200).json();
    let log: Vec<_> = log.as_array().expect("a list").iter().filter_map(|it| it["target"].as_str()).collect();
    let line = |it: &RetiredImage| {
        let tag = it.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        format!("{}{tag}@{} by the rule {}", it.repository, it.digest, it.rule)
    };
    assert_eq!(log, went.iter().map(line).collect::<Vec<_>>(), "each once, in the order in which they went");
}

/// Pushes an image to each of two repositories, `app` and `ci`, and lets a blob lie about in a third.
async fn two_and_a_stray(raw: &Raw) {
    for name in ["ci", "stray"] {
        raw.post("/repository/team", &json!({"name": name})).await.expect(201);
    }
    for repository in ["team/app", "team/ci"] {
        for tag in ["1", "2"] {
            raw.push(repository, tag, "amd64", tag).await;
        }
    }
    raw.push_blob("team/stray", "nobody needs it".to_owned()).await;
}

/// What a disk may do to a row: the first image of `app` is about something that is no digest.
fn rot(app: &TestApp) {
    let sql = "UPDATE manifest SET subject = 'rotten' WHERE number = (SELECT manifest FROM image_tag \
               WHERE name = '1' AND repository = (SELECT number FROM repository WHERE name = 'team/app'))";
    let database = rusqlite::Connection::open(app.data_dir().join(SqliteStore::FILE_NAME)).expect("it is there");
    assert_eq!(database.execute(sql, []), Ok(1));
}

#[tokio::test]
async fn a_repository_that_can_not_be_read_keeps_all_and_holds_nothing_else_up() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    two_and_a_stray(&raw).await;
    rot(&app);
    clock.advance_ms(25 * HOUR);
    raw.post("/owner/team/retention", &json!({"keep_last": 1, "untagged_hours": 1})).await.expect(201);
    for report in [
        client.admin_gc_plan(&GcQuery::default()).await.expect("a report"),
        client.admin_gc(&GcQuery::default()).await.expect("a report"),
    ] {
        let held: Vec<_> = report.held.iter().map(|it| (it.repository.as_str(), it.tag.as_str())).collect();
        assert_eq!(held, [("team/app", "*")]);
        assert!(report.held[0].because.contains("could not be read"), "{:?}", report.held);
        let going: Vec<_> = report.retention.iter().map(|it| (it.repository.as_str(), it.tag.as_deref())).collect();
        assert_eq!(going, [("team/ci", Some("1")), ("team/ci", None)]);
        assert!(report.repositories.iter().any(|it| it.repository == "team/stray"), "blobs are collected: {report:?}");
    }
    assert_eq!(listed(&raw).await, ["1", "2"]);
}

/// The first repository of all has a blob of which the disk has kept nonsense.
#[tokio::test]
async fn a_repository_whose_blobs_can_not_be_listed_holds_up_no_other_and_is_told() {
    let (app, clock, raw) = started().await;
    let client = app.client();
    two_and_a_stray(&raw).await;
    raw.push_blob("team/app", "needed by nobody".to_owned()).await;
    let sql = "UPDATE blob_link SET digest = 'rotten' WHERE size = 16";
    let database = rusqlite::Connection::open(app.data_dir().join(SqliteStore::FILE_NAME)).expect("it is there");
    assert_eq!(database.execute(sql, []), Ok(1));
    clock.advance_ms(25 * HOUR);
    raw.post("/owner/team/retention", &json!({"repositories": "ci", "keep_last": 1})).await.expect(201);
    let report = client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!(tags(&report.retention), ["1"], "what has gone is told");
    let held: Vec<_> = report.held.iter().map(|it| (it.repository.as_str(), it.tag.as_str())).collect();
    assert_eq!(held, [("team/app", "*")]);
    assert!(report.held[0].because.contains("could not be collected"), "{:?}", report.held);
    let lost: Vec<_> = report.repositories.iter().map(|it| it.repository.as_str()).collect();
    assert_eq!(lost, ["team/stray"]);
}

#[tokio::test]
async fn only_repositories_are_read_that_a_rule_is_about() {
    let (app, clock, raw) = started().await;
    two_and_a_stray(&raw).await;
    rot(&app);
    clock.advance_ms(2 * HOUR);
    raw.post("/owner/team/retention", &json!({"repositories": "ci", "keep_last": 1})).await.expect(201);
    let plan = app.client().admin_gc_plan(&GcQuery::default()).await.expect("a report");
    assert_eq!((tags(&plan.retention), plan.held), (vec!["1"], vec![]));
}

#[tokio::test]
async fn what_a_service_runs_and_what_is_immutable_stays() {
    let (mut app, clock, raw) = started().await;
    let client = app.client();
    for tag in ["1", "2", "3", "4"] {
        raw.push("team/app", tag, "amd64", tag).await;
        clock.advance_ms(HOUR);
    }
    let env = environment(&client, "dev").await;
    let deploy = deploy_of(&client, "web", "registry.layer0.test/team/app:1", &[]).await;
    service(&client, "web", &env, &deploy, 1).await;
    raw.post("/owner/team/immutable", &json!({"tags": "2"})).await.expect(201);
    raw.post("/owner/team/retention", &json!({"keep_last": 1, "untagged_hours": 1})).await.expect(201);

    let plan = client.admin_gc_plan(&GcQuery::default()).await.expect("a report");
    assert_eq!(tags(&plan.retention), ["3"]);
    let held: Vec<_> = plan.held.iter().map(|it| (it.tag.as_str(), it.because.as_str())).collect();
    assert_eq!(held, [("1", "service web runs it"), ("2", "it is immutable by the rule team/*:2")]);
    client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!(listed(&raw).await, ["1", "2", "4"]);
    app.leftovers_allowed();
}

/// Deployed before it was pushed, a service has its image by the tag alone.
#[tokio::test]
async fn what_a_service_runs_by_its_tag_stays() {
    let (mut app, clock, raw) = started().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let deploy = deploy_of(&client, "web", "registry.layer0.test/team/app:1", &[]).await;
    let early = CreateServiceRequest { skip_pull_check: true, ..new_service("web", &env, &deploy, 1) };
    client.service_create(&early).await.expect("it is taken");
    for tag in ["1", "2", "3"] {
        raw.push("team/app", tag, "amd64", tag).await;
        clock.advance_ms(HOUR);
    }
    raw.post("/owner/team/retention", &json!({"keep_last": 1, "untagged_hours": 1})).await.expect(201);
    let plan = client.admin_gc_plan(&GcQuery::default()).await.expect("a report");
    assert_eq!(tags(&plan.retention), ["2"]);
    let held: Vec<_> = plan.held.iter().map(|it| (it.tag.as_str(), it.because.as_str())).collect();
    assert_eq!(held, [("1", "service web runs it")]);
    client.admin_gc(&GcQuery::default()).await.expect("a report");
    assert_eq!(listed(&raw).await, ["1", "3"]);
    app.leftovers_allowed();
}

#[tokio::test]
async fn rules_that_are_none_are_refused_with_the_reason() {
    let (_app, _, raw) = started().await;
    for (body, said) in [
        (json!({}), "at least one of"),
        (json!({"tags": "*"}), "at least one of"),
        (json!({"keep_last": 0}), "keep_last must be from 1 to 10000, not 0"),
        (json!({"keep_last": 10_001}), "keep_last must be from 1 to 10000"),
        (json!({"keep_hours": 0}), "keep_hours must be from 1 to 87600"),
        (json!({"keep_last": 1, "untagged_hours": 87_601}), "untagged_hours must be from 1 to 87600"),
        (json!({"keep_last": 1, "tags": ""}), "tags"),
        (json!({"keep_last": 1, "repositories": "a b"}), "repositories"),
    ] {
        let error = raw.post("/owner/team/retention", &body).await.error(422);
        assert!(error.message.contains(said), "{body}: {}", error.message);
    }
    for body in [json!({"keep_last": -1}), json!({"keep_hours": "30d"}), json!({"keep_last": 4_294_967_296_u64})] {
        raw.post("/owner/team/retention", &body).await.error(400);
    }
    raw.post("/owner/none/retention", &json!({"keep_last": 1})).await.error(404);
    let missing = raw.delete("/owner/team/retention?tags=dev-*").await.error(404);
    assert_eq!(missing.error_code, "RetentionRuleDoesNotExist");
}
