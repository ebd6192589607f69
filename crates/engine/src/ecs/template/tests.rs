use std::collections::BTreeSet;

use layer0_domain::model::environment::{Environment, OperatingSystem};
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId};
use layer0_domain::model::load_balancer::{HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility};
use layer0_domain::model::name::Name;
use layer0_domain::model::time::{Generation, Timestamp};
use serde_json::Value;

use super::*;
use crate::ecs::config::EcsConfig;
use crate::ecs::names::Names;

fn config() -> EcsConfig {
    let mut config = EcsConfig::new("prod".to_owned(), "prod-1".to_owned(), "us-west-2".to_owned());
    config.vpc = "vpc-1".to_owned();
    config.private_subnets = vec!["subnet-a".to_owned()];
    config.public_subnets = vec!["subnet-p".to_owned()];
    config
}

fn an_environment(scale: u32) -> Environment {
    Environment {
        name: Name::parse("dev").expect("a name"),
        id: EnvironmentId::parse("dev-1").expect("an id"),
        owner: None,
        operating_system: OperatingSystem::Linux,
        scale,
        instance_type: String::new(),
        ami_id: String::new(),
        user_data_template: String::new(),
        links: BTreeSet::new(),
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    }
}

fn of_environment(it: &Environment, from: &[(EnvironmentId, String)]) -> StackWanted {
    let (config, names) = (config(), Names::new("prod", "prod-1"));
    environment(&EnvironmentParts { config: &config, names: &names, environment: it, reachable_from: from })
}

fn body(wanted: &StackWanted) -> Value {
    serde_json::from_str(&wanted.template).expect("a template is JSON")
}

#[test]
fn the_same_wish_gives_the_same_template_and_another_one_another_fingerprint() {
    let plain = of_environment(&an_environment(0), &[]);
    assert_eq!(plain, of_environment(&an_environment(0), &[]));
    let linked =
        of_environment(&an_environment(0), &[(EnvironmentId::parse("b-1").expect("an id"), "sg-b".to_owned())]);
    assert_ne!(plain.parameters, linked.parameters);
    assert_eq!(plain.parameters[0].0, FINGERPRINT);
    assert!(plain.template.len() < 51_200, "CreateStack takes no longer body");
}

#[test]
fn a_link_opens_one_direction_and_without_links_only_members_get_in() {
    let rules =
        |wanted: &StackWanted| body(wanted)["Resources"][SECURITY_GROUP]["Properties"]["SecurityGroupIngress"].clone();
    let plain = rules(&of_environment(&an_environment(0), &[]));
    assert_eq!(plain.as_array().map(Vec::len), Some(1), "{plain}");
    let linked =
        of_environment(&an_environment(0), &[(EnvironmentId::parse("b-1").expect("an id"), "sg-b".to_owned())]);
    assert_eq!(rules(&linked)[1]["SourceSecurityGroupId"], "sg-b");
}

#[test]
fn machines_are_there_only_where_they_are_asked_for_and_get_no_docker_credential() {
    let kinds = |wanted: &StackWanted| -> Vec<String> {
        let resources = body(wanted)["Resources"].clone();
        let all = resources.as_object().expect("resources").values();
        all.map(|it| it["Type"].as_str().expect("a type").to_owned()).collect()
    };
    assert!(!kinds(&of_environment(&an_environment(0), &[])).iter().any(|kind| kind.contains("AutoScaling")));
    let with = of_environment(&an_environment(2), &[]);
    assert!(kinds(&with).iter().any(|kind| kind == "AWS::ECS::CapacityProvider"));
    let machines = &body(&with)["Resources"]["Machines"]["Properties"];
    assert_eq!((&machines["MinSize"], &machines["MaxSize"]), (&Value::from("2"), &Value::from("4")));
    assert!(!with.template.contains("ECS_ENGINE_AUTH"), "no credential is put on machines");
}

fn a_load_balancer(kind: LoadBalancerKind, protocol: Protocol, visibility: Visibility) -> StackWanted {
    let it = LoadBalancer {
        name: Name::parse("web").expect("a name"),
        id: LoadBalancerId::parse("web-1").expect("an id"),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        kind,
        visibility,
        ports: vec![Port { certificate_arn: Some("arn:cert".to_owned()), ..Port::forward(443, 8080, protocol) }],
        health_check: HealthCheck {
            target: "HTTP:8080/health".to_owned(),
            path: "/health".to_owned(),
            interval_s: 10,
            timeout_s: 3,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        },
        idle_timeout_s: 90,
        cross_zone: true,
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    };
    let (config, names) = (config(), Names::new("prod", "prod-1"));
    let from = ["sg-other".to_owned()];
    load_balancer(&LoadBalancerParts {
        config: &config,
        names: &names,
        load_balancer: &it,
        members: "sg-members",
        reachable_from: &from,
    })
}

#[test]
fn the_kind_follows_from_what_listeners_speak() {
    let kind = |protocol: Protocol| {
        let wanted = a_load_balancer(LoadBalancerKind::Application, protocol, Visibility::Public);
        body(&wanted)["Resources"]["LoadBalancer"]["Properties"]["Type"].clone()
    };
    assert_eq!(kind(Protocol::Https), "application");
    assert_eq!(kind(Protocol::Tls), "network");
    let classic = body(&a_load_balancer(LoadBalancerKind::Classic, Protocol::Https, Visibility::Public));
    assert_eq!(classic["Resources"]["LoadBalancer"]["Type"], "AWS::ElasticLoadBalancing::LoadBalancer");
}

#[test]
fn the_container_port_certificate_check_and_idle_timeout_are_honoured() {
    let wanted = body(&a_load_balancer(LoadBalancerKind::Application, Protocol::Https, Visibility::Public));
    let resources = &wanted["Resources"];
    let group = &resources[target_output(8080)]["Properties"];
    assert_eq!((&group["Port"], &group["TargetType"]), (&Value::from(8080), &Value::from("ip")));
    assert_eq!(
        (&group["HealthCheckPath"], &group["HealthCheckPort"]),
        (&Value::from("/health"), &Value::from("traffic-port"))
    );
    assert_eq!(resources["Listener443"]["Properties"]["Certificates"][0]["CertificateArn"], "arn:cert");
    let attributes = resources["LoadBalancer"]["Properties"]["LoadBalancerAttributes"].to_string();
    assert!(attributes.contains("\"90\""), "{attributes}");
}

#[test]
fn a_private_one_lets_in_who_may_reach_it_and_nobody_else() {
    let wanted = body(&a_load_balancer(LoadBalancerKind::Application, Protocol::Https, Visibility::Private));
    let rules = wanted["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupIngress"].clone();
    let rules: Vec<String> = rules.as_array().expect("rules").iter().map(ToString::to_string).collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert!(rules.iter().any(|rule| rule.contains("sg-members")) && rules.iter().any(|rule| rule.contains("sg-other")));
    assert!(rules.iter().all(|rule| rule.contains("443") && !rule.contains("0.0.0.0")), "{rules:?}");
    assert_eq!(wanted["Resources"]["LoadBalancer"]["Properties"]["Scheme"], "internal");
}
