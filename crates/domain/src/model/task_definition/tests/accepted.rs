use super::*;

const FULL: &str = r#"{
  "AWSEBDockerrunVersion": 2,
  "family": "guestbook",
  "networkMode": "bridge",
  "cpu": "0.5 vCPU",
  "memory": 1024,
  "requiresCompatibilities": ["fargate"],
  "runtimePlatform": {"cpuArchitecture": "ARM64"},
  "volumes": [{"name": "data", "host": {"sourcePath": "/srv"}}, {"name": "tmp"},
              {"name": "nfs", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
  "containerDefinitions": [
    {
      "name": "web", "image": "registry.example.com/team/app:1", "cpu": "0.25 vCPU", "memory": "0.5GB", "memoryReservation": 64,
      "portMappings": [{"containerPort": 80, "hostPort": 8080, "protocol": "TCP"}, {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
                       {"containerPortRange": "9000-9002"}],
      "environment": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}, {"name": "A", "value": "2"}],
      "command": ["serve"], "entryPoint": ["/app"],
      "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": true}],
      "volumesFrom": [{"sourceContainer": "setup"}],
      "links": ["db:database"],
      "dependsOn": [{"containerName": "setup", "condition": "success"}, {"containerName": "db", "condition": "HEALTHY"}],
      "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 10},
      "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": -1}],
      "stopTimeout": 5, "extraHosts": [{"hostname": "h", "ipAddress": "10.0.0.1"}],
      "dockerLabels": {"Name": "kept", "com.example.X": "y"},
      "logConfiguration": {"logDriver": "awslogs", "options": {"AWSLogs-Group": "g", "Image": "i"}},
      "linuxParameters": {"initProcessEnabled": true, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "swappiness": 5},
      "secrets": [{"name": "S", "valueFrom": "arn:s"}],
      "firelensConfiguration": {"type": "fluentbit"}
    },
    {"name": "db", "image": "postgres:16", "healthCheck": {"command": ["CMD", "pg_isready"]}},
    {"name": "setup", "image": "busybox", "essential": false}
  ]
}"#;

#[test]
fn every_field_is_read() {
    let document = Document::parse(FULL.as_bytes()).expect("legal");
    let task = document.definition();
    assert_eq!(task.family.as_deref(), Some("guestbook"));
    assert_eq!((task.cpu, task.memory_mib), (Some(512), Some(1024)));
    assert_eq!(task.requires_compatibilities, ["FARGATE"]);
    assert_eq!(task.volume("data").and_then(|v| v.host_path.as_deref()), Some("/srv"));
    assert_eq!(task.volume("nfs").map(|v| v.unsupported.clone()), Some(vec!["efsVolumeConfiguration".to_owned()]));
    assert_eq!(
        task.not_modelled,
        ["containerDefinitions[0].firelensConfiguration", "containerDefinitions[0].linuxParameters.swappiness"]
    );
    let web = task.container("web").expect("there");
    assert_eq!(web.image, "registry.example.com/team/app:1");
    assert_eq!((web.cpu, web.memory_mib, web.memory_reservation_mib), (Some(256), Some(512), Some(64)));
    let ports: Vec<_> = web.port_mappings.iter().map(|p| (p.container_port, p.host_port, p.protocol)).collect();
    assert_eq!(
        ports,
        [
            (80, Some(8080), Protocol::Tcp),
            (53, None, Protocol::Udp),
            (9000, None, Protocol::Tcp),
            (9001, None, Protocol::Tcp),
            (9002, None, Protocol::Tcp)
        ]
    );
    assert_eq!(web.environment.get("A").map(String::as_str), Some("2"));
    assert_eq!(web.environment.get("EMPTY").map(String::as_str), Some(""));
    assert_eq!(
        (web.command.as_slice(), web.entry_point.as_slice()),
        (&["serve".to_owned()][..], &["/app".to_owned()][..])
    );
    assert_eq!(
        web.mount_points,
        [MountPoint { source_volume: "data".into(), container_path: "/data".into(), read_only: true }]
    );
    assert_eq!(web.links, ["db:database"]);
    assert_eq!(web.depends_on[0].condition, DependencyCondition::Success);
    let check = web.health_check.as_ref().expect("there");
    assert_eq!((check.interval_s, check.timeout_s, check.retries, check.start_period_s), (10, 5, 3, 0));
    assert_eq!(web.ulimits, [Ulimit { name: "nofile".into(), soft: 1024, hard: -1 }]);
    assert_eq!((web.stop_timeout_s, web.essential, web.init_process_enabled), (5, true, true));
    assert_eq!(
        (web.capabilities_add.as_slice(), web.capabilities_drop.as_slice()),
        (&["NET_ADMIN".to_owned()][..], &["ALL".to_owned()][..])
    );
    assert_eq!(web.docker_labels.keys().collect::<Vec<_>>(), ["Name", "com.example.X"]);
    let log = web.log_configuration.as_ref().expect("there");
    assert_eq!(log.options.keys().collect::<Vec<_>>(), ["AWSLogs-Group", "Image"]);
    let setup = task.container("setup").expect("there");
    assert_eq!((setup.stop_timeout_s, setup.essential), (30, false));
    assert!(setup.command.is_empty() && setup.memory_mib.is_none());
    let order: Vec<_> = task.start_order().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(order, ["db", "setup", "web"]);
    assert!(document.unknown_keys().is_empty());
}

#[test]
fn debug_shows_no_values_of_the_environment() {
    let document = document(&one(json!({"environment": [{"name": "PASSWORD", "value": "hunter2"}]})));
    let shown = format!("{document:?} {:?}", document.definition());
    assert!(shown.contains("PASSWORD") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn keys_are_read_in_any_case_and_with_a_byte_order_mark() {
    let plain = document(&one(json!({"portMappings": [{"containerPort": 80}], "memory": 64})));
    let spellings = [
        r#"{"ContainerDefinitions":[{"Name":"web","Image":"team/app","PortMappings":[{"ContainerPort":80}],"Memory":64}]}"#,
        r#"{"CONTAINERDEFINITIONS":[{"NAME":"web","IMAGE":"team/app","PORTMAPPINGS":[{"CONTAINERPORT":80}],"MEMORY":"64"}]}"#,
        r#"{"containerdefinitions":[{"name":"web","image":"team/app","portmappings":[{"containerport":80.0,"HostPort":null}],"memory":64,"Cpu":null}],"Volumes":null}"#,
        r#"{"taskDefinition":{"containerDefinitions":[{"name":"web","image":"team/app","portMappings":[{"containerPort":80}],"memory":64}]},"tags":null}"#,
    ];
    for text in spellings {
        for bytes in [text.as_bytes().to_vec(), [b"\xef\xbb\xbf", text.as_bytes()].concat()] {
            let read = Document::parse(&bytes).expect(text);
            assert_eq!(read, plain, "{text}");
            assert_eq!(read.canonical(), plain.canonical(), "{text}");
        }
    }
}

#[test]
fn unknown_keys_are_kept_and_named_and_user_maps_stay_untouched() {
    let document = document(&json!({
        "AWSEBDockerrunVersion": "2",
        "Comment": {"Name": null},
        "ContainerDefinitions": [{
            "Name": "web", "Image": "team/app", "Build": ["x"],
            "DockerLabels": {"Name": "a", "name": "b", "CPU": "c"},
            "LogConfiguration": {"LogDriver": "json-file", "Options": {"MAX-Size": "1m"}},
        }],
        "Volumes": [{"Name": "v", "DockerVolumeConfiguration": {"DriverOpts": {"Type": "nfs"}, "Labels": {"Scope": "x"}, "X.Y": 1}}],
    }));
    assert_eq!(
        document.unknown_keys(),
        ["Comment", "containerDefinitions[0].Build", "volumes[0].dockerVolumeConfiguration[\"X.Y\"]"]
    );
    assert_eq!(
        *document.canonical(),
        json!({
            "AWSEBDockerrunVersion": "2",
            "Comment": {"Name": null},
            "containerDefinitions": [{
                "name": "web", "image": "team/app", "Build": ["x"],
                "dockerLabels": {"Name": "a", "name": "b", "CPU": "c"},
                "logConfiguration": {"logDriver": "json-file", "options": {"MAX-Size": "1m"}},
            }],
            "volumes": [{"name": "v", "dockerVolumeConfiguration": {"driverOpts": {"Type": "nfs"}, "labels": {"Scope": "x"}, "X.Y": 1}}],
        })
    );
}

#[test]
fn the_read_form_has_every_key_and_reads_back() {
    let document = Document::parse(FULL.as_bytes()).expect("legal");
    let read = document.pascal_case();
    let web = &read["ContainerDefinitions"][0];
    assert_eq!(read["Family"], "guestbook");
    assert_eq!(read["Cpu"], "0.5 vCPU");
    assert_eq!(read["Memory"], "1024");
    assert!(read.as_object().is_some_and(|map| map["TaskRoleArn"].is_null() && map["TaskDefinitionArn"].is_null()));
    assert_eq!(web["Cpu"], 256);
    assert_eq!(web["PortMappings"][0]["HostPort"], 8080);
    assert!(web.as_object().is_some_and(|map| map.contains_key("User") && map["User"].is_null()));
    assert_eq!(web["DockerLabels"]["com.example.X"], "y");
    assert_eq!(web["LogConfiguration"]["Options"]["AWSLogs-Group"], "g");
    assert_eq!(parse(&read), Ok(document));
}

#[test]
fn what_the_aws_cli_prints_is_read() {
    let document = document(&json!({
        "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:us-west-2:123456789012:task-definition/app:7",
            "containerDefinitions": [{
                "name": "web", "image": "nginx", "cpu": 0, "portMappings": [], "essential": true, "environment": [],
                "mountPoints": [], "volumesFrom": [], "systemControls": []
            }],
            "family": "app", "revision": 7, "volumes": [{"name": "scratch", "host": {}}], "status": "ACTIVE",
            "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}],
            "placementConstraints": [], "compatibilities": ["EXTERNAL", "EC2"],
            "registeredAt": 1_700_000_000.5, "registeredBy": "arn:aws:iam::123456789012:root"
        },
        "tags": []
    }));
    assert!(document.unknown_keys().is_empty());
    assert!(document.definition().not_modelled.is_empty());
    assert_eq!(document.definition().containers[0].cpu, None);
    assert_eq!(document.definition().volumes[0].host_path, None);
}

#[test]
fn images_are_replaced_everywhere_at_once() {
    let before = Document::parse(FULL.as_bytes()).expect("legal");
    let after = before.with_images(|container, image| {
        format!("localhost:9090/{container}/{}", image.split(['/', ':']).next().unwrap_or("x"))
    });
    assert_eq!(after.definition().container("db").map(|c| c.image.as_str()), Some("localhost:9090/db/postgres"));
    assert_eq!(after.canonical()["containerDefinitions"][1]["image"], "localhost:9090/db/postgres");
    assert_eq!(Document::from_canonical(after.canonical().clone()), Ok(after));
    let same = before.with_images(|_, image| image.to_owned());
    assert_eq!(same, before);
}

#[test]
fn compatibilities_follow_what_the_document_asks_for() {
    use Compatibility::{Stateful, Stateless};
    for (asked, expected) in [
        (json!([]), vec![Stateful, Stateless]),
        (json!(["FARGATE"]), vec![Stateful, Stateless]),
        (json!(["EC2", "FARGATE"]), vec![Stateful, Stateless]),
        (json!(["EC2"]), vec![Stateful]),
    ] {
        let mut value = one(json!({}));
        value["requiresCompatibilities"] = asked;
        assert_eq!(document(&value).compatibilities(), expected);
    }
    assert_eq!(serde_json::to_string(&Stateless).expect("writes"), "\"stateless\"");
}

#[test]
fn stored_forms_read_back() {
    let document = Document::parse(FULL.as_bytes()).expect("legal");
    let text = serde_json::to_string(&document).expect("writes");
    assert_eq!(serde_json::from_str::<Document>(&text).expect("reads"), document);
    let text = serde_json::to_string(document.definition()).expect("writes");
    assert_eq!(serde_json::from_str::<TaskDefinition>(&text).expect("reads"), *document.definition());
}

#[test]
fn limits_themselves_are_legal() {
    for extra in [
        json!({"name": "a".repeat(255)}),
        json!({"name": "A-z_0"}),
        json!({"memory": 4}),
        json!({"portMappings": [{"containerPort": 65535, "hostPort": 65535}]}),
        json!({"portMappings": [{"containerPort": 53, "hostPort": 53}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}]}),
        json!({"memory": 64, "memoryReservation": 64}),
        json!({"stopTimeout": 0}),
        json!({"healthCheck": {"command": ["CMD", "x"], "interval": 5, "timeout": 60, "retries": 10, "startPeriod": 300}}),
    ] {
        document(&one(extra));
    }
}
