//! What immutable tags lead to stays with them.

use layer0_domain::model::owner::TagRule;
use layer0_domain::model::registry::{ChildManifest, Manifest};
use layer0_domain::port::registry_store::RegistryStoreError;

use super::Ports;
use super::sample::{glob, owner_name};
use crate::registry_store_suite::sample::{digest, link, manifest, manifest_with, put, repository};

fn index(word: &str, parts: &[&str]) -> Manifest {
    let part = |word: &&str| ChildManifest { digest: digest(word), platform: None };
    Manifest { children: parts.iter().map(part).collect(), ..manifest(word) }
}

/// `manifest_delete`, `blob_unlink`: what an immutable tag leads to stays, through indexes too; what none leads to goes, and so does
/// the same thing in a repository that no rule is about.
pub async fn what_an_immutable_tag_leads_to_stays(store: &dyn Ports) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    let rule = TagRule { repositories: glob("app"), tags: glob("v*"), except: vec![] };
    store.tag_rule_put(&owner_name("team"), &rule).await.expect("its owner is there");
    for repository in [&app, &other] {
        for word in ["layer", "loose", "nobody's"] {
            link(store, repository, word).await;
        }
        put(store, repository, &manifest_with("part", &["layer"]), &["latest"]).await;
        put(store, repository, &index("index", &["part"]), &[]).await;
        put(store, repository, &index("nested", &["index"]), &["v1"]).await;
        put(store, repository, &manifest_with("free", &["loose"]), &["latest"]).await;
        put(store, repository, &index("over", &["free"]), &["new"]).await;
    }
    let refused = |answer: Result<(), RegistryStoreError>| match answer {
        Err(RegistryStoreError::TagImmutable { tag, .. }) => assert_eq!(tag, "v1"),
        other => panic!("an immutable tag leads to it, but the answer was {other:?}"),
    };
    for word in ["part", "index", "nested"] {
        refused(store.manifest_delete(&app, &digest(word)).await.map(drop));
    }
    refused(store.blob_unlink(&app, &digest("layer")).await.map(drop));
    let size = store.blob_size(&app, &digest("layer")).await.expect("a read succeeds");
    assert!(size.is_some(), "what is refused changes nothing");
    for word in ["loose", "nobody's"] {
        let left = store.blob_unlink(&app, &digest(word)).await.expect("no immutable tag leads to it");
        assert!(left.is_some(), "{word}");
        assert!(store.blob_unlink(&app, &digest(word)).await.expect("it is gone").is_none(), "{word}");
    }
    for word in ["free", "over"] {
        assert!(store.manifest_delete(&app, &digest(word)).await.expect("no immutable tag leads to it"), "{word}");
    }
    for word in ["part", "index", "nested"] {
        assert!(store.manifest_delete(&other, &digest(word)).await.expect("no rule is about it"), "{word}");
    }
    assert!(store.blob_unlink(&other, &digest("layer")).await.expect("no rule is about it").is_some());
    // The rule goes, and with it what it kept.
    store.tag_rule_delete(&owner_name("team"), &rule.repositories, &rule.tags).await.expect("it is there");
    assert!(store.blob_unlink(&app, &digest("layer")).await.expect("no rule holds it any more").is_some());
    assert!(store.manifest_delete(&app, &digest("part")).await.expect("no rule holds it any more"));
}
