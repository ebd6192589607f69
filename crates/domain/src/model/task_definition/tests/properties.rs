use super::*;
use proptest::prelude::*;
use serde_json::Map;

/// Keys that meet the schema often, in several cases.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "containerDefinitions",
        "ContainerDefinitions",
        "name",
        "Name",
        "image",
        "cpu",
        "MEMORY",
        "memoryReservation",
        "links",
        "portMappings",
        "containerPort",
        "hostPort",
        "containerPortRange",
        "essential",
        "environment",
        "value",
        "dependsOn",
        "containerName",
        "condition",
        "volumes",
        "host",
        "sourcePath",
        "mountPoints",
        "sourceVolume",
        "containerPath",
        "healthCheck",
        "command",
        "interval",
        "ulimits",
        "softLimit",
        "hardLimit",
        "logConfiguration",
        "logDriver",
        "options",
        "dockerLabels",
        "linuxParameters",
        "tmpfs",
        "size",
        "taskDefinition",
        "AWSEBDockerrunVersion",
        "requiresCompatibilities",
        "unknown key",
        "",
    ])
    .prop_map(str::to_owned)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Quarters, which survive their way through text to the last bit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        (0..70_000_i64).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "START", "CMD", "1 vCPU", "0.5GB", "9-12", "team/app:1", ""])
            .prop_map(Value::from),
        "\\PC{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A legal container with a name of its own.
fn container(index: usize) -> impl Strategy<Value = Value> {
    let optional = (
        prop::option::of(4..4096_u32),
        prop::option::of(1..65_535_u16),
        prop::collection::btree_map("[A-Z]{1,3}", "\\PC{0,5}", 0..3),
        prop::collection::btree_map("\\PC{1,5}", "\\PC{0,5}", 0..3),
        prop::option::of(prop::sample::select(vec![json!("0.5GB"), json!("16"), json!(16)])),
        any_json(),
    );
    optional.prop_map(move |(memory, port, environment, labels, reservation, extra)| {
        let mut value = Map::new();
        value.insert("Name".into(), json!(format!("c{index}")));
        value.insert("image".into(), json!("reg.io/team/app:1"));
        match (memory, reservation) {
            (Some(memory), _) => value.insert("MEMORY".into(), json!(memory.to_string())),
            (None, Some(reservation)) => value.insert("memoryReservation".into(), reservation),
            (None, None) => value.insert("memory".into(), Value::Null),
        };
        if let Some(port) = port {
            value.insert("portMappings".into(), json!([{"containerPort": port}]));
        }
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        value.insert("environment".into(), json!(environment));
        value.insert("DockerLabels".into(), json!(labels));
        value.insert("x-extra".into(), extra);
        if index > 0 {
            value.insert(
                "dependsOn".into(),
                json!([{"containerName": format!("c{}", index - 1), "condition": "Start"}]),
            );
        }
        Value::Object(value)
    })
}

fn legal() -> impl Strategy<Value = Value> {
    (container(0), container(1), container(2), any_json())
        .prop_map(|(a, b, c, note)| json!({"ContainerDefinitions": [a, b, c], "note": note}))
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&bytes);
    }

    #[test]
    fn any_json_is_answered(value in any_json(), containers in any_json()) {
        let _ = parse(&value);
        let _ = parse(&json!({"containerDefinitions": containers.clone()}));
        let _ = parse(&json!({"containerDefinitions": [containers], "volumes": [value]}));
    }

    #[test]
    fn the_canonical_form_is_its_own(value in legal()) {
        let document = parse(&value).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again = Document::from_canonical(document.canonical().clone());
        prop_assert_eq!(again.as_ref(), Ok(&document));
        let through_text = Document::parse(document.canonical().to_string().as_bytes());
        prop_assert_eq!(through_text, Ok(document));
    }

    #[test]
    fn the_read_form_means_the_same(value in legal()) {
        let document = parse(&value).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(parse(&document.pascal_case()), Ok(document));
    }

    #[test]
    fn containers_start_after_what_they_need(value in legal()) {
        let document = parse(&value).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let order: Vec<_> = document.definition().start_order().iter().map(|c| c.name.clone()).collect();
        prop_assert_eq!(order, ["c0", "c1", "c2"]);
    }
}
