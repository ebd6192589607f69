//! Where an instance keeps its state. `SqliteStore` (feature `sqlite`): the ports `Store`, `AccessStore`, `HomeStore` and
//! `RegistryStore` on one SQLite file, for an instance of kind `local`. `DynamoStore` (feature `dynamodb`): the ports `Store`,
//! `AccessStore`, `HomeStore` and `RegistryStore` on one DynamoDB table, for an instance of kind `aws`; its design is in `docs/dynamodb.md`. The rest of this
//! page is about SQLite.
//!
//! # For whom
//! The server opens one [`SqliteStore`] at its start and hands clones of it out as `&dyn Store` and
//! `&dyn RegistryStore`. Tests use [`SqliteStore::in_memory`]: the same code and the same schema without a file, which
//! makes it the fake of both ports.
//!
//! # How a write travels
//! ```text
//! async caller -> queue -> writer thread:  BEGIN IMMEDIATE
//!                                            SAVEPOINT  job 1  RELEASE
//!                                            SAVEPOINT  job 2  ROLLBACK TO   (refused: undone alone)
//!                                            SAVEPOINT  job 3  RELEASE
//!                                          COMMIT  (one fsync for all)
//! async caller <- answer <----------------  only now
//! ```
//! While one commit waits for the disk, the next writes gather in the queue and are committed together: under load the
//! price of an fsync is shared, without load nobody waits for company. Reads run on a few threads with connections of
//! their own; in WAL mode they neither wait for the writer nor hold it up.
//!
//! # Invariants
//! - An answer `Ok` is given after `COMMIT` came back, with `synchronous=FULL`: it survives a crash of the machine. An
//!   answer `Err` means that nothing of that call was written.
//! - One exception: when the process ends between a commit and its answer, the caller never hears of a write that is
//!   there. Callers choose ids themselves, so they can ask.
//! - A job never sees half of another; what it decides on may have been written by another job of its own batch, so when
//!   the commit fails, all answers of the batch, refusals included, become that failure.
//! - A call that was queued runs, even if its caller stops waiting.
//! - On a full disk what gives room back, and what shuts somebody out, is done as long as there is something of the room that is kept for it.
//! - Only the writer writes; the readers' connections are `query_only`. Nothing here keeps two processes apart beyond
//!   SQLite's own locks: the server holds the lock of its data directory.
//! - The columns beside a JSON body repeat what is in it and are written by the same statement.
//! - Messages of errors hold no stored values (task definitions hold secrets): a body that can't be read is named by
//!   table and position only.
//!
//! # Tables
//! | table | holds | keys worth knowing |
//! |---|---|---|
//! | `entity` | environments, load balancers, services, tasks as JSON | unique `(environment_id, kind, name)`; unique `load_balancer_id`; `entity_summary` covers lists |
//! | `environment_link` | who may reach whom | by target, for deletes |
//! | `deploy`, `deploy_version` | documents; the last version of each name | `deploy_summary` covers lists |
//! | `operation`, `operation_event` | operations as JSON, their events | partial indexes on the running ones |
//! | `entity_tag` | tags that users add | |
//! | `user`, `owner`, `member` | who there is, and who is what where | `member_by_user` |
//! | `token` | tokens of users and robots, by hash | go with their user or owner |
//! | `audit` | who did what | by sequence, by time |
//! | `lease` | what one server at a time does | by end, to forget the old |
//! | `public_repository` | public repositories that lie elsewhere | by repository |
//! | `repository_home` | repositories that were moved, as JSON | by repository |
//! | `map_rule`, `setting` | the image map; instance-wide values | |
//! | `repository`, `blob_link` | which blob is in which repository | `(digest, repository)` for mounts |
//! | `blob_sums`, `blob_damage` | checksums of blobs; those that are damaged | by digest; gone with the last link |
//! | `manifest`, `manifest_blob`, `manifest_child` | manifests with their bytes and what they need | `(repository, subject, digest)` for referrers; `(repository, digest)` of children for what needs them |
//! | `image_tag` | tags of images | by manifest, for deletes |
//!
//! The schema's number is `PRAGMA user_version`; `sqlite/migrations/NNNN_*.sql` lead from each number to the next.
//!
//! # Rejected
//! - *A connection per request*: writers then meet in SQLite's busy handler, which sleeps and is not fair, and each
//!   write pays its own fsync.
//! - *`synchronous=NORMAL`*: in WAL mode a power cut could take back what a client was told is done.
//! - *An entity table per kind*: every rule here (names, generations, deletes) is the same for all kinds, and would stand
//!   four times.
//! - *Columns for all fields of an entity*: every new field would be a migration; nothing but the columns here is ever
//!   searched for.
//! - *Manifests as files beside the blobs*: a tag could then point to a manifest that is not there yet, or no more.
//! - *An asynchronous SQL library*: it brings its own pools and threads, but no group commit.

#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "sqlite")]
mod sqlite;

/// What [`DynamoStore::new`] takes, so that whoever puts an instance together needs no other crate for it.
#[cfg(feature = "dynamodb")]
pub use aws_sdk_dynamodb::Client as DynamoClient;
#[cfg(feature = "dynamodb")]
pub use dynamodb::{DynamoStore, LAYOUT_LOOK, LayoutMismatch, LayoutStep, Layouts, StepTaken, TableError};
#[cfg(feature = "sqlite")]
pub use sqlite::{CopiedBlob, CopiedPlaces, OpenError, SqliteStore};
