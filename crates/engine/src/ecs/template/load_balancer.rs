//! A load balancer: an ALB for HTTP and HTTPS, an NLB where a listener speaks TCP or TLS, a classic ELB where that was asked
//! for; with its security group, a target group for each container port, and rules.
//!
//! What is one part and what is changed in place follows from the parts' names. A target group is named by its container port,
//! so one more listener or rule for a port that is there already makes no other group, and the service is not rolled out
//! for it. A rule is named by its place: when rules change their order, each place gets another content, where moved
//! priorities would meet on the way ("Priority is currently in use").

use layer0_domain::model::listener_rule::{HostPattern, PathPattern, Rule};
use layer0_domain::model::load_balancer::{Action, LoadBalancer, Port, Probe, Protocol, Visibility};
use layer0_domain::plan::load_balancer::{Form, form};
use serde_json::{Value, json};

use super::{ADDRESS, BALANCER, Template, attribute, reference};
use crate::ecs::aws::StackWanted;
use crate::ecs::config::EcsConfig;
use crate::ecs::names::{self, Names};

/// Seconds for which a target that goes keeps its connections. The longest request that a rolling update waits for; the
/// default of 300 would make every update take five minutes.
const DRAIN_S: u32 = 30;

/// TLS 1.2 and 1.3 with forward secrecy ("Security policies for your Application Load Balancer").
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

/// What is taken for an answer of an HTTP server where no path was given to ask: anything that is no failure of the server.
const ANY_ANSWER: &str = "200-499";

/// The output that holds the target group of a container port.
pub(in crate::ecs) fn target_output(container_port: u16) -> String {
    format!("Target{container_port}")
}

/// What a load balancer's stack is made of.
pub(in crate::ecs) struct LoadBalancerParts<'a> {
    /// The account.
    pub(in crate::ecs) config: &'a EcsConfig,
    /// Names and labels.
    pub(in crate::ecs) names: &'a Names,
    /// The load balancer.
    pub(in crate::ecs) load_balancer: &'a LoadBalancer,
    /// The members group of its environment.
    pub(in crate::ecs) members: &'a str,
    /// The members groups of the other environments that may reach it, when it is private.
    pub(in crate::ecs) reachable_from: &'a [String],
}

/// The stack of a load balancer.
pub(in crate::ecs) fn load_balancer(parts: &LoadBalancerParts<'_>) -> StackWanted {
    let wanted = parts.load_balancer;
    let mut template = Template::new(format!("Layer0 load balancer {}", wanted.name));
    template.resource(
        "SecurityGroup",
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupName": format!("{}-lb", parts.names.load_balancer(&wanted.id)),
            "GroupDescription": format!("Layer0 load balancer {}", wanted.name),
            "VpcId": parts.config.vpc,
            "SecurityGroupIngress": ingress(parts),
        }),
    );
    match form(wanted) {
        Form::Classic => classic(&mut template, parts),
        form => modern(&mut template, parts, form),
    }
    let tags = parts.names.tags(names::LOAD_BALANCER, wanted.id.as_str(), wanted.name.as_str());
    template.stack(parts.names.load_balancer(&wanted.id), tags)
}

/// Who may connect: everyone to a public one, the environments that reach it to a private one; to its listeners only.
fn ingress(parts: &LoadBalancerParts<'_>) -> Vec<Value> {
    let mut rules = Vec::new();
    for port in &parts.load_balancer.ports {
        let to = json!({ "IpProtocol": "tcp", "FromPort": port.host_port, "ToPort": port.host_port });
        let with = |key: &str, value: &str| {
            let mut rule = to.clone();
            rule[key] = json!(value);
            rule
        };
        match parts.load_balancer.visibility {
            Visibility::Public => rules.push(with("CidrIp", "0.0.0.0/0")),
            Visibility::Private => {
                rules.push(with("SourceSecurityGroupId", parts.members));
                rules.extend(parts.reachable_from.iter().map(|group| with("SourceSecurityGroupId", group)));
            }
        }
    }
    rules
}

fn scheme_and_subnets<'a>(parts: &'a LoadBalancerParts<'_>) -> (&'static str, &'a [String]) {
    match parts.load_balancer.visibility {
        Visibility::Public => ("internet-facing", &parts.config.public_subnets),
        Visibility::Private => ("internal", &parts.config.private_subnets),
    }
}

/// An ALB or NLB. It is a member of the environment, which is its way to the tasks.
fn modern(template: &mut Template, parts: &LoadBalancerParts<'_>, form: Form) {
    let wanted = parts.load_balancer;
    let (scheme, subnets) = scheme_and_subnets(parts);
    let mut attributes = Vec::new();
    let cross_zone = json!({ "Key": "load_balancing.cross_zone.enabled", "Value": wanted.cross_zone.to_string() });
    let kind_word = match form {
        Form::Bytes => {
            attributes.push(cross_zone);
            "network"
        }
        _ => {
            let idle = wanted.idle_timeout_s.to_string();
            attributes.push(json!({ "Key": "idle_timeout.timeout_seconds", "Value": idle }));
            "application"
        }
    };
    template.resource(
        "LoadBalancer",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        json!({
            "Name": parts.names.balancer(&wanted.id, form),
            "Type": kind_word,
            "Scheme": scheme,
            "Subnets": subnets,
            "SecurityGroups": [attribute("SecurityGroup", "GroupId"), parts.members],
            "LoadBalancerAttributes": attributes,
        }),
    );
    for container_port in wanted.container_ports() {
        let group = target_output(container_port);
        template.resource(
            group.clone(),
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            target_group(parts, form, container_port),
        );
        template.output(group.clone(), reference(&group));
    }
    for port in &wanted.ports {
        let name = format!("Listener{}", port.host_port);
        template.resource(name.clone(), "AWS::ElasticLoadBalancingV2::Listener", listener(port, form));
        for (at, rule) in port.rules().iter().enumerate() {
            let priority = at + 1;
            template.resource(
                format!("Rule{}Place{priority}", port.host_port),
                "AWS::ElasticLoadBalancingV2::ListenerRule",
                json!({
                    "ListenerArn": reference(&name),
                    "Priority": priority,
                    "Conditions": conditions(rule),
                    "Actions": [forward(rule.container_port())],
                }),
            );
        }
    }
    template.output(ADDRESS, attribute("LoadBalancer", "DNSName"));
    template.output(BALANCER, reference("LoadBalancer"));
}

fn listener(port: &Port, form: Form) -> Value {
    let speaks = match (form, port.protocol) {
        (Form::Bytes, Protocol::Http | Protocol::Tcp) => "TCP",
        (Form::Bytes, Protocol::Https | Protocol::Tls) => "TLS",
        (_, Protocol::Https | Protocol::Tls) => "HTTPS",
        (_, Protocol::Http | Protocol::Tcp) => "HTTP",
    };
    let action = match &port.action {
        Action::Forward { container_port, .. } => forward(*container_port),
        // Host, path and query are kept where nothing is said of them.
        Action::Redirect { redirect_port } => json!({
            "Type": "redirect",
            "RedirectConfig": {
                "Protocol": "HTTPS",
                "Port": redirect_port.to_string(),
                "StatusCode": "HTTP_301",
            },
        }),
    };
    let mut listener = json!({
        "LoadBalancerArn": reference("LoadBalancer"),
        "Port": port.host_port,
        "Protocol": speaks,
        "DefaultActions": [action],
    });
    if let (Some(arn), "HTTPS" | "TLS") = (&port.certificate_arn, speaks) {
        listener["Certificates"] = json!([{ "CertificateArn": arn }]);
        listener["SslPolicy"] = json!(TLS_POLICY);
    }
    listener
}

fn forward(container_port: u16) -> Value {
    json!({ "Type": "forward", "TargetGroupArn": reference(&target_output(container_port)) })
}

fn conditions(rule: &Rule) -> Vec<Value> {
    let mut conditions = Vec::new();
    let paths: Vec<&str> = rule.paths().iter().map(PathPattern::as_str).collect();
    if !paths.is_empty() {
        conditions.push(json!({ "Field": "path-pattern", "PathPatternConfig": { "Values": paths } }));
    }
    let hosts: Vec<&str> = rule.hosts().iter().map(HostPattern::as_str).collect();
    if !hosts.is_empty() {
        conditions.push(json!({ "Field": "host-header", "HostHeaderConfig": { "Values": hosts } }));
    }
    conditions
}

fn target_group(parts: &LoadBalancerParts<'_>, form: Form, container_port: u16) -> Value {
    let wanted = parts.load_balancer;
    let check = &wanted.health_check;
    let mut group = json!({
        "TargetType": "ip",
        "VpcId": parts.config.vpc,
        "Port": container_port,
        "Protocol": if form == Form::Bytes { "TCP" } else { "HTTP" },
        "HealthCheckIntervalSeconds": check.interval_s.clamp(5, 300),
        "HealthCheckTimeoutSeconds": check.timeout_s.clamp(2, 120),
        "HealthyThresholdCount": check.healthy_threshold.clamp(2, 10),
        "UnhealthyThresholdCount": check.unhealthy_threshold.clamp(2, 10),
        "TargetGroupAttributes": [
            { "Key": "deregistration_delay.timeout_seconds", "Value": DRAIN_S.to_string() },
        ],
    });
    let probe = wanted.probe();
    let asked_port =
        |asked: u16| if asked == container_port { json!("traffic-port") } else { json!(asked.to_string()) };
    match (form, probe) {
        (_, Some(Probe::Http { port: asked, path })) => {
            group["HealthCheckProtocol"] = json!("HTTP");
            group["HealthCheckPath"] = json!(path);
            group["HealthCheckPort"] = asked_port(asked);
            group["Matcher"] = json!({ "HttpCode": "200-399" });
        }
        (Form::Bytes, Some(Probe::Tcp { port: asked })) => {
            group["HealthCheckProtocol"] = json!("TCP");
            group["HealthCheckPort"] = asked_port(asked);
        }
        // An ALB can't check by a connection alone.
        (_, Some(Probe::Tcp { port: asked })) => {
            group["HealthCheckProtocol"] = json!("HTTP");
            group["HealthCheckPath"] = json!("/");
            group["HealthCheckPort"] = asked_port(asked);
            group["Matcher"] = json!({ "HttpCode": ANY_ANSWER });
        }
        (_, None) => {}
    }
    group
}

fn classic(template: &mut Template, parts: &LoadBalancerParts<'_>) {
    let wanted = parts.load_balancer;
    let (scheme, subnets) = scheme_and_subnets(parts);
    let listeners: Vec<Value> = wanted
        .ports
        .iter()
        .filter_map(|port| {
            let (speaks, behind) = match port.protocol {
                Protocol::Http => ("HTTP", "HTTP"),
                Protocol::Https => ("HTTPS", "HTTP"),
                Protocol::Tcp => ("TCP", "TCP"),
                Protocol::Tls => ("SSL", "TCP"),
            };
            let mut listener = json!({
                "LoadBalancerPort": port.host_port.to_string(),
                "InstancePort": port.container_port()?.to_string(),
                "Protocol": speaks,
                "InstanceProtocol": behind,
            });
            if let Some(arn) = &port.certificate_arn {
                listener["SSLCertificateId"] = json!(arn);
            }
            Some(listener)
        })
        .collect();
    let target = match wanted.probe() {
        Some(Probe::Http { port, path }) => format!("HTTP:{port}{path}"),
        Some(Probe::Tcp { port }) => format!("TCP:{port}"),
        None => wanted.health_check.target.clone(),
    };
    let check = &wanted.health_check;
    template.resource(
        "LoadBalancer",
        "AWS::ElasticLoadBalancing::LoadBalancer",
        json!({
            "LoadBalancerName": parts.names.balancer(&wanted.id, Form::Classic),
            "Scheme": scheme,
            "Subnets": subnets,
            "SecurityGroups": [attribute("SecurityGroup", "GroupId"), parts.members],
            "Listeners": listeners,
            "CrossZone": wanted.cross_zone,
            "ConnectionDrainingPolicy": { "Enabled": true, "Timeout": DRAIN_S },
            "ConnectionSettings": { "IdleTimeout": wanted.idle_timeout_s },
            "HealthCheck": {
                "Target": target,
                "Interval": check.interval_s.to_string(),
                "Timeout": check.timeout_s.to_string(),
                "HealthyThreshold": check.healthy_threshold.to_string(),
                "UnhealthyThreshold": check.unhealthy_threshold.to_string(),
            },
        }),
    );
    template.output(ADDRESS, attribute("LoadBalancer", "DNSName"));
    template.output(BALANCER, reference("LoadBalancer"));
}
