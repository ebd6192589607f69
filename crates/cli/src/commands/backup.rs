//! `l0 admin backup`, `l0 admin backups` and `l0 admin restore`.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use layer0_api::client::{ByteStream, Client, ClientError};
use layer0_api::shell::shell_word;
use layer0_api::types::{Backup, BackupBlob, BackupBlobQuery};
use serde::Serialize;

use crate::app::App;
use crate::args::admin::{Backups, Restore, TakeBackup};
use crate::backup::disk::OsDisk;
use crate::backup::manifest::{Lost, Manifest};
use crate::backup::{self, Dropped, Fetched, OnDamage, Pace, Place, Progress, Restored, Source};
use crate::error::{CliError, Exit};
use crate::printer::Printer;
use crate::printer::rows::moment;
use crate::printer::table::Table;
use crate::progress::Share;
use crate::size::rounded;

/// How long the server may take to be told that a backup was ended early.
const GIVE_UP: Duration = Duration::from_secs(2);

/// How many damaged blobs are named in a text; JSON names all.
const NAMED: usize = 20;

/// A server that makes a backup ready.
struct Server<'a> {
    app: &'a App,
    client: &'a Client,
    id: &'a str,
}

impl Source for Server<'_> {
    async fn state(&self) -> Result<ByteStream, CliError> {
        self.client.admin_backup_state(self.id).await.map_err(|why| self.app.error(why))
    }

    async fn blobs(&self, after: Option<&str>) -> Result<Vec<BackupBlob>, CliError> {
        let query = BackupBlobQuery { after: after.map(str::to_owned) };
        let page = self.client.admin_backup_blobs(self.id, &query).await;
        page.map(|page| page.blobs).map_err(|why| self.app.error(why))
    }

    async fn blob(&self, digest: &str) -> Result<Fetched, CliError> {
        match self.client.admin_backup_blob(self.id, digest).await {
            Ok(bytes) => Ok(Fetched::Bytes(bytes)),
            Err(why) if why.code() == Some("BlobDoesNotExist") => Ok(Fetched::Gone),
            Err(ClientError::Refused { status: 500, .. }) => Ok(Fetched::Unreadable),
            // The server's own, and what stands before it: neither says anything about the bytes.
            Err(
                why @ (ClientError::Refused { status: 429 | 503, .. } | ClientError::Foreign { status: 502..=504, .. }),
            ) => Ok(Fetched::NotNow(self.app.error(why))),
            Err(why) => Err(self.app.error(why)),
        }
    }
}

/// The result of a backup as programs get it.
#[derive(Serialize)]
struct Outcome {
    snapshot: String,
    instance: String,
    begun: String,
    state_bytes: u64,
    blobs: usize,
    blob_bytes: u64,
    copied: u64,
    copied_bytes: u64,
    lost: Vec<Lost>,
    not_copied: Vec<String>,
    dropped: Option<Dropped>,
}

pub(crate) async fn take(app: &App, args: &TakeBackup) -> Result<(), CliError> {
    let rate = match args.rate {
        None => None,
        Some(rate) => Some(
            u32::try_from(rate)
                .ok()
                .and_then(NonZeroU32::new)
                .ok_or_else(|| CliError::usage(format!("--rate must be a number from 1 to {}", u32::MAX)))?,
        ),
    };
    if args.keep == Some(0) {
        return Err(CliError::usage("--keep must be at least 1"));
    }
    let place = Place::open(&args.directory, &OsDisk)?;
    let begun = app.client.admin_backup().await.map_err(|why| app.error(why))?;
    *app.backing_up.borrow_mut() = Some(begun.backup_id.clone());
    let taken = taken(app, &place, &begun, Pace::new(rate)).await;
    end(app).await;
    let (snapshot, manifest) = taken?;
    // Old ones go when the new one is there and whole, and only then.
    let dropped = args.keep.map(|keep| backup::keep(&place, keep, &snapshot)).transpose();
    let (dropped, undropped) = match dropped {
        Ok(dropped) => (dropped.flatten(), None),
        Err(why) => (None, Some(why)),
    };
    if args.keep.is_some() && dropped.is_none() && undropped.is_none() {
        app.printer.warn("no old backup was dropped: this one is not whole, and an older one may have what it lacks");
    }
    if let Some(last) = backup::ahead(&place.snapshots()?, &snapshot).pop() {
        app.printer.warn(&format!(
            "backup `{last}` says that it is later than this one: the server's clock was ahead then, and a restore that names none takes it"
        ));
    }
    let outcome = Outcome {
        snapshot,
        instance: manifest.instance.clone(),
        begun: manifest.begun.clone(),
        state_bytes: manifest.state_bytes,
        blobs: manifest.blobs.len(),
        blob_bytes: manifest.blob_bytes(),
        copied: manifest.copied,
        copied_bytes: manifest.copied_bytes,
        lost: manifest.lost,
        not_copied: manifest.not_copied,
        dropped,
    };
    app.printer.result(&outcome, said)?;
    judge(&outcome)?;
    // The new one is there and whole, whatever keeps the old ones from being dropped.
    undropped.map_or(Ok(()), Err)
}

/// Ends the backup that the server keeps ready, if there is one: what it keeps for that goes now, and else after a while.
async fn end(app: &App) {
    let under_way = app.backing_up.borrow_mut().take();
    if let Some(id) = under_way
        && let Err(why) = app.client.admin_backup_end(&id).await
    {
        app.printer.debug(|| why.to_string());
    }
}

/// The same, when the command is ended early and nobody waits for long.
pub(crate) async fn give_up(app: &App) {
    if tokio::time::timeout(GIVE_UP, end(app)).await.is_err() {
        app.printer.debug(|| "the server was not told that the backup has ended".to_owned());
    }
}

async fn taken(app: &App, place: &Place<'_>, begun: &Backup, pace: Pace) -> Result<(String, Manifest), CliError> {
    let mut share = Share::new(app);
    let source = Server { app, client: &app.client, id: &begun.backup_id };
    let tell = |it: Progress| {
        let (done, all, copied) = (rounded(it.bytes), rounded(begun.blob_bytes), rounded(it.copied_bytes));
        share.show(
            it.bytes,
            begun.blob_bytes,
            &format!("{} of {} blobs, {done} of {all}, {copied} copied", it.blobs, begun.blobs),
        );
    };
    backup::take(place, &source, begun, pace, tell).await
}

fn said(it: &Outcome) -> String {
    let mut text = format!(
        "Backup {} of instance `{}`: state {}, {} ({}), of which {} copied now ({}).\n",
        it.snapshot,
        it.instance,
        rounded(it.state_bytes),
        blobs(u64::try_from(it.blobs).unwrap_or(u64::MAX)),
        rounded(it.blob_bytes),
        it.copied,
        rounded(it.copied_bytes),
    );
    if !it.not_copied.is_empty() {
        text.push_str(&format!("What lies in ECR ({}) is not in it: AWS keeps it.\n", it.not_copied.join(", ")));
    }
    if let Some(dropped) = it.dropped.as_ref().filter(|dropped| !dropped.snapshots.is_empty() || dropped.blobs > 0) {
        let (count, went) = (dropped.snapshots.len(), rounded(dropped.bytes));
        let snapshots = if count == 1 { "1 old backup".to_owned() } else { format!("{count} old backups") };
        text.push_str(&format!("Dropped {snapshots}, and {} that none needs ({went}).\n", blobs(dropped.blobs)));
    }
    text
}

fn blobs(count: u64) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

/// How the command ends.
fn judge(outcome: &Outcome) -> Result<(), CliError> {
    let lost = &outcome.lost;
    if lost.is_empty() {
        return Ok(());
    }
    let said = format!(
        "{} of the instance could not be had; the backup has the rest",
        blobs(u64::try_from(lost.len()).unwrap_or(u64::MAX))
    );
    let mut error = CliError::new(Exit::Failed, said);
    error.details = listed(lost.iter().map(|it| format!("  {} is {}", it.digest, it.why.word())));
    Err(error
        .hint("`l0 admin verify` names the images that need them; push those again")
        .field("Lost", serde_json::json!(lost)))
}

fn listed(all: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = all.len().saturating_sub(NAMED);
    let mut lines: Vec<String> = all.take(NAMED).collect();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// A snapshot as programs get it.
#[derive(Serialize)]
struct Row {
    snapshot: String,
    /// What can't be read of it.
    error: Option<String>,
    #[serde(flatten)]
    is: Option<Seen>,
}

#[derive(Serialize)]
struct Seen {
    instance: String,
    version: String,
    begun: String,
    state_bytes: u64,
    blobs: usize,
    blob_bytes: u64,
    copied_bytes: u64,
    lost: usize,
}

/// Lists the snapshots of a directory, or reads them all again.
pub(crate) fn list(printer: &Printer, args: &Backups) -> Result<(), CliError> {
    if args.check {
        return check(printer, &args.directory);
    }
    let place = Place::read(&args.directory, &OsDisk)?;
    let mut rows = Vec::new();
    for snapshot in place.snapshots()? {
        let (is, error) = match place.manifest(&snapshot) {
            Ok(it) => {
                let seen = Seen {
                    blobs: it.blobs.len(),
                    blob_bytes: it.blob_bytes(),
                    instance: it.instance,
                    version: it.version,
                    begun: it.begun,
                    state_bytes: it.state_bytes,
                    copied_bytes: it.copied_bytes,
                    lost: it.lost.len(),
                };
                (Some(seen), None)
            }
            Err(why) => (None, Some(why.message)),
        };
        rows.push(Row { snapshot, error, is });
    }
    printer.result(&rows, |rows| table(rows))
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&["SNAPSHOT", "INSTANCE", "VERSION", "STATE", "BLOBS", "SIZE", "NEW", "LOST"]);
    for Row { snapshot, error, is } in rows {
        match is {
            Some(it) => table.row([
                snapshot.as_str(),
                &it.instance,
                &it.version,
                &rounded(it.state_bytes),
                &it.blobs.to_string(),
                &rounded(it.blob_bytes),
                &rounded(it.copied_bytes),
                &it.lost.to_string(),
            ]),
            None => table.row([snapshot.as_str(), error.as_deref().unwrap_or_default()]),
        }
    }
    table.text()
}

fn check(printer: &Printer, directory: &Path) -> Result<(), CliError> {
    let place = Place::open_made(directory, &OsDisk)?;
    // That nothing is damaged says nothing where nothing is: a path that is mistyped, a disk that is not mounted.
    if place.snapshots()?.is_empty() {
        return Err(CliError::new(Exit::NotFound, format!("there is no backup in {}", directory.display())));
    }
    let checked = backup::check(&place)?;
    printer.result(&checked, |it| {
        let snapshots = if it.snapshots == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", it.snapshots) };
        format!("Read {snapshots} and {} ({}).\n", blobs(it.blobs), rounded(it.bytes))
    })?;
    if checked.findings.is_empty() {
        return Ok(());
    }
    let count = checked.findings.len();
    let found = if count == 1 {
        "1 thing is not as it should be".to_owned()
    } else {
        format!("{count} things are not as they should be")
    };
    let mut error = CliError::new(Exit::Failed, format!("{found} in the backups"));
    error.details = listed(checked.findings.iter().map(|finding| format!("  {finding}")));
    Err(checked.hints().fold(error, CliError::hint))
}

/// Restores a snapshot into a data directory.
pub(crate) fn restore(printer: &Printer, args: &Restore) -> Result<(), CliError> {
    let on_damage = if args.without_damaged { OnDamage::LeaveOut } else { OnDamage::Stop };
    let place = Place::read(&args.directory, &OsDisk)?;
    let restored = backup::restore(&place, args.snapshot.as_deref(), &args.data_dir, on_damage)?;
    printer.result(&restored, |it| restored_said(it, &args.data_dir))?;
    if restored.settings_kept {
        printer.warn(&format!(
            "{} was there and is kept; that of the instance says something else, and is in the backup",
            args.data_dir.join("layer0.toml").display()
        ));
    }
    for lost in &restored.lost {
        printer.warn(&format!(
            "{} was {} when the backup was taken; push the images that need it again",
            lost.digest,
            lost.why.word()
        ));
    }
    for digest in &restored.damaged {
        printer.warn(&format!("{digest} is damaged in the backup; push the images that need it again"));
    }
    if let Some(said) = whole_again_said(&restored) {
        printer.warn(&said);
    }
    if !restored.not_copied.is_empty() {
        printer.warn(&format!("what lies in ECR ({}) is as it is there now", restored.not_copied.join(", ")));
    }
    Ok(())
}

/// What the state says of blobs that were restored whole has to be put right by the instance: it counts them as missing until then.
fn whole_again_said(it: &Restored) -> Option<String> {
    let count = u64::try_from(it.whole_again.len()).unwrap_or(u64::MAX);
    let (verb, they) = if count == 1 { ("is", "it counts") } else { ("are", "they count") };
    (count > 0).then(|| {
        format!(
            "{} counted as damaged in the instance and {verb} whole here: run `l0 admin verify` on the restored one; {they} as missing until then",
            blobs(count)
        )
    })
}

fn restored_said(it: &Restored, data_dir: &Path) -> String {
    // `layer0.toml` comes along, and may name the bucket: that one is not the restored instance's own.
    let backing = if it.in_bucket { " --registry-backing disk" } else { "" };
    // Both would write the same policies, each as its own state has it.
    let (grants, and_grants) = match it.not_copied.is_empty() {
        true => ("", ""),
        false => (" --account-grants off", ", and write each other's grants away"),
    };
    format!(
        "Restored instance `{}` as it was at {} UTC: {} ({}).\nNo token is kept in the directory: those that were known then are good again, and \
         `--new-admin-token` at its start makes another one.\nWhere the other one still runs, or to look at it first, start it with `--engine none{grants}`: two \
         of one instance take each other's containers away{and_grants}.\nIt was written by version {}; start it, with the flags that it had: l0 server --data-dir {}{backing}\n",
        it.instance,
        moment(&it.begun),
        blobs(it.blobs),
        rounded(it.bytes),
        it.version,
        shell_word(&data_dir.to_string_lossy()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_of_nothing_does_not_say_that_all_is_well() {
        let dir = tempfile::tempdir().expect("a directory");
        let printer = Printer::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let root = dir.path().join("b");
        let refused = |printer: &Printer| check(printer, &root).expect_err("there is nothing").message;
        assert!(refused(&printer).contains("no directory of backups"));
        assert!(!root.exists(), "none is made");
        drop(Place::open(&root, &OsDisk).expect("made"));
        assert!(refused(&printer).contains("there is no backup in"));
    }

    #[test]
    fn what_is_still_to_be_done_after_a_restore_is_said() {
        let mut restored = Restored {
            snapshot: "20260101T000000.000Z".to_owned(),
            instance: "demo".to_owned(),
            version: "0.1.0".to_owned(),
            begun: "2026-01-01T00:00:00.000Z".to_owned(),
            blobs: 1,
            bytes: 5,
            lost: vec![],
            damaged: vec![],
            whole_again: vec!["sha256:1".to_owned(), "sha256:2".to_owned()],
            not_copied: vec![],
            settings_kept: false,
            in_bucket: true,
        };
        let said = |it: &Restored| restored_said(it, Path::new("./data"));
        assert!(said(&restored).ends_with("l0 server --data-dir ./data --registry-backing disk\n"));
        assert!(said(&restored).contains("No token is kept") && said(&restored).contains("--new-admin-token"));
        assert!(whole_again_said(&restored).is_some_and(|it| it.starts_with("2 blobs counted as damaged")));
        restored.whole_again.clear();
        assert_eq!(whole_again_said(&restored), None);
        let spaced = restored_said(&restored, Path::new("/my data"));
        assert!(spaced.contains("l0 server --data-dir '/my data' "), "{spaced}");
        restored.in_bucket = false;
        assert!(said(&restored).ends_with("l0 server --data-dir ./data\n"));
    }
}
