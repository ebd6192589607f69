//! A change of strategy, in any order of writes, killed anywhere, wished otherwise in the middle.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::properties::{document, one_grant, some_grants};
use super::world::{ASKERS, Documents, REPOSITORIES, after, is_granted};
use super::*;
use crate::model::grant::{GrantStrategy, KeptStrategy, StrategyPhase};
use crate::model::time::Timestamp;

/// What happens.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody asks for a grant.
    Ask(Grant),
    /// Somebody takes one back.
    TakeBack(Grant),
    /// A server starts with this strategy.
    Wish(GrantStrategy),
    /// A round over all documents, the repositories from this one on; killed before the write of this number.
    Round { from: usize, killed_before: Option<usize> },
}

fn event() -> impl Strategy<Value = Event> {
    let round = (0..REPOSITORIES.len(), prop::option::of(0_usize..6));
    prop_oneof![
        2 => one_grant().prop_map(Event::Ask),
        2 => one_grant().prop_map(Event::TakeBack),
        2 => prop::sample::select(GrantStrategy::ALL.to_vec()).prop_map(Event::Wish),
        8 => round.prop_map(|(from, killed_before)| Event::Round { from, killed_before }),
    ]
}

/// An instance with what it remembers.
struct Instance {
    strategy: KeptStrategy,
    documents: Documents,
    wanted: Grants,
    /// Those that were true everywhere, and are wanted still: nobody whom they name is shut out.
    promised: Grants,
    /// Those that a document may name: wanted, or not yet taken back everywhere.
    tolerated: Grants,
}

impl Instance {
    fn check(&self) {
        for name in REPOSITORIES {
            for asker in ASKERS {
                let may = self.documents.let_in(name, asker);
                let at = || format!("{asker:?} on {name}, {:?}: {:?}", self.strategy, self.documents);
                assert!(may || !is_granted(&self.promised, name, asker), "shut out: {}", at());
                assert!(!may || is_granted(&self.tolerated, name, asker), "let in: {}", at());
            }
        }
    }

    /// One document's turn; `None` for the registry's. Answers whether it was written.
    fn turn(&mut self, name: Option<&'static str>) -> bool {
        let (signature, registry) = (signature(), registry(""));
        let present = self.documents.text_mut(name).clone();
        let present = present.as_deref();
        let due = match name {
            Some(name) => repository_due(&signature, &self.strategy, &repository(name), &self.wanted, present),
            None => registry_due(&signature, &self.strategy, &registry, &self.wanted, present),
        };
        let change = match due.expect("there is room for a few") {
            Due::Nothing | Due::As(Change::Keep) => return false,
            Due::As(change) => change,
            Due::Meanwhile(..) => panic!("there is room for a few"),
        };
        let text = after(change, present);
        *self.documents.text_mut(name) = text;
        self.check();
        true
    }

    fn round(&mut self, from: usize, killed_before: Option<usize>) {
        let order = (0..REPOSITORIES.len()).map(|at| Some(REPOSITORIES[(from + at) % REPOSITORIES.len()]));
        let mut written = 0;
        for name in std::iter::once(None).chain(order) {
            if killed_before == Some(written) {
                return;
            }
            written += usize::from(self.turn(name));
        }
        self.promised.extend(self.wanted.iter().cloned());
        self.tolerated = self.wanted.clone();
        self.check();
        if written == 0 {
            self.strategy = match self.strategy.phase {
                StrategyPhase::Settled => self.strategy.clone(),
                StrategyPhase::Spreading => self.strategy.is_true_everywhere(),
                StrategyPhase::Clearing => self.strategy.is_clear_everywhere(),
            };
        }
    }

    fn meet(&mut self, event: Event) {
        match event {
            Event::Ask(grant) => {
                self.tolerated.insert(grant.clone());
                self.wanted.insert(grant);
            }
            Event::TakeBack(grant) => {
                self.wanted.remove(&grant);
                self.promised.remove(&grant);
            }
            Event::Wish(wish) => self.strategy = self.strategy.wished(wish, Timestamp(0)),
            Event::Round { from, killed_before } => self.round(from, killed_before),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Nobody who was let in is shut out for a moment, and nobody else is let in for one; and it comes to its end, where only the
    /// wished documents have anything of ours, and others have what they had.
    #[test]
    fn nobody_is_shut_out_at_any_step(
        all in some_grants(), events in prop::collection::vec(event(), 0..24), there in document(),
    ) {
        let mut documents = Documents { registry: there.clone(), ..Documents::default() };
        documents.repositories.insert("team/app", there.clone());
        let tolerated = all.clone();
        let mut instance =
            Instance { strategy: KeptStrategy::default(), documents, wanted: all, promised: Grants::new(), tolerated };
        instance.round(0, None);
        for event in events {
            instance.meet(event);
        }
        // What is left is at most: write, read back, clear, read back.
        for _ in 0..5 {
            instance.round(0, None);
        }
        prop_assert_eq!(instance.strategy.phase, StrategyPhase::Settled);
        for name in REPOSITORIES {
            for asker in ASKERS {
                prop_assert_eq!(instance.documents.let_in(name, asker), is_granted(&instance.wanted, name, asker));
            }
        }
        let ours = |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains(&signature().prefix));
        let in_registry = instance.strategy.wish != GrantStrategy::Repositories;
        prop_assert!(in_registry || !ours(&instance.documents.registry));
        prop_assert!(!in_registry || !instance.documents.repositories.values().any(ours));
        let foreign = |text: Option<&str>| -> BTreeSet<String> {
            let all = text.map(statements_of).unwrap_or_default();
            let is_ours = |it: &Value| it["Sid"].as_str().is_some_and(|sid| sid.starts_with(&signature().prefix));
            all.iter().filter(|it| !is_ours(it)).map(Value::to_string).collect()
        };
        prop_assert_eq!(foreign(instance.documents.registry.as_deref()), foreign(there.as_deref()));
        let of_app = instance.documents.repositories["team/app"].as_deref();
        prop_assert_eq!(foreign(of_app), foreign(there.as_deref()));
    }
}
