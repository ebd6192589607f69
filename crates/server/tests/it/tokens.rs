//! Tokens of users and robots: what they open, and what may be done with them.

use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::access::{put, token};
use crate::support::{MANIFEST, Raw, basic};
use crate::teams::Teams;

#[tokio::test]
async fn a_robot_may_what_its_scopes_say_and_stays_when_people_go() {
    let teams = Teams::full().await;
    let maintainer = teams.as_("maintainer");
    let body = json!({"name": "ci", "owner": "team", "scopes": ["pull,push:team/app:dev-*", "pull,deploy:team/prod"]});
    let made = maintainer.post("/token", &body).await.expect(201).json();
    assert_eq!((made["user"].as_str(), made["owner"].as_str()), (Some("team+ci"), Some("team")));
    let robot = teams.raw.as_(Some(&basic("team+ci", made["secret"].as_str().expect("a secret"))));
    let me = robot.get("/whoami").await.expect(200).json();
    assert_eq!((me["who"].as_str(), me["kind"].as_str()), (Some("team+ci"), Some("robot")));
    assert_eq!(me["scopes"], body["scopes"]);

    assert_eq!(put(&robot, "team/app", "dev-1", "x").await, 201);
    let other = robot.send(Method::PUT, "/v2/team/app/manifests/v1", &[("content-type", MANIFEST)], "{}").await;
    assert!(other.expect(403).text().contains("bounded to other tags"));
    robot.send(Method::DELETE, "/v2/team/app/manifests/dev-1", &[], "").await.expect(403);
    robot.get("/v2/team/empty/tags/list").await.expect(403);
    robot.patch(&teams.filled("/service/{service}"), &json!({"scale": 2})).await.expect(202);
    robot.delete(&teams.filled("/service/{service}")).await.error(403);
    robot.get(&teams.filled("/environment/{unused}")).await.error(404);
    // It stays when its maker goes.
    teams.raw.delete("/user/maintainer").await.expect(200);
    assert_eq!(put(&robot, "team/app", "dev-2", "y").await, 201);
    maintainer.get("/service").await.error(401);
}

#[tokio::test]
async fn a_token_hands_out_no_more_than_it_opens() {
    let teams = Teams::empty().await;
    let maintainer = teams.as_("maintainer");
    // A robot's scopes are its rights: within the owner, and within what its maker may.
    for (scopes, status) in [
        (json!([]), 422),
        (json!(["pull:other/*"]), 422),
        (json!(["pull:*"]), 422),
        (json!(["fly:team/*"]), 422),
        (json!(["admin,pull:team/*"]), 201),
    ] {
        let answer = maintainer.post("/token", &json!({"name": "x", "owner": "team", "scopes": scopes})).await;
        assert_eq!(answer.status, status, "{scopes}: {}", answer.text());
    }
    // A person's token may name scopes beyond the role: they open nothing more.
    let reader = teams.as_("reader");
    let (auth, _) = token(&reader, &json!({"scopes": ["pull,push:team/*"]})).await;
    let narrow = teams.raw.as_(Some(&auth));
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    narrow.get("/v2/team/app/tags/list").await.expect(200);
    assert_eq!(put(&narrow, "team/app", "v1", "x").await, 403);
    // With a token that has scopes one makes only narrower ones, and touches no other.
    narrow.post("/token", &json!({})).await.error(403);
    narrow.post("/token", &json!({"scopes": ["pull:team/app", "delete:team/app"]})).await.error(403);
    let (_, child) = token(&narrow, &json!({"scopes": ["pull:team/app"]})).await;
    narrow.delete(&format!("/token/{child}")).await.error(403);
    narrow.patch("/user/reader", &json!({"password": "correct horse"})).await.error(403);
    reader.delete(&format!("/token/{child}")).await.expect(200);
    // An admin's token with scopes is no admin's any more.
    let (auth, _) = token(&teams.raw, &json!({"scopes": ["pull:*"]})).await;
    let bounded = teams.raw.as_(Some(&auth));
    bounded.get("/v2/team/app/tags/list").await.expect(200);
    bounded.post("/owner", &json!({"owner_name": "new"})).await.error(403);
    let (auth, _) = token(&teams.raw, &json!({"scopes": ["admin:*"]})).await;
    let bounded = teams.raw.as_(Some(&auth));
    bounded.post("/owner", &json!({"owner_name": "new"})).await.expect(201);
    bounded.post("/user", &json!({"user_name": "new", "admin": true})).await.error(403);
}

#[tokio::test]
async fn a_rotated_token_lives_on_with_another_secret() {
    let teams = Teams::empty().await;
    let (old, id) = token(&teams.raw, &json!({"name": "ci", "expires_days": 10})).await;
    teams.clock.advance_ms(24 * 60 * 60 * 1000);
    let old = teams.raw.as_(Some(&old));
    let scoped = old.get("/auth/token?scope=repository:team/app:pull").await.expect(200).json();
    let scoped = teams.raw.as_(Some(&format!("Bearer {}", scoped["token"].as_str().expect("a token"))));
    scoped.get("/v2/").await.expect(200);
    let rotated = old.post(&format!("/token/{id}/rotate"), &json!({})).await.expect(200).json();
    assert_eq!(
        (rotated["token_id"].as_str(), rotated["expires"].as_str()),
        (Some(&*id), Some("2024-01-12T00:00:00.000Z"))
    );
    old.get("/whoami").await.error(401);
    scoped.get("/v2/").await.expect(401);
    let new = format!("Basic {}", rotated["token"].as_str().expect("a token"));
    teams.raw.as_(Some(&new)).get("/whoami").await.expect(200);
}

/// Whoever has a token's secret may what it may: nobody gets that of a robot who may less.
#[tokio::test]
async fn a_robots_token_is_rotated_only_by_who_may_as_much() {
    let mut teams = Teams::empty().await;
    let robot = json!({"name": "ci", "owner": "team", "scopes": ["push:team/*", "pull:team/*"]});
    let made = teams.raw.post("/token", &robot).await.expect(201).json();
    let id = made["token_id"].as_str().expect("an id").to_owned();
    let path = format!("/token/{id}/rotate");
    // A maintainer of some tags only, and a token that administers and does nothing else.
    teams.user("bounded").await;
    teams.raw.put("/owner/team/member/bounded", &json!({"role": "maintainer", "tags": "dev-*"})).await.expect(200);
    let (narrow, _) = token(&teams.raw, &json!({"name": "narrow", "scopes": ["admin:team/*"]})).await;
    for caller in [teams.as_("bounded"), teams.raw.as_(Some(&narrow))] {
        let refused = caller.post(&path, &json!({})).await.error(403);
        assert!(refused.message.contains("is more than you may"), "{}", refused.message);
    }
    teams.as_("maintainer").post(&path, &json!({})).await.expect(200);
    teams.raw.post(&path, &json!({})).await.expect(200);
}

/// A token for one repository says nothing of other teams.
#[tokio::test]
async fn a_scoped_token_sees_no_owner_beyond_its_scopes() {
    let teams = Teams::empty().await;
    let (auth, _) = token(&teams.raw, &json!({"name": "narrow", "scopes": ["pull:team/app"]})).await;
    let narrow = teams.raw.as_(Some(&auth));
    let seen = narrow.get("/owner").await.expect(200).json();
    let seen: Vec<_> = seen.as_array().expect("a list").iter().map(|it| it["owner_name"].clone()).collect();
    assert_eq!(seen, ["team"]);
    narrow.get("/owner/other").await.error(404);
    narrow.get("/owner/other/member").await.error(404);
    narrow.get("/owner/team").await.expect(200);
}

/// Some put their token where the name belongs. It may be a living one.
#[tokio::test]
async fn a_token_as_the_name_is_in_no_log() {
    let teams = Teams::empty().await;
    let (_, id) = token(&teams.raw, &json!({"name": "mine"})).await;
    let secret = teams.raw.post(&format!("/token/{id}/rotate"), &json!({})).await.expect(200).json();
    let secret = secret["secret"].as_str().expect("a secret").to_owned();
    teams.raw.as_(Some(&basic(&secret, ""))).get("/service").await.error(401);
    let log = teams.raw.get("/admin/audit").await.expect(200).text();
    assert!(log.contains("(a token in the place of a name)") && !log.contains(&secret), "{log}");
}

/// Sends a request's head, and waits until its body is asked for: who it is from is known then.
async fn kept_back(app: &TestApp, line: &str, auth: &str, body: &str) -> TcpStream {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nauthorization: {auth}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(app.address()).await.expect("it listens");
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(connection.read_u8().await.expect("an answer"));
    }
    assert!(said.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&said));
    connection
}

/// What comes when the body does.
async fn answered(mut connection: TcpStream, body: &str) -> String {
    connection.write_all(body.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("text");
    answer
}

#[tokio::test]
async fn what_is_taken_away_before_a_body_comes_is_not_done_by_it() {
    let app = TestApp::start().await;
    let admin = Raw::of(&app);
    admin.post("/user", &json!({"user_name": "bob"})).await.expect(201);
    admin.post("/owner", &json!({"owner_name": "team"})).await.expect(201);
    admin.put("/owner/team/member/bob", &json!({"role": "maintainer"})).await.expect(200);
    let made = admin.post("/token", &json!({"user": "bob"})).await.expect(201).json();
    let auth = basic("bob", made["secret"].as_str().expect("a secret"));
    let auth = auth.as_str();

    let member = (json!({"role": "reader"})).to_string();
    let kept = kept_back(&app, "PUT /owner/team/member/admin", auth, &member).await;
    admin.put("/owner/team/member/bob", &json!({"role": "reader"})).await.expect(200);
    let answer = answered(kept, &member).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("has changed while"), "{answer}");

    let token = json!({"name": "for-ever", "expires_days": 0}).to_string();
    let kept = kept_back(&app, "POST /token", auth, &token).await;
    admin.delete(&format!("/token/{}", made["token_id"].as_str().expect("an id"))).await.expect(200);
    let answer = answered(kept, &token).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let left = admin.get("/token").await.expect(200).text();
    assert!(!left.contains("for-ever"), "{left}");
}
