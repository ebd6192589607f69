//! Images on the engine: whether they are here, and getting them here.
//!
//! A pull happens once however many copies wait for it, with a credential made for that pull; an image that is here by
//! its digest is not pulled at all.

pub(super) mod refusal;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::registry::Platform;
use layer0_domain::port::image_source::ImageSource;
use layer0_domain::port::pull::{LocalImage, RemoteImage};
use tokio::sync::watch;

use super::client::{CALL_LIMIT, Client, DockerError, chain};
use super::containers::StartError;

/// How long a pull may go without any news from Docker. Docker reports every layer's progress twice a second; the
/// longest silence is the unpacking of one large layer.
const PULL_SILENCE: Duration = Duration::from_secs(300);

/// How long a foreign registry may take to answer Docker's question about an image.
const REGISTRY_LIMIT: Duration = Duration::from_secs(20);

type Outcome = Option<Result<(), StartError>>;

/// Gets images.
pub(super) struct Images {
    client: Arc<Client>,
    source: Arc<dyn ImageSource>,
    /// Pulls that go on, by reference.
    pulls: Arc<Mutex<HashMap<String, watch::Receiver<Outcome>>>>,
}

impl Images {
    pub(super) fn new(client: Arc<Client>, source: Arc<dyn ImageSource>) -> Self {
        Self { client, source, pulls: Arc::default() }
    }

    /// Whether the image is on the engine: by its digest when it has one, else by its name.
    pub(super) async fn here(&self, image: &ImageRef) -> Result<bool, DockerError> {
        Ok(self.inspect(image).await?.is_some())
    }

    async fn inspect(&self, image: &ImageRef) -> Result<Option<ImageInspect>, DockerError> {
        let name = engine_name(image);
        match self.client.call(|docker| async move { docker.inspect_image(&name).await }).await {
            Ok(found) => Ok(Some(found)),
            Err(DockerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns when the image is on the engine.
    ///
    /// An image without a digest is pulled only when it is not here: such a reference reaches an engine only for an
    /// image that was built on it.
    pub(super) async fn ensure(&self, image: &ImageRef) -> Result<(), StartError> {
        if self.here(image).await.map_err(StartError::docker)? {
            return Ok(());
        }
        let mut outcome = self.join(image);
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(StartError::waiting("a pull that was given up")),
        }
    }

    /// The pull of this image that goes on, or a new one.
    fn join(&self, image: &ImageRef) -> watch::Receiver<Outcome> {
        let key = image.to_string();
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = pulls.get(&key) {
            return running.clone();
        }
        let (told, outcome) = watch::channel(None);
        pulls.insert(key.clone(), outcome.clone());
        drop(pulls);
        let (client, source, all) = (Arc::clone(&self.client), Arc::clone(&self.source), Arc::clone(&self.pulls));
        let image = image.clone();
        tokio::spawn(async move {
            let result = pull(&client, &*source, &image).await;
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            told.send_replace(Some(result));
        });
        outcome
    }

    /// The image as it lies on the engine.
    pub(super) async fn local(&self, image: &ImageRef) -> Result<Option<LocalImage>, DockerError> {
        let Some(found) = self.inspect(image).await? else { return Ok(None) };
        let platform = Platform {
            os: found.os.unwrap_or_else(|| "linux".to_owned()),
            architecture: found.architecture.unwrap_or_default(),
            variant: found.variant.filter(|variant| !variant.is_empty()),
        };
        let digests = found.repo_digests.unwrap_or_default();
        let repo_digests = digests.iter().filter_map(|digest| ImageRef::parse(digest).ok()).collect();
        Ok(Some(LocalImage { id: found.id.unwrap_or_default(), platform, repo_digests }))
    }

    /// What the image's registry tells Docker about it.
    pub(super) async fn remote(&self, image: &ImageRef) -> Result<RemoteImage, DockerError> {
        let name = engine_name(image);
        let ask = |docker: bollard::Docker| async move { docker.inspect_registry_image(&name, None).await };
        // Docker itself answers at once; a registry that does not must not mark Docker as down.
        let docker = self.client.docker()?;
        let answer = match tokio::time::timeout(REGISTRY_LIMIT, ask(docker)).await {
            Ok(answer) => answer.map_err(Client::stream_error),
            Err(_) => {
                let message = format!("its registry did not answer within {} s", REGISTRY_LIMIT.as_secs());
                return Ok(RemoteImage::Unreachable { message });
            }
        };
        match answer {
            Ok(found) => {
                let digest = found.descriptor.digest.as_deref().unwrap_or_default();
                let Ok(digest) = layer0_domain::model::digest::Digest::parse(digest) else {
                    let message = "its registry gave no digest that can be read".to_owned();
                    return Ok(RemoteImage::Unreachable { message });
                };
                let platforms = found.platforms.into_iter().filter_map(|platform| {
                    Some(Platform {
                        os: platform.os?,
                        architecture: platform.architecture?,
                        variant: platform.variant.filter(|variant| !variant.is_empty()),
                    })
                });
                Ok(RemoteImage::Found { digest, platforms: platforms.collect() })
            }
            Err(error) if error.is_down() => Err(error),
            Err(error) => Ok(match refusal::class_of_registry(&error) {
                FailureClass::ImageNotFound => RemoteImage::NotFound,
                FailureClass::PullDenied => RemoteImage::Denied,
                _ => RemoteImage::Unreachable { message: chain(&error) },
            }),
        }
    }
}

/// The reference as Docker wants it: with a digest, the tag must go (Docker would look for the tag).
fn engine_name(image: &ImageRef) -> String {
    match image.digest() {
        Some(digest) => image.with_digest(digest.clone()).to_string(),
        None => image.to_string(),
    }
}

async fn pull(client: &Client, source: &dyn ImageSource, image: &ImageRef) -> Result<(), StartError> {
    let credential = source
        .credential(image)
        .await
        .map_err(|error| StartError::waiting(format!("a credential for pulling {image}: {}", chain(&error))))?;
    let credentials = credential.map(|credential| DockerCredentials {
        username: Some(credential.username),
        password: Some(credential.password.expose().to_owned()),
        serveraddress: image.host().map(str::to_owned),
        ..DockerCredentials::default()
    });
    let name = engine_name(image);
    // Without a tag Docker would pull all of them; `latest` is what the reference means then.
    let name = if image.digest().is_none() && image.tag().is_none() { format!("{name}:latest") } else { name };
    let docker = client.docker().map_err(StartError::docker)?;
    let options = CreateImageOptionsBuilder::new().from_image(&name).build();
    let mut progress = std::pin::pin!(docker.create_image(Some(options), None, credentials));
    let mut limit = CALL_LIMIT.max(Duration::from_secs(60));
    loop {
        match tokio::time::timeout(limit, progress.next()).await {
            Ok(Some(Ok(_))) => limit = PULL_SILENCE,
            Ok(Some(Err(error))) => {
                let error = Client::stream_error(error);
                if error.is_down() {
                    client.lost(&chain(&error));
                }
                return Err(refusal::of_pull(image, error));
            }
            Ok(None) => return arrived(client, image).await,
            Err(_) => {
                let message = format!("pulling {image} made no progress for {} s", limit.as_secs());
                return Err(StartError::failed(Failure::new(FailureClass::Timeout, message)));
            }
        }
    }
}

/// Docker ends a stream of progress without an error also when it dies in the middle.
async fn arrived(client: &Client, image: &ImageRef) -> Result<(), StartError> {
    let name = engine_name(image);
    match client.call(|docker| async move { docker.inspect_image(&name).await }).await {
        Ok(_) => Ok(()),
        Err(DockerError::NotFound(_)) => Err(StartError::failed(Failure::new(
            FailureClass::Other,
            format!("the pull of {image} ended, but the image is not there"),
        ))),
        Err(error) => Err(StartError::docker(error)),
    }
}
