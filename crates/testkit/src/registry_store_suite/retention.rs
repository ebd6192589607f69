//! Images that go by rules: what is seen of a repository, and what may still go when it is taken away.

use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestRef};
use layer0_domain::model::retention::{ImageTag, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Page, RegistryStore};

use super::sample::{AT, digest, link, manifest, manifest_with, name, put, repository};

fn later(word: &str, ms: i64) -> Manifest {
    Manifest { pushed: AT.plus_ms(ms), ..manifest(word) }
}

fn index(word: &str, children: &[&str]) -> Manifest {
    let child = |word: &&str| ChildManifest { digest: digest(word), platform: None };
    Manifest { children: children.iter().map(child).collect(), ..manifest(word) }
}

fn about(word: &str, subject: &str) -> Manifest {
    Manifest { subject: Some(digest(subject)), ..manifest(word) }
}

fn tag(name: &str, word: &str, pushed: Timestamp) -> ImageTag {
    ImageTag { name: name.to_owned(), digest: digest(word), pushed }
}

/// `images`: tags with the time of their push, manifests with what they lead to.
pub async fn images_are_seen_with_what_retention_needs(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    assert_eq!(store.images(&name("team/unknown")).await.expect("a read succeeds"), None);
    put(store, &app, &manifest("part"), &["a"]).await;
    put(store, &app, &index("whole", &["part"]), &["b"]).await;
    put(store, &app, &about("sign", "part"), &[]).await;
    put(store, &app, &later("other", 5), &["a", "c"]).await;
    let images = store.images(&app).await.expect("a read succeeds").expect("it is there");
    let at = AT.plus_ms(5);
    assert_eq!(images.tags, [tag("a", "other", at), tag("b", "whole", AT), tag("c", "other", at)]);
    let found = |word: &str| images.manifests.iter().find(|it| it.digest == digest(word)).expect("it is there").clone();
    assert_eq!(images.manifests.len(), 4);
    assert_eq!((found("whole").children, found("whole").pushed), (vec![digest("part")], AT));
    assert_eq!((found("sign").subject, found("part").subject), (Some(digest("part")), None));
    assert_eq!(found("other").pushed, at);
    put(store, &app, &later("other", 9), &["a"]).await;
    let again = store.images(&app).await.expect("a read succeeds").expect("it is there");
    assert_eq!(again.tags[0], tag("a", "other", AT.plus_ms(9)), "a push of the same counts");
    assert_eq!(again.tags[2], tag("c", "other", at), "of one tag, not of the manifest's others");
}

/// `images_retire`: what was pushed since it was seen stays, and what something leads to.
pub async fn only_images_go_that_nothing_needs_any_more(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for word in ["one", "two", "part", "kept"] {
        put(store, &app, &manifest(word), &[word]).await;
    }
    put(store, &app, &index("whole", &["part"]), &["whole"]).await;
    put(store, &app, &about("sign", "kept"), &[]).await;
    let went = async |tags: &[(&str, &str)], words: &[&str]| {
        let asked = Retiring {
            tags: tags.iter().map(|(name, word)| tag(name, word, AT)).collect(),
            manifests: words.iter().map(|word| (digest(word), AT)).collect(),
        };
        let went = store.images_retire(&app, &asked, AT, &[]).await.expect("a write succeeds");
        let tags: Vec<_> = went.tags.into_iter().map(|tag| tag.name).collect();
        (tags, went.manifests.into_iter().map(|(digest, _)| digest).collect::<Vec<_>>())
    };
    let none: (Vec<String>, _) = (vec![], vec![]);
    assert_eq!(went(&[], &["one", "part", "sign"]).await, none, "a tag, an index, what it is about");
    // Moved, pushed again, not there.
    put(store, &app, &manifest("two"), &["one"]).await;
    put(store, &app, &later("kept", 1), &["kept"]).await;
    assert_eq!(went(&[("one", "one"), ("kept", "kept"), ("none", "one")], &[]).await, none);
    assert_eq!(went(&[("two", "two"), ("whole", "whole"), ("part", "part")], &["one", "two"]).await, {
        let tags = ["two", "whole", "part"].map(str::to_owned).to_vec();
        (tags, vec![digest("one")])
    });
    assert_eq!(went(&[], &["part", "sign"]).await, none, "the index is still there");
    assert_eq!(went(&[], &["whole", "part", "kept", "unknown"]).await, (vec![], vec![digest("whole"), digest("part")]));
    let left = store.tag_list(&app, Page::default()).await.expect("a read succeeds").expect("it is there");
    assert_eq!(left, ["kept", "one"]);
    for (word, there) in [("one", false), ("two", true), ("part", false), ("kept", true), ("sign", true)] {
        let found = store.manifest_get(&app, &ManifestRef::Digest(digest(word))).await.expect("a read succeeds");
        assert_eq!(found.is_some(), there, "{word}");
    }
    let unknown = Retiring { tags: vec![tag("one", "two", AT)], manifests: vec![] };
    assert!(store.images_retire(&name("team/unknown"), &unknown, AT, &[]).await.expect("a write succeeds").is_empty());
}

/// `images_retire`: more than fits into one unit of work goes all the same.
pub async fn many_images_go_at_once(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let mut asked = Retiring::default();
    for number in 0..60 {
        let word = format!("image {number:02}");
        put(store, &app, &manifest(&word), &[&format!("t{number:02}")]).await;
        asked.tags.push(tag(&format!("t{number:02}"), &word, AT));
        asked.manifests.push((digest(&word), AT));
    }
    assert_eq!(store.images_retire(&app, &asked, AT, &[]).await.expect("a write succeeds"), asked);
    let images = store.images(&app).await.expect("a read succeeds").expect("it is there");
    assert_eq!((images.tags.len(), images.manifests.len()), (0, 0));
    assert!(store.images_retire(&app, &asked, AT, &[]).await.expect("a write succeeds").is_empty());
}

/// `images_retire`: what a manifest named that goes counts as linked then; the rest is as old as it was.
pub async fn the_blobs_of_images_that_go_are_kept_for_a_while(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for word in ["shared", "gone", "kept", "nobody's"] {
        link(store, &app, word).await;
    }
    put(store, &app, &manifest_with("one", &["gone", "shared"]), &[]).await;
    put(store, &app, &manifest_with("two", &["kept", "shared"]), &["two"]).await;
    let asked = Retiring { tags: vec![], manifests: vec![(digest("one"), AT)] };
    for (at, again) in [(AT.plus_ms(7), false), (AT.plus_ms(9), true)] {
        let went = store.images_retire(&app, &asked, at, &[]).await.expect("a write succeeds");
        assert_eq!(went.is_empty(), again, "it goes once");
    }
    let linked = async |word| store.blob_size(&app, &digest(word)).await.expect("a read").expect("it is there").linked;
    assert_eq!((linked("gone").await, linked("nobody's").await), (AT.plus_ms(7), AT));
    let unneeded = async |until| store.blob_unneeded(&app, until, None, 9).await.expect("a read succeeds");
    assert_eq!(unneeded(AT.plus_ms(6)).await, [(digest("nobody's"), 8)]);
    assert_eq!(unneeded(AT.plus_ms(7)).await.len(), 2);

    // An earlier time takes nothing back.
    let asked = Retiring { tags: vec![tag("two", "two", AT)], manifests: vec![(digest("two"), AT)] };
    assert_eq!(store.images_retire(&app, &asked, AT.plus_ms(5), &[]).await.expect("a write succeeds"), asked);
    assert_eq!((linked("shared").await, linked("kept").await), (AT.plus_ms(7), AT.plus_ms(5)));
}

/// `images_retire`: a tag that is about a manifest stays as long as that, and goes after it.
pub async fn a_tag_that_is_about_an_image_goes_after_it(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let signature = format!("sha256-{}.sig", digest("image").hex());
    put(store, &app, &manifest("image"), &[]).await;
    put(store, &app, &manifest("sign"), &[&signature]).await;
    let tags = Retiring { tags: vec![tag(&signature, "sign", AT)], manifests: vec![] };
    let manifests =
        |words: &[&str]| Retiring { tags: vec![], manifests: words.iter().map(|word| (digest(word), AT)).collect() };
    let (image, sign) = (manifests(&["image"]), manifests(&["sign"]));
    let none = Retiring::default();
    let rounds = [(&tags, &none), (&sign, &none), (&image, &image), (&tags, &tags), (&sign, &sign)];
    for (number, (asked, goes)) in rounds.into_iter().enumerate() {
        let went = store.images_retire(&app, asked, AT, &[]).await.expect("a write succeeds");
        assert_eq!(&went, goes, "round {number}");
    }
}
