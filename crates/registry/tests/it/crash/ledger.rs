//! What a client was told, and a client that remembers it and gives up at the first failure.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::Method;
use layer0_domain::model::digest::{Algorithm, Digest};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::common::TestRegistry;

/// Something that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A blob of a repository.
    Blob(String, Digest),
    /// A manifest of a repository, by tag or digest.
    Manifest(String, String),
    /// A repository: its list of tags.
    Repository(String),
}

impl Key {
    /// Where it is asked for.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Blob(repository, digest) => format!("/v2/{repository}/blobs/{digest}"),
            Self::Manifest(repository, reference) => format!("/v2/{repository}/manifests/{reference}"),
            Self::Repository(repository) => format!("/v2/{repository}/tags/list"),
        }
    }
}

/// What is answered: content, or 404. Of a repository only whether it is there.
pub(crate) type Found = Option<Content>;

/// Bytes that are shown by their number and their digest.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content(pub(crate) Bytes);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with {:.19}", self.0.len(), Digest::sha256_of(&self.0).to_string())
    }
}

/// Content that is there.
pub(crate) fn there(content: &[u8]) -> Found {
    Some(Content(Bytes::copy_from_slice(content)))
}

/// All that a client knows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What was acknowledged, or was so from the start.
    certain: BTreeMap<Key, Found>,
    /// What was asked for and not acknowledged: it may have come to pass or not.
    doubtful: BTreeMap<Key, Found>,
    /// The upload that was begun last.
    upload: Option<String>,
}

impl Ledger {
    /// What may be answered for each key that matters.
    pub(crate) fn allowed(&self) -> BTreeMap<&Key, Vec<&Found>> {
        let mut allowed: BTreeMap<&Key, Vec<&Found>> = BTreeMap::new();
        for (key, found) in self.certain.iter().chain(&self.doubtful) {
            allowed.entry(key).or_default().push(found);
        }
        for (key, found) in &mut allowed {
            if !self.certain.contains_key(*key) {
                // Nothing was there before.
                found.push(&None);
            }
        }
        allowed
    }

    fn begin(&mut self, changes: &[(Key, Found)]) {
        self.doubtful.extend(changes.iter().cloned());
    }

    fn acknowledge(&mut self, changes: Vec<(Key, Found)>) {
        for (key, found) in changes {
            self.doubtful.remove(&key);
            self.certain.insert(key, found);
        }
    }
}

/// The client at work on one registry.
pub(crate) struct Run<'a> {
    pub(crate) registry: &'a TestRegistry,
    client: Client,
    ledger: &'a mut Ledger,
    /// Whether it does again what was perhaps done before: to find something deleted is success then.
    again: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(registry: &'a TestRegistry, ledger: &'a mut Ledger, again: bool) -> Self {
        Self { registry, client: Client::of(registry), ledger, again }
    }

    /// Sends a request; `None` when it was not answered with this status.
    pub(crate) async fn ask(
        &self,
        status: u16,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let answer = self.client.ask(method, path, headers, body).await;
        (answer.status.as_u16() == status).then_some(answer)
    }

    /// Sends a request that changes something; `None` when it was not acknowledged.
    async fn change(
        &mut self,
        changes: Vec<(Key, Found)>,
        status: u16,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        self.ledger.begin(&changes);
        let is_delete = method == Method::DELETE;
        let answer = self.client.ask(method, path, headers, body).await;
        let done = answer.status.as_u16() == status || (self.again && is_delete && answer.status == 404);
        done.then(|| self.ledger.acknowledge(changes))?;
        Some(answer)
    }

    /// Notes what somebody else does to the registry, by no request.
    pub(crate) fn begins(&mut self, changes: &[(Key, Found)]) {
        self.ledger.begin(changes);
    }

    /// What was begun was done.
    pub(crate) fn done(&mut self, changes: Vec<(Key, Found)>) {
        self.ledger.acknowledge(changes);
    }

    /// Pushes a blob in one request.
    pub(crate) async fn blob(&mut self, repository: &str, content: &[u8]) -> Option<Digest> {
        let digest = Digest::sha256_of(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let key = Key::Blob(repository.to_owned(), digest.clone());
        self.change(vec![(key, there(content))], 201, (Method::POST, &path), &[], content.to_vec()).await?;
        Some(digest)
    }

    /// Begins an upload.
    pub(crate) async fn begin(&mut self, repository: &str) -> Option<String> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.ask(202, Method::POST, &path, &[], "").await?;
        let upload = answer.header("location").to_owned();
        self.ledger.upload = Some(upload.clone());
        Some(upload)
    }

    /// The upload that was begun last, in an earlier life too, and how much it has; `None` when it is gone.
    pub(crate) async fn status(&self) -> Option<(String, usize)> {
        let upload = self.ledger.upload.clone()?;
        let answer = self.ask(204, Method::GET, &upload, &[], "").await?;
        let last: usize = answer.header("range").strip_prefix("0-")?.parse().ok()?;
        // `0-0` is an upload that has nothing.
        Some((upload, if last == 0 { 0 } else { last + 1 }))
    }

    /// Goes on with an upload.
    pub(crate) async fn patch(&self, upload: &str, range: Option<String>, part: &[u8]) -> Option<()> {
        let headers: Vec<(&str, &str)> = range.iter().map(|range| ("content-range", range.as_str())).collect();
        self.ask(202, Method::PATCH, upload, &headers, part.to_vec()).await.map(drop)
    }

    /// Ends an upload, with what is left of its content.
    pub(crate) async fn put(
        &mut self,
        repository: &str,
        upload: &str,
        algorithm: Algorithm,
        content: &[u8],
        from: usize,
    ) -> Option<Digest> {
        let digest = algorithm.digest_of(content);
        let key = Key::Blob(repository.to_owned(), digest.clone());
        let (path, rest) = (format!("{upload}?digest={digest}"), content[from..].to_vec());
        self.change(vec![(key, there(content))], 201, (Method::PUT, &path), &[], rest).await?;
        Some(digest)
    }

    /// Mounts a blob.
    pub(crate) async fn mount(&mut self, from: &str, to: &str, content: &[u8]) -> Option<()> {
        let digest = Digest::sha256_of(content);
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        let key = Key::Blob(to.to_owned(), digest);
        let changes = vec![(key, there(content))];
        self.change(changes, 201, (Method::POST, &path), &[], "").await.map(drop)
    }

    /// Puts a manifest by tag, or by digest with these tags.
    pub(crate) async fn manifest(&mut self, repository: &str, tags: &[&str], manifest: &Value) -> Option<Digest> {
        let bytes = manifest.to_string();
        let digest = Digest::sha256_of(bytes.as_bytes());
        let key =
            |reference: &str| (Key::Manifest(repository.to_owned(), reference.to_owned()), there(bytes.as_bytes()));
        let mut changes: Vec<_> = tags.iter().map(|tag| key(tag)).collect();
        changes.push(key(&digest.to_string()));
        let path = match tags {
            [tag] => format!("/v2/{repository}/manifests/{tag}"),
            tags => format!(
                "/v2/{repository}/manifests/{digest}?{}",
                tags.iter().map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&")
            ),
        };
        let media_type = manifest["mediaType"].as_str().expect("a manifest has one").to_owned();
        let headers = [("content-type", media_type.as_str())];
        self.change(changes, 201, (Method::PUT, &path), &headers, bytes.clone()).await?;
        Some(digest)
    }

    /// Deletes something, with which the others go too.
    pub(crate) async fn delete(&mut self, key: Key, with: &[Key]) -> Option<()> {
        let path = key.path();
        let changes = std::iter::once(key).chain(with.iter().cloned()).map(|key| (key, None)).collect();
        self.change(changes, 202, (Method::DELETE, &path), &[], "").await.map(drop)
    }

    /// Looks at something, whatever is answered.
    pub(crate) async fn look(&self, key: &Key) -> u16 {
        self.client.get(&key.path()).await.status.as_u16()
    }
}
