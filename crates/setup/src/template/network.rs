//! The network: a VPC with subnets in two or three zones and a way to AWS, or the one that is there.
//!
//! The servers themselves call services of AWS that have no endpoint in a VPC (IAM, Organizations), so without NAT they stand
//! in the public subnets with an address of their own, which lets nobody in but the load balancer. What they start stands in the
//! private ones.

use serde_json::{Value, json};

use super::{Template, attribute, reference, substituted};
use crate::instance::{Cidr, Network, WayOut};

/// What a pull, a log line, a secret and `exec` need when nothing else leads out ("Amazon ECR interface VPC endpoints", "Amazon
/// ECS interface VPC endpoints").
const ENDPOINTS: [&str; 5] = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssmmessages"];

/// Endpoints that cost nothing and stand in route tables. ECR keeps layers in S3.
const GATEWAYS: [&str; 2] = ["s3", "dynamodb"];

/// By how many bits a subnet's block is longer than the VPC's: sixteen subnets, half of them public.
const SUBNET_BITS: u8 = 4;

/// The first public one among them.
const PUBLIC_FROM: u32 = 8;

/// The network as the rest of the stack sees it.
pub(super) struct Seen {
    pub(super) vpc: Value,
    /// For load balancers that are reached from outside.
    pub(super) public_subnets: Vec<Value>,
    /// For tasks.
    pub(super) task_subnets: Vec<Value>,
    /// Whether tasks need a public address.
    pub(super) tasks_public_ip: bool,
    /// For the servers.
    pub(super) server_subnets: Vec<Value>,
    /// Whether the servers need a public address.
    pub(super) server_public_ip: bool,
    /// What must be there before anything reaches AWS.
    pub(super) ways: Vec<String>,
}

pub(super) fn network(template: &mut Template<'_>) -> Seen {
    match &template.instance.network {
        Network::New { cidr, zones, way_out } => new(template, *cidr, *zones, *way_out),
        Network::Given { vpc, private_subnets, public_subnets, way_out } => {
            let texts = |ids: &[String]| ids.iter().map(|id| json!(id)).collect::<Vec<_>>();
            let is_public = private_subnets.is_empty();
            let tasks = texts(if is_public { public_subnets } else { private_subnets });
            Seen {
                vpc: json!(vpc),
                public_subnets: texts(public_subnets),
                task_subnets: tasks.clone(),
                tasks_public_ip: is_public,
                server_subnets: if *way_out == WayOut::Nat { tasks } else { texts(public_subnets) },
                server_public_ip: *way_out != WayOut::Nat,
                ways: Vec::new(),
            }
        }
    }
}

fn new(template: &mut Template<'_>, cidr: Cidr, zones: u8, way_out: WayOut) -> Seen {
    let tags = template.tags("vpc");
    template.resource(
        "Vpc",
        "AWS::EC2::VPC",
        json!({ "CidrBlock": cidr.to_string(), "EnableDnsSupport": true, "EnableDnsHostnames": true, "Tags": tags }),
    );
    let public = subnets(template, cidr, zones, Kind::Public);
    internet(template, &public);
    let mut ways = vec!["PublicRoute".to_owned()];
    let private = if way_out == WayOut::Public { Vec::new() } else { subnets(template, cidr, zones, Kind::Private) };
    match way_out {
        WayOut::Public => {}
        WayOut::Nat => {
            nat(template);
            ways.push("PrivateRoute".to_owned());
        }
        WayOut::Endpoints => ways.extend(endpoints(template, cidr, &private)),
    }
    let refs = |names: &[String]| names.iter().map(|name| reference(name)).collect::<Vec<_>>();
    let tasks = if private.is_empty() { &public } else { &private };
    let servers = if way_out == WayOut::Nat { &private } else { &public };
    Seen {
        vpc: reference("Vpc"),
        public_subnets: refs(&public),
        task_subnets: refs(tasks),
        tasks_public_ip: way_out == WayOut::Public,
        server_subnets: refs(servers),
        server_public_ip: way_out != WayOut::Nat,
        ways,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Public,
    Private,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Public => "Public",
            Kind::Private => "Private",
        }
    }
}

/// One subnet in each zone, all on one route table.
fn subnets(template: &mut Template<'_>, cidr: Cidr, zones: u8, kind: Kind) -> Vec<String> {
    let word = kind.word();
    let table = format!("{word}Routes");
    let tags = template.tags(&word.to_ascii_lowercase());
    template.resource(&table, "AWS::EC2::RouteTable", json!({ "VpcId": reference("Vpc"), "Tags": tags }));
    let mut names = Vec::new();
    for zone in 0..u32::from(zones) {
        let at = if kind == Kind::Public { PUBLIC_FROM + zone } else { zone };
        // A VPC has at most 24 bits, so there are sixteen.
        let Some(block) = cidr.part(cidr.bits() + SUBNET_BITS, at) else { continue };
        let name = format!("{word}Subnet{}", zone + 1);
        let tags = template.tags(&format!("{}-{}", word.to_ascii_lowercase(), zone + 1));
        template.resource(
            &name,
            "AWS::EC2::Subnet",
            json!({
                "VpcId": reference("Vpc"),
                "CidrBlock": block.to_string(),
                "AvailabilityZone": { "Fn::Select": [zone, { "Fn::GetAZs": "" }] },
                "Tags": tags,
            }),
        );
        template.resource(
            format!("{name}Routes"),
            "AWS::EC2::SubnetRouteTableAssociation",
            json!({ "SubnetId": reference(&name), "RouteTableId": reference(&table) }),
        );
        names.push(name);
    }
    names
}

fn internet(template: &mut Template<'_>, public: &[String]) {
    let tags = template.tags("internet");
    template.resource("Internet", "AWS::EC2::InternetGateway", json!({ "Tags": tags }));
    template.resource(
        "InternetAttachment",
        "AWS::EC2::VPCGatewayAttachment",
        json!({ "VpcId": reference("Vpc"), "InternetGatewayId": reference("Internet") }),
    );
    template.resource(
        "PublicRoute",
        "AWS::EC2::Route",
        json!({
            "RouteTableId": reference("PublicRoutes"),
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": reference("Internet"),
        }),
    );
    template.after("PublicRoute", &["InternetAttachment"]);
    debug_assert!(!public.is_empty(), "there are two zones or more");
}

/// One gateway: the way out of all zones is through the first. Two would double what it costs.
fn nat(template: &mut Template<'_>) {
    let tags = template.tags("nat");
    template.resource("NatAddress", "AWS::EC2::EIP", json!({ "Domain": "vpc", "Tags": tags.clone() }));
    template.after("NatAddress", &["InternetAttachment"]);
    template.resource(
        "Nat",
        "AWS::EC2::NatGateway",
        json!({ "AllocationId": attribute("NatAddress", "AllocationId"), "SubnetId": reference("PublicSubnet1"), "Tags": tags }),
    );
    template.resource(
        "PrivateRoute",
        "AWS::EC2::Route",
        json!({
            "RouteTableId": reference("PrivateRoutes"),
            "DestinationCidrBlock": "0.0.0.0/0",
            "NatGatewayId": reference("Nat"),
        }),
    );
}

fn endpoints(template: &mut Template<'_>, cidr: Cidr, private: &[String]) -> Vec<String> {
    let tags = template.tags("endpoints");
    template.resource(
        "EndpointsGroup",
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupDescription": "What runs in the VPC may use its endpoints",
            "VpcId": reference("Vpc"),
            "SecurityGroupIngress": [
                { "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": cidr.to_string(), "Description": "the VPC" },
            ],
            "Tags": tags,
        }),
    );
    let mut names = Vec::new();
    let tags = |template: &Template<'_>, of: &str| template.tags(&of.replace('.', "-"));
    // In China those of ECR bear a prefix of their own (as in the pull check).
    let is_china = template.instance.region.starts_with("cn-");
    let service = |of: &str| {
        let prefix = if is_china && of.starts_with("ecr.") { "cn." } else { "" };
        substituted(format!("{prefix}com.amazonaws.${{AWS::Region}}.{of}"))
    };
    for of in ENDPOINTS {
        let name = format!("Endpoint{}", of.split('.').map(capital).collect::<String>());
        let subnets: Vec<Value> = private.iter().map(|name| reference(name)).collect();
        let tags = tags(template, of);
        template.resource(
            &name,
            "AWS::EC2::VPCEndpoint",
            json!({
                "VpcEndpointType": "Interface",
                "ServiceName": service(of),
                "VpcId": reference("Vpc"),
                "SubnetIds": subnets,
                "SecurityGroupIds": [reference("EndpointsGroup")],
                "PrivateDnsEnabled": true,
                "Tags": tags,
            }),
        );
        names.push(name);
    }
    for of in GATEWAYS {
        let name = format!("Endpoint{}", capital(of));
        let tags = tags(template, of);
        let mut properties = json!({
            "VpcEndpointType": "Gateway",
            "ServiceName": service(of),
            "VpcId": reference("Vpc"),
            "RouteTableIds": [reference("PrivateRoutes")],
            "Tags": tags,
        });
        if of == "s3" {
            properties["PolicyDocument"] = s3_policy();
        }
        template.resource(&name, "AWS::EC2::VPCEndpoint", properties);
        names.push(name);
    }
    names
}

/// What goes through the endpoint of S3: layers, which ECR keeps in a bucket of its own and signs links to ("Amazon ECR interface
/// VPC endpoints", minimum bucket permissions), packages for machines, and what the account's own roles do. Nobody takes anything
/// out with keys of another account.
fn s3_policy() -> Value {
    let objects = |bucket: &str| substituted(format!("arn:${{AWS::Partition}}:s3:::{bucket}/*"));
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Layers",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject"],
                "Resource": [
                    objects("prod-${AWS::Region}-starport-layer-bucket"),
                    objects("al2023-repos-${AWS::Region}-*"),
                ],
            },
            {
                "Sid": "OwnAccount",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:*"],
                "Resource": ["*"],
                "Condition": { "StringEquals": { "aws:PrincipalAccount": reference("AWS::AccountId") } },
            },
        ],
    })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
