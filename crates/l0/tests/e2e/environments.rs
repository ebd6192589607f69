//! Who reaches whom: environments apart, linked and unlinked again, load balancers public and private.

use serde_json::json;

use crate::common::http;
use crate::common::until::until;
use crate::stage::Stage;

const SERVE: [&str; 3] = ["serve", "8080", "sleep"];

/// Three environments, `a` with a service behind a public and one behind a private load balancer, `b` and `c` with one that
/// fetches for us.
struct Neighbours {
    stage: Stage,
    /// A public load balancer in front of each one's only copy, by environment.
    doors: [(&'static str, String); 3],
}

impl Neighbours {
    fn new() -> Self {
        let stage = Stage::with_versions(&["v1"]);
        stage.deploy("app", "v1", &SERVE, &json!({ "environment": [{ "name": "ANSWER", "value": "hello" }] }));
        let doors = ["a", "b", "c"].map(|name| {
            stage.l0(&["environment", "create", name]).ok();
            let door = format!("door{name}");
            stage.balancer(name, &door, &[]);
            let app = format!("app{name}");
            stage.l0(&["service", "create", name, &app, "app:1", "--loadbalancer", &door]).ok();
            let host = stage.host_of(&door);
            (name, host)
        });
        Self { stage, doors }
    }

    /// What a container in this environment gets from there.
    fn from(&self, environment: &str, target: &str) -> Result<String, String> {
        let (_, door) = self.doors.iter().find(|(name, _)| *name == environment).expect("one of the three");
        let answer = http::get(door, &format!("/fetch/{target}"))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{} {}", answer.status, answer.body)) }
    }

    #[track_caller]
    fn reaches(&self, environment: &str, target: &str) {
        let got = until(&format!("{environment} to reach {target}"), || self.from(environment, target));
        assert_eq!(got, "v1 hello");
    }

    #[track_caller]
    fn is_kept_from(&self, environment: &str, target: &str) {
        until(&format!("{environment} to be kept from {target}"), || match self.from(environment, target) {
            // Refused or dropped on the way; an answer of the fetching service itself, not of the one fetched from.
            Err(why) if why.starts_with("502 ") => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn environments_reach_each_other_when_linked_and_only_then() {
    let all = Neighbours::new();
    let stage = &all.stage;
    let copy = stage.addresses("appa", 8080).first().cloned().expect("an address of the copy in a");
    let inner = stage.balancer("a", "inner", &["--private"]);
    stage.l0(&["service", "create", "a", "behind", "app:1", "--loadbalancer", "a:inner"]).ok();
    let private = stage.host_of("inner");
    let public = all.doors[0].1.clone();

    // Public from everywhere; private from its own environment and this machine; copies from their own environment.
    all.reaches("a", &copy);
    all.reaches("a", "appa:8080");
    all.is_kept_from("b", &copy);
    for environment in ["a", "b", "c"] {
        all.reaches(environment, &public);
    }
    all.reaches("a", &private);
    assert_eq!(until("the private one from this machine", || http::get(&private, "/")).body, "v1 hello");
    assert!(
        http::get(&format!("localhost:{inner}"), "/").is_err(),
        "a private load balancer listens on this machine's own address"
    );
    all.is_kept_from("b", &private);
    all.is_kept_from("c", &private);

    // A one-way link works both ways on this engine, and says so.
    stage.l0(&["environment", "link", "--bi-directional=false", "b", "a"]).ok().says("both");
    all.reaches("b", "appa.a:8080");
    all.reaches("a", "appb.b:8080");
    all.reaches("b", &private);
    all.is_kept_from("c", &private);
    all.is_kept_from("c", &copy);
    all.is_kept_from("c", "appa.a:8080");

    stage.l0(&["environment", "unlink", "a", "b"]).ok();
    all.is_kept_from("b", &copy);
    all.is_kept_from("b", "appa.a:8080");
    all.is_kept_from("b", &private);
    all.reaches("b", &public);
    all.reaches("a", &private);

    // Linked and with the service updated since: the new copy is in reach too.
    stage.l0(&["environment", "link", "a", "c"]).ok();
    stage.l0(&["service", "scale", "behind", "2"]).ok();
    let linked = stage.link_addresses("behind", 8080);
    assert_eq!(linked.len(), 2, "{linked:?}");
    for copy in linked {
        all.reaches("c", &copy);
    }
}
