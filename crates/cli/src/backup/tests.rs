//! A fault at every step in turn: what was there is there, nothing half is listed, and the same again comes to the same end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use futures_util::StreamExt as _;
use futures_util::stream;
use layer0_api::client::{ByteStream, ClientError};
use layer0_api::types::{Backup, BackupBlob};

use super::disk::{Disk, OsDisk, Output};
use super::manifest::Why;
use super::name::{Hasher, sha256_hex};
use super::place::names;
use super::*;

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The process ends: the step does not happen, or by half, and nothing after it.
    Kill,
    /// The step fails, once.
    Once,
    /// From the step on nothing more fits.
    Full,
}

/// How many steps are left before the fault, and whether it has come.
#[derive(Debug)]
struct Countdown {
    fault: Fault,
    left: Cell<usize>,
    come: Cell<bool>,
}

/// Whether a step takes space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Space,
    Nothing,
}

impl Countdown {
    fn step(&self, takes: Takes) -> io::Result<()> {
        let now = self.left.get() == 0;
        if !now {
            self.left.set(self.left.get() - 1);
        }
        let fails = match self.fault {
            Fault::Kill => now,
            Fault::Once => now && !self.come.get(),
            Fault::Full => now && takes == Takes::Space,
        };
        if !fails {
            return Ok(());
        }
        self.come.set(true);
        Err(match self.fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            Fault::Kill | Fault::Once => io::Error::other("a fault of the test's own"),
        })
    }
}

struct FaultyDisk(Rc<Countdown>);

struct FaultyOutput(Box<dyn Output>, Rc<Countdown>);

impl Disk for FaultyDisk {
    fn directory_make(&self, path: &Path) -> io::Result<()> {
        self.0.step(Takes::Space)?;
        OsDisk.directory_make(path)
    }

    fn directory_sync(&self, path: &Path) -> io::Result<()> {
        self.0.step(Takes::Nothing)?;
        OsDisk.directory_sync(path)
    }

    fn file_write(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.0.step(Takes::Space)?;
        Ok(Box::new(FaultyOutput(OsDisk.file_write(path)?, Rc::clone(&self.0))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.step(Takes::Nothing)?;
        OsDisk.rename(from, to)
    }

    fn file_remove(&self, path: &Path) -> io::Result<()> {
        self.0.step(Takes::Nothing)?;
        OsDisk.file_remove(path)
    }

    fn tree_remove(&self, path: &Path) -> io::Result<()> {
        if let Err(why) = self.0.step(Takes::Nothing) {
            // By half: some name in it is gone.
            if let Some(first) = names(path).ok().and_then(|names| names.into_iter().next()) {
                let _ = fs::remove_file(path.join(first));
            }
            return Err(why);
        }
        OsDisk.tree_remove(path)
    }
}

impl Output for FaultyOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.step(Takes::Space).or_else(|why| self.0.write(&bytes[..bytes.len() / 2]).and(Err(why)))?;
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.step(Takes::Nothing)?;
        self.0.sync()
    }
}

/// An instance in memory, and what there is of each blob when it is asked for.
#[derive(Default)]
struct Instance {
    state: Vec<u8>,
    blobs: BTreeMap<String, (u64, Option<Vec<u8>>)>,
    asked: Cell<usize>,
    /// How often a blob can't be had before it can, and what is said then.
    away: Cell<usize>,
    says: Says,
    /// Which blob it counts as damaged.
    damaged: Option<String>,
}

/// What is said of a blob that can't be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Says {
    /// Not now.
    #[default]
    NotNow,
    /// Half of it, and then no more.
    Half,
    /// That it can't be read.
    Unreadable,
    /// Nothing at all.
    Nothing,
}

impl Instance {
    fn of(state: &str, blobs: &[&str]) -> Self {
        let all = blobs.iter().map(|text| (digest(text), (text.len() as u64, Some(text.as_bytes().to_vec()))));
        Self { state: state.as_bytes().to_vec(), blobs: all.collect(), ..Self::default() }
    }

    fn begun(&self, at: &str) -> Backup {
        Backup {
            backup_id: "b".to_owned(),
            instance: "demo".to_owned(),
            instance_id: "demo-1".to_owned(),
            version: "0.1.0".to_owned(),
            begun: at.to_owned(),
            state_bytes: self.state.len() as u64,
            blobs: self.blobs.len() as u64,
            blob_bytes: 0,
            settings: Some("instance = \"demo\"\n".to_owned()),
            not_copied: vec![],
            in_bucket: false,
        }
    }
}

fn pieces(bytes: &[u8]) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(4).map(|piece| Ok::<_, ClientError>(piece.to_vec().into())).collect();
    stream::iter(pieces).boxed()
}

fn digest(text: &str) -> String {
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}

impl Source for Instance {
    async fn state(&self) -> Result<ByteStream, CliError> {
        Ok(pieces(&self.state))
    }

    async fn blobs(&self, after: Option<&str>) -> Result<Vec<BackupBlob>, CliError> {
        let rest = self.blobs.iter().filter(|(digest, _)| after.is_none_or(|after| digest.as_str() > after));
        let blob = |(digest, (size, _)): (&String, &(u64, _))| BackupBlob {
            digest: digest.clone(),
            size: *size,
            damaged: self.damaged.as_ref() == Some(digest),
        };
        Ok(rest.take(2).map(blob).collect())
    }

    async fn blob(&self, digest: &str) -> Result<Fetched, CliError> {
        self.asked.set(self.asked.get() + 1);
        if self.away.get() > 0 {
            self.away.set(self.away.get() - 1);
            return Ok(match self.says {
                Says::NotNow => Fetched::NotNow(CliError::new(Exit::Other, "busy")),
                Says::Half => {
                    let broken = ClientError::Timeout { endpoint: "http://demo".to_owned() };
                    Fetched::Bytes(stream::iter([Ok(b"hal".to_vec().into()), Err(broken)]).boxed())
                }
                Says::Unreadable => Fetched::Unreadable,
                Says::Nothing => std::future::pending().await,
            });
        }
        Ok(self.blobs[digest].1.as_ref().map_or(Fetched::Gone, |bytes| Fetched::Bytes(pieces(bytes))))
    }
}

fn taken(
    root: &Path,
    disk: &dyn Disk,
    instance: &Instance,
    at: &str,
) -> Result<(String, manifest::Manifest), CliError> {
    // Waiting takes no time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let place = Place::open(root, disk)?;
    runtime.block_on(take(&place, instance, &instance.begun(at), Pace::new(None), |_| {}))
}

const FIRST: &str = "2026-01-01T00:00:00.000Z";
const SECOND: &str = "2026-01-02T00:00:00.000Z";
const THIRD: &str = "2026-01-03T00:00:00.000Z";

fn first() -> Instance {
    Instance::of("state one", &["shared by all", "only in the first"])
}

fn second() -> Instance {
    Instance::of("state two, longer", &["shared by all", "new in the second", "another new one"])
}

/// Every snapshot that is listed is whole; answers how many there are.
fn all_whole(root: &Path) -> usize {
    let place = Place::read(root, &OsDisk).expect("a directory of backups");
    let snapshots = place.snapshots().expect("listed");
    for name in &snapshots {
        let manifest = place.manifest(name).expect("a listed snapshot says what it is");
        for blob in &manifest.blobs {
            let path = place.blob(&name::BlobName::parse(&blob.digest).expect("a digest"));
            assert_eq!(digest(&fs::read_to_string(path).expect("a blob that is named is there")), blob.digest);
        }
        let (path, sum) = place.state(name).expect("sums");
        let mut hasher = Hasher::sha256();
        hasher.update(&fs::read(path).expect("the state is there"));
        assert!(hasher.finish() == sum);
    }
    snapshots.len()
}

/// What is half in a directory of backups.
fn half(root: &Path) -> Vec<String> {
    let mut half = names(&root.join("incoming")).expect("read");
    half.extend(names(&root.join("snapshots")).expect("read").into_iter().filter(|name| name.starts_with('.')));
    half
}

/// Runs `work` with each fault at each step, on a directory that `prepare` has made; then `after`, which is told whether `work` failed.
fn at_every_step(
    prepare: impl Fn(&Path),
    work: impl Fn(&Path, &dyn Disk) -> Result<(), CliError>,
    after: impl Fn(&Path, &str, Result<(), CliError>),
) {
    for fault in [Fault::Kill, Fault::Once, Fault::Full] {
        let mut steps = 0;
        loop {
            let dir = tempfile::tempdir().expect("a directory");
            prepare(dir.path());
            let countdown = Rc::new(Countdown { fault, left: Cell::new(steps), come: Cell::new(false) });
            let done = work(dir.path(), &FaultyDisk(Rc::clone(&countdown)));
            let come = countdown.come.get();
            after(dir.path(), &format!("{fault:?} at step {steps}"), done);
            if !come {
                break;
            }
            steps += 1;
        }
        assert!(steps > 3, "{fault:?}: the fault came {steps} times");
    }
}

#[test]
fn a_backup_that_stops_anywhere_is_not_there_and_the_next_one_is() {
    at_every_step(
        |root| drop(taken(&root.join("b"), &OsDisk, &first(), FIRST).expect("taken")),
        |root, disk| taken(&root.join("b"), disk, &second(), SECOND).map(drop),
        |root, step, done| {
            let root = root.join("b");
            let listed = all_whole(&root);
            assert!(listed == 2 || done.is_err(), "{step}: it succeeded and is not there");
            assert!(listed == 1 || listed == 2, "{step}: {listed} are there");
            if done.is_err() && !step.starts_with("Kill") {
                assert_eq!(half(&root), Vec::<String>::new(), "{step}: half of something stays, and takes space");
            }
            let (_, manifest) =
                taken(&root, &OsDisk, &second(), THIRD).unwrap_or_else(|why| panic!("{step}: {}", why.message));
            assert_eq!((manifest.blobs.len(), manifest.lost.len()), (3, 0), "{step}");
            assert_eq!(all_whole(&root), listed + 1, "{step}");
            assert_eq!(half(&root), Vec::<String>::new(), "{step}");
        },
    );
}

#[test]
fn a_first_backup_that_stops_anywhere_is_taken_by_the_next_run() {
    at_every_step(
        |_| {},
        |root, disk| taken(&root.join("deep/b"), disk, &first(), FIRST).map(drop),
        |root, step, _| {
            taken(&root.join("deep/b"), &OsDisk, &first(), SECOND)
                .unwrap_or_else(|why| panic!("{step}: {}", why.message));
            all_whole(&root.join("deep/b"));
        },
    );
}

#[test]
fn dropping_that_stops_anywhere_is_ended_by_the_next_run() {
    let run = |root: &Path, disk: &dyn Disk| {
        let place = Place::open(&root.join("b"), disk)?;
        let newest = place.snapshots()?.pop_last().expect("there is one");
        keep(&place, 1, &newest).map(drop)
    };
    at_every_step(
        |root| {
            taken(&root.join("b"), &OsDisk, &first(), FIRST).expect("taken");
            taken(&root.join("b"), &OsDisk, &second(), SECOND).expect("taken");
        },
        run,
        |root, step, _| {
            assert!(all_whole(&root.join("b")) >= 1, "{step}");
            run(root, &OsDisk).unwrap_or_else(|why| panic!("{step}: {}", why.message));
            assert_eq!(all_whole(&root.join("b")), 1, "{step}");
            let left = Place::read(&root.join("b"), &OsDisk).and_then(|place| place.blobs()).expect("read");
            assert_eq!(left.len(), 3, "{step}: what only the first needed is gone, and nothing else");
        },
    );
}

/// Whether the data directory is whole: what a server would take.
fn is_whole(data: &Path) -> bool {
    let blob = |text: &str| {
        let path = data.join("registry/blobs").join(name::BlobName::parse(&digest(text)).expect("a digest").path());
        fs::read_to_string(path).is_ok_and(|found| found == text)
    };
    let all = second();
    fs::read(data.join("layer0.db")).is_ok_and(|state| state == all.state)
        && ["shared by all", "new in the second", "another new one"].iter().all(|text| blob(text))
        && data.join("registry/uploads").is_dir()
        && data.join("layer0.toml").is_file()
}

#[test]
fn a_restore_that_stops_anywhere_is_no_instance_before_the_next_run_makes_one() {
    let run = |root: &Path, disk: &dyn Disk| {
        let place = Place::read(&root.join("b"), disk)?;
        restore(&place, None, &root.join("data"), OnDamage::Stop).map(drop)
    };
    at_every_step(
        |root| drop(taken(&root.join("b"), &OsDisk, &second(), FIRST).expect("taken")),
        run,
        |root, step, done| {
            let data = root.join("data");
            let database = data.join("layer0.db").exists();
            assert!(database || done.is_err(), "{step}: it succeeded and is not there");
            if let Err(why) = &done {
                assert!(!why.text().contains("what it has copied stays"), "{step}: nothing stays");
            }
            assert!(!database || is_whole(&data), "{step}: a server would take half of it");
            if done.is_err() || !database {
                run(root, &OsDisk).unwrap_or_else(|why| panic!("{step}: {}", why.message));
            }
            assert!(is_whole(&data), "{step}");
            let mut left = names(&data).expect("read");
            left.sort();
            assert_eq!(left, ["layer0.db", "layer0.toml", "lock", "registry"], "{step}");
        },
    );
}

#[test]
fn what_can_not_be_had_is_named_and_the_rest_is_copied() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("b");
    let mut instance = second();
    instance.blobs.get_mut(&digest("another new one")).expect("there").1 = Some(b"another old one".to_vec());
    instance.blobs.get_mut(&digest("new in the second")).expect("there").1 = None;
    let (_, manifest) = taken(&root, &OsDisk, &instance, FIRST).expect("taken");
    let lost: BTreeMap<_, _> = manifest.lost.iter().map(|it| (it.digest.clone(), it.why)).collect();
    assert_eq!(lost, [(digest("another new one"), Why::Damaged), (digest("new in the second"), Why::Missing)].into());
    assert_eq!((manifest.blobs.len(), half(&root)), (1, vec![]));
    assert_eq!(instance.asked.get(), 5, "what is not right is asked for once more");
    let restored = restore(&Place::read(&root, &OsDisk).expect("read"), None, &dir.path().join("data"), OnDamage::Stop);
    assert_eq!(restored.expect("restored").lost.len(), 2);

    // What is there is not asked for again, though the instance has lost it meanwhile.
    let (_, manifest) = taken(&root, &OsDisk, &second(), SECOND).expect("taken");
    assert_eq!((manifest.copied, manifest.lost.len()), (2, 0));
    instance.asked.set(0);
    let (_, manifest) = taken(&root, &OsDisk, &instance, THIRD).expect("taken");
    assert_eq!((manifest.copied, manifest.lost.len(), instance.asked.get()), (0, 0, 0));
}

#[test]
fn what_can_not_be_had_for_a_while_is_waited_for_and_never_written_down_as_lost() {
    for says in [Says::NotNow, Says::Half] {
        let dir = tempfile::tempdir().expect("a directory");
        let instance = Instance { away: Cell::new(5), says, ..second() };
        let (_, manifest) = taken(dir.path(), &OsDisk, &instance, FIRST).expect("taken");
        assert_eq!((manifest.blobs.len(), manifest.lost.len()), (3, 0), "{says:?}");

        // Where it does not pass there is no snapshot, and what was copied stays for the next run.
        let dir = tempfile::tempdir().expect("a directory");
        taken(dir.path(), &OsDisk, &first(), FIRST).expect("taken");
        let instance = Instance { away: Cell::new(usize::MAX), says, ..second() };
        let why = taken(dir.path(), &OsDisk, &instance, SECOND).expect_err("it never comes");
        assert!(why.text().contains("can't be read now") && why.text().contains("what it has copied stays"));
        assert_eq!((instance.asked.get(), all_whole(dir.path())), (6, 1), "{says:?}");
        let (_, manifest) = taken(dir.path(), &OsDisk, &second(), THIRD).expect("taken");
        assert_eq!((manifest.copied, manifest.lost.len()), (2, 0), "{says:?}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let instance = Instance { away: Cell::new(2), says: Says::Unreadable, ..second() };
    let (_, manifest) = taken(dir.path(), &OsDisk, &instance, FIRST).expect("taken");
    assert_eq!(manifest.lost.iter().map(|it| it.why).collect::<Vec<_>>(), [Why::Unreadable], "said twice");
}

#[test]
fn an_answer_that_never_begins_ends_the_backup() {
    let dir = tempfile::tempdir().expect("a directory");
    let instance = Instance { away: Cell::new(1), says: Says::Nothing, ..first() };
    let why = taken(dir.path(), &OsDisk, &instance, FIRST).expect_err("it never begins");
    assert_eq!((why.exit, why.message.as_str()), (Exit::Connection, "the server says nothing for 600 seconds"));
    assert_eq!(all_whole(dir.path()), 0);
}

#[test]
fn nothing_is_dropped_for_a_snapshot_that_is_not_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    taken(dir.path(), &OsDisk, &first(), FIRST).expect("taken");
    let mut instance = second();
    instance.blobs.get_mut(&digest("another new one")).expect("there").1 = None;
    let (newest, manifest) = taken(dir.path(), &OsDisk, &instance, SECOND).expect("taken");
    assert_eq!(manifest.lost.len(), 1);
    let kept = |newest: &str| keep(&Place::open(dir.path(), &OsDisk).expect("opened"), 1, newest).expect("read");
    assert_eq!((kept(&newest), all_whole(dir.path())), (None, 2));
    let (newest, _) = taken(dir.path(), &OsDisk, &second(), THIRD).expect("taken");
    let dropped = kept(&newest).expect("it is whole");
    assert_eq!((dropped.snapshots.len(), all_whole(dir.path())), (2, 1));
}

#[test]
fn a_blob_that_the_disk_has_lost_is_copied_again_and_one_that_may_not_be_read_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    taken(dir.path(), &OsDisk, &second(), FIRST).expect("taken");
    let place = Place::open(dir.path(), &OsDisk).expect("opened");
    let blob = |text: &str| place.blob(&name::BlobName::parse(&digest(text)).expect("a digest"));
    let (lost, denied) = (blob("new in the second"), blob("another new one"));
    let checked = |errno: i32, of: &Path, times: usize| {
        let left = Cell::new(times);
        let read = |path: &Path, hasher: Hasher| {
            if path == of && left.get() > 0 {
                left.set(left.get() - 1);
                return Err(io::Error::from_raw_os_error(errno));
            }
            check::digest(path, hasher)
        };
        check::check_with(&place, &read).expect("read")
    };
    let (eio, eacces) = (5, 13);
    assert!(checked(eio, &lost, 1).findings.is_empty(), "once may have been the way to the disk");
    let found = checked(eacces, &denied, 9);
    assert_eq!(found.kinds, [check::Kind::Unread].into());
    let found = checked(eio, &place.snapshot("20260101T000000.000Z").join("state.db"), 9);
    assert_eq!((found.kinds.clone(), found.hints().count()), ([check::Kind::Snapshot].into(), 1));
    assert!(lost.is_file() && denied.is_file());
    let found = checked(eio, &lost, 9);
    assert_eq!((found.kinds.clone(), found.findings.len()), ([check::Kind::Blob].into(), 1));
    assert!(found.findings[0].contains("removed") && !lost.exists());
    drop(place);
    let (_, manifest) = taken(dir.path(), &OsDisk, &second(), SECOND).expect("taken");
    assert_eq!(manifest.copied, 1);
}

#[test]
fn a_blob_that_is_damaged_in_the_instance_and_whole_here_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, damaged) = (dir.path().join("b"), digest("another new one"));
    let instance = Instance { damaged: Some(damaged.clone()), ..second() };
    let (_, manifest) = taken(&root, &OsDisk, &instance, FIRST).expect("taken");
    assert_eq!((manifest.lost.len(), manifest.damaged_there.len()), (1, 0), "there is no copy of before");
    taken(&root, &OsDisk, &second(), SECOND).expect("taken");
    let (_, manifest) = taken(&root, &OsDisk, &instance, THIRD).expect("taken");
    assert_eq!((manifest.lost, manifest.damaged_there), (vec![], vec![damaged.clone()]));
    let place = Place::read(&root, &OsDisk).expect("read");
    let restored = restore(&place, None, &dir.path().join("data"), OnDamage::Stop).expect("restored");
    assert_eq!(restored.whole_again, std::slice::from_ref(&damaged));
    // One that is damaged here too is named as that alone.
    fs::remove_file(place.blob(&name::BlobName::parse(&damaged).expect("a digest"))).expect("there");
    let restored = restore(&place, None, &dir.path().join("more"), OnDamage::LeaveOut).expect("restored");
    assert_eq!((restored.whole_again, restored.damaged), (vec![], vec![damaged]));
}

#[test]
fn settings_that_are_there_are_kept_and_that_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("b");
    taken(&root, &OsDisk, &first(), FIRST).expect("taken");
    let place = Place::read(&root, &OsDisk).expect("read");
    let of_instance = first().begun(FIRST).settings.expect("it has some");
    for (there, is_kept) in [(None, false), (Some(of_instance.as_str()), false), (Some("# mine"), true)] {
        let data = tempfile::tempdir().expect("a directory");
        if let Some(there) = there {
            fs::write(data.path().join("layer0.toml"), there).expect("written");
        }
        let restored = restore(&place, None, data.path(), OnDamage::Stop).expect("restored");
        assert_eq!(restored.settings_kept, is_kept, "{there:?}");
        let kept = fs::read_to_string(data.path().join("layer0.toml")).expect("there");
        assert_eq!(kept, there.unwrap_or(&of_instance));
    }
}

#[test]
fn a_restore_that_was_killed_at_its_end_is_told_from_one_of_another_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, data) = (dir.path().join("b"), dir.path().join("data"));
    let (old, _) = taken(&root, &OsDisk, &first(), FIRST).expect("taken");
    let place = Place::read(&root, &OsDisk).expect("read");
    let gone = digest("only in the first");
    fs::remove_file(place.blob(&name::BlobName::parse(&gone).expect("a digest"))).expect("there");
    restore(&place, Some(&old), &data, OnDamage::LeaveOut).expect("restored");
    // As a run leaves it that is killed before its last step.
    fs::create_dir(data.join("restoring")).expect("made");
    drop(place);
    taken(&root, &OsDisk, &second(), SECOND).expect("taken");
    let place = Place::read(&root, &OsDisk).expect("read");
    let why = restore(&place, None, &data, OnDamage::Stop).expect_err("it is of another one");
    assert!(why.exit == Exit::Refused && why.text().contains(&format!("--snapshot {old}")), "{}", why.text());
    assert_eq!(fs::read_to_string(data.join("layer0.db")).expect("there"), "state one");
    let restored = restore(&place, Some(&old), &data, OnDamage::LeaveOut).expect("ended");
    assert_eq!((restored.snapshot, restored.blobs, restored.damaged), (old, 1, vec![gone]));
    assert!(!data.join("restoring").exists());
}

#[test]
fn no_blob_goes_while_a_snapshot_can_not_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    taken(dir.path(), &OsDisk, &first(), FIRST).expect("taken");
    taken(dir.path(), &OsDisk, &second(), SECOND).expect("taken");
    let manifest = dir.path().join("snapshots/20260102T000000.000Z/manifest.json");
    let text = fs::read_to_string(&manifest).expect("there");
    fs::write(&manifest, text.replacen("sha256", "sha255", 1)).expect("written");
    let place = Place::open(dir.path(), &OsDisk).expect("opened");
    let before = place.blobs().expect("read").len();
    let why = keep(&place, 1, "20260102T000000.000Z").expect_err("a manifest is damaged");
    assert!(why.message.contains("20260102T000000.000Z") && why.message.contains("damaged"), "{}", why.message);
    assert_eq!(place.blobs().expect("read").len(), before);
    assert!(check(&place).expect("read").findings.iter().any(|it| it.contains("manifest.json")));
}

#[test]
fn two_commands_do_not_work_in_one_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    taken(dir.path(), &OsDisk, &first(), FIRST).expect("taken");
    let held = Place::open(dir.path(), &OsDisk).expect("opened");
    let refused = |place: Result<Place<'_>, CliError>| place.err().map(|why| why.message).unwrap_or_default();
    assert!(refused(Place::open(dir.path(), &OsDisk)).contains("another command"));
    assert!(refused(Place::read(dir.path(), &OsDisk)).contains("another command"));
    drop(held);
    let one = Place::read(dir.path(), &OsDisk).expect("opened");
    let two = Place::read(dir.path(), &OsDisk).expect("any number may read");
    assert_eq!(one.snapshots().expect("listed"), two.snapshots().expect("listed"));
}
