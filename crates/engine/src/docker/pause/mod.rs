//! The pause container: it holds the network namespace that the containers of one copy share, and does nothing.
//!
//! Its image has one file, a program of a few instructions that sleeps for ever, written here byte by byte and handed to
//! Docker as a layer. So nothing is pulled from anywhere for it.

mod elf;
mod tar;

use bollard::body_full;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::client::{Client, DockerError, START_LIMIT};

/// The image; the tag counts changes of its content.
const REPOSITORY: &str = "layer0/pause";
/// See [`REPOSITORY`].
const TAG: &str = "1";

/// Makes sure that the image is there.
#[derive(Debug, Default)]
pub(super) struct Pause {
    made: OnceCell<()>,
}

impl Pause {
    /// The image's name, once it is on the engine.
    pub(super) async fn ensure(&self, client: &Client) -> Result<String, DockerError> {
        let name = format!("{REPOSITORY}:{TAG}");
        self.made.get_or_try_init(|| make(client, &name)).await?;
        // Somebody may have tidied it away since; asking is a matter of a millisecond.
        if !is_here(client, &name).await? {
            make(client, &name).await?;
        }
        Ok(name)
    }
}

async fn is_here(client: &Client, name: &str) -> Result<bool, DockerError> {
    let name = name.to_owned();
    match client.call(|docker| async move { docker.inspect_image(&name).await }).await {
        Ok(_) => Ok(true),
        Err(DockerError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn make(client: &Client, name: &str) -> Result<(), DockerError> {
    if is_here(client, name).await? {
        return Ok(());
    }
    let machine = client.call(|docker| async move { docker.version().await }).await?.arch.unwrap_or_default();
    let Some(program) = elf::program(&machine) else {
        let message =
            format!("several containers in one copy are not possible on a machine of architecture `{machine}`");
        return Err(DockerError::Refused { status: 0, message });
    };
    let layer = tar::archive(&[("pause", 0o755, &program)]);
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(REPOSITORY)
        .tag(TAG)
        .message("Layer0: holds the network of a copy")
        .changes(vec!["CMD [\"/pause\"]".to_owned(), "USER 65535:65535".to_owned()])
        .build();
    let import = |docker: bollard::Docker| async move {
        let mut steps = std::pin::pin!(docker.create_image(Some(options), Some(body_full(layer.into())), None));
        while let Some(step) = steps.next().await {
            step?;
        }
        Ok(())
    };
    client.call_within(START_LIMIT, import).await
}
