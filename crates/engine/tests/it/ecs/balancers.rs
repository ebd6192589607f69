//! Redirects, rules, and a service in several target groups.

use std::collections::BTreeSet;

use layer0_domain::model::listener_rule::{HostPattern, PathPattern, Rule};
use layer0_domain::model::load_balancer::{Action, LoadBalancer, Port, Protocol};
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{Engine, Scope, ServiceSpec, Want};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::until::until;
use serde_json::Value;

use super::stage;

const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/1";

async fn made(engine: &dyn Engine, want: &Want) {
    stage::ensure(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
    stage::settled(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
}

fn path_rule(path: &str, container_port: u16) -> Rule {
    Rule::new(vec![PathPattern::parse(path).expect("a path")], vec![], container_port).expect("a rule")
}

fn host_rule(host: &str, container_port: u16) -> Rule {
    Rule::new(vec![], vec![HostPattern::parse(host).expect("a host")], container_port).expect("a rule")
}

fn https(container_port: u16, rules: Vec<Rule>) -> Port {
    Port {
        host_port: 443,
        protocol: Protocol::Https,
        certificate_arn: Some(ARN.to_owned()),
        action: Action::Forward { container_port, rules },
    }
}

fn balancer(generation: u64, ports: Vec<Port>) -> Want {
    let Want::LoadBalancer { load_balancer, reachable_from } = stage::load_balancer() else {
        unreachable!("the stage's load balancer is one")
    };
    let load_balancer = LoadBalancer { ports, generation: Generation(generation), ..load_balancer };
    Want::LoadBalancer { load_balancer, reachable_from }
}

/// Two containers with ports 80, 81 and 82.
fn definition() -> TaskDefinition {
    let container = |name: &str, ports: &[u16]| {
        let mappings: Vec<Value> = ports.iter().map(|port| serde_json::json!({ "containerPort": port })).collect();
        serde_json::json!({
            "name": name,
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
            "memory": 64,
            "portMappings": mappings,
        })
    };
    let document =
        serde_json::json!({ "containerDefinitions": [container("web", &[80, 81]), container("api", &[82])] });
    Document::from_canonical(document).expect("a legal document").definition_with_document()
}

fn service() -> ServiceSpec {
    let mut spec = stage::service(1, "app:1", 1, true);
    spec.revision.definition = definition();
    spec
}

/// Where the service is registered: container and port.
fn registered(aws: &FakeAws) -> BTreeSet<(String, i64)> {
    let services = aws.world().services();
    let of = services.iter().flat_map(|service| service["loadBalancers"].as_array().cloned().unwrap_or_default());
    of.map(|it| {
        (it["containerName"].as_str().unwrap_or_default().to_owned(), it["containerPort"].as_i64().unwrap_or(0))
    })
    .collect()
}

/// The target groups that the service is registered in.
fn registered_groups(aws: &FakeAws) -> BTreeSet<String> {
    let services = aws.world().services();
    let of = services.iter().flat_map(|service| service["loadBalancers"].as_array().cloned().unwrap_or_default());
    of.filter_map(|it| it["targetGroupArn"].as_str().map(str::to_owned)).collect()
}

async fn registered_until(aws: &FakeAws, wanted: &[(&str, i64)]) {
    let wanted: BTreeSet<(String, i64)> = wanted.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
    until(format!("the service to be registered in {wanted:?}"), || async {
        let now = registered(aws);
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// A service stands in a target group for each container port, and follows when a rule brings one more or takes one away.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_registered_for_each_container_port_and_follows_its_load_balancer() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let engine = engine.as_ref();
    let ports = |rules: Vec<Rule>| vec![Port::redirect(80, 443), https(80, rules)];
    let first = vec![path_rule("/api/*", 82)];
    made(engine, &stage::environment()).await;
    made(engine, &balancer(1, ports(first.clone()))).await;
    made(engine, &Want::Service(service())).await;
    assert_eq!(registered(&aws), BTreeSet::from([("web".to_owned(), 80), ("api".to_owned(), 82)]));

    // One more rule for a port that is there: the service has nothing to do with it.
    let deployments = |aws: &FakeAws| aws.world().services()[0]["deployments"][0]["id"].clone();
    let before = deployments(&aws);
    let second = vec![first[0].clone(), path_rule("/v1/*", 82)];
    made(engine, &balancer(2, ports(second.clone()))).await;
    assert_eq!(deployments(&aws), before, "no roll-out");

    let third = vec![second[0].clone(), second[1].clone(), host_rule("admin.example.com", 81)];
    made(engine, &balancer(3, ports(third))).await;
    registered_until(&aws, &[("web", 80), ("web", 81), ("api", 82)]).await;
    made(engine, &balancer(4, ports(vec![]))).await;
    registered_until(&aws, &[("web", 80)]).await;
    stage::settled(engine, &Want::Service(service())).await.expect("it comes up where it is registered now");

    for entity in [Want::Service(service()).entity(), stage::load_balancer().entity(), stage::environment().entity()] {
        stage::remove(engine, &entity).await.expect("it can be taken away");
    }
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// A port of TCP makes an NLB of an ALB, and back: another load balancer with another address, and the service follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_becomes_another_kind_and_takes_its_service_along() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let engine = engine.as_ref();
    let http = Port::forward(80, 80, Protocol::Http);
    made(engine, &stage::environment()).await;
    made(engine, &balancer(1, vec![http.clone()])).await;
    made(engine, &Want::Service(service())).await;
    let mut before = registered_groups(&aws);
    for (generation, ports) in
        [(2, vec![http.clone(), Port::forward(82, 82, Protocol::Tcp)]), (3, vec![http, Port::redirect(81, 443)])]
    {
        made(engine, &balancer(generation, ports)).await;
        until("the service to be registered elsewhere", || async {
            let now = registered_groups(&aws);
            if now.is_disjoint(&before) && !now.is_empty() { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
        before = registered_groups(&aws);
        let scope = Scope::One(stage::load_balancer().entity());
        let seen = engine.observe(scope).await.expect("AWS answers").load_balancers;
        let kind = if generation == 2 { ":loadbalancer/net/" } else { ":loadbalancer/app/" };
        assert!(seen[0].engine_name.contains(kind), "{seen:?}");
    }
    for entity in [Want::Service(service()).entity(), stage::load_balancer().entity(), stage::environment().entity()] {
        stage::remove(engine, &entity).await.expect("it can be taken away");
    }
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// Each kind of change reaches the listener that it is about, in place, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_change_in_place_by_protocol_certificate_redirect_and_rule() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let engine = engine.as_ref();
    made(engine, &stage::environment()).await;
    let (api, admin) = (path_rule("/api/*", 81), host_rule("admin.example.com", 82));
    let plain = Port::forward(80, 80, Protocol::Http);
    let other = Port { certificate_arn: Some(format!("{ARN}2")), ..https(80, vec![]) };
    let steps = [
        vec![plain.clone(), Port::forward(443, 80, Protocol::Http)],
        vec![plain.clone(), https(80, vec![])],
        vec![plain.clone(), other],
        vec![plain.clone(), https(80, vec![api.clone(), admin.clone()])],
        vec![Port::redirect(80, 443), https(80, vec![admin.clone(), api.clone()])],
        vec![Port::redirect(80, 443), https(80, vec![api])],
        vec![plain, https(81, vec![])],
    ];
    let arns = |listeners: &[Value]| listeners.iter().map(|it| it["ListenerArn"].clone()).collect::<Vec<_>>();
    let mut first = None;
    for (at, ports) in steps.iter().enumerate() {
        made(engine, &balancer(at as u64 + 1, ports.clone())).await;
        let listeners = aws.world().listeners();
        assert_eq!(*first.get_or_insert_with(|| arns(&listeners)), arns(&listeners), "step {at}: in place");
        for (port, listener) in ports.iter().zip(&listeners) {
            assert_eq!(listener["Protocol"], port.protocol.as_str(), "step {at}");
            let certificate = listener["Certificates"][0]["CertificateArn"].as_str().map(str::to_owned);
            assert_eq!(certificate, port.certificate_arn, "step {at}");
            let action = &listener["DefaultActions"][0];
            match port.redirect_port() {
                Some(to) => assert_eq!(action["RedirectConfig"]["Port"], to.to_string(), "step {at}"),
                None => assert_eq!(action["Type"], "forward", "step {at}"),
            }
            let rules = listener["Rules"].as_array().expect("a list");
            let conditions: Vec<String> = rules.iter().map(|rule| rule["Conditions"].to_string()).collect();
            assert_eq!(conditions.len(), port.rules().len(), "step {at}: {conditions:?}");
            for (rule, conditions) in port.rules().iter().zip(&conditions) {
                let texts =
                    rule.paths().iter().map(PathPattern::as_str).chain(rule.hosts().iter().map(HostPattern::as_str));
                texts.for_each(|text| assert!(conditions.contains(text), "step {at}: {text} in {conditions}"));
            }
        }
    }
    for entity in [stage::load_balancer().entity(), stage::environment().entity()] {
        stage::remove(engine, &entity).await.expect("it can be taken away");
    }
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}
