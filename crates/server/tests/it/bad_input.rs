//! Bad input gets a clear error, and nothing is lost: section 6 of the specification, first half. Engines and disks that
//! fail are in `trouble.rs`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use layer0_api::types as wire;
use layer0_domain::model::failure::FailureClass;
use layer0_engine::fake::Behaviour;
use layer0_server::testing::{TestApp, TestOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Raw, definition, deploy, deploy_of, done, end_of, environment, load_balancer, new_deploy, new_environment,
    new_load_balancer, new_service, new_task, port, refused, service, to_deploy, to_scale,
};

fn container(change: &Value) -> String {
    let mut container = definition("app:1", &[])["containerDefinitions"][0].clone();
    for (key, value) in change.as_object().expect("an object") {
        container[key] = value.clone();
    }
    json!({"containerDefinitions": [container]}).to_string()
}

/// A task definition that can't be one is refused with every problem; what is merely odd is taken.
#[tokio::test]
async fn task_definitions_are_refused_with_every_problem() {
    let app = TestApp::start().await;
    let client = app.client();
    let twice = json!({"containerDefinitions": [{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]}).to_string();
    let cycle = json!({"containerDefinitions": [
        {"name": "a", "image": "a", "dependsOn": [{"containerName": "b", "condition": "START"}]},
        {"name": "b", "image": "b", "dependsOn": [{"containerName": "a", "condition": "START"}]}]})
    .to_string();
    let two = container(&json!({"image": "Not An Image", "portMappings": [{"containerPort": 99999}]}));
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    for (what, document, word) in [
        ("half a document", "{\"containerDefinitions\": [", "line"),
        ("no JSON", "FROM scratch", "JSON"),
        ("a list", "[]", ""),
        ("nothing in it", "{}", "container"),
        ("no containers", "{\"containerDefinitions\": []}", "container"),
        ("no image", &container(&json!({"image": null})), "image"),
        ("no name", &container(&json!({"name": null})), "name"),
        ("a name twice", &twice, "a"),
        ("a circle", &cycle, "a"),
        ("a port beyond 65535", &container(&json!({"portMappings": [{"containerPort": 99999}]})), "99999"),
        (
            "an unknown protocol",
            &container(&json!({"portMappings": [{"containerPort": 80, "protocol": "sctp6"}]})),
            "sctp6",
        ),
        ("no number", &container(&json!({"memory": "lots"})), "memory"),
        ("too deep", &deep, "deep"),
    ] {
        let (status, error) = refused(client.deploy_create(&new_deploy("web", document)).await);
        assert_eq!((status, error.error_code.as_str()), (422, "InvalidValue"), "{what}: {error:?}");
        let said = format!("{} {}", error.message, error.problems.join(" "));
        assert!(said.contains(word), "{what}: `{word}` is not in {said}");
        assert!(!said.contains("thiserror") && !said.contains("Error("), "{what}: {said}");
    }
    let (_, error) = refused(client.deploy_create(&new_deploy("web", &two)).await);
    assert!(error.problems.len() >= 2, "both problems are named: {error:?}");
    let (_, error) = refused(client.deploy_create(&new_deploy("web", b"\xff\xfe{\0}\0")).await);
    assert_eq!(error.error_code, "InvalidValue", "UTF-16 is no JSON");
    let request =
        wire::CreateDeployRequest { deploy_name: "web".to_owned(), deploy_file: "###".to_owned(), owner_name: None };
    let (status, error) = refused(client.deploy_create(&request).await);
    assert!(status == 422 && error.message.contains("base64"), "{error:?}");
    assert_eq!(client.deploy_list().await.expect("a list"), [], "nothing came of any of them");

    // Defect 8.5: a byte order mark made a Dockerrun invalid, and one without Fargate's fields could not be used.
    let mut headed = vec![0xef, 0xbb, 0xbf];
    headed.extend_from_slice(
        br#"{"AWSEBDockerrunVersion": 2, "CONTAINERDEFINITIONS": [{"Name": "a", "Image": "app:1"}]}"#,
    );
    let made = client.deploy_create(&new_deploy("web", headed)).await.expect("a plain Dockerrun with a BOM is fine");
    assert_eq!(made.entity_id, "web.1");
    let odd = container(&json!({"cpu": "256", "memory": "0.5GB", "myOwnKey": 1}));
    let made = client.deploy_create(&new_deploy("web", odd)).await.expect("strings are numbers too");
    assert!(made.warnings.iter().any(|text| text.contains("myOwnKey")), "an unknown key is named: {made:?}");
}

/// Defect 8.1: no limit on requests. 50 MB are refused, the client sees the answer, and the server goes on.
#[tokio::test]
async fn a_request_of_50_mb_is_answered_with_413() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let file = STANDARD.encode(vec![b' '; 50 * 1024 * 1024]);
    let body = json!({"deploy_name": "web", "deploy_file": file}).to_string();
    for path in ["/deploy", "/environment", "/tag"] {
        let answer = raw.send(Method::POST, path, &[], body.clone()).await;
        assert_eq!(answer.error(413).error_code, "TooLarge", "{path}");
    }
    // Within the request's limit, but beyond a document's.
    let document = container(&json!({"environment": [{"name": "A", "value": "x".repeat(1_100_000)}]}));
    let (status, error) = refused(client.deploy_create(&new_deploy("web", document)).await);
    assert_eq!((status, error.error_code.as_str()), (413, "TooLarge"), "{error:?}");
    // Just below it.
    let document = container(&json!({"environment": [{"name": "A", "value": "x".repeat(1_000_000)}]}));
    client.deploy_create(&new_deploy("web", document)).await.expect("a large one is still one");
}

/// Unknown image, tag or platform: the pull check says which, and what to do, before anything starts.
#[tokio::test]
async fn an_image_that_could_not_be_pulled_starts_nothing() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.push("team/app", "arm", "arm64", "x").await;
    raw.push("team/app", "good", "amd64", "x").await;
    for (prefix, class) in [
        ("gone.example.com", FailureClass::ImageNotFound),
        ("secret.example.com", FailureClass::PullDenied),
        ("mainframe.example.com", FailureClass::WrongArchitecture),
    ] {
        app.fake().set_image_behaviour(prefix, Behaviour::cannot_start(class, "scripted"));
    }
    let env = environment(&client, "dev").await;
    let good = deploy_of(&client, "good", "registry.layer0.test/team/app:good", &[]).await;
    let running = service(&client, "running", &env, &good, 1).await;
    for (image, words, hint) in [
        ("registry.layer0.test/team/none:1", "there is no repository `team/none`", "l0 repository create team/none"),
        ("registry.layer0.test/team/app:nope", "has no `nope` (it has ", "docker push localhost:"),
        ("registry.layer0.test/team/app", "has no `latest`", "docker push"),
        (
            "registry.layer0.test/team/app:arm",
            "is for linux/arm64, the engine runs linux/amd64",
            "--platform linux/amd64",
        ),
        ("gone.example.com/a:1", "finds no image", "l0 image resolve"),
        ("secret.example.com/a:1", "does not let the engine in", "no credential"),
        ("mainframe.example.com/a:1", "is for linux/s390x", "--platform linux/amd64"),
        ("registry.invalid/a:1", "no such host", "check the name"),
    ] {
        let id = deploy_of(&client, "bad", image, &[]).await;
        let answers = [
            refused(client.service_create(&new_service("web", &env, &id, 1)).await),
            refused(client.task_create(&new_task("once", &env, &id)).await),
            refused(client.service_update(&running, &to_deploy(&id)).await),
        ];
        for (status, error) in answers {
            assert_eq!((status, error.error_code.as_str()), (422, "PullCheckFailed"), "{image}: {error:?}");
            assert!(error.message.contains(words), "{image}: {}", error.message);
            assert!(error.hint.as_ref().is_some_and(|text| text.contains(hint)), "{image}: {:?}", error.hint);
        }
        let resolved = client.image_resolve(image).await.expect("resolving shows the problem");
        assert!(resolved.problem.is_some_and(|problem| problem.message.contains(words)), "{image}");
        assert_eq!(resolved.pinned, None);
    }
    assert_eq!(client.service_list().await.expect("a list").len(), 1, "nothing was made");
    assert_eq!(client.task_list().await.expect("a list"), []);
    let after = client.service_get(&running).await.expect("it is there");
    assert_eq!((after.deployments.len(), after.deployments[0].deploy_name.as_str()), (1, "good"), "{after:?}");
    refused(client.image_resolve("Not An Image").await);
}

/// Every image that fails is named, not only the first.
#[tokio::test]
async fn the_pull_check_names_every_image() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let document = json!({"containerDefinitions": [{"name": "a", "image": "registry.layer0.test/team/a"},
        {"name": "b", "image": "registry.layer0.test/team/b"}, {"name": "c", "image": "app:1"}]});
    client.deploy_create(&new_deploy("web", document.to_string())).await.expect("deploys are not checked");
    let (_, error) = refused(client.service_create(&new_service("web", &env, "web.1", 1)).await);
    assert_eq!(error.problems.len(), 2, "{error:?}");
    assert!(error.problems[0].contains("team/a") && error.problems[1].contains("team/b"), "{error:?}");
}

/// Rules that are malformed, stand twice, feed one another or themselves are refused when they are written; where two
/// overlap, the longer prefix wins; those of the instance can't be taken away.
#[tokio::test]
async fn map_rules_hold_together_or_are_refused() {
    let options =
        TestOptions { image_map: "corp.example.com|mirror.example.com/corp".to_owned(), ..Default::default() };
    let app = TestApp::with(options).await;
    let (raw, client) = (Raw::of(&app), app.client());
    let add = async |rule: &str| raw.post("/map", &json!({"rule": rule})).await;
    add("a.example.com|b.example.com/x").await.expect(201);
    add("a.example.com/team|c.example.com").await.expect(201);
    let before = client.map_list().await.expect("a list");
    assert_eq!(
        before.iter().map(|rule| rule.source.as_str()).collect::<Vec<_>>(),
        ["instance", "instance", "user", "user"]
    );
    for (rule, word) in [
        ("", "empty"),
        ("|", "prefix"),
        ("a|", "target"),
        ("|a", "prefix"),
        ("no target", "target"),
        ("a|b|c", "more than one"),
        ("host:5000", "port"),
        ("UPPER.example.com/App|b", "UPPER"),
        ("a.example.com|elsewhere", "same prefix"),
        ("registry.layer0.test|elsewhere.example.com", "same prefix"),
        ("corp.example.com|elsewhere.example.com", "same prefix"),
        ("z.example.com|a.example.com/y", "rewrite again"),
        ("b.example.com|d.example.com", "rewrite again"),
        ("loop.example.com|loop.example.com/x", "its own result"),
        ("e.example.com/team|ecr", "--registry-backing ecr"),
    ] {
        let error = add(rule).await.error(422);
        assert!(error.message.contains(word), "{rule}: {}", error.message);
    }
    for body in [json!({}), json!({"prefix": "a"}), json!({"rule": "a|b", "prefix": "a", "target": "b"})] {
        raw.post("/map", &body).await.error(422);
    }
    assert_eq!(client.map_list().await.expect("a list"), before, "nothing came of any of them");
    add("a.example.com|b.example.com/x").await.expect(201);
    assert_eq!(client.map_list().await.expect("a list"), before, "the same rule again is no second rule");

    let resolve = async |image: &str| client.image_resolve(image).await.expect("a legal image").backing;
    assert_eq!(resolve("a.example.com/other/app:1").await, "b.example.com/x/other/app:1");
    assert_eq!(resolve("a.example.com/team/app:1").await, "c.example.com/app:1", "the longer prefix wins");
    assert_eq!(resolve("a.example.com/teamwork/app:1").await, "b.example.com/x/teamwork/app:1", "whole components");
    assert_eq!(resolve("b.example.com/x/other/app:1").await, "b.example.com/x/other/app:1", "once only");
    assert_eq!(resolve("corp.example.com/app").await, "mirror.example.com/corp/app");
    let own = format!("{}/team/app:1", app.registry_address());
    assert_eq!(resolve("registry.layer0.test/team/app:1").await, own);

    // What a deploy became stays, whatever happens to the rule.
    deploy_of(&client, "web", "a.example.com/team/app:1", &[]).await;
    client.map_remove("a.example.com/team").await.expect("a rule of the user's goes");
    let (status, error) = refused(client.map_remove("registry.layer0.test").await);
    assert!(status == 422 && error.hint.is_some_and(|hint| hint.contains("--registry-name")));
    assert_eq!(refused(client.map_remove("nobody.example.com").await).1.error_code, "MapRuleDoesNotExist");
    let images = client.deploy_get("web.1").await.expect("it is there").images;
    assert_eq!(
        (images[0].image.as_str(), images[0].resolved.as_str()),
        ("a.example.com/team/app:1", "c.example.com/app:1")
    );
    assert_eq!(resolve("a.example.com/team/app:1").await, "b.example.com/x/team/app:1");
}

/// Rules written at the same time all stay, or are refused as a conflict.
#[tokio::test]
async fn map_rules_of_many_writers_are_not_lost() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let answers =
        join_all((0..8).map(|n| {
            let raw = &raw;
            async move {
                (n, raw.post("/map", &json!({"rule": format!("h{n}.example.com|t.example.com/{n}")})).await.status)
            }
        }));
    let answers = answers.await;
    let listed = app.client().map_list().await.expect("a list");
    for (n, status) in answers {
        let there = listed.iter().any(|rule| rule.prefix == format!("h{n}.example.com"));
        assert!(status == 201 && there || status == 409 && !there, "rule {n}: {status}, listed: {there}");
    }
}

/// A host port that is taken is refused with the name of who has it.
#[tokio::test]
async fn a_port_in_use_is_named_with_its_holder() {
    let app = TestApp::start().await;
    let client = app.client();
    let (dev, prod) = (environment(&client, "dev").await, environment(&client, "prod").await);
    let first = load_balancer(&client, "first", &dev, &[8080, 8081]).await;
    let second = load_balancer(&client, "second", &prod, &[9090]).await;
    let (status, error) = refused(client.load_balancer_create(&new_load_balancer("third", &prod, &[80, 8081])).await);
    assert_eq!(status, 409, "{error:?}");
    assert!(error.message.contains("8081") && error.message.contains("first"), "{}", error.message);
    assert_eq!((error.holders[0].entity_id.as_str(), error.holders[0].name.as_str()), (first.as_str(), "first"));
    let change = wire::UpdateLoadBalancerRequest { add_ports: vec![port(8080)], ..Default::default() };
    let (status, error) = refused(client.load_balancer_update(&second, &change).await);
    assert_eq!((status, error.holders[0].name.as_str()), (409, "first"));
    let there = client.load_balancer_get(&second).await.expect("it is there");
    assert_eq!(there.ports.len(), 1, "nothing changed: {there:?}");
    // Private ones stand apart in environments of their own, and are free again when their holder goes.
    for env in [&dev, &prod] {
        let private = wire::CreateLoadBalancerRequest { is_public: false, ..new_load_balancer("inner", env, &[7000]) };
        if env == &dev {
            done(&client, client.load_balancer_create(&private).await).await;
        } else {
            let made = client.load_balancer_create(&private).await.expect("the other environment has its own address");
            end_of(&client, &made).await;
        }
    }
    done(&client, client.load_balancer_delete(&first).await).await;
    load_balancer(&client, "third", &prod, &[8081]).await;
}

/// Two that ask for a port at once: one has it, the other is told by whom it is taken.
#[tokio::test]
async fn of_many_who_want_a_port_one_gets_it() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let outcomes = join_all((0..6).map(|n| {
        let (client, env) = (client.clone(), env.clone());
        async move {
            match client.load_balancer_create(&new_load_balancer(&format!("lb{n}"), &env, &[8080])).await {
                Ok(accepted) => {
                    let end = end_of(&client, &accepted).await;
                    match end.state.as_str() {
                        "succeeded" => true,
                        _ => {
                            let cause = end.cause.expect("a failure has a cause");
                            assert_eq!(cause.class, "port_taken", "{cause:?}");
                            assert!(cause.message.contains("8080") && cause.message.contains("lb"), "{cause:?}");
                            false
                        }
                    }
                }
                answer => {
                    let (status, error) = refused(answer);
                    assert!(status == 409 && error.message.contains("8080"), "{error:?}");
                    false
                }
            }
        }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|got| **got).count(), 1, "{outcomes:?}");
}

/// Listeners that can't be: section 8.4, "validation accepts port 99999 or unknown protocols".
#[tokio::test]
async fn listeners_and_health_checks_are_checked() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let listener = |container: i64, host: i64, protocol: &str| json!({"container_port": container, "host_port": host, "protocol": protocol});
    let check = |target: &str, path: &str, interval: i64| json!({"target": target, "path": path, "interval": interval, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 2});
    let request = |ports: Value, health_check: Value| {
        json!({"load_balancer_name": "lb", "environment_id": env, "load_balancer_type": "application",
            "is_public": true, "ports": ports, "health_check": health_check})
    };
    let good = check("TCP:80", "/", 30);
    for (body, word) in [
        (request(json!([listener(80, 99999, "http")]), good.clone()), "99999"),
        (request(json!([listener(99999, 80, "http")]), good.clone()), "99999"),
        (request(json!([listener(0, 80, "http")]), good.clone()), "ContainerPort"),
        (request(json!([listener(80, 0, "http")]), good.clone()), "HostPort"),
        (request(json!([listener(80, -1, "http")]), good.clone()), "-1"),
        (request(json!([listener(80, 80, "")]), good.clone()), "Protocol"),
        (request(json!([listener(80, 80, "gopher")]), good.clone()), "gopher"),
        (request(json!([listener(80, 80, "http"), listener(81, 80, "tcp")]), good.clone()), "twice"),
        (request(json!([listener(80, 443, "https")]), good.clone()), "TLS"),
        (request(json!([listener(80, 80, "http")]), check("HTTP:80", "", 30)), "followed by a path"),
        (request(json!([listener(80, 80, "http")]), check("FTP:80", "", 30)), "FTP"),
        (request(json!([listener(80, 80, "http")]), check("TCP:80", "health", 30)), "to start with '/'"),
        (request(json!([listener(80, 80, "http")]), check("", "", 30)), "Path or Target"),
        (request(json!([listener(80, 80, "http")]), check("TCP:80", "/", 0)), "Interval"),
    ] {
        let error = raw.post("/loadbalancer", &body).await.error(422);
        assert!(error.message.contains(word), "`{word}` is not in {}", error.message);
    }
    let mut kind = request(json!([]), good);
    kind["load_balancer_type"] = json!("quantum");
    assert!(raw.post("/loadbalancer", &kind).await.error(422).message.contains("'quantum'"));
    assert_eq!(client.load_balancer_list().await.expect("a list"), []);
}

/// Names with spaces, in Unicode, of 300 characters, or none: refused in words that name what is wrong.
#[tokio::test]
async fn names_that_can_not_be_names_are_refused() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let file = STANDARD.encode(definition("app:1", &[]).to_string());
    let long = "x".repeat(300);
    for (name, word) in [
        ("my service", "` `"),
        ("wéb", "`é`"),
        ("数据", "`数`"),
        ("a:b", "`:`"),
        ("a*", "`*`"),
        ("-a", "`-`"),
        ("../../etc/passwd", "`.`"),
        ("a\u{0}b", "not allowed"),
        (long.as_str(), "300 characters, the most is 64"),
        ("", "is required"),
    ] {
        for (path, body) in [
            ("/environment", json!({"environment_name": name, "operating_system": "linux"})),
            ("/deploy", json!({"deploy_name": name, "deploy_file": file})),
            ("/service", json!({"service_name": name, "environment_id": env, "deploy_id": id, "scale": 1})),
            ("/task", json!({"task_name": name, "environment_id": env, "deploy_id": id})),
            ("/loadbalancer", json!({"load_balancer_name": name, "environment_id": env})),
        ] {
            let error = raw.post(path, &body).await.error(422);
            assert!(error.message.contains(word), "{path} {name:?}: `{word}` is not in {}", error.message);
            assert!(error.message.len() < 500, "{}", error.message.len());
        }
    }
    for (path, body) in [
        ("/environment", json!({"environment_name": "b", "operating_system": "windows"})),
        ("/environment", json!({"environment_name": "b", "operating_system": "linux", "scale": -1})),
        ("/environment", json!({"environment_name": "b", "operating_system": "linux", "user_data_template": "%"})),
        ("/service", json!({"service_name": "b", "environment_id": env, "deploy_id": id, "scale": -1})),
        ("/service", json!({"service_name": "b", "environment_id": env, "deploy_id": id, "scale": 1_000_000})),
        ("/task", json!({"task_name": "b", "environment_id": env, "deploy_id": id, "copies": 0})),
        (
            "/task",
            json!({"task_name": "b", "environment_id": env, "deploy_id": id,
            "container_overrides": [{"container_name": "nobody", "environment_overrides": {}}]}),
        ),
        (
            "/task",
            json!({"task_name": "b", "environment_id": env, "deploy_id": id,
            "container_overrides": [{"container_name": "app", "environment_overrides": {"": "x"}}]}),
        ),
    ] {
        raw.post(path, &body).await.error(422);
    }
    assert_eq!(client.environment_list().await.expect("a list").len(), 1);
    assert_eq!(client.deploy_list().await.expect("a list").len(), 1);
}

/// Defects 8.2: no uniqueness, or one that is checked and then acted upon. Of ten who take a name at once, one gets it.
#[tokio::test]
async fn a_name_is_given_once() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let one_of = |answers: Vec<Result<wire::CreateEntityResponse, _>>| {
        let client = client.clone();
        async move {
            let mut made = Vec::new();
            for answer in answers {
                match answer {
                    Ok(accepted) => made.push(accepted),
                    refusal => {
                        let (status, error) = refused(refusal);
                        assert_eq!((status, error.error_code.as_str()), (409, "NameTaken"), "{error:?}");
                        assert!(error.hint.is_some(), "{error:?}");
                    }
                }
            }
            assert_eq!(made.len(), 1, "{made:?}");
            done(&client, Ok(made.remove(0))).await
        }
    };
    let requests = join_all((0..10).map(|_| async { client.environment_create(&new_environment("twice")).await }));
    let other = one_of(requests.await).await;
    let requests = join_all((0..10).map(|_| async { client.service_create(&new_service("web", &env, &id, 0)).await }));
    one_of(requests.await).await;
    let requests = join_all((0..10).map(|_| async { client.task_create(&new_task("web", &env, &id)).await }));
    one_of(requests.await).await;
    let ports = join_all((0..10).map(|n| {
        let (client, env) = (client.clone(), env.clone());
        async move { client.load_balancer_create(&new_load_balancer("web", &env, &[8000 + n])).await }
    }));
    one_of(ports.await).await;
    // The same name in another environment is another thing.
    service(&client, "web", &other, &id, 0).await;
}

/// Defects 8.2: versions assigned elsewhere and written down later. Ten deploys made at once have the next ten versions.
#[tokio::test]
async fn versions_are_given_once_each_and_never_again() {
    let app = TestApp::start().await;
    let client = app.client();
    let make = || async { client.deploy_create(&new_deploy("web", definition("app:1", &[]).to_string())).await };
    let made = join_all((0..10).map(|_| make())).await;
    let ids: BTreeSet<String> = made.into_iter().map(|answer| answer.expect("a legal deploy").entity_id).collect();
    assert_eq!(ids, (1..=10).map(|n| format!("web.{n}")).collect());
    client.deploy_delete("web.10").await.expect("nobody needs it");
    assert_eq!(make().await.expect("a legal deploy").entity_id, "web.11");
}

/// What is in use is not deleted, and the answer lists what holds it.
#[tokio::test]
async fn a_delete_of_what_is_in_use_lists_its_holders() {
    let app = TestApp::start().await;
    let client = app.client();
    let (dev, prod) = (environment(&client, "dev").await, environment(&client, "prod").await);
    let id = deploy(&client, "web", &[]).await;
    let balancer = load_balancer(&client, "front", &dev, &[8080]).await;
    let request = wire::CreateServiceRequest { load_balancer_id: balancer.clone(), ..new_service("web", &dev, &id, 1) };
    let web = done(&client, client.service_create(&request).await).await;
    let task = done(&client, client.task_create(&new_task("once", &dev, &id)).await).await;
    let link = wire::UpdateEnvironmentRequest { add_links: vec![dev.clone()], ..Default::default() };
    done(&client, client.environment_update(&prod, &link).await).await;

    let (status, error) = refused(client.environment_delete(&dev).await);
    assert_eq!((status, error.error_code.as_str()), (409, "DependencyError"));
    let holders: BTreeSet<(&str, &str)> =
        error.holders.iter().map(|it| (it.entity_type.as_str(), it.entity_id.as_str())).collect();
    let all = [("service", &web), ("load_balancer", &balancer), ("task", &task), ("environment", &prod)];
    assert_eq!(holders, all.iter().map(|(kind, id)| (*kind, id.as_str())).collect());
    for name in ["web", "front", "once", "prod"] {
        assert!(error.message.contains(&format!("`{name}`")), "{}", error.message);
    }
    let (status, error) = refused(client.load_balancer_delete(&balancer).await);
    assert_eq!((status, error.holders.len(), error.holders[0].entity_id.as_str()), (409, 1, web.as_str()));
    let again = wire::CreateServiceRequest { service_name: "other".to_owned(), ..request };
    let (status, error) = refused(client.service_create(&again).await);
    assert_eq!((status, error.error_code.as_str()), (409, "DependencyError"), "a load balancer serves one service");
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 1, "nothing was touched");

    // A deploy that a service runs may go; the service runs on, and can be scaled.
    client.deploy_delete(&id).await.expect("deploys are free to go");
    done(&client, client.service_update(&web, &to_scale(2)).await).await;
    // Taken away in order, all goes.
    done(&client, client.task_delete(&task).await).await;
    done(&client, client.service_delete(&web).await).await;
    done(&client, client.load_balancer_delete(&balancer).await).await;
    let (_, error) = refused(client.environment_delete(&dev).await);
    assert_eq!(error.holders.len(), 1, "only the link is left: {error:?}");
    let unlink = wire::UpdateEnvironmentRequest { remove_links: vec![dev.clone()], ..Default::default() };
    done(&client, client.environment_update(&prod, &unlink).await).await;
    done(&client, client.environment_delete(&dev).await).await;
}

/// Defects 8.2: two link edits at once lose one. Many writers on one entity: what was accepted is there.
#[tokio::test]
async fn of_many_writers_none_is_lost() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let mut others = Vec::new();
    for n in 0..12 {
        others.push(environment(&client, &format!("other{n}")).await);
    }
    let answers = join_all(others.iter().map(|other| {
        let link = wire::UpdateEnvironmentRequest { add_links: vec![other.clone()], ..Default::default() };
        let (client, env) = (client.clone(), env.clone());
        async move { client.environment_update(&env, &link).await }
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let links: BTreeSet<String> = client.environment_get(&env).await.expect("it is there").links.into_iter().collect();
    assert_eq!(links, others.iter().cloned().collect());

    let balancer = load_balancer(&client, "lb", &env, &[8000]).await;
    let answers = join_all((1..=12).map(|n| {
        let change = wire::UpdateLoadBalancerRequest { add_ports: vec![port(8000 + n)], ..Default::default() };
        let (client, balancer) = (client.clone(), balancer.clone());
        async move { client.load_balancer_update(&balancer, &change).await }
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let ports = client.load_balancer_get(&balancer).await.expect("it is there").ports;
    assert_eq!(ports.iter().map(|port| port.host_port).collect::<Vec<_>>(), (8000..=8012).collect::<Vec<_>>());

    // A roll-out and a change of scale at once: both happen.
    let (one, two) = (deploy(&client, "web", &[]).await, deploy(&client, "web", &[]).await);
    let web = service(&client, "web", &env, &one, 1).await;
    let (scale, rollout) = (to_scale(3), to_deploy(&two));
    let (scaled, rolled) = tokio::join!(client.service_update(&web, &scale), client.service_update(&web, &rollout));
    for accepted in [scaled, rolled] {
        let end = end_of(&client, &accepted.expect("both are accepted")).await;
        assert!(["succeeded", "superseded"].contains(&end.state.as_str()), "{end:?}");
    }
    let web = client.service_get(&web).await.expect("it is there");
    assert_eq!((web.desired_count, web.running_count, web.deployments[0].deploy_id.as_str()), (3, 3, two.as_str()));
    // Later writes took the earlier operations over; the last of each is at its end when its entity is.
    for operation in client.operation_list().await.expect("a list") {
        let (_, end) = crate::support::followed(&client, &operation.operation_id).await;
        assert!(["succeeded", "superseded"].contains(&end.state.as_str()), "{end:?}");
    }
    app.restart().await;
    let there = app.client().environment_get(&env).await.expect("it is there");
    assert_eq!(there.links.len(), others.len(), "nor by a crash");
}
