//! What an owner's repositories hold, and may hold. Each blob counts once for the owner, every manifest counts; the number stands
//! in the owner's item and is changed in the unit of work that changes what it sums up.

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::{OwnerName, TagRule};
use layer0_domain::port::registry_store::{RegistryStoreError, Room};

use crate::dynamodb::action::Action;
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, from_json};
use crate::dynamodb::owned::owner_key;
use crate::dynamodb::table::Table;

/// That an owner's quota and rules are those that were read.
const UNCHANGED: &str = "#changes = :changes";

/// The same, and that so much still fits.
const FITS: &str = "#changes = :changes AND (attribute_not_exists(#used) OR #used <= :room)";

/// What is to be known of an owner for a decision about its images.
pub(super) struct Owner {
    name: OwnerName,
    pub(super) rules: Vec<TagRule>,
    quota: Option<u64>,
    used: u64,
    changes: u64,
}

impl Owner {
    pub(super) fn read(name: OwnerName, item: Option<&Item>) -> Result<Self, Fault> {
        // There is none without a repository's owner: it is made with the repository, and stays while there is one.
        let item = item.ok_or(Fault::Unreadable { what: "owner" })?;
        Ok(Self {
            name,
            rules: item.text_if("rules")?.map_or(Ok(Vec::new()), |text| from_json("tag rules", text))?,
            quota: item.number_if("quota")?,
            used: used(item)?,
            changes: item.number("changes")?,
        })
    }

    fn room(&self) -> Option<Room> {
        self.quota.map(|quota| Room { quota, used: self.used })
    }

    /// Whether any rule is about tags of this repository.
    pub(super) fn has_rules_about(&self, repository: &RepositoryName) -> bool {
        self.rules.iter().any(|rule| rule.repositories.matches(repository.name()))
    }

    /// The rule by which a tag stays as it is.
    pub(super) fn keeps(&self, repository: &RepositoryName, tag: &str) -> Option<RegistryStoreError> {
        let rule = self.rules.iter().find(|rule| rule.holds(repository.name(), tag))?;
        Some(RegistryStoreError::TagImmutable {
            repository: repository.clone(),
            tag: tag.to_owned(),
            rule: Box::new(rule.clone()),
        })
    }

    /// The action that counts `bytes` in and `gone` out, under the condition that quota and rules are still those.
    pub(super) fn count(&self, bytes: u64, gone: u64) -> Result<Action, RegistryStoreError> {
        let change = i128::from(bytes) - i128::from(gone);
        if let (Some(quota), true) = (self.quota, change > 0) {
            let used = self.used.saturating_sub(gone);
            if used.saturating_add(bytes) > quota {
                return Err(RegistryStoreError::QuotaExceeded { owner: self.name.clone(), quota, used, bytes });
            }
            let fits = Action::update(owner_key(&self.name), "ADD #used :bytes").only_if(FITS);
            let fits = fits.with_number(":room", i128::from(quota) - change).with_number(":bytes", change);
            return Ok(fits.with_number(":changes", self.changes));
        }
        let action = match change {
            0 => Action::check(owner_key(&self.name), UNCHANGED),
            _ => Action::update(owner_key(&self.name), "ADD #used :bytes")
                .only_if(UNCHANGED)
                .with_number(":bytes", change),
        };
        Ok(action.with_number(":changes", self.changes))
    }
}

/// The action that counts bytes out, whatever became of the owner's quota and rules.
pub(super) fn take(owner: &OwnerName, bytes: u64) -> Action {
    let action = Action::update(owner_key(owner), "ADD #used :bytes").only_if("attribute_exists(#p)");
    action.with_number(":bytes", -i128::from(bytes))
}

/// The bytes in an owner's item.
pub(in crate::dynamodb) fn used(item: &Item) -> Result<u64, Fault> {
    // A number below nothing would be a mistake of ours; nobody is to be refused a push for it.
    Ok(item.number_if::<i128>("used")?.map_or(0, |used| u64::try_from(used).unwrap_or(0)))
}

impl Table {
    pub(super) async fn registry_owner(&self, name: &RepositoryName) -> Result<Owner, Fault> {
        let owner = name.owner_name();
        let item = self.get(&owner_key(&owner)).await?;
        Owner::read(owner, item.as_ref())
    }

    pub(super) async fn owner_room(&self, name: &RepositoryName) -> Result<Option<Room>, Fault> {
        let owner = name.owner_name();
        match self.get(&owner_key(&owner)).await? {
            Some(item) => Ok(Owner::read(owner, Some(&item))?.room()),
            None => Ok(None),
        }
    }
}
