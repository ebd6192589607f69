//! Log groups, roles, instance profiles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::super::iam::{self, Role};
use super::super::super::logs;
use super::super::super::wire::Input;
use super::super::super::world::World;
use super::{Change, Made, Place};

pub(super) fn log_group_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "LogGroupName", 512);
    if !logs::group_ensure(world, &name) {
        return Err(format!("Resource of type 'AWS::Logs::LogGroup' with identifier '{name}' already exists."));
    }
    log_group_update(world, &name, properties);
    if let Some(group) = world.logs.groups.get_mut(&name) {
        group.tags = json!(place.tags(properties));
    }
    let arn = world.arn("logs", &format!("log-group:{name}:*"));
    Ok((name, json!({"Arn": arn})))
}

pub(super) fn log_group_update(world: &mut World, name: &str, properties: &Value) -> Change {
    if let Some(group) = world.logs.groups.get_mut(name) {
        group.retention_days = properties.number("RetentionInDays");
    }
    Change::InPlace(None)
}

fn role(properties: &Value) -> Result<Role, String> {
    let trust = properties.member("AssumeRolePolicyDocument").cloned();
    let inline = properties
        .list("Policies")
        .iter()
        .filter_map(|policy| Some((policy.text("PolicyName")?.to_owned(), policy.member("PolicyDocument")?.clone())));
    Ok(Role {
        trust: trust.ok_or("Properties validation failed: required key [AssumeRolePolicyDocument] not found")?,
        inline: inline.collect::<BTreeMap<_, _>>(),
        attached: properties.texts("ManagedPolicyArns").into_iter().map(str::to_owned).collect(),
        boundary: properties.text("PermissionsBoundary").map(str::to_owned),
    })
}

pub(super) fn role_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "RoleName", 64);
    if world.iam.roles.contains_key(&name) {
        return Err(format!("Role with name {name} already exists."));
    }
    let role = role(properties)?;
    world.iam.roles.insert(name.clone(), role);
    let attributes = json!({"Arn": iam::role_arn(world, &name), "RoleId": "AROAFAKE"});
    Ok((name, attributes))
}

pub(super) fn role_update(world: &mut World, name: &str, properties: &Value) -> Change {
    if let Ok(role) = role(properties) {
        world.iam.roles.insert(name.to_owned(), role);
    }
    Change::InPlace(None)
}

pub(super) fn role_delete(world: &mut World, name: &str) -> Result<(), String> {
    if world.iam.profiles.values().any(|roles| roles.iter().any(|role| role == name)) {
        return Err("Cannot delete entity, must remove roles from instance profile first.".to_owned());
    }
    world.iam.roles.remove(name);
    Ok(())
}

pub(super) fn profile_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "InstanceProfileName", 128);
    let roles: Vec<String> = properties.texts("Roles").into_iter().map(str::to_owned).collect();
    if let Some(role) = roles.iter().find(|role| !world.iam.roles.contains_key(*role)) {
        return Err(format!("The role with name {role} cannot be found."));
    }
    if world.iam.profiles.contains_key(&name) {
        return Err(format!("Instance Profile {name} already exists."));
    }
    world.iam.profiles.insert(name.clone(), roles);
    let arn = format!("arn:aws:iam::{}:instance-profile/{name}", world.config.account);
    Ok((name, json!({"Arn": arn})))
}
