//! The logs of an environment and of the instance: what operations did, who asked for what, and what the platform wrote down.

use futures_util::StreamExt;
use layer0_api::types as wire;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::trail::{TrailGap, TrailRecord};
use layer0_engine::fake::{Fault, Op};
use layer0_server::testing::TestApp;
use layer0_testkit::until::{ends, until};
use serde_json::json;

use crate::support::{Raw, deploy, done, environment, load_balancer, service};
use crate::teams::Teams;

/// The lines of a log that is one file.
async fn lines(raw: &Raw, path: &str) -> Vec<String> {
    let files = raw.get(path).await.expect(200).json();
    assert_eq!(files.as_array().map(Vec::len), Some(1), "{path}");
    assert_eq!(files[0]["container_name"], "events", "{path}");
    let lines = files[0]["lines"].as_array().expect("lines").clone();
    lines.into_iter().map(|line| line.as_str().expect("text").to_owned()).collect()
}

fn about(id: &str) -> Option<EntityRef> {
    EnvironmentId::parse(id).ok().map(EntityRef::Environment)
}

fn record(number: i64, at: Timestamp, refused: Option<&str>) -> TrailRecord {
    TrailRecord {
        id: format!("record-{number}"),
        at,
        source: "cloudtrail",
        who: "l0/i-1".to_owned(),
        action: "ecs:CreateService".to_owned(),
        target: format!("l0-test-{number}"),
        refused: refused.map(str::to_owned),
    }
}

/// The log of an environment has its own events only, whatever happened elsewhere.
#[tokio::test]
async fn logs_are_chosen_by_environment_number_and_time() {
    let app = TestApp::start().await;
    let (client, raw) = (app.client(), Raw::of(&app));
    let (one, other) = (environment(&client, "one").await, environment(&client, "other").await);
    let made = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &one, &made, 1).await;
    let lb = load_balancer(&client, "lb", &other, &[8080]).await;
    app.fake().trail_write(about(&one), record(1, Timestamp(5), None));
    app.fake().trail_write(None, record(2, Timestamp(6), Some("AccessDenied")));

    let all = lines(&raw, "/admin/logs").await;
    let of_one = lines(&raw, &format!("/environment/{one}/logs")).await;
    let of_other = lines(&raw, &format!("/environment/{other}/logs")).await;
    for said in [
        "create environment `one`: ".to_owned(),
        "create service `web`: ".to_owned(),
        format!("audit: admin: environment_create environment `{one}` (201)"),
        format!("audit: admin: service_create service `{web}` (201)"),
    ] {
        assert!(of_one.iter().any(|line| line.contains(&said)), "{said}: {of_one:#?}");
    }
    assert!(!of_one.iter().any(|line| line.contains(&other) || line.contains(&lb)), "{of_one:#?}");
    let said = format!("audit: admin: load_balancer_create load balancer `{lb}` (201)");
    assert!(of_other.iter().any(|line| line.contains(&said)), "{of_other:#?}");
    assert!(!of_other.iter().any(|line| line.contains(&one) || line.contains(&web)), "{of_other:#?}");
    for kept in of_one.iter().filter(|line| !line.contains(" audit: ")) {
        assert!(all.contains(kept), "the instance's log has all: {kept}\n{all:#?}");
    }
    assert!(all.iter().any(|line| line.contains("deploy_create")), "what belongs to no environment too: {all:#?}");
    assert!(all.iter().any(|line| line.ends_with("cloudtrail: l0/i-1: ecs:CreateService l0-test-2 (AccessDenied)")));
    assert!(all.is_sorted_by_key(|line| line.split(' ').next().map(str::to_owned)), "the oldest first: {all:#?}");

    assert_eq!(lines(&raw, "/admin/logs?tail=2").await, all[all.len() - 2..]);
    assert_eq!(lines(&raw, "/admin/logs?start=2001-01-01%2000:00").await, all[2..], "but for what was long ago");
    assert_eq!(lines(&raw, "/admin/logs?end=2001-01-01%2000:00").await, all[..2]);
    // The platform is not asked for what was before the environment.
    assert!(lines(&raw, &format!("/environment/{one}/logs?end=2001-01-01%2000:00")).await.is_empty());

    // An environment's log ends with it, the instance's log does not.
    done(&client, client.service_delete(&web).await).await;
    until("the end of the service in the log", || async {
        let said = lines(&raw, "/admin/logs").await.iter().any(|line| line.contains("delete service `web`"));
        if said { Ok(()) } else { Err("not yet") }
    })
    .await;
    let of_one = lines(&raw, &format!("/environment/{one}/logs")).await;
    let said = format!("audit: admin: service_delete service `{web}` (202)");
    assert!(of_one.iter().any(|line| line.contains(&said)), "of what is gone too: {of_one:#?}");
}

/// Who may see an environment sees who did what to it, those included who were refused; where they came from is for admins.
#[tokio::test]
async fn a_reader_sees_who_did_what_but_not_from_where() {
    let mut teams = Teams::full().await;
    teams.app.leftovers_allowed();
    let (service, environment) = (teams.filled("/service/{service}"), teams.filled("/environment/{environment}"));
    teams.as_("reader").patch(&service, &json!({"scale": 5})).await.expect(403);
    teams.as_("stranger").patch(&service, &json!({"scale": 6})).await.expect(404);
    teams.as_("writer").patch(&service, &json!({"scale": 3})).await.expect(202);
    let seen = lines(&teams.as_("reader"), &format!("{environment}/logs")).await;
    for (who, status) in [("reader", 403), ("stranger", 404), ("writer", 202)] {
        let said = format!("audit: {who}: service_update {} ({status})", teams.filled("service `{service}`"));
        assert!(seen.iter().any(|line| line.contains(&said)), "{said}: {seen:#?}");
    }
    assert!(!seen.iter().any(|line| line.contains("127.0.0.1")), "{seen:#?}");
    let all = lines(&teams.raw, "/admin/logs").await;
    assert!(all.iter().any(|line| line.contains("audit: writer from 127.0.0.1: service_update")), "{all:#?}");
}

/// Whatever is wrong with the platform's records takes nothing from the rest of the log, and is said in one line.
#[tokio::test]
async fn what_the_platform_does_not_tell_hides_nothing() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let id = environment(&app.client(), "dev").await;
    let path = format!("/environment/{id}/logs");
    let whole = lines(&raw, &path).await;
    let why = "CloudTrail could not be read: access denied to cloudtrail:LookupEvents".to_owned();
    app.fake().set_trail_gap(Some(TrailGap::Unreadable { why: why.clone() }));
    let told = lines(&raw, &path).await;
    assert_eq!(told[0], format!("[layer0: {why}]"));
    assert_eq!(told[1..], whole);
    app.fake().set_trail_gap(None);
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::Failed, Fault::Hang] {
        app.fake().fail_next(Op::Trail, fault.clone());
        let told = lines(&raw, &path).await;
        assert!(
            told[0].starts_with("[layer0: what the platform wrote down could not be read: "),
            "{fault:?}: {told:#?}"
        );
        assert_eq!(told[1..], whole);
    }
    assert_eq!(lines(&raw, &path).await, whole);
}

/// Who follows gets what there is, then what comes, each once and from all sources, to the end of the environment.
#[tokio::test]
async fn a_followed_log_goes_on_to_the_end_of_its_environment() {
    let app = TestApp::start().await;
    let (client, raw) = (app.client(), Raw::of(&app));
    let id = environment(&client, "dev").await;
    let before = lines(&raw, &format!("/environment/{id}/logs")).await;
    let query = wire::LogQuery::default();
    let mut stream = client.log_follow("environment", &id, &query).await.expect("a stream");
    let mut instance =
        client.admin_log_follow(&wire::LogQuery { tail: Some("1".to_owned()), ..query }).await.expect("a stream");
    let mut got = Vec::new();
    ends("what there is", async {
        while got.len() < before.len() {
            got.push(stream.next().await.expect("it goes on").expect("a line").line);
        }
    })
    .await;
    assert_eq!(got, before);

    let made = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &id, &made, 1).await;
    // Later than any clock shows: it is not too old for a follower.
    app.fake().trail_write(about(&id), record(1, Timestamp(9_999_999_999_000), None));
    ends("a record of the platform", async {
        while !got.iter().any(|line| line.contains("cloudtrail: ")) {
            got.push(stream.next().await.expect("it goes on").expect("a line").line);
        }
    })
    .await;
    done(&client, client.service_delete(&web).await).await;
    done(&client, client.environment_delete(&id).await).await;
    ends("the end of the log", async {
        while let Some(line) = stream.next().await {
            got.push(line.expect("a line").line);
        }
    })
    .await;
    for said in
        ["service_create", "create service `web`", "delete service `web`", "environment_delete", "delete environment"]
    {
        assert!(got.iter().any(|line| line.contains(said)), "{said}: {got:#?}");
    }
    for once in ["service_create", "environment_create", "cloudtrail: "] {
        assert_eq!(got.iter().filter(|line| line.contains(once)).count(), 1, "{once}: {got:#?}");
    }
    // The instance's log had it too, and goes on.
    ends("the instance's log", async {
        loop {
            let line = instance.next().await.expect("it goes on").expect("a line").line;
            if line.contains("audit: admin from 127.0.0.1: environment_delete") {
                break;
            }
        }
    })
    .await;
}
