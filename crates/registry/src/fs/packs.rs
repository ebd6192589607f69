//! Small blobs, many to a file: `packs/<number>`. Synchronous; callers are on blocking threads.
//!
//! A file for each of them would cost two waits for the disk and three changes of names. Here those who come at the same time share
//! one write to the disk, and no name changes (`docs/decisions/0029-packs.md`).
//!
//! ```text
//!   mark · zeros │ header · bytes · zeros │ header · bytes · zeros │ …      each part begins where a block of the disk does
//! ```
//! A pack is written by one process, from its begin to its end, and never gone on with: so no two records lie over each other, also
//! where a write went wrong or a power loss has left a part of one. A record that is removed becomes a hole, which gives its blocks
//! back. Where a record lies, the store knows; what is in its header is for whoever goes through a pack to find those that
//! nobody names. The mark is chance and stands in each header, so that no blob can hold what looks like one.

mod record;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::time::Timestamp;

use self::record::{BLOCK, HEADER, MARK, header, read};
pub(super) use self::record::{PackPlace, Record};
use super::content::PackContent;
use crate::aligned::Aligned;
use crate::content::is_loss;
use crate::disk::{Disk, DiskFile, DiskRead, found};

/// A pack that has so much takes no more: one that lost all its blobs gives back its name too.
const FULL: u64 = 256 << 20;

/// Those who come while others are being written: the first of them writes for all.
#[derive(Default)]
struct Group {
    state: Mutex<Gathered>,
    done: Condvar,
}

#[derive(Default)]
struct Gathered {
    records: Vec<Record>,
    /// What became of them, in their order.
    outcome: Option<Result<Vec<PackPlace>, Arc<io::Error>>>,
}

impl Group {
    fn state(&self) -> MutexGuard<'_, Gathered> {
        lock(&self.state)
    }

    fn end(&self, outcome: Result<Vec<PackPlace>, Arc<io::Error>>) {
        self.state().outcome.get_or_insert(outcome);
        self.done.notify_all();
    }

    /// Waits for what became of one of them.
    fn wait(&self, number: usize) -> io::Result<PackPlace> {
        let mut state = self.state();
        loop {
            match &state.outcome {
                Some(Ok(places)) => return Ok(places[number]),
                Some(Err(error)) => {
                    return Err(match error.raw_os_error() {
                        Some(code) => io::Error::from_raw_os_error(code),
                        None => io::Error::new(error.kind(), Arc::clone(error)),
                    });
                }
                None => state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Ends a group for those who wait when its first one panics.
struct Ending<'a>(&'a Group);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end(Err(Arc::new(io::Error::other("whoever wrote the pack ended in the middle"))));
    }
}

/// The pack that is being written.
struct Current {
    number: u32,
    mark: [u8; MARK],
    file: Box<dyn DiskFile>,
    next: u64,
    /// How long the file is.
    end: u64,
}

/// Who reads a record, and whether it goes when they have ended.
#[derive(Default)]
struct Use {
    readers: usize,
    goes: bool,
}

#[derive(Default)]
struct Uses {
    read: HashMap<PackPlace, Use>,
    /// Records that are on their way to being named: whoever wants one removed has looked before it was.
    brought: HashSet<PackPlace>,
    /// Records that are being removed at this moment.
    going: HashSet<PackPlace>,
    /// Records that nobody reads any more, and that were to go.
    over: Vec<PackPlace>,
}

/// The directory of packs.
pub(super) struct Packs {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Those who will be written next.
    gathering: Mutex<Option<Arc<Group>>>,
    /// Held by whoever writes.
    current: Mutex<Option<Current>>,
    uses: Mutex<Uses>,
}

/// What is under these locks is whole at every moment that somebody could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Sixteen bytes that nobody can guess: the keys of these hashes are the system's randomness.
fn mark() -> [u8; MARK] {
    let mut mark = [0; MARK];
    for half in mark.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    mark
}

impl Packs {
    pub(super) fn new(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { disk, root, gathering: Mutex::default(), current: Mutex::default(), uses: Mutex::default() }
    }

    fn path(&self, number: u32) -> PathBuf {
        self.root.join(format!("{number:08x}"))
    }

    /// Keeps a record; returns when it is on the disk. It is not removed while what is answered lives, so that a search for strays
    /// does not take it before it is linked.
    pub(super) fn put(self: &Arc<Self>, record: Record) -> io::Result<Brought> {
        Ok(Brought { place: self.keep(record)?, packs: Arc::clone(self) })
    }

    fn keep(&self, record: Record) -> io::Result<PackPlace> {
        let (group, number) = {
            let mut gathering = lock(&self.gathering);
            let group = Arc::clone(gathering.get_or_insert_default());
            let mut state = group.state();
            state.records.push(record);
            let number = state.records.len() - 1;
            drop(state);
            (group, number)
        };
        if number == 0 {
            let ending = Ending(&group);
            let mut current = lock(&self.current);
            // Whoever comes from here on is in the next one.
            lock(&self.gathering).take();
            let mut records = std::mem::take(&mut group.state().records);
            let written = self.write(&mut current, &mut records);
            drop(current);
            group.end(written.map_err(Arc::new));
            drop(ending);
        }
        group.wait(number)
    }

    /// Writes records into the pack that is being written, or a new one. After an error that pack takes no more: what is in
    /// it from there on is not known.
    fn write(&self, current: &mut Option<Current>, records: &mut [Record]) -> io::Result<Vec<PackPlace>> {
        let (mut pack, before) = match current.take().filter(|pack| self.takes_more(pack)) {
            Some(pack) => (pack, None),
            None => self.begin()?,
        };
        let begin = pack.next;
        let places = pack.places(records);
        lock(&self.uses).brought.extend(places.iter().copied());
        let written = pack.write(records, &places);
        match written {
            Ok(()) => {
                *current = Some(pack);
                // It was kept for its number, which is given no more now that a record lies behind it.
                if let Some(before) = before {
                    self.end(before).ok();
                }
                Ok(places)
            }
            Err(error) => {
                let mut uses = lock(&self.uses);
                for place in &places {
                    uses.brought.remove(place);
                }
                drop(uses);
                // It gives back what it can: the disk may be full.
                if begin == BLOCK {
                    self.disk.file_remove(&self.path(pack.number)).ok();
                } else {
                    pack.file.punch(begin, pack.next - begin).ok();
                }
                Err(error)
            }
        }
    }

    /// Whether a pack can be gone on with. Somebody may have taken it away, or cut it off: what is written into it then is nowhere.
    fn takes_more(&self, pack: &Current) -> bool {
        let is_whole = |metadata: fs::Metadata| metadata.len() >= pack.end;
        pack.next < FULL && self.disk.file_metadata(&self.path(pack.number)).is_ok_and(is_whole)
    }

    /// Begins a pack, with the next number; answers what was the last one before. A number with which the place of a record was told is
    /// never given again, since that place is not either.
    fn begin(&self) -> io::Result<(Current, Option<u32>)> {
        let last = self.numbers()?.last().copied();
        let number = last.map_or(0, |last| last + 1);
        let path = self.path(number);
        // That its directory is gone is no word about an upload.
        self.disk.file_make(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(error),
            _ => error,
        })?;
        let begun = self.disk.file_open(&path).and_then(|mut file| {
            let mark = mark();
            let mut first = Aligned::zeroed(usize::try_from(BLOCK).expect("it is small"));
            first[..MARK].copy_from_slice(&mark);
            file.write_at(&first, 0)?;
            self.disk.directory_sync(&self.root)?;
            Ok(Current { number, mark, file, next: BLOCK, end: BLOCK })
        });
        if begun.is_err() {
            self.disk.file_remove(&path).ok();
        }
        Ok((begun?, last))
    }

    /// Takes a pack away in which nothing is left. The caller holds what is written, and knows that it is another one.
    fn end(&self, number: u32) -> io::Result<()> {
        if self.is_empty(number)? { found(self.disk.file_remove(&self.path(number))).map(drop) } else { Ok(()) }
    }

    /// Whether a pack is there and all holes behind its mark.
    fn is_empty(&self, number: u32) -> io::Result<bool> {
        match found(self.disk.file_read(&self.path(number)))? {
            Some(file) => Ok(file.next_data(BLOCK)?.is_none()),
            None => Ok(false),
        }
    }

    /// The numbers of all packs, in order. What is named otherwise is none of ours.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let Some(entries) = found(fs::read_dir(&self.root))? else { return Ok(Vec::new()) };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().filter(|name| name.len() == 8).and_then(|it| u32::from_str_radix(it, 16).ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The right to read a record; `None` when it is being removed.
    fn reading(self: &Arc<Self>, place: PackPlace) -> Option<Reading> {
        let mut uses = lock(&self.uses);
        if uses.going.contains(&place) {
            return None;
        }
        uses.read.entry(place).or_default().readers += 1;
        Some(Reading { packs: Arc::clone(self), place })
    }

    /// Opens a record; `None` when it isn't there. It stays readable for as long as the content lives.
    pub(super) fn open(self: &Arc<Self>, place: PackPlace) -> io::Result<Option<PackContent>> {
        let Some(file) = found(self.disk.file_read(&self.path(place.pack)))? else { return Ok(None) };
        let Some(reading) = self.reading(place) else { return Ok(None) };
        let there = file.metadata()?.len().saturating_sub(place.begin());
        match place.written(&*file) {
            Ok(None) => return Ok(None),
            // What the disk has lost of the header it may not have lost of the rest: whoever reads on finds out.
            Err(error) if !is_loss(&error) => return Err(error),
            Ok(Some(_)) | Err(_) => {}
        }
        Ok(Some(PackContent::new(file, place.begin(), place.length.min(there), reading)))
    }

    /// As [`Packs::open`], when nothing has to be waited for.
    pub(super) fn open_ready(self: &Arc<Self>, place: PackPlace) -> Option<PackContent> {
        let file = self.disk.file_read_ready(&self.path(place.pack))?;
        let reading = self.reading(place)?;
        let there = file.metadata().ok()?.len().saturating_sub(place.begin());
        let mut said = [0; HEADER];
        let is_there = file.read_ready(&mut said, place.offset) && place.is_said(&said);
        is_there.then(|| PackContent::new(file, place.begin(), place.length.min(there), reading))
    }

    /// How much there is of a record, and when its pack was last written to, as far as its pack's length tells; `None` when the pack
    /// isn't there.
    pub(super) fn glance(&self, place: PackPlace) -> io::Result<Option<(u64, fs::Metadata)>> {
        let metadata = found(self.disk.file_metadata(&self.path(place.pack)))?;
        Ok(metadata.map(|metadata| (place.length.min(metadata.len().saturating_sub(place.begin())), metadata)))
    }

    /// As [`Packs::glance`], when nothing has to be waited for.
    pub(super) fn glance_ready(&self, place: PackPlace) -> Option<(u64, fs::Metadata)> {
        let metadata = self.disk.file_metadata_ready(&self.path(place.pack))?;
        Some((place.length.min(metadata.len().saturating_sub(place.begin())), metadata))
    }

    /// When a record was written, by its header; `None` when there is no such record.
    pub(super) fn written(&self, place: PackPlace) -> io::Result<Option<Timestamp>> {
        let Some(file) = found(self.disk.file_read(&self.path(place.pack)))? else { return Ok(None) };
        place.written(&*file)
    }

    /// Makes a record a hole, once nobody reads it any more, and takes its pack away when nothing is left in that. None there is no
    /// error, nor is one that is being brought, which stays. Not synced: what comes back after a power cut is only space.
    pub(super) fn remove(&self, place: PackPlace) -> io::Result<()> {
        let gone = {
            let uses = &mut *lock(&self.uses);
            let mut gone = Vec::new();
            for over in std::mem::take(&mut uses.over) {
                match uses.read.get_mut(&over) {
                    // Somebody reads it again, who was told its place before.
                    Some(read) => read.goes = true,
                    None => gone.push(over),
                }
            }
            match uses.read.get_mut(&place) {
                _ if uses.brought.contains(&place) => {}
                Some(read) => read.goes = true,
                None => gone.push(place),
            }
            uses.going.extend(gone.iter().copied());
            gone
        };
        let mut removed = Ok(());
        for place in &gone {
            // What fails is found again by whoever looks for strays.
            removed = removed.and(self.punch(*place));
        }
        let mut uses = lock(&self.uses);
        for place in &gone {
            uses.going.remove(place);
        }
        removed
    }

    fn punch(&self, place: PackPlace) -> io::Result<()> {
        // By its header, so that a place which is none can take nothing else away.
        if self.written(place)?.is_none() {
            return Ok(());
        }
        self.disk.file_open(&self.path(place.pack))?.punch(place.offset, place.taken())?;
        if !self.is_empty(place.pack)? {
            return Ok(());
        }
        // While nobody begins or writes one. The last one stays: it may be the one that is written, and no number is given twice.
        let _current = lock(&self.current);
        if self.numbers()?.last() != Some(&place.pack) {
            self.end(place.pack)?;
        }
        Ok(())
    }

    /// The records of a pack, as far as it can be read.
    pub(super) fn list(&self, number: u32) -> io::Result<Vec<PackPlace>> {
        let Some(file) = found(self.disk.file_read(&self.path(number)))? else { return Ok(Vec::new()) };
        match read_mark(&*file) {
            Ok(Some(mark)) => records(&*file, number, mark),
            Ok(None) => Ok(Vec::new()),
            Err(error) if is_loss(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Current {
    /// Gives each record a place.
    fn places(&mut self, records: &[Record]) -> Vec<PackPlace> {
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let length = u64::try_from(record.bytes().len()).expect("a length fits in 64 bits");
            let place = PackPlace { pack: self.number, offset: self.next, length };
            self.next += place.taken();
            self.end = place.begin() + length;
            places.push(place);
        }
        places
    }

    /// Writes each record at its place; returns when all are on the disk.
    fn write(&mut self, records: &mut [Record], places: &[PackPlace]) -> io::Result<()> {
        let at = now();
        for (record, place) in records.iter_mut().zip(places) {
            record.head(self.mark, *place, at);
            self.file.write_at(&record.0, place.offset)?;
        }
        self.file.sync()
    }
}

/// The mark of a pack; `None` of one whose begin never came to the disk.
fn read_mark(file: &dyn DiskRead) -> io::Result<Option<[u8; MARK]>> {
    let mark: Option<[u8; MARK]> = read(file, 0, MARK)?.try_into().ok();
    Ok(mark.filter(|mark| *mark != [0; MARK]))
}

/// Goes through a pack, from header to header and over holes. What can't be read is passed over.
fn records(file: &dyn DiskRead, pack: u32, mark: [u8; MARK]) -> io::Result<Vec<PackPlace>> {
    let mut places = Vec::new();
    let mut next = BLOCK;
    while let Some(data) = file.next_data(next)? {
        next = data - data % BLOCK;
        let said = match read(file, next, HEADER) {
            Err(error) if is_loss(&error) => Vec::new(),
            said => said?,
        };
        match header(&said, next) {
            Some((length, _)) if said.starts_with(&mark) => {
                let place = PackPlace { pack, offset: next, length };
                places.push(place);
                next += place.taken();
            }
            _ => next += BLOCK,
        }
    }
    Ok(places)
}

/// Somebody brings a record: it is not removed before this is dropped.
pub(super) struct Brought {
    packs: Arc<Packs>,
    place: PackPlace,
}

impl Brought {
    /// Where it is.
    pub(super) fn place(&self) -> PackPlace {
        self.place
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        lock(&self.packs.uses).brought.remove(&self.place);
    }
}

/// Somebody reads a record: it is not removed before this is dropped.
pub(super) struct Reading {
    packs: Arc<Packs>,
    place: PackPlace,
}

impl Reading {
    /// Whether the record is still there, in the pack that was opened.
    pub(super) fn is_current(&self, file: &dyn DiskRead) -> io::Result<bool> {
        match self.place.written(file) {
            // What was removed is a hole, which can always be read.
            Err(error) if is_loss(&error) => Ok(true),
            written => Ok(written?.is_some()),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut uses = lock(&self.packs.uses);
        let Some(read) = uses.read.get_mut(&self.place) else { return };
        read.readers -= 1;
        if read.readers == 0 {
            let goes = read.goes;
            uses.read.remove(&self.place);
            // Whoever ends a read must not wait for a disk: the next removal does it, or the search for strays.
            if goes {
                uses.over.push(self.place);
            }
        }
    }
}
