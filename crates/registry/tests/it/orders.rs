//! The invariant of links and files (`blobs/mod.rs`), with two at work at once: a link that stands in the end has its file,
//! a push or mount that was answered has both, and a file that nobody links is gone. Every order in which one of the two is
//! interrupted once, at any of its steps.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_testkit::clock::{FixedClock, RunningClock};

use crate::client::Client;
use crate::common::{Ground, TestRegistry, name};
use crate::staged::order::{Order, Second};
use crate::staged::registry_on;
use crate::sweep::stray;

const CONTENT: &str = "content";

/// What is done to one blob, and how it locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It is pushed to `team/other`.
    Push,
    /// It is mounted into `team/other`, from wherever it is.
    Mount,
    /// It is deleted from `team/app`.
    Delete,
    /// `team/app` is deleted.
    DeleteRepository,
    /// What nobody holds is swept.
    Sweep,
}

impl Act {
    /// Whether the blob's lock is held at the step of this label.
    fn has_lock(self, label: &str) -> bool {
        let is_disk = label == "read" || [" blobs", " packs", " uploads"].iter().any(|of| label.ends_with(of));
        let is_removal = label.ends_with("blob_holders") || is_disk;
        match self {
            Self::Push => label.ends_with("blob_link") || is_disk,
            Self::Mount => ["blob_size", "blob_place", "blob_link"].iter().any(|it| label.ends_with(it)) || is_disk,
            Self::Delete => is_removal || label.ends_with("blob_unlink"),
            Self::DeleteRepository => is_removal,
            Self::Sweep => is_removal || label.ends_with("blob_place"),
        }
    }

    /// What becomes of it while another one, who has the lock, stops at the step of this label.
    fn waits(self, label: &str) -> Second {
        match self {
            // Nobody holds the blob any more: it is not mounted, and wants no lock.
            Self::Mount if label != "Before blob_unlink" => Second::Runs,
            Self::Push => Second::WaitsAfter("After room"),
            Self::Mount => Second::WaitsAfter("After blob_holders"),
            Self::Delete => Second::WaitsAtOnce,
            Self::DeleteRepository => Second::WaitsAfter("After repository_delete"),
            Self::Sweep => Second::WaitsAfter("After blob_unheld"),
        }
    }

    /// Does it.
    async fn run(self, registry: &TestRegistry, digest: &Digest) -> Told {
        let client = Client::of(registry);
        let post = async |query: String, body: &'static str| {
            let path = format!("/v2/team/other/blobs/uploads/?{query}");
            client.ask(Method::POST, &path, &[], body).await.status.as_u16()
        };
        match self {
            Self::Push => {
                assert_eq!(post(format!("digest={digest}"), CONTENT).await, 201);
                Told::Holds
            }
            Self::Mount => match post(format!("mount={digest}"), "").await {
                201 => Told::Holds,
                // It came too late: an upload is begun.
                202 => Told::Nothing,
                status => panic!("a mount is answered with {status}"),
            },
            Self::Delete => {
                client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
                Told::Nothing
            }
            Self::DeleteRepository => {
                registry.registry.repository_delete(&name("team/app"), false).await.unwrap();
                Told::Nothing
            }
            Self::Sweep => match registry.registry.sweep().await.unwrap().strays {
                0 => Told::Nothing,
                _ => Told::Swept,
            },
        }
    }
}

/// What whoever did it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// `team/other` holds the blob.
    Holds,
    /// A file that nobody held was removed.
    Swept,
    /// None of these.
    Nothing,
}

/// Where a small blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Pack,
    Files,
}

/// Lets `first` be interrupted by `second` at each of its steps in turn, and answers what the two were told in each order.
async fn every_order(first: Act, second: Act, layout: Layout) -> Vec<[Told; 2]> {
    // In two days from now every file is old, and an upload that is begun then is not.
    let now = Timestamp(RunningClock::default().now().0 + 48 * 60 * 60 * 1000);
    let digest = Digest::sha256_of(CONTENT.as_bytes());
    let mut all = Vec::new();
    for at in 0.. {
        let ground = Ground::new(Arc::new(FixedClock::at(now))).with_repositories(&["team/app", "team/other"]).await;
        let ground = Ground { unpacked: layout == Layout::Files, ..ground };
        let order = Arc::new(Order::default());
        // The first sweep of a process looks at all files.
        let registry = registry_on(ground, Arc::clone(&order) as _).await;
        if [first, second].contains(&Act::Sweep) {
            stray(&registry, CONTENT.as_bytes(), Duration::ZERO);
        } else {
            Client::of(&registry).push("team/app", CONTENT).await;
        }
        let waits = |label: &str| if first.has_lock(label) { second.waits(label) } else { Second::Runs };
        let (one, other, stopped) =
            order.interrupt(at, waits, first.run(&registry, &digest), second.run(&registry, &digest)).await;

        let context = format!("{first:?} at step {at} ({stopped:?}), {second:?}: {one:?}, {other:?}");
        let store: &dyn RegistryStore = registry.store.as_ref();
        let holders = store.blob_holders(&digest).await.unwrap();
        let holders: Vec<_> = holders.into_iter().map(|(repository, _)| repository.to_string()).collect();
        let is_held = [one, other].contains(&Told::Holds);
        assert_eq!(holders, if is_held { vec!["team/other"] } else { vec![] }, "{context}");
        assert_eq!(registry.blob_files().len(), usize::from(is_held), "{context}");
        let got = Client::of(&registry).get(&format!("/v2/team/other/blobs/{digest}")).await;
        assert_eq!((got.status == 200, got.body == CONTENT), (is_held, is_held), "{context}");
        if stopped.is_none() {
            break;
        }
        all.push([one, other]);
    }
    all
}

/// Both ways round: every order of these two. Each outcome of `wanted` comes about in one of them, and no other.
async fn race(first: Act, second: Act, layout: Layout, wanted: &[[Told; 2]]) {
    let mut all = every_order(first, second, layout).await;
    all.extend(every_order(second, first, layout).await.into_iter().map(|[one, other]| [other, one]));
    for outcome in wanted {
        assert!(all.contains(outcome), "it never came to {outcome:?}: {all:?}");
    }
    assert!(all.iter().all(|outcome| wanted.contains(outcome)), "{all:?}");
}

macro_rules! races {
    ($($name:ident: $first:ident, $second:ident, $layout:ident => $wanted:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            race(Act::$first, Act::$second, Layout::$layout, &$wanted).await;
        }
    )+};
}

races! {
    a_sweep_never_takes_what_is_being_pushed:
        Push, Sweep, Files => [[Told::Holds, Told::Swept], [Told::Holds, Told::Nothing]];
    the_last_holder_lets_go_while_another_one_pushes: Delete, Push, Files => [[Told::Nothing, Told::Holds]];
    the_last_holder_lets_go_while_another_one_mounts:
        Delete, Mount, Files => [[Told::Nothing, Told::Holds], [Told::Nothing, Told::Nothing]];
    the_last_repository_goes_while_another_one_pushes: DeleteRepository, Push, Files => [[Told::Nothing, Told::Holds]];
    the_last_repository_goes_while_another_one_mounts:
        DeleteRepository, Mount, Files => [[Told::Nothing, Told::Holds], [Told::Nothing, Told::Nothing]];

    // The push goes into a pack, so the file that nobody holds goes each time.
    a_sweep_takes_a_file_whose_blob_is_pushed_into_a_pack: Push, Sweep, Pack => [[Told::Holds, Told::Swept]];
    the_last_holder_lets_go_while_another_one_pushes_into_a_pack:
        Delete, Push, Pack => [[Told::Nothing, Told::Holds]];
    the_last_holder_lets_go_while_another_one_mounts_from_a_pack:
        Delete, Mount, Pack => [[Told::Nothing, Told::Holds], [Told::Nothing, Told::Nothing]];
    the_last_repository_goes_while_another_one_pushes_into_a_pack:
        DeleteRepository, Push, Pack => [[Told::Nothing, Told::Holds]];
    the_last_repository_goes_while_another_one_mounts_from_a_pack:
        DeleteRepository, Mount, Pack => [[Told::Nothing, Told::Holds], [Told::Nothing, Told::Nothing]];
}
