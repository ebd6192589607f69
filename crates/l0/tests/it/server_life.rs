//! Starting, holding a directory, stopping, coming back.

use std::os::unix::fs::PermissionsExt;

use crate::common::http;
use crate::common::instance::{Instance, L0};
use crate::common::run::{run, signal};
use crate::common::until::until;

#[test]
fn the_first_start_makes_a_token_and_shows_it_once() {
    let mut instance = Instance::start(&["--engine", "fake"]);
    let token = instance.credential().to_owned();
    let log = instance.log();
    assert_eq!(log.matches(&token).count(), 1, "the token is printed once:\n{log}");
    for file in [instance.data().join("admin-token"), instance.path("config").join("layer0").join("credentials.json")] {
        let mode =
            std::fs::metadata(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display())).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    // Without an environment, the file written for the local command line connects it.
    run(instance.command(L0).args(["environment", "list"]), b"").ok();
    // Without any of it, nothing is readable but the health.
    assert_eq!(http::get(&instance.address(), "/environment").expect("an answer").status, 401);
    let mut connection = http::Connection::open(&instance.address()).expect("a connection");
    for path in ["/health", "/health"] {
        assert_eq!(connection.get(path).expect("an answer").status, 200);
    }
    drop(connection);

    instance.server_stop();
    instance.server_start();
    assert_eq!(instance.credential(), token);
    assert_eq!(instance.log().matches(&token).count(), 1, "the token is printed at the first start only");
}

/// What Secrets Manager makes with `PasswordLength` 43 and `ExcludePunctuation`.
const MADE: &str = "b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6";

/// A token's secret in the API's form.
fn basic(secret: &str) -> String {
    let said = run(std::process::Command::new("base64").arg("--wrap=0"), format!("admin:{secret}").as_bytes()).ok();
    said.out.trim().to_owned()
}

fn status(instance: &Instance, authorization: &str) -> u16 {
    let headers = format!("Authorization: {authorization}\r\nConnection: close\r\n");
    let asked = http::Connection::open(&instance.address());
    asked.and_then(|mut it| it.request("GET", "/environment", &headers, b"")).expect("an answer").status
}

#[test]
fn a_first_token_from_the_environment_opens_and_is_shown_nowhere() {
    let mut instance = Instance::prepared(&["--engine", "fake", "--log", "trace"]);
    instance.variable_set("LAYER0_ADMIN_TOKEN", MADE);
    let token = basic(&format!("l0_{MADE}"));
    instance.server_start_with(&token);
    assert_eq!(status(&instance, &format!("Basic {token}")), 200);
    assert_eq!(status(&instance, &format!("Bearer l0_{MADE}")), 200);
    // The text alone is no token: it has to be told from a password.
    assert_eq!(
        (status(&instance, &format!("Basic {}", basic(MADE))), status(&instance, &format!("Bearer {MADE}"))),
        (401, 401)
    );
    let registry = http::Connection::open(&instance.address())
        .and_then(|mut it| it.request("GET", "/v2/", &format!("Authorization: Basic {token}\r\n"), b""));
    assert_eq!(registry.expect("an answer").status, 200);
    let all = instance.json(&["token", "list"]);
    let all = all.as_array().expect("a list");
    assert_eq!((all.len(), all[0]["name"].as_str()), (1, Some("first")), "{all:?}");

    // A second start, with another value: the first token stays what it was.
    instance.server_stop();
    let other = MADE.replace('b', "c");
    instance.variable_set("LAYER0_ADMIN_TOKEN", &other);
    instance.server_start_with(&token);
    assert_eq!(
        (status(&instance, &format!("Bearer l0_{MADE}")), status(&instance, &format!("Bearer l0_{other}"))),
        (200, 401)
    );

    // Another way in, and the first one is revoked: no start brings it back.
    let another = instance.one(&["token", "create", "laptop"]);
    let first = instance.json(&["token", "list"])[0]["token_id"].as_str().expect("an id").to_owned();
    instance.l0(&["token", "revoke", &first]).ok();
    for value in [MADE, other.as_str()] {
        instance.server_stop();
        instance.variable_set("LAYER0_ADMIN_TOKEN", value);
        instance.server_start_with(another["token"].as_str().expect("a token"));
        assert_eq!(status(&instance, &format!("Bearer l0_{value}")), 401);
        assert_eq!(instance.json(&["token", "list"]).as_array().map(Vec::len), Some(1));
    }

    let log = instance.log();
    for secret in [MADE, other.as_str(), token.as_str()] {
        assert!(!log.contains(secret), "the log shows a secret:\n{log}");
    }
    assert!(!log.contains("admin token  ") && log.contains("LAYER0_ADMIN_TOKEN opens nothing"), "{log}");
    let kept = [instance.data().join("admin-token"), instance.path("config").join("layer0").join("credentials.json")];
    assert!(kept.iter().all(|file| !file.exists()), "nothing is written down: {kept:?}");
}

#[test]
fn a_first_token_that_can_be_guessed_is_refused() {
    let instance = Instance::prepared(&[]);
    for (value, words) in [("changeme", "too short for 256 random bits"), (&"xyXY0".repeat(10), "not random")] {
        let mut command = instance.command(L0);
        command.args(["server", "--engine", "fake", "--listen", "127.0.0.1:0", "--data-dir"]).arg(instance.data());
        let said = run(command.env("LAYER0_ADMIN_TOKEN", value), b"").exits(2);
        said.says("LAYER0_ADMIN_TOKEN").says(words).keeps_quiet_about(value);
    }
    assert!(!instance.data().exists(), "nothing was begun");
}

/// Behind a load balancer: `SIGTERM` is said at `/health` first, and all else goes on until the delay is over, or until it is
/// said once more.
#[test]
fn a_server_that_leaves_goes_on_until_it_is_told_again() {
    let mut instance = Instance::start(&["--engine", "fake", "--stop-delay", "600", "--stop-grace", "1"]);
    signal(instance.server_id(), "TERM");
    until("it to say so", || {
        let answer = http::get(&instance.address(), "/health")?;
        if answer.status == 503 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    instance.l0(&["environment", "create", "dev"]).ok();
    instance.server_stop();
    assert!(instance.log().contains("leaving: /health says so"), "{}", instance.log());
}

/// The predecessor logged the paths of requests, and revoked a token by a path that held it.
#[test]
fn defect_20_a_token_in_a_path_is_in_no_log() {
    let instance = Instance::start(&["--engine", "fake", "--log", "debug"]);
    let made = instance.one(&["token", "create", "laptop"]);
    let token = made["token"].as_str().expect("a token");
    let revoked = instance.api("DELETE", &format!("/token/{token}"), b"").expect("an answer");
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let missing = instance.api("DELETE", &format!("/token/{token}"), b"").expect("an answer");
    assert_eq!(missing.status, 404, "{missing:?}");
    let log = instance.log();
    assert!(log.contains("DELETE /token/{id} answered 200"), "{log}");
    let audit = instance.api("GET", "/admin/audit?limit=100", b"").expect("an answer").body;
    assert!(audit.contains("token_revoke"), "{audit}");
    for (what, text) in [("the log", log), ("the audit log", audit), ("the answer", missing.body)] {
        for part in [token, made["secret"].as_str().expect("a secret")] {
            assert!(!text.contains(part), "{what}:\n{text}");
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let mut instance = Instance::start(&["--engine", "fake"]);
    for number in 0..5 {
        instance.l0(&["environment", "create", &format!("env{number}")]).ok();
        instance.l0(&["repository", "create", &format!("team/app{number}")]).ok();
        let token = instance.one(&["token", "create", &format!("token{number}")]);
        instance.server_kill();
        instance.server_start();
        assert_eq!(instance.json(&["environment", "list"]).as_array().map(Vec::len), Some(number + 1));
        instance.l0(&["repository", "get", &format!("team/app{number}")]).ok();
        instance.l0(&["--token", token["token"].as_str().expect("a token"), "environment", "list"]).ok();
    }
}

#[test]
fn a_data_directory_is_made_with_all_above_it() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("several").join("levels").join("deep");
    let mut instance = Instance::prepared(&["--engine", "fake"]).with_data(&data);
    instance.server_start();
    let token = instance.one(&["token", "create", "laptop"]);
    instance.l0(&["token", "list"]).ok().says("laptop").keeps_quiet_about(token["secret"].as_str().expect("a secret"));
    let mode = std::fs::metadata(&data).expect("the directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn configuration_is_read_strictly() {
    let instance = Instance::prepared(&[]);
    let server = |arguments: &[&str]| run(instance.command(L0).arg("server").args(arguments), b"");
    let file = instance.file("layer0.toml", "listne = \"127.0.0.1:0\"\n");
    server(&["--config", &file]).exits(2).says("listne").says("layer0.toml");
    server(&["--lisen", "127.0.0.1:0"]).exits(2).says("--listen");
    server(&["--engine", "dokcer"]).exits(2).says("dokcer").says("docker");
    server(&["--listen", "everywhere"]).exits(2).says("everywhere");
    server(&["--image-map", "a|b|c"]).exits(2).says("a|b|c");
    server(&["--help"]).ok().says("--data-dir").says("LAYER0_LISTEN");
    // A port that somebody has: told, with the port.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();
    let data = instance.path("elsewhere").display().to_string();
    let said = server(&["--engine", "fake", "--data-dir", &data, "--listen", &format!("127.0.0.1:{port}")]);
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.says(&port.to_string());
}

#[test]
fn the_log_says_who_was_refused_a_push_and_why() {
    let instance = Instance::start(&["--engine", "fake", "--create-on-push"]);
    let mut connection = http::Connection::open(&instance.address()).expect("a connection");
    let signed_in = format!("Authorization: Basic {}\r\n", instance.credential());
    let headers = format!("{signed_in}Content-Type: application/vnd.oci.image.manifest.v1+json\r\n");
    let mut put = |headers: &str, path: &str, body: &[u8]| {
        connection.request("PUT", path, headers, body).expect("an answer").status
    };
    assert_eq!(put(&headers, "/v2/team/app/manifests/v1", b"no manifest"), 400);
    // Who nobody knows leaves nothing in it.
    assert_eq!(put("", "/v2/team/other/manifests/v1", b"{}"), 401);
    let line = "admin was refused a PUT to team/app: MANIFEST_INVALID";
    until("a line in the log", || {
        let log = instance.log();
        if log.contains(line) { Ok(()) } else { Err(log) }
    });
    assert!(!instance.log().contains("team/other"), "{}", instance.log());
}

#[test]
fn a_server_that_was_stopped_leaves_its_store_in_one_file() {
    let mut instance = Instance::start(&["--engine", "fake"]);
    run(instance.command(L0).args(["environment", "create", "prod"]), b"").ok();
    let wal = instance.data().join("layer0.db-wal");
    assert!(wal.exists(), "it is written to while the server runs");
    instance.server_stop();
    assert!(!wal.exists(), "what was in it is in the database");
    assert!(instance.data().join("layer0.db").exists());
    instance.server_start();
    assert!(run(instance.command(L0).args(["environment", "list"]), b"").ok().out.contains("prod"));
}
