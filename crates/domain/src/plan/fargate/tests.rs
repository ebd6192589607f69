use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::task_definition::Document;

fn definition(document: Value) -> TaskDefinition {
    Document::from_canonical(document).expect("a legal document").definition().clone()
}

fn one(task: Value, container: Value) -> TaskDefinition {
    let mut container = container;
    container["name"] = json!("web");
    container["image"] = json!("team/app:1");
    let mut task = task;
    task["containerDefinitions"] = json!([container]);
    definition(task)
}

fn sized(cpu: Option<u32>, memory: Option<u32>, containers: &[(u32, u32)]) -> TaskDefinition {
    let containers: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(index, (cpu, memory))| {
            let mut one = json!({ "name": format!("c{index}"), "image": "a", "cpu": cpu });
            if *memory > 0 {
                one["memory"] = json!(memory);
            }
            one
        })
        .collect();
    let mut task = json!({ "containerDefinitions": containers });
    if let Some(cpu) = cpu {
        task["cpu"] = json!(cpu);
    }
    if let Some(memory) = memory {
        task["memory"] = json!(memory);
    }
    definition(task)
}

fn chosen(cpu: Option<u32>, memory: Option<u32>, containers: &[(u32, u32)]) -> Result<(u32, u32), String> {
    match fit(&sized(cpu, memory, containers)) {
        Ok(fit) => Ok((fit.size.cpu, fit.size.memory_mib)),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// ECS developer guide, "Fargate task sizes", written out.
#[test]
fn the_table_is_the_guides() {
    let of = |cpu: u32| SIZES.iter().find(|row| row.cpu == cpu).expect("a row").memory;
    for (cpu, legal, illegal) in [
        (256, &[512, 1024, 2048][..], &[256, 1536, 3072][..]),
        (512, &[1024, 2048, 3072, 4096], &[512, 1536, 5120]),
        (1024, &[2048, 5120, 8192], &[1024, 9216]),
        (2048, &[4096, 10240, 16384], &[3072, 17408]),
        (4096, &[8192, 19456, 30720], &[7168, 31744]),
        (8192, &[16384, 20480, 61440], &[15360, 17408, 62464]),
        (16384, &[32768, 40960, 122_880], &[24576, 33792, 131_072]),
        (32768, &[61_440, 122_880, 249_856], &[32768, 65_536, 262_144]),
    ] {
        for mib in legal {
            assert!(of(cpu).has(*mib), "{cpu} with {mib}");
        }
        for mib in illegal {
            assert!(!of(cpu).has(*mib), "{cpu} with {mib}");
        }
    }
    assert!(SIZES[5..].iter().all(|row| row.platform_version == Some("1.4.0") && !row.windows));
}

#[test]
fn the_smallest_pair_that_fits_is_chosen() {
    for (containers, expected) in [
        (&[(0, 0)][..], (256, 512)),
        (&[(0, 64)], (256, 512)),
        (&[(0, 0), (0, 0)], (256, 1024)),
        (&[(0, 0), (0, 0), (0, 0)], (256, 2048)),
        (&[(128, 513)], (256, 1024)),
        (&[(257, 100)], (512, 1024)),
        (&[(0, 2049)], (512, 3072)),
        (&[(256, 1024), (256, 1024)], (512, 2048)),
        (&[(1024, 9000)], (2048, 9216)),
        (&[(4096, 61_000)], (8192, 61_440)),
        (&[(9000, 33_000)], (16384, 40_960)),
        (&[(20_000, 64)], (32768, 61_440)),
    ] {
        assert_eq!(chosen(None, None, containers), Ok(expected), "{containers:?}");
    }
    let fit = fit(&sized(None, None, &[(128, 600), (0, 0)])).expect("it fits");
    assert_eq!(
        fit.words,
        [
            "the document does not say `cpu` and `memory` of the task: on Fargate it gets 256 CPU units with 2048 MiB, the smallest size that fits its containers (128 CPU units with 1112 MiB, 512 MiB for the one that names none); to choose otherwise, put \"cpu\" and \"memory\" beside \"containerDefinitions\": 256 CPU units go with 512, 1024, 2048 MiB"
        ]
    );
}

#[test]
fn what_the_document_says_is_kept_or_refused_with_the_nearest() {
    assert_eq!(chosen(Some(1024), Some(4096), &[(256, 512)]), Ok((1024, 4096)));
    assert_eq!(chosen(Some(512), None, &[(0, 2000)]), Ok((512, 2048)));
    assert_eq!(chosen(None, Some(8192), &[(0, 512)]), Ok((1024, 8192)));
    assert_eq!(chosen(None, Some(8192), &[(1500, 512)]), Ok((2048, 8192)));
    for (cpu, memory, containers, words) in [
        (
            Some(512),
            Some(8192),
            &[(0, 64)][..],
            "cpu: 512 CPU units with 8192 MiB is no size of Fargate; the nearest are 256 CPU units with 2048 MiB, 512 CPU units with 4096 MiB, 1024 CPU units with 8192 MiB",
        ),
        (
            Some(256),
            Some(1500),
            &[(0, 64)],
            "the nearest are 256 CPU units with 1024 MiB, 256 CPU units with 2048 MiB, 512 CPU units with 2048 MiB",
        ),
        (Some(300), Some(1024), &[(0, 64)], "the nearest are 256 CPU units with 1024 MiB, 512 CPU units with 1024 MiB"),
        (Some(256), None, &[(0, 3000)], "cpu: 256 CPU units for 3000 MiB is no size"),
        (
            None,
            Some(600),
            &[(0, 64)],
            "memory: 600 MiB for 0 CPU units is no size of Fargate; the nearest are 256 CPU units with 1024 MiB",
        ),
        (Some(256), Some(512), &[(300, 64)], "cpu: the containers ask for 300 CPU units together, the task has 256"),
        (
            Some(256),
            Some(512),
            &[(0, 300), (0, 300)],
            "memory: the containers ask for 600 MiB together, the task has 512",
        ),
        (None, None, &[(40_000, 64)], "the largest size of Fargate is 32768 CPU units with 61440, 122880, 249856 MiB"),
    ] {
        let error = chosen(cpu, memory, containers).expect_err("no such size");
        assert!(error.contains(words), "{cpu:?} {memory:?}: {error}");
    }
}

#[test]
fn windows_has_fewer_sizes_and_one_processor() {
    let windows = json!({ "runtimePlatform": { "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64" } });
    let fit_of = |task: Value| fit(&one(task, json!({ "memory": 512 })));
    assert_eq!(fit_of(windows.clone()).expect("it fits").size, Size { cpu: 1024, memory_mib: 2048 });
    let mut arm = windows;
    arm["runtimePlatform"]["cpuArchitecture"] = json!("ARM64");
    assert_eq!(fit_of(arm).expect_err("no such thing")[0].path, "runtimePlatform.cpuArchitecture");
}

#[test]
fn each_thing_that_fargate_refuses_is_named_with_container_and_key() {
    let none = json!({});
    for (task, container, path, words) in [
        (json!({ "networkMode": "bridge" }), none.clone(), "networkMode", "`awsvpc` only"),
        (json!({ "networkMode": "host" }), none.clone(), "networkMode", "`host`"),
        (json!({ "ipcMode": "task" }), none.clone(), "ipcMode", "leave it out"),
        (json!({ "pidMode": "host" }), none.clone(), "pidMode", "`task`"),
        (json!({ "requiresCompatibilities": ["EC2"] }), none.clone(), "requiresCompatibilities", "EC2 only"),
        (json!({ "ephemeralStorage": { "sizeInGiB": 20 } }), none.clone(), "ephemeralStorage.sizeInGiB", "21"),
        (
            json!({ "volumes": [{ "name": "v", "host": { "sourcePath": "/srv" } }] }),
            none.clone(),
            "volumes[0].host.sourcePath",
            "volume `v`",
        ),
        (
            json!({ "volumes": [{ "name": "v", "dockerVolumeConfiguration": { "scope": "task" } }] }),
            none.clone(),
            "volumes[0].dockerVolumeConfiguration",
            "efsVolumeConfiguration",
        ),
        (
            json!({ "volumes": [{ "name": "v", "fsxWindowsFileServerVolumeConfiguration": { "fileSystemId": "fs-1", "rootDirectory": "a" } }] }),
            none.clone(),
            "volumes[0].fsxWindowsFileServerVolumeConfiguration",
            "FSx",
        ),
        (
            json!({ "placementConstraints": [{ "type": "memberOf", "expression": "x" }] }),
            none.clone(),
            "placementConstraints",
            "places tasks itself",
        ),
        (none.clone(), json!({ "privileged": true }), "containerDefinitions[0].privileged", "container `web`"),
        (
            none.clone(),
            json!({ "extraHosts": [{ "hostname": "h", "ipAddress": "10.0.0.1" }] }),
            "containerDefinitions[0].extraHosts",
            "container `web`",
        ),
        (none.clone(), json!({ "dnsServers": ["10.0.0.2"] }), "containerDefinitions[0].dnsServers", "name server"),
        (none.clone(), json!({ "dnsSearchDomains": ["a"] }), "containerDefinitions[0].dnsSearchDomains", "name server"),
        (none.clone(), json!({ "disableNetworking": true }), "containerDefinitions[0].disableNetworking", "network"),
        (
            none.clone(),
            json!({ "dockerSecurityOptions": ["x"] }),
            "containerDefinitions[0].dockerSecurityOptions",
            "Docker",
        ),
        (none.clone(), json!({ "hostname": "h" }), "containerDefinitions[0].hostname", "own network"),
        (
            none.clone(),
            json!({ "linuxParameters": { "devices": [{ "hostPath": "/dev/fuse" }] } }),
            "containerDefinitions[0].linuxParameters.devices",
            "devices",
        ),
        (
            none.clone(),
            json!({ "linuxParameters": { "sharedMemorySize": 64 } }),
            "containerDefinitions[0].linuxParameters.sharedMemorySize",
            "size",
        ),
        (
            none.clone(),
            json!({ "linuxParameters": { "swappiness": 5 } }),
            "containerDefinitions[0].linuxParameters.swappiness",
            "container `web`",
        ),
        (
            none.clone(),
            json!({ "linuxParameters": { "capabilities": { "add": ["NET_ADMIN", "SYS_PTRACE"] } } }),
            "containerDefinitions[0].linuxParameters.capabilities.add",
            "not NET_ADMIN",
        ),
        (
            none.clone(),
            json!({ "portMappings": [{ "containerPort": 80, "hostPort": 8080 }] }),
            "containerDefinitions[0].portMappings[0].hostPort",
            "8080 differs from containerPort 80",
        ),
        (none.clone(), json!({ "stopTimeout": 300 }), "containerDefinitions[0].stopTimeout", "120 seconds"),
        (none.clone(), json!({ "startTimeout": 300 }), "containerDefinitions[0].startTimeout", "120 seconds"),
        (
            none.clone(),
            json!({ "logConfiguration": { "logDriver": "syslog" } }),
            "containerDefinitions[0].logConfiguration.logDriver",
            "awslogs",
        ),
        (
            none.clone(),
            json!({ "resourceRequirements": [{ "type": "GPU", "value": "1" }] }),
            "containerDefinitions[0].resourceRequirements",
            "GPUs",
        ),
    ] {
        let problems = fit(&one(task, container)).expect_err(path);
        assert!(
            problems.iter().any(|it| it.path.starts_with(path) && it.message.contains(words)),
            "{path}: {problems:?}"
        );
    }
    let links = definition(json!({ "containerDefinitions": [
        { "name": "web", "image": "a", "links": ["db"] }, { "name": "db", "image": "b" }] }));
    assert_eq!(fit(&links).expect_err("links")[0].path, "containerDefinitions[0].links");
}

#[test]
fn a_plain_document_is_taken_as_it_is() {
    let plain = definition(json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [
        { "name": "web", "image": "team/app:1", "memory": 256, "portMappings": [{ "containerPort": 80, "hostPort": 80 }],
          "logConfiguration": { "logDriver": "awslogs" }, "dependsOn": [{ "containerName": "setup", "condition": "COMPLETE" }] },
        { "name": "setup", "image": "busybox", "memory": 64, "essential": false }] }));
    assert_eq!(fit(&plain).expect("it fits").size, Size { cpu: 256, memory_mib: 512 });
    let full = definition(
        json!({ "networkMode": "awsvpc", "requiresCompatibilities": ["EC2", "FARGATE"], "cpu": "8 vCPU", "memory": "20GB",
        "pidMode": "task", "ephemeralStorage": { "sizeInGiB": 100 }, "runtimePlatform": { "cpuArchitecture": "ARM64" },
        "volumes": [{ "name": "v" }, { "name": "efs", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }],
        "containerDefinitions": [{ "name": "web", "image": "a", "linuxParameters": { "capabilities": { "add": ["CAP_SYS_PTRACE"] } } }] }),
    );
    let fit = fit(&full).expect("it fits");
    assert_eq!((fit.platform_version, fit.words.len()), (Some("1.4.0"), 0));
}

#[test]
fn the_memory_that_is_chosen_is_enough_for_the_largest_limit() {
    let reserves = definition(json!({ "cpu": "256",
        "containerDefinitions": [{ "name": "a", "image": "a", "memory": 2048, "memoryReservation": 128 }] }));
    assert_eq!(fit(&reserves).expect("it fits").size, Size { cpu: 256, memory_mib: 2048 });
}

#[test]
fn more_memory_than_there_is_is_told_the_largest_size() {
    let Err(problems) = fit(&sized(Some(100), Some(250_000), &[(0, 4)])) else { panic!("there is no such size") };
    let (_, near) = problems[0].message.split_once("the nearest are ").expect("there is always one");
    assert_eq!(near.split(|c: char| !c.is_ascii_digit()).find(|it| !it.is_empty()), Some("32768"), "{near}");
}

proptest! {
    /// What is chosen exists, is enough, and nothing smaller would do.
    #[test]
    fn the_choice_is_legal_enough_and_minimal(containers in prop::collection::vec((0_u32..6000, 4_u32..40_000), 1..4)) {
        let definition = sized(None, None, &containers);
        let need = needed(&definition);
        let legal = |size: Size| SIZES.iter().any(|row| row.cpu == size.cpu && row.memory.has(size.memory_mib));
        match fit(&definition) {
            Ok(fit) => {
                prop_assert!(legal(fit.size));
                prop_assert!(fit.size.cpu >= need.cpu && fit.size.memory_mib >= need.memory_mib);
                for row in SIZES.iter().filter(|row| row.cpu >= need.cpu && row.cpu <= fit.size.cpu) {
                    let least = row.memory.at_least(need.memory_mib);
                    let expected = (row.cpu == fit.size.cpu).then_some(fit.size.memory_mib);
                    prop_assert_eq!(least, expected);
                }
            }
            Err(_) => prop_assert!(SIZES.iter().all(|row| row.cpu < need.cpu || row.memory.at_least(need.memory_mib).is_none())),
        }
    }

    /// Every pair that is offered instead of an illegal one is legal.
    #[test]
    fn what_is_offered_instead_exists(cpu in 1_u32..17_000, memory in 4_u32..130_000) {
        let Err(problems) = fit(&sized(Some(cpu), Some(memory), &[(0, 4)])) else { return Ok(()) };
        let (_, near) = problems[0].message.split_once("the nearest are ").expect("there is always one");
        for pair in near.split(", ") {
            let numbers: Vec<u32> = pair.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
            prop_assert!(SIZES.iter().any(|row| row.cpu == numbers[0] && row.memory.has(numbers[1])), "{}", pair);
        }
    }
}
