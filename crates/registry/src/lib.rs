//! The OCI registry (distribution specification 1.1): routes, uploads, blob storage, the specification's errors, and
//! the port `ImageSource` for images that lie here.
//!
//! For the server:
//! - build a [`Registry`] with [`Registry::open`] from a [`RegistryConfig`] and [`RegistryPorts`]; merge
//!   [`Registry::router`] into the server's; call [`Registry::sweep`] at the start and now and then;
//! - implement [`Gate`] (who is let in) and [`PullCredentialMinter`] (the credential for one pull); answer
//!   `/auth/token`, to which the registry's Bearer challenge points;
//! - `repository_*`, `image_*` and [`Registry::verify`] are for the server's own routes.
//!
//! # Where things are
//! | what | where |
//! |---|---|
//! | repositories, manifests with their bytes, tags, which blob is in which repository | port `RegistryStore` |
//! | bytes of blobs | `DIR/registry/blobs/<algorithm>/<two hex digits>/<hex>`; of small ones `DIR/registry/packs/<number>`, many in each |
//! | uploads that are not finished | `DIR/registry/uploads/<id>` |
//!
//! With the cargo feature `s3` the bytes may lie in a bucket instead (module `s3`): both are the port `BlobBytes`.
//! Prefixes may mirror other registries, which what is pulled there is fetched from once: module `mirror`.
//! With the cargo feature `ecr` repositories may lie in registries of ECR instead, behind the same routes and the same gate:
//! module `ecr`. Which lies where is said in one place: [`Whereabouts`].
//!
//! # A push
//! `POST` begins an upload, `PATCH` appends to its staged file and hashes on the way, `PUT` compares the digest; then, in this
//! order: fsync the file, rename it to its place, fsync the directory, write the link to the store (durable), answer
//! 201. Of what is small: write it into a pack, with those who come at the same time, fsync that, write link and place to the store,
//! answer. In a bucket: complete the object, write link and place to the store, answer. The manifest and its tags are one unit of
//! work in the store. What a client was told is stored is stored; what it was not told may be there as a file that nobody can
//! reach. The invariant of links and files and how it is kept is written at the module `blobs`, the life of an upload at
//! `uploads`.
//!
//! # Choices
//! - `Location` is relative: right behind every proxy, whatever it does to the host.
//! - A push to a repository that does not exist answers 404 `NAME_UNKNOWN` with the command that makes it; docker
//!   prints the sentence and does not try again (shown by the end-to-end tests).
//! - A repository's name has an owner: `owner/name`. One component is `NAME_UNKNOWN` too, with words: the specification
//!   allows such a name, and for `NAME_INVALID` docker tries five times, for 50 seconds, before it prints them.
//! - A digest mismatch ends the upload; a full disk ends it too, and frees what it had: halves must not keep the disk
//!   full.
//! - Every answer has a largest size: a list of repositories comes in pages of 10,000 names, one of tags in pages of 100,000, referrers
//!   in pages that clients read as a manifest, each with a link to the next, also for who asked for no page; messages are cut.
//! - A manifest that one client could read as an image and another as an index is refused, and so is one that is nested
//!   deeper than any reader goes.
//! - Blob files are moved into place even when the blob is known: a damaged file is healed by the next push.
//! - No byte of a blob or manifest goes out that was not compared with a checksum or the digest; what is damaged counts as
//!   missing (`docs/decisions/0006-damage.md`).

mod adoption;
mod aligned;
mod answers;
mod blobs;
mod blocking;
mod collection;
mod config;
mod content;
mod copying;
pub mod disk;
mod download;
#[cfg(feature = "ecr")]
pub mod ecr;
mod ends;
mod error;
mod fs;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod homes;
mod manifest;
mod mirror;
mod outgoing;
mod path;
mod range;
mod registry;
mod repositories;
mod routes;
#[cfg(feature = "s3")]
pub mod s3;
mod source;
mod uploads;
mod verify;
mod whereabouts;

pub use crate::adoption::{Adopted, Adoption, Origin};
pub use crate::blobs::BytesHold;
pub use crate::collection::{Collected, Collection, Haste, Pace, Told};
pub use crate::config::{Challenge, RegistryConfig};
pub use crate::error::is_passing;
pub use crate::fs::FileBytes;
pub use crate::gate::{Admission, Audited, Gate, PullCredentialMinter, Standing};
pub use crate::homes::{BEHIND_MAX, Homes, Writers};
pub use crate::mirror::{MirrorError, MirrorLogin, MirrorSettings, Patience, UpstreamUrl, UpstreamUrlError};
pub use crate::path::ROUTES;
pub use crate::registry::{Registry, RegistryPorts, Swept};
pub use crate::repositories::TaggedImage;
pub use crate::uploads::{Unfinished, UploadSum};
pub use crate::verify::{Content, Fault, Rate, VerifyEvent, VerifyFinding, VerifyTally};
pub use crate::whereabouts::{Moved, Whereabouts};
