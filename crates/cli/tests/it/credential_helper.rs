//! `docker-credential-layer0` in Docker's protocol: what is said on stdout and stderr, and with which exit code.

use serde_json::{Value, json};

use crate::fake::{Fake, Ran, Reply, error, helper};
use crate::home::{Home, url};

const NOT_FOUND: &str = "credentials not found in native keychain\n";

/// A server that gives alice a credential for its registry.
fn server() -> Fake {
    let fake = Fake::start();
    fake.json(
        "GET /token/registry",
        json!({ "user": "alice", "secret": "l0r_short", "expires": "2026-01-02T07:04:05.000Z" }),
    );
    fake.json("GET /whoami", json!({ "who": "bob", "kind": "user", "admin": false, "owners": [], "token_id": "t" }));
    fake
}

/// A home that is signed in to a server.
fn signed_in(fake: &Fake) -> Home {
    let home = Home::new();
    // `alice:l0_secret`
    let known = json!({ "default": url(fake), "endpoints": { url(fake): "YWxpY2U6bDBfc2VjcmV0" } });
    home.write(".config/layer0/credentials.json", &known.to_string());
    home
}

fn said(ran: &Ran) -> (u8, &str) {
    (ran.code, &ran.stdout)
}

#[test]
fn get_answers_in_all_the_forms_that_a_server_is_named_in() {
    let fake = server();
    let home = signed_in(&fake);
    let host = fake.address.to_string();
    for asked in [
        host.clone(),
        format!("{host}\n"),
        format!("http://{host}"),
        format!("https://{host}/"),
        format!("https://{host}/v1/\r\n"),
        format!("  {host}  "),
    ] {
        let ran = helper(&["get"], &home.env(), &asked);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{asked:?} {}", ran.text());
        assert_eq!(ran.json(), json!({ "ServerURL": asked.trim(), "Username": "alice", "Secret": "l0r_short" }));
        assert!(ran.stdout.ends_with("}\n") && ran.stdout.lines().count() == 1, "{}", ran.text());
    }
    for request in fake.requests() {
        assert_eq!(
            (request.line.as_str(), request.authorization.as_str()),
            ("GET /token/registry", "Basic YWxpY2U6bDBfc2VjcmV0")
        );
    }
}

#[test]
fn what_is_not_ours_is_not_found_and_costs_no_request() {
    let fake = server();
    let home = signed_in(&fake);
    for other in
        ["docker.io", "https://index.docker.io/v1/", "127.0.0.1", "127.0.0.1:1", "1.dkr.ecr.us-east-1.amazonaws.com"]
    {
        let ran = helper(&["get"], &home.env(), other);
        assert_eq!((said(&ran), ran.stderr.as_str()), ((1, NOT_FOUND), ""), "{other}");
        assert_eq!(said(&helper(&["erase"], &home.env(), other)), (1, NOT_FOUND), "{other}");
    }
    // Nobody has signed in to anything, and there is no home at all.
    assert_eq!(said(&helper(&["get"], &Home::new().env(), "docker.io")), (1, NOT_FOUND));
    assert_eq!(said(&helper(&["get"], &[].into(), "docker.io")), (1, NOT_FOUND));
    assert!(fake.lines().is_empty());
}

#[test]
fn what_is_missing_or_malformed_is_said_in_the_words_of_the_protocol() {
    let fake = server();
    let home = signed_in(&fake);
    for (args, stdin, words) in [
        (&["get"][..], "", "no credentials server URL\n"),
        (&["get"], " \n", "no credentials server URL\n"),
        (&["erase"], "https://", "no credentials server URL\n"),
        (&["store"], r#"{"Username": "bob", "Secret": "x"}"#, "no credentials server URL\n"),
        (&["store"], r#"{"ServerURL": "docker.io", "Secret": "x"}"#, "no credentials username\n"),
        (&["store"], "{\"ServerURL\": \"secret", "the credential is no JSON: line 1, column 21\n"),
        (&["store"], "", "the credential is no JSON: line 1, column 0\n"),
        (&["fetch"], "x", "Unknown credential action `fetch`\n"),
        (&[], "", "Usage: docker-credential-layer0 <store|get|erase|list|version>\n"),
        (&["get", "x"], "", "Usage: docker-credential-layer0 <store|get|erase|list|version>\n"),
    ] {
        let ran = helper(args, &home.env(), stdin);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (1, words, ""), "{args:?} {stdin}");
    }
    let version = helper(&["version"], &home.env(), "");
    assert!(version.code == 0 && version.stdout.starts_with("docker-credential-layer0 (l0) v"), "{}", version.text());
    assert!(fake.lines().is_empty());
}

/// docker hides what a helper says on stdout when it pulls; the reason is on stderr too.
#[test]
fn a_login_that_is_gone_says_so_and_what_to_do() {
    let fake = server();
    let home = signed_in(&fake);
    let host = fake.address.to_string();
    let again = format!("`l0 login {}`", url(&fake));
    fake.on("GET /token/registry", [error(401, "Unauthorized", "no valid token was given")]);
    let ran = helper(&["get"], &home.env(), &host);
    let reason = format!("the login of alice at {} has expired or was revoked: {again}\n", url(&fake));
    assert_eq!((ran.code, ran.stdout, ran.stderr), (1, reason.clone(), format!("layer0: {reason}")));
    fake.on("GET /token/registry", [error(404, "RouteDoesNotExist", "no such route")]);
    let ran = helper(&["get"], &home.env(), &host);
    assert!(ran.code == 1 && ran.stderr.contains("is older than this program"), "{}", ran.text());
    fake.on("GET /token/registry", [Reply::Nothing]);
    let ran = helper(&["get"], &home.env(), &host);
    assert!(ran.code == 1 && ran.stderr.starts_with("layer0: Unable to connect"), "{}", ran.text());
    assert_eq!(ran.stdout.lines().count(), 1);

    // A registry of a server that nobody is signed in to: what is public is pulled without a credential.
    let known = json!({ "registries": { "registry.example.com": { "endpoint": url(&fake) } } });
    home.write(".config/layer0/credentials.json", &known.to_string());
    let ran = helper(&["get"], &home.env(), "registry.example.com");
    assert_eq!(said(&ran), (1, NOT_FOUND));
    assert_eq!(ran.stderr, format!("layer0: you are not signed in to {}: {again}\n", url(&fake)));

    home.write(".config/layer0/credentials.json", "{");
    let ran = helper(&["get"], &home.env(), &host);
    assert!(ran.code == 1 && ran.stderr.contains("credentials.json is malformed"), "{}", ran.text());
}

#[test]
fn in_a_pipeline_the_environment_is_the_login() {
    let fake = server();
    let home = Home::new();
    let host = fake.address.to_string();
    let env = home.env_with(&[("LAYER0_API_ENDPOINT", &url(&fake)), ("LAYER0_AUTH_TOKEN", "Y2k6bDBfc2VjcmV0")]);
    assert_eq!(helper(&["get"], &env, &host).code, 0);
    assert_eq!(fake.requests()[0].authorization, "Basic Y2k6bDBfc2VjcmV0");
    assert_eq!(said(&helper(&["get"], &env, "docker.io")), (1, NOT_FOUND));
    let known = json!({ "registries": { "registry.example.com": { "endpoint": url(&fake) } } });
    home.write(".config/layer0/credentials.json", &known.to_string());
    assert_eq!(helper(&["get"], &env, "registry.example.com").code, 0);
    fake.on("GET /token/registry", [error(401, "Unauthorized", "no valid token was given")]);
    let ran = helper(&["get"], &env, &host);
    assert!(ran.stderr.contains("`set LAYER0_AUTH_TOKEN anew`"), "{}", ran.text());
}

/// `docker login`, then `docker logout`: what they keep is for their host alone, and the login of `l0` stays.
#[test]
fn store_keeps_for_its_host_and_erase_forgets_it() {
    let fake = server();
    let home = signed_in(&fake);
    let host = fake.address.to_string();
    let given = |user: &str| {
        json!({ "ServerURL": format!("https://{host}/"), "Username": user, "Secret": "l0_bobs" }).to_string()
    };
    let before = home.credentials();
    let ran = helper(&["store"], &home.env(), &given("bob"));
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    // `bob:l0_bobs`
    assert_eq!(
        home.credentials()["registries"],
        json!({ &host: { "endpoint": url(&fake), "login": { "user": "bob" }, "token": "Ym9iOmwwX2JvYnM=" } })
    );
    assert_eq!(helper(&["get"], &home.env(), &host).code, 0);
    assert_eq!(fake.requests().last().expect("one").authorization, "Basic Ym9iOmwwX2JvYnM=");
    assert_eq!(helper(&["list"], &home.env(), "unused").json(), json!({ &host: "bob" }));

    let ran = helper(&["erase"], &home.env(), &host);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    assert_eq!(home.credentials()["endpoints"], before["endpoints"]);
    assert_eq!(helper(&["list"], &home.env(), "").json(), json!({ &host: "alice" }));
    let ran = helper(&["erase"], &home.env(), &host);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(&format!("`l0 logout {}` ends it", url(&fake))), "{}", ran.text());
    assert_eq!(home.credentials()["endpoints"], before["endpoints"]);

    let ran = helper(&["store"], &home.env(), &given("<token>"));
    assert!(ran.code == 1 && ran.stdout.starts_with("an identity token can't be kept"), "{}", ran.text());
    let other = json!({ "ServerURL": "quay.io", "Username": "bob", "Secret": "x" }).to_string();
    let ran = helper(&["store"], &home.env(), &other);
    assert!(ran.code == 1 && ran.stdout.starts_with("quay.io is no registry that l0 knows"), "{}", ran.text());
    fake.on("GET /whoami", [error(401, "Unauthorized", "no valid token was given")]);
    assert_eq!(helper(&["store"], &home.env(), &given("bob")).code, 1);
    assert!(home.credentials()["registries"][&host]["login"].is_null());
}

/// A password that `docker login` was given becomes a token, in the keyring where there is one, and `docker logout` revokes it.
#[test]
fn a_password_of_docker_login_becomes_a_token_that_docker_logout_revokes() {
    let fake = server();
    let home = signed_in(&fake);
    home.keyring();
    let env = home.env_with(&[("LAYER0_KEYRING", "test")]);
    let host = fake.address.to_string();
    fake.json("GET /whoami", json!({ "who": "bob", "kind": "user", "admin": false, "owners": [] }));
    let made = json!({ "token": "", "token_id": "made-1", "user": "bob", "secret": "l0_made", "name": "l0-login", "expires": "" });
    fake.on("POST /token", [Reply::Json(201, made)]);
    fake.json(
        "DELETE /token/made-1",
        json!({ "token_id": "made-1", "name": "", "user": "bob", "created": "", "expires": "", "last_used": "" }),
    );
    let given = json!({ "ServerURL": host, "Username": "bob", "Secret": "correct horse" }).to_string();
    assert_eq!(helper(&["store"], &env, &given).code, 0);
    let kept = home.credentials()["registries"][&host].clone();
    assert_eq!(kept["login"], json!({ "user": "bob", "token_id": "made-1", "keyring": "test" }));
    assert_eq!((kept["token"].clone(), home.keyring_entries()), (Value::Null, 1));
    assert_eq!(helper(&["get"], &env, &host).code, 0);
    // `bob:l0_made`
    assert_eq!(fake.requests().last().expect("one").authorization, "Basic Ym9iOmwwX21hZGU=");
    assert_eq!(helper(&["erase"], &env, &host).code, 0);
    assert_eq!(fake.lines().last().map(String::as_str), Some("DELETE /token/made-1"));
    assert_eq!(home.keyring_entries(), 0);
}

#[test]
fn list_names_all_hosts_and_users() {
    let home = Home::new();
    assert_eq!(said(&helper(&["list"], &home.env(), "unused")), (0, "{}\n"));
    let known = json!({
        "endpoints": { "http://localhost:9090/": "YWxpY2U6bDBfc2VjcmV0" },
        "logins": { "https://l0.example.com/": { "user": "team+ci", "keyring": "test" } },
        "registries": {
            "registry.example.com": { "endpoint": "https://l0.example.com" },
            "gone.example.com": { "endpoint": "https://gone.example.com/" },
        },
    });
    home.write(".config/layer0/credentials.json", &known.to_string());
    assert_eq!(
        helper(&["list"], &home.env(), "").json(),
        json!({ "localhost:9090": "alice", "l0.example.com": "team+ci", "registry.example.com": "team+ci" })
    );
}
