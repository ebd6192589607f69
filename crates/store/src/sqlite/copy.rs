//! A copy of the whole database as it is at one moment, made while others read and write.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::home::{Home, Stage};
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::registry_store::HeldBlob;
use layer0_domain::port::store::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::convert::{from_integer, from_json, parsed, to_json};
use super::fault::{Fault, Stop};
use super::{BUSY_TIMEOUT, SqliteStore};

/// A blob that a copy of the state names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedBlob {
    /// Which, how long, and whether it was known to be damaged.
    pub held: HeldBlob,
    /// Where its bytes lie, when its digest does not say it.
    pub place: Option<BlobPlace>,
}

/// What a copy says of where the bytes of blobs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiedPlaces {
    /// What the original says: whoever uses the copy has them there too, as in a bucket.
    Kept,
    /// Nothing: whoever uses the copy has them where their digests say.
    LeftOut,
}

/// All blobs, each once, in byte order of their digests.
const BLOBS: &str = "SELECT digest, max(size), \
     EXISTS (SELECT 1 FROM blob_damage WHERE blob_damage.digest = blob_link.digest), \
     (SELECT place FROM blob_place WHERE blob_place.digest = blob_link.digest) \
     FROM blob_link GROUP BY digest ORDER BY digest";

impl SqliteStore {
    /// Copies the database, as it is at one moment, into the file `path`, and answers the blobs that the copy names. The settings
    /// `without` are not in the copy: what makes this one the owner of something must not come along; moves to another backing are at
    /// their end there. The file is not there, or
    /// empty; its directory is the caller's own. The copy is an ordinary database without a WAL, read once more to see that
    /// it is whole, and is not synced. Others read and write meanwhile: it is one read transaction on a connection of its own, so the
    /// WAL grows by what is written in that time.
    ///
    /// # Errors
    /// `Full`; `Failed`, also for a store in memory, which has nothing to copy from. What was written of the file stays.
    pub async fn copy_to(
        &self,
        path: PathBuf,
        without: &'static [&'static str],
        places: CopiedPlaces,
    ) -> Result<Vec<CopiedBlob>, StoreError> {
        let Some(source) = self.shared.path.clone() else {
            return Err(StoreError::Failed { source: "a store in memory can't be copied".into() });
        };
        let copied = tokio::task::spawn_blocking(move || copy(&source, &path, without, places));
        match copied.await {
            Ok(copied) => copied.map_err(Stop::into_error),
            Err(broken) => Err(StoreError::Failed { source: broken.into() }),
        }
    }
}

fn copy(
    source: &Path,
    path: &Path,
    without: &[&str],
    places: CopiedPlaces,
) -> Result<Vec<CopiedBlob>, Stop<StoreError>> {
    let unmade = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Stop::Refused(StoreError::Full),
        _ => Stop::Refused(StoreError::Failed { source: why.into() }),
    };
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(unmade)?;
    let target = path.to_str().ok_or(Fault::Unstorable { what: "path of the copy" })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let live = Connection::open_with_flags(source, flags)?;
    live.busy_timeout(BUSY_TIMEOUT)?;
    // One transaction, whatever is committed meanwhile. (The backup API begins anew at every commit of another connection.)
    live.execute("VACUUM INTO ?1", [target])?;
    drop(live);
    let copy = Connection::open_with_flags(path, flags)?;
    // The copy is this function's alone, and worthless when it fails: no file for a journal beside it.
    copy.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    copy.execute_batch("PRAGMA synchronous = OFF; PRAGMA secure_delete = ON")?;
    for key in without {
        copy.execute("DELETE FROM setting WHERE key = ?1", [key])?;
    }
    moves_end(&copy)?;
    let said: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(Fault::Unreadable { what: "database" }.into());
    }
    let blobs = blobs(&copy)?;
    if places == CopiedPlaces::LeftOut {
        copy.execute("DELETE FROM blob_place", [])?;
    }
    Ok(blobs)
}

/// Ends what is under way between two backings: the original goes on with it, and whoever uses the copy would delete there what it no
/// longer knows of.
fn moves_end(copy: &Connection) -> Result<(), Stop<StoreError>> {
    let mut select = copy.prepare("SELECT repository, body FROM repository_home")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for (repository, body) in rows.collect::<Result<Vec<_>, _>>()? {
        let mut home: Home = from_json("repository home", &body)?;
        let migration = &mut home.migration;
        migration.stage = match migration.stage {
            Stage::Copying | Stage::Closing(_) | Stage::Cancelling => Stage::Failed,
            Stage::Clearing => Stage::Moved,
            Stage::Moved | Stage::Cleared | Stage::Failed | Stage::Refused | Stage::Cancelled => continue,
        };
        migration.why =
            Some("it was under way when the backup was taken that this instance was restored from".to_owned());
        let body = to_json("repository home", &home)?;
        copy.execute("UPDATE repository_home SET body = ?2 WHERE repository = ?1", [repository, body])?;
    }
    Ok(())
}

fn blobs(copy: &Connection) -> Result<Vec<CopiedBlob>, Stop<StoreError>> {
    let mut select = copy.prepare(BLOBS)?;
    let mut rows = select.query([])?;
    let mut blobs = Vec::new();
    while let Some(row) = rows.next()? {
        let digest = parsed("blob digest", Digest::parse(parsed("blob digest", row.get_ref(0)?.as_str())?))?;
        let held = HeldBlob { digest, size: from_integer("blob size", row.get(1)?)?, damaged: row.get(2)? };
        blobs.push(CopiedBlob { held, place: row.get::<_, Option<String>>(3)?.map(BlobPlace::new) });
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::home::{Migration, Source, Tally, Target};
    use layer0_domain::model::image::RepositoryName;
    use layer0_domain::model::placement::BackingName;
    use layer0_domain::model::registry::{Repository, Visibility};
    use layer0_domain::model::time::{Generation, Timestamp};
    use layer0_domain::port::home_store::HomeStore as _;
    use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore as _};
    use layer0_domain::port::store::Store as _;

    use super::*;

    fn moving(repository: &RepositoryName, stage: Stage) -> Home {
        let backing = |name: &str| BackingName::parse(name).expect("a name");
        let migration = Migration {
            from: backing("local"),
            to: backing("ecr"),
            stage,
            source: Source::Delete,
            target: Target::Made,
            asked: Timestamp(1),
            tally: Tally::default(),
            trouble: None,
            why: None,
            problems: Vec::new(),
            problems_more: 0,
            kept: Vec::new(),
        };
        Home { repository: repository.clone(), backing: backing("ecr"), migration, generation: Generation::default() }
    }

    #[tokio::test]
    async fn a_copy_is_the_state_of_one_moment_and_a_database_that_opens() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&dir.path().join("layer0.db")).expect("opened");
        let name = RepositoryName::parse("team/app").expect("a name");
        let repository = Repository { name: name.clone(), created: Timestamp(1), visibility: Visibility::Private };
        store.repository_create(&repository).await.expect("made");
        let link = |text: &[u8], place: Option<&str>| BlobLink {
            digest: Digest::sha256_of(text),
            size: text.len() as u64,
            sums: Some(layer0_domain::model::registry::BlobSums { piece: 65_536, sums: vec![0] }),
            place: place.map(BlobPlace::new),
        };
        store.blob_link(&name, &link(b"one", None), Timestamp(1), &Along::NOTHING).await.expect("linked");
        store.blob_link(&name, &link(b"two!", Some("k/2")), Timestamp(1), &Along::NOTHING).await.expect("linked");
        store.blob_condemn(&Digest::sha256_of(b"one"), Timestamp(2)).await.expect("condemned");
        // Writers go on while the copy is made; each write is in it or is not.
        let writing = {
            let store = store.clone();
            tokio::spawn(async move {
                for at in 0..200_u32 {
                    store.setting_get_or_put(&format!("key.{at}"), &[7; 4_000]).await.expect("written");
                }
            })
        };
        store.setting_get_or_put("owner.of", b"a bucket").await.expect("written");
        store.home_put(&moving(&name, Stage::Clearing), None).await.expect("written");
        let path = dir.path().join("copy.db");
        let mut blobs =
            store.copy_to(path.clone(), &["owner.of", "never.set"], CopiedPlaces::LeftOut).await.expect("copied");
        writing.await.expect("written");
        blobs.sort_by_key(|it| it.held.size);
        let seen: Vec<_> =
            blobs.iter().map(|it| (it.held.size, it.held.damaged, it.place.as_ref().map(BlobPlace::as_str))).collect();
        assert_eq!(seen, [(3, true, None), (4, false, Some("k/2"))]);
        let owner = async |of: &SqliteStore| of.setting_get("owner.of").await.expect("read").is_some();
        let copy = SqliteStore::open(&path).expect("it has our mark and our schema");
        assert!(owner(&store).await && !owner(&copy).await, "what was to stay behind is in the original alone");
        assert_eq!(copy.repository_get(&name).await.expect("read"), Some(repository));
        let stage =
            async |of: &SqliteStore| of.home_get(&name).await.expect("read").expect("it is there").migration.stage;
        assert_eq!(
            (stage(&store).await, stage(&copy).await),
            (Stage::Clearing, Stage::Moved),
            "it deletes nothing there"
        );
        let place = async |of: &SqliteStore| of.blob_place(&Digest::sha256_of(b"two!")).await.expect("read");
        assert_eq!((place(&store).await, place(&copy).await), (Some(BlobPlace::new("k/2")), None));
        let with = dir.path().join("with.db");
        store.copy_to(with.clone(), &[], CopiedPlaces::Kept).await.expect("copied");
        assert_eq!(place(&SqliteStore::open(&with).expect("it opens")).await, Some(BlobPlace::new("k/2")));
        let mut ended = false;
        for at in 0..200_u32 {
            let there = copy.setting_get(&format!("key.{at}")).await.expect("read").is_some();
            assert!(!(ended && there), "key {at} was written after one that is missing");
            ended |= !there;
        }
        assert!(matches!(
            SqliteStore::in_memory().copy_to(path, &[], CopiedPlaces::Kept).await,
            Err(StoreError::Failed { .. })
        ));
    }
}
