//! Servers as a stack of `l0 setup` has them: several on one table, the first token from outside, versions that follow each other.

use serde_json::json;

use crate::cloud::flags;
use crate::common::http::{self, Connection};
use crate::common::instance::Instance;
use crate::common::run::{run, signal};
use crate::common::until::until;
use crate::emulator::json_call;

/// What Secrets Manager makes with `PasswordLength` 43 and `ExcludePunctuation`.
const MADE: &str = "b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6";

/// A token's secret in the API's form.
fn basic(secret: &str) -> String {
    let said = run(std::process::Command::new("base64").arg("--wrap=0"), format!("admin:{secret}").as_bytes()).ok();
    said.out.trim().to_owned()
}

/// Servers of one instance on a table of their own, told by their environment alone, as in a container. None runs yet.
fn servers(count: usize) -> Vec<Instance> {
    let mut all: Vec<Instance> = (0..count).map(|_| Instance::prepared(&[])).collect();
    let name = all[0].name.clone();
    let flags = flags(&format!("layer0-{name}"));
    for server in &mut all {
        for pair in flags.chunks(2) {
            let variable = pair[0].trim_start_matches("--").replace('-', "_").to_uppercase();
            server.variable_set(&format!("LAYER0_{variable}"), &pair[1]);
        }
        server.flags_add(&["--instance".to_owned(), name.clone()]);
        server.variable_set("LAYER0_ADMIN_TOKEN", MADE);
        server.variable_set("LAYER0_TRUSTED_PROXY", "true");
    }
    all
}

fn all_start(servers: &mut [Instance], token: &str) {
    std::thread::scope(|scope| {
        for server in servers {
            scope.spawn(move || server.server_start_with(token));
        }
    });
}

fn status(server: &Instance, authorization: &str) -> u16 {
    let headers = format!("Authorization: {authorization}\r\nConnection: close\r\n");
    let asked = Connection::open(&server.address());
    asked.and_then(|mut it| it.request("GET", "/environment", &headers, b"")).expect("an answer").status
}

/// All start at once on a table that isn't there: one first token, which opens everywhere; and revoked it stays.
#[test]
fn servers_that_start_at_once_have_one_first_token() {
    let token = basic(&format!("l0_{MADE}"));
    let mut all = servers(4);
    all_start(&mut all, &token);
    for server in &all {
        assert_eq!(
            (status(server, &format!("Basic {token}")), status(server, &format!("Bearer l0_{MADE}"))),
            (200, 200)
        );
        let known = server.json(&["token", "list"]);
        assert_eq!(known.as_array().map(Vec::len), Some(1), "{known}");
    }

    let another = all[0].one(&["token", "create", "laptop"])["token"].as_str().expect("a token").to_owned();
    let first = all[0].json(&["token", "list"])[0]["token_id"].as_str().expect("an id").to_owned();
    all[0].l0(&["token", "revoke", &first]).ok();
    for server in &mut all {
        server.server_kill();
    }
    all_start(&mut all, &another);
    for server in &all {
        assert_eq!(status(server, &format!("Bearer l0_{MADE}")), 401, "it does not come back");
        assert_eq!(server.json(&["token", "list"]).as_array().map(Vec::len), Some(1));
        let log = server.log();
        assert!(!log.contains(MADE) && !log.contains(&token) && !log.contains("admin token  "), "{log}");
        assert!(!server.data().join("admin-token").exists());
    }
}

/// A load balancer's look: which version, whether the store answers, and that a server is about to go.
#[test]
fn a_load_balancer_learns_what_it_must() {
    let token = basic(&format!("l0_{MADE}"));
    let mut all = servers(2);
    for server in &mut all {
        server.variable_set("LAYER0_STOP_DELAY", "600");
    }
    all_start(&mut all, &token);
    let health = |server: &Instance| http::get(&server.address(), "/health").expect("an answer");
    assert_eq!((health(&all[0]).status, health(&all[0]).header("store")), (200, Some("ok")));
    assert_eq!(health(&all[0]).header("version"), Some(env!("CARGO_PKG_VERSION")));
    let (leaving, stays) = all.split_at_mut(1);
    signal(leaving[0].server_id(), "TERM");
    until("it to say so", || {
        let answer = health(&leaving[0]);
        if answer.status == 503 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    // What comes meanwhile is still done, by either.
    leaving[0].l0(&["owner", "create", "team"]).ok();
    assert_eq!(health(&stays[0]).status, 200);
    leaving[0].server_stop();
    stays[0].l0(&["owner", "get", "team"]).ok();
}

/// A newer version has changed the table: a server of this one ends itself, in words, and does not start again on it.
#[test]
fn a_server_leaves_a_table_that_is_for_newer_versions() {
    let token = basic(&format!("l0_{MADE}"));
    let mut all = servers(2);
    all_start(&mut all, &token);
    let table = format!("layer0-{}", all[0].name);
    let item = json!({
        "p": { "S": "layout" }, "s": { "S": "it" },
        "layout": { "N": "9" }, "needs": { "N": "9" }, "by": { "S": "9.1.0" },
    });
    json_call("dynamodb", "DynamoDB_20120810.PutItem", &json!({ "TableName": table, "Item": item }));
    for server in &mut all {
        assert_eq!(server.server_ended(), Some(1), "{}", server.log());
        let log = server.log();
        assert!(log.contains("layout 9 of Layer0 9.1.0") && log.contains("start Layer0 9.1.0 or newer"), "{log}");
        server.server_spawn();
        assert_eq!(server.server_ended(), Some(1), "{}", server.log());
        assert!(server.log().contains("can't be worked with by this version"), "{}", server.log());
    }
}
