//! What stands in the account.

use std::collections::BTreeMap;

use layer0_domain::model::grant::AccountId;
use layer0_domain::model::time::Timestamp;
use serde_json::Value;

use super::fault::Faults;
use super::kinds;
use super::template::{Blueprint, Names, Part};

/// Everything but the stacks.
pub(super) struct World {
    pub(super) account: AccountId,
    pub(super) region: String,
    pub(super) zones: Vec<String>,
    pub(super) things: Vec<Thing>,
    pub(super) faults: Faults,
    pub(super) now: Timestamp,
    next: u64,
}

/// One thing.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) kind: String,
    /// What `Ref` gives.
    pub(super) physical: String,
    /// Its name; empty without one.
    pub(super) name: String,
    pub(super) properties: Value,
    pub(super) tags: BTreeMap<String, String>,
    /// The id of its stack.
    pub(super) owner: Option<String>,
    /// What is secret about it.
    pub(super) text: String,
    /// Of a service that was deleted: after how many looks its last task has ended.
    pub(super) drains: Option<u32>,
}

/// When the world begins: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// How much later each thing happens than the one before.
const TICK_MS: i64 = 1_000;

impl World {
    pub(super) fn new(account: AccountId, region: &str) -> Self {
        let zones = ["a", "b", "c"].map(|letter| format!("{region}{letter}")).to_vec();
        let (things, faults) = (Vec::new(), Faults::default());
        Self { account, region: region.to_owned(), zones, things, faults, now: BEGINNING, next: 0 }
    }

    /// A number that was not given before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The next moment.
    pub(super) fn moment(&mut self) -> Timestamp {
        self.now = self.now.plus_ms(TICK_MS);
        self.now
    }

    pub(super) fn thing(&self, kind: &str, name: &str) -> Option<&Thing> {
        self.things.iter().find(|thing| thing.kind == kind && thing.name == name)
    }

    /// The services that were deleted come nearer to their end. Answers whether one has not come to it.
    pub(super) fn drain(&mut self) -> bool {
        for left in self.things.iter_mut().filter_map(|thing| thing.drains.as_mut()) {
            *left = left.saturating_sub(1);
        }
        self.things.retain(|thing| thing.drains != Some(0));
        self.things.iter().any(|thing| thing.drains.is_some())
    }

    pub(super) fn by_physical(&mut self, kind: &str, physical: &str) -> Option<&mut Thing> {
        self.things.iter_mut().find(|thing| thing.kind == kind && thing.physical == physical)
    }

    /// Makes a thing, unless its name is taken. Answers what it is called.
    pub(super) fn make(
        &mut self,
        kind: &str,
        properties: Value,
        tags: &BTreeMap<String, String>,
        owner: Option<&str>,
    ) -> Result<String, String> {
        let name = name_of(kind, &properties);
        if !name.is_empty() && self.thing(kind, &name).is_some() {
            return Err(format!("Resource of type '{kind}' with identifier '{name}' already exists."));
        }
        let number = self.number();
        let physical = kinds::physical(kind, &name, number, (&self.region, self.account.as_str()));
        let text =
            if properties["GenerateSecretString"].is_null() { String::new() } else { format!("secret-{number}") };
        self.things.push(Thing {
            kind: kind.to_owned(),
            physical: physical.clone(),
            name,
            properties,
            tags: tags.clone(),
            owner: owner.map(str::to_owned),
            text,
            drains: None,
        });
        Ok(physical)
    }

    /// Whether a part of a template that is kept stands outside of all stacks.
    pub(super) fn is_left(&self, part: &Part) -> bool {
        let name = kinds::name_property(&part.kind).and_then(|name| part.properties.get(name)?.as_str());
        let left = name.and_then(|name| self.thing(&part.kind, name)).filter(|thing| thing.owner.is_none());
        left.is_some() && part.keep != super::template::Keep::Never
    }
}

/// The name in resolved properties.
pub(super) fn name_of(kind: &str, properties: &Value) -> String {
    kinds::name_property(kind).and_then(|name| properties[name].as_str()).unwrap_or_default().to_owned()
}

/// What the names in a stack's template stand for.
pub(super) struct InStack<'a> {
    pub(super) world: &'a World,
    pub(super) stack: (&'a str, &'a str),
    pub(super) blueprint: &'a Blueprint,
    pub(super) physical: &'a BTreeMap<String, String>,
}

impl Names for InStack<'_> {
    fn reference(&self, name: &str) -> String {
        match name {
            "AWS::Region" => self.world.region.clone(),
            "AWS::AccountId" => self.world.account.to_string(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackName" => self.stack.0.to_owned(),
            "AWS::StackId" => self.stack.1.to_owned(),
            _ => self.physical.get(name).cloned().unwrap_or_default(),
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> String {
        let physical = self.reference(name);
        let kind = self.blueprint.parts.get(name).map(|part| part.kind.as_str()).unwrap_or_default();
        let (region, account) = (&self.world.region, &self.world.account);
        match attribute {
            "Arn" if physical.starts_with("arn:") => physical,
            "Arn" if kind.starts_with("AWS::IAM::") => format!("arn:aws:iam::{account}:role/{physical}"),
            "Arn" => {
                let service = kind.split("::").nth(1).unwrap_or_default().to_ascii_lowercase();
                format!("arn:aws:{service}:{region}:{account}:{physical}")
            }
            "DNSName" => {
                let name = physical.rsplit('/').next().unwrap_or_default();
                format!("{name}-1.{region}.elb.amazonaws.com")
            }
            // The zone of load balancers in us-east-1.
            "CanonicalHostedZoneID" => "Z35SXDOTRQ7X7K".to_owned(),
            _ => physical,
        }
    }

    fn zones(&self) -> Vec<String> {
        self.world.zones.clone()
    }
}
