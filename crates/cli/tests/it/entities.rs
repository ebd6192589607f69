//! Targets, results and what is sent.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, error};

fn environment(id: &str, links: &[&str]) -> Value {
    json!({
        "environment_id": id, "environment_name": id.trim_end_matches('1'), "current_size": 0, "desired_size": 0, "instance_type": "t2.small",
        "security_group_id": "", "operating_system": "linux", "ami_id": "", "links": links,
    })
}

fn load_balancer(ports: &[(i64, i64, &str)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(host, container, protocol)| json!({ "certificate_arn": "", "host_port": host, "container_port": container, "protocol": protocol }))
        .collect();
    json!({
        "environment_id": "dev1", "environment_name": "dev", "idle_timeout": 60, "is_public": true, "load_balancer_arn": "",
        "health_check": { "target": "TCP:80", "path": "/", "interval": 30, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2 },
        "load_balancer_id": "lb1", "load_balancer_name": "web", "load_balancer_type": "application", "ports": ports,
        "service_id": "", "service_name": "", "url": "http://localhost:8080",
    })
}

#[test]
fn get_prints_what_matches_and_an_empty_table_for_nothing() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=no*", &[])
        .found(
            "type=environment&fuzz=*",
            &[("dev1", "dev", "", ""), ("shared1", "shared", "", ""), ("gone1", "gone", "", "")],
        )
        .json("GET /environment/dev1", environment("dev1", &["shared1", "api"]))
        .json("GET /environment/shared1", environment("shared1", &[]))
        .on("GET /environment/gone1", [error(404, "EnvironmentDoesNotExist", "deleted between look-up and read")]);
    assert_snapshot!("environment_get", fake.run(&["environment", "get", "*"]).text());
    assert_snapshot!("environment_get_none", fake.run(&["environment", "get", "no*"]).text());
    assert_snapshot!("environment_get_none_json", fake.run(&["environment", "get", "no*", "-o", "json"]).text());
}

#[test]
fn one_target_must_be_one() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("a1", "web", "dev1", ""), ("a2", "web", "test1", "")])
        .found("type=service&fuzz=wbe", &[]);
    assert_snapshot!("target_several", fake.run(&["service", "delete", "web"]).text());
    assert_snapshot!("target_none", fake.run(&["service", "scale", "wbe", "2"]).text());
    assert_snapshot!("target_format", fake.run(&["loadbalancer", "delete", "a:b:c"]).text());
}

#[test]
fn an_id_wins_over_names() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("a1", "web", "dev1", ""), ("web", "other", "dev1", "")])
        .json("DELETE /service/web", json!({ "entity_id": "web" }));
    let ran = fake.run(&["service", "delete", "web"]);
    assert_eq!((ran.code, ran.text().as_str()), (0, "exit code 0\n--- stdout\n--- stderr\n"));
}

#[test]
fn a_qualified_target_is_looked_up_in_its_environment() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=d*", &[("dev1", "dev", "", "")])
        .found("type=service&environment_id=dev1&fuzz=web", &[("a1", "web", "dev1", "")])
        .json("DELETE /service/a1", json!({ "entity_id": "a1" }));
    assert_eq!(fake.run(&["service", "delete", "d*:web"]).code, 0);
    fake.found("type=environment&fuzz=d*", &[("dev1", "dev", "", ""), ("demo1", "demo", "", "")]);
    let ran = fake.run(&["service", "get", "d*:web"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("environment lookup using 'd*' yielded multiple matches"), "{}", ran.stderr);
}

#[test]
fn a_deploy_prints_what_each_image_became() {
    let fake = Fake::start();
    let images = json!([
        { "container_name": "app", "image": "reg.test/team/app:1", "resolved": "localhost:9090/team/app:1", "rule": "reg.test|localhost:9090" },
        { "container_name": "db", "image": "postgres:16", "resolved": "postgres:16", "warning": "is only on the engine itself" },
    ]);
    fake.on("POST /deploy", [Reply::Json(201, json!({ "entity_id": "app.1", "images": images, "warnings": ["container `app`: `cpu` is rounded"] }))]).json(
        "GET /deploy/app.1",
        json!({ "compatibilities": ["stateful", "stateless"], "deploy_file": "e30=", "deploy_id": "app.1", "deploy_name": "app", "version": "1" }),
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("Dockerrun.aws.json");
    std::fs::write(&path, "\u{feff}{}").expect("a file");
    let path = path.to_str().expect("a path of text");
    assert_snapshot!("deploy_create", fake.run(&["deploy", "create", path, "app"]).text());
    assert_eq!(fake.body("POST /deploy"), json!({ "deploy_name": "app", "deploy_file": "77u/e30=" }));

    let ran = fake.run(&["deploy", "create", "/no/such/file", "app"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("error: /no/such/file can't be read: No such file"), "{}", ran.stderr);
}

#[test]
fn a_deploy_list_has_the_newest_of_each_name() {
    let fake = Fake::start();
    let deploy = |name: &str, version: &str| json!({ "compatibilities": ["stateful"], "deploy_id": format!("{name}.{version}"), "deploy_name": name, "version": version });
    fake.json("GET /deploy", json!([deploy("app", "9"), deploy("app", "10"), deploy("db", "1")]));
    assert_snapshot!("deploy_list", fake.run(&["deploy", "list"]).text());
    assert_eq!(fake.run(&["deploy", "list", "--all", "-o=json"]).json().as_array().map(Vec::len), Some(3));
}

#[test]
fn links_are_changes_and_not_lists() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=environment&fuzz=shared", &[("shared1", "shared", "", "")])
        .json("PATCH /environment/dev1", json!({ "entity_id": "dev1", "warnings": ["goes one way only"] }))
        .json("PATCH /environment/shared1", json!({ "entity_id": "shared1" }));
    let ran = fake.run(&["environment", "link", "dev", "shared"]);
    // What the first answer warns of is over with the second.
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    assert_eq!(fake.body("PATCH /environment/dev1"), json!({ "add_links": ["shared1"] }));
    assert_eq!(fake.body("PATCH /environment/shared1"), json!({ "add_links": ["dev1"] }));

    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=environment&fuzz=shared", &[("shared1", "shared", "", "")])
        .json("PATCH /environment/dev1", json!({ "entity_id": "dev1" }));
    assert_eq!(fake.run(&["environment", "unlink", "--bi-directional=false", "dev", "shared"]).code, 0);
    assert_eq!(fake.body("PATCH /environment/dev1"), json!({ "remove_links": ["shared1"] }));

    for (verb, text) in
        [("link", "Cannot link an environment to itself"), ("unlink", "Cannot unlink an environment from itself")]
    {
        let ran = fake.run(&["environment", verb, "dev", "dev"]);
        assert_eq!((ran.code, ran.stderr), (2, format!("error: {text}\n")));
    }
}

#[test]
fn an_environment_is_created_with_what_was_given() {
    let fake = Fake::start();
    fake.on("POST /environment", [Reply::Json(201, json!({ "entity_id": "dev1" }))])
        .json("GET /environment/dev1", environment("dev1", &[]));
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("script");
    std::fs::write(&script, "a & b").expect("a file");
    let ran = fake.run(&[
        "environment",
        "create",
        "-user-data",
        script.to_str().expect("text"),
        "dev",
        "--size",
        "m5.large",
        "--min-count=2",
    ]);
    assert_snapshot!("environment_create", ran.text());
    assert_eq!(
        fake.body("POST /environment"),
        json!({ "environment_name": "dev", "operating_system": "linux", "scale": 2, "instance_type": "m5.large", "user_data_template": "YSAmIGI=", "ami_id": "" })
    );
}

#[test]
fn a_load_balancer_is_created_with_the_contracts_defaults() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .on("POST /loadbalancer", [Reply::Json(201, json!({ "entity_id": "lb1" }))])
        .json("GET /loadbalancer/lb1", load_balancer(&[(80, 80, "http"), (22, 2222, "tcp")]));
    assert_snapshot!("loadbalancer_create", fake.run(&["loadbalancer", "create", "dev", "web"]).text());
    assert_eq!(
        fake.body("POST /loadbalancer"),
        json!({
            "load_balancer_name": "web", "load_balancer_type": "application", "environment_id": "dev1", "is_public": true,
            "ports": [{ "certificate_arn": "", "container_port": 80, "host_port": 80, "protocol": "HTTP" }],
            "health_check": { "target": "TCP:80", "path": "/", "interval": 30, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2 },
            "idle_timeout": 60,
        })
    );
    fake.run(&["loadbalancer", "create", "dev", "web", "--healthcheck-target", "HTTP:8081/health"]);
    let sent = fake.requests().iter().filter(|r| r.line.starts_with("POST")).map(|r| r.body.clone()).next_back();
    let sent = sent.expect("a change")["health_check"].clone();
    assert_eq!((&sent["target"], &sent["path"]), (&json!("HTTP:8081/health"), &json!("")), "a path would go before it");
}

#[test]
fn ports_are_changes_and_not_lists() {
    let fake = Fake::start();
    fake.found("type=load_balancer&fuzz=web", &[("lb1", "web", "dev1", "")])
        .json("GET /loadbalancer/lb1", load_balancer(&[(80, 80, "http")]))
        .json("PATCH /loadbalancer/lb1", json!({ "entity_id": "lb1" }));
    assert_eq!(fake.run(&["loadbalancer", "addport", "web", "8080:80/http"]).code, 0);
    let port = json!({ "certificate_arn": "", "container_port": 80, "host_port": 8080, "protocol": "http" });
    assert_eq!(fake.body("PATCH /loadbalancer/lb1"), json!({ "add_ports": [port] }));
    assert_eq!(fake.run(&["loadbalancer", "addport", "web", "8080:80/http", "--replace"]).code, 0);
    assert_eq!(
        fake.requests().iter().filter(|r| r.line.starts_with("PATCH")).map(|r| r.body.clone()).next_back(),
        Some(json!({ "remove_ports": [8080], "add_ports": [port] }))
    );
    assert_snapshot!("dropport_missing", fake.run(&["loadbalancer", "dropport", "web", "81"]).text());
    assert_eq!(fake.run(&["loadbalancer", "dropport", "web", "80"]).code, 0);
    assert_eq!(
        fake.requests().iter().filter(|r| r.line.starts_with("PATCH")).map(|r| r.body.clone()).next_back(),
        Some(json!({ "remove_ports": [80] }))
    );
    assert_eq!(
        fake.run(&["loadbalancer", "addport", "web", "443:80/https"]).stderr,
        "error: HTTPS protocol specified in a port, but no certificate provided\n"
    );
}

#[test]
fn redirects_and_rules_are_sent_and_shown_as_they_are_written() {
    let arn = "arn:aws:acm:us-east-1:123456789012:certificate/1";
    let redirect = json!({ "certificate_arn": "", "container_port": 0, "host_port": 80, "protocol": "http", "redirect_port": 443 });
    let rules = json!([
        { "paths": ["/api/*", "/v1/*"], "container_port": 8081 },
        { "paths": ["/x"], "hosts": ["api.example.com"], "container_port": 8082 },
    ]);
    let https =
        json!({ "certificate_arn": arn, "container_port": 80, "host_port": 443, "protocol": "https", "rules": rules });
    let mut shown = load_balancer(&[]);
    shown["ports"] = json!([redirect, https]);
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=load_balancer&fuzz=web", &[("lb1", "web", "dev1", "")])
        .on("POST /loadbalancer", [Reply::Json(201, json!({ "entity_id": "lb1" }))])
        .json("PATCH /loadbalancer/lb1", json!({ "entity_id": "lb1" }))
        .json("GET /loadbalancer/lb1", shown);
    let first = "443:path=/api/*,/v1/*:8081";
    let second = "443:path=/x,host=api.example.com:8082";
    let ran = fake.run(&[
        "loadbalancer",
        "create",
        "dev",
        "web",
        "--port",
        "443:80/https",
        "--certificate",
        arn,
        "--redirect",
        "80:443",
        "--rule",
        first,
        "--rule",
        second,
    ]);
    assert_snapshot!("loadbalancer_rules", ran.text());
    assert_eq!(fake.body("POST /loadbalancer")["ports"], json!([https, redirect]));
    for (line, body) in [
        (vec!["addport", "web", "80:443/redirect"], json!({ "add_ports": [redirect] })),
        (
            vec!["addrule", "web", second, "--place", "1"],
            json!({ "add_rules": [{ "host_port": 443, "rule": rules[1], "place": 1 }] }),
        ),
        (vec!["droprule", "web", first], json!({ "remove_rules": [{ "host_port": 443, "rule": rules[0] }] })),
    ] {
        let line: Vec<&str> = ["loadbalancer"].into_iter().chain(line).collect();
        assert_eq!(fake.run(&line).code, 0, "{line:?}");
        let sent = fake.requests().iter().filter(|r| r.line.starts_with("PATCH")).map(|r| r.body.clone()).next_back();
        assert_eq!(sent, Some(body), "{line:?}");
    }
    // What is not there ends as it does for a port.
    let absent = fake.run(&["loadbalancer", "droprule", "web", "443:path=/nowhere:8081"]);
    assert!(absent.code == 3 && absent.stderr.contains("doesn't exist on this Load Balancer"), "{}", absent.stderr);
    for (line, why) in [
        (["create", "dev", "web", "--rule", "81:path=/x:80"], "is a rule of port 81, which is not given"),
        (["create", "dev", "web", "--redirect", "80"], "is not a redirect: the format is HOST_PORT:HTTPS_PORT"),
        (["addrule", "web", "443:/x:80", "--place", "1"], "a condition begins with `path=` or `host=`"),
    ] {
        let line: Vec<&str> = ["loadbalancer"].into_iter().chain(line).collect();
        let ran = fake.run(&line);
        assert!(ran.code == 2 && ran.stderr.contains(why), "{line:?}: {}", ran.stderr);
    }
}

#[test]
fn a_health_check_is_shown_or_merged() {
    let fake = Fake::start();
    fake.found("type=load_balancer&fuzz=web", &[("lb1", "web", "dev1", "")])
        .json("GET /loadbalancer/lb1", load_balancer(&[(80, 80, "http")]))
        .json("PATCH /loadbalancer/lb1", json!({ "entity_id": "lb1" }));
    assert_snapshot!("healthcheck_view", fake.run(&["loadbalancer", "healthcheck", "web"]).text());
    assert!(!fake.lines().iter().any(|line| line.starts_with("PATCH")));
    let ran = fake.run(&["loadbalancer", "healthcheck", "web", "-o", "json", "--healthcheck-interval", "10"]);
    assert_eq!(ran.json()["load_balancer_id"], "lb1", "one object, no array");
    assert_eq!(
        fake.body("PATCH /loadbalancer/lb1"),
        json!({ "health_check": { "target": "TCP:80", "path": "/", "interval": 10, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2 } })
    );
    // A path would be asked for in place of the target.
    let ran = fake.run(&["loadbalancer", "healthcheck", "web", "--healthcheck-target", "HTTP:8081/health"]);
    assert_eq!(ran.stderr.lines().next(), Some("the path `/` is taken away, since no target counts beside one"));
    let sent = fake.requests().iter().filter(|r| r.line.starts_with("PATCH")).map(|r| r.body.clone()).next_back();
    let sent = sent.expect("a change")["health_check"].clone();
    assert_eq!((&sent["target"], &sent["path"]), (&json!("HTTP:8081/health"), &json!("")));
    let ran = fake.run(&["loadbalancer", "idletimeout", "web", "soon"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (2, "error: Failed to parse TIMEOUT argument: 'soon' is not a valid integer\n")
    );
}

#[test]
fn a_service_shows_its_pins_and_the_cause_of_a_failure_below_the_table() {
    let fake = Fake::start();
    let deployment = |version: &str, status: &str, state: &str, running: i64| {
        json!({
            "created": "", "deploy_id": format!("app.{version}"), "deploy_name": "app", "deploy_version": version, "desired_count": running,
            "pending_count": 0, "running_count": running, "status": status, "updated": "", "state": state,
            "images": [{ "container_name": "app", "image": format!("reg.test/team/app:{version}"), "resolved": format!("localhost:9090/team/app@sha256:a{version}") }],
        })
    };
    let mut failed = deployment("2", "INACTIVE", "rolled back", 0);
    failed["cause"] = json!({ "class": "unhealthy", "message": "HTTP:80/health answered 500", "hint": "check the path", "log_tail": [{ "container_name": "app", "line": "boom" }] });
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")]).json(
        "GET /service/web1",
        json!({
            "deployments": [failed, deployment("1", "PRIMARY", "healthy", 2)], "desired_count": 2, "environment_id": "dev1", "environment_name": "dev",
            "load_balancer_id": "lb1", "load_balancer_name": "web", "pending_count": 0, "running_count": 2, "service_id": "web1",
            "service_name": "web", "stateful": false,
            "lost_copies": {
                "count": 4, "at": "2026-01-02T03:04:05Z",
                "cause": { "class": "exited", "message": "container `app` ended with exit code 7", "hint": "look at the lines", "log_tail": [{ "container_name": "app", "line": "starting" }] },
            },
        }),
    );
    assert_snapshot!("service_get", fake.run(&["service", "get", "web"]).text());
}

#[test]
fn a_service_finds_the_load_balancer_of_its_own_environment() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=deploy&fuzz=app", &[("app.1", "app", "", "1")])
        .found("type=load_balancer&fuzz=web", &[("lb1", "web", "dev1", ""), ("lb2", "web", "test1", "")])
        .on("POST /service", [error(409, "NameTaken", "a service `web` exists in environment `dev`")]);
    let ran = fake.run(&["service", "create", "--loadbalancer", "web", "dev", "web", "app"]);
    assert_eq!(ran.code, 4);
    let body = fake.body("POST /service");
    assert_eq!((&body["load_balancer_id"], body.get("skip_pull_check")), (&json!("lb1"), None));
}

#[test]
fn the_pull_check_is_left_out_where_that_is_asked() {
    let fake = Fake::start();
    let refused = || [error(409, "NameTaken", "as if")];
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=deploy&fuzz=app", &[("app.1", "app", "", "1")])
        .found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("POST /service", refused())
        .on("POST /task", refused())
        .on("PATCH /service/web1", refused());
    for (args, line) in [
        (["service", "create", "--skip-pull-check", "dev", "web", "app"], "POST /service"),
        (["task", "create", "--skip-pull-check", "dev", "job", "app"], "POST /task"),
    ] {
        assert_eq!(fake.run(&args).code, 4, "{args:?}");
        assert_eq!(fake.body(line)["skip_pull_check"], true);
    }
    assert_eq!(fake.run(&["service", "update", "web", "app", "--skip-pull-check"]).code, 4);
    assert_eq!(fake.body("PATCH /service/web1"), json!({ "deploy_id": "app.1", "skip_pull_check": true }));
}

#[test]
fn a_task_sends_its_overrides_and_shows_its_exit_codes() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=deploy&version=1&fuzz=app", &[])
        .found("type=deploy&fuzz=app&version=1", &[("app.1", "app", "", "1")])
        .on("POST /task", [Reply::Json(201, json!({ "entity_id": "job1" }))])
        .json(
            "GET /task/job1",
            json!({
                "containers": [
                    { "container_name": "app", "status": "STOPPED", "exit_code": 3, "meta": "out of memory", "exited": true },
                    { "container_name": "side", "status": "RUNNING", "exit_code": 0, "meta": "" },
                ],
                "deploy_id": "app.1", "deploy_name": "app", "deploy_version": "1", "environment_id": "dev1", "environment_name": "dev",
                "status": "RUNNING", "task_id": "job1", "task_name": "job", "stateful": false,
            }),
        );
    let args = ["task", "create", "--env", "app:URL=http://a:1/?x=1,2", "dev", "job", "app:1", "-env", "app:EMPTY="];
    assert_snapshot!("task_create", fake.run(&args).text());
    assert_eq!(
        fake.body("POST /task")["container_overrides"],
        json!([{ "container_name": "app", "environment_overrides": { "EMPTY": "", "URL": "http://a:1/?x=1,2" } }])
    );
    let ran = fake.run(&["task", "create", "--env", "app:=x", "dev", "job", "app:1"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.starts_with("error: Environment Variable Override format is: CONTAINER:VAR=VAL\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_debug_report_has_no_secret() {
    let fake = Fake::start();
    fake.json(
        "GET /admin/config",
        json!({
            "instance": "local", "vpc_id": "", "version": "1.2.3", "public_subnets": [], "private_subnets": ["a", "b"], "kind": "local",
            "engine": "docker", "registry_name": "registry.layer0.test", "registry_address": "localhost:9090",
            "mirrors": [
                { "prefix": "hub", "upstream": "https://registry-1.docker.io" },
                { "prefix": "mirrors/quay", "upstream": "https://quay.io" },
            ],
        }),
    );
    let text = fake.run(&["admin", "debug"]).text().replace(&fake.address.to_string(), "ADDRESS");
    assert_snapshot!("admin_debug", text.replace(env!("CARGO_PKG_VERSION"), "CLI-VERSION"));
    assert_eq!(fake.run(&["admin", "version"]).stdout, "1.2.3\n");
    assert_eq!(fake.run(&["admin", "version", "-o=json"]).json(), json!({ "Message": "1.2.3" }));
}
