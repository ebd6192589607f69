//! People sign in at a real provider of OpenID Connect (`tools/go/oidc`), by the device flow: what a browser would do is done here by its
//! requests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::http::{Answer, Connection};
use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};
use crate::place::program;

const SECRET: &str = "hush hush + 100%";
const PASSWORD: &str = "very secure";

/// The provider. It ends when dropped.
struct Provider {
    process: Child,
    issuer: String,
    users: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Who there is, and in which groups alice is.
fn users(groups: &str) -> String {
    format!(
        r#"{{"alice": {{"ID": "alice", "Username": "alice", "Password": "{PASSWORD}", "Email": "alice@example.com",
            "EmailVerified": true, "Groups": [{groups}]}}}}"#
    )
}

impl Provider {
    fn start(instance: &Instance) -> Self {
        let users = instance.file("users.json", users(r#""platform", "strangers""#));
        let mut command = Command::new(program("oidc"));
        command.arg(&users).env("LAYER0_OIDC_CLIENT_SECRET", SECRET);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it was built");
        let mut issuer = String::new();
        let said = process.stdout.take().expect("piped");
        BufReader::new(said).read_line(&mut issuer).expect("it says where it listens");
        Self { process, issuer: issuer.trim().to_owned(), users }
    }

    fn alice_is_in(&self, groups: &str) {
        std::fs::write(&self.users, users(groups)).expect("a file of our own");
    }

    /// Sends a request, as a browser does that shows its cookie.
    fn browse(&self, method: &str, path: &str, cookie: &str, form: &str) -> Answer {
        let host = self.issuer.strip_prefix("http://").expect("it is on this machine");
        let headers =
            format!("Connection: close\r\nCookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let mut connection = Connection::open(host).expect("the provider listens");
        connection.request(method, path, &headers, form.as_bytes()).expect("it answers")
    }

    /// Opens an address, signs in as alice, and presses a button.
    fn decide(&self, address: &str, button: &str) {
        let path = address.strip_prefix(&self.issuer).expect("the address is the provider's");
        let page = self.browse("GET", path, "", "");
        assert_eq!(page.status, 200, "{}", page.body);
        let code = value_of(&page.body, "user_code");
        let form = format!("user_code={code}&username=alice&password={}", PASSWORD.replace(' ', "+"));
        let page = self.browse("POST", &target_of(&page.body), "", &form);
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains(&format!("action={button}")), "{}", page.body);
        let cookie = page.header("set-cookie").and_then(|it| it.split(';').next()).expect("it knows who signed in");
        let done = self.browse("GET", &format!("/device/confirm?action={button}"), cookie, "");
        assert!(done.body.contains(button), "{} {}", done.status, done.body);
    }
}

/// The value of a hidden field of a form.
fn value_of(page: &str, name: &str) -> String {
    let field = page.split("<input").find(|it| it.contains(&format!("name=\"{name}\""))).expect("the form has it");
    field.split_once("value=\"").and_then(|(_, rest)| rest.split_once('"')).expect("it has a value").0.to_owned()
}

/// Where a form is sent.
fn target_of(page: &str) -> String {
    page.split_once("action=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a form").0.to_owned()
}

/// `l0` of somebody who is connected to nothing.
fn desk(instance: &Instance, arguments: &[&str]) -> Command {
    let mut command = instance.command(L0);
    let home = instance.path("home");
    command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).args(arguments);
    command
}

/// Runs `l0 login --sso` while somebody signs in at the provider and presses a button.
fn login(instance: &Instance, provider: &Provider, button: &str) -> Said {
    let endpoint = format!("http://{}", instance.address());
    let mut command = desk(instance, &["login", &endpoint, "--sso"]);
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the built program");
    let mut talk = BufReader::new(process.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("open ") {
        line.clear();
        assert!(talk.read_line(&mut line).expect("text") > 0, "it says what to open");
    }
    provider.decide(line.trim_end().strip_prefix("open ").expect("just seen"), button);
    Said::gathered("l0 login --sso", process, talk)
}

#[test]
fn somebody_signs_in_at_a_real_provider_and_follows_its_groups() {
    let mut instance = Instance::prepared(&["--engine", "fake"]);
    let provider = Provider::start(&instance);
    let flags =
        ["--oidc-issuer", &provider.issuer, "--oidc-client-id", "layer0", "--oidc-groups", "platform=demo:writer"];
    instance.flags_add(&flags.map(str::to_owned));
    instance.variable_set("LAYER0_OIDC_CLIENT_SECRET", SECRET);
    instance.server_start();
    instance.l0(&["repository", "create", "demo/app"]).ok();
    let l0 = |arguments: &[&str]| run(&mut desk(&instance, arguments), b"");

    login(&instance, &provider, "denied").exits(4).says("refused at the provider");
    l0(&["whoami"]).exits(2);
    login(&instance, &provider, "allowed").ok().says("as alice; the token is in").says("and ends");
    l0(&["whoami"]).ok().says("alice").says("demo");
    let places = || instance.json(&["member", "list", "demo"]);
    assert_eq!(places()[0]["by_group"], true, "{}", places());
    instance.l0(&["member", "list", "demo"]).ok().says("GIVEN BY").says("group");
    assert_eq!(instance.one(&["user", "get", "alice"])["subject"], "alice");

    // Out of the group: with the next sign-in the place is gone.
    l0(&["image", "list", "demo/app"]).ok();
    provider.alice_is_in(r#""strangers""#);
    login(&instance, &provider, "allowed").ok();
    assert_eq!(places().as_array().map(Vec::len), Some(0));
    l0(&["image", "list", "demo/app"]).exits(3);
    provider.alice_is_in(r#""platform""#);
    login(&instance, &provider, "allowed").ok();
    l0(&["image", "list", "demo/app"]).ok();

    // With the provider gone nobody signs in, and whoever has a token goes on.
    drop(provider);
    let endpoint = format!("http://{}", instance.address());
    l0(&["login", &endpoint, "--sso"]).says("does not answer");
    l0(&["whoami"]).ok().says("alice");
    let audit = instance.l0(&["admin", "audit"]).ok();
    audit.says("alice").says("device_token").keeps_quiet_about("hush");
    l0(&["logout"]).ok();
    l0(&["whoami"]).exits(2);
    assert!(!instance.log().contains("hush"), "{}", instance.log());
}
