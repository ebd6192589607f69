//! A repository is copied whole, whatever fails on the way and whatever is pushed meanwhile.

use futures_util::FutureExt as _;
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::Visibility;
use layer0_domain::ops::copy::{Copier, CopyError, Counters, Pass, blobs_follow};
use layer0_domain::port::image_end::{EndError, EndManifest, ImageEnd as _};
use layer0_testkit::image_end_suite::sample::{Sample, foreign, image, index, referrer};
use layer0_testkit::memory_end::{Fails, Held, MemoryEnd};
use proptest::prelude::*;

async fn made(end: MemoryEnd) -> MemoryEnd {
    end.prepare(Visibility::Private).await.expect("it is made");
    end
}

/// Everything that there is: nested indexes, tags of their own and in common, what refers to an image, and to what refers,
/// untagged images, a foreign layer.
async fn source() -> MemoryEnd {
    let end = made(MemoryEnd::new()).await;
    let (one, two, three, lonely) = (image("one"), image("two"), image("three"), image("lonely"));
    let inner = index(&[&one, &two]);
    let outer = index(&[&inner, &three]);
    let signature = referrer(&outer, "signed");
    let counter_signature = referrer(&signature, "countersigned");
    for sample in [&one, &two, &three, &inner, &lonely] {
        sample.push(&end, &[]).await;
    }
    outer.push(&end, &["latest", "v1"]).await;
    one.push(&end, &["one"]).await;
    for sample in [&signature, &counter_signature] {
        sample.push(&end, &[]).await;
    }
    image("signature of one").push(&end, &[&format!("sha256-{}.sig", one.digest().hex())]).await;
    foreign("windows").push(&end, &["windows"]).await;
    end
}

/// What can be pulled: manifests and tags, and the blobs that manifests name.
fn pullable(held: &Held) -> Held {
    let named = |digest: &Digest| held.manifests.values().any(|it| it.blobs.iter().any(|blob| blob.digest == *digest));
    let blobs = held.blobs.iter().filter(|(digest, _)| named(digest)).map(|(digest, it)| (digest.clone(), it.clone()));
    Held { blobs: blobs.collect(), ..held.clone() }
}

fn same(from: &MemoryEnd, to: &MemoryEnd) {
    let [from, to] = [from, to].map(|end| end.held().expect("the repository is there"));
    assert_eq!(pullable(&from), pullable(&to));
}

/// Passes until one finds nothing, or names problems.
async fn to_the_end(copier: &mut Copier<'_>) -> Result<Pass, CopyError> {
    for _ in 0..10 {
        let pass = copier.pass().await?;
        if pass.found_nothing || !pass.problems.is_empty() {
            return Ok(pass);
        }
    }
    panic!("it comes to no end");
}

fn count(end: &MemoryEnd, call: &str) -> usize {
    end.calls().iter().filter(|it| **it == call).count()
}

#[tokio::test]
async fn all_of_it_comes_over_once() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let mut copier = Copier::new(&from, &to, &counters);
    assert_eq!(copier.survey().await.expect("it is read"), []);
    let pass = to_the_end(&mut copier).await.expect("nothing fails");
    assert_eq!(pass.problems, []);
    same(&from, &to);
    let held = to.held().expect("it is there");
    assert_eq!(count(&to, "blob_write"), held.blobs.len());
    // One for each tag, and one for each manifest that has none.
    let tagged: std::collections::BTreeSet<_> = held.tags.values().collect();
    assert_eq!(count(&to, "manifest_write"), held.tags.len() + held.manifests.len() - tagged.len());
    let tally = counters.tally();
    assert_eq!((tally.manifests, tally.verified), (10, 10));
    assert_eq!((tally.manifests_copied, tally.tags_set), (10, 5));
    let bytes: usize = held.blobs.values().map(Vec::len).sum();
    assert_eq!((tally.blobs_copied, tally.bytes_copied), (held.blobs.len() as u64, bytes as u64));
}

/// Every call of either end fails once, before or after it did its work: the next try goes on, and copies nothing twice.
#[tokio::test]
async fn whatever_fails_the_next_try_goes_on() {
    let mut points = 0;
    for side in 0..2 {
        for how in [Fails::Before, Fails::After] {
            for at in 0.. {
                let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
                let failing = [&from, &to][side];
                failing.fail_after(at, how);
                let first = to_the_end(&mut Copier::new(&from, &to, &counters)).await;
                if failing.is_to_fail() {
                    failing.heal();
                    break;
                }
                points += 1;
                let failed = matches!(&first, Err(CopyError::End(_, EndError::Unavailable { .. })));
                assert!(failed, "{side} {how:?} {at}: {first:?}");
                let again = to_the_end(&mut Copier::new(&from, &to, &counters)).await.expect("it goes on");
                assert_eq!(again.problems, [], "{side} {how:?} {at}");
                same(&from, &to);
                let blobs = to.held().expect("it is there").blobs.len();
                // The one that failed before it was written, and those whose content was given up with it.
                assert!(count(&to, "blob_write") <= blobs + 1, "{side} {how:?} {at}");
            }
        }
    }
    assert!(points > 200, "{points} points at which something fails");
}

#[tokio::test]
async fn what_changes_meanwhile_is_followed() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let mut copier = Copier::new(&from, &to, &counters);
    copier.pass().await.expect("nothing fails");
    image("new").push(&from, &["v2", "latest"]).await;
    from.tag_delete("v1").await.expect("it goes");
    let one = from.held().expect("it is there").tags["one"].clone();
    from.tag_delete("one").await.expect("it goes");
    let pass = copier.pass().await.expect("nothing fails");
    assert!(!pass.found_nothing);
    // An index with all that is under it, and what it names.
    let outer = index(&[&index(&[&image("one"), &image("two")]), &image("three")]);
    from.manifest_delete(&outer.digest()).await.expect("nothing names it");
    from.manifest_delete(&index(&[&image("one"), &image("two")]).digest()).await.expect("nothing names it");
    from.manifest_delete(&one).await.expect("nothing names it");
    to_the_end(&mut copier).await.expect("nothing fails");
    same(&from, &to);
    // What was taken away at the new end alone comes again, with its blobs.
    to.change(|held| {
        let gone = held.tags["v2"].clone();
        held.manifests.remove(&gone);
        held.tags.retain(|_, to| *to != gone);
        held.blobs.clear();
    });
    to_the_end(&mut copier).await.expect("nothing fails");
    let held = to.held().expect("it is there");
    let new = &held.manifests[&held.tags["v2"]];
    assert!(new.blobs.iter().all(|blob| held.blobs.contains_key(&blob.digest)));
}

#[tokio::test]
async fn damage_is_named_and_not_copied() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let rotten = Digest::sha256_of(b"layer of one");
    let shorter = Digest::sha256_of(b"layer of two");
    let gone = Digest::sha256_of(b"layer of lonely");
    from.change(|held| {
        held.blobs.insert(rotten.clone(), b"lAyer of one".to_vec());
        held.blobs.insert(shorter.clone(), b"layer".to_vec());
        held.blobs.remove(&gone);
        let three = held.manifests.get_mut(&image("three").digest()).expect("it is there");
        three.bytes.push(b' ');
    });
    let pass = to_the_end(&mut Copier::new(&from, &to, &counters)).await.expect("the ends answer");
    let why = |sample: &Sample| {
        let of_it = pass.problems.iter().find(|it| it.digest == sample.digest());
        of_it.map_or_else(|| panic!("{:?}", pass.problems), |it| (it.why.as_str(), it.tags.len()))
    };
    let (words, tags) = why(&image("one"));
    assert!(words.contains("is not what its digest says"), "{words}");
    assert_eq!(tags, 3, "its own, and the two of the index");
    assert!(why(&image("two")).0.contains("has 5 bytes, not 12"), "{:?}", why(&image("two")));
    assert!(why(&image("lonely")).0.contains("missing or damaged"));
    assert!(why(&image("three")).0.contains("damaged"));
    let held = to.held().expect("it is there");
    for digest in [rotten, shorter, gone] {
        assert!(!held.blobs.contains_key(&digest));
    }
    assert!(held.tags.contains_key("windows"), "the others are there");
}

#[tokio::test]
async fn what_the_new_end_never_takes_is_named() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let signature = referrer(&index(&[&index(&[&image("one"), &image("two")]), &image("three")]), "signed");
    to.refuse(signature.digest());
    let pass = to_the_end(&mut Copier::new(&from, &to, &counters)).await.expect("the ends answer");
    let named: Vec<_> = pass.problems.iter().map(|it| (it.digest.clone(), it.why.as_str())).collect();
    assert_eq!(named, [(signature.digest(), "it is not liked here")]);
    let (from, to) = (from.held().expect("it is there"), to.held().expect("it is there"));
    assert_eq!(from.manifests.len(), to.manifests.len() + 1, "all others are there");
    assert_eq!(from.tags, to.tags);
}

#[tokio::test]
async fn what_has_another_algorithm_is_known_before_anything_is_copied() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new().sha256_only()).await, Counters::default());
    let sample = image("odd");
    let digest = Algorithm::Sha512.digest_of(&sample.manifest.bytes);
    let odd = EndManifest { digest: digest.clone(), ..sample.manifest.clone() };
    sample.push(&from, &[]).await;
    from.manifest_write(&odd, Some("odd"), None).await.expect("it is taken");
    let problems = Copier::new(&from, &to, &counters).survey().await.expect("it is read");
    assert_eq!(problems.len(), 1);
    assert_eq!((&problems[0].digest, problems[0].tags.as_slice()), (&digest, ["odd".to_owned()].as_slice()));
    assert_eq!(to.calls(), ["prepare"]);
    let all = made(MemoryEnd::new()).await;
    to_the_end(&mut Copier::new(&from, &all, &counters)).await.expect("nothing fails");
    same(&from, &all);
}

#[tokio::test]
async fn what_is_strange_at_the_new_end_is_named() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let copier = Copier::new(&from, &to, &counters);
    image("one").push(&to, &["one"]).await;
    assert_eq!(copier.strange().await.expect("it is read"), [] as [String; 0], "it could have been copied");
    let stranger = image("stranger");
    stranger.push(&to, &["v1"]).await;
    let strange = copier.strange().await.expect("it is read");
    assert_eq!(strange, ["v1".to_owned(), stranger.digest().to_string()]);
}

#[tokio::test]
async fn the_blobs_of_a_push_that_began_before_follow_it() {
    let (from, to, counters) = (source().await, made(MemoryEnd::new()).await, Counters::default());
    let one = image("one");
    assert!(blobs_follow(&from, &to, &one.manifest.blobs, &counters).await.expect("the ends answer"));
    to.manifest_write(&one.manifest, Some("one"), None).await.expect("all blobs are there");
    assert!(!blobs_follow(&from, &to, &image("nowhere").manifest.blobs, &counters).await.expect("the ends answer"));
}

#[tokio::test]
async fn a_repository_that_goes_is_said() {
    let (from, to, counters) = (MemoryEnd::new(), made(MemoryEnd::new()).await, Counters::default());
    let gone = Copier::new(&from, &to, &counters).pass().await;
    assert!(matches!(gone, Err(CopyError::SourceGone)), "{gone:?}");
}

/// Something that happens while a copy goes on.
#[derive(Debug, Clone)]
enum Event {
    Push { word: u8, tag: Option<u8> },
    PushIndex { words: [u8; 2], tag: Option<u8> },
    Refer { word: u8, to: u8 },
    TagDelete { tag: u8 },
    ManifestDelete { word: u8 },
    Pass { fails_from: Option<(u8, bool)>, fails_to: Option<(u8, bool)> },
}

fn event() -> impl Strategy<Value = Event> {
    let fails = || prop::option::weighted(0.7, (0..60_u8, any::<bool>()));
    let tag = || prop::option::of(0..4_u8);
    prop_oneof![
        (0..6_u8, tag()).prop_map(|(word, tag)| Event::Push { word, tag }),
        ([0..6_u8, 0..6_u8], tag()).prop_map(|(words, tag)| Event::PushIndex { words, tag }),
        (0..6_u8, 0..6_u8).prop_map(|(word, to)| Event::Refer { word, to }),
        (0..4_u8).prop_map(|tag| Event::TagDelete { tag }),
        (0..6_u8).prop_map(|word| Event::ManifestDelete { word }),
        (fails(), fails()).prop_map(|(fails_from, fails_to)| Event::Pass { fails_from, fails_to }),
    ]
}

async fn happen(event: &Event, from: &MemoryEnd, to: &MemoryEnd) {
    let picture = |word: &u8| image(&format!("image {word}"));
    let tags = |tag: &Option<u8>| tag.map(|tag| format!("t{tag}"));
    match event {
        Event::Push { word, tag } => {
            picture(word).push(from, &tags(tag).iter().map(String::as_str).collect::<Vec<_>>()).await
        }
        Event::PushIndex { words, tag } => {
            let children = words.each_ref().map(picture);
            for child in &children {
                child.push(from, &[]).await;
            }
            let children: Vec<&Sample> =
                if words[0] == words[1] { vec![&children[0]] } else { children.iter().collect() };
            index(&children).push(from, &tags(tag).iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
        Event::Refer { word, to } => referrer(&picture(to), &format!("note {word}")).push(from, &[]).await,
        Event::TagDelete { tag } => from.tag_delete(&format!("t{tag}")).await.expect("it goes"),
        // One that an index names stays.
        Event::ManifestDelete { word } => drop(from.manifest_delete(&picture(word).digest()).await),
        Event::Pass { fails_from, fails_to } => {
            for (end, fails) in [(from, fails_from), (to, fails_to)] {
                if let Some((at, before)) = fails {
                    end.fail_after(usize::from(*at), if *before { Fails::Before } else { Fails::After });
                }
            }
            let counters = Counters::default();
            // Killed, or not: whoever comes next knows nothing of it.
            drop(Copier::new(from, to, &counters).pass().await);
            from.heal();
            to.heal();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Pushes, deletes and broken passes in any order: when they have ended, passes come to an end, and both are the same.
    #[test]
    fn any_history_converges(events in prop::collection::vec(event(), 0..16)) {
        let history = async {
            let (from, to) = (made(MemoryEnd::new()).await, made(MemoryEnd::new()).await);
            for event in &events {
                happen(event, &from, &to).await;
            }
            let counters = Counters::default();
            let pass = to_the_end(&mut Copier::new(&from, &to, &counters)).await.expect("nothing fails");
            assert_eq!(pass.problems, []);
            same(&from, &to);
        };
        // Nothing here ever waits.
        history.now_or_never().expect("it is done at once");
    }
}
