//! People who sign in at a provider: the whole way, with a provider on this machine that answers what a test tells it to.

use std::sync::Arc;
use std::time::Duration;

use layer0_server::testing::{TestApp, TestOptions, TestProvider};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::oidc::{DEVICE_CODE, OidcIssuer, USER_CODE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Raw, basic};

mod wrong;

/// The clock's beginning, 2024-01-01, in seconds.
const NOW: i64 = 1_704_067_200;

const CLIENT: &str = "layer0";
const SECRET: &str = "s3cr/t+";

struct Place {
    app: TestApp,
    clock: Arc<FixedClock>,
    /// The admin.
    raw: Raw,
    issuer: OidcIssuer,
}

impl Place {
    /// `team` and `other`, each with a repository; `platform` writes in the one, `leads` maintains it, `ops` are admins.
    async fn new() -> Self {
        Self::with(Some(SECRET), Duration::from_secs(10)).await
    }

    async fn with(secret: Option<&'static str>, patience: Duration) -> Self {
        let (clock, issuer) = (Arc::new(FixedClock::default()), OidcIssuer::start().await);
        let provider = TestProvider {
            issuer: issuer.url().to_owned(),
            client_id: CLIENT,
            secret,
            groups: &["platform=team:writer", "leads=team:maintainer", "absent=nowhere:writer", "ops=admin"],
            patience,
        };
        let provider = Some(provider);
        let app = TestApp::with(TestOptions { clock: clock.clone(), provider, ..TestOptions::default() }).await;
        let raw = Raw::of(&app);
        for owner in ["team", "other"] {
            raw.post("/owner", &json!({"owner_name": owner})).await.expect(201);
            raw.post(&format!("/repository/{owner}"), &json!({"name": "app"})).await.expect(201);
        }
        Self { app, clock, raw, issuer }
    }

    /// What the provider says of alice, changed as the test wants it.
    fn claims(changed: &Value) -> Value {
        let mut claims = json!({"sub": "u1", "preferred_username": "alice", "email": "alice@example.com",
            "email_verified": true, "groups": ["platform"], "aud": CLIENT, "iat": NOW, "exp": NOW + 90_000});
        for (name, value) in changed.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// Asks how the sign-in stands, as one who has nothing.
    async fn ask(&self) -> Answer {
        self.raw.as_(None).post("/auth/device/token", &json!({"device_code": DEVICE_CODE, "name": "laptop"})).await
    }

    /// Asks after somebody has agreed of whom the provider says this.
    async fn shown(&self, changed: Value) -> Answer {
        self.issuer.device_agrees(&Self::claims(&changed));
        self.ask().await
    }

    /// Signs somebody in.
    async fn signed_in(&self, changed: Value) -> (Value, Raw) {
        let answer = self.shown(changed).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.json();
        assert_eq!(answer["state"], "signed_in");
        let token = answer["token"].clone();
        let (user, secret) = (token["user"].as_str().expect("a user"), token["secret"].as_str().expect("a secret"));
        let raw = self.raw.as_(Some(&basic(user, secret)));
        (token, raw)
    }

    /// The places of a user: `owner role`, with a star for those that a group gave.
    async fn places(&self, user: &str) -> Vec<String> {
        let mut places = vec![];
        for owner in ["other", "team"] {
            let all = self.raw.get(&format!("/owner/{owner}/member")).await.expect(200).json();
            for it in all.as_array().expect("a list").iter().filter(|it| it["user_name"] == user) {
                let by_group = if it["by_group"] == true { "*" } else { "" };
                places.push(format!("{owner} {}{by_group}", it["role"].as_str().expect("a role")));
            }
        }
        places
    }

    async fn audit(&self) -> Vec<String> {
        let all = self.raw.get("/admin/audit?limit=1000").await.expect(200).json();
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let line =
            |it: &Value| format!("{} {} {} {}", text(it, "who"), text(it, "action"), text(it, "target"), it["status"]);
        all.as_array().expect("a list").iter().map(line).filter(|it| it.contains("device_token")).collect()
    }
}

#[tokio::test]
async fn somebody_agrees_at_the_provider_and_gets_a_token_of_what_the_groups_give() {
    let place = Place::new().await;
    let begun = place.raw.as_(None).post("/auth/device", &json!({})).await.expect(200);
    assert_eq!(begun.header("cache-control"), "no-store");
    let begun = begun.json();
    assert_eq!((begun["user_code"].as_str(), begun["interval"].as_i64()), (Some(USER_CODE), Some(1)));
    assert_eq!(begun["verification_uri"], format!("{}/activate", place.issuer.url()));
    assert_eq!(begun["issuer"], place.issuer.url());
    for (refusal, state) in [("authorization_pending", "pending"), ("slow_down", "slow_down")] {
        place.issuer.device_refuses(refusal);
        assert_eq!(place.ask().await.expect(200).json(), json!({"state": state}));
    }
    let (token, alice) = place.signed_in(json!({})).await;
    assert_eq!((token["user"].as_str(), token["name"].as_str()), (Some("alice"), Some("laptop")));
    assert_eq!(token["expires"], "2024-01-01T12:00:00.000Z");
    let who = alice.get("/whoami").await.expect(200).json();
    assert_eq!((who["who"].as_str(), who["admin"].as_bool()), (Some("alice"), Some(false)));
    assert_eq!(place.places("alice").await, ["team writer*"]);
    alice.push("team/app", "1", "amd64", "x").await;
    alice.send(Method::POST, "/v2/other/app/blobs/uploads/", &[], "").await.expect(403);
    // docker's credential comes of it as of any other, and ends with it.
    let credential = alice.get("/token/registry").await.expect(200).json();
    let docker = basic(credential["user"].as_str().expect("a user"), credential["secret"].as_str().expect("a secret"));
    let docker = place.raw.as_(Some(&docker));
    docker.get("/v2/team/app/manifests/1").await.expect(200);
    let user = place.raw.get("/user/alice").await.expect(200).json();
    assert_eq!((user["issuer"].as_str(), user["subject"].as_str()), (Some(place.issuer.url()), Some("u1")));
    // The client's secret goes to the provider, encoded as the standard wants it, and nowhere else.
    let asked = place.issuer.device_asked();
    assert_eq!((asked[0].path.as_str(), asked[0].form.as_str()), ("/device", "scope=openid%20profile%20email"));
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    assert_eq!(asked[1].form, format!("grant_type={grant}&device_code={DEVICE_CODE}"));
    assert!(asked.iter().all(|it| it.authorization == basic("layer0", "s3cr%2Ft%2B")), "{asked:?}");
    let said = format!("alice device_token for u1 of {} 200", place.issuer.url());
    assert_eq!(place.audit().await, [said]);
    place.clock.advance_ms(12 * 60 * 60 * 1000);
    alice.get("/whoami").await.error(401);
    docker.get("/v2/team/app/manifests/1").await.expect(401);
}

#[tokio::test]
async fn the_groups_are_followed_with_each_sign_in_and_what_was_given_by_hand_stays() {
    let place = Place::new().await;
    let (_, alice) = place.signed_in(json!({"groups": ["platform", "absent", "strangers"]})).await;
    assert_eq!(place.places("alice").await, ["team writer*"]);
    place.raw.put("/owner/other/member/alice", &json!({"role": "reader"})).await.expect(200);
    // The highest of several; one group as a text.
    place.signed_in(json!({"groups": ["platform", "leads"]})).await;
    assert_eq!(place.places("alice").await, ["other reader", "team maintainer*"]);
    place.signed_in(json!({"groups": "platform"})).await;
    assert_eq!(place.places("alice").await, ["other reader", "team writer*"]);
    // Out of the group: at once, for tokens of before too.
    alice.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    place.signed_in(json!({"groups": null})).await;
    assert_eq!(place.places("alice").await, ["other reader"]);
    alice.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(403);
    // A place by hand counts before a group's, and is not taken by its end.
    place.raw.put("/owner/team/member/alice", &json!({"role": "reader"})).await.expect(200);
    place.signed_in(json!({"groups": ["leads"]})).await;
    place.signed_in(json!({"groups": []})).await;
    assert_eq!(place.places("alice").await, ["other reader", "team reader"]);
    // One that an admin makes of a group's place is by hand from then on.
    place.raw.delete("/owner/team/member/alice").await.expect(200);
    place.signed_in(json!({"groups": ["platform"]})).await;
    place.raw.put("/owner/team/member/alice", &json!({"role": "writer"})).await.expect(200);
    place.signed_in(json!({"groups": []})).await;
    assert_eq!(place.places("alice").await, ["other reader", "team writer"]);
}

#[tokio::test]
async fn a_group_makes_an_admin_only_as_long_as_one_is_in_it() {
    let place = Place::new().await;
    let admin = async || place.raw.get("/user/alice").await.expect(200).json()["admin"].clone();
    let (_, alice) = place.signed_in(json!({"groups": ["ops"]})).await;
    assert_eq!(admin().await, true);
    alice.get("/admin/audit").await.expect(200);
    place.signed_in(json!({"groups": ["admin", "platform"]})).await;
    assert_eq!(admin().await, false);
    alice.get("/admin/audit").await.error(403);
    place.raw.send(Method::PATCH, "/user/alice", &[], json!({"admin": true}).to_string()).await.expect(200);
    place.signed_in(json!({"groups": []})).await;
    assert_eq!(admin().await, true, "by hand");
}

#[tokio::test]
async fn nobody_makes_last_what_a_group_gives() {
    let place = Place::new().await;
    let (_, alice) = place.signed_in(json!({"groups": ["ops", "leads"]})).await;
    let change = async |body: Value| alice.send(Method::PATCH, "/user/alice", &[], body.to_string()).await;
    change(json!({"password": "correct horse"})).await.error(403);
    change(json!({"admin": true})).await.error(403);
    alice.put("/owner/team/member/alice", &json!({"role": "maintainer"})).await.error(403);
    // Nor where no group has given a place, or gives none any more.
    alice.put("/owner/other/member/alice", &json!({"role": "reader"})).await.error(403);
    alice.delete("/owner/team/member/alice").await.expect(200);
    alice.put("/owner/team/member/alice", &json!({"role": "maintainer"})).await.error(403);
    // Whoever is a maintainer by hand may become less.
    place.raw.put("/owner/other/member/alice", &json!({"role": "maintainer"})).await.expect(200);
    alice.put("/owner/other/member/alice", &json!({"role": "reader"})).await.expect(200);
    place.signed_in(json!({"groups": []})).await;
    assert_eq!(place.places("alice").await, ["other reader"]);
    assert_eq!(place.raw.get("/user/alice").await.expect(200).json()["admin"], false);
}

#[tokio::test]
async fn a_name_is_never_taken_over() {
    let place = Place::new().await;
    place.raw.post("/user", &json!({"user_name": "bob", "password": "correct horse"})).await.expect(201);
    place.signed_in(json!({})).await;
    let collision = async |changed: Value, says: &str| {
        let error = place.shown(changed.clone()).await.error(403);
        assert!(error.message.contains(says), "{changed}: {error:?}");
        assert!(error.message.contains("`l0 user create NAME --subject 'u2'`"), "{changed}: {error:?}");
    };
    for name in ["bob", "alice"] {
        collision(json!({"sub": "u2", "preferred_username": name}), "belongs to another user here").await;
    }
    for (name, says) in [
        ("l0-pull", "kept for Layer0"),
        ("admin", "kept for Layer0"),
        ("anonymous", "kept for Layer0"),
        ("retention", "kept for Layer0"),
        ("team+ci", "`+` is not allowed"),
        ("carol smith", "can't be a name"),
        ("../carol", "can't be a name"),
    ] {
        collision(json!({"sub": "u2", "preferred_username": name}), says).await;
    }
    collision(json!({"sub": "u2", "preferred_username": null, "email_verified": false}), "not verified").await;
    let names: Vec<Value> = place
        .raw
        .get("/user")
        .await
        .expect(200)
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["user_name"].clone())
        .collect();
    assert_eq!(names, ["admin", "alice", "bob"], "nobody was made");
    // Whoever is known keeps the user, whatever the provider calls them now.
    let (token, _) = place.signed_in(json!({"preferred_username": "bob"})).await;
    assert_eq!(token["user"], "alice");
    // An admin says who is who.
    let made = place.raw.post("/user", &json!({"user_name": "bob2", "subject": "u2"})).await.expect(201).json();
    assert_eq!(made["subject"], "u2");
    assert_eq!(place.signed_in(json!({"sub": "u2", "preferred_username": "bob"})).await.0["user"], "bob2");
    assert_eq!(
        place.raw.post("/user", &json!({"user_name": "x", "subject": "u2"})).await.error(409).error_code,
        "NameTaken"
    );
    place.raw.post("/user", &json!({"user_name": "x", "subject": "a\nb"})).await.error(422);
}

#[tokio::test]
async fn whoever_was_deleted_does_not_come_back_by_signing_in() {
    let place = Place::new().await;
    let (_, alice) = place.signed_in(json!({})).await;
    place.raw.delete("/user/alice").await.expect(200);
    alice.get("/whoami").await.error(401);
    let error = place.shown(json!({})).await.error(403);
    assert!(error.message.contains("was deleted here") && error.message.contains("--subject 'u1'"), "{error:?}");
    // Nor as a local user of that name.
    place.raw.post("/user", &json!({"user_name": "alice"})).await.expect(201);
    place.shown(json!({})).await.error(403);
    let refused = place.audit().await;
    let said = format!("u1 of {} device_token  401", place.issuer.url());
    assert!(refused.contains(&said), "{refused:?}");
    place.raw.post("/user", &json!({"user_name": "alice2", "subject": "u1"})).await.expect(201);
    assert_eq!(place.signed_in(json!({})).await.0["user"], "alice2");
}

#[tokio::test]
async fn nothing_that_one_makes_oneself_outlives_the_sign_in() {
    let place = Place::new().await;
    let (token, alice) = place.signed_in(json!({})).await;
    for request in [json!({"name": "mine", "expires_days": 3650}), json!({"name": "mine", "expires_days": 0})] {
        assert_eq!(alice.post("/token", &request).await.expect(201).json()["expires"], "2024-01-01T12:00:00.000Z");
    }
    let id = token["token_id"].as_str().expect("an id");
    alice.post(&format!("/token/{id}/rotate"), &json!({})).await.error(403);
    let password = json!({"password": "correct horse"}).to_string();
    alice.send(Method::PATCH, "/user/alice", &[], password.clone()).await.error(403);
    // An admin may; and a robot is the owner's, not the person's.
    place.raw.send(Method::PATCH, "/user/alice", &[], password).await.expect(200);
    let (_, lead) = place.signed_in(json!({"sub": "u3", "preferred_username": "lead", "groups": ["leads"]})).await;
    let robot = json!({"name": "ci", "owner": "team", "scopes": ["pull:team/*"], "expires_days": 30});
    assert_eq!(lead.post("/token", &robot).await.expect(201).json()["expires"], "2024-01-31T00:00:00.000Z");
    // `l0 logout` ends it at once.
    alice.delete(&format!("/token/{id}")).await.expect(200);
    alice.get("/whoami").await.error(401);
}

#[tokio::test]
async fn a_secret_is_shown_as_the_provider_takes_it() {
    let place = Place::new().await;
    place.issuer.auth_methods(json!(["client_secret_post", "private_key_jwt"]));
    place.signed_in(json!({})).await;
    let asked = place.issuer.device_asked();
    assert!(asked[0].authorization.is_empty(), "{asked:?}");
    assert!(asked[0].form.ends_with("&client_id=layer0&client_secret=s3cr%2Ft%2B"), "{asked:?}");
}

#[tokio::test]
async fn sign_ins_of_an_address_are_bounded() {
    let place = Place::new().await;
    for _ in 0..120 {
        place.ask().await.expect(200);
    }
    assert_eq!(place.ask().await.error(429).error_code, "Throttled");
    assert_eq!(place.raw.as_(None).post("/auth/device", &json!({})).await.error(429).error_code, "Throttled");
    place.clock.advance_ms(500);
    place.ask().await.expect(200);
    assert_eq!(place.issuer.device_asked().len(), 121, "the provider hears of no more");
    drop(place.app);
}
