//! The guestbook of the examples, on one machine and on AWS: the very same file, the same commands, the same page.

use std::collections::BTreeSet;
use std::process::Command;

use crate::cloud::Cloud;
use crate::common::http::{Answer, Connection};
use crate::common::instance::Instance;
use crate::common::port::free_port;
use crate::common::run::run;
use crate::common::until::until;
use crate::emulator::{emulator, stacks};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What differs between the two places, none of which a user of them types.
trait Place {
    fn instance(&self) -> &Instance;
    /// What stands before `demo/guestbook` where docker pushes it to.
    fn registry(&self) -> String;
    /// Where a connection to a load balancer of this host really goes.
    fn way_to(&self, host: &str) -> String;
    /// How many containers of it really run.
    fn containers(&self) -> usize;
    /// What is left of the instance, anywhere.
    fn left(&self) -> Vec<String>;
}

/// The one machine, with the registry of the instance. Dropping it takes away what a failed test leaves.
struct Machine(Instance);

impl Machine {
    fn listed(&self, list: &[&str], format: &str) -> Vec<String> {
        let format = format!("{{{{.Label \"layer0.instance\"}}}} {format}");
        let filter = ["--filter", "label=layer0.instance", "--format", &format];
        let said = run(Command::new("docker").args([list, &filter].concat()), b"").ok();
        let ours = said.out.lines().filter(|line| line.starts_with(&format!("{}-", self.0.name)));
        ours.filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
    }
}

impl Place for Machine {
    fn instance(&self) -> &Instance {
        &self.0
    }

    fn registry(&self) -> String {
        self.0.address()
    }

    fn way_to(&self, host: &str) -> String {
        host.to_owned()
    }

    fn containers(&self) -> usize {
        self.listed(&["ps"], "{{.Label \"layer0.role\"}}").iter().filter(|role| *role == "app").count()
    }

    fn left(&self) -> Vec<String> {
        let containers = self.listed(&["ps", "--all"], "container {{.Names}}");
        let networks = self.listed(&["network", "ls"], "network {{.Name}}");
        [containers, networks, self.listed(&["volume", "ls"], "volume {{.Name}}")].concat()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.server_end();
        for left in self.left() {
            let Some((kind, name)) = left.split_once(' ') else { continue };
            let force: &[&str] = if kind == "container" { &["--force", "--volumes"] } else { &[] };
            drop(run(Command::new("docker").args([kind, "rm"]).args(force).arg(name), b""));
        }
        images_remove(&self.registry());
    }
}

impl Place for Cloud {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn registry(&self) -> String {
        format!("{}/{}", emulator(), self.instance.name)
    }

    fn way_to(&self, _host: &str) -> String {
        // The emulator tells load balancers apart by the host that is asked for.
        emulator()
    }

    fn containers(&self) -> usize {
        Cloud::containers(self).len()
    }

    fn left(&self) -> Vec<String> {
        let containers = Cloud::containers(self).into_iter();
        containers.chain(stacks().into_iter().filter(|name| name.starts_with(&format!("l0-{}-", self.name)))).collect()
    }
}

fn images_remove(prefix: &str) {
    let listed = run(Command::new("docker").args(["images", "--format", "{{.Repository}} {{.ID}}"]), b"");
    let ours = listed.out.lines().filter(|image| image.starts_with(&format!("{prefix}/")));
    for id in ours.filter_map(|image| image.split(' ').nth(1)) {
        drop(run(Command::new("docker").args(["rmi", "--force", id]), b""));
    }
}

/// Builds a version and pushes it.
#[track_caller]
fn push(place: &dyn Place, version: &str) {
    let image = format!("{}/demo/guestbook:{version}", place.registry());
    let script = format!("{ROOT}/scripts/guestbook-image.sh");
    run(Command::new(script).args([version, &image]).current_dir(ROOT), b"").ok();
    run(place.instance().command("docker").args(["push", "--quiet", &image]), b"").ok();
}

/// Asks through the load balancer, at the URL that `l0` tells.
fn ask(place: &dyn Place, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let balancer = place.instance().one(&["loadbalancer", "get", "demo:web"]);
    let url = balancer["url"].as_str().unwrap_or_default();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut connection = Connection::open_as(&place.way_to(host), host)?;
    let form = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n";
    let answer = connection.request(method, path, form, body.as_bytes())?;
    if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
}

/// Waits for an answer that is as it should be.
#[track_caller]
fn answered(place: &dyn Place, path: &str, text: &str) -> String {
    until(&format!("{path} to say `{text}`"), || {
        let body = ask(place, "GET", path, "")?.body;
        if body.contains(text) { Ok(body) } else { Err(body) }
    })
}

/// A day of the guestbook.
fn lives(place: &dyn Place) {
    let l0 = |line: &str| place.instance().l0(&line.split_whitespace().collect::<Vec<_>>()).ok();
    push(place, "v1");
    push(place, "v2");
    l0("environment create demo").says("demo");
    let port = free_port();
    l0(&format!(
        "loadbalancer create demo web --port {port}:8080/http --healthcheck-path /health --healthcheck-interval 5 \
         --healthcheck-timeout 2"
    ))
    .says(&format!("{port}:8080/HTTP"));
    let made = l0(&format!("deploy create {ROOT}/examples/guestbook/Dockerrun.aws.json guestbook"));
    made.says(&format!("registry.layer0.test/demo/guestbook:v1 -> {}/demo/guestbook:v1", place.registry()));
    l0("image check registry.layer0.test/demo/guestbook:v1 --environment demo").keeps_quiet_about("failed");

    l0("service create demo guestbook guestbook:latest --loadbalancer demo:web").says("1 copy runs and is healthy");
    assert_eq!(place.containers(), 1);
    answered(place, "/", "Welcome to Layer0");
    ask(place, "POST", "/", "name=Ada&message=Pushed%2C+named%2C+running").expect("it is taken");
    answered(place, "/", "<strong>Ada</strong>: Pushed, named, running");
    l0("service logs demo:guestbook").says("guestbook v1 listens on").says("POST / 200");

    l0("service scale demo:guestbook 3").says("3/3");
    assert_eq!(place.containers(), 3);
    let mut copies = BTreeSet::new();
    until("each of the three copies to have answered", || {
        let page = ask(place, "GET", "/", "")?.body;
        let footer = page.split("<footer>").nth(1).unwrap_or_default();
        copies.insert(footer.split("</footer>").next().unwrap_or_default().to_owned());
        if copies.len() == 3 { Ok(()) } else { Err(format!("{copies:?}")) }
    });

    // Version 2 is the same file with another tag.
    let file = std::fs::read_to_string(format!("{ROOT}/examples/guestbook/Dockerrun.aws.json")).expect("the example");
    let second = place.instance().file("Dockerrun.aws.json", file.replace("demo/guestbook:v1", "demo/guestbook:v2"));
    l0(&format!("deploy create {second} guestbook"));
    l0("service update demo:guestbook guestbook:latest").says("3 copies run and are healthy").says("guestbook:2");
    until("the old copies to be gone", || match place.containers() {
        3 => Ok(()),
        count => Err(format!("{count} containers")),
    });
    answered(place, "/version", "v2");
    l0("service logs demo:guestbook").says("guestbook v2 listens on");
    l0("service scale demo:guestbook 1").says("1/1");

    l0("service delete demo:guestbook");
    l0("loadbalancer delete demo:web");
    l0("environment delete demo");
    l0("deploy delete guestbook:1");
    l0("deploy delete guestbook:2");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn the_guestbook_lives_on_one_machine() {
    let place = Machine(Instance::start(&[]));
    let instance = place.instance();
    instance.l0(&["repository", "create", "demo/guestbook"]).ok();
    let (user, secret) = instance.user_and_secret();
    let mut login = instance.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &place.registry()]), secret.as_bytes()).ok();
    lives(&place);
}

#[test]
fn the_guestbook_lives_on_aws() {
    lives(&Cloud::of("demo/guestbook"));
}
