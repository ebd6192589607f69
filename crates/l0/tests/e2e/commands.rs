//! Every command of the predecessor's line R against a real server, in the order of a real user, with flags before and after
//! the positionals, then the older names, and what came new. Exit codes and the streams are part of it.

use serde_json::json;

use crate::common::instance::L0;
use crate::common::port::free_port;
use crate::common::run::{Said, run};
use crate::common::until::until;
use crate::stage::Stage;

const SERVE: [&str; 5] = ["print", "hello", "serve", "8080", "sleep"];

/// Runs one line, split at blanks; `'…'` is not needed anywhere here.
fn l0(stage: &Stage, line: &str) -> Said {
    stage.l0(&line.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn line_r_in_the_order_of_a_user() {
    let stage = Stage::with_versions(&["v1", "v2"]);
    let ok = |line: &str| l0(&stage, line).ok();
    let (first, second, third) = (free_port(), free_port(), free_port());

    ok("admin debug").says("DEBUG REPORT").says("API Version:").keeps_quiet_about(stage.credential());
    ok("-o json admin debug");
    ok("admin logs --tail 5");
    ok("-timeout 20s admin logs -tail=5");

    // Environments: flags of the machine kind are taken, both flag orders, single and double dash.
    ok("environment create dev").says("ENVIRONMENT ID  ENVIRONMENT NAME  OS     LINKS");
    ok("environment create --type m3.medium --scale 2 --os linux shared");
    ok("environment create other -type=m3.medium -scale 1");
    ok("environment list").says("dev").says("shared").says("other");
    ok("environment get dev").says("dev");
    ok("environment get *").says("shared");
    assert_eq!(stage.json(&["environment", "get", "nothing*"]), json!([]));
    ok("environment scale shared 3");
    ok("environment link dev shared");
    assert_eq!(stage.one(&["environment", "get", "shared"])["links"].as_array().map(Vec::len), Some(1));
    ok("environment unlink --bi-directional=true dev shared");
    assert_eq!(stage.one(&["environment", "get", "shared"])["links"].as_array().map(Vec::len), Some(0));
    ok("environment link dev other --bi-directional=false");
    assert_eq!(stage.one(&["environment", "get", "other"])["links"].as_array().map(Vec::len), Some(0));
    ok("environment unlink dev other -bi-directional=false");
    ok("environment logs --tail 40 dev").says("create environment").says("update environment");
    ok("environment logs dev -tail 1");

    // Deploys.
    let document = json!({ "containerDefinitions": [crate::stage::container("app", "v1", &SERVE, &json!({}))] });
    let path = stage.file("app.json", document.to_string());
    ok(&format!("deploy create {path} app")).says("DEPLOY ID").says("app.1").says("->");
    stage.deploy("app", "v2", &SERVE, &json!({}));
    stage.deploy("job", "v1", &["print", "working", "env", "WHAT", "exit", "0"], &json!({}));
    ok("deploy list").says("app.2").keeps_quiet_about("app.1");
    ok("deploy list --all").says("app.1");
    ok("deploy get app:latest").says("app.2").keeps_quiet_about("app.1");
    ok("deploy get app:1").says("app.1");
    ok("deploy get ap*").says("app.1").says("app.2");

    // Load balancers.
    let made = ok(&format!(
        "loadbalancer create --port {first}:8080/http -port {second}:8080/TCP --healthcheck-path /health --healthcheck-interval 1 dev web --healthcheck-timeout 1"
    ));
    made.says(&format!("{first}:8080/HTTP")).says(&format!("{second}:8080/TCP")).says("LOADBALANCER ID");
    ok(&format!("loadbalancer addport web {third}:8080/http")).says(&format!("{third}:8080/HTTP"));
    ok(&format!("loadbalancer dropport dev:web {third}")).keeps_quiet_about(&format!("{third}:8080"));
    ok("loadbalancer healthcheck web").says("TARGET").says("HEALTHY THRESHOLD");
    ok(
        "loadbalancer healthcheck --healthcheck-target HTTP:8080/health --healthy-threshold 1 web --unhealthy-threshold 3",
    );
    let check = stage.one(&["loadbalancer", "get", "web"])["health_check"].clone();
    assert_eq!(
        (check["target"].as_str(), check["healthy_threshold"].as_i64(), check["unhealthy_threshold"].as_i64()),
        (Some("HTTP:8080/health"), Some(1), Some(3))
    );
    ok("loadbalancer idletimeout web 90").says("IDLE TIMEOUT").says("90");
    ok("loadbalancer list").says("web");
    ok("loadbalancer get dev:w*").says("web");

    // Services.
    let made = ok("service create --loadbalancer dev:web --scale 2 dev app app:1");
    assert_eq!(
        made.out
            .lines()
            .next()
            .expect("a line")
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>(),
        ["SERVICE ID", "SERVICE NAME", "ENVIRONMENT", "LOADBALANCER", "DEPLOYMENTS", "SCALE", "STATEFUL"]
    );
    made.says("2/2");
    ok("service create dev plain app:latest --scale=1");
    ok("service list").says("app").says("plain");
    ok("service get d*:app").says("app:1");
    ok("service logs app -tail 1").says("serving 8080");
    stage.l0(&["service", "logs", "--start", "2020-01-01 00:00", "--tail", "2", "dev:app"]).ok().says("hello");
    stage.l0(&["service", "logs", "dev:app", "-end", "2020-01-01 00:00"]).ok().keeps_quiet_about("hello");
    l0(&stage, "service logs app --start nonsense").exits(4).says("YYYY-MM-DD HH:MM");
    ok("service scale app 1").says("1/1");
    ok("service update app app:latest").says("app:2");
    assert!(stage.page("web").starts_with("v2"));

    // Tasks.
    ok("task create --env app:WHAT=this=and:that dev job job:latest").says("TASK ID");
    ok("task create dev again job:1 -env app:WHAT= --env app:OTHER=1,2");
    ok("task list").says("job").says("again");
    ok("task get dev:job").says("STOPPED");
    ok("task logs job").says("working").says("WHAT=this=and:that");
    ok("task logs --tail 1 again").says("WHAT=").keeps_quiet_about("working");
    ok("task delete again");

    // What is in use, what is not there, what is twice.
    l0(&stage, "environment delete dev").exits(4).says("held by service `app`").says("held by load balancer `web`");
    l0(&stage, "environment create dev").exits(4).says("dev");
    l0(&stage, "loadbalancer delete web").exits(4).says("app");
    l0(&stage, "environment link dev dev").exits(2).says("to itself");

    // And away.
    assert_eq!(ok("deploy delete app:1").out, "");
    l0(&stage, "deploy delete nothing").exits(3).says("yielded no matches");
    ok("service delete dev:app");
    ok("loadbalancer delete web");
    ok("environment delete other");
    ok("environment delete -r dev");
    ok("environment delete shared --recursive");
    assert_eq!(stage.json(&["environment", "list"]), json!([]));
    assert_eq!(stage.json(&["service", "list"]), json!([]));
    assert_eq!(stage.json(&["task", "list"]), json!([]));
    assert_eq!(stage.label(), None, "something is left on the engine");
}

#[test]
fn older_names_and_new_nouns() {
    let stage = Stage::with_versions(&["v1"]);
    let ok = |line: &str| l0(&stage, line).ok();
    ok("environment create --size m3.medium --min-count 1 dev");
    ok("environment setmincount dev 2");
    let port = free_port();
    ok(&format!("loadbalancer create dev web --port {port}:8080/http --healthcheck-path /health"));
    ok(
        "loadbalancer healthcheck web --set-target HTTP:8080/health --set-interval 1 --set-timeout 1 --set-healthy-threshold 1 --set-unhealthy-threshold 2",
    );
    ok("loadbalancer cross-zone web --disable");
    ok("loadbalancer cross-zone web").says("false");
    stage.deploy("app", "v1", &SERVE, &json!({}));
    ok("service create --wait dev app app:latest --loadbalancer web").says("1/1");
    stage.deploy("job", "v1", &["print", "done"], &json!({}));
    ok("task create dev job job:latest --copies 2 --wait");
    ok("task list --all").says("job");
    ok("job list").says("task");
    let id = stage.json(&["job", "list"])[0]["operation_id"].as_str().expect("an id").to_owned();
    ok(&format!("job get {id}")).says("succeeded");
    ok(&format!("job logs {id}"));
    ok(&format!("operation get {id}")).says("succeeded");
    ok(&format!("operation follow {id}"));
    ok("admin version");

    // Repositories, images, map rules.
    ok("repository create demo/second").says(&format!("{}/demo/second", stage.address()));
    ok("repository list").says("demo/app").says("demo/second");
    ok("repository list demo").says("demo/app");
    ok("repository get demo/app").says("registry.layer0.test/demo/app");
    ok("repository delete demo/second");
    l0(&stage, "repository get demo/second").exits(3);
    l0(&stage, "repository delete demo/app").exits(4).says("held by service `app`");
    ok("image list demo/app").says("demo/app:v1");
    ok("image get demo/app:v1").says("sha256:").says("linux/");
    ok("image resolve registry.layer0.test/demo/app:v1").says(&stage.address()).says("sha256:");
    ok("image check registry.layer0.test/demo/app:v1").says("image     passed").says("access    passed");
    l0(&stage, "image check registry.layer0.test/demo/app:none").exits(3).says("image     failed").says("docker push");
    ok("map list").says("registry.layer0.test").says("instance");
    stage.l0(&["map", "add", &format!("hub.example.com/team|{}/demo", stage.address())]).ok();
    ok("image resolve hub.example.com/team/app:v1").says(&format!("{}/demo/app", stage.address())).says("sha256:");
    l0(&stage, "map add hub.example.com|hub.example.com/x").exits(4);
    ok("map remove hub.example.com/team");
    l0(&stage, "map remove hub.example.com/team").exits(3);

    // Tokens: one works until it is revoked, and then not for one more request.
    let token = stage.one(&["token", "create", "laptop", "--expires-days", "7"]);
    let (id, secret) = (token["token_id"].as_str().expect("an id"), token["token"].as_str().expect("a token"));
    ok("token list").says("laptop").keeps_quiet_about(token["secret"].as_str().expect("a secret"));
    l0(&stage, &format!("--token {secret} service list")).ok();
    ok(&format!("token revoke {id}"));
    l0(&stage, &format!("--token {secret} service list")).exits(4).says("l0 login");
    ok("service delete app");
    l0(&stage, "repository delete demo/app").exits(4).says("--force");
    ok("image delete demo/app:v1").says("its image stays: `l0 image delete demo/app@sha256:");
    ok("image list demo/app --untagged").says("demo/app@sha256:");
    ok("repository delete --force demo/app");
    for shell in ["bash", "cmd", "powershell"] {
        run(stage.command(L0).args(["endpoint", "-s", shell, "--data-dir"]).arg(stage.data()), b"")
            .ok()
            .says("LAYER0_API_ENDPOINT");
    }
    ok("completion bash").says("l0");
    ok("version");
    ok("environment delete dev -r");
}

#[test]
fn every_way_to_end_has_its_code() {
    let stage = Stage::with_versions(&["v1"]);
    l0(&stage, "environment create dev").ok();
    // Usage.
    l0(&stage, "servce list").exits(2).says("service");
    l0(&stage, "service list --outptu json").exits(2).says("--output");
    l0(&stage, "service create dev").exits(2).says("Argument SERVICE_NAME is required");
    l0(&stage, "loadbalancer create dev web --port 80:80")
        .exits(2)
        .says("Port format is: HOST_PORT:CONTAINER_PORT/PROTOCOL");
    // Not found.
    l0(&stage, "service delete nothing").exits(3).says("Did you forget to add a wildcard");
    // Refused.
    l0(&stage, "environment create dev").exits(4);
    stage.l0(&["environment", "create", "two words"]).exits(4);
    stage.l0(&["environment", "create", &"x".repeat(300)]).exits(4);
    stage.deploy("missing", "v9", &SERVE, &json!({}));
    let refused = l0(&stage, "service create dev app missing:latest").exits(4);
    assert!(refused.err.contains("v9"), "{}", refused.all());
    // Failed: a first start that never comes to a good end, with what the copy said last.
    stage.deploy("bad", "v1", &["print", "the disk is on fire", "exit", "3"], &json!({}));
    l0(&stage, "service create dev bad bad:latest").exits(5).says("exit code 3").says("the disk is on fire");
    stage.deploy("ends", "v1", &["exit", "3"], &json!({}));
    l0(&stage, "task create dev ends ends:1").exits(5).says("exit code 3");
    // Timeout: what takes longer goes on.
    stage.deploy("long", "v1", &["sleep"], &json!({}));
    let late = l0(&stage, "--timeout 1s task create dev long long:latest").exits(6);
    assert!(late.took.as_secs() < 10, "{}", late.all());
    until("the task to run all the same", || match stage.one(&["task", "get", "long"])["status"].as_str() {
        Some("RUNNING") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    l0(&stage, "task stop long").ok();
    // Connection.
    l0(&stage, &format!("--endpoint http://localhost:{}/ service list", free_port())).exits(7);
    // Errors are on stderr, data on stdout; JSON there is JSON here too.
    let refused = l0(&stage, "-o json service get nothing:at:all").exits(2);
    assert_eq!(refused.out, "");
    assert!(serde_json::from_str::<serde_json::Value>(&refused.err).is_ok(), "{}", refused.all());
    // A second server on the same directory says who holds it.
    let second =
        run(stage.command(L0).args(["server", "--listen", "127.0.0.1:0", "--data-dir"]).arg(stage.data()), b"");
    assert_ne!(second.code, Some(0), "{}", second.all());
    second.says("process").says(&stage.port.to_string());
}
