//! The operations on images and layers.

use serde_json::{Value, json};

use super::super::wire::time::seconds;
use super::super::wire::{AwsError, Input};
use super::super::world::{World, page_start, page_token};
use super::image::{INDEX, LAYER, Stored};
use super::{BLOB_PATH, Repository, registry, repository};

/// The manifest that an image id names.
fn stored<'a>(repository: &'a Repository, id: &Value) -> Option<&'a Stored> {
    let by_tag = id.text("imageTag").map(|tag| repository.tags.get(tag));
    let digest = match (id.text("imageDigest"), by_tag) {
        (Some(digest), None) => digest,
        (Some(digest), Some(Some(tagged))) if tagged == digest => digest,
        (None, Some(tagged)) => tagged?,
        _ => return None,
    };
    repository.manifests.get(digest)
}

fn tags_of<'a>(repository: &'a Repository, digest: &str) -> Vec<&'a str> {
    repository.tags.iter().filter(|(_, tagged)| *tagged == digest).map(|(tag, _)| tag.as_str()).collect()
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let repository = repository(world, input, "DescribeImages")?;
    let (registry, name) = (registry(world, input), input.text("repositoryName").unwrap_or_default());
    let value = |stored: &Stored| {
        let mut value = json!({
            "registryId": registry,
            "repositoryName": name,
            "imageDigest": stored.digest,
            "imageSizeInBytes": stored.size,
            "imagePushedAt": seconds(stored.pushed_ms),
            "imageManifestMediaType": stored.media_type,
        });
        let tags = tags_of(repository, &stored.digest);
        if !tags.is_empty() {
            value["imageTags"] = json!(tags);
        }
        value
    };
    let ids = input.list("imageIds");
    if !ids.is_empty() {
        let mut found = Vec::new();
        for id in ids {
            let text = |key: &str| id.text(key).map_or_else(|| "null".to_owned(), |text| format!("'{text}'"));
            let stored = stored(repository, id).ok_or_else(|| {
                AwsError::new(
                    "ImageNotFoundException",
                    format!(
                        "The image with imageId {{imageDigest:{}, imageTag:{}}} does not exist within the repository with \
                         name '{name}' in the registry with id '{registry}'",
                        text("imageDigest"),
                        text("imageTag")
                    ),
                )
            })?;
            found.push(value(stored));
        }
        return Ok(json!({"imageDetails": found}));
    }
    let all: Vec<Value> = repository.manifests.values().map(value).collect();
    paged(all, input, "imageDetails")
}

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let repository = repository(world, input, "ListImages")?;
    let mut ids: Vec<Value> = Vec::new();
    for digest in repository.manifests.keys() {
        let tags = tags_of(repository, digest);
        if tags.is_empty() {
            ids.push(json!({"imageDigest": digest}));
        }
        ids.extend(tags.iter().map(|tag| json!({"imageDigest": digest, "imageTag": tag})));
    }
    paged(ids, input, "imageIds")
}

fn paged(all: Vec<Value>, input: &Value, key: &str) -> Result<Value, AwsError> {
    let start: usize = page_start(input, "nextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let most = input.number("maxResults").and_then(|most| usize::try_from(most).ok()).unwrap_or(100).clamp(1, 1000);
    let more = all.len() > start + most;
    let mut answer = json!({key: all.into_iter().skip(start).take(most).collect::<Vec<_>>()});
    if more {
        answer["nextToken"] = page_token(&(start + most).to_string());
    }
    Ok(answer)
}

pub(super) fn batch_get(world: &World, input: &Value) -> Result<Value, AwsError> {
    let repository = repository(world, input, "BatchGetImage")?;
    let (registry, name) = (registry(world, input), input.text("repositoryName").unwrap_or_default());
    let ids = input.list("imageIds");
    if ids.is_empty() || ids.len() > 100 {
        return Err(AwsError::invalid_parameter("imageIds must have between 1 and 100 elements"));
    }
    let accepted = input.texts("acceptedMediaTypes");
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        let failure = |code: &str, reason: &str| json!({"imageId": id, "failureCode": code, "failureReason": reason});
        match stored(repository, id) {
            None => failures.push(failure("ImageNotFound", "Requested image not found")),
            // Without a list, everything is accepted; an index is never converted into one of its manifests.
            Some(found) if !accepted.is_empty() && !accepted.contains(&found.media_type) => {
                let what = if found.media_type == INDEX { "ImageReferencedByManifestList" } else { "ImageNotFound" };
                failures.push(failure(what, "Requested image has no accepted media type"));
            }
            Some(found) => {
                let mut image_id = json!({"imageDigest": found.digest});
                if let Some(tag) = id.text("imageTag") {
                    image_id["imageTag"] = json!(tag);
                }
                images.push(json!({
                    "registryId": registry,
                    "repositoryName": name,
                    "imageId": image_id,
                    "imageManifest": found.text,
                    "imageManifestMediaType": found.media_type,
                }));
            }
        }
    }
    Ok(json!({"images": images, "failures": failures}))
}

pub(super) fn check_layers(world: &World, input: &Value) -> Result<Value, AwsError> {
    let repository = repository(world, input, "BatchCheckLayerAvailability")?;
    let digests = input.texts("layerDigests");
    if digests.is_empty() || digests.len() > 100 {
        return Err(AwsError::invalid_parameter("layerDigests must have between 1 and 100 elements"));
    }
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in digests {
        if !digest.starts_with("sha256:") {
            failures.push(json!({
                "layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": "Invalid layer digest",
            }));
            continue;
        }
        match repository.layers.get(digest) {
            Some((size, true)) => layers.push(json!({
                "layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size, "mediaType": LAYER,
            })),
            Some((_, false)) | None => {
                layers.push(json!({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}));
            }
        }
    }
    Ok(json!({"layers": layers, "failures": failures}))
}

pub(super) fn download_url(world: &World, input: &Value) -> Result<Value, AwsError> {
    let repository = repository(world, input, "GetDownloadUrlForLayer")?;
    let digest = input.required("layerDigest", "InvalidParameterException")?;
    match repository.layers.get(digest) {
        Some((_, true)) => {
            let url = format!("{}{BLOB_PATH}{digest}", world.ecr.endpoint);
            Ok(json!({"downloadUrl": url, "layerDigest": digest}))
        }
        Some((_, false)) => {
            Err(AwsError::new("LayerInaccessibleException", format!("Layer '{digest}' is not accessible")))
        }
        None => Err(AwsError::new("LayersNotFoundException", format!("Layer '{digest}' was not found"))),
    }
}

/// Takes tags away, or images. The last tag of an image takes the image along; what an index names stays as long as the index.
pub(super) fn batch_delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    repository(world, input, "BatchDeleteImage")?;
    let key = (registry(world, input).to_owned(), input.text("repositoryName").unwrap_or_default().to_owned());
    let gone = super::no_repository(&key.0, &key.1);
    let repository = world.ecr.repositories.get_mut(&key).ok_or(gone)?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for id in input.list("imageIds") {
        let failure = |code: &str, reason: &str| json!({"imageId": id, "failureCode": code, "failureReason": reason});
        let Some(digest) = stored(repository, id).map(|it| it.digest.clone()) else {
            failures.push(failure("ImageNotFound", "Requested image not found"));
            continue;
        };
        let tag = id.text("imageTag");
        let keeps = |it: &str| tag.is_some_and(|tag| tag != it);
        let is_last = !repository.tags.iter().any(|(it, tagged)| *tagged == digest && keeps(it));
        let names = |it: &Stored| it.media_type == INDEX && it.digest != digest && it.text.contains(&digest);
        if is_last && repository.manifests.values().any(names) {
            failures.push(failure("ImageReferencedByManifestList", "Requested image referenced by manifest list"));
            continue;
        }
        if is_last {
            repository.tags.retain(|_, tagged| *tagged != digest);
            repository.manifests.remove(&digest);
        } else if let Some(tag) = tag {
            repository.tags.remove(tag);
        }
        let mut one = json!({"imageDigest": digest});
        if let Some(tag) = tag {
            one["imageTag"] = json!(tag);
        }
        deleted.push(one);
    }
    Ok(json!({"imageIds": deleted, "failures": failures}))
}
