//! `l0 account`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, env, error, run};

const GRANT: &str = "POST /account";
const FOLLOW: &str = "GET /account/events?account=123456789012&owner=team";
const REVOKE: &str = "DELETE /account/123456789012?account=123456789012&owner=team";

fn grant(state: &str, progress: &str, right: u64, wrong: &[(&str, &str)]) -> Value {
    json!({
        "account": "123456789012", "owner": "team", "repository": "", "wish": "hold", "state": state,
        "progress": progress, "asked": "2026-11-23T10:00:00.000Z", "looked": "2026-11-23T10:01:00.000Z",
        "repositories": 40, "right": right, "changed": 3,
        "wrong": wrong.iter().map(|(name, why)| json!({ "repository": name, "why": why })).collect::<Vec<_>>(),
    })
}

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

/// Without the times of its steps, which are the client's own.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.split_once("s  ") {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => format!("T  {rest}"),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_grant_is_followed_to_its_end() {
    let fake = Fake::start();
    let spreading = grant("spreading", "0 repositories done, 0 policies changed", 0, &[]);
    let half = grant("spreading", "20 repositories done, 3 policies changed", 20, &[]);
    let settled = grant("settled", "true on 40 repositories", 40, &[]);
    fake.on(GRANT, [Reply::Json(202, spreading.clone())]).on(
        FOLLOW,
        [Reply::Broken(frame("grant", &spreading)), Reply::Events(frame("grant", &half) + &frame("end", &settled))],
    );
    let ran = fake.run(&["account", "grant", "123456789012", "--owner", "team"]);
    assert_snapshot!("account_grant", timeless(&ran.text()));
    assert_eq!(fake.body(GRANT), json!({ "account": "123456789012", "owner": "team" }));
    let ran = fake.run(&["account", "grant", "123456789012", "--owner=team", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!([settled])));
    let ran = fake.run(&["account", "grant", "123456789012", "--owner", "team", "--no-wait"]);
    assert_snapshot!("account_grant_no_wait", ran.text());
}

#[test]
fn a_grant_that_fails_says_where_and_why() {
    let fake = Fake::start();
    let spreading = grant("spreading", "0 repositories done, 0 policies changed", 0, &[]);
    let incomplete = grant(
        "incomplete",
        "true on 39 of 40 repositories, not on 1",
        39,
        &[("team/app", "access denied to ecr:SetRepositoryPolicy")],
    );
    let refused = grant("refused", "AWS knows no account 123456789012; no policy names it", 0, &[]);
    fake.on(GRANT, [Reply::Json(202, spreading)])
        .on(FOLLOW, [Reply::Events(frame("end", &incomplete)), Reply::Events(frame("end", &refused))]);
    let args = ["account", "grant", "123456789012", "--owner", "team"];
    assert_snapshot!("account_grant_incomplete", timeless(&fake.run(&args).text()));
    assert_snapshot!("account_grant_refused", timeless(&fake.run(&args).text()));
}

#[test]
fn a_grant_is_taken_back() {
    let fake = Fake::start();
    let mut back = grant("spreading", "0 repositories done, 0 policies changed", 0, &[]);
    back["wish"] = json!("take_back");
    let mut gone = grant("taken_back", "taken back", 0, &[]);
    gone["wish"] = json!("take_back");
    fake.on(REVOKE, [Reply::Json(202, back)]).on(
        FOLLOW,
        [
            Reply::Events(frame("end", &gone)),
            // It was quicker than the question.
            error(404, "GrantDoesNotExist", "there is no grant for 123456789012 on every repository of team"),
        ],
    );
    let args = ["account", "revoke", "123456789012", "--owner", "team"];
    assert_snapshot!("account_revoke", timeless(&fake.run(&args).text()));
    assert_eq!(fake.run(&args).text(), "exit code 0\n--- stdout\n--- stderr\n");
    fake.on(
        REVOKE,
        [error(404, "GrantDoesNotExist", "there is no grant for 123456789012 on every repository of team")],
    );
    assert_eq!(fake.run(&args).code, 3);
}

#[test]
fn grants_are_listed_with_what_became_of_them() {
    let fake = Fake::start();
    let mut unit = grant("incomplete", "true on 38 of 40 repositories, not on 2", 38, &[("team/app", "access denied")]);
    unit["account"] = json!("ou:o-a1b2c3d4e5/ou-ab12-11111111");
    unit["repository"] = json!("team/app");
    let all = json!([grant("settled", "true on 40 repositories", 40, &[]), unit]);
    let strategy = json!({
        "strategy": "registry", "state": "clearing", "standing": ["repositories"], "since": "2026-11-23T10:00:00.000Z",
        "progress": "taking away what stood before the registry's policy: 40 looked at, 38 changed, 1 not as they should be; trying on",
        "wrong": [{ "repository": "team/web", "why": "access denied to ecr:DeleteRepositoryPolicy" }],
    });
    let list = json!({ "accounts": [], "grants": all, "strategy": strategy });
    fake.json("GET /account", list.clone());
    assert_snapshot!("account_list", fake.run(&["account", "list"]).text());
    assert_snapshot!("account_status", fake.run(&["account", "status"]).text());
    assert_eq!(fake.run(&["account", "status", "-o", "json"]).json(), json!([list]));
    fake.json("GET /account", json!({ "accounts": [], "grants": all }));
    assert!(!fake.run(&["account", "status"]).text().contains("strategy"));
    fake.json("GET /account", json!({ "accounts": [] }));
    assert_eq!(fake.run(&["account", "list", "-o", "json"]).json(), json!([]));
}

#[test]
fn a_plan_shows_the_policies() {
    let fake = Fake::start();
    let document = |name: &str, change: &str, text: &str, why: &str| json!({ "repository": name, "change": change, "present": "", "text": text, "why": why });
    let plan = json!({ "repositories": 12, "documents": [
        document("team/app", "write", r#"{"Version":"2012-10-17","Statement":[]}"#, ""),
        document("team/b", "keep", "", ""),
        document("team/c", "delete", "", ""),
        document("team/d", "refused", "", "the policy that is there can't be read"),
    ] });
    fake.json("GET /account/plan?account=123456789012&repository=team%2Fapp&revoke=true", plan.clone());
    let args = ["account", "plan", "123456789012", "--repository", "team/app", "--revoke"];
    assert_snapshot!("account_plan", fake.run(&args).text());
    fake.json(
        "GET /account/plan?strategy=registry",
        json!({ "repositories": 12, "documents": [
        { "repository": "", "registry": "123456789012/eu-west-1", "change": "write", "present": "", "why": "",
            "text": r#"{"Version":"2012-10-17","Statement":[]}"# },
        document("team/app", "delete", "", ""),
    ] }),
    );
    assert_snapshot!("account_plan_strategy", fake.run(&["account", "plan", "--strategy", "registry"]).text());
    fake.json("GET /account/plan", plan.clone());
    assert_eq!(fake.run(&["account", "plan", "-o", "json"]).json(), json!([plan]));
    assert_eq!(run(&["account", "plan", "--revoke"], &env(&[])).code, 2);
}

#[test]
fn an_instance_without_ecr_says_so() {
    let fake = Fake::start();
    let mut no = json!({ "error_code": "InvalidValue", "message": "this instance has no account grants: its images lie on its own disk, not in ECR" });
    no["hint"] = json!("`l0 token create` makes a token");
    fake.on(GRANT, [Reply::Json(422, no)]);
    assert_snapshot!("account_grant_without_ecr", fake.run(&["account", "grant", "123456789012"]).text());
}
