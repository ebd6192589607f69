//! Networks that lead to ECR, and those that do not.

use super::*;

fn rule(peer: Peer) -> Rule {
    Rule { protocol: Some("tcp".to_owned()), ports: Some((443, 443)), peer }
}

fn everywhere() -> Rule {
    Rule { protocol: None, ports: None, peer: Peer::Cidr("0.0.0.0/0".to_owned()) }
}

fn group(id: &str, ingress: Vec<Rule>, egress: Vec<Rule>) -> SecurityGroup {
    SecurityGroup { id: id.to_owned(), ingress, egress }
}

fn subnet(id: &str, default_route: DefaultRoute) -> Subnet {
    Subnet {
        id: id.to_owned(),
        cidr: Fact::Known("10.0.1.0/24".to_owned()),
        route_table: Fact::Known("rtb-1".to_owned()),
        default_route: Fact::Known(default_route),
    }
}

fn interface(service: &str) -> Endpoint {
    let ingress = vec![rule(Peer::Cidr("10.0.0.0/16".to_owned()))];
    Endpoint {
        id: format!("vpce-{}", service.replace('.', "-")),
        service: format!("com.amazonaws.eu-west-1.{service}"),
        kind: EndpointKind::Interface {
            private_dns: true,
            security_groups: Fact::Known(vec![group("sg-endpoint", ingress, vec![])]),
        },
        policy: Fact::Known(None),
    }
}

fn gateway() -> Endpoint {
    Endpoint {
        id: "vpce-s3".to_owned(),
        service: "com.amazonaws.eu-west-1.s3".to_owned(),
        kind: EndpointKind::Gateway { route_tables: vec!["rtb-1".to_owned()], prefix_list: Some("pl-s3".to_owned()) },
        policy: Fact::Known(None),
    }
}

/// Two private subnets with a NAT gateway.
pub(super) fn nat() -> NetworkEvidence {
    NetworkEvidence {
        vpc: "vpc-1".to_owned(),
        subnets: vec![
            subnet("subnet-a", DefaultRoute::Nat("nat-1".to_owned())),
            subnet("subnet-b", DefaultRoute::Nat("nat-1".to_owned())),
        ],
        public_ip: false,
        security_groups: Fact::Known(vec![group("sg-task", vec![], vec![everywhere()])]),
        endpoints: Fact::Known(vec![]),
    }
}

/// One subnet that only endpoints lead out of.
pub(super) fn endpoints_only() -> NetworkEvidence {
    NetworkEvidence {
        subnets: vec![subnet("subnet-a", DefaultRoute::Nowhere)],
        endpoints: Fact::Known(vec![interface("ecr.api"), interface("ecr.dkr"), interface("logs"), gateway()]),
        ..nat()
    }
}

impl Case {
    fn network(&mut self, network: NetworkEvidence) -> &mut NetworkEvidence {
        self.aws.network = Fact::Known(network);
        match &mut self.aws.network {
            Fact::Known(network) => network,
            Fact::Unknown(_) => unreachable!("just put there"),
        }
    }
}

fn endpoints(network: &mut NetworkEvidence) -> &mut Vec<Endpoint> {
    match &mut network.endpoints {
        Fact::Known(all) => all,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

fn without(case: &mut Case, service: &str) {
    endpoints(case.network(endpoints_only())).retain(|endpoint| !endpoint.service.ends_with(service));
}

/// An interface endpoint of S3 that lets nobody in, and whose name does not lead to it from inside the VPC.
fn inbound_s3(case: &mut Case, with_gateway: bool) {
    let all = endpoints(case.network(endpoints_only()));
    let shut = Fact::Known(vec![group("sg-inbound", vec![], vec![])]);
    let kind = EndpointKind::Interface { private_dns: false, security_groups: shut };
    let gateway = all.pop().filter(|_| with_gateway);
    all.push(Endpoint { id: "vpce-inbound".to_owned(), kind, ..interface("s3") });
    all.extend(gateway);
}

#[test]
fn a_way_to_the_internet_is_a_way_to_ecr() {
    assert_rows(
        OWN,
        &[
            ("NAT", |_| {}, What::Network, "passed", &["subnet-a by nat-1", "subnet-b by nat-1"]),
            (
                "public address",
                |case| {
                    let network = case.network(nat());
                    network.subnets = vec![subnet("subnet-a", DefaultRoute::InternetGateway("igw-1".into()))];
                    network.public_ip = true;
                },
                What::Network,
                "passed",
                &["subnet-a by igw-1"],
            ),
            (
                "internet gateway without an address",
                |case| {
                    case.network(nat()).subnets[1] = subnet("subnet-b", DefaultRoute::InternetGateway("igw-1".into()))
                },
                What::Network,
                "failed",
                &[
                    "NoRoute",
                    "subnet-b to ecr.api, ecr.dkr, s3, logs: its default route leads to",
                    "igw-1, which is a way only with a public address",
                    "give the tasks public addresses",
                ],
            ),
            (
                "no route",
                |case| case.network(nat()).subnets[0] = subnet("subnet-a", DefaultRoute::Nowhere),
                What::Network,
                "failed",
                &[
                    "subnet-a to ecr.api, ecr.dkr, s3, logs: no default route, and no endpoint for it",
                    "make the interface endpoint com.amazonaws.eu-west-1.ecr.dkr: `aws ec2 create-vpc-endpoint --vpc-id vpc-1 --vpc-endpoint-type Interface",
                    "make the gateway endpoint com.amazonaws.eu-west-1.s3",
                    "--subnet-ids subnet-a subnet-b`",
                    "; or, instead of endpoints, route 0.0.0.0/0 of subnet-a to a NAT gateway",
                ],
            ),
            (
                "transit gateway",
                |case| case.network(nat()).subnets[0] = subnet("subnet-a", DefaultRoute::Elsewhere("tgw-1".into())),
                What::Network,
                "unknown",
                &["tgw-1"],
            ),
            (
                "routes not readable",
                |case| case.network(nat()).subnets[0].default_route = denied("ec2:DescribeRouteTables"),
                What::Network,
                "unknown",
                &["ec2:DescribeRouteTables"],
            ),
            (
                "no egress",
                |case| case.network(nat()).security_groups = Fact::Known(vec![group("sg-task", vec![], vec![])]),
                What::Network,
                "failed",
                &[
                    "sg-task lets nothing out to 0.0.0.0/0 on port 443",
                    "aws ec2 authorize-security-group-egress --group-id sg-task",
                ],
            ),
            (
                "egress on another port",
                |case| {
                    let other = Rule { ports: Some((80, 80)), ..rule(Peer::Cidr("0.0.0.0/0".into())) };
                    case.network(nat()).security_groups = Fact::Known(vec![group("sg-task", vec![], vec![other])]);
                },
                What::Network,
                "failed",
                &["on port 443"],
            ),
            (
                "egress to some addresses",
                |case| {
                    let some = rule(Peer::Cidr("52.0.0.0/8".into()));
                    case.network(nat()).security_groups = Fact::Known(vec![group("sg-task", vec![], vec![some])]);
                },
                What::Network,
                "unknown",
                &["some addresses only"],
            ),
            (
                "endpoints not listed",
                |case| case.network(nat()).endpoints = denied("ec2:DescribeVpcEndpoints"),
                What::Network,
                "unknown",
                &["the endpoints of vpc-1 could not be listed"],
            ),
            ("no subnet", |case| case.network(nat()).subnets.clear(), What::Network, "failed", &["no subnet in vpc-1"]),
            (
                "another registry",
                |case| {
                    case.host("nginx:1");
                    case.network(endpoints_only());
                },
                What::Network,
                "failed",
                &["subnet-a to docker.io"],
            ),
        ],
    );
}

#[test]
fn endpoints_are_a_way_when_all_are_there_and_open() {
    assert_rows(
        OWN,
        &[
            (
                "all",
                |case| {
                    case.network(endpoints_only());
                },
                What::Network,
                "passed",
                &["vpce-ecr-api and vpce-ecr-dkr and vpce-s3 and vpce-logs"],
            ),
            (
                "no ecr.api",
                |case| without(case, "ecr.api"),
                What::Network,
                "failed",
                &["make the interface endpoint com.amazonaws.eu-west-1.ecr.api"],
            ),
            (
                "no ecr.dkr",
                |case| without(case, "ecr.dkr"),
                What::Network,
                "failed",
                &["make the interface endpoint com.amazonaws.eu-west-1.ecr.dkr"],
            ),
            (
                "no s3",
                |case| without(case, ".s3"),
                What::Network,
                "failed",
                &[
                    "subnet-a to s3",
                    "--vpc-endpoint-type Gateway --service-name com.amazonaws.eu-west-1.s3 --route-table-ids rtb-1",
                ],
            ),
            ("no logs", |case| without(case, "logs"), What::Network, "failed", &["com.amazonaws.eu-west-1.logs"]),
            (
                "no logs, none wanted",
                |case| {
                    without(case, "logs");
                    case.question.uses.log_groups.clear();
                },
                What::Network,
                "passed",
                &[],
            ),
            (
                "no secretsmanager",
                |case| {
                    case.network(endpoints_only());
                    case.question
                        .uses
                        .secrets
                        .push("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf".into());
                },
                What::Network,
                "failed",
                &["com.amazonaws.eu-west-1.secretsmanager"],
            ),
            (
                "no private DNS",
                |case| {
                    if let EndpointKind::Interface { private_dns, .. } =
                        &mut endpoints(case.network(endpoints_only()))[1].kind
                    {
                        *private_dns = false;
                    }
                },
                What::Network,
                "failed",
                &["aws ec2 modify-vpc-endpoint --vpc-endpoint-id vpce-ecr-dkr --private-dns-enabled"],
            ),
            (
                "gateway for another route table",
                |case| {
                    if let EndpointKind::Gateway { route_tables, .. } =
                        &mut endpoints(case.network(endpoints_only()))[3].kind
                    {
                        *route_tables = vec!["rtb-9".into()];
                    }
                },
                What::Network,
                "failed",
                &["--vpc-endpoint-id vpce-s3 --add-route-table-ids rtb-1"],
            ),
            (
                "S3 by an interface endpoint for inbound resolvers, and a gateway",
                |case| inbound_s3(case, true),
                What::Network,
                "passed",
                &["vpce-s3 "],
            ),
            (
                "S3 by an interface endpoint for inbound resolvers alone",
                |case| inbound_s3(case, false),
                What::Network,
                "failed",
                &["make the gateway endpoint com.amazonaws.eu-west-1.s3"],
            ),
            (
                "endpoint for another region",
                |case| {
                    endpoints(case.network(endpoints_only()))[0].service = "com.amazonaws.us-east-1.ecr.api".into();
                },
                What::Network,
                "failed",
                &["com.amazonaws.eu-west-1.ecr.api"],
            ),
            (
                "an endpoint that lets nobody in, beside a NAT gateway",
                |case| {
                    let network = case.network(nat());
                    let mut shut = interface("ecr.api");
                    shut.kind = EndpointKind::Interface {
                        private_dns: true,
                        security_groups: Fact::Known(vec![group(
                            "sg-endpoint",
                            vec![rule(Peer::Group("sg-other".into()))],
                            vec![],
                        )]),
                    };
                    network.endpoints = Fact::Known(vec![shut]);
                },
                What::Network,
                "failed",
                &[
                    "vpce-ecr-api (sg-endpoint) does not let sg-task in on port 443",
                    "--group-id sg-endpoint --protocol tcp --port 443 --source-group sg-task",
                ],
            ),
            (
                "an endpoint for the tasks' group",
                |case| {
                    let network = case.network(endpoints_only());
                    for endpoint in endpoints(network) {
                        if let EndpointKind::Interface { security_groups, .. } = &mut endpoint.kind {
                            *security_groups = Fact::Known(vec![group(
                                "sg-endpoint",
                                vec![rule(Peer::Group("sg-task".into()))],
                                vec![],
                            )]);
                        }
                    }
                    let out = vec![rule(Peer::Group("sg-endpoint".into())), rule(Peer::PrefixList("pl-s3".into()))];
                    network.security_groups = Fact::Known(vec![group("sg-task", vec![], out)]);
                },
                What::Network,
                "passed",
                &[],
            ),
            (
                "no egress to S3's list",
                |case| {
                    let out = vec![rule(Peer::Group("sg-endpoint".into()))];
                    case.network(endpoints_only()).security_groups = Fact::Known(vec![group("sg-task", vec![], out)]);
                },
                What::Network,
                "failed",
                &["sg-task lets nothing out to pl-s3", "PrefixListIds=[{PrefixListId=pl-s3}]"],
            ),
            (
                "groups of an endpoint not readable",
                |case| {
                    if let EndpointKind::Interface { security_groups, .. } =
                        &mut endpoints(case.network(endpoints_only()))[0].kind
                    {
                        *security_groups = denied("ec2:DescribeSecurityGroups");
                    }
                },
                What::Network,
                "unknown",
                &["the security groups of vpce-ecr-api could not be read"],
            ),
            (
                "an endpoint policy for other buckets",
                |case| {
                    endpoints(case.network(endpoints_only()))[3].policy = Fact::Known(Some(
                        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::ours/*"}}"#.into(),
                    ));
                },
                What::Network,
                "failed",
                &[
                    "the policy of vpce-s3 does not let s3:GetObject",
                    "arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*",
                ],
            ),
            (
                "an endpoint policy for ECR's bucket",
                |case| {
                    endpoints(case.network(endpoints_only()))[3].policy = Fact::Known(Some(
                        r#"{"Statement": {"Sid": "Access-to-specific-bucket-only", "Principal": "*", "Action": ["s3:GetObject"],
                            "Effect": "Allow", "Resource": ["arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*"]}}"#.into(),
                    ));
                },
                What::Network,
                "passed",
                &[],
            ),
            (
                "an endpoint policy for other accounts",
                |case| {
                    endpoints(case.network(endpoints_only()))[1].policy = Fact::Known(Some(
                        r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "*", "Resource": "*"}}"#.into(),
                    ));
                },
                What::Network,
                "failed",
                &["the policy of vpce-ecr-dkr does not let ecr:BatchGetImage"],
            ),
        ],
    );
}
