//! The VPCs that a fake AWS has from its start, as data.

/// What lies around the tasks. Read by EC2's describe operations; ECS takes subnets' addresses from it.
#[derive(Debug, Clone)]
pub struct Network {
    /// The VPCs: id and CIDR block.
    pub vpcs: Vec<(String, String)>,
    /// The subnets.
    pub subnets: Vec<Subnet>,
    /// The route tables.
    pub route_tables: Vec<RouteTable>,
    /// The VPC endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Security groups that no stack made.
    pub security_groups: Vec<SecurityGroup>,
}

/// A subnet.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// `subnet-..`
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its CIDR block, at least a /24 (its first three parts make the addresses of tasks).
    pub cidr: String,
    /// Its availability zone.
    pub zone: String,
    /// Whether instances get a public address by default.
    pub public_ip: bool,
}

/// A route table.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// `rtb-..`
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// The subnets that are associated with it by name.
    pub subnets: Vec<String>,
    /// Whether it is the VPC's main table, which holds for subnets without one.
    pub main: bool,
    /// Its routes besides `local`: destination and target (`igw-..`, `nat-..`, `vpce-..`, `tgw-..`).
    pub routes: Vec<(String, String)>,
}

/// A VPC endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `vpce-..`
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// `com.amazonaws.REGION.ecr.dkr`
    pub service: String,
    /// The subnets of an interface endpoint.
    pub subnets: Vec<String>,
    /// The security groups of an interface endpoint.
    pub security_groups: Vec<String>,
    /// The route tables of a gateway endpoint.
    pub route_tables: Vec<String>,
    /// Whether the VPC's DNS answers with it.
    pub private_dns: bool,
    /// Whether it does so for inbound endpoints of Route 53 Resolver alone, and not inside the VPC.
    pub inbound_only: bool,
    /// Its policy; `None`: the one that lets everything through.
    pub policy: Option<String>,
}

/// A security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// `sg-..`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its rules.
    pub rules: Vec<SecurityRule>,
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityRule {
    /// Whether it lets out instead of in.
    pub egress: bool,
    /// `-1`, `tcp`, `udp`, `icmp`.
    pub protocol: String,
    /// The first and last port; `None` with protocol `-1`.
    pub ports: Option<(i64, i64)>,
    /// The other side.
    pub peer: Peer,
    /// Its description.
    pub description: Option<String>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A CIDR block.
    Cidr(String),
    /// A security group.
    Group(String),
    /// A prefix list.
    PrefixList(String),
}

impl SecurityRule {
    /// Everything out to everywhere: what a new group has unless it is told otherwise.
    #[must_use]
    pub fn all_out() -> Self {
        Self {
            egress: true,
            protocol: "-1".to_owned(),
            ports: None,
            peer: Peer::Cidr("0.0.0.0/0".to_owned()),
            description: None,
        }
    }
}

impl Default for Network {
    /// `vpc-main` with two public subnets (`subnet-public-a`, `-b`), two private ones behind a NAT gateway
    /// (`subnet-private-a`, `-b`) and two without a way out (`subnet-isolated-a`, `-b`); no endpoints; `sg-default`.
    fn default() -> Self {
        let vpc = "vpc-main".to_owned();
        let kinds = [("public", true, 0), ("private", false, 10), ("isolated", false, 20)];
        let subnets = kinds.into_iter().flat_map(|(kind, public_ip, third)| {
            ["a", "b"].into_iter().zip(third..).map(move |(zone, third)| Subnet {
                id: format!("subnet-{kind}-{zone}"),
                vpc: "vpc-main".to_owned(),
                cidr: format!("10.0.{third}.0/24"),
                zone: format!("us-east-1{zone}"),
                public_ip,
            })
        });
        let table = |kind: &str, target: Option<&str>| RouteTable {
            id: format!("rtb-{kind}"),
            vpc: "vpc-main".to_owned(),
            subnets: if kind == "main" {
                Vec::new()
            } else {
                vec![format!("subnet-{kind}-a"), format!("subnet-{kind}-b")]
            },
            main: kind == "main",
            routes: target.map(|target| ("0.0.0.0/0".to_owned(), target.to_owned())).into_iter().collect(),
        };
        Self {
            subnets: subnets.collect(),
            route_tables: vec![
                table("main", None),
                table("public", Some("igw-main")),
                table("private", Some("nat-main")),
                table("isolated", None),
            ],
            endpoints: Vec::new(),
            security_groups: vec![SecurityGroup {
                id: "sg-default".to_owned(),
                name: "default".to_owned(),
                vpc: vpc.clone(),
                rules: vec![SecurityRule::all_out()],
            }],
            vpcs: vec![(vpc, "10.0.0.0/16".to_owned())],
        }
    }
}
