//! Manifests, tags and referrers.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LINK};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::super::super::world::World;
use super::super::Repository;
use super::super::image::{INDEX, MANIFEST, Stored, digest_of};
use super::{Answer, empty, error, param, repository, repository_mut, with};

/// The media types that are taken.
const KNOWN: [&str; 4] = [
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Layers of these types may lie elsewhere.
const FOREIGN: [&str; 2] = ["nondistributable", "foreign"];

fn found<'a>(repository: &'a Repository, reference: &str) -> Option<&'a Stored> {
    let digest = repository.tags.get(reference).map_or(reference, String::as_str);
    repository.manifests.get(digest)
}

pub(super) fn get(world: &World, head: &Parts, name: &str, reference: &str) -> Answer {
    let stored = repository(world, name).and_then(|it| found(it, reference));
    let accepts = |it: &&Stored| {
        let mut all = head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        all.peek().is_none() || all.any(|text| text.contains(it.media_type) || text.contains("*/*"))
    };
    let Some(stored) = stored.filter(accepts) else {
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "Requested image not found");
    };
    let length = stored.text.len().to_string();
    let body = if head.method == Method::HEAD { Bytes::new() } else { Bytes::from(stored.text.clone()) };
    let answer = with(Response::new(Full::new(body)), CONTENT_TYPE.as_str(), stored.media_type);
    with(with(answer, CONTENT_LENGTH.as_str(), length), "docker-content-digest", &stored.digest)
}

pub(super) fn put(world: &mut World, head: &Parts, body: &[u8], name: &str, reference: &str) -> Answer {
    let invalid = |message: &str| error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    let Ok(text) = std::str::from_utf8(body) else { return invalid("the manifest is not UTF-8") };
    let Ok(document) = serde_json::from_str::<Value>(text) else { return invalid("Invalid JSON syntax") };
    let sent = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = document["mediaType"].as_str().or(sent).unwrap_or_default();
    let Some(media_type) = KNOWN.iter().copied().find(|known| *known == named) else {
        return invalid("Invalid media type");
    };
    let digest = digest_of(body);
    if reference.contains(':') && reference != digest {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest does not match the content");
    }
    let now_ms = world.now_ms;
    let Some(repository) = repository_mut(world, name) else {
        return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no such repository");
    };
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let layers = list("layers");
    let elsewhere = |it: &&Value| {
        let media_type = it["mediaType"].as_str().unwrap_or_default();
        !FOREIGN.iter().any(|foreign| media_type.contains(foreign))
    };
    let config = document.get("config").into_iter();
    let blobs: Vec<(String, u64)> = layers.iter().chain(config).filter(elsewhere).map(described).collect();
    if let Some((missing, _)) = blobs.iter().find(|(blob, _)| !matches!(repository.layers.get(blob), Some((_, true)))) {
        let message = format!("Layers with digests '[{missing}]' required for pushing image do not exist");
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", &message);
    }
    let children: Vec<String> = list("manifests").iter().map(|it| described(it).0).collect();
    if let Some(missing) = children.iter().find(|child| !repository.manifests.contains_key(*child)) {
        let message = format!("Images with digests '[{missing}]' required for pushing image do not exist");
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message);
    }
    let stored = Stored {
        digest: digest.clone(),
        media_type,
        text: text.to_owned(),
        platforms: Vec::new(),
        size: blobs.iter().map(|(_, size)| size).sum(),
        layers: blobs.into_iter().map(|(blob, _)| blob).collect(),
        pushed_ms: now_ms,
    };
    repository.manifests.entry(digest.clone()).or_insert(stored);
    if !reference.contains(':') {
        repository.tags.insert(reference.to_owned(), digest.clone());
    }
    // No location.
    let answer = with(empty(StatusCode::CREATED), "docker-content-digest", digest);
    match document["subject"]["digest"].as_str() {
        Some(subject) => with(answer, "oci-subject", subject),
        None => answer,
    }
}

fn described(it: &Value) -> (String, u64) {
    (it["digest"].as_str().unwrap_or_default().to_owned(), it["size"].as_u64().unwrap_or_default())
}

/// Tags in an order of its own: that of their length. `last` is a word of its own too.
pub(super) fn tags(world: &World, head: &Parts, name: &str) -> Answer {
    let Some(repository) = repository(world, name) else { return empty(StatusCode::NOT_FOUND) };
    let mut tags: Vec<&String> = repository.tags.keys().collect();
    tags.sort_by_key(|tag| (tag.len(), tag.as_str()));
    let start = param(head, "last").and_then(|last| last.strip_prefix("at:")?.parse().ok()).unwrap_or(0);
    let most = param(head, "n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(1000).clamp(1, 1000);
    let page: Vec<&&String> = tags.iter().skip(start).take(most).collect();
    let body = json!({ "name": name, "tags": page }).to_string();
    let answer = with(Response::new(Full::new(Bytes::from(body))), CONTENT_TYPE.as_str(), "application/json");
    if tags.len() <= start + most {
        return answer;
    }
    with(answer, LINK.as_str(), format!("</v2/{name}/tags/list?last=at%3A{}&n={most}>; rel=\"next\"", start + most))
}

pub(super) fn referrers(world: &World, head: &Parts, name: &str, subject: &str) -> Answer {
    let Some(repository) = repository(world, name) else { return empty(StatusCode::NOT_FOUND) };
    let wanted = param(head, "artifactType");
    let mut manifests = Vec::new();
    for stored in repository.manifests.values() {
        let document: Value = serde_json::from_str(&stored.text).unwrap_or_default();
        if document["subject"]["digest"] != json!(subject) {
            continue;
        }
        let kind = document["artifactType"].as_str().or(document["config"]["mediaType"].as_str()).unwrap_or_default();
        if wanted.as_ref().is_some_and(|wanted| wanted != kind) {
            continue;
        }
        let mut entry = json!({
            "mediaType": stored.media_type, "digest": stored.digest, "size": stored.text.len(), "artifactType": kind,
        });
        if let Some(annotations) = document.get("annotations") {
            entry["annotations"] = annotations.clone();
        }
        manifests.push(entry);
    }
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string();
    let answer = with(Response::new(Full::new(Bytes::from(body))), CONTENT_TYPE.as_str(), INDEX);
    if wanted.is_some() { with(answer, "oci-filters-applied", "artifactType") } else { answer }
}
