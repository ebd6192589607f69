use std::collections::BTreeSet;

use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::listener_rule::{HostPattern, PathPattern, Rule};
use layer0_domain::model::load_balancer::{
    Action, HealthCheck, LoadBalancer, LoadBalancerKind, Port, Protocol, Visibility,
};
use layer0_testkit::sample;
use serde_json::Value;

use super::*;
use crate::ecs::config::EcsConfig;
use crate::ecs::names::Names;

/// The members groups of the environment and of another one.
const OWN_MEMBERS: &str = "sg-0123456789abcdef1";
const OTHER_MEMBERS: &str = "sg-0123456789abcdef2";

const CERTIFICATE: &str = "arn:aws:acm:us-west-2:123456789012:certificate/12345678-1234-1234-1234-123456789012";

fn config() -> EcsConfig {
    let mut config = EcsConfig::new("prod".to_owned(), "prod-1".to_owned(), "us-west-2".to_owned());
    config.vpc = "vpc-0123456789abcdef0".to_owned();
    config.private_subnets = vec!["subnet-0123456789abcdef1".to_owned(), "subnet-0123456789abcdef2".to_owned()];
    config.public_subnets = vec!["subnet-0123456789abcdef3".to_owned(), "subnet-0123456789abcdef4".to_owned()];
    config
}

fn an_environment(scale: u32) -> Environment {
    Environment { scale, ..sample::environment("dev-1", "dev") }
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
        of_environment(&an_environment(0), &[(EnvironmentId::parse("b-1").expect("an id"), OTHER_MEMBERS.to_owned())]);
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
        of_environment(&an_environment(0), &[(EnvironmentId::parse("b-1").expect("an id"), OTHER_MEMBERS.to_owned())]);
    assert_eq!(rules(&linked)[1]["SourceSecurityGroupId"], OTHER_MEMBERS);
}

#[test]
fn with_a_profile_for_all_machines_no_environment_makes_a_role() {
    let mut config = config();
    let names = Names::new("prod", "prod-1");
    let it = an_environment(2);
    config.machine_profile = Some("l0-prod-machine".to_owned());
    let wanted =
        environment(&EnvironmentParts { config: &config, names: &names, environment: &it, reachable_from: &[] });
    let body = body(&wanted);
    let data = &body["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"];
    assert_eq!(data["IamInstanceProfile"], serde_json::json!({ "Name": "l0-prod-machine" }));
    assert!(!wanted.template.contains("AWS::IAM::"), "{}", wanted.template);
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
    let machines = &body(&with)["Resources"]["Machines"];
    assert_eq!(machines["DependsOn"], "Cluster", "so that they go first");
    let machines = &machines["Properties"];
    assert_eq!((&machines["MinSize"], &machines["MaxSize"]), (&Value::from("2"), &Value::from("4")));
    assert!(!with.template.contains("ECS_ENGINE_AUTH"), "no credential is put on machines");
}

fn a_load_balancer(kind: LoadBalancerKind, protocol: Protocol, visibility: Visibility) -> StackWanted {
    let certificate_arn = Some(CERTIFICATE.to_owned());
    of_ports(kind, visibility, vec![Port { certificate_arn, ..Port::forward(443, 8080, protocol) }])
}

fn of_ports(kind: LoadBalancerKind, visibility: Visibility, ports: Vec<Port>) -> StackWanted {
    let it = LoadBalancer {
        kind,
        visibility,
        ports,
        health_check: HealthCheck {
            target: "HTTP:8080/health".to_owned(),
            path: "/health".to_owned(),
            interval_s: 10,
            timeout_s: 3,
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        },
        idle_timeout_s: 90,
        ..sample::load_balancer("web-1", "web", EnvironmentId::parse("dev-1").expect("an id"))
    };
    let (config, names) = (config(), Names::new("prod", "prod-1"));
    let from = [OTHER_MEMBERS.to_owned()];
    load_balancer(&LoadBalancerParts {
        config: &config,
        names: &names,
        load_balancer: &it,
        members: OWN_MEMBERS,
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
    assert_eq!(resources["Listener443"]["Properties"]["Certificates"][0]["CertificateArn"], CERTIFICATE);
    let attributes = resources["LoadBalancer"]["Properties"]["LoadBalancerAttributes"].to_string();
    assert!(attributes.contains("\"90\""), "{attributes}");
}

#[test]
fn a_private_one_lets_in_who_may_reach_it_and_nobody_else() {
    let wanted = body(&a_load_balancer(LoadBalancerKind::Application, Protocol::Https, Visibility::Private));
    let rules = wanted["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupIngress"].clone();
    let rules: Vec<String> = rules.as_array().expect("rules").iter().map(ToString::to_string).collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert!(
        rules.iter().any(|rule| rule.contains(OWN_MEMBERS)) && rules.iter().any(|rule| rule.contains(OTHER_MEMBERS))
    );
    assert!(rules.iter().all(|rule| rule.contains("443") && !rule.contains("0.0.0.0")), "{rules:?}");
    assert_eq!(wanted["Resources"]["LoadBalancer"]["Properties"]["Scheme"], "internal");
}

fn https(rules: Vec<Rule>) -> Port {
    let action = Action::Forward { container_port: 8080, rules };
    Port { certificate_arn: Some(CERTIFICATE.to_owned()), action, ..Port::forward(443, 8080, Protocol::Https) }
}

fn rule(path: &str, container_port: u16) -> Rule {
    Rule::new(vec![PathPattern::parse(path).expect("a path")], vec![], container_port).expect("a rule")
}

fn public(ports: Vec<Port>) -> StackWanted {
    of_ports(LoadBalancerKind::Application, Visibility::Public, ports)
}

#[test]
fn a_redirect_keeps_what_was_asked_for_and_a_rule_has_its_place_and_group() {
    let wanted = public(vec![Port::redirect(80, 443), https(vec![rule("/a", 81), rule("/b", 8080)])]);
    let resources = &body(&wanted)["Resources"];
    let action = &resources["Listener80"]["Properties"]["DefaultActions"][0];
    let config = serde_json::json!({ "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301" });
    assert_eq!((&action["Type"], &action["RedirectConfig"]), (&Value::from("redirect"), &config));
    for (name, priority, to) in [("Rule443Place1", 1, "Target81"), ("Rule443Place2", 2, "Target8080")] {
        let rule = &resources[name]["Properties"];
        assert_eq!(rule["Priority"], priority);
        assert_eq!(rule["Actions"][0]["TargetGroupArn"]["Ref"], to);
    }
    let groups = resources.as_object().expect("resources").keys().filter(|name| name.starts_with("Target"));
    assert_eq!(groups.collect::<Vec<_>>(), ["Target8080", "Target81"], "one for each container port");
    // One health check for the copy as a whole.
    assert_eq!(resources["Target81"]["Properties"]["HealthCheckPort"], "8080");
}

/// The parts that differ between two templates.
fn differing(one: &StackWanted, other: &StackWanted) -> Vec<String> {
    let (one, other) = (body(one)["Resources"].clone(), body(other)["Resources"].clone());
    let keys = |it: &Value| it.as_object().expect("parts").keys().cloned().collect::<BTreeSet<String>>();
    let names: BTreeSet<String> = keys(&one).union(&keys(&other)).cloned().collect();
    names.into_iter().filter(|name| one.get(name) != other.get(name)).collect()
}

#[test]
fn a_change_of_a_listener_touches_its_part_alone() {
    let before = vec![Port::forward(80, 8080, Protocol::Http), https(vec![rule("/a", 81), rule("/b", 8080)])];
    let with = |at: usize, port: Port| {
        let mut ports = before.clone();
        ports[at] = port;
        public(ports)
    };
    let certificate = Port { certificate_arn: Some(format!("{CERTIFICATE}3")), ..before[1].clone() };
    let protocol = Port { protocol: Protocol::Http, certificate_arn: None, ..before[1].clone() };
    for (after, touched) in [
        (with(1, certificate), vec!["Listener443"]),
        (with(1, protocol), vec!["Listener443"]),
        (with(0, Port::redirect(80, 443)), vec!["Listener80"]),
        (with(1, https(vec![rule("/b", 8080), rule("/a", 81)])), vec!["Rule443Place1", "Rule443Place2"]),
        (with(1, https(vec![rule("/a", 81)])), vec!["Rule443Place2"]),
        (with(1, https(vec![])), vec!["Rule443Place1", "Rule443Place2", "Target81"]),
        (with(1, https(vec![rule("/a", 81), rule("/b", 8080), rule("/c", 82)])), vec!["Rule443Place3", "Target82"]),
    ] {
        assert_eq!(differing(&public(before.clone()), &after), touched);
    }
}

#[test]
fn as_much_as_is_allowed_fits_into_one_template() {
    let longest = |n: usize| {
        let paths = (0..5).map(|m| PathPattern::parse(&format!("/{n:0>63}{m:0>64}")).expect("a path")).collect();
        Rule::new(paths, vec![], 8081).expect("a rule")
    };
    let mut ports = vec![https((0..layer0_domain::plan::load_balancer::RULES_MAX).map(longest).collect())];
    ports.extend((0..15).map(|n| Port::redirect(8000 + n, 443)));
    let wanted = public(ports);
    assert!(wanted.template.len() < 51_200, "CreateStack takes no longer body: {}", wanted.template.len());
}

/// Every kind of template that is made, for cfn-lint: `scripts/aws.sh` names the directory and has them checked.
#[test]
fn every_kind_of_template_is_written_out_for_the_linter() {
    let other = [(EnvironmentId::parse("b-1").expect("an id"), OTHER_MEMBERS.to_owned())];
    let with_script = Environment {
        ami_id: "ami-0123456789abcdef0".to_owned(),
        instance_type: "m5.large".to_owned(),
        user_data_template: "IyEvYmluL3NoCmVjaG8ge3sgLkVDU0Vudmlyb25tZW50SUQgfX0K".to_owned(),
        ..an_environment(3)
    };
    let (application, classic) = (LoadBalancerKind::Application, LoadBalancerKind::Classic);
    let host = HostPattern::parse("*.example.com").expect("a host");
    let of_host = Rule::new(vec![PathPattern::parse("/x?*").expect("a path")], vec![host], 82).expect("a rule");
    let tls = |host_port, protocol| Port {
        certificate_arn: Some(CERTIFICATE.to_owned()),
        ..Port::forward(host_port, 80, protocol)
    };
    let templates = [
        ("environment", of_environment(&an_environment(0), &[])),
        ("environment-linked", of_environment(&an_environment(0), &other)),
        ("environment-machines", of_environment(&an_environment(2), &other)),
        ("environment-machines-script", of_environment(&with_script, &[])),
        ("application", public(vec![Port::forward(80, 80, Protocol::Http)])),
        ("application-private", a_load_balancer(application, Protocol::Https, Visibility::Private)),
        ("application-rules", public(vec![Port::redirect(80, 443), https(vec![rule("/api/*", 81), of_host])])),
        (
            "network",
            public(vec![Port::forward(22, 22, Protocol::Tcp), tls(443, Protocol::Tls), tls(8443, Protocol::Https)]),
        ),
        ("classic", of_ports(classic, Visibility::Private, vec![Port::forward(80, 80, Protocol::Http)])),
        ("classic-all", {
            let clear = [Port::forward(80, 80, Protocol::Http), Port::forward(22, 22, Protocol::Tcp)];
            let ports = clear.into_iter().chain([tls(443, Protocol::Https), tls(993, Protocol::Tls)]).collect();
            of_ports(classic, Visibility::Public, ports)
        }),
    ];
    let directory = std::env::var_os("LAYER0_TEMPLATES").map(std::path::PathBuf::from);
    let mut kinds = BTreeSet::new();
    for (name, wanted) in templates {
        let parts = body(&wanted)["Resources"].clone();
        let all = parts.as_object().expect("parts").values();
        kinds.extend(all.map(|part| part["Type"].as_str().expect("a type").to_owned()));
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory).expect("a directory for templates");
            std::fs::write(directory.join(format!("{name}.json")), &wanted.template).expect("a template");
        }
    }
    // A kind of part that is new has to be among them.
    let source = [include_str!("environment.rs"), include_str!("load_balancer.rs")].concat();
    let made: BTreeSet<String> = source
        .split('"')
        .filter(|text| text.starts_with("AWS::") && text.matches("::").count() == 2)
        .map(str::to_owned)
        .collect();
    assert_eq!(kinds, made);
}
