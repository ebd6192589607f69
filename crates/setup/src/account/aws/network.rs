//! EC2, by its query protocol (EC2 API reference, "Making requests"): zones, VPCs, and how subnets reach what is outside.

use layer0_aws::signed::at_once;
use layer0_aws::xml::Element;
use layer0_aws::{AwsError, query};

use super::AwsAccount;
use super::json::there;
use crate::account::{SubnetSeen, Vpc, Way};
use crate::instance::Cidr;

/// The version of the API.
const VERSION: &str = "2016-11-15";

impl AwsAccount {
    /// Makes a call once for each page; `read` takes what is wanted out of each item of a list.
    pub(super) async fn ec2<T>(
        &self,
        op: &'static str,
        asked: &[(&str, &str)],
        list: &str,
        read: impl Fn(&Element) -> Option<T>,
    ) -> Result<Vec<T>, AwsError> {
        let place = self.place("ec2", "EC2");
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let next = token.as_deref().map(|token| ("NextToken", token));
            let question = query::question(op, VERSION, asked.iter().copied().chain(next));
            let answer = self.sender.ask(&place, &question, query::ec2_refusal, &at_once).await?;
            let root = Element::parse(&answer, &format!("{}Response", query::action(op)))
                .ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
            found.extend(root.items(list).filter_map(&read));
            match root.text("nextToken") {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    pub(super) async fn zones_available(&self) -> Result<Vec<String>, AwsError> {
        let asked = [("Filter.1.Name", "zone-type"), ("Filter.1.Value.1", "availability-zone")];
        let mut zones = self
            .ec2("ec2:DescribeAvailabilityZones", &asked, "availabilityZoneInfo", |zone| {
                let is_zone = zone.text("zoneType").is_none_or(|kind| kind == "availability-zone");
                let is_there = zone.text("zoneState") == Some("available");
                zone.text("zoneName").filter(|_| is_zone && is_there).map(str::to_owned)
            })
            .await?;
        zones.sort();
        Ok(zones)
    }

    pub(super) async fn vpcs_bare(&self) -> Result<Vec<Vpc>, AwsError> {
        let mut vpcs = self.ec2("ec2:DescribeVpcs", &[], "vpcSet", bare).await?;
        vpcs.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(vpcs)
    }

    pub(super) async fn vpc_whole(&self, id: &str) -> Result<Option<Vpc>, AwsError> {
        let found = match there(self.ec2("ec2:DescribeVpcs", &[("VpcId.1", id)], "vpcSet", bare).await) {
            // What can't be an id is none of a VPC.
            Err(error) if error.code == "InvalidVpcID.Malformed" => return Ok(None),
            found => found?.and_then(|vpcs| vpcs.into_iter().next()),
        };
        let Some(mut vpc) = found else { return Ok(None) };
        let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", id)];
        let tables =
            self.ec2("ec2:DescribeRouteTables", &of_vpc, "routeTableSet", |table| Some(table_of(table))).await?;
        vpc.subnets = self.ec2("ec2:DescribeSubnets", &of_vpc, "subnetSet", |it| subnet(it, &tables)).await?;
        vpc.subnets.sort_by(|one, other| (&one.zone, &one.id).cmp(&(&other.zone, &other.id)));
        let prefix = format!("com.amazonaws.{}.", self.connection.region);
        vpc.endpoints = self
            .ec2("ec2:DescribeVpcEndpoints", &of_vpc, "vpcEndpointSet", |endpoint| {
                let is_there = endpoint.text("state").is_some_and(|state| state.eq_ignore_ascii_case("available"));
                let service = endpoint.text("serviceName")?;
                // In China names begin with the country.
                let service = service.strip_prefix("cn.").unwrap_or(service);
                service.strip_prefix(&prefix).filter(|_| is_there).map(str::to_owned)
            })
            .await?;
        vpc.endpoints.sort();
        Ok(Some(vpc))
    }
}

/// The value of a tag.
fn tag<'a>(item: &'a Element, key: &str) -> Option<&'a str> {
    item.items("tagSet").find(|tag| tag.text("key") == Some(key)).and_then(|tag| tag.text("value"))
}

fn bare(vpc: &Element) -> Option<Vpc> {
    let associated = vpc.items("cidrBlockAssociationSet").filter(|block| {
        block.child("cidrBlockState").and_then(|state| state.text("state")).is_none_or(|state| state == "associated")
    });
    let mut cidrs: Vec<Cidr> = Vec::new();
    let blocks = vpc.text("cidrBlock").into_iter().chain(associated.filter_map(|block| block.text("cidrBlock")));
    for cidr in blocks.filter_map(|text| Cidr::parse(text).ok()) {
        if !cidrs.contains(&cidr) {
            cidrs.push(cidr);
        }
    }
    Some(Vpc {
        id: vpc.text("vpcId")?.to_owned(),
        name: tag(vpc, "Name").unwrap_or_default().to_owned(),
        cidrs,
        subnets: Vec::new(),
        endpoints: Vec::new(),
    })
}

/// A route table.
struct Table {
    is_main: bool,
    subnets: Vec<String>,
    way: Way,
}

fn table_of(table: &Element) -> Table {
    let associations: Vec<&Element> = table.items("associationSet").collect();
    let default = table.items("routeSet").find(|route| route.text("destinationCidrBlock") == Some("0.0.0.0/0"));
    Table {
        is_main: associations.iter().any(|association| association.is("main")),
        subnets: associations.iter().filter_map(|it| it.text("subnetId").map(str::to_owned)).collect(),
        way: default.map_or(Way::None, way),
    }
}

fn way(route: &Element) -> Way {
    // One whose target is gone leads nowhere.
    if route.text("state") == Some("blackhole") {
        return Way::None;
    }
    match route.text("gatewayId") {
        Some(gateway) if gateway.starts_with("igw-") => return Way::Internet,
        Some(_) => return Way::Other,
        None => {}
    }
    let is = |name: &str| route.text(name).is_some();
    if is("natGatewayId") || is("instanceId") { Way::Nat } else { Way::Other }
}

fn subnet(subnet: &Element, tables: &[Table]) -> Option<SubnetSeen> {
    let id = subnet.text("subnetId")?;
    let own = tables.iter().find(|table| table.subnets.iter().any(|it| it == id));
    let table = own.or_else(|| tables.iter().find(|table| table.is_main));
    Some(SubnetSeen {
        id: id.to_owned(),
        name: tag(subnet, "Name").unwrap_or_default().to_owned(),
        zone: subnet.text("availabilityZone").unwrap_or_default().to_owned(),
        // One of IPv6 alone has no block that anything of ours could stand in.
        cidr: Cidr::parse(subnet.text("cidrBlock")?).ok()?,
        free: subnet.text("availableIpAddressCount").and_then(|count| count.parse().ok()).unwrap_or_default(),
        way: table.map_or(Way::None, |table| table.way),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_says_how_a_subnet_reaches_what_is_outside() {
        for (route, expected) in [
            ("<gatewayId>igw-1</gatewayId><state>active</state>", Way::Internet),
            ("<natGatewayId>nat-1</natGatewayId><state>active</state>", Way::Nat),
            ("<natGatewayId>nat-1</natGatewayId><state>blackhole</state>", Way::None),
            ("<instanceId>i-1</instanceId><networkInterfaceId>eni-1</networkInterfaceId>", Way::Nat),
            ("<transitGatewayId>tgw-1</transitGatewayId>", Way::Other),
            ("<gatewayId>vgw-1</gatewayId>", Way::Other),
        ] {
            let text = format!(
                "<t><associationSet><item><main>true</main></item></associationSet><routeSet><item>\
                 <destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item>\
                 <item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock>{route}</item></routeSet></t>"
            );
            let table = table_of(&Element::parse(&text, "t").expect("it is whole"));
            assert!(table.is_main && table.way == expected, "{route}: {:?}", table.way);
        }
    }

    #[test]
    fn a_subnet_without_a_table_of_its_own_has_the_main_one() {
        let table = |is_main, subnets: &[&str], way| Table {
            is_main,
            subnets: subnets.iter().map(|id| (*id).to_owned()).collect(),
            way,
        };
        let tables = [table(true, &[], Way::None), table(false, &["subnet-1"], Way::Internet)];
        let seen = |id: &str| {
            let text = format!(
                "<s><subnetId>{id}</subnetId><cidrBlock>10.0.0.0/24</cidrBlock><availabilityZone>a</availabilityZone>\
                 <availableIpAddressCount>250</availableIpAddressCount>\
                 <tagSet><item><key>Name</key><value>x</value></item></tagSet></s>"
            );
            subnet(&Element::parse(&text, "s").expect("it is whole"), &tables).expect("a subnet")
        };
        assert_eq!((seen("subnet-1").way, seen("subnet-2").way), (Way::Internet, Way::None));
        assert_eq!((seen("subnet-1").free, seen("subnet-1").name.as_str()), (250, "x"));
    }
}
