//! Task definitions of several containers: what they share, in which order they start, and what the engine is told of each.

use serde_json::{Value, json};

use crate::common::until::until;
use crate::stage::{Stage, container};

/// The container of a service or task with this name in the task definition.
fn inspect(stage: &Stage, name: &str, container: &str) -> Value {
    let all = stage.copies(name);
    let found = all.into_values().find(|one| one["Config"]["Labels"]["layer0.container"] == container);
    found.unwrap_or_else(|| panic!("no container `{container}` of {name}"))
}

#[test]
fn containers_of_a_task_share_what_they_should() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    let quiet = |more: Value| {
        let mut more = more;
        more.as_object_mut().expect("an object").insert("portMappings".to_owned(), json!([]));
        more
    };
    let shared = json!([{ "sourceVolume": "shared", "containerPath": "/shared" }]);
    let read_only = json!([{ "sourceVolume": "shared", "containerPath": "/shared", "readOnly": true }]);
    // First `setup` has to end well, then `backend` has to be healthy, then `front` looks at all of it.
    let setup = container(
        "setup",
        "v1",
        &["ms", "300", "write", "/shared/greeting", "from setup"],
        &quiet(json!({ "essential": false, "mountPoints": shared })),
    );
    let backend = container(
        "backend",
        "v1",
        &["ms", "1000", "serve", "9000", "sleep"],
        &quiet(json!({
            "environment": [{ "name": "ANSWER", "value": "from backend" }],
            "healthCheck": { "command": ["CMD", "/tool", "fetch", "localhost:9000/health"], "interval": 5, "timeout": 2, "retries": 10 },
            "dependsOn": [{ "containerName": "setup", "condition": "SUCCESS" }],
        })),
    );
    let front = container(
        "front",
        "v1",
        &["read", "/shared/greeting", "fetch", "localhost:9000", "fetch", "db:9000", "env", "COLOUR", "here"],
        &quiet(json!({
            "entryPoint": ["/tool", "print", "by the entry point"],
            "links": ["backend:db"],
            "mountPoints": read_only,
            "environment": [{ "name": "COLOUR", "value": "a=b:c, d" }],
            "user": "1000:1000",
            "workingDirectory": "/shared",
            "ulimits": [{ "name": "nofile", "softLimit": 256, "hardLimit": 512 }],
            "memory": 48,
            "memoryReservation": 24,
            "cpu": 128,
            "dependsOn": [{ "containerName": "backend", "condition": "HEALTHY" }, { "containerName": "setup", "condition": "SUCCESS" }],
        })),
    );
    stage.deploy_of(
        "all",
        json!({ "containerDefinitions": [front, backend, setup], "volumes": [{ "name": "shared" }] }),
    );
    stage.l0(&["task", "create", "dev", "all", "all:1"]).ok();
    let logs = stage.l0(&["task", "logs", "all"]).ok();
    for line in [
        "by the entry point",
        "from setup",
        "v1 from backend",
        "COLOUR=a=b:c, d",
        "1000 1000 1000 1000 | /shared | Max open files 256 512",
    ] {
        assert!(logs.out.contains(line), "no `{line}` in\n{}", logs.all());
    }
    assert_eq!(logs.out.matches("v1 from backend").count(), 2, "by localhost and by the link's alias:\n{}", logs.all());

    let task = stage.one(&["task", "get", "all"]);
    assert_eq!(task["status"], "STOPPED");
    let codes: Vec<(&str, i64)> = task["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| Some((one["container_name"].as_str()?, one["exit_code"].as_i64()?)))
        .collect();
    assert!(codes.contains(&("front", 0)) && codes.contains(&("setup", 0)), "{task:#}");

    let front = inspect(&stage, "all", "front");
    let host = &front["HostConfig"];
    assert_eq!(host["Memory"], 48 * 1024 * 1024, "{host:#}");
    assert_eq!(host["MemoryReservation"], 24 * 1024 * 1024, "{host:#}");
    assert_eq!(host["Ulimits"][0], json!({ "Name": "nofile", "Soft": 256, "Hard": 512 }));
    assert!(host["CpuShares"] == 128 || host["NanoCpus"].as_i64() > Some(0), "{host:#}");
    stage.l0(&["task", "delete", "all"]).ok();
    assert!(stage.containers().is_empty());
    let volumes = stage.docker(&[
        "volume",
        "ls",
        "--quiet",
        "--filter",
        &format!("label=layer0.instance={}", stage.label().expect("a label")),
    ]);
    assert_eq!(volumes.out, "", "volumes of a deleted task");
}

#[test]
fn an_essential_container_s_end_is_the_copy_s_end() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    let app = container("app", "v1", &["serve", "8080", "sleep"], &json!({}));
    let helper = container(
        "helper",
        "v1",
        &["print", "helped", "exit", "0"],
        &json!({ "essential": false, "portMappings": [] }),
    );
    stage.deploy_of("pair", json!({ "containerDefinitions": [app, helper] }));
    // A container that is not essential ends, and nothing follows from it.
    stage.l0(&["service", "create", "dev", "pair", "pair:1"]).ok();
    let first = inspect(&stage, "pair", "app")["Id"].clone();
    until("the helper's end", || {
        if inspect(&stage, "pair", "helper")["State"]["Running"] == true { Err("it runs".to_owned()) } else { Ok(()) }
    });
    assert_eq!(inspect(&stage, "pair", "app")["Id"], first);
    // The essential one does: the whole copy is made anew.
    stage.docker(&["kill", first.as_str().expect("an id")]).ok();
    until("another copy", || {
        let running = stage.started("pair");
        let another = running.keys().any(|id| first != *id);
        if another { Ok(()) } else { Err(format!("{running:?}")) }
    });
    // In a task it ends the others.
    let main = container("main", "v1", &["ms", "300", "exit", "3"], &json!({ "portMappings": [] }));
    let endless = container("endless", "v1", &["tick", "100", "sleep"], &json!({ "portMappings": [] }));
    stage.deploy_of("job", json!({ "containerDefinitions": [main, endless] }));
    stage.l0(&["task", "create", "dev", "job", "job:1"]).exits(5).says("exit code 3");
    let task = stage.one(&["task", "get", "job"]);
    assert_eq!(task["status"], "STOPPED", "{task:#}");
    let containers = task["containers"].as_array().expect("a list");
    assert!(containers.iter().any(|one| one["container_name"] == "main" && one["exit_code"] == 3), "{task:#}");
    stage.settled("job", 0);
}

#[test]
fn what_is_not_honoured_is_named() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    let odd = json!({
        "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "x" } },
        "resourceRequirements": [{ "type": "GPU", "value": "1" }],
        "somethingOfOurOwn": true,
    });
    let app = container("app", "v1", &["serve", "8080", "sleep"], &odd);
    let made = stage.deploy_of(
        "odd",
        json!({
            "AWSEBDockerrunVersion": 2,
            "FAMILY": "x",
            "taskRoleArn": "arn:aws:iam::1:role/x",
            "containerDefinitions": [app],
            "placementConstraints": [{ "type": "memberOf", "expression": "x" }],
        }),
    );
    made.keeps_quiet_about("AWSEBDockerrunVersion").says("somethingOfOurOwn");
    let created = stage.l0(&["service", "create", "dev", "odd", "odd:1"]).ok();
    for field in ["awslogs", "placementConstraints", "taskRoleArn", "resourceRequirements"] {
        assert!(created.all().contains(field), "`{field}` was ignored in silence:\n{}", created.all());
    }
    let warnings = stage.service("odd")["warnings"].to_string();
    assert!(warnings.contains("placementConstraints"), "{warnings}");
}
