use super::*;
use crate::model::id::{EnvironmentId, LoadBalancerId};
use crate::model::listener_rule::{PathPattern, Rule};
use crate::model::load_balancer::{Action, HealthCheck, Probe};
use crate::model::name::Name;
use crate::model::task_definition::Document;
use crate::model::time::{Generation, Timestamp};

/// What the engine on AWS can do, as far as it matters here.
const AWS: Capabilities = Capabilities {
    name: "ecs",
    shared_host_ports: false,
    tls: true,
    one_way_links: true,
    is_remote: true,
    container_ports_max: Some(5),
    address_targets: true,
    spot: false,
};

/// What the engine of one machine can do.
const LOCAL: Capabilities = Capabilities::one_machine("docker");

fn with(kind: LoadBalancerKind, ports: Vec<Port>) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerId::parse("web-1").expect("an id"),
        name: Name::parse("web").expect("a name"),
        environment: EnvironmentId::parse("dev-1").expect("an id"),
        kind,
        visibility: Visibility::Public,
        ports,
        health_check: HealthCheck {
            target: "TCP:80".to_owned(),
            path: "/health".to_owned(),
            interval_s: 30,
            timeout_s: 5,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        },
        idle_timeout_s: 60,
        cross_zone: true,
        created: Timestamp(0),
        generation: Generation(1),
        deleting: false,
    }
}

fn rule(path: &str, container_port: u16) -> Rule {
    Rule::new(vec![PathPattern::parse(path).expect("a path")], vec![], container_port).expect("a rule")
}

fn https(host_port: u16, container_port: u16, rules: Vec<Rule>) -> Port {
    Port {
        certificate_arn: Some("arn:cert".to_owned()),
        action: Action::Forward { container_port, rules },
        ..Port::forward(host_port, container_port, Protocol::Https)
    }
}

fn http(host_port: u16, container_port: u16, rules: Vec<Rule>) -> Port {
    Port {
        action: Action::Forward { container_port, rules },
        ..Port::forward(host_port, container_port, Protocol::Http)
    }
}

#[test]
fn redirects_and_rules_are_taken_where_they_can_be_honoured() {
    let application = |ports| with(LoadBalancerKind::Application, ports);
    let full = application(vec![Port::redirect(80, 443), https(443, 8080, vec![rule("/api/*", 8081)])]);
    assert_eq!(check(&full, &AWS), Ok(()));
    // On one machine, TLS is ended in front of it.
    let local = application(vec![Port::redirect(80, 443), http(8080, 80, vec![rule("/api/*", 81)])]);
    assert_eq!(check(&local, &LOCAL), Ok(()));
    assert_eq!(check(&with(LoadBalancerKind::Classic, vec![Port::forward(80, 80, Protocol::Http)]), &AWS), Ok(()));
}

#[test]
fn what_can_not_be_is_refused_with_its_remedy() {
    let (application, classic) = (LoadBalancerKind::Application, LoadBalancerKind::Classic);
    let forward = |port| Port::forward(port, 80, Protocol::Http);
    let rules = || vec![rule("/a", 81)];
    let tcp = Port::forward(22, 22, Protocol::Tcp);
    let many = |count: u16| (0..count).map(|n| rule(&format!("/{n}"), 81)).collect::<Vec<_>>();
    let spread = |count: u16| (0..count).map(|n| rule(&format!("/{n}"), 90 + n)).collect::<Vec<_>>();
    let no_certificate = Port { certificate_arn: None, ..https(443, 80, vec![]) };
    for (kind, ports, can, message, hint) in [
        (application, vec![Port::redirect(80, 443)], LOCAL, "at least one port", "add one"),
        (application, vec![https(443, 80, vec![])], LOCAL, "can't end TLS", "in front of this machine"),
        (application, vec![no_certificate], AWS, "no certificate", "--certificate"),
        (classic, vec![http(80, 80, rules())], AWS, "has rules, which a classic", "--type application"),
        (classic, vec![forward(81), Port::redirect(80, 443)], LOCAL, "has a redirect, which a classic", "application"),
        (
            application,
            vec![tcp.clone(), http(80, 80, rules())],
            LOCAL,
            "has rules, and a load balancer with TCP",
            "own",
        ),
        (application, vec![tcp, forward(81), Port::redirect(80, 443)], AWS, "has a redirect, and a load", "own"),
        (application, vec![forward(81), Port::redirect(80, 443)], AWS, "has no such port", "add it"),
        (application, vec![forward(81), Port::redirect(80, 81)], AWS, "and that is 81:80/HTTP", "HTTPS is spoken"),
        (application, vec![forward(81), Port::redirect(80, 81)], LOCAL, "and that is 81:80/HTTP", "HTTPS is spoken"),
        (application, vec![forward(81), Port::redirect(80, 80)], LOCAL, "80:80/REDIRECT", "HTTPS is spoken"),
        (
            application,
            vec![https(443, 80, vec![]), Port { protocol: Protocol::Https, ..https_redirect() }],
            AWS,
            "only HTTP is redirected",
            "a port of HTTP",
        ),
        (application, vec![http(80, 80, vec![rule("/a", 1), rule("/a", 2)])], LOCAL, "never answers", "leave one"),
        (application, vec![http(80, 80, many(31))], LOCAL, "has 31 rules, the most is 30", "up to 5"),
        (application, vec![http(80, 80, spread(5))], AWS, "6 container ports (80, 90, 91, 92, 93, 94)", "second load"),
    ] {
        let unfit = check(&with(kind, ports), &can).expect_err(message);
        assert!(unfit.message.contains(message), "{message}: {}", unfit.message);
        assert!(unfit.hint.contains(hint), "{hint}: {}", unfit.hint);
    }
    assert_eq!(
        check(&with(application, vec![http(80, 80, spread(5))]), &LOCAL),
        Ok(()),
        "one machine has no such bound"
    );
    assert_eq!(check(&with(application, vec![http(80, 80, many(30))]), &AWS), Ok(()));
}

fn https_redirect() -> Port {
    Port { certificate_arn: Some("arn:cert".to_owned()), ..Port::redirect(444, 443) }
}

#[test]
fn container_ports_are_named_once_and_the_probe_asks_one_that_is_there() {
    let ports =
        vec![Port::redirect(80, 443), https(443, 8080, vec![rule("/a", 81), rule("/b", 8080)]), http(90, 81, vec![])];
    let balancer = with(LoadBalancerKind::Application, ports);
    assert_eq!(balancer.container_ports(), [8080, 81]);
    assert_eq!(balancer.probe(), Some(Probe::Http { port: 8080, path: "/health".to_owned() }));
}

/// By launch type, network mode and kind of load balancer: whether copies can stand there, and have an address of their own.
#[test]
fn copies_have_an_address_where_their_load_balancer_sends_to_addresses() {
    use Launch::{Ec2, Fargate};
    use LoadBalancerKind::{Application, Classic};
    let definition = |more: &str, of_container: &str| {
        let text = format!(
            r#"{{"containerDefinitions": [{{"name": "web", "image": "team/app", "memory": 64{of_container}}},
                {{"name": "side", "image": "team/side", "memory": 64}}]{more}}}"#
        );
        Document::parse(text.as_bytes()).expect("a legal document").definition().clone()
    };
    let mode = |mode: &str| format!(r#", "networkMode": "{mode}""#);
    for (launch, given, of_container, kind, expected) in [
        (Fargate, "", "", Application, Ok(true)),
        (Fargate, "", "", Classic, Err("copies on Fargate have addresses")),
        (Ec2, "", "", Application, Ok(true)),
        (Ec2, "", "", Classic, Ok(false)),
        (Ec2, "awsvpc", "", Application, Ok(true)),
        (Ec2, "awsvpc", "", Classic, Err("in network mode `awsvpc` have addresses")),
        (Ec2, "bridge", "", Application, Err("copies in network mode `bridge` have none")),
        (Ec2, "bridge", "", Classic, Ok(false)),
        (Ec2, "host", "", Application, Err("copies in network mode `host` have none")),
        (Ec2, "", r#", "links": ["side"]"#, Application, Err("container `web` has `links`")),
        (Ec2, "", r#", "portMappings": [{"containerPort": 80, "hostPort": 8080}]"#, Application, Err("a `hostPort`")),
        (Ec2, "", r#", "portMappings": [{"containerPort": 80, "hostPort": 0}]"#, Application, Ok(true)),
    ] {
        let more = if given.is_empty() { String::new() } else { mode(given) };
        let definition = definition(&more, of_container);
        let wanted = with(kind, vec![http(80, 80, vec![])]);
        let said = format!("{launch:?} {given} {of_container} {kind:?}");
        match (network_fits(&wanted, &definition, launch, &AWS), expected) {
            (Ok(()), Ok(own)) => assert_eq!(has_own_address(&definition, launch, Some(form(&wanted))), own, "{said}"),
            (Err(unfit), Err(words)) => assert!(unfit.message.contains(words), "{said}: {unfit:?}"),
            (found, _) => panic!("{said}: {found:?}"),
        }
        assert_eq!(network_fits(&wanted, &definition, launch, &LOCAL), Ok(()), "{said}");
        assert_eq!(has_own_address(&definition, launch, None), launch == Fargate || given == "awsvpc", "{said}");
    }
}
