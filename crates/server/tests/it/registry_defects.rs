//! The defects of the predecessor's registry front, each shown to be gone by a test that has its number in its name.
//! `docs/registry-defects.md` has the list: what was wrong, the test, and why some have none here.

use layer0_domain::model::image::RepositoryName;
use layer0_engine::fake::{FakePolicies, PolicyFault, PolicyOp};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::until::until_true;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{MANIFEST, Raw, basic};
use crate::teams::Teams;

const ACCOUNT: &str = "123456789012";

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a legal name")
}

/// An instance whose repositories have policies.
async fn app(policies: &FakePolicies, repositories: &[&str]) -> (TestApp, Raw) {
    repositories.iter().for_each(|text| policies.repository_make(&name(text)));
    let app = TestApp::with(TestOptions { policies: Some(policies.clone()), ..TestOptions::default() }).await;
    let raw = Raw::of(&app);
    (app, raw)
}

async fn grant(raw: &Raw, account: &str) {
    raw.post("/account", &json!({"account": account})).await.expect(202);
}

/// Waits until the grants say so.
async fn settled(raw: &Raw, number: usize) {
    until_true("all grants to be carried out", || async {
        // An empty list is left out.
        let grants = raw.get("/account").await.expect(200).json()["grants"].as_array().cloned().unwrap_or_default();
        grants.len() == number && grants.iter().all(|it| it["state"] == "settled" && it["wish"] == "hold")
    })
    .await;
}

/// The policy of a repository, read.
fn policy(policies: &FakePolicies, repository: &str) -> Value {
    serde_json::from_str(&policies.policy(&name(repository)).expect("there is a policy")).expect("JSON")
}

fn statements(document: &Value) -> Vec<Value> {
    document["Statement"].as_array().expect("a list of statements").clone()
}

#[tokio::test]
async fn defect_01_the_effect_is_written_as_aws_reads_it() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/app"]).await;
    grant(&raw, ACCOUNT).await;
    settled(&raw, 1).await;
    let all = statements(&policy(&policies, "team/app"));
    assert!(!all.is_empty() && all.iter().all(|it| it["Effect"] == "Allow"), "{all:?}");
}

#[tokio::test]
async fn defect_02_a_new_policy_has_a_version() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/app"]).await;
    grant(&raw, ACCOUNT).await;
    settled(&raw, 1).await;
    assert_eq!(policy(&policies, "team/app")["Version"], "2012-10-17");
}

#[tokio::test]
async fn defect_03_revoking_the_last_account_deletes_the_document() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/app"]).await;
    grant(&raw, ACCOUNT).await;
    settled(&raw, 1).await;
    let writes = policies.calls(PolicyOp::Write);
    raw.delete(&format!("/account/{ACCOUNT}")).await.expect(202);
    settled(&raw, 0).await;
    assert_eq!(policies.policy(&name("team/app")), None);
    assert_eq!(
        (policies.calls(PolicyOp::Delete), policies.calls(PolicyOp::Write)),
        (1, writes),
        "deleted, not emptied"
    );
}

#[tokio::test]
async fn defect_04_a_policy_edited_by_hand_stays_and_blocks_nothing() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/app", "team/web"]).await;
    let by_hand = json!([
        {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage",
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": ["o-a1b2c3d4e5"]}}},
        {"Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::999988887777:root"]}, "Action": ["ecr:*"]},
    ]);
    let text = json!({"Version": "2012-10-17", "Statement": by_hand}).to_string();
    policies.policy_edit(&name("team/app"), Some(&text));
    grant(&raw, ACCOUNT).await;
    settled(&raw, 1).await;
    let kept = |all: &[Value]| by_hand.as_array().expect("a list").iter().all(|it| all.contains(it));
    let (app, web) = (statements(&policy(&policies, "team/app")), statements(&policy(&policies, "team/web")));
    assert!(kept(&app) && app.len() == web.len() + 2, "{app:?}");
    raw.delete(&format!("/account/{ACCOUNT}")).await.expect(202);
    settled(&raw, 0).await;
    assert_eq!(statements(&policy(&policies, "team/app")), *by_hand.as_array().expect("a list"));
}

#[tokio::test]
async fn defect_05_a_grant_that_fails_half_way_is_known_and_gone_on_with() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/a", "team/b", "team/c", "team/d"]).await;
    policies.fail_after(PolicyOp::Write, 1, PolicyFault::Throttled);
    policies.fail_after(PolicyOp::Write, 2, PolicyFault::AnswerLost);
    policies.fail_after(PolicyOp::Write, 3, PolicyFault::Unavailable);
    // Known before anything is written, and two at once lose neither.
    let other = "210987654321";
    tokio::join!(grant(&raw, ACCOUNT), grant(&raw, other));
    assert_eq!(raw.get("/account").await.expect(200).json()["accounts"], json!([ACCOUNT, other]));
    settled(&raw, 2).await;
    for repository in ["team/a", "team/b", "team/c", "team/d"] {
        let text = policies.policy(&name(repository)).expect("there is a policy");
        assert!(text.contains(ACCOUNT) && text.contains(other), "{repository}: {text}");
    }
}

#[tokio::test]
async fn defect_07_a_list_of_accounts_is_whole() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &[]).await;
    let all: Vec<String> = (0..150).map(|number| format!("1111{number:08}")).collect();
    for account in &all {
        grant(&raw, account).await;
    }
    assert_eq!(raw.get("/account").await.expect(200).json()["accounts"], json!(all));
}

#[tokio::test]
async fn defect_08_what_is_no_account_is_refused() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &["team/app"]).await;
    for bad in
        ["", "*", "12345678901", "1234567890123", "12345678901a", "arn:aws:iam::123456789012:root", "١٢٣٤٥٦٧٨٩٠١٢"]
    {
        raw.post("/account", &json!({"account": bad})).await.error(422);
    }
    settled(&raw, 0).await;
}

#[tokio::test]
async fn defect_09_no_token_is_made_twice() {
    let mut app = TestApp::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let raw = Raw::of(&app);
        for number in 0..20 {
            let made = raw.post("/token", &json!({"name": format!("t{number}")})).await.expect(201).json();
            let secret = made["secret"].as_str().expect("a secret").to_owned();
            // 256 bits in letters and digits of 5 bits each.
            assert_eq!(secret.strip_prefix("l0_").map(str::len), Some(52));
            assert!(seen.insert(secret), "after a restart as well");
        }
        app.restart().await;
    }
}

#[tokio::test]
async fn defect_10_a_token_is_kept_as_a_hash_ends_and_keeps_its_user() {
    let teams = Teams::empty().await;
    let writer = teams.as_("writer");
    let made = writer.post("/token", &json!({"name": "mine"})).await.expect(201).json();
    let secret = made["secret"].as_str().expect("a secret");
    assert_eq!(made["expires"], "2024-03-31T00:00:00.000Z", "90 days, when nothing is said");
    // Made with a token, and the user's all the same.
    let with_it = teams.raw.as_(Some(&basic("writer", secret)));
    let second = with_it.post("/token", &json!({"name": "second"})).await.expect(201).json();
    assert_eq!(second["user"], "writer");
    let mut folders = vec![teams.app.data_dir().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => {
                    let bytes = std::fs::read(&entry).expect("a file");
                    files += 1;
                    let kept = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!kept, "{}", entry.display());
                }
            }
        }
    }
    assert!(files > 0);
    teams.clock.advance_ms(90 * 24 * 60 * 60 * 1000);
    with_it.get("/whoami").await.error(401);
}

#[tokio::test]
async fn defect_11_who_signed_in_may_not_everything() {
    let teams = Teams::full().await;
    let stranger = teams.as_("stranger");
    let image = format!("{{\"schemaVersion\": 2, \"mediaType\": \"{MANIFEST}\"}}");
    let push = stranger.send(Method::PUT, "/v2/team/app/manifests/1", &[("content-type", MANIFEST)], image).await;
    push.expect(403);
    for (method, path, body) in [
        (Method::POST, "/repository/team", json!({"name": "more"})),
        (Method::DELETE, "/repository/team/app?force=true", json!({})),
        (Method::DELETE, "/repository/team/app/image/1", json!({})),
        (Method::DELETE, "/token/{robot}", json!({})),
        (Method::POST, "/account", json!({"account": ACCOUNT})),
    ] {
        let answer = stranger.send(method, &teams.filled(path), &[], body.to_string()).await;
        assert!([403, 404].contains(&answer.status), "{path}: {}", answer.text());
    }
    teams.raw.get("/repository/team/app/image/1").await.expect(200);
}

#[tokio::test]
async fn defect_12_name_and_password_are_not_read_as_one_text() {
    let teams = Teams::empty().await;
    for user in ["ab", "abc"] {
        teams.raw.post("/user", &json!({"user_name": user, "password": "c0rrect horse"})).await.expect(201);
    }
    let by = async |user: &str, password: &str| teams.raw.as_(Some(&basic(user, password))).get("/whoami").await;
    by("ab", "c0rrect horse").await.expect(200);
    for (user, password) in [("abc", "0rrect horse"), ("a", "bc0rrect horse"), ("abc0", "rrect horse")] {
        by(user, password).await.error(401);
    }
    by("abc", "c0rrect horse").await.expect(200);
}

#[tokio::test]
async fn defect_13_a_password_that_was_wrong_is_right_once_it_is_set() {
    let teams = Teams::empty().await;
    teams.raw.post("/user", &json!({"user_name": "early", "password": "another horse"})).await.expect(201);
    let by = teams.raw.as_(Some(&basic("early", "correct horse")));
    by.get("/whoami").await.error(401);
    by.get("/v2/").await.expect(401);
    teams.raw.patch("/user/early", &json!({"password": "correct horse"})).await.expect(200);
    by.get("/whoami").await.expect(200);
    by.get("/v2/").await.expect(200);
}

#[tokio::test]
async fn defect_14_what_was_taken_away_opens_nothing_from_then_on() {
    let teams = Teams::empty().await;
    teams.raw.post("/user", &json!({"user_name": "dora", "password": "correct horse"})).await.expect(201);
    let by = teams.raw.as_(Some(&basic("dora", "correct horse")));
    let made = by.post("/token", &json!({"name": "t"})).await.expect(201).json();
    let token = teams.raw.as_(Some(&format!("Basic {}", made["token"].as_str().expect("a token"))));
    token.get("/v2/").await.expect(200);
    teams.raw.delete(&format!("/token/{}", made["token_id"].as_str().expect("an id"))).await.expect(200);
    token.get("/v2/").await.expect(401);
    by.get("/v2/").await.expect(200);
    teams.raw.patch("/user/dora", &json!({"password": "battery staple"})).await.expect(200);
    by.get("/v2/").await.expect(401);
}

#[tokio::test]
async fn defect_15_an_empty_name_or_password_is_wrong_and_no_failure() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for (user, password) in [("", ""), ("", "secret"), ("admin", ""), ("nobody", "")] {
        for path in ["/whoami", "/v2/", "/auth/token?scope=repository:team/app:pull"] {
            raw.as_(Some(&basic(user, password))).get(path).await.expect(401);
        }
    }
    // First sign-ins wait for one another no longer than their passwords take.
    raw.get("/whoami").await.expect(200);
}

#[tokio::test]
async fn defect_18_a_path_that_is_none_is_not_there() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for path in ["/nothing", "/repositories", "/v1/search", "/repository/team/app/images/1/more/of/it"] {
        raw.get(path).await.expect(404);
    }
    for path in ["/v2/team/app/nothing/1", "/v2/team/app", "/v2/_nothing"] {
        let answer = raw.get(path).await.expect(404);
        assert!(answer.json()["errors"][0]["code"].is_string(), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn defect_19_what_is_done_is_not_said_to_be_under_way() {
    let policies = FakePolicies::new();
    let (_app, raw) = app(&policies, &[]).await;
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.get("/repository/team/app").await.expect(200);
    raw.post("/token", &json!({})).await.expect(201);
    // What is said to be under way is, and can be followed.
    let asked = raw.post("/account", &json!({"account": ACCOUNT})).await.expect(202).json();
    assert_eq!(asked["account"], ACCOUNT);
    let end = raw.get(&format!("/account/events?account={ACCOUNT}")).await.expect(200);
    assert!(end.text().contains("event: end"), "{}", end.text());
    let document: Value = serde_json::from_str(&layer0_server::openapi_json()).expect("JSON");
    for (path, item) in document["paths"].as_object().expect("an object") {
        for (method, operation) in item.as_object().expect("an object") {
            let empty = &operation["responses"]["204"];
            assert!(empty["content"].is_null(), "{method} {path}: 204 has no body");
        }
    }
}

#[tokio::test]
async fn defect_21_there_is_a_health_route_a_bound_on_guesses_and_an_audit_log() {
    let teams = Teams::empty().await;
    teams.as_("anonymous").get("/health").await.expect(200);
    teams.raw.post("/user", &json!({"user_name": "target", "password": "correct horse"})).await.expect(201);
    let guess = teams.raw.as_(Some(&basic("target", "a wrong guess")));
    for _ in 0..10 {
        guess.get("/whoami").await.error(401);
    }
    guess.get("/whoami").await.error(429);
    let audit = teams.raw.get("/admin/audit?limit=100").await.expect(200).text();
    assert!(audit.contains("user_create") && audit.contains("sign_in") && !audit.contains("guess"), "{audit}");
}

#[tokio::test]
async fn defect_23_a_name_may_have_more_than_two_levels() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "part/of/it"})).await.expect(201);
    raw.push("team/part/of/it", "1", "amd64", "x").await;
    raw.get("/v2/team/part/of/it/manifests/1").await.expect(200);
    raw.get("/repository/team/part/of/it/image/1").await.expect(200);
    assert_eq!(raw.get("/repository").await.expect(200).json(), json!({"repositories": ["team/part/of/it"]}));
}

/// The list in `docs` has each of the 23 once, and the tests that it names are there.
#[test]
fn the_list_names_each_defect_and_only_tests_that_are_there() {
    let list = include_str!("../../../../docs/registry-defects.md");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let rows: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=23).collect::<Vec<_>>());
    for row in &rows {
        let [number, wrong, shown] = row[..] else { panic!("three columns: {row:?}") };
        assert!(!wrong.is_empty());
        let Some((test, file)) = shown.strip_prefix('`').and_then(|rest| rest.split_once("`, `")) else {
            assert!(shown.starts_with("Not in code: "), "{number}: a test and its file, or why there is none: {shown}");
            continue;
        };
        let file = file.split('`').next().expect("a path");
        let text = std::fs::read_to_string(format!("{root}/{file}")).unwrap_or_else(|why| panic!("{file}: {why}"));
        assert!(text.contains(&format!("fn {test}()")), "{file} has no {test}");
        assert!(test.starts_with(&format!("defect_{:02}_", number.parse::<u8>().expect("a number"))), "{test}");
    }
    let here = include_str!("registry_defects.rs");
    for test in here.split("fn ").filter_map(|rest| rest.split_once("()")).map(|(test, _)| test) {
        assert!(!test.starts_with("defect_") || list.contains(test), "{test} is in no row");
    }
}
