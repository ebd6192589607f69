//! Docker's refusals to pull, create and start, told apart.
//!
//! Docker gives most of them one status (404 or 500) or none at all (an error in the middle of a pull's progress), so
//! that only the text tells them apart. All matching of such text is in [`class`]; the messages in the tests are Docker's
//! own, word for word.

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::image::ImageRef;

use super::super::client::{DockerError, chain};
use super::super::containers::StartError;

/// A refused pull.
pub(in super::super) fn of_pull(image: &ImageRef, error: DockerError) -> StartError {
    if error.is_down() {
        return StartError::docker(error);
    }
    let text = chain(&error);
    let class = class(&text).unwrap_or(FailureClass::Other);
    let message = match class {
        FailureClass::ImageNotFound => format!("image {image} does not exist in its registry"),
        FailureClass::PullDenied => format!("the registry does not let the Docker engine pull {image}"),
        FailureClass::WrongArchitecture => format!("image {image} has no variant for this machine"),
        FailureClass::NoCapacity => format!("no space is left on the Docker engine's disk for image {image}"),
        _ => format!("image {image} can't be pulled: {text}"),
    };
    StartError::failed(Failure::new(class, message))
}

/// A refused creation or start of a container.
pub(in super::super) fn of_start(container: &str, image: &str, error: DockerError) -> StartError {
    if error.is_down() {
        return StartError::docker(error);
    }
    let text = chain(&error);
    let class = class(&text).unwrap_or(FailureClass::CannotStart);
    let message = match class {
        FailureClass::ImageNotFound => {
            format!("image {image} of container `{container}` is not on the Docker engine any more")
        }
        FailureClass::WrongArchitecture => {
            format!("container `{container}` can't be started: image {image} is not for this machine's processor")
        }
        FailureClass::NoCapacity => {
            format!("container `{container}` can't be started, the machine has not enough left: {text}")
        }
        _ => format!("container `{container}` can't be started: {}", plain(&text)),
    };
    StartError::failed(Failure::new(class, message))
}

/// What a registry's refusal of Docker's question means.
pub(super) fn class_of_registry(error: &DockerError) -> FailureClass {
    match error {
        // Docker answers 401 and 403 for a registry that does not let it in.
        DockerError::Refused { status: 401 | 403, .. } => FailureClass::PullDenied,
        other => class(&chain(other)).unwrap_or(FailureClass::Other),
    }
}

/// Which class of failure Docker's words mean; `None` when they tell nothing. The order matters: `pull access denied …
/// repository does not exist or may require 'docker login': denied` is both, and is a denial.
fn class(text: &str) -> Option<FailureClass> {
    let text = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["no space left on device", "disk quota exceeded", "cannot allocate memory", "range of cpus is from"]) {
        return Some(FailureClass::NoCapacity);
    }
    if any(&[
        "exec format error",
        "no matching manifest for",
        "does not match the specified platform",
        "does not match the detected host platform",
    ]) {
        return Some(FailureClass::WrongArchitecture);
    }
    if text == "denied" || any(&["pull access denied", "unauthorized", "no basic auth credentials", "denied: "]) {
        return Some(FailureClass::PullDenied);
    }
    if any(&["manifest unknown", "name unknown", "no such image", "not found: manifest", "repository name not known"]) {
        return Some(FailureClass::ImageNotFound);
    }
    if text.starts_with("manifest for ") && text.contains("not found") {
        return Some(FailureClass::ImageNotFound);
    }
    None
}

/// Takes the layers of tools off Docker's words, which are put in front of the cause.
fn plain(text: &str) -> &str {
    let inner = ["starting container process caused: ", "container init caused: ", "OCI runtime create failed: "]
        .into_iter()
        .filter_map(|prefix| text.rfind(prefix).map(|at| at + prefix.len()))
        .max();
    let text = inner.map_or(text, |at| &text[at..]);
    text.trim_end_matches(": unknown").trim_end_matches(": unknown.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_own_words_are_told_apart() {
        use FailureClass::{ImageNotFound, NoCapacity, PullDenied, WrongArchitecture};
        // All from Docker 20.10.24, but for the last of each kind, which newer ones say.
        let cases = [
            (
                "manifest for 127.0.0.1:5000/team/app:none not found: manifest unknown: manifest unknown",
                Some(ImageNotFound),
            ),
            ("manifest unknown: manifest unknown", Some(ImageNotFound)),
            ("name unknown: repository name not known to registry", Some(ImageNotFound)),
            ("No such image: layer0-test/none:latest", Some(ImageNotFound)),
            (
                "pull access denied for team/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Some(PullDenied),
            ),
            ("denied", Some(PullDenied)),
            ("unauthorized: authentication required", Some(PullDenied)),
            ("Head \"http://127.0.0.1:5000/v2/team/app/manifests/1\": no basic auth credentials", Some(PullDenied)),
            ("no matching manifest for linux/amd64 in the manifest list entries", Some(WrongArchitecture)),
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/tool\": exec format error",
                Some(WrongArchitecture),
            ),
            ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", Some(NoCapacity)),
            ("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", Some(NoCapacity)),
            ("Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", None),
            ("unable to find user nobody-here: no matching entries in passwd file", None),
        ];
        for (text, expected) in cases {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn the_layers_of_tools_are_taken_off() {
        let text = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nothing\": stat /nothing: no such file or directory: unknown";
        assert_eq!(
            plain(text),
            "runc create failed: unable to start container process: exec: \"/nothing\": stat /nothing: no such file or directory"
        );
    }
}
