use super::*;

fn problems(value: &Value) -> Vec<String> {
    match parse(value) {
        Err(DocumentError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{value}: {other:?}"),
    }
}

#[test]
fn what_is_no_document_at_all() {
    let cases: [(&[u8], &str); 14] = [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"{", "line 1, column 1: EOF"),
        (b"{\n  \"containerDefinitions\": [,]\n}", "line 2, column 28: expected value"),
        (b"{} {}", "line 1, column 4: trailing characters"),
        (b"version: 2", "not valid JSON: line 1"),
        (b"{\"a\": \"\xff\"}", "not valid JSON"),
        (b"{\"a\": 1e999}", "number out of range"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b"[]", "must be a JSON object with \"containerDefinitions\", not a list"),
        (b"null", "not null"),
        (b"{}", "containerDefinitions: is missing"),
        (b"{\"containerDefinitions\": []}", "containerDefinitions: is empty"),
        (b"{\"containerDefinitions\": {}}", "containerDefinitions: must be a list, not an object"),
    ];
    for (bytes, expected) in cases {
        let error = Document::parse(bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn fifty_megabytes_are_refused_by_their_size() {
    // Not JSON: any other error would show that the content was looked at.
    let bytes = vec![b'['; 50 * 1024 * 1024];
    assert_eq!(Document::parse(&bytes), Err(DocumentError::TooLarge { bytes: 50 * 1024 * 1024, limit: 1024 * 1024 }));
    let mut most = one(json!({})).to_string().into_bytes();
    most.resize(MAX_BYTES, b' ');
    assert!(Document::parse(&most).is_ok());
    most.push(b' ');
    assert!(matches!(Document::parse(&most), Err(DocumentError::TooLarge { .. })));
}

#[test]
fn deep_nesting_is_refused_before_it_is_read() {
    for text in
        ["[".repeat(500_000), "{\"a\":".repeat(100_000), format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64))]
    {
        assert_eq!(Document::parse(text.as_bytes()), Err(DocumentError::TooDeep { limit: 64 }));
    }
    let mut legal = one(json!({}));
    legal["note"] = json!("[[[[".repeat(100) + "\\\"{{{");
    legal["deep"] = serde_json::from_str(&format!("{}{}", "[".repeat(60), "]".repeat(60))).expect("JSON");
    document(&legal);
}

#[test]
fn single_container_documents_get_a_hint() {
    for value in [
        json!({"AWSEBDockerrunVersion": "1", "Image": {"Name": "x"}, "Ports": [{"ContainerPort": "80"}]}),
        json!({"Image": {"Name": "x"}}),
        json!({"AWSEBDockerrunVersion": 1}),
    ] {
        let error = parse(&value).expect_err("version 1");
        assert_eq!(error, DocumentError::SingleContainer);
        assert!(error.to_string().contains("containerDefinitions"), "{error}");
    }
}

#[test]
fn every_rule_has_its_message() {
    let cases = [
        // Names and images.
        (json!({"containerDefinitions": [{"image": "a"}]}), "containerDefinitions[0].name: is missing"),
        (json!({"containerDefinitions": [{"name": "a"}]}), "containerDefinitions[0].image: is missing"),
        (json!({"containerDefinitions": [null]}), "containerDefinitions[0]: must be an object, not null"),
        (one(json!({"name": "my app"})), "containerDefinitions[0].name: \"my app\" is not a legal name"),
        (one(json!({"name": "ünïcode"})), "is not a legal name"),
        (one(json!({"name": "a".repeat(256)})), "up to 255"),
        (one(json!({"name": ""})), "containerDefinitions[0].name: is empty"),
        (
            one(json!({"image": "Team/App:1"})),
            "containerDefinitions[0].image: image path \"Team/App\" must be lower case; write \"team/app\"",
        ),
        (one(json!({"image": "a@sha256:12"})), "containerDefinitions[0].image: a sha256 digest has 64"),
        (one(json!({"image": 7})), "containerDefinitions[0].image: must be a string, not a number; put it in quotes"),
        // Types.
        (one(json!({"essential": "yes"})), "essential: must be true or false, not a string"),
        (one(json!({"command": "serve"})), "command: must be a list, not a string"),
        (one(json!({"command": ["a", 1]})), "command[1]: must be a string, not a number"),
        (
            one(json!({"environment": [{"name": "A", "value": 1}]})),
            "environment[0].value: must be a string, not a number; put it in quotes",
        ),
        (one(json!({"environment": [{"name": "", "value": "x"}]})), "environment[0].name: is empty"),
        (one(json!({"environment": [{"name": "A=B", "value": "x"}]})), "environment[0].name: must not hold"),
        (one(json!({"dockerLabels": {"a.b": 1}})), "dockerLabels[\"a.b\"]: must be a string"),
        (one(json!({"stopTimeout": 1.5})), "stopTimeout: must be a whole number, not 1.5"),
        (one(json!({"name": "web", "Name": "other"})), "name: is written more than once"),
        // Amounts.
        (one(json!({"memory": 3})), "containerDefinitions[0].memory: 3 MiB of memory are too few"),
        (one(json!({"memory": "lots"})), "\"lots\" is not a number of MiB"),
        (one(json!({"cpu": -1})), "containerDefinitions[0].cpu: -1 is not a number of CPU units"),
        (one(json!({"memory": 64, "memoryReservation": 128})), "memoryReservation: 128 MiB are more than"),
        // Ports.
        (
            one(json!({"portMappings": [{"containerPort": 0}]})),
            "portMappings[0].containerPort: must be from 1 to 65535, not 0",
        ),
        (one(json!({"portMappings": [{"containerPort": 65536}]})), "must be from 1 to 65535, not 65536"),
        (
            one(json!({"portMappings": [{"containerPort": 80, "hostPort": -1}]})),
            "portMappings[0].hostPort: must be from 0 to 65535",
        ),
        (one(json!({"portMappings": [{"hostPort": 80}]})), "portMappings[0].containerPort: is missing"),
        (
            one(json!({"portMappings": [{"containerPort": "80"}]})),
            "containerPort: must be a whole number, not a string",
        ),
        (
            one(json!({"portMappings": [{"containerPort": 80, "protocol": "sctp"}]})),
            "protocol: \"sctp\" is not known; one of tcp, udp is",
        ),
        (
            one(json!({"portMappings": [{"containerPort": 80, "hostPort": 1}, {"containerPort": 81, "hostPort": 1}]})),
            "host port 1/tcp is asked for by \"web\" already",
        ),
        (one(json!({"portMappings": [{"containerPortRange": "9-1"}]})), "containerPortRange: \"9-1\" is not a range"),
        (one(json!({"portMappings": [{"containerPortRange": "1-60000"}]})), "wider than 100 ports"),
        // References.
        (
            one(json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]})),
            "mountPoints[0].sourceVolume: names the volume \"v\"",
        ),
        (one(json!({"links": ["db:d"]})), "links[0]: names the container \"db\", which does not exist"),
        (
            one(json!({"volumesFrom": [{"sourceContainer": "db"}]})),
            "volumesFrom[0].sourceContainer: names the container \"db\"",
        ),
        (
            one(json!({"dependsOn": [{"containerName": "db", "condition": "START"}]})),
            "dependsOn[0].containerName: names the container \"db\"",
        ),
        (
            one(json!({"dependsOn": [{"containerName": "web", "condition": "LATER"}]})),
            "condition: \"LATER\" is not known; one of START",
        ),
        (one(json!({"dependsOn": [{"containerName": "web"}]})), "dependsOn[0].condition: is missing"),
        (one(json!({"dependsOn": [{"containerName": "web", "condition": "START"}]})), "depends on itself: web -> web"),
        (one(json!({"links": ["web"]})), "depends on itself: web -> web"),
        (one(json!({"essential": false})), "containerDefinitions: no container is essential"),
        // The rest.
        (
            one(json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "v"}]})),
            "containerPath: \"v\" is not an absolute path",
        ),
        (one(json!({"healthCheck": {"command": ["curl", "x"]}})), "healthCheck.command: must start with CMD"),
        (one(json!({"healthCheck": {"command": ["CMD-SHELL"]}})), "healthCheck.command: has nothing after"),
        (
            one(json!({"healthCheck": {"command": ["CMD", "x"], "interval": 1}})),
            "healthCheck.interval: must be from 5 to 300, not 1",
        ),
        (
            one(json!({"ulimits": [{"name": "files", "softLimit": 1, "hardLimit": 1}]})),
            "ulimits[0].name: \"files\" is not known",
        ),
        (
            one(json!({"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]})),
            "softLimit: is above the hard limit, 1",
        ),
        (one(json!({"ulimits": [{"name": "nofile", "hardLimit": 1}]})), "softLimit: is missing"),
        (one(json!({"extraHosts": [{"hostname": "h", "ipAddress": "h"}]})), "ipAddress: \"h\" is not an IP address"),
        (one(json!({"secrets": [{"name": "S"}]})), "secrets[0].valueFrom: is missing"),
        (one(json!({"logConfiguration": {}})), "logConfiguration.logDriver: is missing"),
    ];
    for (value, expected) in cases {
        let found = problems(&value);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{value}\n expected {expected}\n found {found:?}"
        );
    }
}

#[test]
fn rules_of_the_task_have_their_messages() {
    for (key, value, expected) in [
        ("networkMode", json!("overlay"), "networkMode: \"overlay\" is not known"),
        ("cpu", json!("many"), "cpu: \"many\" is not a number of CPU units"),
        ("cpu", json!(0), "cpu: must be at least 1"),
        ("memory", json!("1 TB"), "memory: \"1 TB\" is not a number of MiB"),
        ("memory", json!("3"), "memory: 3 MiB of memory are too few"),
        ("requiresCompatibilities", json!(["MOON"]), "requiresCompatibilities[0]: \"MOON\" is not known"),
        (
            "runtimePlatform",
            json!({"cpuArchitecture": "mips"}),
            "runtimePlatform.cpuArchitecture: \"mips\" is not known",
        ),
        ("volumes", json!([{"host": {}}]), "volumes[0].name: is missing"),
        ("volumes", json!([{"name": "v"}, {"name": "v"}]), "volumes[1].name: \"v\" is the name of another volume"),
        (
            "volumes",
            json!([{"name": "v", "host": {"sourcePath": "/"}, "efsVolumeConfiguration": {}}]),
            "more than one kind",
        ),
    ] {
        let mut document = one(json!({}));
        document[key] = value;
        let found = problems(&document);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{document}: {found:?}");
    }
    let mut small = one(json!({"memory": 512}));
    small["memory"] = json!(256);
    assert_eq!(
        problems(&small),
        ["containerDefinitions[0].memory: 512 MiB are more than the task's \"memory\", 256 MiB"]
    );
    let mut awsvpc = one(json!({"portMappings": [{"containerPort": 80, "hostPort": 8080}]}));
    awsvpc["networkMode"] = json!("awsvpc");
    assert!(problems(&awsvpc)[0].contains("must be 80 like containerPort"));
}

#[test]
fn rules_between_containers_have_their_messages() {
    let container = |name: &str, needs: &str, condition: &str| {
        let mut value = json!({"name": name, "image": "x"});
        if !needs.is_empty() {
            value["dependsOn"] = json!([{"containerName": needs, "condition": condition}]);
        }
        value
    };
    let document = |containers: Vec<Value>| json!({"containerDefinitions": containers});
    for (value, expected) in [
        (
            document(vec![container("a", "", ""), container("a", "", "")]),
            vec!["containerDefinitions[1].name: \"a\" is the name of containerDefinitions[0] too; names must differ"],
        ),
        (
            document(vec![container("a", "b", "HEALTHY"), container("b", "", "")]),
            vec!["containerDefinitions[0].dependsOn[0].condition: HEALTHY needs a healthCheck on the container \"b\""],
        ),
        (
            document(vec![container("a", "b", "START"), container("b", "c", "START"), container("c", "a", "START")]),
            vec!["containerDefinitions[0]: depends on itself: a -> b -> c -> a"],
        ),
        (
            document(vec![
                container("x", "a", "START"),
                container("a", "b", "START"),
                container("b", "a", "START"),
                container("c", "c", "START"),
            ]),
            vec![
                "containerDefinitions[1]: depends on itself: a -> b -> a",
                "containerDefinitions[3]: depends on itself: c -> c",
            ],
        ),
    ] {
        assert_eq!(problems(&value), expected);
    }
    let found = problems(&document(vec![container("a", "b", "SUCCESS"), container("b", "", "")]));
    assert!(found[0].contains("waits for the end of \"b\", which is essential"), "{found:?}");
}

#[test]
fn a_long_chain_of_dependencies_is_no_danger() {
    let containers: Vec<_> = (0..8000)
        .map(|index| json!({"name": format!("c{index}"), "image": "x", "links": [format!("c{}", (index + 1) % 8000)]}))
        .collect();
    let found = problems(&json!({"containerDefinitions": containers}));
    assert_eq!(found.len(), 1);
    assert!(found[0].len() < 2_000 && found[0].ends_with('…'), "{} bytes about one cycle", found[0].len());
}

#[test]
fn a_document_of_nothing_but_problems_is_told_a_hundred() {
    let command: Vec<_> = (0..100_000).collect();
    let found = problems(&one(json!({"command": command})));
    assert_eq!(found.len(), 101);
    assert_eq!(found[0], "containerDefinitions[0].command[0]: must be a string, not a number; put it in quotes");
    assert_eq!(found[100], "there are more than these 100 problems; mend them first");
    // The same problem again is not another one.
    let twice: Vec<_> = (0..200).map(|_| json!({"name": "a", "image": "x"})).collect();
    assert!(problems(&json!({"containerDefinitions": twice})).len() <= 101);
}

#[test]
fn all_problems_come_together() {
    let value = json!({
        "networkMode": "x",
        "containerDefinitions": [
            {"name": "a b", "image": "A", "memory": 1},
            {"image": "ok", "portMappings": [{"containerPort": 0}], "links": ["nobody"]},
        ],
    });
    let error = parse(&value).expect_err("wrong");
    let paths: Vec<_> = error.problems().iter().map(|problem| problem.path.as_str()).collect();
    for expected in [
        "networkMode",
        "containerDefinitions[0].name",
        "containerDefinitions[0].image",
        "containerDefinitions[0].memory",
        "containerDefinitions[1].name",
        "containerDefinitions[1].portMappings[0].containerPort",
        "containerDefinitions[1].links[0]",
    ] {
        assert!(paths.contains(&expected), "{expected}: {paths:?}");
    }
    assert_eq!(paths.len(), 7, "{paths:?}");
    assert!(error.to_string().starts_with("7 problems:\n- "), "{error}");
}

#[test]
fn messages_hold_no_values_of_the_environment() {
    let value = one(
        json!({"environment": [{"name": "PASSWORD", "value": ["hunter2"]}, {"name": "X", "value": "hunter2"}], "memory": 1}),
    );
    let error = parse(&value).expect_err("wrong");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}
