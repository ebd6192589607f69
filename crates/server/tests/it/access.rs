//! Users, owners, members and tokens: what they open, and that they open nothing once they are taken away.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use layer0_server::testing::TestApp;
use layer0_testkit::until::until_true;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, basic, definition, refused};
use crate::teams::Teams;

/// Makes a token; answers its `Authorization` and its id.
pub(crate) async fn token(raw: &Raw, body: &Value) -> (String, String) {
    let made = raw.post("/token", body).await.expect(201).json();
    let auth = format!("Basic {}", made["token"].as_str().expect("a token"));
    (auth, made["token_id"].as_str().expect("an id").to_owned())
}

/// Puts a manifest that needs nothing.
pub(crate) async fn put(raw: &Raw, repository: &str, tag: &str, word: &str) -> u16 {
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [],
        "annotations": {"word": word}});
    let path = format!("/v2/{repository}/manifests/{tag}");
    let kind = "application/vnd.oci.image.index.v1+json";
    raw.send(Method::PUT, &path, &[("content-type", kind)], manifest.to_string()).await.status
}

#[tokio::test]
async fn a_password_opens_until_it_is_changed_and_wrong_ones_are_held_up() {
    let mut teams = Teams::empty().await;
    teams.user("alice").await;
    for (bad, word) in [("short", "8 characters"), ("l0_looks-like-a-token", "l0_")] {
        let error = teams.raw.patch("/user/alice", &json!({"password": bad})).await.error(422);
        assert!(error.message.contains(word), "{error:?}");
    }
    let set = teams.as_("alice").patch("/user/alice", &json!({"password": "correct horse"})).await.expect(200);
    assert_eq!(set.json()["has_password"], true);
    assert!(!set.text().contains("horse") && !set.text().contains("argon2"));
    let by = |password: &str| teams.raw.as_(Some(&basic("alice", password)));
    assert_eq!(by("correct horse").get("/whoami").await.expect(200).json()["who"], "alice");
    let signed = by("correct horse").get("/auth/token?scope=repository:team/app:pull").await.expect(200).json();
    let signed = teams.raw.as_(Some(&format!("Bearer {}", signed["token"].as_str().expect("a token"))));
    signed.get("/v2/").await.expect(200);

    for _ in 0..9 {
        by("wrong horse").get("/whoami").await.error(401);
    }
    by("wrong horse").get("/whoami").await.error(401);
    let held = by("another wrong horse").get("/whoami").await;
    assert_eq!(held.error(429).error_code, "Throttled");
    let registry = by("another wrong horse").get("/v2/").await.expect(429);
    assert_eq!(registry.json()["errors"][0]["code"], "TOOMANYREQUESTS");
    assert!(registry.header("retry-after").parse::<u64>().is_ok_and(|wait| wait <= 30));
    // A good token is never held up, and neither is the password that was right a moment ago.
    teams.as_("alice").get("/whoami").await.expect(200);
    by("correct horse").get("/whoami").await.expect(200);
    // One more is looked at half a minute later.
    teams.clock.advance_ms(30_000);
    by("wrong horse").get("/whoami").await.error(401);
    by("wrong horse").get("/whoami").await.error(429);

    teams.raw.patch("/user/alice", &json!({"password": "battery staple"})).await.expect(200);
    signed.get("/v2/").await.expect(401);
    teams.clock.advance_ms(600_000);
    by("correct horse").get("/whoami").await.error(401);
    by("battery staple").get("/whoami").await.expect(200);
    teams.raw.patch("/user/alice", &json!({"remove_password": true})).await.expect(200);
    by("battery staple").get("/whoami").await.error(401);
}

/// Wrong passwords that come at once are held up as well: those who wait for their turn are asked again when they have it.
#[tokio::test]
async fn wrong_passwords_that_come_at_once_are_held_up() {
    let mut teams = Teams::empty().await;
    teams.user("alice").await;
    teams.raw.patch("/user/alice", &json!({"password": "correct horse"})).await.expect(200);
    let guesses: Vec<Raw> =
        (0..40).map(|number| teams.raw.as_(Some(&basic("alice", &format!("wrong horse {number}"))))).collect();
    let answers = join_all(guesses.iter().map(|guess| guess.get("/whoami"))).await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    let held_up = answers.iter().filter(|answer| answer.status == 429).count();
    // Two are looked at at a time, so one may be beyond the ten.
    assert!((10..=11).contains(&looked_at) && looked_at + held_up == 40, "{looked_at} looked at, {held_up} held up");
}

/// An upload whose body stays open until it is told to end.
pub(crate) struct Open {
    pub(crate) answer: tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>>,
    pub(crate) more: tokio::sync::mpsc::Sender<Result<Bytes, std::io::Error>>,
    location: String,
}

async fn begin(teams: &Teams, auth: &str) -> Open {
    begin_at(&teams.raw, &teams.app, auth).await
}

/// Begins an upload to `team/app` at a server; `admin` looks whether it is under way.
pub(crate) async fn begin_at(admin: &Raw, app: &TestApp, auth: &str) -> Open {
    let begun = admin.as_(Some(auth)).send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    let location = begun.header("location").to_owned();
    let (more, chunks) = tokio::sync::mpsc::channel(4);
    more.send(Ok(Bytes::from(vec![7; 3 << 20]))).await.expect("it is read");
    let body = futures_util::stream::unfold(chunks, |mut chunks| async move { Some((chunks.recv().await?, chunks)) });
    let request = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().expect("a client");
    let request = request
        .patch(format!("{}{location}", app.endpoint()))
        .header("authorization", auth)
        .body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(request.send());
    // It is really under way: bytes of it have been written.
    let status = async || {
        let answer = admin.get(&location).await;
        answer.header("range") != "0-0" && answer.status == 204
    };
    until_true("the upload has begun", status).await;
    Open { answer, more, location }
}

/// Revoking a token, a member or a user ends what is under way, with the secret itself as with a signed token.
#[tokio::test]
async fn a_running_upload_ends_with_the_right_to_it() {
    let mut teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    for number in 0..3 {
        let name = format!("user{number}");
        teams.user(&name).await;
        teams.raw.put(&format!("/owner/team/member/{name}"), &json!({"role": "writer"})).await.expect(200);
        let (auth, id) = token(&teams.as_(&name), &json!({"name": "short-lived"})).await;
        let scope = "/auth/token?scope=repository:team/app:pull,push";
        let signed = teams.raw.as_(Some(&auth)).get(scope).await.expect(200).json();
        let signed = format!("Bearer {}", signed["token"].as_str().expect("a token"));
        let (plain, bearer) = (begin(&teams, &auth).await, begin(&teams, &signed).await);
        // The few minutes of the signed token's own do not end what it let begin.
        teams.clock.advance_ms(10 * 60 * 1000);
        assert!(!plain.answer.is_finished() && !bearer.answer.is_finished());
        match number {
            0 => teams.raw.delete(&format!("/token/{id}")).await.expect(200),
            1 => teams.raw.delete(&format!("/owner/team/member/{name}")).await.expect(200),
            _ => teams.raw.delete(&format!("/user/{name}")).await.expect(200),
        };
        for open in [plain, bearer] {
            let answer = tokio::time::timeout(Duration::from_secs(5), open.answer).await.expect("it ends at once");
            // The answer, or the connection's end in the middle of the body.
            if let Ok(answer) = answer.expect("no panic") {
                assert_eq!(answer.status(), 401);
            }
            drop(open.more);
            teams.raw.as_(Some(&auth)).send(Method::PATCH, &open.location, &[], "x").await.expect(if number == 1 {
                403
            } else {
                401
            });
        }
    }
}

/// So does the push of a manifest whose last byte is still to come.
#[tokio::test]
async fn a_manifest_that_is_on_its_way_ends_with_the_right_to_push_it() {
    let mut teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    teams.user("pusher").await;
    teams.raw.put("/owner/team/member/pusher", &json!({"role": "writer"})).await.expect(200);
    let (auth, id) = token(&teams.as_("pusher"), &json!({"name": "short-lived"})).await;
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
    let mut begin = manifest.to_string().into_bytes();
    let end = begin.split_off(begin.len() - 1);
    let (more, chunks) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    more.send(Ok(begin.into())).await.expect("it is read");
    let body = futures_util::stream::unfold(chunks, |mut chunks| async move { Some((chunks.recv().await?, chunks)) });
    let put = reqwest::Client::builder().no_proxy().build().expect("a client");
    let put = put
        .put(format!("{}/v2/team/app/manifests/1", teams.app.endpoint()))
        .header("authorization", &auth)
        .header("content-type", "application/vnd.oci.image.index.v1+json")
        .body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(put.send());
    // It has come as far as the server: who signs in with the token is noted.
    let is_used = async || {
        let all = teams.raw.get("/token").await.json();
        let ours = all.as_array().expect("a list").iter().find(|it| it["token_id"] == id.as_str());
        ours.is_some_and(|it| it["last_used"] != "")
    };
    until_true("the push has begun", is_used).await;
    assert!(!answer.is_finished());
    teams.raw.delete(&format!("/token/{id}")).await.expect(200);
    let answer = tokio::time::timeout(Duration::from_secs(5), answer).await.expect("it ends at once");
    if let Ok(answer) = answer.expect("no panic") {
        assert_eq!(answer.status(), 401);
    }
    drop(more.send(Ok(end.into())).await);
    teams.raw.get("/v2/team/app/manifests/1").await.expect(404);
}

/// Far more than the buffers between a server and a client that does not read hold.
const LARGE: usize = 48 << 20;

/// A download breaks off when the right to it ends: what its client has not got by then, it does not get.
#[tokio::test]
async fn a_running_download_ends_with_the_right_to_it() {
    let teams = Teams::full().await;
    let content = vec![7; LARGE];
    let digest = crate::support::digest(&content);
    let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    teams.as_("writer").send(Method::POST, &path, &[], content).await.expect(201);

    let (auth, id) = token(&teams.as_("reader"), &json!({"name": "short-lived"})).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let blob =
        client.get(format!("{}/v2/team/app/blobs/{digest}", teams.app.endpoint())).header("authorization", &auth);
    let mut answer = blob.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut got = answer.chunk().await.expect("it goes on").expect("its beginning").len();
    teams.raw.delete(&format!("/token/{id}")).await.expect(200);
    // What is on its way still comes, and then the connection ends before the body does. A client with a slow line: the server
    // answers another request between two pieces.
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(bytes)) => {
                got += bytes.len();
                teams.raw.get("/health").await.expect(200);
            }
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && got < LARGE, "{got} bytes of {LARGE} came");
}

#[tokio::test]
async fn what_a_member_may_ends_with_the_membership() {
    let teams = Teams::full().await;
    let writer = teams.as_("writer");
    writer.get(&teams.filled("/service/{service}")).await.expect(200);
    teams.raw.put("/owner/team/member/writer", &json!({"role": "reader"})).await.expect(200);
    writer.patch(&teams.filled("/service/{service}"), &json!({"scale": 2})).await.error(403);
    assert_eq!(put(&writer, "team/app", "v1", "x").await, 403);
    // Everybody may leave.
    writer.delete("/owner/team/member/writer").await.expect(200);
    writer.get(&teams.filled("/service/{service}")).await.error(404);
    writer.get("/v2/team/app/tags/list").await.expect(403);
    assert_eq!(teams.raw.delete("/owner/team/member/writer").await.error(404).error_code, "MemberDoesNotExist");
    // Nobody gives more than they have.
    teams.raw.put("/owner/team/member/maintainer", &json!({"role": "maintainer", "tags": "dev-*"})).await.expect(200);
    let bounded = teams.as_("maintainer");
    bounded.put("/owner/team/member/guest", &json!({"role": "writer"})).await.error(403);
    bounded.put("/owner/team/member/guest", &json!({"role": "writer", "tags": "dev-*"})).await.expect(200);
    assert_eq!(put(&bounded, "team/app", "dev-1", "x").await, 201);
    assert_eq!(put(&bounded, "team/app", "v1", "x").await, 403);
}

#[tokio::test]
async fn who_may_make_no_environment_is_told_who_may() {
    let teams = Teams::full().await;
    let environment = json!({"environment_name": "q", "operating_system": "linux"});
    let refused = teams.as_("writer").post("/environment", &environment).await.error(403);
    assert!(refused.message.contains("it takes a maintainer of one"), "{}", refused.message);
    assert!(refused.hint.is_some_and(|hint| hint.contains("l0 whoami")));
}

#[tokio::test]
async fn the_audit_log_writes_every_entity_in_one_way() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = crate::support::environment(&client, "dev").await;
    crate::support::done(&client, client.environment_delete(&id).await).await;
    let entries = Raw::of(&app).get("/admin/audit?limit=1").await.expect(200).json();
    assert_eq!(
        (&entries[0]["action"], &entries[0]["target"]),
        (&json!("environment_delete"), &json!(format!("environment `{id}`")))
    );
}

/// Whoever may not pull an image may not have the engine pull it either.
#[tokio::test]
async fn nobody_runs_an_image_that_they_may_not_pull() {
    let teams = Teams::full().await;
    let stranger = teams.as_("stranger");
    let environment = json!({"environment_name": "theirs", "operating_system": "linux"});
    let made = stranger.post("/environment", &environment).await.expect(201).json();
    let environment = made["entity_id"].as_str().expect("an id").to_owned();
    let shown = stranger.get(&format!("/environment/{environment}")).await.expect(200).json();
    assert_eq!(shown["owner_name"], "other", "the only owner in which it could be made");
    let client = teams.app.client_as(Some(&teams.auth("stranger")["Basic ".len()..]));
    for tag in ["1", "none"] {
        let image = format!("registry.layer0.test/team/app:{tag}");
        let deploy = crate::support::new_deploy("theirs", definition(&image, &[]).to_string());
        let deploy = client.deploy_create(&deploy).await.expect("a legal deploy").entity_id;
        let service = crate::support::new_service("theirs", &environment, &deploy, 1);
        let (status, error) = refused(client.service_create(&service).await);
        assert_eq!((status, error.error_code.as_str()), (422, "PullCheckFailed"));
        assert!(error.message.contains("you may not pull from `team/app`"), "{error:?}");
        // Leaving out the check leaves out no right.
        let skipped = layer0_api::types::CreateServiceRequest { skip_pull_check: true, ..service };
        assert_eq!(refused(client.service_create(&skipped).await).1.error_code, "PullCheckFailed");
        let checked = stranger.get(&format!("/image/check?image={image}")).await.expect(200).text();
        assert!(!checked.contains("sha256:") && checked.contains("you may not pull"), "{checked}");
        let resolved = stranger.get(&format!("/image/resolve?image={image}")).await.expect(200).text();
        assert!(!resolved.contains("sha256:") && resolved.contains("you may not pull"), "{resolved}");
    }
    teams.raw.patch("/repository/team/app", &json!({"visibility": "public"})).await.expect(200);
    let service = crate::support::new_service("theirs", &environment, "theirs.1", 1);
    crate::support::done(&client, client.service_create(&service).await).await;
}

/// Whoever reaches the machine reads the admin's token there.
#[tokio::test]
async fn only_admins_make_deploys_that_reach_the_machine() {
    let teams = Teams::full().await;
    let deploy = |name: &str, definition: &Value| crate::support::new_deploy(name, definition.to_string());
    let writer = teams.app.client_as(Some(&teams.auth("writer")["Basic ".len()..]));
    let plain = definition("registry.layer0.test/team/app:1", &[]);
    let container = |field: &str, value: Value| {
        let mut changed = plain.clone();
        changed["containerDefinitions"][0][field] = value;
        changed
    };
    let task = |field: &str, value: Value| {
        let mut changed = plain.clone();
        changed[field] = value;
        changed
    };
    let volume =
        |configuration: Value| task("volumes", json!([{"name": "v", "dockerVolumeConfiguration": configuration}]));
    for (field, reaching) in [
        ("privileged", container("privileged", json!(true))),
        ("capabilities.add", container("linuxParameters", json!({"capabilities": {"add": ["SYS_ADMIN"]}}))),
        ("devices", container("linuxParameters", json!({"devices": [{"hostPath": "/dev/sda"}]}))),
        ("dockerSecurityOptions", container("dockerSecurityOptions", json!(["apparmor:unconfined"]))),
        ("pidMode", task("pidMode", json!("host"))),
        ("ipcMode", task("ipcMode", json!("host"))),
        ("sourcePath", task("volumes", json!([{"name": "v", "host": {"sourcePath": "/"}}]))),
        ("scope", volume(json!({"scope": "shared"}))),
        ("driverOpts", volume(json!({"driverOpts": {"type": "none", "o": "bind", "device": "/"}}))),
        ("driver", volume(json!({"driver": "other"}))),
    ] {
        let (status, error) = refused(writer.deploy_create(&deploy("reach", &reaching)).await);
        assert_eq!((status, error.error_code.as_str()), (403, "Forbidden"), "{field}");
        assert!(error.message.contains(field), "{field}: {}", error.message);
        teams.app.client().deploy_create(&deploy("root", &reaching)).await.expect(field);
    }
    writer.deploy_create(&deploy("plain", &plain)).await.expect("a plain one");
}

#[tokio::test]
async fn an_owner_that_its_repository_made_gets_its_quota_by_an_update() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/squad", &json!({"name": "app"})).await.expect(201);
    let refused = raw.post("/owner", &json!({"owner_name": "squad", "quota_bytes": 1000})).await.error(409);
    let hint = refused.hint.expect("a way on");
    assert!(hint.contains("l0 owner update squad --quota"), "{hint}");
}

#[tokio::test]
async fn the_last_admin_can_always_come_back() {
    let teams = Teams::empty().await;
    for answer in [
        teams.raw.delete("/user/admin").await,
        teams.raw.patch("/user/admin", &json!({"admin": false})).await,
        teams.raw.delete(&format!("/token/{}", teams.app.auth())).await,
    ] {
        assert_eq!(answer.error(409).error_code, "DependencyError");
    }
    let second = json!({"user_name": "second", "admin": true, "password": "correct horse"});
    teams.raw.post("/user", &second).await.expect(201);
    teams.raw.delete("/user/admin").await.expect(200);
    teams.raw.get("/whoami").await.error(401);
    let second = teams.raw.as_(Some(&basic("second", "correct horse")));
    second.get("/admin/audit").await.expect(200);
    second.delete("/user/second").await.error(409);
}

#[tokio::test]
async fn a_quota_stops_a_push_with_words_and_a_delete_makes_room() {
    let teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let quota = teams.raw.patch("/owner/team", &json!({"quota_bytes": 1000})).await.expect(200).json();
    assert_eq!((quota["quota_bytes"].as_i64(), quota["used_bytes"].as_i64()), (Some(1000), Some(0)));
    let writer = teams.as_("writer");
    let blob = |length: usize| {
        let content = "x".repeat(length);
        (format!("/v2/team/app/blobs/uploads/?digest={}", crate::support::digest(content.as_bytes())), content)
    };
    let (path, content) = blob(900);
    writer.send(Method::POST, &path, &[], content.clone()).await.expect(201);
    writer.send(Method::POST, &path, &[], content.clone()).await.expect(201);
    let (more, bytes) = blob(200);
    let refused = writer.send(Method::POST, &more, &[], bytes.clone()).await.expect(403).json();
    assert_eq!(refused["errors"][0]["code"], "DENIED");
    let words = refused["errors"][0]["message"].as_str().expect("words").to_owned();
    assert!(words.contains("may hold 1000 bytes and holds 900: 200 more do not fit"), "{words}");
    assert_eq!(put(&writer, "team/app", "v1", &"y".repeat(100)).await, 403);
    let used = teams.as_("reader").get("/owner/team").await.expect(200).json();
    assert_eq!(used["used_bytes"], 900);
    let digest = crate::support::digest(content.as_bytes());
    teams.as_("maintainer").delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    writer.send(Method::POST, &more, &[], bytes).await.expect(201);
    teams.raw.patch("/owner/team", &json!({"quota_bytes": 100})).await.expect(200);
    let begun = writer.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(403);
    assert!(begun.text().contains("is used up"), "{}", begun.text());
    teams.raw.patch("/owner/team", &json!({"remove_quota": true})).await.expect(200);
    writer.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
}

#[tokio::test]
async fn an_immutable_tag_stays_where_it_is() {
    let teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let maintainer = teams.as_("maintainer");
    let rule = json!({"repositories": "app", "tags": "v*", "except": ["*-rc*"]});
    assert_eq!(maintainer.post("/owner/team/immutable", &rule).await.expect(201).json(), rule);
    assert_eq!(put(&maintainer, "team/app", "v1", "x").await, 201);
    assert_eq!(put(&maintainer, "team/app", "v1", "x").await, 201, "the same again");
    assert_eq!(put(&maintainer, "team/app", "v1", "y").await, 403);
    assert_eq!(put(&maintainer, "team/app", "v1-rc1", "x").await, 201);
    assert_eq!(put(&maintainer, "team/app", "v1-rc1", "y").await, 201);
    let refused = maintainer.send(Method::DELETE, "/v2/team/app/manifests/v1", &[], "").await.expect(403);
    assert!(refused.text().contains("immutable by the rule team/app:v* but *-rc*"), "{}", refused.text());
    assert!(!refused.text().contains("push under"), "{}", refused.text());
    let refused = maintainer.delete("/repository/team/app/image/v1").await.error(409);
    assert_eq!(refused.error_code, "TagImmutable");
    let hint = refused.hint.expect("a way on");
    assert!(hint.contains("l0 repository immutable remove 'team/app' --tags 'v*'"), "{hint}");
    assert_eq!(teams.raw.delete("/repository/team/app?force=true").await.error(409).error_code, "TagImmutable");
    maintainer.delete("/owner/team/immutable?repositories=app&tags=v*").await.expect(200);
    maintainer.delete("/repository/team/app/image/v1").await.expect(200);
    assert_eq!(maintainer.delete("/owner/team/immutable?tags=v*").await.error(404).error_code, "TagRuleDoesNotExist");
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_from_where_and_what_came_of_it() {
    let teams = Teams::empty().await;
    teams.raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let writer = teams.as_("writer");
    assert_eq!(put(&writer, "team/app", "v1", "x").await, 201);
    writer.send(Method::DELETE, "/v2/team/app/manifests/v1", &[], "").await.expect(403);
    writer.delete("/repository/team/app").await.error(403);
    writer.delete("/repository/team/app/image/v1").await.error(403);
    teams.raw.as_(Some(&basic("mallory", "a wrong guess"))).get("/service").await.error(401);
    let (_, id) = token(&writer, &json!({"name": "ci"})).await;
    let secret = teams.raw.post("/token", &json!({})).await.expect(201).json();
    teams.raw.delete(&format!("/token/{}", secret["token"].as_str().expect("a token"))).await.expect(200);

    let entries = teams.raw.get("/admin/audit?limit=7").await.expect(200);
    assert!(!entries.text().contains(secret["token"].as_str().expect("a token")));
    let entries = entries.json();
    let line = |it: &Value| {
        let text = |key: &str| it[key].as_str().expect("text").to_owned();
        format!("{} {} {} {} {}", text("who"), text("from"), text("action"), text("target"), it["status"])
    };
    let lines: Vec<String> = entries.as_array().expect("a list").iter().map(line).collect();
    let own = secret["token_id"].as_str().expect("an id");
    assert_eq!(
        lines,
        [
            "writer 127.0.0.1 manifest_delete team/app:v1 403".to_owned(),
            "writer 127.0.0.1 repository_delete team/app 403".to_owned(),
            "writer 127.0.0.1 image_delete team/app:v1 403".to_owned(),
            "mallory 127.0.0.1 sign_in  401".to_owned(),
            format!("writer 127.0.0.1 token_create token {id} of writer 201"),
            format!("admin 127.0.0.1 token_create token {own} of admin 201"),
            format!("admin 127.0.0.1 token_revoke token {own} of admin 200"),
        ]
    );
    let of_writer = teams.raw.get("/admin/audit?who=writer&limit=1000").await.expect(200).json();
    assert_eq!(of_writer.as_array().map(Vec::len), Some(5), "the push, the three refusals, the token");
    assert_eq!(of_writer[0]["action"], "manifest_push");
    let last = entries[6]["sequence"].as_u64().expect("a number");
    let after = teams.raw.get(&format!("/admin/audit?after={last}")).await.expect(200).json();
    assert_eq!(after, json!([]), "reading is not written down");
    for bad in ["limit=x", "after=-1", "start=yesterday"] {
        teams.raw.get(&format!("/admin/audit?{bad}")).await.error(400);
    }
}

/// What is followed ends with the right to see it, as an upload does.
#[tokio::test]
async fn what_is_followed_ends_with_the_right_to_see_it() {
    let mut teams = Teams::full().await;
    teams.user("second").await;
    teams.raw.patch("/user/second", &json!({"admin": true})).await.expect(200);
    let auth = teams.auth("reader").to_owned();
    let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().expect("a client");
    let mut streams = Vec::new();
    for path in [
        teams.filled("/service/{service}/logs?follow=true"),
        teams.filled("/environment/{environment}/logs?follow=true"),
        "/admin/audit?follow=true".to_owned(),
        "/admin/logs?follow=true".to_owned(),
    ] {
        let auth = if path.starts_with("/admin") { teams.auth("second") } else { &auth };
        let answer = http.get(format!("{}{path}", teams.app.endpoint())).header("authorization", auth).send().await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status(), 200, "{path}");
        streams.push(tokio::spawn(answer.bytes()));
    }
    assert!(streams.iter().all(|stream| !stream.is_finished()));
    teams.raw.delete("/user/reader").await.expect(200);
    teams.raw.patch("/user/second", &json!({"admin": false})).await.expect(200);
    for stream in streams {
        tokio::time::timeout(Duration::from_secs(5), stream)
            .await
            .expect("it ends at once")
            .expect("no panic")
            .expect("whole");
    }
}

/// The OAuth2 flow: a refresh token makes registry tokens with all that its user may, until the user is shut out.
#[tokio::test]
async fn a_refresh_token_makes_registry_tokens_until_its_user_is_shut_out() {
    let mut teams = Teams::full().await;
    teams.user("alice").await;
    teams.raw.put("/owner/team/member/alice", &json!({"role": "writer"})).await.expect(200);
    teams.raw.patch("/user/alice", &json!({"password": "correct horse"})).await.expect(200);
    let nobody = teams.as_("anonymous");
    let form = async |fields: String| nobody.send(Method::POST, "/auth/token", &[], fields).await;
    let scope = "service=x&scope=repository:team/app:pull,push,delete";
    let by = "grant_type=password&username=alice&password=correct+horse";
    let plain = form(format!("{by}&{scope}")).await.expect(200).json();
    assert!(plain.get("refresh_token").is_none(), "nobody asked for one");
    let offline = form(format!("{by}&access_type=offline&{scope}")).await.expect(200).json();
    let refresh = offline["refresh_token"].as_str().expect("it was asked for").to_owned();
    // `docker login` asks so, and would keep it where podman then refuses to work.
    let get = teams.as_("alice").get(&format!("/auth/token?offline_token=true&{scope}")).await.expect(200).json();
    assert!(get.get("refresh_token").is_none(), "{get}");
    // It is no key to anything but the token endpoint.
    let bearer = teams.raw.as_(Some(&format!("Bearer {refresh}")));
    bearer.get("/v2/").await.expect(401);
    bearer.get("/service").await.error(401);
    let again = async || form(format!("grant_type=refresh_token&refresh_token={refresh}&{scope}")).await;
    let made = again().await.expect(200).json();
    let signed = teams.raw.as_(Some(&format!("Bearer {}", made["access_token"].as_str().expect("a token"))));
    assert_eq!(put(&signed, "team/app", "v1", "x").await, 201);
    signed.send(Method::DELETE, "/v2/team/app/manifests/v1", &[], "").await.expect(403);
    form("grant_type=refresh_token&refresh_token=garbage".to_owned()).await.expect(401);
    form("grant_type=magic".to_owned()).await.expect(400);
    teams.raw.patch("/user/alice", &json!({"password": "battery staple"})).await.expect(200);
    again().await.expect(401);
    assert_eq!(put(&signed, "team/app", "v2", "x").await, 401);
}
