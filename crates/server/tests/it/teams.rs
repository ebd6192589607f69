//! An instance with two teams and what they have, for tests about who may do what.

use std::sync::Arc;

use layer0_api::types as wire;
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use serde_json::{Value, json};

use crate::support::{Raw, basic, definition, done, new_deploy, new_environment, new_load_balancer};

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Who calls, from the least to the most.
pub(crate) const CALLERS: [&str; 5] = ["reader", "writer", "maintainer", "stranger", "admin"];

/// `team` has a reader, a writer and a maintainer of these names, `other` has the maintainer `stranger`; all that there is
/// belongs to `team`.
pub(crate) struct Teams {
    pub(crate) app: TestApp,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) raw: Raw,
    /// Ids of what is there, by the word that stands for them in paths and bodies: `{service}`.
    pub(crate) ids: Vec<(&'static str, String)>,
    /// `Authorization` of each of [`CALLERS`], and of one that has `expired` and one that was `revoked`.
    auths: Vec<(String, String)>,
}

impl Teams {
    /// The two teams and their members, and nothing else.
    pub(crate) async fn empty() -> Self {
        let clock = Arc::new(FixedClock::default());
        let options = TestOptions { clock: clock.clone(), ..TestOptions::default() };
        let app = TestApp::with(options).await;
        let raw = Raw::of(&app);
        let mut teams = Self { app, clock, raw, ids: vec![], auths: vec![] };
        for owner in ["team", "other"] {
            teams.raw.post("/owner", &json!({"owner_name": owner})).await.expect(201);
        }
        for (user, owner, role) in [
            ("reader", "team", "reader"),
            ("writer", "team", "writer"),
            ("maintainer", "team", "maintainer"),
            ("stranger", "other", "maintainer"),
        ] {
            teams.user(user).await;
            let path = format!("/owner/{owner}/member/{user}");
            teams.raw.put(&path, &json!({"role": role})).await.expect(200);
        }
        teams.auths.push(("admin".to_owned(), format!("Basic {}", teams.app.auth())));
        teams
    }

    /// Makes a user with a token, who then is a caller.
    pub(crate) async fn user(&mut self, name: &str) {
        self.raw.post("/user", &json!({"user_name": name})).await.expect(201);
        let made = self.raw.post("/token", &json!({"name": name, "user": name})).await.expect(201).json();
        self.auths.push((name.to_owned(), basic(name, made["secret"].as_str().expect("a secret"))));
    }

    /// With one of everything, and tokens that open nothing any more.
    pub(crate) async fn full() -> Self {
        let mut teams = Self::empty().await;
        let (raw, client) = (&teams.raw, teams.app.client());
        let expired = raw.post("/token", &json!({"name": "expired", "expires_days": 1})).await.expect(201).json();
        teams.clock.advance_ms(DAY_MS);
        let revoked = raw.post("/token", &json!({"name": "revoked"})).await.expect(201).json();
        raw.delete(&format!("/token/{}", revoked["token_id"].as_str().expect("an id"))).await.expect(200);

        for name in ["app", "empty"] {
            raw.post("/repository/team", &json!({"name": name})).await.expect(201);
        }
        raw.push("team/app", "1", "amd64", "x").await;
        let owned = |mut it: wire::CreateEnvironmentRequest| {
            it.owner_name = Some("team".to_owned());
            it
        };
        let made = client.environment_create(&owned(new_environment("prod"))).await;
        let operation = made.as_ref().expect("accepted").operation_id.clone().expect("it has one");
        let environment = done(&client, made).await;
        let unused = done(&client, client.environment_create(&owned(new_environment("unused"))).await).await;
        let mut deploy = new_deploy("web", definition("registry.layer0.test/team/app:1", &[]).to_string());
        deploy.owner_name = Some("team".to_owned());
        let deploy = client.deploy_create(&deploy).await.expect("a legal deploy").entity_id;
        let balancer =
            done(&client, client.load_balancer_create(&new_load_balancer("lb", &environment, &[8080])).await).await;
        let service = crate::support::service(&client, "web", &environment, &deploy, 1).await;
        let task = client.task_create(&crate::support::new_task("job", &environment, &deploy)).await;
        let task = done(&client, task).await;
        let robot = json!({"name": "ci", "owner": "team", "scopes": ["pull:team/*"]});
        let robot = raw.post("/token", &robot).await.expect(201).json();
        let trust = json!({"trust_name": "ci", "issuer": "https://gitlab.com", "claims": ["project_path=group/ci"],
            "audience": "https://l0.example.com", "scopes": ["pull:team/*"]});
        raw.post("/owner/team/trust", &trust).await.expect(201);
        raw.post("/owner/team/immutable", &json!({"tags": "fixed-*"})).await.expect(201);
        raw.post("/owner/team/retention", &json!({"tags": "fixed-*", "keep_last": 5})).await.expect(201);
        raw.post("/user", &json!({"user_name": "guest"})).await.expect(201);
        let tag = json!({"entity_id": environment, "entity_type": "environment", "key": "k", "value": "v"});
        raw.post("/tag", &tag).await.expect(201);
        raw.post("/map", &json!({"rule": "docker.example.com|localhost:1"})).await.expect(201);
        raw.put("/owner/team/member/guest", &json!({"role": "reader"})).await.expect(200);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        teams.ids = vec![
            ("{environment}", environment),
            ("{unused}", unused),
            ("{deploy}", deploy),
            ("{lb}", balancer),
            ("{service}", service),
            ("{task}", task),
            ("{operation}", operation),
            ("{robot}", text(&robot["token_id"])),
        ];
        let auth = |it: &Value| format!("Basic {}", it["token"].as_str().expect("a token"));
        teams.auths.push(("expired".to_owned(), auth(&expired)));
        teams.auths.push(("revoked".to_owned(), auth(&revoked)));
        teams
    }

    /// The `Authorization` of a caller.
    pub(crate) fn auth(&self, caller: &str) -> &str {
        let found = self.auths.iter().find(|(name, _)| name == caller);
        &found.unwrap_or_else(|| panic!("there is no {caller}")).1
    }

    /// Signed in as a caller; as nobody for `anonymous`.
    pub(crate) fn as_(&self, caller: &str) -> Raw {
        self.raw.as_(if caller == "anonymous" { None } else { Some(self.auth(caller)) })
    }

    /// A path or body with the ids of what is there.
    pub(crate) fn filled(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (word, id)| text.replace(word, id))
    }
}
