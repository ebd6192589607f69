//! Users and owners on their way out.
//!
//! A user may have more tokens and places than one transaction takes. So a delete is one transaction that marks the user
//! as gone and notes it, which is when it happens: from then on nobody signs in with what the user had, and no list shows
//! it. What the user had is then taken away in pieces, and the user and the note with the last of them. When the server dies
//! in between, the note stays: readers pass over what belongs to whom it names, and the next delete of the name, the next
//! one who makes it, or the next start of a server goes on. Owners likewise.

use std::collections::HashSet;

use layer0_domain::model::access::Subject;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;

use super::action::Action;
use super::fault::Fault;
use super::item::{Item, Key, parsed};
use super::table::{Query, Step, Table};
use super::{member, owned, token, trust, user};

const NOTES: &str = "gone";

/// Marks a user or an owner as gone.
pub(super) const LEAVE: &str = "SET #gone = :true";

/// That a user or an owner is still the one that is marked as gone.
const GONE: &str = "#gone = :true";

/// How many things are taken away at once: each is three items at most, of the 100 in a transaction.
const PIECE: u32 = 30;

/// Who leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Leaving {
    User(Name),
    Owner(OwnerName),
}

impl Leaving {
    fn key(&self) -> Key {
        match self {
            Leaving::User(name) => user::key(name),
            Leaving::Owner(name) => owned::owner_key(name),
        }
    }

    fn partition(&self) -> String {
        match self {
            Leaving::User(name) => user::partition(name),
            Leaving::Owner(name) => owned::partition(name),
        }
    }

    fn note_key(&self) -> Key {
        let Key { partition, sort } = self.key();
        Key::new(NOTES, format!("{partition}#{sort}"))
    }
}

/// The action that notes who leaves.
pub(super) fn note(leaving: &Leaving) -> Action {
    Action::put(Item::at(&leaving.note_key()))
}

/// Who is noted.
pub(super) struct Gone(HashSet<Leaving>);

impl Gone {
    pub(super) fn has_owner(&self, owner: &OwnerName) -> bool {
        self.0.contains(&Leaving::Owner(owner.clone()))
    }

    pub(super) fn has_user(&self, user: &Name) -> bool {
        self.0.contains(&Leaving::User(user.clone()))
    }

    pub(super) fn has(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(user) => self.has_user(user),
            Subject::Owner(owner) => self.has_owner(owner),
        }
    }
}

impl Table {
    /// Who is on the way out now. Almost always nobody.
    pub(super) async fn gone(&self) -> Result<Gone, Fault> {
        let mut gone = HashSet::new();
        for item in self.query(Query::of(NOTES)).await? {
            let (kind, name) = item.text("s")?.split_once('#').ok_or(Fault::Unreadable { what: "note" })?;
            gone.insert(match kind {
                user::ALL => Leaving::User(parsed("note", Name::parse(name))?),
                owned::OWNERS => Leaving::Owner(parsed("note", OwnerName::parse(name))?),
                _ => return Err(Fault::Unreadable { what: "note" }),
            });
        }
        Ok(Gone(gone))
    }

    /// Takes away what those had who are on their way out, and them.
    pub(super) async fn gone_finish_all(&self) -> Result<(), Fault> {
        for leaving in self.gone().await?.0 {
            self.gone_finish(&leaving).await?;
        }
        Ok(())
    }

    /// Takes away what somebody had who is marked as gone, and the mark. Changes nothing for anybody else. May be called by
    /// many at once.
    pub(super) async fn gone_finish(&self, leaving: &Leaving) -> Result<(), Fault> {
        while !self.unit(|| self.gone_step(leaving)).await? {}
        Ok(())
    }

    /// One piece; answers whether that was all.
    async fn gone_step(&self, leaving: &Leaving) -> Result<Step<bool>, Fault> {
        match self.get(&leaving.key()).await? {
            Some(item) if item.has("gone") => {}
            _ => return Ok(Step::Answer(true)),
        }
        let things = self.query(Query::of(leaving.partition()).most(PIECE)).await?;
        if things.is_empty() {
            let last = Action::delete(leaving.key()).only_if(GONE).with_flag(":true", true);
            return Ok(Step::Write(vec![last, Action::delete(leaving.note_key())], true));
        }
        // While this holds nobody has made the name anew, so nothing that is new is taken away.
        let mut actions = vec![Action::check(leaving.key(), GONE).with_flag(":true", true)];
        for thing in &things {
            if token::is_of_subject(thing) {
                actions.extend(token::keys(&token::read(thing)?).map(Action::delete));
            } else if member::is_one(thing) {
                actions.extend(member::keys(&member::read(thing)?).map(Action::delete));
            } else if trust::is_one(thing) {
                actions.extend(trust::keys(thing)?.map(Action::delete));
            } else {
                actions.push(Action::delete(thing.key()?));
            }
        }
        Ok(Step::Write(actions, false))
    }
}
