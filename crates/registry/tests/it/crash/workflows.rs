//! What clients do, step by step. Each has a stage on which it begins, where nothing goes wrong.

use futures_util::future::LocalBoxFuture;
use http::Method;
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::retention::Retiring;
use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore, RegistryStoreError};
use layer0_registry::{Collection, Haste, Rate, Told, VerifyEvent};
use serde_json::Value;

use super::ledger::{Key, Run, there};
use crate::client::{OCI_MANIFEST, descriptor, image, index, noise};
use crate::common::{TestRegistry, name};
use crate::damage::rot;

/// A part of a workflow; `None` when it was given up.
pub(crate) type Part = for<'a> fn(&'a mut Run<'_>) -> LocalBoxFuture<'a, Option<()>>;

/// One workflow.
#[derive(Clone, Copy)]
pub(crate) struct Workflow {
    /// What is there when it begins. `None`: nothing, not even a registry that was ever started.
    pub(crate) stage: Option<Part>,
    /// What is done.
    pub(crate) act: Part,
    /// Whether the registry does something beside it that the client does not wait for: then a step may not come.
    pub(crate) beside: bool,
}

const APP: &str = "team/app";
const OTHER: &str = "team/other";
const CONFIG: &str = r#"{"os":"linux","architecture":"amd64"}"#;

/// Content of three pieces and a bit.
fn large() -> Vec<u8> {
    noise(200_001)
}

fn blob(repository: &str, content: &[u8]) -> Key {
    Key::Blob(repository.to_owned(), Digest::sha256_of(content))
}

fn manifest(repository: &str, reference: impl ToString) -> Key {
    Key::Manifest(repository.to_owned(), reference.to_string())
}

fn digest_of(manifest: &Value) -> Digest {
    Digest::sha256_of(manifest.to_string().as_bytes())
}

async fn push_image(run: &mut Run<'_>, repository: &str, tags: &[&str], layers: &[&str]) -> Option<Value> {
    run.blob(repository, CONFIG.as_bytes()).await?;
    for layer in layers {
        run.blob(repository, layer.as_bytes()).await?;
    }
    let image = image(CONFIG, layers);
    run.manifest(repository, tags, &image).await?;
    Some(image)
}

macro_rules! part {
    ($run:ident => $body:block) => {
        |$run| Box::pin(async move { $body })
    };
}

const EMPTY: Part = part!(_run => { Some(()) });

/// `team/app:1` with two layers, and another blob.
const IMAGE: Part = part!(run => {
    run.blob(APP, b"by itself").await?;
    push_image(run, APP, &["1"], &["one", "two"]).await.map(drop)
});

pub(crate) const FIRST_PUSH: Workflow =
    Workflow { stage: None, act: part!(run => { run.blob(APP, &large()).await.map(drop) }), beside: false };

pub(crate) const MONOLITHIC: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        run.blob(APP, &large()).await?;
        run.blob(APP, b"").await.map(drop)
    }),
    beside: false,
};

pub(crate) const POST_THEN_PUT: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        let upload = run.begin(APP).await?;
        run.put(APP, &upload, Algorithm::Sha512, &large(), 0).await.map(drop)
    }),
    beside: false,
};

pub(crate) const CHUNKED: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        let content = large();
        let upload = run.begin(APP).await?;
        let mut from = 0;
        for part in content[..150_000].chunks(50_000) {
            let range = format!("{from}-{}", from + part.len() - 1);
            run.patch(&upload, Some(range), part).await?;
            from += part.len();
        }
        run.put(APP, &upload, Algorithm::Sha256, &content, from).await.map(drop)
    }),
    beside: false,
};

pub(crate) const STREAMED: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        // The first part is more than is written at once.
        let content = noise(1_200_000);
        let upload = run.begin(APP).await?;
        for part in [&content[..1_150_000], &content[1_150_000..]] {
            run.patch(&upload, None, part).await?;
        }
        run.put(APP, &upload, Algorithm::Sha256, &content, content.len()).await.map(drop)
    }),
    beside: false,
};

/// A client that goes on where it was interrupted, and begins anew when that does not lead to the right content.
pub(crate) const RESUMED: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        let content = large();
        if let Some((upload, from)) = run.status().await
            && from <= content.len()
            && run.put(APP, &upload, Algorithm::Sha256, &content, from).await.is_some()
        {
            return Some(());
        }
        let upload = run.begin(APP).await?;
        for part in content[..150_000].chunks(50_000) {
            run.patch(&upload, None, part).await?;
        }
        run.put(APP, &upload, Algorithm::Sha256, &content, 150_000).await.map(drop)
    }),
    beside: false,
};

pub(crate) const WHOLE_IMAGE: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => {
        // Two variants that share a layer, and an index of both.
        let one = push_image(run, APP, &[], &["shared", "one"]).await?;
        let two = image(CONFIG, &["shared"]);
        run.manifest(APP, &[], &two).await?;
        let children = [&one, &two].map(|child| descriptor(OCI_MANIFEST, &child.to_string())).to_vec();
        run.manifest(APP, &["latest"], &index(children)).await.map(drop)
    }),
    beside: false,
};

pub(crate) const MOUNT: Workflow = Workflow {
    stage: Some(IMAGE),
    act: part!(run => {
        for content in ["one", "by itself"] {
            run.mount(APP, OTHER, content.as_bytes()).await?;
        }
        Some(())
    }),
    beside: false,
};

pub(crate) const KNOWN_BLOB: Workflow = Workflow {
    stage: Some(IMAGE),
    act: part!(run => {
        run.blob(APP, b"one").await?;
        run.blob(OTHER, b"one").await.map(drop)
    }),
    beside: false,
};

pub(crate) const MANIFEST_PUT: Workflow = Workflow {
    stage: Some(IMAGE),
    act: part!(run => {
        let again = image(CONFIG, &["one", "by itself"]);
        run.manifest(APP, &["2", "latest"], &again).await?;
        // Once more, by one tag.
        run.manifest(APP, &["3"], &again).await.map(drop)
    }),
    beside: false,
};

pub(crate) const TAG_MOVE: Workflow = Workflow {
    stage: Some(part!(run => {
        push_image(run, APP, &["1"], &["one", "two"]).await?;
        push_image(run, APP, &["2"], &["two"]).await.map(drop)
    })),
    act: part!(run => { run.manifest(APP, &["1"], &image(CONFIG, &["two"])).await.map(drop) }),
    beside: false,
};

pub(crate) const TAG_DELETE: Workflow =
    Workflow { stage: Some(IMAGE), act: part!(run => { run.delete(manifest(APP, "1"), &[]).await }), beside: false };

pub(crate) const MANIFEST_DELETE: Workflow = Workflow {
    stage: Some(part!(run => { push_image(run, APP, &["1", "latest"], &["one"]).await.map(drop) })),
    act: part!(run => {
        let digest = digest_of(&image(CONFIG, &["one"]));
        run.delete(manifest(APP, digest), &[manifest(APP, "1"), manifest(APP, "latest")]).await
    }),
    beside: false,
};

pub(crate) const BLOB_DELETE: Workflow = Workflow {
    stage: Some(part!(run => {
        run.blob(APP, b"shared").await?;
        run.blob(APP, b"mine").await?;
        run.mount(APP, OTHER, b"shared").await
    })),
    act: part!(run => {
        for content in ["shared", "mine"] {
            run.delete(blob(APP, content.as_bytes()), &[]).await?;
        }
        Some(())
    }),
    beside: false,
};

pub(crate) const DELETE_THEN_PUSH: Workflow = Workflow {
    stage: Some(part!(run => { run.blob(APP, b"content").await.map(drop) })),
    act: part!(run => {
        run.delete(blob(APP, b"content"), &[]).await?;
        run.blob(OTHER, b"content").await.map(drop)
    }),
    beside: false,
};

pub(crate) const REPOSITORY_DELETE: Workflow = Workflow {
    stage: Some(part!(run => {
        run.done(vec![(Key::Repository(APP.to_owned()), there(b""))]);
        push_image(run, APP, &["1"], &["one", "two"]).await?;
        run.mount(APP, OTHER, b"two").await
    })),
    act: part!(run => {
        let digest = digest_of(&image(CONFIG, &["one", "two"]));
        let gone = [
            Key::Repository(APP.to_owned()),
            manifest(APP, "1"),
            manifest(APP, digest),
            blob(APP, CONFIG.as_bytes()),
            blob(APP, b"one"),
            blob(APP, b"two"),
        ];
        let changes: Vec<_> = gone.into_iter().map(|key| (key, None)).collect();
        run.begins(&changes);
        match run.registry.registry.repository_delete(&name(APP), false).await {
            // Done before, the second time.
            Ok(()) | Err(RegistryStoreError::RepositoryMissing(_)) => run.done(changes),
            Err(_) => return None,
        }
        Some(())
    }),
    beside: false,
};

pub(crate) const UPLOAD_CANCEL: Workflow = Workflow {
    stage: Some(IMAGE),
    act: part!(run => {
        let upload = run.begin(APP).await?;
        run.patch(&upload, None, &large()).await?;
        run.ask(204, Method::DELETE, &upload, &[], "").await.map(drop)
    }),
    beside: false,
};

/// Uploads that nobody goes on with, as the client of another process left them, and files without a link.
pub(crate) const SWEEP: Workflow = Workflow {
    stage: Some(part!(run => {
        run.blob(APP, b"held").await?;
        let uploads = run.registry.root().join("uploads");
        for number in 0..2 {
            std::fs::write(uploads.join(format!("{number:032x}-{:016x}", 7)), large()).ok()?;
        }
        for content in ["stray", "another"] {
            let path = run.registry.blob_file(&Digest::sha256_of(content.as_bytes()));
            std::fs::create_dir_all(path.parent()?).ok()?;
            std::fs::write(path, content).ok()?;
        }
        Some(())
    })),
    act: part!(run => { run.registry.registry.sweep().await.ok().map(drop) }),
    beside: false,
};

/// What a deleted manifest and a push that was given up have left, some of it needed elsewhere.
pub(crate) const COLLECT: Workflow = Workflow {
    stage: Some(part!(run => {
        push_image(run, APP, &["1"], &["needed"]).await?;
        let gone = push_image(run, APP, &["2"], &["needed", "left over"]).await?;
        run.delete(manifest(APP, digest_of(&gone)), &[manifest(APP, "2")]).await?;
        run.blob(APP, b"given up").await?;
        run.blob(APP, b"elsewhere").await?;
        push_image(run, OTHER, &["1"], &["elsewhere"]).await?;
        run.mount(APP, OTHER, b"given up").await
    })),
    act: part!(run => {
        let gone = [
            blob(APP, b"left over"),
            blob(APP, b"given up"),
            blob(OTHER, b"given up"),
            blob(APP, b"elsewhere"),
        ];
        let changes: Vec<_> = gone.into_iter().map(|key| (key, None)).collect();
        run.begins(&changes);
        let mut is_whole = true;
        let told = |_: &_, told| is_whole &= told != Told::PassedOver;
        run.registry.registry.collect(Collection::Take, Haste::Now, told).await.ok()?;
        is_whole.then_some(())?;
        run.done(changes);
        Some(())
    }),
    beside: false,
};

/// An image that goes by a rule, with its tag.
pub(crate) const RETIRE: Workflow = Workflow {
    stage: Some(part!(run => {
        push_image(run, APP, &["1"], &["needed"]).await?;
        push_image(run, APP, &["2"], &["needed", "left over"]).await.map(drop)
    })),
    act: part!(run => {
        let gone = digest_of(&image(CONFIG, &["needed", "left over"]));
        let changes = vec![(manifest(APP, "2"), None), (manifest(APP, &gone), None)];
        let images = run.registry.registry.images(&name(APP)).await.ok()??;
        let asked = Retiring {
            tags: images.tags.into_iter().filter(|tag| tag.name == "2").collect(),
            manifests: images.manifests.into_iter().filter(|it| it.digest == gone).map(|it| (it.digest, it.pushed)).collect(),
        };
        run.begins(&changes);
        run.registry.registry.images_retire(&name(APP), &asked, &[]).await.ok()?;
        run.done(changes);
        Some(())
    }),
    beside: false,
};

/// A blob that has rotted, noticed by a download, and pushed again.
pub(crate) const HEAL: Workflow = Workflow {
    stage: Some(part!(run => {
        run.blob(APP, b"content").await?;
        run.mount(APP, OTHER, b"content").await?;
        rot(run.registry, &Digest::sha256_of(b"content"), 3);
        // Nobody can pull it now, whatever he was told.
        for repository in [APP, OTHER] {
            run.done(vec![(blob(repository, b"content"), None)]);
        }
        Some(())
    })),
    act: part!(run => {
        run.look(&blob(APP, b"content")).await;
        let healed = there(b"content");
        run.begins(&[(blob(OTHER, b"content"), healed.clone())]);
        run.blob(APP, b"content").await?;
        run.done(vec![(blob(OTHER, b"content"), healed)]);
        Some(())
    }),
    beside: true,
};

/// A blob from before there were checksums is asked for.
pub(crate) const FIRST_PROOF: Workflow = Workflow {
    stage: Some(part!(run => {
        run.blob(APP, &large()).await?;
        without_sums(run.registry, &large()).await;
        Some(())
    })),
    act: part!(run => { (run.look(&blob(APP, &large())).await == 200).then_some(()) }),
    beside: false,
};

async fn without_sums(registry: &TestRegistry, content: &[u8]) {
    let (digest, size) = (Digest::sha256_of(content), content.len() as u64);
    let store: &dyn RegistryStore = registry.store.as_ref();
    store.blob_unlink(&name(APP), &digest).await.unwrap();
    store
        .blob_link(
            &name(APP),
            &BlobLink { digest, size, sums: None, place: None },
            registry.clock.now(),
            &Along::NOTHING,
        )
        .await
        .unwrap();
}

/// Everything is read again; one blob has rotted, one has no checksums.
pub(crate) const VERIFY: Workflow = Workflow {
    stage: Some(part!(run => {
        push_image(run, APP, &["1"], &["one"]).await?;
        run.blob(APP, &large()).await?;
        without_sums(run.registry, &large()).await;
        run.blob(APP, b"rotten").await?;
        rot(run.registry, &Digest::sha256_of(b"rotten"), 0);
        run.done(vec![(blob(APP, b"rotten"), None)]);
        Some(())
    })),
    act: part!(run => {
        let mut findings = 0;
        let read = run.registry.registry.verify(Rate::default(), |event| {
            findings += u32::from(matches!(event, VerifyEvent::Finding(_)));
        });
        read.await.ok()?;
        (findings == 1).then_some(())
    }),
    beside: false,
};

/// The first push makes the repository too.
pub(crate) const CREATE_ON_PUSH: Workflow = Workflow {
    stage: Some(EMPTY),
    act: part!(run => { run.blob("new/one", b"content").await.map(drop) }),
    beside: false,
};
