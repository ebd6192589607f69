//! EC2: subnets, routes, endpoints and security groups, by its query protocol (EC2 API reference, "Making requests"). Only
//! what the pull check looks at is read.

use layer0_domain::port::pull::aws::{DefaultRoute, Peer, Rule, SecurityGroup};

use super::pace::Family;
use super::query;
use super::xml::Element;
use super::{Aws, AwsError};

/// The version of the API.
const VERSION: &str = "2016-11-15";
/// Values that one filter takes (EC2 user guide, "Filter resources").
const FILTER_MAX: usize = 200;

/// A subnet as EC2 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct SubnetSeen {
    /// Its id.
    pub(in crate::ecs) id: String,
    /// Its addresses.
    pub(in crate::ecs) cidr: Option<String>,
    /// Whether machines get a public address there.
    pub(in crate::ecs) maps_public_ip: bool,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct RouteTable {
    /// Its id.
    pub(in crate::ecs) id: String,
    /// Whether it counts for subnets that have none of their own.
    pub(in crate::ecs) is_main: bool,
    /// The subnets whose own it is.
    pub(in crate::ecs) subnets: Vec<String>,
    /// Where `0.0.0.0/0` leads to.
    pub(in crate::ecs) default_route: DefaultRoute,
    /// Prefix lists with the endpoint that each leads to.
    pub(in crate::ecs) prefix_lists: Vec<(String, String)>,
}

/// An endpoint that is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct EndpointSeen {
    /// Its id.
    pub(in crate::ecs) id: String,
    /// The service's name.
    pub(in crate::ecs) service: String,
    /// Its policy.
    pub(in crate::ecs) policy: Option<String>,
    /// How it is reached.
    pub(in crate::ecs) reached: Reached,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) enum Reached {
    /// By an address.
    Interface {
        /// Whether the service's own name leads to it from inside the VPC.
        private_dns: bool,
        /// The groups around it.
        groups: Vec<String>,
    },
    /// By routes of these tables.
    Gateway {
        /// The tables.
        route_tables: Vec<String>,
    },
}

impl Aws {
    /// Subnets by their ids.
    pub(in crate::ecs) async fn subnets(&self, ids: &[String]) -> Result<Vec<SubnetSeen>, AwsError> {
        let asked = ids.iter().enumerate().map(|(at, id)| (format!("SubnetId.{}", at + 1), id.clone())).collect();
        let found = self.describe("ec2:DescribeSubnets", "subnetSet", asked, subnet).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The route tables of a VPC.
    pub(in crate::ecs) async fn route_tables(&self, vpc: &str) -> Result<Vec<RouteTable>, AwsError> {
        let asked = filter(1, "vpc-id", &[vpc]);
        let op = "ec2:DescribeRouteTables";
        let found = self.describe(op, "routeTableSet", asked, route_table).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The endpoints of a VPC that are available.
    pub(in crate::ecs) async fn endpoints(&self, vpc: &str) -> Result<Vec<EndpointSeen>, AwsError> {
        let mut asked = filter(1, "vpc-id", &[vpc]);
        asked.extend(filter(2, "vpc-endpoint-state", &["available"]));
        let op = "ec2:DescribeVpcEndpoints";
        let found = self.describe(op, "vpcEndpointSet", asked, endpoint).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Those of the security groups that are there.
    pub(in crate::ecs) async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>, AwsError> {
        let op = "ec2:DescribeSecurityGroups";
        let mut all = Vec::new();
        for some in ids.chunks(FILTER_MAX) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let asked = filter(1, "group-id", &some);
            let found = self.describe(op, "securityGroupInfo", asked, group).await?;
            all.extend(found.into_iter().flatten());
        }
        Ok(all)
    }

    /// All pages of a describe call.
    async fn describe<T>(
        &self,
        op: &'static str,
        list: &str,
        asked: Vec<(String, String)>,
        read: fn(&Element) -> T,
    ) -> Result<Vec<T>, AwsError> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let asked = asked.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let question =
                query::question(op, VERSION, asked.chain(token.as_deref().map(|token| ("NextToken", token))));
            let answer = self.ask(Family::Network, &self.ec2, &question, query::ec2_refusal).await?;
            let root = Element::parse(&answer, &format!("{}Response", query::action(op)));
            let root = root.ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
            all.extend(root.items(list).map(read));
            token = root.text("nextToken").map(str::to_owned);
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}

/// The parameters of one filter.
fn filter(number: usize, name: &str, values: &[&str]) -> Vec<(String, String)> {
    let values = values.iter().enumerate();
    let mut all = vec![(format!("Filter.{number}.Name"), name.to_owned())];
    all.extend(values.map(|(at, value)| (format!("Filter.{number}.Value.{}", at + 1), (*value).to_owned())));
    all
}

fn subnet(item: &Element) -> Option<SubnetSeen> {
    Some(SubnetSeen {
        id: item.text("subnetId")?.to_owned(),
        cidr: item.text("cidrBlock").map(str::to_owned),
        maps_public_ip: item.is("mapPublicIpOnLaunch"),
    })
}

fn route_table(item: &Element) -> Option<RouteTable> {
    let associations: Vec<&Element> = item.items("associationSet").collect();
    let leads_all = |member: &str, cidr: &str| item.items("routeSet").find(|route| route.text(member) == Some(cidr));
    let default = leads_all("destinationCidrBlock", "0.0.0.0/0").map(default_route);
    // A default in two halves, or one of IPv6, is a way for some of what is asked: on from there it can't be seen.
    let other = || {
        let halves =
            leads_all("destinationCidrBlock", "0.0.0.0/1").or_else(|| leads_all("destinationIpv6CidrBlock", "::/0"));
        match halves.map(default_route)? {
            DefaultRoute::InternetGateway(id) | DefaultRoute::Nat(id) | DefaultRoute::Elsewhere(id) => {
                Some(DefaultRoute::Elsewhere(id))
            }
            DefaultRoute::Nowhere => None,
        }
    };
    let leads_to = |route: &Element| {
        let (list, endpoint) = (route.text("destinationPrefixListId")?, route.text("gatewayId")?);
        Some((list.to_owned(), endpoint.to_owned()))
    };
    Some(RouteTable {
        id: item.text("routeTableId")?.to_owned(),
        is_main: associations.iter().any(|association| association.is("main")),
        subnets: associations.iter().filter_map(|it| it.text("subnetId")).map(str::to_owned).collect(),
        default_route: default.or_else(other).unwrap_or(DefaultRoute::Nowhere),
        prefix_lists: item.items("routeSet").filter_map(leads_to).collect(),
    })
}

/// By which member of a route its target stands (EC2 API reference, `Route`).
fn default_route(route: &Element) -> DefaultRoute {
    if route.text("state") == Some("blackhole") {
        return DefaultRoute::Nowhere;
    }
    let first = |names: &[&str]| names.iter().find_map(|name| route.text(name)).map(str::to_owned);
    let gateway = first(&["gatewayId", "egressOnlyInternetGatewayId"]);
    match gateway {
        Some(id) if id.starts_with("igw-") || id.starts_with("eigw-") => return DefaultRoute::InternetGateway(id),
        Some(id) => return DefaultRoute::Elsewhere(id),
        None => {}
    }
    if let Some(id) = first(&["natGatewayId", "instanceId", "networkInterfaceId"]) {
        return DefaultRoute::Nat(id);
    }
    let elsewhere =
        ["transitGatewayId", "vpcPeeringConnectionId", "localGatewayId", "carrierGatewayId", "coreNetworkArn"];
    DefaultRoute::Elsewhere(first(&elsewhere).unwrap_or_else(|| "a target that EC2 does not name".to_owned()))
}

/// Whether the service's own name leads to an endpoint only for those outside who ask through an inbound endpoint of Route 53
/// Resolver; what comes out of the VPC takes the gateway endpoint then (API reference, `DnsOptions`).
fn is_for_inbound_only(item: &Element) -> bool {
    item.child("dnsOptions").is_some_and(|options| options.is("privateDnsOnlyForInboundResolverEndpoint"))
}

fn endpoint(item: &Element) -> Option<EndpointSeen> {
    let reached = match item.text("vpcEndpointType")? {
        kind if kind.eq_ignore_ascii_case("Interface") => Reached::Interface {
            private_dns: item.is("privateDnsEnabled") && !is_for_inbound_only(item),
            groups: item.items("groupSet").filter_map(|group| group.text("groupId")).map(str::to_owned).collect(),
        },
        kind if kind.eq_ignore_ascii_case("Gateway") => {
            Reached::Gateway { route_tables: item.items("routeTableIdSet").map(|id| id.content().to_owned()).collect() }
        }
        // Those for load balancers and lattices lead to none of the services that are asked for.
        _ => return None,
    };
    Some(EndpointSeen {
        id: item.text("vpcEndpointId")?.to_owned(),
        service: item.text("serviceName")?.to_owned(),
        policy: item.text("policyDocument").map(str::to_owned),
        reached,
    })
}

fn group(item: &Element) -> Option<SecurityGroup> {
    let rules = |list: &str| item.items(list).flat_map(rules).collect();
    Some(SecurityGroup {
        id: item.text("groupId")?.to_owned(),
        ingress: rules("ipPermissions"),
        egress: rules("ipPermissionsEgress"),
    })
}

/// A permission has several other sides; each makes a rule.
fn rules(permission: &Element) -> Vec<Rule> {
    let protocol = permission.text("ipProtocol").filter(|protocol| *protocol != "-1").map(str::to_owned);
    let port = |name: &str| permission.text(name).and_then(|port| port.parse::<u16>().ok());
    let ports = port("fromPort").zip(port("toPort"));
    let peers = |list: &'static str, member: &'static str, peer: fn(String) -> Peer| {
        permission.items(list).filter_map(move |it| it.text(member)).map(move |text| peer(text.to_owned()))
    };
    peers("groups", "groupId", Peer::Group)
        .chain(peers("ipRanges", "cidrIp", Peer::Cidr))
        .chain(peers("ipv6Ranges", "cidrIpv6", Peer::Cidr))
        .chain(peers("prefixListIds", "prefixListId", Peer::PrefixList))
        .map(|peer| Rule { protocol: protocol.clone(), ports, peer })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads_to(routes: &str) -> DefaultRoute {
        let table = format!(
            "<X><item><routeTableId>rtb-1</routeTableId><routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock>\
             <gatewayId>local</gatewayId></item>{routes}</routeSet></item></X>"
        );
        let root = Element::parse(&table, "X").expect("it can be read");
        route_table(root.child("item").expect("it is there")).expect("it has an id").default_route
    }

    #[test]
    fn a_default_that_does_not_lead_all_there_is_no_proof_of_none() {
        let route = |to: &str| format!("<item>{to}</item>");
        assert_eq!(leads_to(""), DefaultRoute::Nowhere);
        let all = "<destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId>";
        assert_eq!(leads_to(&route(all)), DefaultRoute::Nat("nat-1".to_owned()));
        let six = "<destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock><egressOnlyInternetGatewayId>eigw-1</egressOnlyInternetGatewayId>";
        assert_eq!(leads_to(&route(six)), DefaultRoute::Elsewhere("eigw-1".to_owned()));
        let half = "<destinationCidrBlock>0.0.0.0/1</destinationCidrBlock><transitGatewayId>tgw-1</transitGatewayId>";
        assert_eq!(leads_to(&route(half)), DefaultRoute::Elsewhere("tgw-1".to_owned()));
        assert_eq!(leads_to(&[route(all), route(six)].concat()), DefaultRoute::Nat("nat-1".to_owned()));
    }
}
