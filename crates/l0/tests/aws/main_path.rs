//! From an image in ECR to a running service and away again, as a user goes.

use crate::cloud::Cloud;
use crate::common::until::until;

const SERVE: [&str; 5] = ["print", "here I am", "serve", "8080", "sleep"];

#[test]
fn from_image_to_running_and_away_again() {
    let mut cloud = Cloud::with_versions(&["v1", "v2"]);
    cloud.l0(&["environment", "create", "dev"]).ok().says("dev");
    cloud.l0(&["loadbalancer", "create", "dev", "web", "--port", "80:8080/http"]).ok();
    // A plain Dockerrun becomes one for Fargate, and it is said what was chosen.
    cloud.deploy("app", "v1", &SERVE, Some(8080)).says("256 CPU units with 512 MiB").says("registry.example.com/");
    cloud.deploy("app", "v2", &SERVE, Some(8080));

    // The emulator's registry has no name of ECR's, so there is nothing that the pull check could ask.
    let create = ["service", "create", "dev", "app", "app:1", "--loadbalancer", "web", "--scale", "2"];
    cloud.l0(&[&create[..], &["--skip-pull-check"]].concat()).ok().says("2 copies run and are healthy").says("app:1");
    let first = cloud.containers();
    assert_eq!(first.len(), 2, "{first:?}");
    let balancer = cloud.one(&["loadbalancer", "get", "web"]);
    until("the page of the first version", || {
        let page = cloud.page(&balancer)?;
        if page.starts_with("v1") { Ok(()) } else { Err(page) }
    });
    cloud.l0(&["service", "logs", "app"]).ok().says("here I am");
    // What was asked for and what was done. What CloudTrail says is tried elsewhere: the emulator fills its one page with the calls
    // to the table, which AWS does not count as changes.
    let happened = cloud.l0(&["environment", "logs", "dev"]).ok();
    happened.says("audit: admin: service_create").says("create service `app`");

    // A killed server comes back to what runs.
    cloud.server_kill();
    cloud.server_start();
    cloud.l0(&["service", "get", "app"]).ok().says("2/2");
    assert_eq!(cloud.containers(), first, "the same containers");

    let update = ["service", "update", "app", "app:2", "--skip-pull-check"];
    cloud.l0(&update).ok().says("2 copies run and are healthy");
    until("the old copies to be gone", || {
        let now = cloud.containers();
        if now.len() == 2 && now.is_disjoint(&first) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    until("the page of the second version", || {
        let page = cloud.page(&balancer)?;
        if page.starts_with("v2") { Ok(()) } else { Err(page) }
    });
    cloud.l0(&["service", "scale", "app", "1"]).ok().says("1/1");
    // Lines of copies that are gone stay.
    cloud.l0(&["service", "logs", "app"]).ok().says("here I am");

    cloud.l0(&["service", "delete", "app"]).ok();
    cloud.l0(&["loadbalancer", "delete", "web"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
    assert!(cloud.containers().is_empty(), "nothing runs on");
}

#[test]
fn a_task_runs_once_and_tells_its_code() {
    let cloud = Cloud::with_versions(&["v1"]);
    cloud.l0(&["environment", "create", "dev"]).ok();
    cloud.deploy("job", "v1", &["env", "WHO", "exit", "7"], None);
    let create = ["task", "create", "dev", "once", "job:latest", "--env", "job:WHO=you", "--skip-pull-check"];
    cloud.l0(&create).exits(5).says("exit code 7");
    cloud.l0(&["task", "logs", "once"]).ok().says("WHO=you");
    cloud.l0(&["task", "delete", "once"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
}

/// An image that can't be pulled ends the roll-out with its cause in words, not after an hour.
#[test]
fn an_image_that_is_not_there_is_told() {
    let cloud = Cloud::with_versions(&["v1"]);
    cloud.l0(&["environment", "create", "dev"]).ok();
    cloud.deploy("app", "v9", &SERVE, None);
    let said = cloud.l0(&["service", "create", "dev", "app", "app:latest", "--skip-pull-check"]);
    said.exits(5);
    cloud.l0(&["service", "delete", "app"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
}
