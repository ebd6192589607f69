//! Users, owners, members, tokens.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Ran, Reply, Stdin, env, error, run};

const SILENT: &str = "exit code 0\n--- stdout\n--- stderr\n";

fn user(name: &str, has_password: bool) -> Value {
    json!({
        "user_name": name, "admin": false, "has_password": has_password, "created_at": "2026-01-02T03:04:05Z",
        "owners": [
            { "owner_name": "team", "role": "writer", "tags": "dev-*" },
            { "owner_name": "tools", "role": "reader" },
        ],
    })
}

#[test]
fn users() {
    let fake = Fake::start();
    let bare = json!({ "user_name": "bob", "admin": true, "has_password": false, "created_at": "2026-01-02T03:04:05Z", "owners": [] });
    fake.on("POST /user", [Reply::Json(201, bare.clone())])
        .json("GET /user", json!([user("alice", true), bare]))
        .json("GET /user/alice", user("alice", true))
        .json("PATCH /user/alice", user("alice", false))
        .json("DELETE /user/alice", user("alice", true))
        .on("GET /user/carol", [error(404, "UserDoesNotExist", "user `carol` does not exist")]);
    assert_snapshot!("user_create", fake.run(&["user", "create", "bob", "--admin"]).text());
    assert_eq!(fake.body("POST /user"), json!({ "user_name": "bob", "admin": true }));
    assert_snapshot!("user_list", fake.run(&["user", "list"]).text());
    assert_eq!(fake.run(&["user", "get", "alice", "-o=json"]).json(), json!([user("alice", true)]));
    assert_eq!(fake.run(&["user", "get", "carol"]).code, 3);
    assert_eq!(fake.run(&["user", "delete", "alice"]).text(), SILENT);

    for args in [&["--admin"][..], &["--admin=false"], &["--no-password"], &["--admin=false", "--no-password"]] {
        assert_eq!(fake.run(&[&["user", "update", "alice"], args].concat()).code, 0, "{args:?}");
    }
    let bodies: Vec<Value> =
        fake.requests().into_iter().filter(|it| it.line == "PATCH /user/alice").map(|it| it.body).collect();
    assert_eq!(
        bodies,
        [
            json!({ "admin": true }),
            json!({ "admin": false }),
            json!({ "remove_password": true }),
            json!({ "admin": false, "remove_password": true }),
        ]
    );
    assert_snapshot!("user_update_nothing", fake.run(&["user", "update", "alice"]).text());
}

#[test]
fn a_password_is_read_from_standard_input_and_shown_nowhere() {
    let fake = Fake::start();
    fake.on("POST /user", [Reply::Json(201, user("alice", true))]).json("PATCH /user/alice", user("alice", true));
    let create = ["user", "create", "alice", "--password-stdin", "--debug"];
    for (stdin, password) in [
        (Stdin::Piped(b"correct horse\n"), "correct horse"),
        (Stdin::Piped(b"correct horse"), "correct horse"),
        (Stdin::Piped(b"correct horse\r\nand more\n"), "correct horse"),
        (Stdin::Typed(b" correct horse \n"), " correct horse "),
    ] {
        let ran = fake.run_with(&create, stdin);
        assert_eq!(ran.code, 0, "{}", ran.text());
        assert!(!ran.text().contains("horse"), "{}", ran.text());
        assert_eq!(ran.stderr.contains("reading the password"), matches!(stdin, Stdin::Typed(_)), "{}", ran.stderr);
        let sent = fake.requests().pop().expect("a request");
        assert_eq!(sent.body, json!({ "user_name": "alice", "password": password }));
    }
    assert_eq!(fake.run_with(&["user", "update", "alice", "--password-stdin"], Stdin::Piped(b"x\n")).code, 0);
    assert_eq!(fake.body("PATCH /user/alice"), json!({ "password": "x" }));
}

#[test]
fn without_a_password_that_was_asked_for_nothing_is_sent() {
    let fake = Fake::start();
    let update = ["user", "update", "alice", "--password-stdin"];
    assert_snapshot!("password_missing", fake.run_with(&update, Stdin::Piped(b"")).text());
    assert_eq!(fake.run_with(&update, Stdin::Piped(b"\nsecond line\n")).code, 2);
    let ran = fake.run_with(&update, Stdin::Piped(b"caf\xe9\n"));
    assert_eq!((ran.code, ran.stderr.as_str()), (2, "error: the password is not UTF-8 text\n"));
    let ran = fake.run(&["user", "update", "alice", "--no-password", "--password-stdin"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("'--no-password' cannot be used with '--password-stdin'"), "{}", ran.stderr);
    // There is no flag that takes one.
    let ran = fake.run(&["user", "create", "alice", "--password", "hunter2"]);
    assert!(ran.code == 2 && ran.stderr.contains("did you mean `--password-stdin`?"), "{}", ran.text());
    assert!(!ran.text().contains("hunter2"), "{}", ran.text());
    assert_eq!(fake.lines(), [] as [String; 0]);
}

#[test]
fn whoami_has_two_names() {
    let fake = Fake::start();
    fake.json(
        "GET /whoami",
        json!({
            "who": "alice", "kind": "user", "admin": false, "token_id": "t1", "scopes": ["pull:team/*", "push:team/app:v*", "admin:tools/*"],
            "owners": [{ "owner_name": "team", "role": "maintainer" }, { "owner_name": "tools", "role": "reader", "tags": "x*" }],
        }),
    );
    let text = || fake.run(&["whoami"]).text().replace(&fake.address.to_string(), "ADDRESS");
    assert_snapshot!("whoami", text());
    assert_eq!(fake.run(&["user", "whoami"]), fake.run(&["whoami"]));
    fake.json("GET /whoami", json!({ "who": "alice", "kind": "user", "admin": true, "owners": [] }));
    assert_snapshot!("whoami_with_password", text());
    assert_eq!(
        fake.run(&["whoami", "-o=json"]).json(),
        json!([{ "who": "alice", "kind": "user", "admin": true, "owners": [] }])
    );
}

fn owner(quota: Option<i64>) -> Value {
    let mut owner = json!({
        "owner_name": "team", "created_at": "2026-01-02T03:04:05Z", "used_bytes": 12_345_678, "repositories": 3, "immutable": [],
        "retention": [],
    });
    if let Some(quota) = quota {
        owner["quota_bytes"] = json!(quota);
    }
    owner
}

#[test]
fn owners() {
    let fake = Fake::start();
    let mut ruled = owner(None);
    ruled["immutable"] = json!([{ "repositories": "*", "tags": "v*", "except": ["v0.*"] }]);
    fake.on("POST /owner", [Reply::Json(201, owner(Some(10 << 30)))])
        .json("GET /owner", json!([owner(Some(2_000_000_000_000)), owner(None)]))
        .json("GET /owner/team", ruled.clone())
        .json("PATCH /owner/team", owner(None))
        .json("DELETE /owner/team", owner(None))
        .on("DELETE /owner/busy", [error(409, "DependencyError", "owner `busy` still has 2 repositories")]);
    assert_snapshot!("owner_create", fake.run(&["owner", "create", "team", "--quota", "10GiB"]).text());
    assert_eq!(fake.body("POST /owner"), json!({ "owner_name": "team", "quota_bytes": 10_737_418_240_i64 }));
    assert_snapshot!("owner_list", fake.run(&["owner", "list"]).text());
    assert_snapshot!("owner_get", fake.run(&["owner", "get", "team"]).text());
    assert_eq!(fake.run(&["owner", "get", "team", "-o", "json"]).json(), json!([ruled]));
    assert_eq!(fake.run(&["owner", "update", "team", "--quota=none"]).code, 0);
    assert_eq!(fake.body("PATCH /owner/team"), json!({ "remove_quota": true }));
    assert_eq!(fake.run(&["owner", "delete", "team"]).text(), SILENT);
    assert_eq!(fake.run(&["owner", "delete", "busy"]).code, 4);

    let text = |args: &[&str]| run(args, &env(&[])).text();
    assert_snapshot!("owner_bad_quota", text(&["owner", "create", "team", "--quota", "ten"]));
    assert_snapshot!("owner_quota_of_either_kind", text(&["owner", "update", "team", "--quota", "10G"]));
    assert_snapshot!("owner_update_nothing", text(&["owner", "update", "team"]));
}

#[test]
fn members() {
    let fake = Fake::start();
    let member = |user: &str, role: &str| json!({ "owner_name": "team", "user_name": user, "role": role, "since": "2026-01-02T03:04:05Z" });
    let mut bounded = member("bob", "reader");
    bounded["tags"] = json!("dev-*");
    bounded["by_group"] = json!(true);
    fake.json("PUT /owner/team/member/alice", member("alice", "writer"))
        .json("PUT /owner/team/member/bob", bounded.clone())
        .json("GET /owner/team/member", json!([member("alice", "writer"), bounded]))
        .json("DELETE /owner/team/member/alice", member("alice", "writer"))
        .on("DELETE /owner/team/member/bob", [error(404, "MemberDoesNotExist", "`team` has no such member")]);
    assert_snapshot!("member_add", fake.run(&["member", "add", "team", "alice"]).text());
    assert_eq!(fake.body("PUT /owner/team/member/alice"), json!({ "role": "writer" }));
    assert_eq!(fake.run(&["member", "add", "team", "bob", "--role", "reader", "--tags", "dev-*"]).code, 0);
    assert_eq!(fake.body("PUT /owner/team/member/bob"), json!({ "role": "reader", "tags": "dev-*" }));
    assert_snapshot!("member_list", fake.run(&["member", "list", "team"]).text());
    assert_eq!(fake.run(&["member", "remove", "team", "alice"]).text(), SILENT);
    assert_eq!(fake.run(&["member", "remove", "team", "bob"]).code, 3);
    assert_snapshot!("member_bad_role", run(&["member", "add", "team", "bob", "--role", "boss"], &env(&[])).text());
}

#[test]
fn a_refusal_says_who_may() {
    let fake = Fake::start();
    let refusal = json!({
        "error_code": "Forbidden", "message": "alice may not administer team", "hint": "a maintainer of team may",
    });
    fake.on("PUT /owner/team/member/bob", [Reply::Json(403, refusal)]);
    assert_snapshot!("forbidden", fake.run(&["member", "add", "team", "bob"]).text());
}

fn token(user: &str) -> Value {
    json!({ "token": "YTpi", "token_id": "t1", "user": user, "secret": "b", "name": "laptop", "expires": "2026-04-02T03:04:05Z" })
}

/// A run as a snapshot has it: the server's port is another each time.
fn masked(ran: &Ran, fake: &Fake) -> String {
    ran.text().replace(&fake.address.to_string(), "ADDRESS")
}

#[test]
fn tokens() {
    let fake = Fake::start();
    let summary = |id: &str, user: &str| json!({ "token_id": id, "name": "laptop", "user": user, "created": "2026-01-02T03:04:05Z", "expires": "", "last_used": "" });
    let mut robot = summary("t2", "");
    robot["name"] = json!("ci");
    robot["owner"] = json!("team");
    robot["scopes"] = json!(["pull:team/*", "push:team/app:v*"]);
    robot["expires"] = json!("2026-04-02T03:04:05Z");
    robot["last_used"] = json!("2026-01-03T04:00:00Z");
    fake.on("POST /token", [Reply::Json(201, token("admin"))])
        .json("GET /token", json!([summary("t1", "admin"), robot]))
        .json("DELETE /token/t1", summary("t1", "admin"));
    assert_snapshot!("token_create", masked(&fake.run(&["token", "create", "laptop"]), &fake));
    assert_eq!(fake.body("POST /token"), json!({ "name": "laptop" }));
    assert_snapshot!("token_list", fake.run(&["token", "list"]).text());
    assert_eq!(fake.run(&["token", "revoke", "t1"]).text(), SILENT);
    let never = fake.run(&["token", "create", "--expires-days", "0"]);
    assert!(
        never.code == 2 && never.stderr.contains("--expires-days") && never.stderr.contains("from 1 to 3650"),
        "{}",
        never.stderr
    );
    let nothing = fake.run(&["repository", "retention", "add", "team/*"]);
    assert!(nothing.code == 2 && nothing.stderr.contains("--keep-last, --keep and --untagged"), "{}", nothing.stderr);
    assert_eq!(fake.run(&["token", "create", "--never"]).code, 0);
    assert_eq!(fake.requests().pop().map(|it| it.body), Some(json!({ "expires_days": 0 })));
    assert_eq!(fake.run(&["token", "create", "--never", "--expires-days=3"]).code, 2);
}

#[test]
fn a_robots_token_has_scopes_and_a_name_of_its_own() {
    let fake = Fake::start();
    let mut made = token("team+ci");
    made["owner"] = json!("team");
    made["scopes"] = json!(["pull,push:team/*", "push:team/app:v*"]);
    fake.on("POST /token", [Reply::Json(201, made.clone())]).json("POST /token/t1/rotate", made.clone());
    let create = [
        "token",
        "create",
        "ci",
        "--owner",
        "team",
        "--scope",
        "pull,push:team/*",
        "-scope=push:team/app:v*",
        "--expires-days",
        "365",
    ];
    let ran = fake.run(&create);
    assert_snapshot!("token_create_robot", masked(&ran, &fake));
    assert_eq!(
        fake.body("POST /token"),
        json!({ "name": "ci", "expires_days": 365, "owner": "team", "scopes": ["pull,push:team/*", "push:team/app:v*"] })
    );
    assert_eq!(fake.run(&["token", "rotate", "t1"]), ran);
    assert_eq!(fake.run(&["token", "rotate", "t1", "-o=json"]).json(), json!([made]));
    assert_eq!(fake.run(&["token", "create", "--user", "alice"]).code, 0);
    assert_eq!(fake.requests().pop().map(|it| it.body), Some(json!({ "user": "alice" })));

    let text = |args: &[&str]| run(args, &env(&[])).text();
    assert_snapshot!("token_bad_scope", text(&["token", "create", "--scope", "team/app"]));
    assert_snapshot!("token_of_two", text(&["token", "create", "--owner", "team", "--user", "alice"]));
}
