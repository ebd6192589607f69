//! Uploads of layers.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};

use super::super::super::world::World;
use super::super::image::{Stored, digest_of};
use super::{Answer, Came, Uploads, empty, error, host, name_unknown, param, repository, repository_mut, with};

/// The least size of a part but the last (API reference, `UploadLayerPart`). As much of a request's body is taken in at once.
const PART_LEAST: usize = 5 << 20;

/// A layer on its way.
#[derive(Default)]
pub(super) struct Upload {
    repository: String,
    content: Vec<u8>,
    /// The end of the first chunk, which its range tells ever after (containers-roadmap #2831).
    first_end: usize,
    /// Whether a part that is too small has come, after which nothing may.
    is_short: bool,
    /// Whether something came after such a part.
    is_broken: bool,
}

impl Upload {
    fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.is_broken |= self.is_short;
        self.is_short = bytes.len() < PART_LEAST;
        self.content.extend_from_slice(bytes);
        if self.first_end == 0 {
            self.first_end = self.content.len();
        }
    }
}

fn place(world: &World, name: &str, rest: &str) -> String {
    format!("https://{}/v2/{name}/blobs/{rest}", host(world))
}

/// `POST`: mounts, or begins.
pub(super) fn begin(world: &mut World, head: &Parts, name: &str) -> Answer {
    if let (Some(digest), Some(from)) = (param(head, "mount"), param(head, "from"))
        && mounted(world, name, &digest, &from)
    {
        let answer = with(empty(StatusCode::CREATED), LOCATION.as_str(), place(world, name, &digest));
        return with(answer, "docker-content-digest", digest);
    }
    let id = world.uuid();
    let upload = Upload { repository: name.to_owned(), ..Upload::default() };
    world.ecr.registry.open.insert(id.clone(), upload);
    let answer = with(empty(StatusCode::ACCEPTED), LOCATION.as_str(), place(world, name, &format!("uploads/{id}")));
    with(with(answer, "docker-upload-uuid", id), RANGE.as_str(), "0-0")
}

/// Blobs are mounted when the account says so, and only those that a manifest of the source refers to (containers-roadmap #2860).
fn mounted(world: &mut World, name: &str, digest: &str, from: &str) -> bool {
    if world.ecr.settings.get("BLOB_MOUNTING").is_none_or(|value| value != "ENABLED") {
        return false;
    }
    let Some(source) = repository(world, from) else { return false };
    let refers = |it: &Stored| it.layers.iter().any(|layer| layer == digest) || it.text.contains(digest);
    let Some(layer @ (_, true)) = source.layers.get(digest).copied() else { return false };
    if !source.manifests.values().any(refers) {
        return false;
    }
    let target = repository_mut(world, name);
    target.is_some_and(|it| it.layers.insert(digest.to_owned(), layer).is_none() || it.layers.contains_key(digest))
}

/// Everything on one that was begun.
pub(super) fn serve(world: &mut World, head: &Parts, came: Came, name: &str, id: &str) -> Answer {
    let unknown = || error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    let tells = world.ecr.registry.uploads_tell;
    let Some(mut upload) = world.ecr.registry.open.remove(id) else { return unknown() };
    let answer = if upload.repository != name {
        unknown()
    } else {
        match (&head.method, tells) {
            (&Method::PATCH, _) => append(world, head, &came, &mut upload, id),
            (&Method::PUT, _) => match finish(world, head, &came, &mut upload) {
                (answer, Then::Goes) => return answer,
                (answer, Then::Stays) => answer,
            },
            (&Method::DELETE, Uploads::Told) => return empty(StatusCode::NO_CONTENT),
            (&Method::GET, Uploads::Told) => {
                let location = place(world, name, &format!("uploads/{id}"));
                let answer = with(empty(StatusCode::NO_CONTENT), LOCATION.as_str(), location);
                with(answer, RANGE.as_str(), format!("0-{}", upload.first_end.saturating_sub(1)))
            }
            (&Method::GET, Uploads::Silent) => unknown(),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported."),
        }
    };
    world.ecr.registry.open.insert(id.to_owned(), upload);
    answer
}

/// What is said of a request whose first byte is not the next.
fn out_of_order(head: &Parts, upload: &Upload) -> Option<Answer> {
    let range = head.headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let first: usize = range.split_once('-')?.0.trim().parse().ok()?;
    let next = upload.content.len();
    let words = format!("First byte of the layer part is {first} instead of {next}");
    (first != next).then(|| error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", &words))
}

fn append(world: &World, head: &Parts, came: &Came, upload: &mut Upload, id: &str) -> Answer {
    if let Some(refused) = out_of_order(head, upload) {
        return refused;
    }
    // Of a request that broke stay the parts that were whole.
    let kept = if came.is_whole { came.bytes.len() } else { came.bytes.len() / PART_LEAST * PART_LEAST };
    upload.take(&came.bytes[..kept]);
    let location = place(world, &upload.repository, &format!("uploads/{id}"));
    let answer = with(empty(StatusCode::CREATED), LOCATION.as_str(), location);
    let answer = with(answer, RANGE.as_str(), format!("0-{}", upload.first_end.saturating_sub(1)));
    with(answer, "docker-upload-uuid", id)
}

/// What becomes of an upload that was to end.
enum Then {
    /// It can go on.
    Stays,
    /// It is over.
    Goes,
}

fn finish(world: &mut World, head: &Parts, came: &Came, upload: &mut Upload) -> (Answer, Then) {
    let invalid = |message: &str| error(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message);
    let digest = param(head, "digest").unwrap_or_default();
    if !digest.starts_with("sha256:") {
        return (error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "Invalid layer digest"), Then::Stays);
    }
    if let Some(refused) = out_of_order(head, upload) {
        return (refused, Then::Stays);
    }
    if !came.is_whole {
        return (invalid("the body did not come to its end"), Then::Stays);
    }
    upload.take(&came.bytes);
    let why = if upload.content.is_empty() {
        Some("The specified layer upload does not contain any layer parts")
    } else if upload.is_broken {
        Some("All layer parts except the last part should be at least 5MB")
    } else if digest_of(&upload.content) != digest {
        Some("None of the provided layer digests match the calculated layer digest")
    } else {
        None
    };
    if let Some(why) = why {
        return (invalid(why), Then::Goes);
    }
    let content = Bytes::from(std::mem::take(&mut upload.content));
    let name = upload.repository.clone();
    let size = content.len() as u64;
    let Some(repository) = repository_mut(world, &name) else { return (name_unknown(world, &name), Then::Goes) };
    repository.layers.insert(digest.clone(), (size, true));
    world.ecr.blobs.insert(digest.clone(), content);
    let answer = with(empty(StatusCode::CREATED), LOCATION.as_str(), place(world, &name, &digest));
    (with(answer, "docker-content-digest", digest), Then::Goes)
}
