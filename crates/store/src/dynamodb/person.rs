//! People whom a provider signs in: an item for each that names the user who was made for them. It stays after that user's end; whether
//! the user is still the one says the user's own item.

use layer0_domain::model::name::Name;
use layer0_domain::model::person::{PersonId, Subject};
use layer0_domain::model::trust::Issuer;
use layer0_domain::port::access_store::{AccessStoreError, FoundPerson};

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, parsed};
use super::table::Table;

/// What an error calls a person.
const WHAT: &str = "person";

/// Where people are.
const ALL: &str = "person";

/// That the item names the user that was read.
const UNCHANGED: &str = "#user = :user";

/// The place of a person. No issuer has a space in its name.
fn key(id: &PersonId) -> Key {
    Key::new(ALL, format!("{} {}", id.issuer, id.subject))
}

/// Reads a person.
pub(super) fn id(what: &'static str, issuer: &str, subject: &str) -> Result<PersonId, Fault> {
    let (issuer, subject) = (parsed(what, Issuer::parse(issuer))?, parsed(what, Subject::parse(subject))?);
    Ok(PersonId { issuer, subject })
}

impl Table {
    pub(super) async fn person(&self, id: &PersonId) -> Result<Option<FoundPerson>, Fault> {
        let Some(item) = self.get(&key(id)).await? else { return Ok(None) };
        let name = parsed("person user", Name::parse(item.text("user")?))?;
        let access = self.user(&name).await?.filter(|it| it.user.person.as_ref().is_some_and(|it| it.id == *id));
        Ok(Some(FoundPerson { name, access }))
    }

    /// The action that links a user, who is written together with it, with a person.
    pub(super) async fn person_link(&self, id: &PersonId, name: &Name) -> Result<Action, AccessStoreError> {
        let found = self.person(id).await?;
        let put = Action::put(Item::at(&key(id)).with_text("user", name.as_str()));
        match found {
            None => Ok(put.only_if(ABSENT)),
            Some(FoundPerson { access: Some(_), .. }) => {
                Err(AccessStoreError::Exists { what: WHAT, name: id.to_string() })
            }
            Some(former) => Ok(put.only_if(UNCHANGED).with_text(":user", former.name.as_str())),
        }
    }
}
