//! The load balancer: who reaches the API, and by which name. There is TLS where there is a domain; without one the API is reached
//! from inside the VPC alone, or from the blocks of addresses that were said.

use serde_json::{Value, json};

/// How long the load balancer lets requests end that run on a server which is to go. ECS takes the server out of the target group
/// and tells it to stop only after that ("Task states", DEACTIVATING), so pushes have this time and the server's grace.
const DRAIN_S: u16 = 120;
/// From one look of the load balancer to the next.
pub(super) const HEALTH_INTERVAL_S: u16 = 10;

use super::network::Seen;
use super::outputs::{BALANCER_ADDRESS, ENDPOINT, INSIDE};
use super::server::PORT;
use super::{Template, attribute, reference};
use crate::instance::{Access, Certificate, Cidr};

/// The way in.
pub(super) struct Door {
    /// The listener that a service must wait for.
    pub(super) listener: &'static str,
    /// Where the servers are to be reached.
    pub(super) targets: &'static str,
    /// What the registry is called.
    pub(super) host: Value,
}

/// A load balancer with its targets. One that is reached from outside and one from inside have different ids and names: neither can become
/// the other, and both stand for a while when the wish changes. CloudFormation replaces nothing in its place that has a name of its own, and
/// no target group can be of two load balancers.
#[derive(Clone, Copy)]
struct Way {
    balancer: &'static str,
    targets: &'static str,
    name: &'static str,
}

const FROM_INSIDE: Way = Way { balancer: "Balancer", targets: "Targets", name: "api" };
const FROM_OUTSIDE: Way = Way { balancer: "PublicBalancer", targets: "PublicTargets", name: "web" };

pub(super) fn door(template: &mut Template<'_>, network: &Seen) -> Door {
    let anywhere = [Cidr::EVERYWHERE];
    let (port, allow, is_public): (u16, &[Cidr], bool) = match &template.instance.access {
        Access::Domain { allow, .. } if allow.is_empty() => (443, &anywhere, true),
        Access::Domain { allow, .. } => (443, allow, true),
        Access::Bare { allow } => (80, allow, !allow.is_empty()),
    };
    let mut rules: Vec<Value> = Vec::new();
    for block in allow {
        for port in if port == 443 { vec![443, 80] } else { vec![port] } {
            rules.push(json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": block.to_string() }));
        }
    }
    if !is_public {
        let inside = attribute("Inside", "GroupId");
        rules.push(json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "SourceSecurityGroupId": inside }));
        let tags = template.tags("inside");
        template.resource(
            "Inside",
            "AWS::EC2::SecurityGroup",
            json!({ "GroupDescription": "Who is in this group reaches the API", "VpcId": network.vpc, "Tags": tags }),
        );
        template.output(INSIDE, attribute("Inside", "GroupId"));
    }
    let tags = template.tags("api");
    template.resource(
        "BalancerGroup",
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupDescription": "Who reaches the API",
            "VpcId": network.vpc,
            "SecurityGroupIngress": rules,
            "Tags": tags,
        }),
    );
    let way = if is_public { FROM_OUTSIDE } else { FROM_INSIDE };
    let (name, tags) = (template.name(way.name), template.tags("api"));
    template.resource(
        way.balancer,
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        json!({
            "Name": name,
            "Type": "application",
            "Scheme": if is_public { "internet-facing" } else { "internal" },
            "Subnets": if is_public { &network.public_subnets } else { &network.task_subnets },
            "SecurityGroups": [attribute("BalancerGroup", "GroupId")],
            // A push of a large layer is one request, and a followed log is one answer.
            "LoadBalancerAttributes": [{ "Key": "idle_timeout.timeout_seconds", "Value": "900" }],
            "Tags": tags,
        }),
    );
    let ways: Vec<&str> = network.ways.iter().map(String::as_str).collect();
    if !ways.is_empty() {
        template.after(way.balancer, &ways);
    }
    let (name, tags) = (template.name(way.name), template.tags("api"));
    template.resource(
        way.targets,
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        json!({
            "Name": name,
            "Port": PORT,
            "Protocol": "HTTP",
            "TargetType": "ip",
            "VpcId": network.vpc,
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": HEALTH_INTERVAL_S,
            "HealthyThresholdCount": 2,
            "TargetGroupAttributes": [{ "Key": "deregistration_delay.timeout_seconds", "Value": DRAIN_S.to_string() }],
            "Tags": tags,
        }),
    );
    listeners(template, way)
}

/// A port has one listener whatever it does, so that none is made beside one that is still there.
fn listeners(template: &mut Template<'_>, way: Way) -> Door {
    let Way { balancer, targets, .. } = way;
    let tags = template.tags("api");
    let forward = json!([{ "Type": "forward", "TargetGroupArn": reference(targets) }]);
    let Access::Domain { name, certificate, zone, .. } = &template.instance.access else {
        template.resource(
            "PlainListener",
            "AWS::ElasticLoadBalancingV2::Listener",
            json!({
                "LoadBalancerArn": reference(balancer),
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": forward,
                "Tags": tags,
            }),
        );
        let host = attribute(balancer, "DNSName");
        template.output(ENDPOINT, json!({ "Fn::Join": ["", ["http://", host.clone(), "/"]] }));
        return Door { listener: "PlainListener", targets, host };
    };
    let (name, zone, certificate) = (name.clone(), zone.clone(), certificate.clone());
    let arn = match certificate {
        Certificate::Given(arn) => json!(arn),
        Certificate::Made => {
            template.resource(
                "Certificate",
                "AWS::CertificateManager::Certificate",
                json!({
                    "DomainName": name,
                    "ValidationMethod": "DNS",
                    "DomainValidationOptions": [{ "DomainName": name, "HostedZoneId": zone }],
                    "Tags": tags,
                }),
            );
            reference("Certificate")
        }
    };
    template.resource(
        "Listener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({
            "LoadBalancerArn": reference(balancer),
            "Port": 443,
            "Protocol": "HTTPS",
            "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "Certificates": [{ "CertificateArn": arn }],
            "DefaultActions": forward,
            "Tags": tags,
        }),
    );
    let redirect = json!([{
        "Type": "redirect",
        "RedirectConfig": { "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301" },
    }]);
    template.resource(
        "PlainListener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({
            "LoadBalancerArn": reference(balancer),
            "Port": 80,
            "Protocol": "HTTP",
            "DefaultActions": redirect,
            "Tags": tags,
        }),
    );
    // Nobody is sent to what is not there yet: a certificate takes minutes.
    template.after("PlainListener", &["Listener"]);
    if let Some(zone) = zone {
        template.resource(
            "Name",
            "AWS::Route53::RecordSet",
            json!({
                "HostedZoneId": zone,
                "Name": name,
                "Type": "A",
                "AliasTarget": {
                    "DNSName": attribute(balancer, "DNSName"),
                    "HostedZoneId": attribute(balancer, "CanonicalHostedZoneID"),
                },
            }),
        );
    }
    template.output(ENDPOINT, json!(format!("https://{name}/")));
    template.output(BALANCER_ADDRESS, attribute(balancer, "DNSName"));
    Door { listener: "Listener", targets, host: json!(name) }
}
