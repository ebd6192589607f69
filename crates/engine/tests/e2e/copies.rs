//! Copies of several containers, their volumes, limits and dependencies.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::FailureClass;
use layer0_domain::port::engine::{CopyState, TaskRun, Want};
use layer0_testkit::until::until;
use serde_json::json;

use crate::support::{Stage, definition, document, image, run, tool, tool_with};

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_copy_share_one_network_and_find_each_other_by_name() {
    let stage = Stage::new().await;
    let (codes, _) = stage
        .run_task(
            "pair",
            definition(json!([
                tool_with("server", &["serve", "8080"], json!({ "essential": false })),
                tool_with(
                    "by-name",
                    &["get", "server:8080"],
                    json!({
                        "essential": false,
                        "dependsOn": [{ "containerName": "server", "condition": "START" }],
                    })
                ),
                tool_with(
                    "by-alias",
                    &["get", "backend:8080"],
                    json!({
                        "links": ["server:backend"],
                        "dependsOn": [{ "containerName": "by-name", "condition": "SUCCESS" }],
                    })
                ),
            ])),
        )
        .await;
    assert_eq!(codes["by-name"], Some(0));
    assert_eq!(codes["by-alias"], Some(0));
    assert!(codes["server"].is_some(), "the copy ended with its essential container, so the server was stopped");
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_start_in_the_order_that_they_ask_for() {
    let stage = Stage::new().await;
    let check =
        json!({ "command": ["CMD", "/tool", "get", "127.0.0.1:8080"], "interval": 5, "timeout": 2, "retries": 5 });
    let (codes, lines) = stage
        .run_task(
            "chain",
            definition(json!([
                tool_with(
                    "last",
                    &["print", "last"],
                    json!({ "dependsOn": [
                        { "containerName": "first", "condition": "SUCCESS" },
                        { "containerName": "server", "condition": "HEALTHY" },
                    ]})
                ),
                tool_with("server", &["serve", "8080"], json!({ "essential": false, "healthCheck": check })),
                tool_with("first", &["print", "first"], json!({ "essential": false })),
            ])),
        )
        .await;
    assert_eq!(codes["last"], Some(0));
    let order: Vec<&str> = lines.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(order.last(), Some(&"last"), "{order:?}");
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_fails_fails_the_copy() {
    let stage = Stage::new().await;
    let spec = stage.task_wanted(
        "broken",
        1,
        definition(json!([
            tool_with(
                "app",
                &["print", "never"],
                json!({
                    "dependsOn": [{ "containerName": "setup", "condition": "SUCCESS" }],
                })
            ),
            tool_with("setup", &["exit", "4"], json!({ "essential": false })),
        ])),
    );
    stage.ensure(Want::Task(spec.clone())).await;
    let failure = until("the failure", || async { stage.task_seen(&spec.id).await.failure.ok_or("none") }).await;
    assert_eq!(failure.class, FailureClass::CannotStart);
    assert!(failure.message.contains("`setup`") && failure.message.contains("code 4"), "{}", failure.message);
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_live_as_long_as_their_copy() {
    let stage = Stage::new().await;
    let mount = json!([{ "sourceVolume": "data", "containerPath": "/data" }]);
    let task = document(json!({
        "volumes": [{ "name": "data" }],
        "containerDefinitions": [
            tool_with("writer", &["write", "/data/file", "kept"], json!({ "essential": false, "mountPoints": mount })),
            tool_with("reader", &["read", "/data/file"], json!({
                "mountPoints": mount,
                "dependsOn": [{ "containerName": "writer", "condition": "SUCCESS" }],
            })),
        ],
    }));
    let (codes, lines) = stage.run_task("volumes", task).await;
    assert_eq!(codes["reader"], Some(0));
    assert!(lines.iter().any(|line| line.line == "kept"), "{lines:?}");
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_the_host_is_mounted() {
    let stage = Stage::new().await;
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(&stage.instance.id);
    std::fs::create_dir_all(&directory).expect("a directory of our own");
    std::fs::write(directory.join("file"), "from the host").expect("a file of our own");
    let task = document(json!({
        "volumes": [{ "name": "host", "host": { "sourcePath": directory.to_str().expect("text") } }],
        "containerDefinitions": [
            tool_with("reader", &["read", "/host/file"], json!({
                "mountPoints": [{ "sourceVolume": "host", "containerPath": "/host", "readOnly": true }],
            })),
        ],
    }));
    let (_, lines) = stage.run_task("bind", task).await;
    assert_eq!(lines[0].line, "from the host");
    std::fs::remove_dir_all(&directory).expect("our own directory");
    stage.leave().await;
}

/// Docker may hear of the kernel's reason only after it heard of the end, or never; several at once make that likely.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_eats_too_much_is_told_as_such() {
    let stage = Stage::new().await;
    let eaters: Vec<_> = (0..4)
        .map(|at| stage.task_wanted(&format!("eater-{at}"), 1, definition(json!([tool("eater", &["eat", "400"])]))))
        .collect();
    for spec in &eaters {
        stage.ensure(Want::Task(spec.clone())).await;
    }
    for spec in &eaters {
        let seen = stage.task_ended(spec).await;
        let outcome = seen.copies[0].containers[0].outcome.clone().expect("it ended");
        assert_eq!(outcome.exit_code, Some(137));
        let reason = outcome.reason.unwrap_or_default();
        println!("{}: {reason}", spec.name);
        let unknown = "killed by the system because it used more memory than it may, or by somebody; \
                       Docker does not say which";
        assert!(["out of memory", unknown].contains(&reason.as_str()), "{reason:?}");
    }
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_started_says_why() {
    let stage = Stage::new().await;
    let cases = [
        (
            "no-program",
            tool_with("app", &[], json!({ "entryPoint": ["/nothing"] })),
            FailureClass::CannotStart,
            "/nothing",
        ),
        (
            "no-user",
            tool_with("app", &["sleep"], json!({ "user": "nobody-here" })),
            FailureClass::CannotStart,
            "nobody-here",
        ),
        ("no-memory", tool_with("app", &["sleep"], json!({ "memory": 4 })), FailureClass::CannotStart, "memory"),
    ];
    for (name, container, class, word) in cases {
        let spec = stage.task_wanted(name, 1, definition(json!([container])));
        stage.ensure(Want::Task(spec.clone())).await;
        let failure = until(format!("the failure of {name}"), || async {
            let seen = stage.task_seen(&spec.id).await;
            seen.failure.clone().ok_or_else(|| format!("{seen:?}"))
        })
        .await;
        println!("{name}: {}", failure.message);
        assert_eq!(failure.class, class, "{name}: {}", failure.message);
        assert!(failure.message.to_lowercase().contains(word), "{name}: {}", failure.message);
    }
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_made_and_not_started_is_started_once_and_one_that_ran_never_again() {
    let mut stage = Stage::new().await;
    let spec = stage.task_wanted("once", 1, definition(json!([tool("app", &["print", "ran"])])));
    stage.ensure(Want::Task(spec.clone())).await;
    let first = stage.task_ended(&spec).await;
    stage.restart().await;
    stage.ensure(Want::Environment { environment: stage.environment.clone(), reachable_from: Vec::new() }).await;
    stage.ensure(Want::Task(spec.clone())).await;
    // A second task that comes to its end shows that the first had its time.
    let (_, _) = stage.run_task("other", definition(json!([tool("app", &["print", "other"])]))).await;
    assert_eq!(stage.task_seen(&spec.id).await.copies, first.copies);
    assert_eq!(stage.lines(&EntityRef::Task(spec.id.clone())).await.len(), 1);

    // Made by a server that was killed before it could start it.
    let made = stage.task_wanted("made", 1, definition(json!([tool("app", &["print", "ran"])])));
    let copy = format!("{}-1", made.id);
    let labels = [
        format!("layer0.instance={}", stage.instance.id),
        "layer0.kind=task".to_owned(),
        format!("layer0.entity={}", made.id),
        format!("layer0.copy={copy}"),
        format!("layer0.environment={}", stage.environment.id),
        "layer0.container=app".to_owned(),
        "layer0.essential=true".to_owned(),
        "layer0.size=1".to_owned(),
    ];
    let name = format!("l0-{copy}-app");
    let network = format!("l0-{}", stage.environment.id);
    let mut arguments = vec!["create", "--name", &name, "--network", &network];
    arguments.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
    arguments.extend([image(), "print", "ran by the one that was made"]);
    run("docker", &arguments);
    stage.ensure(Want::Task(made.clone())).await;
    stage.task_ended(&made).await;
    let lines = stage.lines(&EntityRef::Task(made.id.clone())).await;
    assert_eq!(lines[0].line, "ran by the one that was made");
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_can_be_stopped_before_it_started() {
    let stage = Stage::new().await;
    let mut spec = stage.task_wanted("stopped", 1, definition(json!([tool("app", &["sleep"])])));
    spec.run = TaskRun::Stop;
    stage.ensure(Want::Task(spec.clone())).await;
    let failure = until("the stop", || async { stage.task_seen(&spec.id).await.failure.ok_or("none") }).await;
    assert_eq!(failure.class, FailureClass::Stopped);
    stage.leave().await;
}

/// As by `docker container prune`.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_ended_init_container_is_removed_runs_on_and_none_is_started_twice() {
    let stage = Stage::new().await;
    let containers = json!([
        tool_with("app", &["sleep"], json!({ "dependsOn": [{ "containerName": "init", "condition": "SUCCESS" }] })),
        tool_with("init", &["exit", "0"], json!({ "essential": false })),
    ]);
    let service = stage.service_wanted("web", 1, containers.clone());
    let task = stage.task_wanted("job", 1, definition(containers));
    stage.service(&service).await;
    stage.ensure(Want::Task(task.clone())).await;
    let before = stage.steady(&service).await;
    until("the task to run", || async {
        let seen = stage.task_seen(&task.id).await;
        if seen.copies[0].state == CopyState::Healthy { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    run("docker", &["rm", &format!("l0-{}-init", before.copies[0].id), &format!("l0-{}-1-init", task.id)]);
    let without_init = |containers: &[layer0_domain::port::engine::ContainerSeen]| {
        containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>() == ["app"]
    };
    stage
        .service_until("the loss to be seen", &service.id, |seen| {
            seen.copies.iter().any(|copy| without_init(&copy.containers))
        })
        .await;
    until("the loss to be seen", || async {
        let seen = stage.task_seen(&task.id).await;
        if without_init(&seen.copies[0].containers) { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    // Another task that comes to its end shows that whatever the loss sets off had its time.
    stage.run_task("other", definition(json!([tool("app", &["print", "other"])]))).await;
    let (web, job) = (stage.service_seen(&service.id).await, stage.task_seen(&task.id).await);
    let states = |copies: &[layer0_domain::port::engine::CopySeen]| {
        copies.iter().map(|copy| (copy.id.clone(), copy.state, without_init(&copy.containers))).collect::<Vec<_>>()
    };
    assert_eq!(states(&web.copies), [(before.copies[0].id.clone(), CopyState::Healthy, true)]);
    assert_eq!(states(&job.copies), [(job.copies[0].id.clone(), CopyState::Healthy, true)]);
    assert_eq!(job.failure, None);

    // Without its app the service gets another copy, and the task has failed.
    run("docker", &["rm", "-f", &format!("l0-{}-app", before.copies[0].id), &format!("l0-{}-1-app", task.id)]);
    stage
        .service_until("another copy", &service.id, |seen| {
            let [copy] = seen.copies.as_slice() else { return false };
            copy.id != before.copies[0].id && copy.state == CopyState::Healthy
        })
        .await;
    let seen = stage.task_ended(&task).await;
    let message = seen.failure.expect("its work can't be done any more").message;
    assert!(message.contains("removed by somebody else"), "{message}");
    stage.leave().await;
}
