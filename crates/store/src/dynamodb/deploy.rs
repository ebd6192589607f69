//! Deploys and the numbers of their versions.

use layer0_domain::model::deploy::{Deploy, DeployImage};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::DeployId;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::{NewDeploy, StoreError, Summary};
use serde::{Deserialize, Serialize};

use super::action::{ABSENT, Action, PRESENT};
use super::body::{self, Body};
use super::fault::Fault;
use super::item::{Item, Key, from_json, parsed, to_json};
use super::table::{Query, Range, Step, Table};
use super::{owned, tag};

/// What lists show of all deploys, by name and version.
const ALL: &str = "deploy";

/// The last version given to each name.
const LAST: &str = "deploy_name";

/// All of one deploy.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: Name,
    owner: Option<OwnerName>,
    version: u32,
    images: Vec<DeployImage>,
    document: serde_json::Value,
    created: Timestamp,
}

fn partition(id: &DeployId) -> String {
    format!("{ALL}#{id}")
}

/// In the order of lists: by name, then by version as a number. `#` sorts before all that a name may hold.
fn summary_key(name: &str, version: u32) -> Key {
    Key::new(ALL, format!("{name}#{version:010}"))
}

/// The place of the summary of a deploy; `None` for an id that no deploy can have.
fn summary_key_of(id: &DeployId) -> Option<Key> {
    let (name, version) = id.as_str().rsplit_once('.')?;
    let name = Name::parse(name).ok()?;
    let version: u32 = version.parse().ok()?;
    (Deploy::id_of(&name, version) == *id).then(|| summary_key(name.as_str(), version))
}

impl Table {
    pub(super) async fn deploy_create_step(&self, new: &NewDeploy) -> Result<Step<Deploy>, StoreError> {
        let last_key = Key::new(LAST, new.name.as_str());
        let mut keys = vec![last_key.clone()];
        keys.extend(new.owner.as_ref().map(owned::owner_key));
        let seen = self.get_many(&keys).await?;
        if let Some(owner) = &new.owner
            && !owned::is_there(seen.get(&owned::owner_key(owner)))
        {
            return Err(owned::missing(owner));
        }
        let last: Option<u32> = seen.get(&last_key).map(|item| item.number("last")).transpose()?;
        if let Some(newest) = self.newest(&new.name).await?
            && newest.owner != new.owner
        {
            let name = new.name.to_string();
            return Err(StoreError::NameTaken { kind: EntityKind::Deploy, name, by: newest.entity });
        }
        let version = last.unwrap_or(0).checked_add(1).ok_or(Fault::Unstorable { what: "deploy version" })?;
        let id = Deploy::id_of(&new.name, version);
        let stored = Stored {
            name: new.name.clone(),
            owner: new.owner.clone(),
            version,
            images: new.images.clone(),
            document: new.document.canonical().clone(),
            created: new.created,
        };
        let text = to_json("deploy", &stored)?;
        let body = Body::of(&text);
        let counted = Action::put(Item::at(&last_key).with_number("last", version));
        let summary = summary_item(new, &id, version, body.parts());
        let mut actions = vec![
            match last {
                Some(last) => counted.only_if("#last = :last").with_number(":last", last),
                None => counted.only_if(ABSENT),
            },
            Action::put(summary).only_if(ABSENT),
        ];
        actions.extend(body.write(&partition(&id), 1, 0));
        if let Some(owner) = &new.owner {
            actions.extend(owned::give(owner, ALL, id.as_str()));
        }
        Ok(Step::Write(actions, stored.deploy(id, new.document.clone())))
    }

    /// What lists show of the newest version of a name.
    async fn newest(&self, name: &Name) -> Result<Option<Summary>, Fault> {
        let range = Range::Begin(format!("{name}#"));
        let found = self.query(Query::of(ALL).within(range).descending().most(1)).await?;
        found.first().map(summary).transpose()
    }

    pub(super) async fn deploy_owner(&self, name: &Name) -> Result<Option<Option<OwnerName>>, Fault> {
        Ok(self.newest(name).await?.map(|newest| newest.owner))
    }

    pub(super) async fn deploy(&self, id: &DeployId) -> Result<Option<Deploy>, Fault> {
        let Some(text) = self.body(&partition(id)).await? else { return Ok(None) };
        let mut stored: Stored = from_json("deploy", &text)?;
        let document = parsed("deploy document", Document::from_canonical(stored.document.take()))?;
        Ok(Some(stored.deploy(id.clone(), document)))
    }

    pub(super) async fn deploy_delete_step(&self, id: &DeployId) -> Result<Step<()>, StoreError> {
        let entity = EntityRef::Deploy(id.clone());
        let missing = || StoreError::Missing { entity: entity.clone() };
        let key = summary_key_of(id).ok_or_else(missing)?;
        let item = self.get(&key).await?.ok_or_else(missing)?;
        let mut actions =
            vec![Action::delete(key).only_if(PRESENT), Action::delete(tag::key(id.as_str(), entity.kind().as_str()))];
        actions.extend(body::delete(&partition(id), 0, item.number("parts")?));
        if let Some(owner) = owned::owner_of(&item)? {
            actions.push(Action::delete(owned::thing_key(&owner, ALL, id.as_str())));
        }
        Ok(Step::Write(actions, ()))
    }

    pub(super) async fn deploy_summaries(&self) -> Result<Vec<Summary>, Fault> {
        self.query(Query::of(ALL)).await?.iter().map(summary).collect()
    }
}

impl Stored {
    fn deploy(self, id: DeployId, document: Document) -> Deploy {
        let Self { name, owner, version, images, created, .. } = self;
        Deploy { id, name, owner, version, document, images, created }
    }
}

fn summary_item(new: &NewDeploy, id: &DeployId, version: u32, parts: usize) -> Item {
    let compatibilities = new.document.compatibilities();
    let words: Vec<&str> = compatibilities.iter().map(|one| one.as_str()).collect();
    Item::at(&summary_key(new.name.as_str(), version))
        .with_text("id", id.as_str())
        .with_text("name", new.name.as_str())
        .with_number("version", version)
        .with_text("label", words.join(","))
        .with_text_if("owner", new.owner.as_ref().map(OwnerName::as_str))
        .with_number("parts", parts)
}

fn summary(item: &Item) -> Result<Summary, Fault> {
    Ok(Summary {
        entity: EntityRef::Deploy(parsed("deploy id", DeployId::parse(item.text("id")?))?),
        name: item.text("name")?.to_owned(),
        environment: None,
        version: item.number("version")?,
        owner: owned::owner_of(item)?,
        label: item.text("label")?.to_owned(),
    })
}
