//! `l0 login --sso`, with a provider on this machine that answers what a test tells it to.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_testkit::oidc::{OidcIssuer, USER_CODE};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};

struct Desk {
    instance: Instance,
    issuer: OidcIssuer,
    _runtime: Runtime,
}

impl Desk {
    /// A server with a provider, and somebody's own machine.
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let issuer = runtime.block_on(OidcIssuer::start());
        let groups = "platform=team:writer";
        let provider = ["--oidc-issuer", issuer.url(), "--oidc-client-id", "layer0", "--oidc-groups", groups];
        let mut instance = Instance::prepared(&[&["--engine", "fake"], &provider[..]].concat());
        instance.variable_set("LAYER0_OIDC_CLIENT_SECRET", "hush-hush");
        instance.server_start();
        std::fs::create_dir(instance.path("desk")).expect("a directory of our own");
        symlink(L0, instance.path("docker-credential-layer0")).expect("a link");
        instance.l0(&["repository", "create", "team/app"]).ok();
        Self { instance, issuer, _runtime: runtime }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.instance.address())
    }

    /// A program of somebody who is connected to nothing.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Said {
        let mut command: Command = self.instance.command(program);
        let home = self.instance.path("desk");
        run(command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).args(arguments), input.as_bytes())
    }

    fn l0(&self, arguments: &[&str]) -> Said {
        self.run(L0, arguments, "")
    }

    fn login(&self) -> Said {
        self.l0(&["login", &self.endpoint(), "--sso"])
    }

    fn agrees(&self, subject: &str, name: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.issuer.device_agrees(&json!({"sub": subject, "preferred_username": name, "groups": ["platform"],
            "aud": "layer0", "iat": now, "exp": now + 300}));
    }
}

#[test]
fn somebody_opens_an_address_and_is_signed_in_with_docker_too() {
    let desk = Desk::new();
    desk.issuer.device_refuses("authorization_pending");
    desk.issuer.device_refuses("slow_down");
    desk.agrees("u1", "alice");
    let said = desk.login().ok();
    let said = said.says(&format!("open {}/activate?user_code={USER_CODE}", desk.issuer.url()));
    let said = said.says(&format!("code {USER_CODE}")).says("for 10 minutes at most");
    let said = said.says("as alice; the token is in").says("and ends").keeps_quiet_about("hush-hush");
    assert!(said.took.as_secs() >= 8, "asked too often, it waits for five seconds more: {}", said.all());
    desk.l0(&["whoami"]).ok().says("alice").says("team");
    desk.l0(&["image", "list", "team/app"]).ok();
    let helper = desk.instance.path("docker-credential-layer0");
    let got = desk.run(helper.to_str().expect("text"), &["get"], &desk.instance.address()).ok().json();
    assert_eq!(got["Username"], "alice");
    let tokens = desk.instance.json(&["token", "list"]);
    let of_alice =
        |tokens: &Value| tokens.as_array().expect("a list").iter().filter(|it| it["user"] == "alice").count();
    assert_eq!(of_alice(&tokens), 1);
    let name = tokens.as_array().expect("a list").iter().find(|it| it["user"] == "alice").expect("it is listed");
    assert!(name["name"].as_str().is_some_and(|it| it.starts_with("l0-login")), "{name}");
    // The next login takes the place of the last, and `logout` ends it.
    desk.agrees("u1", "alice");
    desk.login().ok();
    assert_eq!(of_alice(&desk.instance.json(&["token", "list"])), 1);
    desk.l0(&["logout"]).ok();
    assert_eq!(of_alice(&desk.instance.json(&["token", "list"])), 0);
    assert!(!desk.instance.log().contains("hush-hush"));
}

#[test]
fn why_nobody_is_signed_in_is_said_in_words() {
    let desk = Desk::new();
    desk.issuer.device_refuses("access_denied");
    desk.login().exits(4).says("refused at the provider");
    desk.issuer.device_refuses("expired_token");
    desk.login().exits(4).says("the code has expired").says("`l0 login --sso`");
    desk.agrees("u1", "admin");
    desk.login().exits(4).says("the provider's name `admin` is kept for Layer0 itself").says("--subject 'u1'");
    desk.l0(&["whoami"]).exits(2);
    // Nobody agrees while the code is good.
    let short = json!({"device_code": "d", "user_code": "A", "verification_uri": format!("{}/x", desk.issuer.url()),
        "expires_in": 1, "interval": 1});
    desk.issuer.device_begins(200, short);
    desk.login().exits(4).says("and type in the code A").says("nobody agreed in time");
    desk.issuer.away(true);
    let away = desk.login();
    assert_ne!(away.code, Some(0), "{}", away.all());
    away.says("does not let this server begin a sign-in (status 503)").says("Tokens and passwords go on signing in");
    // Whoever has a token goes on.
    desk.instance.l0(&["whoami"]).ok();
    for (arguments, says) in [
        (vec!["login", "--sso", "--user", "alice"], "cannot be used with"),
        (vec!["login", "--sso", "--ci"], "cannot be used with"),
    ] {
        desk.l0(&arguments).exits(2).says(says);
    }
}

#[test]
fn a_server_without_a_provider_says_so() {
    let instance = Instance::start(&["--engine", "fake"]);
    let endpoint = format!("http://{}", instance.address());
    instance.l0(&["login", &endpoint, "--sso"]).exits(3).says("no provider at which people sign in");
    let alone = instance.l0(&["user", "create", "alice", "--subject", "u1"]);
    alone.exits(4).says("there is no provider at which people sign in");
    let mut wrong = Instance::prepared(&["--engine", "fake", "--oidc-issuer", "http://sso.example.com"]);
    wrong.server_spawn();
    assert_eq!(wrong.server_ended(), Some(2));
    assert!(wrong.log().contains("--oidc-issuer: `http://sso.example.com`"), "{}", wrong.log());
}
