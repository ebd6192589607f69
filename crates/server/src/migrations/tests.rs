//! Movers on ends in memory: whatever fails and whoever is killed, in the end one backing answers, and has it all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::home::{Home, Migration, Source, Stage, Target};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::ops::OpsError;
use layer0_domain::ops::migration::{WantedMove, migration_ask, migration_cancel, migration_delete_source};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::home_store::HomeStore;
use layer0_domain::port::image_end::{EndManifest, ImageEnd};
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_registry::{Homes, Writers};
use layer0_store::SqliteStore;
use layer0_testkit::clock::FixedClock;
use layer0_testkit::image_end_suite::sample::{image, index, referrer};
use layer0_testkit::memory_end::{Fails, MemoryEnd};

use super::mover::{Mover, Places, Went};
use super::{MigrationTimes, RETRY};
use crate::reconcile::Nudge;

struct Yard {
    ends: BTreeMap<BackingName, MemoryEnd>,
    homes: Homes,
    clock: FixedClock,
    nudge: Nudge,
    /// Who runs an image from `local`.
    holders: Mutex<Vec<String>>,
}

#[async_trait]
impl Places for Yard {
    fn end(&self, backing: &BackingName, _: &RepositoryName) -> Option<Arc<dyn ImageEnd>> {
        self.ends.get(backing).map(|end| Arc::new(end.clone()) as Arc<dyn ImageEnd>)
    }

    async fn visibility(&self, _: &RepositoryName) -> Result<Option<Visibility>, RegistryStoreError> {
        Ok(Some(Visibility::Private))
    }

    async fn arrived(&self, repository: &RepositoryName) -> Result<(), RegistryStoreError> {
        let row = self.homes.now(repository).await.expect("it is read").expect("it is there");
        assert_ne!(row.backing, row.migration.from, "it lies there by now");
        Err(RegistryStoreError::Failed { source: "policies can't be written now".into() })
    }

    async fn holders(&self, _: &RepositoryName, backing: &BackingName) -> Result<Vec<String>, OpsError> {
        let here = self.holders.lock().expect("nobody panicked").clone();
        Ok(if backing.is_local() { here } else { Vec::new() })
    }
}

fn backing(text: &str) -> BackingName {
    BackingName::parse(text).expect("a legal name")
}

fn app() -> RepositoryName {
    RepositoryName::parse("team/app").expect("a legal name")
}

impl Yard {
    /// `local` with an image of two platforms that is signed, and `ecr` with nothing.
    async fn new() -> Self {
        let (local, ecr) = (MemoryEnd::new(), MemoryEnd::new().sha256_only());
        local.prepare(Visibility::Private).await.expect("it is made");
        let (one, two) = (image("one"), image("two"));
        let over = index(&[&one, &two]);
        for sample in [&one, &two] {
            sample.push(&local, &[]).await;
        }
        over.push(&local, &["v1", "latest"]).await;
        referrer(&over, "signed").push(&local, &[]).await;
        let homes = Homes::new(Arc::new(SqliteStore::in_memory()), Writers::Alone);
        let ends = BTreeMap::from([(backing("local"), local), (backing("ecr"), ecr)]);
        Self { ends, homes, clock: FixedClock::default(), nudge: Nudge::new(), holders: Mutex::default() }
    }

    fn local(&self) -> &MemoryEnd {
        &self.ends[&backing("local")]
    }

    fn ecr(&self) -> &MemoryEnd {
        &self.ends[&backing("ecr")]
    }

    async fn ask(&self, from: &str, to: &str, source: Source) -> Result<Home, OpsError> {
        let wanted = WantedMove { repository: app(), from: backing(from), to: backing(to), source };
        migration_ask(&self.homes, &wanted, self.clock.now()).await
    }

    async fn row(&self) -> Home {
        self.homes.home_get(&app()).await.expect("it is read").expect("it is there")
    }

    async fn go_on(&self) -> Went {
        let times = MigrationTimes { tell: Duration::from_secs(3600), ..MigrationTimes::default() };
        let (homes, clock, nudge) = (&self.homes, &self.clock, &self.nudge);
        Mover { places: self, homes, clock, nudge, times, home: self.row().await }.go_on().await
    }

    async fn stage(&self) -> Stage {
        self.row().await.migration.stage
    }

    fn same(&self) {
        let [local, ecr] = [self.local(), self.ecr()].map(|end| end.held().expect("it is there"));
        assert_eq!((local.manifests, local.tags), (ecr.manifests, ecr.tags));
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_moves_and_its_old_images_go_when_that_is_asked_for() {
    let stage = Yard::new().await;
    let asked = stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    assert_eq!((asked.backing.as_str(), asked.migration.stage), ("local", Stage::Copying));
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage), ("ecr", Stage::Moved));
    assert_eq!(row.old(), Some(&backing("local")));
    stage.same();
    assert_eq!(row.migration.tally.verified, 4);

    migration_delete_source(&stage.homes, &app()).await.expect("they may go");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!(stage.stage().await, Stage::Cleared);
    assert_eq!(stage.local().held(), None);
    assert_eq!(stage.ecr().held().expect("it is there").tags.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repository_moves_there_and_back() {
    let stage = Yard::new().await;
    stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    stage.go_on().await;
    // What happens there is true here too when it comes back.
    image("three").push(stage.ecr(), &["v3"]).await;
    stage.ecr().tag_delete("latest").await.expect("it goes");
    stage.ask("ecr", "local", Source::Delete).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage), ("local", Stage::Cleared));
    let held = stage.local().held().expect("it is there");
    assert_eq!(held.tags.keys().collect::<Vec<_>>(), ["v1", "v3"]);
    assert_eq!(stage.ecr().held(), None);
}

/// They are in the way of a deletion, so there must be a way to be rid of them.
#[tokio::test(start_paused = true)]
async fn images_that_a_move_before_the_last_one_has_left_can_go_too() {
    let stage = Yard::new().await;
    stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    stage.ask("ecr", "local", Source::Keep).await.expect("it is taken");
    migration_cancel(&stage.homes, &app()).await.expect("it may be");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.migration.stage, &row.migration.kept[..]), (Stage::Cancelled, &[backing("local")][..]));
    assert!(stage.local().held().is_some());
    migration_delete_source(&stage.homes, &app()).await.expect("they may go");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage, &row.migration.kept[..]), ("ecr", Stage::Cleared, &[][..]));
    assert_eq!(stage.local().held(), None);
    assert!(stage.ecr().held().is_some());
}

/// A service that was deployed while images were copied runs one from there.
#[tokio::test(start_paused = true)]
async fn old_images_that_came_to_be_used_meanwhile_stay() {
    let stage = Yard::new().await;
    stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
    let holders: Vec<String> = (1..8).map(|number| format!("service `web{number}`")).collect();
    *stage.holders.lock().expect("nobody panicked") = holders;
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage), ("ecr", Stage::Moved));
    let said = row.migration.progress();
    assert!(said.contains("the images in local stay: in use by service `web1`"), "{said}");
    assert!(said.contains("service `web5` and 2 more"), "{said}");
    stage.same();

    stage.holders.lock().expect("nobody panicked").clear();
    migration_delete_source(&stage.homes, &app()).await.expect("they may go");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!((stage.stage().await, stage.local().held()), (Stage::Cleared, None));
}

/// Each call of each end fails once, and each time the mover is begun anew, as after a kill: the old one answers until the
/// new one has all.
#[tokio::test(start_paused = true)]
async fn whatever_fails_in_the_end_one_answers_and_has_it_all() {
    let mut points = 0;
    for (name, how) in [("local", Fails::Before), ("ecr", Fails::Before), ("ecr", Fails::After)] {
        for at in 0.. {
            let stage = Yard::new().await;
            stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
            let whole = stage.local().held().expect("it is there");
            stage.ends[&backing(name)].fail_after(at, how);
            if stage.go_on().await == Went::Ended {
                break;
            }
            points += 1;
            let row = stage.row().await;
            assert!(row.migration.trouble.is_some(), "{name} {how:?} {at}");
            let answers = stage.ends[&row.backing].held().expect("it is there");
            assert_eq!((&answers.manifests, &answers.tags), (&whole.manifests, &whole.tags), "{name} {how:?} {at}");
            assert_eq!(stage.go_on().await, Went::Ended, "{name} {how:?} {at}");
            assert_eq!(stage.stage().await, Stage::Cleared, "{name} {how:?} {at}");
            let held = stage.ecr().held().expect("it is there");
            assert_eq!((held.manifests, held.tags), (whole.manifests, whole.tags), "{name} {how:?} {at}");
            assert_eq!(stage.local().held(), None);
        }
    }
    assert!(points > 40, "{points}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_killed_while_it_was_closed_leaves_it_open() {
    let stage = Yard::new().await;
    let asked = stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    let migration = Migration { stage: Stage::Closing(Timestamp(5)), ..asked.migration.clone() };
    let left = Home { migration, ..asked.clone() };
    stage.homes.home_put(&left, Some(asked.generation)).await.expect("it is written").expect("it was not changed");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!(stage.stage().await, Stage::Moved);
    stage.same();
}

/// An image with the tag `odd` by a digest that ECR does not take.
async fn odd_image(end: &MemoryEnd) -> Digest {
    let sample = image("odd");
    sample.push(end, &[]).await;
    let digest = Algorithm::Sha512.digest_of(&sample.manifest.bytes);
    let odd = EndManifest { digest: digest.clone(), ..sample.manifest.clone() };
    end.manifest_write(&odd, Some("odd"), None).await.expect("it is taken");
    digest
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_there_is_refused_before_anything_is_copied() {
    let stage = Yard::new().await;
    let digest = odd_image(stage.local()).await;
    stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage), ("local", Stage::Refused));
    assert_eq!(row.migration.problems.len(), 1);
    assert_eq!(row.migration.problems[0].tags, ["odd"]);
    assert_eq!(stage.ecr().held(), None);

    // Without it, it moves.
    stage.local().manifest_delete(&digest).await.expect("it goes");
    stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!(stage.stage().await, Stage::Moved);
}

#[tokio::test(start_paused = true)]
async fn what_the_new_backing_refuses_is_named_and_the_old_one_answers() {
    let stage = Yard::new().await;
    let signature = referrer(&index(&[&image("one"), &image("two")]), "signed").digest();
    stage.ecr().refuse(signature.clone());
    stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!((row.backing.as_str(), row.migration.stage), ("local", Stage::Failed));
    assert_eq!(row.migration.problems[0].digest, signature);
    assert!(stage.local().held().is_some());

    migration_cancel(&stage.homes, &app()).await.expect("what was copied may go");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!(stage.stage().await, Stage::Cancelled);
    assert_eq!(stage.ecr().held(), None);
}

/// What a try has left is the move's own, whatever becomes of the tries after it: it goes when the move is called off, and until
/// then nobody forgets it.
#[tokio::test(start_paused = true)]
async fn what_a_failed_move_has_copied_goes_though_it_was_tried_again() {
    for then in ["again", "refused"] {
        let stage = Yard::new().await;
        let signature = referrer(&index(&[&image("one"), &image("two")]), "signed").digest();
        stage.ecr().refuse(signature);
        stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
        assert_eq!(stage.go_on().await, Went::Ended);
        assert_eq!((stage.stage().await, stage.row().await.migration.target), (Stage::Failed, Target::Made));
        let elsewhere = stage.ask("local", "west", Source::Keep).await;
        let Err(OpsError::MigrationConflict { message, hint }) = elsewhere else { panic!("{elsewhere:?}") };
        assert!(message.contains("what was copied is kept there") && hint.contains("migration cancel"), "{message}");

        if then == "refused" {
            odd_image(stage.local()).await;
        }
        stage.ask("local", "ecr", Source::Delete).await.expect("it may be tried again");
        assert_eq!(stage.go_on().await, Went::Ended);
        let row = stage.row().await.migration;
        assert_eq!((row.stage, row.target, row.problems.len()), (Stage::Failed, Target::Made, 1), "{then}");
        assert!(stage.ecr().held().is_some());

        migration_cancel(&stage.homes, &app()).await.expect("what was copied may go");
        assert_eq!(stage.go_on().await, Went::Ended);
        assert_eq!((stage.stage().await, stage.ecr().held()), (Stage::Cancelled, None), "{then}");
        assert!(stage.local().held().is_some());
        // Now it may go wherever it is to.
        stage.ask("local", "west", Source::Keep).await.expect("nothing is left elsewhere");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_of_others_is_not_written_into() {
    let stage = Yard::new().await;
    stage.ecr().prepare(Visibility::Private).await.expect("it is made");
    image("theirs").push(stage.ecr(), &["v1"]).await;
    let theirs = stage.ecr().held();
    stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
    assert_eq!(stage.go_on().await, Went::Ended);
    let row = stage.row().await;
    assert_eq!(row.migration.stage, Stage::Refused);
    assert!(row.migration.progress().contains("holds other images: v1"), "{}", row.migration.progress());
    assert_eq!(stage.ecr().held(), theirs);
}

#[tokio::test(start_paused = true)]
async fn a_move_is_called_off_while_it_goes_on() {
    let stage = Yard::new().await;
    stage.ask("local", "ecr", Source::Delete).await.expect("it is taken");
    stage.ecr().fail_after(12, Fails::Before);
    assert_eq!(stage.go_on().await, Went::Later);
    assert!(stage.ecr().held().is_some(), "something was copied");
    let again = stage.ask("local", "ecr", Source::Delete).await.expect("it is the same");
    assert_eq!(again.generation, stage.row().await.generation);
    stage.ecr().heal();
    migration_cancel(&stage.homes, &app()).await.expect("it may be");
    let refused = stage.ask("local", "ecr", Source::Keep).await;
    assert!(matches!(refused, Err(OpsError::MigrationConflict { .. })), "{refused:?}");
    assert_eq!(stage.go_on().await, Went::Ended);
    assert_eq!((stage.stage().await, stage.row().await.backing), (Stage::Cancelled, backing("local")));
    assert_eq!(stage.ecr().held(), None);
    assert!(stage.local().held().is_some());
    let nothing = migration_delete_source(&stage.homes, &app()).await;
    assert!(matches!(nothing, Err(OpsError::MigrationConflict { .. })), "{nothing:?}");
}

/// Where several servers share a store, none of them is behind when the repository is closed.
#[tokio::test(start_paused = true)]
async fn all_servers_know_before_a_repository_is_closed() {
    let stage = Yard::new().await;
    let several = Homes::new(Arc::new(SqliteStore::in_memory()), Writers::Several);
    let stage = Yard { homes: several, ..stage };
    stage.ask("local", "ecr", Source::Keep).await.expect("it is taken");
    let began = tokio::time::Instant::now();
    assert_eq!(stage.go_on().await, Went::Ended);
    assert!(began.elapsed() >= MigrationTimes::default().known, "{:?}", began.elapsed());
    assert!(MigrationTimes::default().known > layer0_registry::BEHIND_MAX);
    assert!(RETRY > Duration::ZERO && stage.row().await.generation > Generation(1));
}
