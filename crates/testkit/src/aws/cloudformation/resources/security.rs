//! Security groups and their rules.

use serde_json::{Value, json};

use super::super::super::ec2::{Group, group_user};
use super::super::super::network::{Peer, SecurityGroup, SecurityRule};
use super::super::super::wire::Input;
use super::super::super::world::World;
use super::{Change, Made, Place, required};

/// A rule out of the members of a group or of a rule of its own.
fn rule(properties: &Value, egress: bool) -> Result<SecurityRule, String> {
    let group_key = if egress { "DestinationSecurityGroupId" } else { "SourceSecurityGroupId" };
    let prefix_key = if egress { "DestinationPrefixListId" } else { "SourcePrefixListId" };
    let cidr =
        properties.text("CidrIp").or_else(|| properties.text("CidrIpv6")).or_else(|| properties.text(prefix_key));
    let peer = match (cidr, properties.text(group_key)) {
        (Some(cidr), None) => Peer::Cidr(cidr.to_owned()),
        (None, Some(group)) => Peer::Group(group.to_owned()),
        _ => return Err(format!("Exactly one of CidrIp, CidrIpv6, {group_key}, {prefix_key} must be specified")),
    };
    let protocol = match properties.member("IpProtocol") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => return Err("Properties validation failed: required key [IpProtocol] not found".to_owned()),
    };
    let ports = if protocol == "-1" { None } else { properties.number("FromPort").zip(properties.number("ToPort")) };
    if matches!(protocol.as_str(), "tcp" | "udp" | "6" | "17") && ports.is_none() {
        return Err("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.".to_owned());
    }
    if let Peer::Cidr(cidr) = &peer
        && !cidr.starts_with("pl-")
        && !is_cidr(cidr)
    {
        return Err(format!(
            "CIDR block {cidr} is malformed (Service: AmazonEC2; Status Code: 400; Error Code: InvalidParameterValue)"
        ));
    }
    Ok(SecurityRule { egress, protocol, ports, peer, description: properties.text("Description").map(str::to_owned) })
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    match (address.parse::<std::net::IpAddr>(), length.parse::<u8>()) {
        (Ok(std::net::IpAddr::V4(_)), Ok(length)) => length <= 32,
        (Ok(std::net::IpAddr::V6(_)), Ok(length)) => length <= 128,
        _ => false,
    }
}

/// The rules in a group's own properties. Without rules for what goes out, everything may.
fn rules(properties: &Value) -> Result<Vec<SecurityRule>, String> {
    let mut rules = Vec::new();
    for entry in properties.list("SecurityGroupIngress") {
        rules.push(rule(entry, false)?);
    }
    if properties.list("SecurityGroupEgress").is_empty() {
        rules.push(SecurityRule::all_out());
    }
    for entry in properties.list("SecurityGroupEgress") {
        rules.push(rule(entry, true)?);
    }
    Ok(rules)
}

fn check_peers(world: &World, rules: &[SecurityRule]) -> Result<(), String> {
    let unknown = rules.iter().find_map(|rule| match &rule.peer {
        Peer::Group(id) if !world.ec2.has_group(id) => Some(id),
        _ => None,
    });
    match unknown {
        Some(id) => Err(no_group(id)),
        None => Ok(()),
    }
}

fn no_group(id: &str) -> String {
    format!(
        "The security group '{id}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: InvalidGroup.NotFound)"
    )
}

pub(super) fn create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let description = required(properties, "GroupDescription")?.to_owned();
    let vpc = match properties.text("VpcId") {
        Some(vpc) => vpc.to_owned(),
        None => world.ec2.network.vpcs.first().map(|(id, _)| id.clone()).ok_or("there is no default VPC")?,
    };
    if !world.ec2.network.vpcs.iter().any(|(id, _)| *id == vpc) {
        return Err(format!(
            "The vpc ID '{vpc}' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: InvalidVpcID.NotFound)"
        ));
    }
    let name = place.named(world, properties, "GroupName", 255);
    let same = |group: &&Group| group.group.name == name && group.group.vpc == vpc;
    if world.ec2.groups.values().find(same).is_some() {
        return Err(format!(
            "The security group '{name}' already exists for VPC '{vpc}' (Service: AmazonEC2; Status Code: 400; Error Code: \
             InvalidGroup.Duplicate)"
        ));
    }
    let rules = rules(properties)?;
    check_peers(world, &rules)?;
    let id = format!("sg-{}", world.hex(17));
    let group = Group {
        group: SecurityGroup { id: id.clone(), name, vpc: vpc.clone(), rules },
        description,
        tags: place.tags(properties),
        visible_ms: world.visible_ms(),
    };
    world.ec2.groups.insert(id.clone(), group);
    Ok((id.clone(), json!({"GroupId": id, "VpcId": vpc})))
}

pub(super) fn update(
    world: &mut World,
    place: &Place,
    id: &str,
    before: &Value,
    after: &Value,
) -> Result<Change, String> {
    let (old, new) = (rules(before)?, rules(after)?);
    check_peers(world, &new)?;
    let tags = place.tags(after);
    let group = world.ec2.groups.get_mut(id).ok_or_else(|| no_group(id))?;
    // Rules that stand in resources of their own stay.
    group.group.rules.retain(|rule| !old.contains(rule));
    group.group.rules.extend(new);
    group.tags = tags;
    Ok(Change::InPlace(None))
}

pub(super) fn delete(world: &mut World, id: &str) -> Result<(), String> {
    if !world.ec2.has_group(id) {
        return Ok(());
    }
    if group_user(world, id).is_some() {
        return Err(format!(
            "resource {id} has a dependent object (Service: AmazonEC2; Status Code: 400; Error Code: DependencyViolation)"
        ));
    }
    world.ec2.groups.remove(id);
    Ok(())
}

pub(super) fn rule_create(world: &mut World, properties: &Value, egress: bool) -> Made {
    let id = required(properties, "GroupId")?;
    let rule = rule(properties, egress)?;
    check_peers(world, std::slice::from_ref(&rule))?;
    let group = world.ec2.groups.get_mut(id).ok_or_else(|| no_group(id))?;
    let same = |known: &SecurityRule| {
        SecurityRule { description: None, ..known.clone() } == SecurityRule { description: None, ..rule.clone() }
    };
    if group.group.rules.iter().any(same) {
        return Err(
            "the specified rule already exists (Service: AmazonEC2; Status Code: 400; Error Code: InvalidPermission.Duplicate)"
                .to_owned(),
        );
    }
    group.group.rules.push(rule);
    let id = format!("sgr-{}", world.hex(17));
    Ok((id.clone(), json!({"Id": id})))
}

/// Takes a rule away; with its group it is gone already.
pub(super) fn rule_delete(world: &mut World, properties: &Value, egress: bool) -> Result<(), String> {
    let id = required(properties, "GroupId")?;
    let rule = rule(properties, egress)?;
    if let Some(group) = world.ec2.groups.get_mut(id) {
        group.group.rules.retain(|known| *known != rule);
    }
    Ok(())
}
