//! Reaching the server, being refused by it, running out of time.

use insta::assert_snapshot;
use serde_json::json;

use crate::fake::{Fake, Reply, env, error, run};

fn masked(text: &str, fake: &Fake) -> String {
    text.replace(&fake.address.to_string(), "ADDRESS")
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let fake = Fake::start();
    fake.json("GET /service", json!([]));
    let ran = fake.run(&["--debug", "service", "list"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("debug: "), "{}", ran.stderr);
    assert!(!ran.text().contains("YWRtaW46aHVudGVyMg"), "{}", ran.text());
    assert_eq!(fake.requests()[0].authorization, "Basic YWRtaW46aHVudGVyMg==");
}

#[test]
fn without_a_token_nothing_is_asked() {
    let fake = Fake::start();
    let mut vars = fake.env();
    vars.remove("LAYER0_AUTH_TOKEN");
    let ran = run(&["service", "list"], &vars);
    assert_snapshot!("no_token", masked(&ran.text(), &fake));
    assert_eq!(fake.lines(), [] as [String; 0]);
}

#[test]
fn a_server_that_is_not_there_is_exit_7() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("an address");
    let address = free.to_string();
    let vars = env(&[("LAYER0_API_ENDPOINT", &format!("http://{address}")), ("LAYER0_AUTH_TOKEN", "x")]);
    let ran = run(&["service", "list"], &vars);
    assert_snapshot!("no_server", ran.text().replace(&address, "ADDRESS"));
    let ran = run(&["service", "list", "-o", "json"], &vars);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("an error in JSON");
    assert_eq!((ran.code, &error["Code"]), (7, &json!(7)));
}

#[test]
fn something_else_that_answers_is_exit_7() {
    let fake = Fake::start();
    fake.on("GET /service", [Reply::Foreign(200, "<html>")]);
    assert_eq!(fake.run(&["service", "list"]).code, 7);
    fake.on("GET /service", [Reply::Nothing]);
    assert_eq!(fake.run(&["service", "list"]).code, 7);
}

#[test]
fn an_endpoint_that_is_no_url_is_exit_2() {
    let ran = run(&["--endpoint", "ftp://localhost:9090", "--token", "x", "service", "list"], &env(&[]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("hint: an endpoint looks like http://localhost:9090/"), "{}", ran.stderr);
}

#[test]
fn refusals_keep_their_words_and_get_their_exit_code() {
    let fake = Fake::start();
    let refusal = json!({
        "error_code": "DependencyError",
        "message": "environment `dev` is in use",
        "hint": "delete what holds it first, or use -r",
        "holders": [{ "entity_type": "load_balancer", "entity_id": "lb1", "name": "web" }],
    });
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .on("DELETE /environment/dev1", [Reply::Json(409, refusal)]);
    assert_snapshot!("refused_holders", fake.run(&["environment", "delete", "dev"]).text());
    assert_snapshot!("refused_holders_json", fake.run(&["environment", "delete", "dev", "-o=json"]).text());

    let refusal =
        json!({ "error_code": "InvalidValue", "message": "2 problems", "problems": ["a is wrong", "b is missing"] });
    fake.on("DELETE /environment/dev1", [Reply::Json(422, refusal)]);
    assert_snapshot!("refused_problems", fake.run(&["environment", "delete", "dev"]).text());

    for (status, code) in [(401, 4), (403, 4), (404, 3), (413, 4), (429, 4), (500, 1), (503, 1), (507, 1)] {
        fake.on("GET /service", [error(status, "X", "no")]);
        assert_eq!(fake.run(&["service", "list"]).code, code, "{status}");
    }
    fake.on("GET /service", [error(401, "Unauthorized", "the credential opens nothing")]);
    assert!(fake.run(&["service", "list"]).stderr.contains("l0 endpoint"));
}

#[test]
fn the_timeout_bounds_the_whole_command() {
    let fake = Fake::start();
    fake.on("GET /operation/op1/events?after=0", [Reply::Open(String::new())]);
    let ran = fake.run(&["-t", "200ms", "operation", "follow", "op1"]);
    assert_snapshot!("timeout", ran.text());
    let ran = fake.run(&["operation", "follow", "op1", "-timeout=200ms", "-output=json"]);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("an error in JSON");
    assert_eq!((ran.code, &error["Code"], &error["OperationID"]), (6, &json!(6), &json!("op1")));
}

#[test]
fn a_version_that_differs_is_a_warning_and_can_be_skipped() {
    let fake = Fake::start();
    // The list is answered after the version, which a command does not wait for.
    fake.on("GET /service", [Reply::After("GET /admin/config", json!([]))]);
    let config = |version: &str| json!({ "instance": "i", "vpc_id": "", "version": version, "public_subnets": [], "private_subnets": [] });
    fake.json("GET /admin/config", config("9.9.9"));
    let mut vars = fake.env();
    vars.remove("LAYER0_SKIP_VERSION_VERIFY");
    let ran = run(&["service", "list"], &vars);
    assert_eq!(ran.code, 0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        ran.stderr,
        format!(
            "warning: API and CLI version mismatch (CLI: '{version}', API: '9.9.9')\nTo disable this warning, set LAYER0_SKIP_VERSION_VERIFY=\"1\"\n"
        )
    );
    assert_eq!(run(&["service", "list", "--skip-verify-version"], &vars).stderr, "");
    fake.json("GET /admin/config", config(version));
    assert_eq!(run(&["service", "list"], &vars).stderr, "");
    // A server that does not tell its version delays nothing and is no failure.
    fake.json("GET /service", json!([]));
    fake.on("GET /admin/config", [Reply::Open(String::new())]);
    let ran = run(&["service", "list"], &vars);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
