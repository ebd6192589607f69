use proptest::prelude::*;

use super::*;
use crate::model::glob::Glob;

const HOUR: i64 = 60 * 60 * 1000;

fn glob(text: &str) -> Glob {
    Glob::parse(text).expect("a pattern")
}

fn digest(number: u8) -> Digest {
    Digest::sha256_of(&[number])
}

fn rule(tags: &str, keep_last: Option<u32>, keep_hours: Option<u32>, untagged_hours: Option<u32>) -> RetentionRule {
    RetentionRule { repositories: glob("*"), tags: glob(tags), keep_last, keep_hours, untagged_hours }
}

fn tag(name: &str, number: u8, hour: i64) -> ImageTag {
    ImageTag { name: name.to_owned(), digest: digest(number), pushed: Timestamp(hour * HOUR) }
}

fn manifest(number: u8, hour: i64, children: &[u8], subject: Option<u8>) -> ImageManifest {
    ImageManifest {
        digest: digest(number),
        pushed: Timestamp(hour * HOUR),
        children: children.iter().copied().map(digest).collect(),
        subject: subject.map(digest),
    }
}

fn at(hour: i64) -> Timestamp {
    Timestamp(hour * HOUR)
}

#[derive(Debug, Default)]
struct Case {
    rules: Vec<RetentionRule>,
    immutable: Vec<TagRule>,
    pinned: BTreeMap<Digest, Vec<String>>,
}

impl Case {
    fn of(rules: Vec<RetentionRule>) -> Self {
        Self { rules, ..Self::default() }
    }

    fn plan(&self, images: &Images, now: Timestamp) -> Plan {
        let Self { rules, immutable, pinned } = self;
        plan(Wanted { repository: "app", rules, immutable, pinned }, images, now)
    }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.tags.iter().map(|(tag, _)| tag.name.as_str()).collect()
}

fn gone(plan: &Plan) -> Vec<Digest> {
    plan.manifests.iter().map(|(digest, ..)| digest.clone()).collect()
}

fn of_round((tags, manifests): Round<'_>) -> Retiring {
    Retiring {
        tags: tags.iter().map(|(tag, _)| tag.clone()).collect(),
        manifests: manifests.iter().map(|(digest, at, _)| (digest.clone(), *at)).collect(),
    }
}

fn retiring(plan: &Plan) -> Retiring {
    let mut all = Retiring::default();
    for round in plan.rounds() {
        let Retiring { tags, manifests } = of_round(round);
        all.tags.extend(tags);
        all.manifests.extend(manifests);
    }
    all
}

fn without(images: &Images, gone: &Retiring) -> Images {
    let mut left = images.clone();
    left.tags.retain(|tag| !gone.tags.contains(tag));
    left.manifests.retain(|it| !gone.manifests.iter().any(|(digest, _)| *digest == it.digest));
    left
}

fn three() -> Images {
    Images {
        tags: vec![tag("dev-1", 1, 1), tag("dev-2", 2, 2), tag("dev-3", 3, 3), tag("v1", 1, 1)],
        manifests: vec![manifest(1, 1, &[], None), manifest(2, 2, &[], None), manifest(3, 3, &[], None)],
    }
}

/// 1 is an index of 2 and 3, 4 signs 2, 5 is an index of 3.
fn indexes() -> Vec<ImageManifest> {
    vec![
        manifest(1, 1, &[2, 3], None),
        manifest(2, 1, &[], None),
        manifest(3, 1, &[], None),
        manifest(4, 1, &[], Some(2)),
        manifest(5, 8, &[3], None),
    ]
}

#[test]
fn the_last_and_the_young_are_kept_and_what_no_rule_names() {
    let images = three();
    assert_eq!(names(&Case::of(vec![rule("dev-*", Some(1), None, None)]).plan(&images, at(9))), ["dev-1", "dev-2"]);
    assert_eq!(names(&Case::of(vec![rule("dev-*", None, Some(7), None)]).plan(&images, at(9))), ["dev-1", "dev-2"]);
    assert_eq!(names(&Case::of(vec![rule("dev-*", Some(1), Some(8), None)]).plan(&images, at(9))), ["dev-1"]);
    assert_eq!(Case::of(vec![]).plan(&images, at(9)), Plan::default());
    let both = Case::of(vec![rule("dev-*", Some(1), None, None), rule("dev-1", Some(1), None, None)]);
    assert_eq!(names(&both.plan(&images, at(9))), ["dev-2"], "one rule that keeps it is enough");
    let elsewhere = RetentionRule { repositories: glob("other"), ..rule("*", Some(1), None, Some(1)) };
    assert_eq!(Case::of(vec![elsewhere]).plan(&images, at(9)), Plan::default());
}

#[test]
fn what_runs_and_what_is_immutable_is_held() {
    let mut case = Case::of(vec![rule("*", Some(1), None, Some(1))]);
    case.pinned.insert(digest(1), vec!["service web".to_owned()]);
    let fixed = TagRule { repositories: glob("*"), tags: glob("dev-2"), except: vec![] };
    case.immutable.push(fixed.clone());
    let plan = case.plan(&three(), at(9));
    assert_eq!((names(&plan), gone(&plan)), (vec![], vec![]));
    let by = Held::RunBy(vec!["service web".to_owned()]);
    let held: Vec<_> = plan.held.iter().map(|(tag, why)| (tag.name.as_str(), why.clone())).collect();
    assert_eq!(held, [("dev-1", by.clone()), ("dev-2", Held::Immutable(fixed)), ("v1", by)]);
}

#[test]
fn untagged_images_are_told_whole() {
    let mut images = Images { tags: vec![tag("new", 5, 8)], manifests: indexes() };
    // What it is about is not there.
    images.manifests.push(manifest(6, 8, &[], Some(9)));
    let found: BTreeSet<Digest> = untagged(&images).into_iter().cloned().collect();
    assert_eq!(found, [digest(1), digest(6)].into());
    assert_eq!(untagged(&three()), Vec::<&Digest>::new());
}

#[test]
fn an_image_goes_whole_and_only_when_nothing_leads_to_it() {
    let mut images = Images { tags: vec![tag("old", 1, 1), tag("new", 5, 8)], manifests: indexes() };
    let case = Case::of(vec![rule("*", Some(1), None, Some(2))]);
    let plan = case.plan(&images, at(9));
    assert_eq!((names(&plan), gone(&plan)), (vec!["old"], vec![digest(1), digest(2), digest(4)]));
    let only_tags = Case::of(vec![rule("*", Some(1), None, None)]).plan(&images, at(9));
    assert_eq!((names(&only_tags), gone(&only_tags)), (vec!["old"], vec![]), "off unless a rule says so");
    // Something runs one of its parts: that stays, and what is about it.
    let mut pinned = Case::of(vec![rule("*", Some(1), None, Some(2))]);
    pinned.pinned.insert(digest(2), vec!["task t".to_owned()]);
    assert_eq!(gone(&pinned.plan(&images, at(9))), [digest(1)]);
    // A young index keeps its old parts.
    images.manifests[0].pushed = at(8);
    assert_eq!(gone(&case.plan(&images, at(9))), []);
}

#[test]
fn a_tag_about_a_manifest_stays_with_it_and_counts_for_nothing() {
    let name = format!("sha256-{}.sig", digest(1).hex());
    let mut images = Images {
        tags: vec![tag("v1", 1, 1), tag(&name, 2, 8)],
        manifests: vec![manifest(1, 1, &[], None), manifest(2, 8, &[], None)],
    };
    let case = Case::of(vec![rule("*", Some(1), None, Some(1))]);
    assert_eq!(case.plan(&images, at(99)), Plan::default());
    images.manifests.remove(0);
    images.tags[0] = tag("v2", 3, 9);
    images.manifests.push(manifest(3, 9, &[], None));
    assert_eq!(names(&case.plan(&images, at(99))), [name]);
}

fn signature_of(number: u8) -> String {
    format!("sha256-{}.sig", digest(number).hex())
}

#[test]
fn a_signature_goes_with_its_image_under_whatever_tag() {
    // 2 signs 1, 3 signs 2, and 4, which stays, has a signature as old.
    let images = Images {
        tags: vec![
            tag("dev-1", 1, 1),
            tag("dev-4", 4, 8),
            tag(&signature_of(1), 2, 1),
            tag(&signature_of(2), 3, 1),
            tag(&signature_of(4), 5, 1),
        ],
        manifests: (1..=5).map(|number| manifest(number, 1, &[], None)).collect(),
    };
    let mut case = Case::of(vec![rule("dev-*", Some(1), None, Some(1))]);
    let rounds = |plan: &Plan| -> Vec<(Vec<String>, Vec<Digest>)> {
        let round = |round| of_round(round);
        let names = |it: Retiring| {
            (it.tags.into_iter().map(|tag| tag.name).collect(), it.manifests.into_iter().map(|it| it.0).collect())
        };
        plan.rounds().map(round).map(names).collect()
    };
    let plan = case.plan(&images, at(9));
    let want = [
        (vec!["dev-1".to_owned()], vec![digest(1)]),
        (vec![signature_of(1)], vec![digest(2)]),
        (vec![signature_of(2)], vec![digest(3)]),
    ];
    assert_eq!(rounds(&plan), want);
    // Pushed again meanwhile, the image stays, and so do its signatures, whether they are asked for by themselves or with it.
    let mut again = images.clone();
    again.tags.push(tag("x", 1, 9));
    let first = confirm("app", &[], &again, &retiring(&plan));
    assert_eq!((first.tags.len(), first.manifests), (1, vec![]));
    for round in plan.rounds().skip(1) {
        assert!(confirm("app", &[], &again, &of_round(round)).is_empty());
    }
    // What is immutable stays, and so does what runs.
    case.immutable.push(TagRule { repositories: glob("*"), tags: glob("sha256-*"), except: vec![] });
    assert_eq!(rounds(&case.plan(&images, at(9))), want[..1]);
    case.immutable.clear();
    case.pinned.insert(digest(2), vec!["service s".to_owned()]);
    assert_eq!(rounds(&case.plan(&images, at(9))), want[..1]);
}

#[test]
fn what_was_pushed_meanwhile_stays() {
    let images = three();
    let plan = Case::of(vec![rule("*", Some(1), None, Some(1))]).plan(&images, at(9));
    let asked = retiring(&plan);
    assert_eq!(confirm("app", &[], &images, &asked), asked);
    // Pushed again: under a tag that was to go, and under another one.
    let mut again = images.clone();
    again.tags[0].pushed = at(9);
    again.tags.push(tag("x", 2, 9));
    let went = confirm("app", &[], &again, &asked);
    assert!(went.tags.iter().all(|tag| tag.name != "dev-1"), "{went:?}");
    assert!(went.manifests.is_empty(), "{went:?}");
    // An index of it, something about another one that stays, the manifest itself.
    let mut led = images.clone();
    led.manifests.push(manifest(9, 9, &[1], None));
    led.manifests[1].pushed = at(9);
    assert!(confirm("app", &[], &led, &asked).manifests.is_empty());
    let fixed = TagRule { repositories: glob("*"), tags: glob("dev-*"), except: vec![] };
    let went = confirm("app", &[fixed], &images, &asked);
    assert!(went.tags.iter().all(|tag| tag.name == "v1"), "{went:?}");
}

prop_compose! {
    fn any_images()(
        tags in prop::collection::btree_map(0..12_u8, (0..10_u8, 0..20_i64), 0..12),
        manifests in prop::collection::vec((0..20_i64, prop::collection::vec(0..10_u8, 0..3), prop::option::of(0..10_u8)), 10),
    ) -> Images {
        // Only what is there may be pointed to, and only what has a smaller number: digests make no circles.
        let manifests = (0_u8..).zip(&manifests).map(|(number, (hour, children, subject))| {
            let children: Vec<u8> = children.iter().copied().filter(|child| *child < number).collect();
            manifest(number, *hour, &children, subject.filter(|subject| *subject < number))
        });
        // Some tags are about a manifest, and some of these about one that isn't there.
        let called = |name: u8| match name {
            ..8 if name.is_multiple_of(2) => format!("a{name}"),
            ..8 => format!("b{name}"),
            8..11 => signature_of(2 * name - 15),
            _ => signature_of(200),
        };
        let tags = tags.iter().map(|(name, (number, hour))| tag(&called(*name), *number, *hour));
        Images { tags: tags.collect(), manifests: manifests.collect() }
    }
}

prop_compose! {
    fn any_rule()(
        tags in prop::sample::select(vec!["*", "a*", "b*", "a1*"]),
        keep_last in prop::option::of(1..4_u32),
        keep_hours in prop::option::of(1..20_u32),
        untagged_hours in prop::option::of(1..20_u32),
    ) -> RetentionRule {
        rule(tags, keep_last, keep_hours, untagged_hours)
    }
}

prop_compose! {
    fn any_case()(
        rules in prop::collection::vec(any_rule(), 0..4),
        fixed in prop::option::of(prop::sample::select(vec!["a*", "b1*"])),
        pinned in prop::collection::btree_set(0..10_u8, 0..3),
    ) -> Case {
        let immutable = fixed.map(|tags| TagRule { repositories: glob("*"), tags: glob(tags), except: vec![] });
        let pinned = pinned.into_iter().map(|number| (digest(number), vec!["service s".to_owned()]));
        Case { rules, immutable: immutable.into_iter().collect(), pinned: pinned.collect() }
    }
}

proptest! {
    #[test]
    fn nothing_goes_that_is_kept_or_reachable(case in any_case(), images in any_images(), hour in 0..40_i64) {
        let plan = case.plan(&images, at(hour));
        let left = without(&images, &retiring(&plan));
        for (tag, rule) in &plan.tags {
            prop_assert!(rule.judges("app", &tag.name));
            prop_assert!(!case.pinned.contains_key(&tag.digest));
            prop_assert!(!case.immutable.iter().any(|fixed| fixed.holds("app", &tag.name)));
            for rule in case.rules.iter().filter(|rule| rule.judges("app", &tag.name)) {
                prop_assert!(at(hour).ms_since(tag.pushed) >= rule.keep_ms());
                let rank = |it: &ImageTag| (it.pushed, it.name.clone());
                let counts = |it: &&ImageTag| rule.judges("app", &it.name) && subject_of(&it.name).is_none();
                let newer = images.tags.iter().filter(counts).filter(|it| rank(it) > rank(tag)).count();
                prop_assert!(rule.keep_last.is_none_or(|last| newer >= last as usize));
            }
        }
        let there: BTreeSet<&Digest> = left.manifests.iter().map(|it| &it.digest).collect();
        for tag in &left.tags {
            prop_assert!(there.contains(&tag.digest));
        }
        for (tag, _) in plan.about.iter().flat_map(|it| &it.tags) {
            prop_assert!(!case.pinned.contains_key(&tag.digest));
            prop_assert!(!case.immutable.iter().any(|fixed| fixed.holds("app", &tag.name)));
            let subject = subject_of(&tag.name).expect("it is about something");
            prop_assert!(!there.contains(&subject) && images.manifests.iter().any(|it| it.digest == subject));
        }
        for manifest in &left.manifests {
            prop_assert!(manifest.children.iter().all(|child| there.contains(child)));
        }
        for manifest in &images.manifests {
            if manifest.subject.as_ref().is_some_and(|subject| there.contains(subject)) {
                prop_assert!(there.contains(&manifest.digest));
            }
        }
        let pinned = images.manifests.iter().filter(|it| case.pinned.contains_key(&it.digest));
        prop_assert!(pinned.clone().all(|it| there.contains(&it.digest)));
        if case.rules.iter().all(|rule| rule.untagged_hours.is_none()) {
            prop_assert!(plan.manifests.is_empty());
        }
    }

    #[test]
    fn a_second_look_finds_nothing_and_an_earlier_one_nothing_more(
        case in any_case(), images in any_images(), hour in 0..40_i64, earlier in 0..40_i64,
    ) {
        let later = retiring(&case.plan(&images, at(hour)));
        let again = case.plan(&without(&images, &later), at(hour));
        prop_assert!(retiring(&again).is_empty(), "{again:?}");
        let before = retiring(&case.plan(&images, at(hour - earlier)));
        prop_assert!(before.tags.iter().all(|tag| later.tags.contains(tag)));
        prop_assert!(before.manifests.iter().all(|it| later.manifests.contains(it)));
    }

    /// In pieces too, as a store takes them that has no room for all in one unit.
    #[test]
    fn a_store_lets_all_go_that_was_planned_unless_something_was_pushed(
        case in any_case(), images in any_images(), hour in 0..40_i64, piece in 1..4_usize,
    ) {
        let asked = retiring(&case.plan(&images, at(hour)));
        prop_assert_eq!(&confirm("app", &case.immutable, &images, &asked), &asked);
        let mut left = images.clone();
        for round in case.plan(&images, at(hour)).rounds() {
            let Retiring { tags, manifests } = of_round(round);
            let asked = Retiring { tags, manifests: vec![] };
            let went = confirm("app", &case.immutable, &left, &asked);
            // An index about a part of its own is a circle, which no piece has whole: it stays, and what is about it.
            let is_there = |digest| left.manifests.iter().any(|it| it.digest == digest);
            let may_go = asked.tags.iter().filter(|tag| !subject_of(&tag.name).is_some_and(is_there)).cloned();
            prop_assert_eq!(&went.tags, &may_go.collect::<Vec<_>>());
            left = without(&left, &went);
            for some in manifests.chunks(piece) {
                let some = Retiring { tags: vec![], manifests: some.to_vec() };
                let went = confirm("app", &case.immutable, &left, &some);
                left = without(&left, &went);
                let there: BTreeSet<Digest> = left.manifests.iter().map(|it| it.digest.clone()).collect();
                for it in &left.manifests {
                    prop_assert!(it.children.iter().all(|child| there.contains(child)));
                }
            }
        }
    }
}
