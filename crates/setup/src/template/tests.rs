//! The templates of every kind of network: as they were when somebody last looked at them, and within AWS's bounds.

use super::*;
use crate::instance::{Wishes, check};

/// The most bytes of a template that goes along with a call (`CreateStack`, `TemplateBody`).
const BYTES_MAX: usize = 51_200;

const PARTS: Parts<'static> = Parts {
    image: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/l0-prod/l0@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    account: "123456789012",
};

fn instance(more: &str) -> Instance {
    let wishes = Wishes::read(&format!("name = \"prod\"\nregion = \"eu-central-1\"\n{more}")).expect("it can be read");
    check(&wishes).expect("it can be")
}

/// What there is, by a name for the file.
const CASES: [(&str, &str); 5] = [
    ("endpoints", "[access]\nallow = [\"203.0.113.0/24\"]"),
    ("nat", "[network]\nway_out = \"nat\"\nzones = 3\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z0123456789\""),
    (
        "public",
        "[network]\nway_out = \"public\"\n[access]\ndomain = \"l0.example.com\"\n\
         certificate = \"arn:aws:acm:eu-central-1:123456789012:certificate/0\"\n\
         [registry]\nname = \"registry.example.com\"\nimage_map = [\"hub.example.com|123456789012.dkr.ecr.eu-central-1.amazonaws.com\"]",
    ),
    ("inside", ""),
    (
        "given",
        "[network]\nvpc = \"vpc-0a1b2c3d\"\nprivate_subnets = [\"subnet-0a1b2c3d\"]\n\
         public_subnets = [\"subnet-1a1b2c3d\", \"subnet-2a1b2c3d\"]\n[access]\nallow = [\"198.51.100.7/32\"]",
    ),
];

#[test]
fn each_network_has_its_template() {
    let directory = std::env::var_os("LAYER0_TEMPLATES").map(std::path::PathBuf::from);
    for (name, more) in CASES {
        let instance = instance(more);
        let text = stack(&instance, &PARTS);
        assert_eq!(text, stack(&instance, &PARTS), "{name}: the same wishes give the same bytes");
        assert!(text.len() <= BYTES_MAX, "{name}: {} bytes", text.len());
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        insta::assert_snapshot!(name, format!("{value:#}"));
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory).expect("a directory");
            std::fs::write(directory.join(format!("setup-{name}.json")), text).expect("it can be written");
        }
    }
}

/// The variables of the servers, by name.
fn variables(instance: &Instance) -> std::collections::BTreeMap<String, Value> {
    let template: Value = serde_json::from_str(&stack(instance, &PARTS)).expect("it is JSON");
    let server = &template["Resources"]["Server"]["Properties"]["ContainerDefinitions"][0];
    let all = server["Environment"].as_array().expect("a list").iter();
    all.map(|it| (it["Name"].as_str().expect("a name").to_owned(), it["Value"].clone())).collect()
}

#[test]
fn who_may_pull_is_said_to_the_servers_also_when_it_is_nobody() {
    let to = |more: &str| variables(&instance(more)).get("LAYER0_ACCOUNT_GRANTS_TO").cloned();
    assert_eq!(to(""), Some(json!("none")));
    let some = "[registry]\ngrants = [\"123456789012\", \"org:o-a1b2c3d4e5\", \"ou:o-a1b2c3d4e5/ou-ab12-11111111\"]";
    assert_eq!(to(some), Some(json!("123456789012,org:o-a1b2c3d4e5,ou:o-a1b2c3d4e5/ou-ab12-11111111")));
}

/// What the servers are told is read under the very names, and nothing else is told.
#[test]
fn the_servers_know_each_variable_that_they_are_told() {
    let page = include_str!("../../../../docs/configuration.md");
    for (name, more) in CASES {
        for variable in variables(&instance(more)).keys().map(String::as_str).chain(["LAYER0_ADMIN_TOKEN"]) {
            assert!(page.contains(&format!("| `{variable}` |")), "{name}: {variable} is none of the server's");
        }
    }
}

#[test]
fn no_secret_stands_in_a_template() {
    for (name, more) in CASES {
        let text = stack(&instance(more), &PARTS);
        assert!(text.contains("GenerateSecretString") && !text.contains("SecretString\":\""), "{name}");
    }
}
