//! What ELB refuses of listeners and rules, and what it takes.

use layer0_testkit::aws::FakeAwsConfig;
use serde_json::{Value, json};

use super::client::Client;

fn group(protocol: &str) -> Value {
    json!({"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
        "Port": 80, "Protocol": protocol, "VpcId": "vpc-main", "TargetType": "ip",
    }})
}

fn forward(to: &str) -> Value {
    json!([{"Type": "forward", "TargetGroupArn": {"Ref": to}}])
}

fn redirect(config: &Value) -> Value {
    json!([{"Type": "redirect", "RedirectConfig": config}])
}

/// A load balancer with a listener and perhaps a rule.
fn template(kind: &str, protocol: &str, actions: &Value, rule: Option<&Value>) -> Value {
    let mut template = json!({"Resources": {
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {
            "Type": kind, "Subnets": ["subnet-public-a", "subnet-public-b"],
        }},
        "Web": group("HTTP"),
        "Bytes": group("TCP"),
        "Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {
            "LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": protocol, "DefaultActions": actions,
            "Certificates": [{"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1"}],
        }},
    }});
    if let Some(rule) = rule {
        let mut properties = json!({"ListenerArn": {"Ref": "Listener"}, "Priority": 1, "Actions": forward("Web")});
        properties.as_object_mut().expect("an object").extend(rule.as_object().expect("an object").clone());
        template["Resources"]["Rule"] =
            json!({"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": properties});
    }
    template
}

/// Makes a stack; what was against it, if anything.
async fn made(template: &Value) -> Result<(), String> {
    let client = Client::start(FakeAwsConfig::default()).await;
    let body = template.to_string();
    client.cloudformation("CreateStack", &[("StackName", "s"), ("TemplateBody", &body)]).await.expect("well formed");
    layer0_testkit::until::until("the stack to be made or not", || async {
        let xml = client.cloudformation("DescribeStackEvents", &[("StackName", "s")]).await.expect("events");
        if xml.contains("<ResourceStatus>ROLLBACK_COMPLETE") {
            return Ok(Err(xml));
        }
        let described = client.cloudformation("DescribeStacks", &[("StackName", "s")]).await.expect("it is there");
        if described.contains("CREATE_COMPLETE") { Ok(Ok(())) } else { Err(described) }
    })
    .await
}

fn paths(values: &[&str]) -> Value {
    json!({"Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": values}}]})
}

fn hosts(values: &[&str]) -> Value {
    json!({"Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": values}}]})
}

#[tokio::test]
async fn rules_are_refused_as_elb_refuses_them() {
    let long = format!("/{}", "x".repeat(128));
    let both = json!({"Conditions": [
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b", "/c"]}},
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.b", "c.d", "e.f"]}},
    ]});
    let twice = json!({"Conditions": [
        {"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]},
    ]});
    for (rule, why) in [
        (json!({"Conditions": []}), "at least one condition"),
        (paths(&["/a", "/b", "/c", "/d", "/e", "/f"]), "only have &apos;5&apos; condition values"),
        (both, "only have &apos;5&apos; condition values"),
        (paths(&["/*?*?*?"]), "only have &apos;5&apos; condition wildcards"),
        (paths(&[&long]), "cannot be longer"),
        (paths(&["/a b"]), "not valid"),
        (paths(&[""]), "must not be empty"),
        (hosts(&["localhost"]), "not a valid host name"),
        (hosts(&["a.com:80"]), "not valid"),
        (twice, "only have one"),
        (json!({"Conditions": [{"Field": "path-pattern", "Values": ["/a"]}], "Priority": 50_001}), "Priority"),
    ] {
        let refused = made(&template("application", "HTTP", &forward("Web"), Some(&rule))).await.expect_err(why);
        let plain = why.replace("&apos;", "'");
        assert!(refused.contains(why) || refused.contains(&plain), "{why}: {refused}");
    }
    for rule in [paths(&["/api/*", "*.php"]), hosts(&["*.example.com"])] {
        made(&template("application", "HTTP", &forward("Web"), Some(&rule))).await.expect("ELB takes it");
    }
}

#[tokio::test]
async fn actions_are_refused_as_elb_refuses_them() {
    let to_https = json!({"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"});
    for (kind, protocol, actions, why) in [
        ("network", "TCP", redirect(&to_https), "can only forward"),
        ("network", "HTTP", forward("Bytes"), "not supported by load balancers of type network"),
        ("application", "TCP", forward("Web"), "not supported by load balancers of type application"),
        ("application", "HTTP", forward("Bytes"), "not supported with a target group"),
        ("application", "HTTP", redirect(&json!({"Port": "80", "StatusCode": "HTTP_301"})), "redirect loop"),
        ("application", "HTTP", redirect(&json!({"Protocol": "HTTPS", "Port": "443"})), "StatusCode"),
        ("application", "HTTP", redirect(&json!({"Port": "0", "StatusCode": "HTTP_302"})), "not a valid port"),
        ("application", "HTTPS", redirect(&json!({"Protocol": "HTTP", "StatusCode": "HTTP_301"})), "redirect to"),
    ] {
        let refused = made(&template(kind, protocol, &actions, None)).await.expect_err(why);
        assert!(refused.contains(why), "{why}: {refused}");
    }
    made(&template("application", "HTTP", &redirect(&to_https), None)).await.expect("ELB takes it");
    let rule = paths(&["/a"]);
    let refused = made(&template("network", "TCP", &forward("Bytes"), Some(&rule))).await.expect_err("no rules");
    assert!(refused.contains("application load balancers only"), "{refused}");
}
