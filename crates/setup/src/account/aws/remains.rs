//! What is in the account for an instance: each service is asked for what has the instance's names, and what bears no tag of the
//! instance's is not its own. Names alone would not do: what an instance `a` calls its own may be called as if it were of an instance
//! `a-b`.

use std::collections::BTreeSet;

use layer0_aws::AwsError;
use serde_json::{Value, json};

use super::json::{Pages, text, texts, there};
use super::{AwsAccount, last};
use crate::account::{AccountError, Kind, Remain, Stack, TAG};

/// The labels that servers put on what they make: which instance made it, for which entity, and of which kind that is.
pub(super) const INSTANCE: &str = "layer0.instance";
const ENTITY: &str = "layer0.entity";
const KIND: &str = "layer0.kind";

/// The statuses of task definitions that something can be done about.
const STATUSES: [&str; 2] = ["ACTIVE", "INACTIVE"];

/// The names of an instance.
pub(super) struct Names<'a> {
    pub(super) instance: &'a str,
    /// Its stack, its table, and what its repositories begin with.
    pub(super) stack: String,
}

impl<'a> Names<'a> {
    pub(super) fn new(instance: &'a str) -> Self {
        Self { instance, stack: format!("l0-{instance}") }
    }

    /// The repository of the servers' image.
    pub(super) fn server(&self) -> String {
        format!("{}-server", self.stack)
    }

    /// Whether something of this name with these tags is the instance's: by setup's tag, or made by its servers for the entity that is
    /// in the name.
    pub(super) fn is_ours(&self, name: &str, tag: impl Fn(&str) -> Option<String>) -> bool {
        if let Some(setup) = tag(TAG) {
            return setup == self.instance;
        }
        let of_entity = |entity: String| {
            let rest = name.strip_prefix(&self.stack)?.strip_prefix('-')?.strip_prefix(&entity)?;
            (!entity.is_empty() && (rest.is_empty() || rest.starts_with('_'))).then_some(())
        };
        tag(INSTANCE).is_some() && tag(ENTITY).and_then(of_entity).is_some()
    }
}

/// What was found so far.
pub(super) struct Found<'a> {
    pub(super) names: Names<'a>,
    /// What stacks of the instance are made of: it goes with them.
    pub(super) parts: BTreeSet<String>,
    pub(super) remains: BTreeSet<Remain>,
}

impl Found<'_> {
    pub(super) fn add(&mut self, kind: Kind, name: impl Into<String>) {
        self.remains.insert(Remain { kind, name: name.into() });
    }
}

impl AwsAccount {
    pub(super) async fn remains_all(&self, instance: &str) -> Result<Vec<Remain>, AccountError> {
        let names = Names::new(instance);
        let mut found = Found { names, parts: BTreeSet::new(), remains: BTreeSet::new() };
        let clusters = self.stacks_of(&mut found).await?;
        for cluster in clusters {
            self.cluster_of(&mut found, &cluster).await?;
        }
        self.definitions_of(&mut found).await?;
        self.log_groups_of(&mut found).await?;
        self.keeps_of(&mut found).await?;
        self.repositories_of(&mut found).await?;
        self.table_of(&mut found).await?;
        self.buckets_of(&mut found).await?;
        self.roles_of(&mut found).await?;
        self.others_of(&mut found).await?;
        Ok(found.remains.into_iter().collect())
    }

    /// The stacks; answers the clusters in them.
    async fn stacks_of(&self, found: &mut Found<'_>) -> Result<Vec<String>, AccountError> {
        let mut clusters = Vec::new();
        for stack in self.stacks_all().await? {
            if !found.names.is_ours(&stack.name, |key| stack.tags.get(key).cloned()) {
                continue;
            }
            found.add(kind_of(&stack), &stack.name);
            for (kind, physical) in self.stack_parts(&stack.id).await? {
                if kind == "AWS::ECS::Cluster" {
                    clusters.push(physical.clone());
                }
                found.parts.insert(physical);
            }
        }
        Ok(clusters)
    }

    /// The task definitions: those of the past too, as ECS never forgets one by itself. What is being deleted is none, as nobody can do
    /// more about it.
    async fn definitions_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let mut families = BTreeSet::new();
        for status in STATUSES {
            let asked = json!({ "familyPrefix": found.names.stack, "status": status });
            let listed =
                self.pages("ecs:ListTaskDefinitionFamilies", &asked, &Pages::of("families", "nextToken")).await?;
            families.extend(texts(&listed));
        }
        for family in families {
            let mut revisions = Vec::new();
            for status in STATUSES {
                let asked = json!({ "familyPrefix": family, "status": status });
                let pages = Pages::of("taskDefinitionArns", "nextToken");
                revisions.extend(texts(&self.pages("ecs:ListTaskDefinitions", &asked, &pages).await?));
            }
            // A family's name is what the names of others may begin with.
            revisions.retain(|arn| last(arn).rsplit_once(':').is_some_and(|(name, _)| name == family));
            let Some(newest) = revisions.first() else { continue };
            let asked = json!({ "taskDefinition": newest, "include": ["TAGS"] });
            let Some(answer) = self.definition(&asked).await? else { continue };
            if found.names.is_ours(&family, |key| tag(&answer["tags"], ("key", "value"), key)) {
                let alone = revisions.iter().filter(|arn| !found.parts.contains(*arn));
                for definition in alone.map(|arn| last(arn).to_owned()).collect::<Vec<_>>() {
                    found.add(Kind::TaskDefinition, definition);
                }
            }
        }
        Ok(())
    }

    async fn log_groups_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let asked = json!({ "logGroupNamePrefix": found.names.stack });
        let groups = self.pages("logs:DescribeLogGroups", &asked, &Pages::of("logGroups", "nextToken")).await?;
        for group in groups {
            let name = text(&group, "logGroupName");
            if found.parts.contains(name) {
                continue;
            }
            // The ARN of a group as it is asked for has no `:*` behind it.
            let arn = text(&group, "arn").trim_end_matches(":*");
            let tags = there(self.ask("logs:ListTagsForResource", &json!({ "resourceArn": arn })).await)?;
            let tags = tags.unwrap_or_default();
            let has = |key: &str| tags["tags"][key].as_str().map(str::to_owned);
            // Without any tag it was made by an agent, for servers whose group was gone.
            if found.names.is_ours(name, has) || (name == found.names.stack && has(TAG).is_none()) {
                found.add(Kind::LogGroup, name);
            }
        }
        Ok(())
    }

    /// Secrets and parameters: their names have the instance's between slashes, or before one, so that no other's can be meant.
    async fn keeps_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let prefix = format!("{}/", found.names.stack);
        let asked = json!({ "IncludePlannedDeletion": true, "Filters": [{ "Key": "name", "Values": [prefix] }] });
        for secret in self.pages("secretsmanager:ListSecrets", &asked, &Pages::of("SecretList", "NextToken")).await? {
            let (name, arn) = (text(&secret, "Name"), text(&secret, "ARN"));
            let is_ours =
                tag(&secret["Tags"], ("Key", "Value"), TAG).is_some_and(|value| value == found.names.instance);
            let goes_with_stack = found.parts.contains(arn) || found.parts.contains(name);
            if name.starts_with(&prefix) && is_ours && !goes_with_stack {
                found.add(Kind::Secret, arn);
            }
        }
        let asked = json!({ "Path": format!("/{}", found.names.stack), "Recursive": true });
        for parameter in self.pages("ssm:GetParametersByPath", &asked, &Pages::of("Parameters", "NextToken")).await? {
            let name = text(&parameter, "Name");
            if !found.parts.contains(name) {
                found.add(Kind::Parameter, name);
            }
        }
        Ok(())
    }

    async fn table_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let name = found.names.stack.clone();
        let described = there(self.ask("dynamodb:DescribeTable", &json!({ "TableName": name })).await)?;
        let Some(table) = described else { return Ok(()) };
        let asked = json!({ "ResourceArn": table["Table"]["TableArn"] });
        let is_ours = match there(self.ask("dynamodb:ListTagsOfResource", &asked).await)? {
            Some(tags) => tag(&tags["Tags"], ("Key", "Value"), TAG).is_some_and(|value| value == found.names.instance),
            // A table that goes may have lost them already ("ResourceNotFoundException": "its status might not be ACTIVE"). It is
            // in the way of the next one of its name until it is gone, and nothing is done to it.
            None => text(&table["Table"], "TableStatus") == "DELETING",
        };
        if is_ours || found.parts.contains(&name) {
            found.add(Kind::Table, name);
        }
        Ok(())
    }
}

/// What a stack of an instance is.
fn kind_of(stack: &Stack) -> Kind {
    match stack.tags.get(KIND).map(String::as_str) {
        Some("load_balancer") => Kind::BalancerStack,
        Some(_) => Kind::EnvironmentStack,
        None => Kind::Stack,
    }
}

/// The value of a tag in a list of pairs.
pub(super) fn tag(tags: &Value, (key, value): (&str, &str), wanted: &str) -> Option<String> {
    let mut tags = tags.as_array().into_iter().flatten();
    tags.find(|tag| tag[key] == wanted).map(|tag| text(tag, value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{account, canned};
    use super::*;

    /// What DescribeTable and ListTagsOfResource answer, and whether that is a table of the instance `prod`.
    #[tokio::test]
    async fn a_table_that_is_deleted_counts_until_it_is_gone() {
        let missing = || (400, json!({ "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException" }));
        let table = |status: &str| (200, json!({ "Table": { "TableArn": "arn", "TableStatus": status } }));
        let tagged = |value: &str| (200, json!({ "Tags": [{ "Key": TAG, "Value": value }] }));
        for (described, tags, is_ours) in [
            (table("ACTIVE"), tagged("prod"), true),
            (table("ACTIVE"), tagged("another"), false),
            (table("DELETING"), tagged("prod"), true),
            (table("DELETING"), missing(), true),
            (table("ACTIVE"), missing(), false),
            (missing(), missing(), false),
        ] {
            let told = format!("{described:?} {tags:?}");
            let endpoint = canned(move |call| match call {
                "DescribeTable" => described.clone(),
                "ListTagsOfResource" => tags.clone(),
                _ => (400, json!({ "__type": "UnknownOperationException" })),
            });
            let mut found = Found { names: Names::new("prod"), parts: BTreeSet::new(), remains: BTreeSet::new() };
            account(&endpoint.await).await.table_of(&mut found).await.expect("an answer");
            let remains: Vec<Remain> = found.remains.into_iter().collect();
            let expected = Remain { kind: Kind::Table, name: "l0-prod".to_owned() };
            assert_eq!(remains, if is_ours { vec![expected] } else { Vec::new() }, "{told}");
        }
    }

    #[test]
    fn what_is_called_alike_is_not_ours() {
        let names = Names::new("prod");
        let made = |instance: &'static str, entity: &'static str| {
            move |key: &str| match key {
                INSTANCE => Some(instance.to_owned()),
                ENTITY => Some(entity.to_owned()),
                _ => None,
            }
        };
        let set_up = |instance: &'static str| move |key: &str| (key == TAG).then(|| instance.to_owned());
        assert!(names.is_ours("l0-prod-web-0123456789", made("prod-0123456789", "web-0123456789")));
        assert!(names.is_ours("l0-prod-web-0123456789_app-0123456789", made("prod-0123456789", "web-0123456789")));
        assert!(names.is_ours("l0-prod", set_up("prod")));
        assert!(!names.is_ours("l0-prod-eu-web-0123456789", made("prodeu-0123456789", "web-0123456789")));
        assert!(!names.is_ours("l0-prod-web-0123456789x", made("prod-0123456789", "web-0123456789")));
        assert!(!names.is_ours("l0-prod-web-0123456789", made("prod-0123456789", "")));
        assert!(!names.is_ours("l0-prod-eu", set_up("prod-eu")));
        assert!(!names.is_ours("l0-prod-web-0123456789", |_| None));
    }
}
