//! What is to be swept: what an engine has of this instance and no entity needs.
//!
//! The rule stands on an order. An entity is in the store before the engine hears of it, and leaves the store after the
//! engine has let go of it; its id is never used again. So of what the engine has, and of what the store knows when it is
//! read *after* the engine, the difference can't be on its way in: it was deleted, or belongs to nothing at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::entity::{EntityKind, EntityRef};
use crate::port::thing::Thing;

/// An entity that is gone, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The entity that the store does not know.
    pub entity: EntityRef,
    /// What the engine has for it, by kind and name.
    pub things: Vec<Thing>,
}

/// What an engine has that no entity needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strays {
    /// What is to be taken away, in the order in which it can go: what runs, then what it stands behind, then what it
    /// stands in.
    pub of_nobody: Vec<Stray>,
    /// What bears the instance's label and names no entity. Nobody knows what it is for, so it is shown and left alone.
    pub unclear: Vec<Thing>,
}

/// How late an entity's things can go.
#[must_use]
pub fn turn(kind: EntityKind) -> u8 {
    match kind {
        EntityKind::Service | EntityKind::Task => 0,
        EntityKind::LoadBalancer => 1,
        EntityKind::Environment => 2,
        // An engine has nothing for a deploy.
        EntityKind::Deploy => 3,
    }
}

/// Finds what is to be swept. `things` were looked at first, `known` was read from the store after that.
#[must_use]
pub fn strays(things: Vec<Thing>, known: &BTreeSet<EntityRef>) -> Strays {
    let mut of_nobody: BTreeMap<(u8, EntityRef), Vec<Thing>> = BTreeMap::new();
    let mut unclear = Vec::new();
    for thing in things {
        if thing.made_for.is_empty() {
            unclear.push(thing);
        } else if let Some(gone) = thing.made_for.iter().find(|entity| !known.contains(entity)).cloned() {
            of_nobody.entry((turn(gone.kind()), gone)).or_default().push(thing);
        }
    }
    let by_name = |a: &Thing, b: &Thing| (a.what, &a.name).cmp(&(b.what, &b.name));
    unclear.sort_by(by_name);
    let of_nobody = of_nobody.into_iter().map(|((_, entity), mut things)| {
        things.sort_by(by_name);
        Stray { entity, things }
    });
    Strays { of_nobody: of_nobody.collect(), unclear }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entity(kind: EntityKind, id: &str) -> EntityRef {
        EntityRef::from_parts(kind, id).expect("an id")
    }

    fn thing(what: &'static str, name: &str, made_for: &[&EntityRef]) -> Thing {
        let made_for = made_for.iter().map(|entity| (*entity).clone()).collect();
        Thing { what, name: name.to_owned(), state: String::new(), made_for, hindrance: None }
    }

    #[test]
    fn what_is_made_for_a_known_entity_stays() {
        let (there, gone) = (entity(EntityKind::Environment, "dev-1"), entity(EntityKind::Environment, "old-1"));
        let link = thing("network", "l0-link-dev-1-old-1", &[&there, &gone]);
        let network = thing("network", "l0-dev-1", &[&there]);
        let found = strays(vec![link.clone(), network], &BTreeSet::from([there]));
        assert_eq!(found, Strays { of_nobody: vec![Stray { entity: gone, things: vec![link] }], unclear: vec![] });
    }

    #[test]
    fn copies_go_before_what_they_stand_behind_and_in() {
        let kinds = [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task];
        let entities = kinds.map(|kind| entity(kind, "a-1"));
        let things = entities.iter().flat_map(|it| [thing("y", "b", &[it]), thing("x", "c", &[it])]).collect();
        let found = strays(things, &BTreeSet::new());
        let order: Vec<_> = found.of_nobody.iter().map(|stray| stray.entity.kind()).collect();
        let expected = [EntityKind::Service, EntityKind::Task, EntityKind::LoadBalancer, EntityKind::Environment];
        assert_eq!(order, expected);
        assert!(found.of_nobody.iter().all(|stray| stray.things[0].what == "x"), "{found:?}");
    }

    #[test]
    fn what_names_no_entity_is_shown_and_left() {
        let odd = thing("volume", "odd", &[]);
        let found = strays(vec![odd.clone()], &BTreeSet::new());
        assert_eq!(found, Strays { of_nobody: vec![], unclear: vec![odd] });
    }

    fn any_entity() -> impl Strategy<Value = EntityRef> {
        let kinds = prop::sample::select(EntityKind::ALL[1..].to_vec());
        (kinds, 0..4_u8).prop_map(|(kind, number)| entity(kind, &format!("e-{number}")))
    }

    proptest! {
        /// Nothing is swept that is made for known entities alone, nothing that names none, and nothing twice.
        #[test]
        fn only_what_lacks_an_entity_is_swept(
            owners in prop::collection::vec(prop::collection::vec(any_entity(), 0..3), 0..12),
            known in prop::collection::btree_set(any_entity(), 0..12),
        ) {
            let things: Vec<Thing> = owners
                .iter()
                .enumerate()
                .map(|(number, made_for)| thing("thing", &number.to_string(), &made_for.iter().collect::<Vec<_>>()))
                .collect();
            let found = strays(things.clone(), &known);
            let swept: Vec<&Thing> = found.of_nobody.iter().flat_map(|stray| &stray.things).collect();
            for thing in &things {
                let lacks = thing.made_for.iter().any(|entity| !known.contains(entity));
                prop_assert_eq!(swept.iter().filter(|it| it.name == thing.name).count(), usize::from(lacks));
                prop_assert_eq!(found.unclear.contains(thing), thing.made_for.is_empty());
            }
            prop_assert!(found.of_nobody.iter().all(|stray| !known.contains(&stray.entity)));
        }
    }
}
