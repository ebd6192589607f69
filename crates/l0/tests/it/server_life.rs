//! Starting, holding a directory, stopping, coming back.

use std::os::unix::fs::PermissionsExt;

use crate::common::http;
use crate::common::instance::{Instance, L0};
use crate::common::run::run;

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
