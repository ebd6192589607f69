//! Redirects and rules of load balancers.

use layer0_api::types as wire;
use layer0_server::testing::TestApp;

use crate::support::{
    deploy, done, end_of, environment, load_balancer, new_load_balancer, new_service, port, refused, to_deploy,
    to_scale,
};

fn rule(path: &str, container_port: i64) -> wire::PortRule {
    wire::PortRule { paths: vec![path.to_owned()], container_port, ..wire::PortRule::default() }
}

fn of(host_port: i64, rule: &wire::PortRule, place: Option<i64>) -> wire::RuleChange {
    wire::RuleChange { host_port, rule: rule.clone(), place }
}

fn adds(rules: Vec<wire::RuleChange>) -> wire::UpdateLoadBalancerRequest {
    wire::UpdateLoadBalancerRequest { add_rules: rules, ..Default::default() }
}

/// Rules are kept in the order in which they are asked, and come and go one by one beside other changes.
#[tokio::test]
async fn rules_are_kept_in_their_order() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let redirect = wire::Port { container_port: 0, redirect_port: Some(443), ..port(80) };
    let (a, b, c) = (rule("/a/*", 81), rule("/b", 82), rule("/c", 83));
    let forward = wire::Port { rules: vec![a.clone()], ..port(8080) };
    let request = wire::CreateLoadBalancerRequest {
        ports: vec![forward, redirect.clone()],
        ..new_load_balancer("lb", &env, &[])
    };
    let id = done(&client, client.load_balancer_create(&request).await).await;
    done(&client, client.load_balancer_update(&id, &adds(vec![of(8080, &b, None), of(8080, &c, Some(1))])).await).await;
    let now = client.load_balancer_get(&id).await.expect("it is there");
    assert_eq!((now.ports[0].redirect_port, now.ports[0].container_port), (Some(443), 0));
    assert_eq!(now.ports[1].rules, [c.clone(), a.clone(), b.clone()]);
    assert!(now.url.ends_with(":8080/"), "not to what only redirects: {}", now.url);
    let gone = wire::UpdateLoadBalancerRequest { remove_rules: vec![of(8080, &a, None)], ..Default::default() };
    done(&client, client.load_balancer_update(&id, &gone).await).await;
    assert_eq!(client.load_balancer_get(&id).await.expect("it is there").ports[1].rules, [c.clone(), b.clone()]);
    // A port that takes the place of another one goes on with its rules.
    let other = wire::Port { container_port: 84, ..port(8080) };
    let replaced =
        wire::UpdateLoadBalancerRequest { remove_ports: vec![8080], add_ports: vec![other], ..Default::default() };
    done(&client, client.load_balancer_update(&id, &replaced).await).await;
    let now = client.load_balancer_get(&id).await.expect("it is there").ports.remove(1);
    assert_eq!((now.container_port, now.rules), (84, vec![c, b]));
    let (status, error) = refused(client.load_balancer_update(&id, &gone).await);
    assert!(status == 422 && error.message.contains("has no rule path=/a/*:81"), "{error:?}");
    // What an older program sends has no rules and no redirect, and is answered without them.
    let plain = load_balancer(&client, "plain", &env, &[90]).await;
    let body = serde_json::to_value(&client.load_balancer_get(&plain).await.expect("it is there").ports).expect("JSON");
    let old = serde_json::json!([{ "certificate_arn": "", "container_port": 80, "host_port": 90, "protocol": "HTTP" }]);
    assert_eq!(body, old);
}

/// What can't be is refused before anything is made, with what to do instead.
#[tokio::test]
async fn what_can_not_be_honoured_is_refused() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let redirect = |to: i64| wire::Port { container_port: 0, redirect_port: Some(to), ..port(80) };
    let ruled = |rules: Vec<wire::PortRule>| wire::Port { rules, ..port(8080) };
    let hosts = |host: &str| wire::PortRule { hosts: vec![host.to_owned()], container_port: 81, ..Default::default() };
    let many =
        wire::PortRule { paths: (0..6).map(|n| format!("/{n}")).collect(), container_port: 81, ..Default::default() };
    let tcp = wire::Port { protocol: "tcp".to_owned(), ..port(22) };
    let both = wire::Port { redirect_port: Some(443), ..port(80) };
    let https = wire::Port { protocol: "https".to_owned(), ..port(443) };
    for (kind, ports, message) in [
        ("application", vec![ruled(vec![rule("a", 81)])], "matches no path"),
        ("application", vec![ruled(vec![rule("/a b", 81)])], "can't be in a path"),
        ("application", vec![ruled(vec![hosts("localhost")])], "matches no host"),
        ("application", vec![ruled(vec![wire::PortRule { container_port: 81, ..Default::default() }])], "needs a path"),
        ("application", vec![ruled(vec![many])], "the most is 5"),
        ("application", vec![ruled(vec![rule("/a", 0)])], "is no port"),
        ("application", vec![both, port(8080)], "nothing of it goes to a container"),
        ("application", vec![redirect(0), port(8080)], "RedirectPort is required"),
        ("application", vec![redirect(443)], "at least one port that leads to a container"),
        ("application", vec![redirect(8080), port(8080)], "and that is 8080:80/HTTP"),
        ("application", vec![redirect(443), https], "can't end TLS"),
        ("application", vec![tcp.clone(), ruled(vec![rule("/a", 81)])], "passes bytes on without reading requests"),
        ("application", vec![tcp, redirect(443)], "passes bytes on without reading requests"),
        ("classic", vec![ruled(vec![rule("/a", 81)])], "a classic load balancer can't have"),
        ("classic", vec![redirect(443), port(8080)], "a classic load balancer can't have"),
    ] {
        let request = wire::CreateLoadBalancerRequest {
            load_balancer_type: kind.to_owned(),
            ports,
            ..new_load_balancer("lb", &env, &[])
        };
        let (status, error) = refused(client.load_balancer_create(&request).await);
        assert!(status == 422 && error.message.contains(message), "{message}: {error:?}");
    }
    assert!(client.load_balancer_list().await.expect("a list").is_empty(), "nothing was made");
}

/// A service that came to nothing does not hold its load balancer to the ports of what failed, and runs nothing beside them.
#[tokio::test]
async fn ports_of_what_came_to_nothing_can_be_changed() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let balancer = load_balancer(&client, "lb", &env, &[8080]).await;
    let broken = deploy(&client, "broken", &[("FAKE_EXIT", "1")]).await;
    let request =
        wire::CreateServiceRequest { load_balancer_id: balancer.clone(), ..new_service("web", &env, &broken, 1) };
    let create = client.service_create(&request).await.expect("accepted");
    assert_eq!(end_of(&client, &create).await.state, "failed");
    let to = |container_port: i64| wire::UpdateLoadBalancerRequest {
        remove_ports: vec![8080],
        add_ports: vec![wire::Port { container_port, ..port(8080) }],
        ..Default::default()
    };
    done(&client, client.load_balancer_update(&balancer, &to(9999)).await).await;
    let (status, error) = refused(client.service_update(&create.entity_id, &to_scale(2)).await);
    assert!(status == 422 && error.message.contains("container port 9999"), "{error:?}");
    done(&client, client.load_balancer_update(&balancer, &to(80)).await).await;
    let good = deploy(&client, "good", &[]).await;
    done(&client, client.service_update(&create.entity_id, &to_deploy(&good)).await).await;
    // What runs holds the ports again.
    let (status, error) = refused(client.load_balancer_update(&balancer, &to(9999)).await);
    assert!(status == 422 && error.message.contains("container port 9999"), "{error:?}");
}

/// A rule is checked against the service behind the load balancer, and the redirect takes no rule.
#[tokio::test]
async fn rules_lead_to_ports_that_are_mapped() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let request = wire::CreateLoadBalancerRequest {
        ports: vec![wire::Port { container_port: 0, redirect_port: Some(443), ..port(80) }, port(8080)],
        ..new_load_balancer("lb", &env, &[])
    };
    let balancer = done(&client, client.load_balancer_create(&request).await).await;
    let id = deploy(&client, "web", &[]).await;
    let request = wire::CreateServiceRequest { load_balancer_id: balancer.clone(), ..new_service("web", &env, &id, 1) };
    done(&client, client.service_create(&request).await).await;
    let second = wire::CreateServiceRequest { service_name: "second".to_owned(), ..request.clone() };
    let (status, error) = refused(client.service_create(&second).await);
    let hint = error.hint.unwrap_or_default();
    assert!(status == 409 && hint.contains("a load balancer has one service") && !hint.contains("first"), "{hint}");
    for (change, message) in [
        (of(8080, &rule("/a", 9999), None), "sends rule 8080:path=/a:9999 to container port 9999"),
        (of(80, &rule("/a", 80), None), "redirects every request to port 443"),
        (of(81, &rule("/a", 80), None), "Host port '81' doesn't exist"),
    ] {
        let (status, error) = refused(client.load_balancer_update(&balancer, &adds(vec![change])).await);
        assert!(status == 422 && error.message.contains(message), "{message}: {error:?}");
    }
    done(&client, client.load_balancer_update(&balancer, &adds(vec![of(8080, &rule("/a", 80), None)])).await).await;
    let again = adds(vec![of(8080, &rule("/a", 80), None)]);
    let (status, error) = refused(client.load_balancer_update(&balancer, &again).await);
    assert!(status == 422 && error.message.contains("never answers"), "{error:?}");
}
