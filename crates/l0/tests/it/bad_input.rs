//! Bad input gets a clear error and the right exit code, and leaves nothing behind.

use std::thread;

use serde_json::json;

use crate::common::instance::Instance;
use crate::main_path::definition;

#[test]
fn task_definitions() {
    let instance = Instance::start(&["--engine", "fake"]);
    let create = |text: &[u8]| instance.l0(&["deploy", "create", &instance.file("d.json", text), "app"]);
    create(b"{").exits(4).says("line 1");
    create(b"").exits(4);
    create(b"[]").exits(4);
    create(b"{}").exits(4).says("containerDefinitions");
    create(b"{\"containerDefinitions\":[{\"name\":\"app\"}]}").exits(4).says("image");
    create(&[0xff, 0xfe, 0x00]).exits(4);
    let twice = json!({ "containerDefinitions": [{ "name": "a", "image": "x", "memory": 32 }, { "name": "a", "image": "x", "memory": 32 }] });
    create(twice.to_string().as_bytes()).exits(4).says("a");
    let lost = json!({ "containerDefinitions": [{ "name": "a", "image": "x", "memory": 32, "dependsOn": [{ "containerName": "nobody", "condition": "START" }] }] });
    create(lost.to_string().as_bytes()).exits(4).says("nobody");
    let circle = json!({ "containerDefinitions": [
        { "name": "a", "image": "x", "memory": 32, "dependsOn": [{ "containerName": "b", "condition": "START" }] },
        { "name": "b", "image": "x", "memory": 32, "dependsOn": [{ "containerName": "a", "condition": "START" }] },
    ] });
    create(circle.to_string().as_bytes()).exits(4);
    create(definition("UPPER CASE/not an image", &[]).as_bytes()).exits(4).says("UPPER CASE/not an image");
    // 50 MiB: refused, and the server goes on.
    let huge = definition("alpine", &[("BIG", &"x".repeat(50 * 1024 * 1024))]);
    let said = create(huge.as_bytes());
    assert!(matches!(said.code, Some(2 | 4)), "exit {:?}: {}", said.code, said.err);
    assert!(said.err.len() < 2_000, "the error repeats the input");
    assert_eq!(instance.json(&["deploy", "list"]), json!([]), "something of the refused ones is there");
    // With a byte order mark and with keys in any case it is taken.
    create(
        &[
            b"\xef\xbb\xbf",
            definition("alpine", &[]).replace("containerDefinitions", "ContainerDefinitions").as_bytes(),
        ]
        .concat(),
    )
    .ok()
    .says("app.1");
    instance.l0(&["deploy", "create", "/nowhere/d.json", "app"]).exits(2).says("/nowhere/d.json");
}

#[test]
fn names_and_numbers() {
    let instance = Instance::start(&["--engine", "fake"]);
    for name in ["two words", "ünï", "a/b", "a:b", "", "*", &"x".repeat(300), "-dash", "new\nline"] {
        let said = instance.l0(&["environment", "create", "--", name]);
        assert!(matches!(said.code, Some(2 | 4)), "`{name}` gave {:?}: {}", said.code, said.err);
    }
    assert_eq!(instance.json(&["environment", "list"]), json!([]));
    instance.l0(&["environment", "create", "dev"]).ok();
    instance.l0(&["environment", "create", "dev"]).exits(4).says("dev");
    for port in ["80", "80:80", "0:80/http", "70000:80/http", "80:80/carrier-pigeon", "eighty:80/tcp"] {
        let said = instance.l0(&["loadbalancer", "create", "dev", "web", "--port", port]);
        assert!(matches!(said.code, Some(2 | 4)), "`{port}` gave {:?}: {}", said.code, said.err);
    }
    let deploy = instance.file("d.json", definition("alpine", &[]));
    instance.l0(&["deploy", "create", &deploy, "app"]).ok();
    for scale in ["-1", "many", "1.5", "99999999999999999999"] {
        let said = instance.l0(&["service", "create", "dev", "app", "app:1", &format!("--scale={scale}")]);
        assert!(matches!(said.code, Some(2 | 4)), "`{scale}` gave {:?}: {}", said.code, said.err);
    }
    for over in ["app", "app:K", ":K=v", "app:=v"] {
        instance
            .l0(&["task", "create", "dev", "job", "app:1", "--env", over])
            .exits(2)
            .says("Environment Variable Override format is: CONTAINER:VAR=VAL");
    }
    assert_eq!(instance.json(&["service", "list"]), json!([]));
    assert_eq!(instance.json(&["task", "list"]), json!([]));
}

#[test]
fn map_rules_and_images() {
    let instance = Instance::start(&["--engine", "fake"]);
    for rule in [
        "nonsense",
        "|target",
        "a.example.com|",
        "a.example.com|a.example.com/x",
        "registry.layer0.test|elsewhere.example.com",
        "a b|c",
    ] {
        let said = instance.l0(&["map", "add", "--", rule]);
        assert!(matches!(said.code, Some(2 | 4)), "`{rule}` gave {:?}: {}", said.code, said.all());
    }
    instance.l0(&["map", "add", "a.example.com|b.example.com"]).ok();
    // A circle, and a second rule for the same prefix.
    instance.l0(&["map", "add", "b.example.com|a.example.com"]).exits(4);
    instance.l0(&["map", "add", "a.example.com|c.example.com"]).exits(4).says("a.example.com");
    assert_eq!(instance.json(&["map", "list"]).as_array().map(Vec::len), Some(2));
    instance.l0(&["image", "resolve", "a.example.com/team/app:1"]).says("b.example.com/team/app:1");
    // Our own registry: a repository and a tag that are not there are told apart.
    instance.l0(&["environment", "create", "dev"]).ok();
    let deploy = instance.file("d.json", definition("registry.layer0.test/demo/app:v1", &[]));
    instance.l0(&["deploy", "create", &deploy, "app"]).ok();
    instance
        .l0(&["service", "create", "dev", "app", "app:1"])
        .exits(4)
        .says("demo/app")
        .says("l0 repository create demo/app");
    instance.l0(&["repository", "create", "demo/app"]).ok();
    instance.l0(&["service", "create", "dev", "app", "app:1"]).exits(4).says("v1");
    assert_eq!(instance.json(&["service", "list"]), json!([]));
    for name in ["app", "UPPER/case", "a//b", "team/", "team/app:1"] {
        let said = instance.l0(&["repository", "create", name]);
        assert!(matches!(said.code, Some(2 | 4)), "`{name}` gave {:?}: {}", said.code, said.all());
    }
}

#[test]
fn two_writers_of_one_name() {
    let instance = Instance::start(&["--engine", "fake"]);
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| instance.l0(&["environment", "create", "dev"]).code)).collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(4)).count(), 3, "{codes:?}");
    assert_eq!(instance.json(&["environment", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn requests_that_no_client_of_ours_makes() {
    let instance = Instance::start(&["--engine", "fake"]);
    for (method, path, body, status) in [
        ("POST", "/environment", &b"{"[..], 400..=422),
        ("POST", "/environment", b"[]", 400..=422),
        ("POST", "/environment", b"", 400..=422),
        ("GET", "/environment/nothing", b"", 404..=404),
        ("GET", "/nothing", b"", 404..=404),
        ("DELETE", "/environment", b"", 404..=405),
        ("PATCH", "/service/nothing", b"{\"scale\":1}", 404..=404),
    ] {
        let answer = instance.api(method, path, body).expect("an answer");
        assert!(status.contains(&answer.status), "{method} {path}: {answer:?}");
        let error: serde_json::Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|why| panic!("{method} {path}: {why}: {answer:?}"));
        assert!(error["error_code"].is_string() && error["message"].is_string(), "{method} {path}: {error}");
    }
}
