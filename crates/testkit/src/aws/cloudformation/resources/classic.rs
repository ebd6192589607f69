//! Classic load balancers.

use serde_json::{Value, json};

use super::super::super::elb::Classic;
use super::super::super::wire::Input;
use super::super::super::world::World;
use super::{Change, Made, Place};

/// The longest name.
const NAME_LIMIT: usize = 32;

fn check(properties: &Value) -> Result<(), String> {
    if properties.list("Listeners").is_empty() {
        return Err("Properties validation failed: required key [Listeners] not found".to_owned());
    }
    Ok(())
}

pub(super) fn create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "LoadBalancerName", NAME_LIMIT);
    check(properties)?;
    if world.classic.contains_key(&name) {
        return Err(format!("{name} already exists"));
    }
    let dns = format!("{name}-{}.{}.elb.amazonaws.com", world.digits(9), world.config.region);
    let made = Classic::new(properties.clone(), world.visible_ms());
    world.classic.insert(name.clone(), made);
    Ok((name, json!({"DNSName": dns})))
}

/// Listeners, health check, attributes and groups change without interruption (CloudFormation, "Update requires").
pub(super) fn update(world: &mut World, name: &str, properties: &Value) -> Result<Change, String> {
    check(properties)?;
    let balancer =
        world.classic.get_mut(name).ok_or_else(|| format!("There is no ACTIVE Load Balancer named '{name}'"))?;
    balancer.settings = properties.clone();
    Ok(Change::InPlace(None))
}
