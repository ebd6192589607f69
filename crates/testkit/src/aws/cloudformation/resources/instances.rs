//! Launch templates, auto scaling groups, capacity providers: numbers and names, not machines.

use serde_json::{Value, json};

use super::super::super::wire::Input;
use super::super::super::world::World;
use super::clusters::instances_count;
use super::{Change, Made, Place};

pub(super) fn template_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "LaunchTemplateName", 125);
    if world.ec2.launch_templates.values().any(|known| *known == name) {
        return Err(format!(
            "Launch template name already in use. (Service: Ec2, Error Code: InvalidLaunchTemplateName.AlreadyExistsException): {name}"
        ));
    }
    let id = format!("lt-{}", world.hex(17));
    world.ec2.launch_templates.insert(id.clone(), name);
    let attributes = json!({"LaunchTemplateId": id, "LatestVersionNumber": "1", "DefaultVersionNumber": "1"});
    Ok((id, attributes))
}

/// Each change is a new version.
pub(super) fn template_update(world: &mut World, id: &str) -> Change {
    let version = 2 + world.random.next() % 1000;
    let attributes =
        json!({"LaunchTemplateId": id, "LatestVersionNumber": version.to_string(), "DefaultVersionNumber": "1"});
    Change::InPlace(Some(attributes))
}

fn desired(properties: &Value) -> Result<u64, String> {
    let number = |key: &str| properties.number(key).and_then(|number| u64::try_from(number).ok());
    let (least, most) = match (number("MinSize"), number("MaxSize")) {
        (Some(least), Some(most)) => (least, most),
        _ => return Err("Properties validation failed: required key [MinSize, MaxSize] not found".to_owned()),
    };
    let desired = number("DesiredCapacity").unwrap_or(least);
    if desired < least || desired > most {
        return Err(format!(
            "Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        ));
    }
    Ok(desired)
}

pub(super) fn group_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "AutoScalingGroupName", 255);
    if world.ec2.scaling_groups.contains_key(&name) {
        return Err(format!("AutoScalingGroup by this name already exists: {name}"));
    }
    let desired = desired(properties)?;
    world.ec2.scaling_groups.insert(name.clone(), desired);
    instances_count(world);
    let id = world.uuid();
    let arn = world.arn("autoscaling", &format!("autoScalingGroup:{id}:autoScalingGroupName/{name}"));
    Ok((name, json!({"AutoScalingGroupARN": arn})))
}

pub(super) fn group_update(world: &mut World, name: &str, properties: &Value) -> Result<Change, String> {
    let desired = desired(properties)?;
    world.ec2.scaling_groups.insert(name.to_owned(), desired);
    instances_count(world);
    Ok(Change::InPlace(None))
}

/// The auto scaling group of a capacity provider, and whether ECS scales it.
fn scaled(world: &World, properties: &Value) -> Result<(String, bool), String> {
    let provider = properties.member("AutoScalingGroupProvider").unwrap_or(&Value::Null);
    let group = super::required(provider, "AutoScalingGroupArn")?;
    let name = group.split("autoScalingGroupName/").last().unwrap_or(group);
    if !world.ec2.scaling_groups.contains_key(name) {
        return Err(format!("The specified Auto Scaling group ARN is not valid: {group}"));
    }
    let managed = provider.member("ManagedScaling").is_some_and(|scaling| scaling.text("Status") == Some("ENABLED"));
    Ok((name.to_owned(), managed))
}

pub(super) fn provider_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "Name", 255);
    if world.ec2.providers.contains_key(&name) {
        return Err(format!("The specified capacity provider already exists: {name}"));
    }
    if ["aws", "ecs", "fargate"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
        return Err("The capacity provider name is not valid: it must not begin with aws, ecs or fargate.".to_owned());
    }
    let scaled = scaled(world, properties)?;
    world.ec2.providers.insert(name.clone(), scaled);
    instances_count(world);
    Ok((name, json!({})))
}

pub(super) fn provider_update(world: &mut World, name: &str, properties: &Value) -> Result<Change, String> {
    let scaled = scaled(world, properties)?;
    world.ec2.providers.insert(name.to_owned(), scaled);
    instances_count(world);
    Ok(Change::InPlace(None))
}

pub(super) fn provider_delete(world: &mut World, name: &str) -> Result<(), String> {
    let user = world.ecs.clusters.values().find(|cluster| cluster.providers.iter().any(|provider| provider == name));
    if let Some(cluster) = user {
        return Err(format!(
            "The specified capacity provider is in use by cluster {} and cannot be removed.",
            cluster.name
        ));
    }
    world.ec2.providers.remove(name);
    Ok(())
}
