//! The describe operations.

use serde_json::{Value, json};

use super::super::network::{Endpoint, Peer, RouteTable, SecurityRule, Subnet};
use super::super::wire::{AwsError, Input};
use super::super::world::{World, page_start, page_token};
use super::{Group, filters, tags_value};

/// The ids that a request names all have to be there.
fn check_ids<'a>(asked: &[&str], has: impl Fn(&str) -> bool + 'a, code: &str, kind: &str) -> Result<(), AwsError> {
    match asked.iter().find(|id| !has(id)) {
        None => Ok(()),
        Some(id) => Err(AwsError::new(code, format!("The {kind} ID '{id}' does not exist"))),
    }
}

/// A page of what a request asks for.
fn paged(world: &World, input: &Value, list: &str, shown: Vec<Value>) -> Result<Value, AwsError> {
    let start: usize = page_start(input, "NextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let end = start.saturating_add(world.config.ec2_page);
    let mut answer = json!({});
    if shown.len() > end {
        answer["nextToken"] = page_token(&end.to_string());
    }
    answer[list] = shown.into_iter().skip(start).take(world.config.ec2_page).collect();
    Ok(answer)
}

fn one(text: &str) -> Option<Vec<String>> {
    Some(vec![text.to_owned()])
}

pub(super) fn vpcs(world: &World, input: &Value) -> Result<Value, AwsError> {
    let asked = input.texts("VpcId");
    let vpcs = &world.ec2.network.vpcs;
    check_ids(&asked, |id| vpcs.iter().any(|(vpc, _)| vpc == id), "InvalidVpcID.NotFound", "vpc")?;
    let mut shown = Vec::new();
    for (id, cidr) in vpcs.iter().filter(|(id, _)| asked.is_empty() || asked.contains(&id.as_str())) {
        let field = |name: &str| match name {
            "vpc-id" => one(id),
            "cidr" | "cidr-block" => one(cidr),
            "state" => one("available"),
            "is-default" | "isDefault" => one("false"),
            _ => None,
        };
        if filters::passes(input, &field)? {
            shown.push(json!({
                "vpcId": id, "cidrBlock": cidr, "state": "available", "isDefault": false, "ownerId": world.config.account,
            }));
        }
    }
    paged(world, input, "vpcSet", shown)
}

pub(super) fn subnets(world: &World, input: &Value) -> Result<Value, AwsError> {
    let asked = input.texts("SubnetId");
    check_ids(&asked, |id| world.ec2.has_subnet(id), "InvalidSubnetID.NotFound", "subnet")?;
    let mut shown = Vec::new();
    for subnet in world.ec2.network.subnets.iter().filter(|s| asked.is_empty() || asked.contains(&s.id.as_str())) {
        let field = |name: &str| match name {
            "subnet-id" => one(&subnet.id),
            "vpc-id" => one(&subnet.vpc),
            "availability-zone" => one(&subnet.zone),
            "cidr-block" => one(&subnet.cidr),
            "map-public-ip-on-launch" => one(&subnet.public_ip.to_string()),
            "state" => one("available"),
            _ => None,
        };
        if filters::passes(input, &field)? {
            shown.push(subnet_value(world, subnet));
        }
    }
    paged(world, input, "subnetSet", shown)
}

fn subnet_value(world: &World, subnet: &Subnet) -> Value {
    json!({
        "subnetId": subnet.id,
        "vpcId": subnet.vpc,
        "cidrBlock": subnet.cidr,
        "availabilityZone": subnet.zone,
        "availableIpAddressCount": 251,
        "mapPublicIpOnLaunch": subnet.public_ip,
        "state": "available",
        "defaultForAz": false,
        "ownerId": world.config.account,
    })
}

pub(super) fn route_tables(world: &World, input: &Value) -> Result<Value, AwsError> {
    let asked = input.texts("RouteTableId");
    let tables = &world.ec2.network.route_tables;
    let has = |id: &str| tables.iter().any(|table| table.id == id);
    check_ids(&asked, has, "InvalidRouteTableID.NotFound", "routeTable")?;
    let mut shown = Vec::new();
    for table in tables.iter().filter(|table| asked.is_empty() || asked.contains(&table.id.as_str())) {
        let field = |name: &str| match name {
            "route-table-id" | "association.route-table-id" => one(&table.id),
            "vpc-id" => one(&table.vpc),
            "association.subnet-id" => Some(table.subnets.clone()),
            "association.main" => Some(if table.main { vec!["true".to_owned()] } else { vec!["false".to_owned()] }),
            _ => None,
        };
        if filters::passes(input, &field)? {
            shown.push(route_table(world, table));
        }
    }
    paged(world, input, "routeTableSet", shown)
}

fn route_table(world: &World, table: &RouteTable) -> Value {
    let association = |subnet: Option<&String>, main: bool| {
        json!({
            "routeTableAssociationId": format!("rtbassoc-{}-{}", table.id, subnet.map_or("main", String::as_str)),
            "routeTableId": table.id,
            "subnetId": subnet,
            "main": main,
            "associationState": {"state": "associated"},
        })
    };
    let mut associations: Vec<Value> = table.subnets.iter().map(|subnet| association(Some(subnet), false)).collect();
    if table.main {
        associations.push(association(None, true));
    }
    let cidr = world.ec2.network.vpcs.iter().find(|(id, _)| *id == table.vpc).map(|(_, cidr)| cidr.as_str());
    let mut routes = vec![json!({
        "destinationCidrBlock": cidr, "gatewayId": "local", "state": "active", "origin": "CreateRouteTable",
    })];
    for (destination, target) in &table.routes {
        let key = match target.split('-').next() {
            Some("nat") => "natGatewayId",
            Some("tgw") => "transitGatewayId",
            Some("eni") => "networkInterfaceId",
            Some("pcx") => "vpcPeeringConnectionId",
            _ => "gatewayId",
        };
        let to = if destination.starts_with("pl-") { "destinationPrefixListId" } else { "destinationCidrBlock" };
        routes.push(json!({to: destination, key: target, "state": "active", "origin": "CreateRoute"}));
    }
    json!({
        "routeTableId": table.id,
        "vpcId": table.vpc,
        "ownerId": world.config.account,
        "associationSet": associations,
        "routeSet": routes,
    })
}

pub(super) fn endpoints(world: &World, input: &Value) -> Result<Value, AwsError> {
    let asked = input.texts("VpcEndpointId");
    let endpoints = &world.ec2.network.endpoints;
    let has = |id: &str| endpoints.iter().any(|endpoint| endpoint.id == id);
    check_ids(&asked, has, "InvalidVpcEndpointId.NotFound", "Vpc Endpoint")?;
    let mut shown = Vec::new();
    for endpoint in endpoints.iter().filter(|e| asked.is_empty() || asked.contains(&e.id.as_str())) {
        let field = |name: &str| match name {
            "vpc-endpoint-id" => one(&endpoint.id),
            "vpc-id" => one(&endpoint.vpc),
            "service-name" => one(&endpoint.service),
            "vpc-endpoint-type" => one(endpoint_type(endpoint)),
            "vpc-endpoint-state" => one("available"),
            _ => None,
        };
        if filters::passes(input, &field)? {
            shown.push(json!({
                "vpcEndpointId": endpoint.id,
                "vpcEndpointType": endpoint_type(endpoint),
                "vpcId": endpoint.vpc,
                "serviceName": endpoint.service,
                "state": "available",
                "subnetIdSet": endpoint.subnets,
                "routeTableIdSet": endpoint.route_tables,
                "groupSet": endpoint.security_groups.iter().map(|id| json!({"groupId": id})).collect::<Vec<_>>(),
                "privateDnsEnabled": endpoint.private_dns,
                "dnsOptions": {
                    "dnsRecordIpType": "ipv4",
                    "privateDnsOnlyForInboundResolverEndpoint": endpoint.inbound_only,
                },
                "policyDocument": endpoint.policy.as_deref().unwrap_or(FULL_ACCESS),
                "ownerId": world.config.account,
            }));
        }
    }
    paged(world, input, "vpcEndpointSet", shown)
}

/// The policy of an endpoint that was given none (PrivateLink guide, "Default endpoint policy").
const FULL_ACCESS: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}"#;

/// An endpoint with route tables is a gateway.
fn endpoint_type(endpoint: &Endpoint) -> &'static str {
    if endpoint.route_tables.is_empty() { "Interface" } else { "Gateway" }
}

pub(super) fn security_groups(world: &World, input: &Value) -> Result<Value, AwsError> {
    let asked = input.texts("GroupId");
    let visible = |id: &str| world.ec2.groups.get(id).is_some_and(|group| group.visible_ms <= world.now_ms);
    if let Some(id) = asked.iter().find(|id| !visible(id)) {
        return Err(AwsError::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")));
    }
    let mut shown = Vec::new();
    for (id, group) in &world.ec2.groups {
        if !visible(id) || !(asked.is_empty() || asked.contains(&id.as_str())) {
            continue;
        }
        let field = |name: &str| match name {
            "group-id" => one(id),
            "group-name" => one(&group.group.name),
            "vpc-id" => one(&group.group.vpc),
            "description" => one(&group.description),
            "tag-key" => Some(group.tags.keys().cloned().collect()),
            _ => name.strip_prefix("tag:").map(|key| group.tags.get(key).cloned().into_iter().collect()),
        };
        if filters::passes(input, &field)? {
            shown.push(group_value(world, id, group));
        }
    }
    paged(world, input, "securityGroupInfo", shown)
}

fn group_value(world: &World, id: &str, group: &Group) -> Value {
    let rules = |egress: bool| {
        let rules = group.group.rules.iter().filter(move |rule| rule.egress == egress);
        rules.map(|rule| permission(world, rule)).collect::<Vec<_>>()
    };
    json!({
        "groupId": id,
        "groupName": group.group.name,
        "groupDescription": group.description,
        "vpcId": group.group.vpc,
        "ownerId": world.config.account,
        "ipPermissions": rules(false),
        "ipPermissionsEgress": rules(true),
        "tagSet": tags_value(&group.tags),
    })
}

fn permission(world: &World, rule: &SecurityRule) -> Value {
    let mut value =
        json!({"ipProtocol": rule.protocol, "groups": [], "ipRanges": [], "ipv6Ranges": [], "prefixListIds": []});
    if let Some((first, last)) = rule.ports {
        value["fromPort"] = json!(first);
        value["toPort"] = json!(last);
    }
    let description = &rule.description;
    match &rule.peer {
        Peer::Group(id) => {
            value["groups"] = json!([{"groupId": id, "userId": world.config.account, "description": description}]);
        }
        Peer::Cidr(cidr) if cidr.contains(':') => {
            value["ipv6Ranges"] = json!([{"cidrIpv6": cidr, "description": description}]);
        }
        Peer::PrefixList(id) => {
            value["prefixListIds"] = json!([{"prefixListId": id, "description": description}]);
        }
        Peer::Cidr(cidr) => value["ipRanges"] = json!([{"cidrIp": cidr, "description": description}]),
    }
    value
}
