use super::*;
use crate::template::tests::{CASES, IMAGE, template};

fn change(action: ChangeAction, logical: &str, kind: &str, replacement: Replacement, properties: &[&str]) -> Change {
    let physical =
        if action == ChangeAction::Add { String::new() } else { format!("l0-prod-{}", logical.to_lowercase()) };
    Change {
        action,
        logical: logical.to_owned(),
        physical,
        kind: kind.to_owned(),
        replacement,
        properties: properties.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// The additions of a whole template.
fn additions(text: &str) -> Vec<Change> {
    let value: Value = serde_json::from_str(text).expect("it is JSON");
    let all = value["Resources"].as_object().expect("resources");
    let kind = |resource: &Value| resource["Type"].as_str().expect("a type").to_owned();
    all.iter().map(|(id, it)| change(ChangeAction::Add, id, &kind(it), Replacement::Never, &[])).collect()
}

#[test]
fn a_new_instance_in_words() {
    let text = template(CASES[0].1);
    insta::assert_snapshot!(plan(None, &text, &additions(&text)));
}

#[test]
fn changes_in_words_what_is_replaced_first() {
    let before = template("[network]\nway_out = \"nat\"\n[access]\nallow = [\"203.0.113.0/24\"]");
    let after = template(
        "[network]\nway_out = \"endpoints\"\n[access]\nallow = [\"198.51.100.0/24\"]\n[registry]\nbacking = \"s3\"\n\
         [server]\ncpu = 1024\nmemory_mib = 2048\n[server.environment]\nLAYER0_LOG = \"debug\"",
    )
    .replace(IMAGE, &IMAGE.replace("000", "111"));
    let changes = [
        change(ChangeAction::Add, "Bucket", "AWS::S3::Bucket", Replacement::Never, &[]),
        change(ChangeAction::Add, "BucketPolicy", "AWS::S3::BucketPolicy", Replacement::Never, &[]),
        change(
            ChangeAction::Modify,
            "BalancerGroup",
            "AWS::EC2::SecurityGroup",
            Replacement::Never,
            &["SecurityGroupIngress"],
        ),
        change(
            ChangeAction::Modify,
            "Server",
            "AWS::ECS::TaskDefinition",
            Replacement::Always,
            &["ContainerDefinitions", "Cpu"],
        ),
        change(
            ChangeAction::Modify,
            "Balancer",
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            Replacement::Always,
            &["Scheme"],
        ),
        change(ChangeAction::Modify, "ServerRole", "AWS::IAM::Role", Replacement::Never, &["Policies"]),
        change(ChangeAction::Modify, "Servers", "AWS::ECS::Service", Replacement::Conditional, &["TaskDefinition"]),
        change(
            ChangeAction::Modify,
            "Targets",
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            Replacement::Never,
            &["Port"],
        ),
        change(ChangeAction::Modify, "Wishes", "AWS::SSM::Parameter", Replacement::Never, &["Value"]),
        change(ChangeAction::Remove, "Nat", "AWS::EC2::NatGateway", Replacement::Never, &[]),
    ];
    let told = plan(Some(&before), &after, &changes);
    assert_eq!(told.replaced(), ["Balancer", "Servers"]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_kept_is_let_go_and_no_template_is_no_reason_to_fail() {
    let before = template("[registry]\nbacking = \"s3\"");
    let removed = change(ChangeAction::Remove, "Bucket", "AWS::S3::Bucket", Replacement::Never, &[]);
    let told = plan(Some(&before), &template(""), std::slice::from_ref(&removed));
    assert_eq!(told.entries[0].fate, Fate::LetGo);
    assert!(told.entries[0].lines[0].contains("stays in the account"));
    let replaced = change(ChangeAction::Modify, "State", "AWS::DynamoDB::Table", Replacement::Always, &["KeySchema"]);
    let told = plan(Some(&before), &template(""), std::slice::from_ref(&replaced));
    assert!(told.entries[0].lines[0].contains("this one stays in the account beside it"), "{told}");
    for odd in ["no JSON", "5", "[]", "{\"Resources\": 5}"] {
        assert_eq!(plan(Some(odd), odd, std::slice::from_ref(&removed)).entries[0].fate, Fate::Removed, "{odd}");
    }
    assert_eq!(plan(None, "{}", &[]).to_string(), "Nothing changes.\n");
}
