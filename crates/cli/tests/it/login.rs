//! `l0 login` and `l0 logout`: what is asked of the server, what is kept where, and what is forgotten.

use std::os::unix::fs::PermissionsExt as _;

use layer0_cli::Terminal;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Stdin, error, run, run_with};
use crate::home::{Home, url};

/// `admin:hunter2`, and the secret of a token.
const TOKEN: &str = "YWRtaW46bDBfc2VjcmV0";

fn who(name: &str, token: Option<&str>) -> Value {
    let mut who = json!({ "who": name, "kind": "user", "admin": false, "owners": [] });
    if let Some(id) = token {
        who["token_id"] = id.into();
    }
    who
}

/// A server that knows alice by her password and makes the token `l0_made` for her.
fn server() -> Fake {
    let fake = Fake::start();
    fake.json("GET /whoami", who("alice", None));
    fake.on(
        "POST /token",
        [Reply::Json(
            201,
            json!({ "token": "YWxpY2U6bDBfbWFkZQ==", "token_id": "l0-login-1", "user": "alice", "secret": "l0_made",
                "name": "l0-login", "expires": "2026-06-01T00:00:00.000Z" }),
        )],
    );
    fake.json(
        "DELETE /token/l0-login-1",
        json!({ "token_id": "l0-login-1", "name": "l0-login", "user": "alice",
        "created": "", "expires": "", "last_used": "" }),
    );
    fake
}

fn signs_in(home: &Home, args: &[&str], stdin: Stdin) -> crate::fake::Ran {
    run_with(&[&["login"], args].concat(), &home.env(), Terminal::Plain, stdin)
}

#[test]
fn for_a_password_a_token_is_made_and_kept_for_its_owner_only() {
    let (home, fake) = (Home::new(), server());
    let ran = signs_in(&home, &[&url(&fake), "--user", "alice", "--password-stdin"], Stdin::Piped(b"correct horse\n"));
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(
        ran.stdout.starts_with(&format!("Signed in to {} as alice; the token is in ", url(&fake))),
        "{}",
        ran.text()
    );
    assert!(ran.stdout.ends_with("credentials.json and ends 2026-06-01 00:00:00\n"), "{}", ran.text());
    assert_eq!(fake.lines(), ["GET /whoami", "POST /token"]);
    assert_eq!(fake.requests()[0].authorization, "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==");
    assert_eq!(fake.body("POST /token"), json!({ "name": "l0-login" }));
    let endpoint = url(&fake);
    assert_eq!(
        home.credentials(),
        json!({
            "default": endpoint,
            "endpoints": { &endpoint: "YWxpY2U6bDBfbWFkZQ==" },
            "logins": { &endpoint: { "user": "alice", "token_id": "l0-login-1" } },
        })
    );
    let file = home.path(".config/layer0/credentials.json");
    assert_eq!(std::fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);
    for text in [&ran.stdout, &ran.stderr, &home.read(".config/layer0/credentials.json")] {
        assert!(!text.contains("horse"), "{text}");
    }
    assert!(!ran.stdout.contains("l0_made") && !ran.stderr.contains("l0_made"));

    // The login is this machine's now.
    fake.json("GET /whoami", who("alice", Some("l0-login-1")));
    assert_eq!(run(&["whoami"], &home.env()).code, 0);
    assert_eq!(fake.requests().last().expect("one").authorization, "Basic YWxpY2U6bDBfbWFkZQ==");

    let ran = run(&["logout"], &home.env());
    assert_eq!((ran.code, ran.stdout), (0, format!("Signed out of {endpoint}\n")));
    assert_eq!(fake.lines().last().map(String::as_str), Some("DELETE /token/l0-login-1"));
    assert_eq!(home.credentials(), json!({ "endpoints": {} }));
    assert_eq!(run(&["logout", &endpoint], &home.env()).code, 3);
}

#[test]
fn a_token_is_kept_as_it_is_and_only_forgotten() {
    let (home, fake) = (Home::new(), Fake::start());
    fake.json("GET /whoami", who("admin", Some("first")));
    for (args, stdin) in [
        (&["--token-stdin"][..], &b"YWRtaW46bDBfc2VjcmV0\n"[..]),
        (&["--token-stdin", "--user", "admin"], b"YWRtaW46bDBfc2VjcmV0"),
        (&["--token-stdin", "--user", "admin"], b" l0_secret \r\n"),
        (&["--password-stdin", "--user", "admin", "--expires-days", "5"], b"l0_secret\n"),
    ] {
        let ran = signs_in(&home, &[&[url(&fake).as_str()], args].concat(), Stdin::Piped(stdin));
        assert_eq!(ran.code, 0, "{args:?} {}", ran.text());
        assert_eq!(home.credentials()["endpoints"][url(&fake)], TOKEN, "{args:?}");
    }
    assert!(fake.lines().iter().all(|line| line == "GET /whoami"), "{:?}", fake.lines());
    assert_eq!(run(&["logout"], &home.env()).code, 0);
    assert!(fake.lines().iter().all(|line| line == "GET /whoami"), "a token that was given is not revoked");
}

#[test]
fn what_is_no_credential_is_refused_with_a_reason_and_nothing_is_kept() {
    let (home, fake) = (Home::new(), Fake::start());
    fake.on("GET /whoami", [error(401, "Unauthorized", "no valid token was given")]);
    let server = url(&fake);
    for (args, stdin, code, words) in [
        (&["--user", "alice", "--password-stdin"][..], &b"wrong horse\n"[..], 4, "the name or the secret is wrong"),
        (&["--user", "alice", "--password-stdin"], b"\n", 2, "there is no password on standard input"),
        (&["--password-stdin"], b"x\n", 2, "--password-stdin needs --user NAME"),
        (&["--token-stdin"], b"", 2, "there is no token on standard input"),
        (&["--token-stdin"], b"l0_secret\n", 2, "does not say whose it is"),
        (&["--token-stdin", "--user", "alice"], b"YWRtaW46bDBfc2VjcmV0\n", 2, "is `admin`'s and not `alice`'s"),
        (&["--user", "a:b", "--password-stdin"], b"x\n", 2, "has no `:`"),
        (&["--token-stdin", "--password-stdin"], b"x\n", 2, "cannot be used with"),
        (&[], b"", 2, "standard input is no terminal"),
        (&["--user", "alice", "--password-stdin", "--keyring", "../x"], b"x\n", 4, "the name or the secret is wrong"),
    ] {
        let ran = signs_in(&home, &[&[server.as_str()], args].concat(), Stdin::Piped(stdin));
        assert_eq!(ran.code, code, "{args:?} {}", ran.text());
        assert!(ran.stderr.contains(words), "{args:?} {}", ran.text());
        assert!(!ran.stderr.contains("horse") && !ran.stderr.contains("l0_secret"), "{}", ran.text());
        assert_eq!(home.credentials(), Value::Null, "{args:?}");
    }
    let ran = signs_in(&home, &["http://alice:hunter2@localhost/"], Stdin::Piped(b""));
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.text());
}

#[test]
fn people_are_asked() {
    let (home, fake) = (Home::new(), server());
    let ran = signs_in(&home, &[&url(&fake)], Stdin::Typed(b"alice\ncorrect horse\n"));
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.stderr.contains("User: ") && ran.stderr.contains("Password or token: "), "{}", ran.text());
    assert_eq!(fake.requests()[0].authorization, "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==");
}

#[test]
fn several_servers_are_kept_beside_each_other_and_the_last_login_is_meant() {
    let (home, one, two) = (Home::new(), server(), server());
    home.write(
        ".config/layer0/credentials.json",
        r#"{"default": "http://localhost:1", "endpoints": {"http://localhost:1": "eDp5"}, "theme": "dark"}"#,
    );
    for fake in [&one, &two] {
        let ran = signs_in(&home, &[&url(fake), "--user", "alice", "--password-stdin"], Stdin::Piped(b"horse\n"));
        assert_eq!(ran.code, 0, "{}", ran.text());
    }
    let known = home.credentials();
    assert_eq!(known["endpoints"].as_object().expect("a map").len(), 3);
    assert_eq!((&known["default"], &known["theme"]), (&json!(url(&two)), &json!("dark")));
    let both = home.env_with(&[("LAYER0_API_ENDPOINT", url(&one).trim_end_matches('/'))]);
    assert_eq!(run(&["whoami"], &both).code, 0);
    assert_eq!(one.lines().len(), 3, "the environment names the first");
    assert_eq!(run(&["whoami"], &home.env()).code, 0);
    assert_eq!(two.lines().len(), 3, "nothing names the second");
    let ran = run(&["logout", "--all"], &home.env());
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 3), "{}", ran.text());
    assert_eq!(home.credentials(), json!({ "endpoints": {}, "theme": "dark" }));
}

#[test]
fn a_second_login_revokes_the_token_of_the_first() {
    let (home, fake) = (Home::new(), server());
    let login = || signs_in(&home, &[&url(&fake), "--user", "alice", "--password-stdin"], Stdin::Piped(b"horse\n"));
    assert_eq!(login().code, 0);
    fake.on(
        "POST /token",
        [Reply::Json(
            201,
            json!({ "token": "YWxpY2U6bDBfbmV3", "token_id": "l0-login-2", "user": "alice",
            "secret": "l0_new", "name": "l0-login", "expires": "" }),
        )],
    );
    let ran = login();
    assert_eq!((ran.code, ran.stderr.contains("warning")), (0, false), "{}", ran.text());
    let last = fake.requests().pop().expect("one");
    assert_eq!(
        (last.line.as_str(), last.authorization.as_str()),
        ("DELETE /token/l0-login-1", "Basic YWxpY2U6bDBfbWFkZQ==")
    );
    assert_eq!(home.credentials()["logins"][url(&fake)]["token_id"], "l0-login-2");
}

#[test]
fn a_keyring_keeps_the_secret_and_the_file_says_in_which() {
    let (home, fake) = (Home::new(), server());
    home.keyring();
    let login = |args: &[&str]| {
        let server = url(&fake);
        let all = [&[server.as_str(), "--user", "alice", "--password-stdin"], args].concat();
        signs_in(&home, &all, Stdin::Piped(b"horse\n"))
    };
    let ran = login(&["--keyring", "test"]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.stdout.contains("the token is in the keyring `test`"), "{}", ran.text());
    let known = home.credentials();
    assert_eq!(known["logins"][url(&fake)], json!({ "user": "alice", "token_id": "l0-login-1", "keyring": "test" }));
    assert_eq!((known["endpoints"].clone(), home.keyring_entries()), (json!({}), 1));
    assert_eq!(run(&["whoami"], &home.env()).code, 0);
    assert_eq!(fake.requests().last().expect("one").authorization, "Basic YWxpY2U6bDBfbWFkZQ==");

    // A keyring that nobody unlocked is named, and no token is left behind for it.
    home.write("locked", "");
    let ran = run(&["whoami"], &home.env());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("docker-credential-test get: the collection is locked"), "{}", ran.text());
    let ran = login(&["--keyring", "test"]);
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert_eq!(fake.lines().last().map(String::as_str), Some("DELETE /token/l0-login-1"));
    std::fs::remove_file(home.path("locked")).expect("removed");

    assert_eq!(run(&["logout"], &home.env()).code, 0);
    assert_eq!((home.keyring_entries(), home.credentials()), (0, json!({ "endpoints": {} })));
}

/// To the new one the token of the former one is not there: only its own secret can revoke it, and the same keyring holds both.
#[test]
fn a_login_as_somebody_else_revokes_the_former_token() {
    let (home, fake) = (Home::new(), server());
    home.keyring();
    let login = |user: &str| {
        let server = url(&fake);
        let args = [server.as_str(), "--user", user, "--password-stdin", "--keyring", "test"];
        signs_in(&home, &args, Stdin::Piped(b"horse\n"))
    };
    assert_eq!(login("alice").code, 0);
    let bob = |id: &str| {
        fake.json("GET /whoami", who("bob", None));
        let made = json!({ "token": "Ym9iOmwwX25ldw==", "token_id": id, "user": "bob", "secret": "l0_new", "name": "l0-login", "expires": "" });
        fake.on("POST /token", [Reply::Json(201, made)]);
    };
    bob("l0-login-2");
    let ran = login("bob");
    assert_eq!((ran.code, ran.stderr.contains("warning")), (0, false), "{}", ran.text());
    let last = fake.requests().pop().expect("one");
    assert_eq!(
        (last.line.as_str(), last.authorization.as_str()),
        ("DELETE /token/l0-login-1", "Basic YWxpY2U6bDBfbWFkZQ==")
    );
    // Where the former secret is not to be had, it is said.
    let file = home.path(".config/layer0/credentials.json");
    let text = std::fs::read_to_string(&file).expect("there").replace(r#""bob""#, r#""alice""#);
    std::fs::write(&file, text).expect("written");
    home.keyring_clear();
    bob("l0-login-3");
    let ran = login("bob");
    let said = "warning: the token of the former login was not revoked: its secret can't be had from the keyring, and it is alice's; `l0 token revoke l0-login-2` does it";
    assert_eq!((ran.code, ran.stderr.contains(said)), (0, true), "{}", ran.text());
}

#[test]
fn the_keyring_that_docker_uses_is_used_and_one_that_does_not_work_is_not() {
    let (home, fake) = (Home::new(), server());
    home.keyring();
    home.write(".docker/config.json", r#"{"credsStore": "test"}"#);
    let login = |args: &[&str]| {
        let server = url(&fake);
        let all = [&[server.as_str(), "--user", "alice", "--password-stdin"], args].concat();
        signs_in(&home, &all, Stdin::Piped(b"horse\n"))
    };
    assert!(login(&[]).stdout.contains("the keyring `test`"));
    assert_eq!(home.keyring_entries(), 1);
    let ran = login(&["--keyring", "none"]);
    assert!(ran.stdout.contains("credentials.json"), "{}", ran.text());
    assert_eq!(home.keyring_entries(), 0, "the former secret is gone: {}", ran.text());
    home.write("locked", "");
    let ran = login(&[]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(
        ran.stderr.contains("warning: the keyring is not used: docker-credential-test store: the collection is locked")
    );
    assert!(ran.stdout.contains("credentials.json"), "{}", ran.text());
    let ran = login(&["--keyring", "layer0"]);
    assert_eq!((ran.code, ran.stderr.contains("`layer0` is no keyring")), (2, true), "{}", ran.text());
    let ran = login(&["--keyring", "absent"]);
    assert_eq!((ran.code, ran.stderr.contains("docker-credential-absent, which is not in PATH")), (2, true));
}

#[test]
fn a_token_that_cant_be_revoked_is_said_and_forgotten() {
    let (home, fake) = (Home::new(), server());
    assert_eq!(signs_in(&home, &[&url(&fake), "--user", "alice", "--password-stdin"], Stdin::Piped(b"h\n")).code, 0);
    fake.on("DELETE /token/l0-login-1", [error(503, "ServiceUnavailable", "not now")]);
    let ran = run(&["logout"], &home.env());
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.stderr.contains("not revoked: not now; `l0 token revoke l0-login-1` does it"), "{}", ran.text());
    assert_eq!(home.credentials(), json!({ "endpoints": {} }));
}
