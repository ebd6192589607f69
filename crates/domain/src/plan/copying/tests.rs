use proptest::prelude::*;

use super::*;

fn digest(number: usize) -> Digest {
    Digest::sha256_of(&number.to_le_bytes())
}

/// A graph of so many manifests, in which each hangs on some of those with a smaller number.
fn graph() -> impl Strategy<Value = (Graph, Vec<Digest>)> {
    let links = prop::collection::vec(
        (prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<Option<prop::sample::Index>>()),
        0..24,
    );
    links.prop_map(|all| {
        let mut graph = Graph::new();
        let mut made: Vec<Digest> = Vec::new();
        for (number, (children, subject)) in all.into_iter().enumerate() {
            let earlier =
                |index: &prop::sample::Index| (!made.is_empty()).then(|| made[index.index(made.len())].clone());
            let children = children.iter().filter_map(earlier).collect();
            // What it says something about need not be there.
            let subject = subject.map(|index| earlier(&index).unwrap_or_else(|| digest(1_000 + number)));
            graph.insert(digest(number), Links { children, subject, odd: None });
            made.push(digest(number));
        }
        (graph, made)
    })
}

fn inventory() -> impl Strategy<Value = Inventory> {
    let manifests = prop::collection::btree_set(0..8_usize, 0..8);
    let tags = prop::collection::btree_map("[a-d]", 0..8_usize, 0..4);
    (manifests, tags).prop_map(|(manifests, tags)| {
        let tags: BTreeMap<String, Digest> = tags.into_iter().map(|(tag, to)| (tag, digest(to))).collect();
        Inventory { manifests: manifests.into_iter().map(digest).chain(tags.values().cloned()).collect(), tags }
    })
}

proptest! {
    #[test]
    fn all_that_a_manifest_needs_comes_before_it((graph, made) in graph()) {
        let ranks = ranks(&graph);
        let place: BTreeMap<&Digest, usize> =
            ranks.iter().enumerate().flat_map(|(rank, all)| all.iter().map(move |one| (one, rank))).collect();
        prop_assert_eq!(ranks.iter().map(Vec::len).sum::<usize>(), made.len(), "each once");
        for (one, links) in &graph {
            for needed in links.needs().filter(|it| graph.contains_key(*it)) {
                prop_assert!(place[needed] < place[one]);
            }
        }
        prop_assert!(ranks.iter().all(|rank| rank.is_sorted() && !rank.is_empty()));
    }

    #[test]
    fn what_is_different_makes_one_like_the_other(from in inventory(), to in inventory()) {
        let differences = Differences::between(&from, &to);
        let mut made = to.clone();
        made.manifests.extend(differences.manifests.clone());
        made.tags.extend(differences.tags.clone());
        made.tags.retain(|tag, _| !differences.tags_gone.contains(tag));
        made.manifests.retain(|one| !differences.manifests_gone.contains(one));
        prop_assert_eq!(&made, &from);
        prop_assert_eq!(differences.is_empty(), from == to);
        prop_assert!(Differences::between(&from, &made).is_empty());
    }
}

#[test]
fn what_hangs_on_itself_is_there_too() {
    let on = |other: usize| Links { children: vec![digest(other)], ..Links::default() };
    let graph = Graph::from([(digest(1), on(2)), (digest(2), on(1)), (digest(3), Links::default())]);
    let ranks = ranks(&graph);
    assert_eq!(ranks.iter().flatten().count(), 3);
    assert_eq!(ranks[0], [digest(3)]);
}

#[test]
fn what_is_not_taken_is_named_with_the_tags_that_lead_to_it() {
    let child = Links { odd: Some(Algorithm::Sha512), ..Links::default() };
    let index = Links { children: vec![digest(1)], ..Links::default() };
    let graph = Graph::from([(digest(1), child), (digest(2), index), (digest(3), Links::default())]);
    let tags = BTreeMap::from([("v1".to_owned(), digest(2)), ("v2".to_owned(), digest(3))]);
    let inventory = Inventory { manifests: graph.keys().cloned().collect(), tags };
    let found = refused(&graph, &inventory, |algorithm| algorithm == Algorithm::Sha256);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].digest, found[0].tags.as_slice()), (&digest(1), ["v1".to_owned()].as_slice()));
    assert_eq!(refused(&graph, &inventory, |_| true), []);
}
