//! Account grants through the front door, on the fake registry's policies.

use std::time::Duration;

use futures_util::StreamExt as _;
use layer0_api::client::{Client, GrantFollowed};
use layer0_api::types::{AccountGrant, AccountQuery, GrantAccountRequest};
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_engine::fake::{FakePolicies, PolicyFault, PolicyOp};
use layer0_server::testing::{TestApp, TestGrants, TestOptions};
use layer0_testkit::until::until_true;
use serde_json::json;

use crate::support::{Raw, basic};

const ACCOUNT: &str = "123456789012";

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal name")
}

/// An instance with ECR in which these repositories are, and the owners `team` and `other`.
async fn app(policies: &FakePolicies, repositories: &[&str], grants: TestGrants) -> TestApp {
    repositories.iter().for_each(|text| policies.repository_make(&name(text)));
    let options = TestOptions { policies: Some(policies.clone()), grants, ..TestOptions::default() };
    let app = TestApp::with(options).await;
    for owner in ["team", "other"] {
        Raw::of(&app).post("/owner", &json!({"owner_name": owner})).await.expect(201);
    }
    app
}

/// Looks at all policies so rarely that no test sees it.
const RARELY: TestGrants = TestGrants::Mended { every: Duration::from_secs(3600) };

fn query(account: &str, owner: &str, repository: &str) -> AccountQuery {
    let [account, owner, repository] = [account, owner, repository].map(str::to_owned);
    AccountQuery { account, owner, repository, ..AccountQuery::default() }
}

fn request(account: &str, owner: &str, repository: &str) -> GrantAccountRequest {
    let [account, owner, repository] = [account, owner, repository].map(str::to_owned);
    GrantAccountRequest { account, owner, repository }
}

/// The end of a grant; `None` when it is gone.
async fn end(client: &Client, query: &AccountQuery) -> Option<AccountGrant> {
    let mut events = match client.account_follow(query).await {
        Ok(events) => events,
        Err(why) if why.code() == Some("GrantDoesNotExist") => return None,
        Err(why) => panic!("{why}"),
    };
    while let Some(event) = events.next().await {
        match event.expect("the stream holds") {
            GrantFollowed::Progress(_) => {}
            GrantFollowed::End(end) => return Some(end).filter(|end| end.state != "taken_back"),
        }
    }
    panic!("the stream ended without an end");
}

async fn granted(client: &Client, account: &str, owner: &str, repository: &str) -> AccountGrant {
    client.account_grant(&request(account, owner, repository)).await.expect("it is taken");
    end(client, &query(account, owner, repository)).await.expect("it is there")
}

fn lets_in(policies: &FakePolicies, account: &str, repository: &str) -> bool {
    policies.policy(&name(repository)).is_some_and(|text| text.contains(account))
}

#[tokio::test]
async fn a_grant_is_asked_for_shown_planned_and_taken_back() {
    let policies = FakePolicies::new();
    let app = app(&policies, &["team/app", "team/web", "other/app"], RARELY).await;
    let (client, raw) = (app.client(), Raw::of(&app));
    let plan = client.account_plan(&query(ACCOUNT, "team", "")).await.expect("an answer");
    assert_eq!(plan.repositories, 2);
    assert!(plan.documents.iter().all(|it| it.change == "write" && it.text.contains(ACCOUNT)), "{plan:?}");
    assert_eq!(policies.calls(PolicyOp::Write), 0, "a plan writes nothing");

    let asked = raw.post("/account", &json!({"account": ACCOUNT})).await.expect(202).json();
    assert_eq!((asked["account"].as_str(), asked["wish"].as_str()), (Some(ACCOUNT), Some("hold")));
    let settled = end(&client, &query(ACCOUNT, "", "")).await.expect("it is there");
    assert_eq!((settled.state.as_str(), settled.right, settled.repositories), ("settled", 3, 3), "{settled:?}");
    assert_eq!(settled.progress, "true on 3 repositories");
    assert!(["team/app", "team/web", "other/app"].iter().all(|it| lets_in(&policies, ACCOUNT, it)));
    let team = granted(&client, "org:o-a1b2c3d4e5", "team", "").await;
    assert_eq!((team.owner.as_str(), team.repositories), ("team", 2));
    let unit = granted(&client, "ou:o-a1b2c3d4e5/ou-ab12-11111111", "", "team/app").await;
    assert_eq!((unit.repository.as_str(), unit.repositories), ("team/app", 1));

    // Twice is once; the list is the contract's, with more beside.
    let writes = policies.calls(PolicyOp::Write);
    assert_eq!(client.account_grant(&request(ACCOUNT, "", "")).await.expect("it is there").state, "settled");
    let list = client.account_list().await.expect("an answer");
    assert_eq!((list.accounts, list.grants.len()), (vec![ACCOUNT.to_owned()], 3));
    let plan = client.account_plan(&AccountQuery { revoke: "true".to_owned(), ..query(ACCOUNT, "", "") }).await;
    let changes: Vec<String> = plan.expect("an answer").documents.into_iter().map(|it| it.change).collect();
    assert_eq!(changes, ["delete", "write", "write"], "only other/app has nothing else");
    assert_eq!(policies.calls(PolicyOp::Write), writes);

    for (who, owner, repository) in
        [(ACCOUNT, "", ""), ("org:o-a1b2c3d4e5", "team", ""), ("ou:o-a1b2c3d4e5/ou-ab12-11111111", "", "team/app")]
    {
        let query = query(who, owner, repository);
        assert_eq!(client.account_revoke(&query).await.expect("it is there").wish, "take_back");
        assert_eq!(end(&client, &query).await, None);
        let again = client.account_revoke(&query).await.expect_err("it is gone");
        assert_eq!(again.code(), Some("GrantDoesNotExist"));
    }
    assert!(["team/app", "team/web", "other/app"].iter().all(|it| policies.policy(&name(it)).is_none()));
    let audit = raw.get("/admin/audit?tail=100").await.expect(200).text();
    assert!(audit.contains("account_grant") && audit.contains("account_revoke"), "{audit}");
    assert!(audit.contains("123456789012@*") && audit.contains("org:o-a1b2c3d4e5@team/*"), "{audit}");
}

#[tokio::test]
async fn what_is_no_grant_is_refused_with_words() {
    let app = app(&FakePolicies::new(), &[], RARELY).await;
    let raw = Raw::of(&app);
    for (body, says) in [
        (json!({}), "account is a required field"),
        (json!({"account": "12345"}), "12 digits"),
        (json!({"account": "org:x"}), "no organization"),
        (json!({"account": ACCOUNT, "owner": "Team!"}), "Team!"),
        (json!({"account": ACCOUNT, "repository": "app"}), "owner/name"),
        (json!({"account": ACCOUNT, "owner": "other", "repository": "team/app"}), "none of other's"),
    ] {
        let error = raw.post("/account", &body).await.error(422);
        assert!(error.message.contains(says), "{body}: {error:?}");
    }
    let nobody = raw.post("/account", &json!({"account": ACCOUNT, "owner": "nobody"})).await.error(404);
    assert_eq!(nobody.error_code, "OwnerDoesNotExist");
    raw.delete(&format!("/account/{ACCOUNT}")).await.error(404);
    raw.get(&format!("/account/events?account={ACCOUNT}")).await.error(404);
}

/// Admins decide about everything, maintainers about what their owner has; each sees what concerns what one sees.
#[tokio::test]
async fn maintainers_decide_about_what_their_owner_has() {
    let policies = FakePolicies::new();
    let app = app(&policies, &["team/app", "other/app"], RARELY).await;
    let raw = Raw::of(&app);
    let mut callers = Vec::new();
    for (user, owner, role) in
        [("mara", "team", "maintainer"), ("will", "team", "writer"), ("otto", "other", "maintainer")]
    {
        raw.post("/user", &json!({"user_name": user})).await.expect(201);
        raw.put(&format!("/owner/{owner}/member/{user}"), &json!({"role": role})).await.expect(200);
        let made = raw.post("/token", &json!({"name": user, "user": user})).await.expect(201).json();
        callers.push(raw.as_(Some(&basic(user, made["secret"].as_str().expect("a secret")))));
    }
    let [mara, will, otto] = &callers[..] else { panic!("three") };
    for body in [json!({"account": ACCOUNT, "owner": "team"}), json!({"account": ACCOUNT, "repository": "team/app"})] {
        for denied in [will, otto] {
            denied.post("/account", &body).await.error(403);
        }
        mara.post("/account", &body).await.expect(202);
    }
    for denied in [mara, will, otto] {
        denied.post("/account", &json!({"account": ACCOUNT})).await.error(403);
        denied.delete(&format!("/account/{ACCOUNT}")).await.error(403);
        denied.get(&format!("/account/plan?account={ACCOUNT}")).await.error(403);
        denied.get("/account/plan").await.error(403);
    }
    raw.post("/account", &json!({"account": "210987654321"})).await.expect(202);
    let shown = async |who: &Raw| who.get("/account").await.expect(200).json()["grants"].as_array().map_or(0, Vec::len);
    assert_eq!((shown(mara).await, shown(will).await, shown(otto).await, shown(&raw).await), (3, 3, 1, 3));
    otto.get(&format!("/account/events?account={ACCOUNT}&owner=team")).await.error(404);
    otto.delete(&format!("/account/{ACCOUNT}?owner=team")).await.error(403);
    mara.get(&format!("/account/plan?account={ACCOUNT}&owner=team&revoke=true")).await.expect(200);
    mara.delete(&format!("/account/{ACCOUNT}?owner=team")).await.expect(202);

    // Of a grant that outlived its owner nobody would know.
    let kept = raw.delete("/owner/team").await.error(409);
    assert!(kept.message.contains("account grant"), "{kept:?}");
}

#[tokio::test]
async fn an_account_that_nobody_has_is_named_and_nothing_is_half_done() {
    let policies = FakePolicies::new();
    policies.account_forget(&AccountId::parse("999999999999").expect("digits"));
    let app = app(&policies, &["team/app", "team/web"], RARELY).await;
    let client = app.client();
    granted(&client, ACCOUNT, "", "").await;
    let before = ["team/app", "team/web"].map(|it| policies.policy(&name(it)));
    let refused = granted(&client, "999999999999", "", "").await;
    assert_eq!(refused.state, "refused");
    assert_eq!(refused.progress, "AWS knows no account 999999999999; no policy names it");
    assert_eq!(["team/app", "team/web"].map(|it| policies.policy(&name(it))), before);
    assert_eq!(client.account_list().await.expect("an answer").accounts, [ACCOUNT]);
    client.account_revoke(&query("999999999999", "", "")).await.expect("it is there");
    assert_eq!(end(&client, &query("999999999999", "", "")).await, None);
}

/// What a caller follows ends with the token, though everybody who is signed in may know of it.
#[tokio::test]
async fn a_grant_is_followed_for_as_long_as_the_token_lives() {
    let policies = FakePolicies::new();
    let app = app(&policies, &["team/app"], RARELY).await;
    let raw = Raw::of(&app);
    raw.post("/user", &json!({"user_name": "will"})).await.expect(201);
    let made = raw.post("/token", &json!({"name": "will", "user": "will"})).await.expect(201).json();
    policies.fail_next(PolicyOp::Write, PolicyFault::Hang);
    app.client().account_grant(&request(ACCOUNT, "", "")).await.expect("it is taken");
    let auth = basic("will", made["secret"].as_str().expect("a secret"));
    let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().expect("a client");
    let path = format!("{}/account/events?account={ACCOUNT}", app.endpoint());
    let answer = http.get(path).header("authorization", auth).send().await.expect("the server answers");
    assert_eq!(answer.status(), 200);
    let stream = tokio::spawn(answer.bytes());
    let id = made["token_id"].as_str().expect("an id");
    raw.delete(&format!("/token/{id}")).await.expect(200);
    let ended = tokio::time::timeout(Duration::from_secs(5), stream).await.expect("it ends at once");
    let text = ended.expect("no panic").expect("whole");
    assert!(!String::from_utf8_lossy(&text).contains("event: end"), "the grant goes on");
    policies.faults_clear();
}

/// A server that is killed in the middle: the next one goes on by itself, and everything is written.
#[tokio::test]
async fn a_server_killed_in_mid_grant_is_no_grant_lost() {
    let policies = FakePolicies::new();
    let names: Vec<String> = (0..60).map(|number| format!("team/app-{number:02}")).collect();
    let mut app = app(&policies, &names.iter().map(String::as_str).collect::<Vec<_>>(), RARELY).await;
    // From the sixth write on every call hangs: the grant is in its middle until the server goes.
    for after in 5..60 {
        policies.fail_after(PolicyOp::Write, after, PolicyFault::Hang);
    }
    app.client().account_grant(&request(ACCOUNT, "", "")).await.expect("it is taken");
    until_true("the grant to be in its middle", || async { policies.calls(PolicyOp::Write) >= 21 }).await;
    let written = names.iter().filter(|it| lets_in(&policies, ACCOUNT, it)).count();
    assert_eq!(written, 5);
    app.kill().await;
    policies.faults_clear();
    app.start_again().await;
    let settled = end(&app.client(), &query(ACCOUNT, "", "")).await.expect("it is there");
    assert_eq!((settled.state.as_str(), settled.right), ("settled", 60), "{settled:?}");
    // A server that starts looks at everything once, and finds nothing to change then: who is late is told of that.
    assert!([55, 0].contains(&settled.changed), "{settled:?}");
    assert!(names.iter().all(|it| lets_in(&policies, ACCOUNT, it)));
}

/// Edited by hand, or made elsewhere: noticed within the set time, and mended.
#[tokio::test]
async fn what_comes_undone_is_mended_in_time() {
    let policies = FakePolicies::new();
    let every = Duration::from_millis(50);
    let app = app(&policies, &["team/app"], TestGrants::Mended { every }).await;
    granted(&app.client(), ACCOUNT, "", "").await;
    policies.policy_edit(&name("team/app"), None);
    policies.repository_make(&name("other/new"));
    let both = || async { ["team/app", "other/new"].iter().all(|it| lets_in(&policies, ACCOUNT, it)) };
    until_true("both policies to be as granted", both).await;
}

#[tokio::test]
async fn an_instance_that_only_reports_leaves_what_it_finds() {
    let policies = FakePolicies::new();
    let every = Duration::from_millis(50);
    let app = app(&policies, &["team/app", "team/web"], TestGrants::Reported { every }).await;
    let client = app.client();
    assert_eq!(granted(&client, ACCOUNT, "", "").await.state, "settled", "what is asked for is carried out");
    policies.policy_edit(&name("team/app"), None);
    until_true("the difference to be reported", || async {
        let grants = client.account_list().await.expect("an answer").grants;
        grants[0].state == "incomplete" && grants[0].wrong.iter().any(|it| it.repository == "team/app")
    })
    .await;
    assert_eq!(policies.policy(&name("team/app")), None);
    // Asked for once more it is put right.
    assert_eq!(granted(&client, ACCOUNT, "", "").await.state, "settled");
    assert!(lets_in(&policies, ACCOUNT, "team/app"));
}

/// What the configuration asks for is granted at the start and taken back when it has left it; what is done by hand stays.
#[tokio::test]
async fn the_configurations_grants_come_and_go_with_it_and_hands_win() {
    const ORGANIZATION: &str = "org:o-a1b2c3d4e5";
    const OTHER: &str = "210987654321";
    let policies = FakePolicies::new();
    policies.repository_make(&name("team/app"));
    let options = TestOptions {
        policies: Some(policies.clone()),
        grants: RARELY,
        grants_to: Some("123456789012,org:o-a1b2c3d4e5"),
        ..TestOptions::default()
    };
    let mut app = TestApp::with(options).await;
    until_true("both to be let in", || async {
        lets_in(&policies, ACCOUNT, "team/app") && lets_in(&policies, "o-a1b2c3d4e5", "team/app")
    })
    .await;
    granted(&app.client(), OTHER, "", "").await;
    // By hand: it stays revoked, though the configuration still names it.
    app.client().account_revoke(&query(ORGANIZATION, "", "")).await.expect("it is there");
    assert_eq!(end(&app.client(), &query(ORGANIZATION, "", "")).await, None);
    let who = async |app: &TestApp| -> Vec<String> {
        let list = app.client().account_list().await.expect("an answer");
        list.grants.into_iter().filter(|grant| grant.wish == "hold").map(|grant| grant.account).collect()
    };
    app.stop().await;
    app.start_again().await;
    assert_eq!(granted(&app.client(), "333333333333", "", "").await.state, "settled", "the start's own come first");
    assert_eq!(who(&app).await, [ACCOUNT, OTHER, "333333333333"]);

    // Another configuration: one has left it, one is new.
    app.stop().await;
    app.grants_to(Some("444444444444"));
    app.start_again().await;
    until_true("the policies to follow", || async {
        lets_in(&policies, "444444444444", "team/app") && !lets_in(&policies, ACCOUNT, "team/app")
    })
    .await;
    assert!(lets_in(&policies, OTHER, "team/app"), "made by hand");

    // It says nothing any more: nothing changes. It says `none`: what it asked for goes.
    for (to, stays) in [(None, true), (Some(""), false)] {
        app.stop().await;
        app.grants_to(to);
        app.start_again().await;
        granted(&app.client(), if stays { "555555555555" } else { "666666666666" }, "", "").await;
        until_true("the policies to follow", || async { lets_in(&policies, "444444444444", "team/app") == stays })
            .await;
    }
    let audit = Raw::of(&app).get("/admin/audit?tail=100").await.expect(200).text();
    assert!(audit.contains("(configuration)") && audit.contains("org:o-a1b2c3d4e5@*"), "{audit}");
}
