//! A load balancer: an ALB for HTTP and HTTPS, an NLB where a listener speaks TCP or TLS, a classic ELB where that was asked
//! for; with its security group, and a target group for each listener.

use layer0_domain::model::load_balancer::{LoadBalancer, LoadBalancerKind, Port, Probe, Protocol, Visibility};
use serde_json::{Value, json};

use super::{ADDRESS, Template, attribute, reference};
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

/// The kinds of load balancers on AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum BalancerKind {
    /// ALB.
    Application,
    /// NLB.
    Network,
    /// Classic ELB.
    Classic,
}

/// Which kind a load balancer becomes.
pub(in crate::ecs) fn balancer_kind(wanted: &LoadBalancer) -> BalancerKind {
    let speaks_bytes = wanted.ports.iter().any(|port| matches!(port.protocol, Protocol::Tcp | Protocol::Tls));
    match wanted.kind {
        LoadBalancerKind::Classic => BalancerKind::Classic,
        LoadBalancerKind::Application if speaks_bytes => BalancerKind::Network,
        LoadBalancerKind::Application => BalancerKind::Application,
    }
}

/// The output that holds the target group of a listener.
pub(in crate::ecs) fn target_output(host_port: u16) -> String {
    format!("Target{host_port}")
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
    match balancer_kind(wanted) {
        BalancerKind::Classic => classic(&mut template, parts),
        kind => modern(&mut template, parts, kind),
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
fn modern(template: &mut Template, parts: &LoadBalancerParts<'_>, kind: BalancerKind) {
    let wanted = parts.load_balancer;
    let (scheme, subnets) = scheme_and_subnets(parts);
    let mut attributes = Vec::new();
    let cross_zone = json!({ "Key": "load_balancing.cross_zone.enabled", "Value": wanted.cross_zone.to_string() });
    let kind_word = match kind {
        BalancerKind::Network => {
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
            "Name": parts.names.balancer(&wanted.id),
            "Type": kind_word,
            "Scheme": scheme,
            "Subnets": subnets,
            "SecurityGroups": [attribute("SecurityGroup", "GroupId"), parts.members],
            "LoadBalancerAttributes": attributes,
        }),
    );
    for port in &wanted.ports {
        let group = target_output(port.host_port);
        let (listener_speaks, target_speaks) = match (kind, port.protocol) {
            (BalancerKind::Network, Protocol::Http | Protocol::Tcp) => ("TCP", "TCP"),
            (BalancerKind::Network, Protocol::Https | Protocol::Tls) => ("TLS", "TCP"),
            (_, Protocol::Https | Protocol::Tls) => ("HTTPS", "HTTP"),
            (_, Protocol::Http | Protocol::Tcp) => ("HTTP", "HTTP"),
        };
        template.resource(
            group.clone(),
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            target_group(parts, kind, port, target_speaks),
        );
        let mut listener = json!({
            "LoadBalancerArn": reference("LoadBalancer"),
            "Port": port.host_port,
            "Protocol": listener_speaks,
            "DefaultActions": [{ "Type": "forward", "TargetGroupArn": reference(&group) }],
        });
        if let (Some(arn), "HTTPS" | "TLS") = (&port.certificate_arn, listener_speaks) {
            listener["Certificates"] = json!([{ "CertificateArn": arn }]);
            listener["SslPolicy"] = json!(TLS_POLICY);
        }
        template.resource(format!("Listener{}", port.host_port), "AWS::ElasticLoadBalancingV2::Listener", listener);
        template.output(group.clone(), reference(&group));
    }
    template.output(ADDRESS, attribute("LoadBalancer", "DNSName"));
}

fn target_group(parts: &LoadBalancerParts<'_>, kind: BalancerKind, port: &Port, speaks: &str) -> Value {
    let wanted = parts.load_balancer;
    let check = &wanted.health_check;
    let mut group = json!({
        "TargetType": "ip",
        "VpcId": parts.config.vpc,
        "Port": port.container_port,
        "Protocol": speaks,
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
        |asked: u16| if asked == port.container_port { json!("traffic-port") } else { json!(asked.to_string()) };
    match (kind, probe) {
        (_, Some(Probe::Http { port: asked, path })) => {
            group["HealthCheckProtocol"] = json!("HTTP");
            group["HealthCheckPath"] = json!(path);
            group["HealthCheckPort"] = asked_port(asked);
            group["Matcher"] = json!({ "HttpCode": "200-399" });
        }
        (BalancerKind::Network, Some(Probe::Tcp { port: asked })) => {
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
        .map(|port| {
            let (speaks, behind) = match port.protocol {
                Protocol::Http => ("HTTP", "HTTP"),
                Protocol::Https => ("HTTPS", "HTTP"),
                Protocol::Tcp => ("TCP", "TCP"),
                Protocol::Tls => ("SSL", "TCP"),
            };
            let mut listener = json!({
                "LoadBalancerPort": port.host_port.to_string(),
                "InstancePort": port.container_port.to_string(),
                "Protocol": speaks,
                "InstanceProtocol": behind,
            });
            if let Some(arn) = &port.certificate_arn {
                listener["SSLCertificateId"] = json!(arn);
            }
            listener
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
            "LoadBalancerName": parts.names.balancer(&wanted.id),
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
}
