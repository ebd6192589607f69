//! A job of a pipeline: it has no secret of ours, and its own platform says who it is.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_testkit::oidc::OidcIssuer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};

const SUBJECT: &str = "repo:octo/app:ref:refs/heads/main";

struct Pipeline {
    instance: Instance,
    issuer: OidcIssuer,
    _runtime: Runtime,
}

impl Pipeline {
    /// An instance whose `team` trusts a branch of a repository.
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let issuer = runtime.block_on(OidcIssuer::start());
        let instance = Instance::start(&["--engine", "fake"]);
        std::fs::create_dir(instance.path("job")).expect("a directory of our own");
        symlink(L0, instance.path("docker-credential-layer0")).expect("a link");
        instance.l0(&["repository", "create", "team/app"]).ok();
        let claim = format!("sub={SUBJECT}");
        let create = [
            "trust",
            "create",
            "team",
            "ci",
            "--issuer",
            issuer.url(),
            "--claim",
            &claim,
            "--scope",
            "pull,push:team/*",
        ];
        instance.l0(&create).ok().says("sub=repo:octo/app").says("60");
        Self { instance, issuer, _runtime: runtime }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.instance.address())
    }

    /// A program of the job, which knows nothing but where the server is, and what is given.
    fn job(&self, program: &str, arguments: &[&str], env: &[(&str, &str)], input: &str) -> Said {
        let mut command: Command = self.instance.command(program);
        let home = self.instance.path("job");
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("LAYER0_API_ENDPOINT", self.endpoint());
        for name in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CODEBUILD_BUILD_ID"] {
            command.env_remove(name);
        }
        run(command.args(arguments).envs(env.iter().copied()), input.as_bytes())
    }

    fn l0(&self, arguments: &[&str], env: &[(&str, &str)], input: &str) -> Said {
        self.job(L0, arguments, env, input)
    }

    /// What docker gets for the registry.
    fn get(&self, env: &[(&str, &str)]) -> Said {
        let helper = self.instance.path("docker-credential-layer0");
        self.job(helper.to_str().expect("text"), &["get"], env, &self.instance.address())
    }

    fn token(&self, changed: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut claims = json!({"sub": SUBJECT, "aud": self.endpoint(), "exp": now + 300});
        for (name, value) in changed.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.issuer.token(&claims)
    }

    /// How many tokens were given.
    fn exchanges(&self) -> usize {
        let audit = self.instance.l0(&["-o", "json", "admin", "audit"]).ok();
        let all = audit.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object in each line"));
        all.filter(|it| it["action"] == "token_exchange" && it["status"] == 201).count()
    }

    fn forget(&self) {
        std::fs::remove_dir_all(self.instance.path("job")).expect("it is there");
        std::fs::create_dir(self.instance.path("job")).expect("a directory of our own");
    }
}

#[test]
fn a_job_of_github_needs_nothing_but_its_server() {
    let pipeline = Pipeline::new();
    let url = pipeline.issuer.actions_url(SUBJECT);
    let actions =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "actions-credential")];
    let login = pipeline.l0(&["registry", "login"], &actions, "").ok();
    login.keeps_quiet_about("not signed in");
    let got = pipeline.get(&actions).ok().json();
    assert_eq!(got["Username"], "team+ci");
    let secret = got["Secret"].as_str().expect("a secret");
    assert!(secret.len() > 50 && !secret.starts_with("l0_"), "a credential for the registry and nothing else");
    // docker asks for each pull and push; the job shows who it is once.
    pipeline.get(&actions).ok();
    assert_eq!(pipeline.exchanges(), 1);
    // What ended is got anew.
    let tokens = pipeline.instance.json(&["token", "list"]);
    let given =
        tokens.as_array().expect("a list").iter().find(|it| it["owner"] == "team").expect("it is listed").clone();
    pipeline.instance.l0(&["token", "revoke", given["token_id"].as_str().expect("an id")]).ok();
    pipeline.get(&actions).ok();
    assert_eq!(pipeline.exchanges(), 2);
    pipeline.instance.l0(&["trust", "delete", "team", "ci"]).ok();
    let refused = pipeline.get(&actions).exits(1);
    assert!(refused.err.contains("no trust is about tokens of"), "{}", refused.all());
    assert!(!refused.all().contains("actions-credential"));
}

#[test]
fn a_job_that_may_not_ask_or_asks_another_server_gets_nothing() {
    let pipeline = Pipeline::new();
    let url = pipeline.issuer.actions_url(SUBJECT);
    let wrong = [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong")];
    pipeline.get(&wrong).exits(1).says("GitHub's actions make no token");
    let token = pipeline.token(&json!({}));
    let id = [("LAYER0_ID_TOKEN", token.as_str()), ("LAYER0_API_ENDPOINT", "http://other.example.com")];
    pipeline.get(&id).exits(1).says("credentials not found");
    pipeline.get(&[]).exits(1).says("credentials not found");
    let off = [("LAYER0_ID_TOKEN", token.as_str()), ("LAYER0_IDENTITY", "none")];
    pipeline.get(&off).exits(1).says("credentials not found");
    assert_eq!(pipeline.exchanges(), 0);
}

#[test]
fn what_one_job_got_is_no_other_jobs() {
    let pipeline = Pipeline::new();
    let token = |exp: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        pipeline.token(&json!({ "exp": now + exp }))
    };
    let (one, other) = (token(200), token(250));
    for (token, exchanges) in [(&one, 1), (&one, 1), (&other, 2), (&other, 2)] {
        pipeline.get(&[("LAYER0_ID_TOKEN", token.as_str())]).ok();
        assert_eq!(pipeline.exchanges(), exchanges);
    }
    // Nor one by another trust.
    let claim = format!("sub={SUBJECT}");
    let create = ["trust", "create", "team", "pull", "--issuer", pipeline.issuer.url(), "--claim", &claim];
    pipeline.instance.l0(&[&create[..], &["--scope", "pull:team/*"]].concat()).ok();
    for trust in ["pull", "ci"] {
        let said = format!("team/{trust}");
        let got = pipeline.get(&[("LAYER0_ID_TOKEN", other.as_str()), ("LAYER0_TRUST", said.as_str())]).ok().json();
        assert_eq!(got["Username"], format!("team+{trust}"));
    }
    // Nor anything of somebody who shows nothing.
    pipeline.get(&[]).exits(1).says("credentials not found");
}

#[test]
fn a_job_of_any_other_platform_shows_its_token() {
    let pipeline = Pipeline::new();
    let token = pipeline.token(&json!({}));
    let id = [("LAYER0_ID_TOKEN", token.as_str())];
    assert_eq!(pipeline.get(&id).ok().json()["Username"], "team+ci");
    pipeline.forget();
    let server = pipeline.endpoint();
    for (arguments, env, input) in [
        (vec!["login", "--ci"], &id[..], ""),
        (vec!["login", &server, "--oidc-token-stdin", "--trust", "team/ci"], &[], token.as_str()),
    ] {
        let said = pipeline.l0(&arguments, env, input).ok().says("as team+ci; the token is in").says("and ends");
        said.keeps_quiet_about(&token);
        pipeline.l0(&["whoami"], &[], "").ok().says("team+ci");
        pipeline.l0(&["image", "list", "team/app"], &[], "").ok();
        pipeline.l0(&["logout"], &[], "").ok();
        pipeline.l0(&["whoami"], &[], "").exits(2);
    }
    let tokens = pipeline.instance.json(&["token", "list"]);
    let left = tokens.as_array().expect("a list").iter().filter(|it| it["owner"] == "team").count();
    assert_eq!(left, 1, "what `logout` ends is revoked");

    let other = pipeline.token(&json!({"aud": "https://other.example.com"}));
    let refused = pipeline.l0(&["login", &server, "--oidc-token-stdin"], &[], &other).exits(4);
    refused.says("made for https://other.example.com").says(&format!("must be made for {server}"));
    let other = pipeline.token(&json!({"sub": "repo:octo/other"}));
    pipeline.l0(&["login", &server, "--oidc-token-stdin"], &[], &other).exits(4).says("no trust lets repo:octo/other");
    pipeline.l0(&["login", &server, "--ci"], &[], "").exits(2).says("id-token: write");
}

#[test]
fn without_aws_in_this_build_it_is_said() {
    let pipeline = Pipeline::new();
    let said = pipeline.l0(&["login", "--aws"], &[("AWS_EC2_METADATA_DISABLED", "true")], "");
    assert_ne!(said.code, Some(0));
    let says = if cfg!(feature = "aws") { "nothing can be signed with an AWS identity" } else { "built without AWS" };
    said.says(says);
}
