//! What is in the account for an instance.

use super::plans::refused;
use super::world::Thing;
use super::{State, run};
use crate::account::{AccountError, Kind, Remain, TAG, Trouble};

pub(super) const REPOSITORY: &str = "AWS::ECR::Repository";
pub(super) const SECRET: &str = "AWS::SecretsManager::Secret";
pub(super) const PARAMETER: &str = "AWS::SSM::Parameter";
const BUCKET: &str = "AWS::S3::Bucket";
const TABLE: &str = "AWS::DynamoDB::Table";
const LOG: &str = "AWS::Logs::LogGroup";
const SERVICE: &str = "AWS::ECS::Service";

impl State {
    pub(super) fn remains(&self, instance: &str) -> Vec<Remain> {
        let is_ours = |thing: &&Thing| thing.tags.get(TAG).is_some_and(|value| value == instance);
        let things = self.world.things.iter().filter(is_ours);
        let mut remains: Vec<Remain> = things.filter_map(|thing| remain(instance, thing)).collect();
        let stacks = self.stacks.iter().filter(|stack| !stack.is_gone());
        let ours = stacks.filter(|stack| stack.made.tags.get(TAG).is_some_and(|value| value == instance));
        remains.extend(ours.map(|stack| Remain { kind: Kind::Stack, name: stack.name.clone() }));
        remains.extend(self.of_servers.iter().filter(|(of, _)| of == instance).map(|(_, remain)| remain.clone()));
        remains.sort();
        remains
    }

    pub(super) fn remove(&mut self, remain: &Remain) -> Result<(), AccountError> {
        if self.is_made_again(remain) {
            return Ok(());
        }
        self.of_servers.retain(|(_, other)| other != remain);
        match remain.kind {
            Kind::Servers => {
                let servers = self.world.things.iter_mut().filter(|thing| thing.kind == SERVICE);
                for thing in servers.filter(|thing| named(thing) == remain.name) {
                    thing.drains.get_or_insert(self.drain);
                }
                return Ok(());
            }
            Kind::Stack => return self.delete("cloudformation:DeleteStack", &remain.name, &[]),
            Kind::Other => {
                return refused("tag:GetResources", Trouble::Refused, format!("what {} is, is not known", remain.name));
            }
            _ => {}
        }
        if matches!(remain.kind, Kind::Repository | Kind::ServerRepository) {
            self.images.retain(|(repository, _), _| *repository != remain.name);
        }
        let is_it = |thing: &Thing| kind(thing, remain.kind) && named(thing) == remain.name;
        self.world.things.retain(|thing| !is_it(thing));
        Ok(())
    }

    /// Whether servers live that keep a thing alive.
    fn is_made_again(&self, remain: &Remain) -> bool {
        let is_kept = matches!(remain.kind, Kind::Service | Kind::BalancerStack | Kind::EnvironmentStack);
        let mut of = self.of_servers.iter().filter(|(_, other)| other == remain).map(|(instance, _)| instance);
        is_kept
            && of.any(|instance| {
                let mut servers = self.world.things.iter().filter(|thing| thing.kind == SERVICE);
                servers.any(|thing| thing.tags.get(TAG) == Some(instance))
            })
    }

    pub(super) fn delete(&mut self, action: &'static str, name: &str, keep: &[String]) -> Result<(), AccountError> {
        let Some((stack, world)) = self.find(name).filter(|(stack, _)| !stack.is_gone()) else { return Ok(()) };
        if stack.status == "DELETE_IN_PROGRESS" {
            return Ok(());
        }
        if !keep.is_empty() && stack.status != "DELETE_FAILED" {
            let words = format!(
                "ValidationError: Invalid operation on stack [{}]. Stack is not in DELETE_FAILED state.",
                stack.id
            );
            return refused(action, Trouble::Refused, words);
        }
        if stack.status.starts_with("UPDATE_") && stack.is_moving() {
            let words =
                format!("ValidationError: Stack [{}] cannot be deleted while in status {}", stack.id, stack.status);
            return refused(action, Trouble::Busy, words);
        }
        run::delete(stack, world, keep);
        Ok(())
    }
}

/// What a thing with the tag of an instance is to whoever cleans up. What goes with its stack is none, but for the service, which
/// makes again what is taken away.
fn remain(instance: &str, thing: &Thing) -> Option<Remain> {
    let kind = match thing.kind.as_str() {
        SERVICE => Kind::Servers,
        TABLE => Kind::Table,
        BUCKET => Kind::Bucket,
        REPOSITORY if thing.name == format!("l0-{instance}-server") => Kind::ServerRepository,
        REPOSITORY => Kind::Repository,
        _ if thing.owner.is_some() => return None,
        SECRET => Kind::Secret,
        PARAMETER => Kind::Parameter,
        LOG => Kind::LogGroup,
        _ => Kind::Other,
    };
    Some(Remain { kind, name: named(thing) })
}

/// What a thing is called among what remains.
fn named(thing: &Thing) -> String {
    match thing.kind.as_str() {
        SERVICE => format!("{}/{}", thing.properties["Cluster"].as_str().unwrap_or_default(), thing.name),
        SECRET => thing.physical.clone(),
        _ if thing.name.is_empty() => thing.physical.clone(),
        _ => thing.name.clone(),
    }
}

fn kind(thing: &Thing, kind: Kind) -> bool {
    match kind {
        Kind::LogGroup => thing.kind == LOG,
        Kind::Secret => thing.kind == SECRET,
        Kind::Parameter => thing.kind == PARAMETER,
        Kind::ServerRepository | Kind::Repository => thing.kind == REPOSITORY,
        Kind::Bucket => thing.kind == BUCKET,
        Kind::Table => thing.kind == TABLE,
        _ => false,
    }
}
