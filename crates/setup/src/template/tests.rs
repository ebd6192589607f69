//! The templates of every kind of network and registry: as they were when somebody last looked at them, and within AWS's bounds.

use layer0_domain::plan::policy::{Answer, Context, Document, Request, Requester, evaluate};

use super::*;
use crate::instance::{OWN, Wishes, check};

/// The most bytes of a template that goes along with a call (`CreateStack`, `TemplateBody`).
const BYTES_MAX: usize = 51_200;

/// Types that can't have tags (the schemas of their providers, `tagging.taggable`).
const UNTAGGED: [&str; 6] = [
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::InstanceProfile",
    "AWS::Route53::RecordSet",
    "AWS::S3::BucketPolicy",
];

pub(crate) const IMAGE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/l0-prod-server@sha256:0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) fn wishes(more: &str) -> Wishes {
    Wishes::read(&format!("name = \"prod\"\nregion = \"eu-central-1\"\n{more}")).expect("it can be read")
}

pub(crate) fn instance(more: &str) -> Instance {
    check(&wishes(more)).expect("it can be")
}

/// The template of wishes.
pub(crate) fn template(more: &str) -> String {
    let wishes = wishes(more).text();
    let parts = Parts {
        image: IMAGE,
        architecture: Architecture::Amd64,
        account: "123456789012",
        version: "1.2.3",
        wishes: &wishes,
    };
    stack(&instance(more), &parts)
}

/// What there is, by a name for the file.
pub(crate) const CASES: [(&str, &str); 8] = [
    ("endpoints", "[access]\nallow = [\"203.0.113.0/24\"]"),
    ("endpoints-s3", "[access]\nallow = [\"203.0.113.0/24\"]\n[registry]\nbacking = \"s3\""),
    ("nat", "[network]\nway_out = \"nat\"\nzones = 3\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z0123456789\""),
    (
        "nat-s3",
        "[network]\nway_out = \"nat\"\n[access]\ndomain = \"l0.example.com\"\nzone = \"Z0123456789\"\n\
         [registry]\nbacking = \"s3\"\n[server]\nlog_days = 30\n[server.environment]\nLAYER0_LOG = \"layer0=debug\"",
    ),
    (
        "public",
        "[network]\nway_out = \"public\"\n[access]\ndomain = \"l0.example.com\"\n\
         certificate = \"arn:aws:acm:eu-central-1:123456789012:certificate/0\"\n\
         [registry]\nname = \"registry.example.com\"\nimage_map = [\"hub.example.com|123456789012.dkr.ecr.eu-central-1.amazonaws.com\"]",
    ),
    ("public-s3", "[network]\nway_out = \"public\"\n[registry]\nbacking = \"s3\""),
    ("inside", ""),
    (
        "given",
        "[network]\nvpc = \"vpc-0a1b2c3d\"\nprivate_subnets = [\"subnet-0a1b2c3d\", \"subnet-3a1b2c3d\"]\n\
         public_subnets = [\"subnet-1a1b2c3d\", \"subnet-2a1b2c3d\"]\n[access]\nallow = [\"198.51.100.7/32\"]",
    ),
];

/// What CloudFormation makes of a value.
pub(crate) fn resolved(value: &Value) -> Value {
    let filled = |text: &str| {
        json!(
            text.replace("${AWS::Partition}", "aws")
                .replace("${AWS::Region}", "eu-central-1")
                .replace("${AWS::AccountId}", "123456789012")
                .replace("${Vpc}", "vpc-0a1b2c3d")
        )
    };
    match value {
        Value::Object(all) => match (all.get("Fn::Sub"), all.get("Ref")) {
            (Some(Value::String(text)), _) => filled(text),
            (_, Some(Value::String(name))) => filled(&format!("${{{name}}}")),
            _ => all.iter().map(|(key, value)| (key.clone(), resolved(value))).collect(),
        },
        Value::Array(all) => all.iter().map(resolved).collect(),
        other => other.clone(),
    }
}

/// The resources of a template.
fn resources(text: &str) -> Map<String, Value> {
    let mut value: Value = serde_json::from_str(text).expect("it is JSON");
    match value["Resources"].take() {
        Value::Object(resources) => resources,
        other => panic!("{other}"),
    }
}

#[test]
fn each_network_and_registry_has_its_template() {
    let directory = std::env::var_os("LAYER0_TEMPLATES").map(std::path::PathBuf::from);
    for (name, more) in CASES {
        let text = template(more);
        assert_eq!(text, template(more), "{name}: the same wishes give the same bytes");
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
fn variables(more: &str) -> std::collections::BTreeMap<String, Value> {
    let template: Value = serde_json::from_str(&template(more)).expect("it is JSON");
    let server = &template["Resources"]["Server"]["Properties"]["ContainerDefinitions"][0];
    let all = server["Environment"].as_array().expect("a list").iter();
    all.map(|it| (it["Name"].as_str().expect("a name").to_owned(), it["Value"].clone())).collect()
}

#[test]
fn who_may_pull_is_said_to_the_servers_also_when_it_is_nobody() {
    let to = |more: &str| variables(more).get("LAYER0_ACCOUNT_GRANTS_TO").cloned();
    assert_eq!(to(""), Some(json!("none")));
    let some = "[registry]\ngrants = [\"123456789012\", \"org:o-a1b2c3d4e5\", \"ou:o-a1b2c3d4e5/ou-ab12-11111111\"]";
    assert_eq!(to(some), Some(json!("123456789012,org:o-a1b2c3d4e5,ou:o-a1b2c3d4e5/ou-ab12-11111111")));
}

/// What the servers are told is read under the very names, and nothing else is told.
#[test]
fn the_servers_know_each_variable_that_they_are_told() {
    let page = include_str!("../../../../docs/configuration.md");
    for (name, more) in CASES {
        for variable in variables(more).keys().map(String::as_str).chain(["LAYER0_ADMIN_TOKEN"]) {
            assert!(page.contains(&format!("| `{variable}` |")), "{name}: {variable} is none of the server's");
        }
    }
}

#[test]
fn everything_that_can_have_tags_says_whose_it_is() {
    for (name, more) in CASES {
        for (id, resource) in resources(&template(more)) {
            let kind = resource["Type"].as_str().expect("a type");
            let tags = &resource["Properties"]["Tags"];
            if UNTAGGED.contains(&kind) {
                assert!(tags.is_null(), "{name}: {id} has tags after all: {kind} is not in the list");
                continue;
            }
            let own = tags.as_array().into_iter().flatten().any(|tag| tag["Key"] == TAG && tag["Value"] == "prod");
            assert!(own || tags[TAG] == "prod", "{name}: {id} ({kind}) has {tags}");
        }
    }
}

#[test]
fn no_secret_stands_in_a_template() {
    for (name, more) in CASES {
        let text = template(more);
        assert!(text.contains("GenerateSecretString") && !text.contains("SecretString\":\""), "{name}");
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        for (output, value) in value["Outputs"].as_object().expect("outputs") {
            // The secret's ARN is none; nothing that CloudFormation would put a secret's value in place of.
            assert!(!value.to_string().contains("resolve:"), "{name}: {output}");
        }
        for setting in settings(&text) {
            assert!(setting == "LAYER0_LOG" || OWN.contains(&setting.as_str()), "{name}: wishes could set {setting}");
        }
    }
}

/// The names of what the servers are told.
fn settings(text: &str) -> Vec<String> {
    let container = resources(text)["Server"]["Properties"]["ContainerDefinitions"][0].clone();
    let both = [&container["Environment"], &container["Secrets"]];
    let all = both.into_iter().flat_map(|list| list.as_array().expect("a list").clone());
    all.map(|one| one["Name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_stack_says_what_stands_there() {
    let text = template("");
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(value["Metadata"][VERSION_TAG], "1.2.3");
    assert_eq!(value["Outputs"]["Version"]["Value"], "1.2.3");
    let kept = resources(&text)["Wishes"]["Properties"].clone();
    assert_eq!(kept["Name"], "/l0-prod/instance.toml");
    let read = Wishes::read(kept["Value"].as_str().expect("a text")).expect("it can be read");
    assert_eq!(read, wishes(""));
}

/// What `destroy` asks IAM for is all that there is.
#[test]
fn each_role_is_among_those_that_are_looked_for() {
    for (case, more) in CASES {
        let mut found: Vec<String> = resources(&template(more))
            .values()
            .filter(|resource| resource["Type"] == "AWS::IAM::Role")
            .map(|role| role["Properties"]["RoleName"].as_str().unwrap_or_default().to_owned())
            .collect();
        let mut expected = super::ROLES.map(|role| format!("l0-prod-{role}")).to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn through_the_endpoint_of_s3_go_layers_and_the_own_account() {
    let resources = resources(&template(""));
    let policy = resolved(&resources["EndpointS3"]["Properties"]["PolicyDocument"]).to_string();
    let policy = Document::parse("the endpoint", &policy).unwrap_or_else(|why| panic!("{why}"));
    let may = |account: &str, action: &str, resource: &str| {
        let context = Context::new().with("aws:PrincipalAccount", account);
        let requester = Requester::Iam { account: account.to_owned(), arn: None };
        let request = Request { requester: &requester, action, resource, context: &context };
        matches!(evaluate(&request, std::slice::from_ref(&policy)), Answer::Allowed { .. })
    };
    // Layers are fetched by links that ECR signs.
    assert!(may("210987654321", "s3:GetObject", "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/any"));
    assert!(!may("210987654321", "s3:PutObject", "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/any"));
    assert!(!may("210987654321", "s3:PutObject", "arn:aws:s3:::theirs/loot"));
    assert!(may("123456789012", "s3:PutObject", "arn:aws:s3:::ours/thing"));
}
