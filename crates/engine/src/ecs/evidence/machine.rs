//! What a task runs on of whose platform its definition says nothing: Fargate takes X86_64 then, a machine of the environment is
//! what its type is.

use layer0_domain::model::registry::Platform;
use layer0_domain::port::pull::{Launch, PullQuestion};

use crate::ecs::state::Shared;
use crate::ecs::template::instance_type;

/// The platform that a question is about, and why that is not certain, where it is not.
pub(super) fn platform(shared: &Shared, question: &PullQuestion) -> (Platform, Option<String>) {
    let of = |os: &str, architecture: &str| Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: None,
    };
    match (&question.platform, &question.environment, question.launch) {
        (Some(platform), _, _) => (platform.clone(), None),
        (None, Some(id), Launch::Ec2) => {
            let state = shared.state();
            let Some(told) = state.environments.get(id) else {
                return (of("linux", "amd64"), Some(format!("the machines of environment {id} are not known")));
            };
            let kind = instance_type(&told.environment);
            match architecture(kind) {
                Some(architecture) => (of("linux", architecture), None),
                None => (of("linux", "amd64"), Some(format!("what machines of type `{kind}` are is not known"))),
            }
        }
        (None, _, Launch::Fargate) | (None, None, Launch::Ec2) => (of("linux", "amd64"), None),
    }
}

/// The architecture of an instance type: those with a processor of AWS's own have a `g` behind their generation, but for the
/// first of them ("Amazon EC2 instance type naming conventions"). `None` for a name of another make.
fn architecture(kind: &str) -> Option<&'static str> {
    let (family, _) = kind.split_once('.')?;
    if family == "a1" {
        return Some("arm64");
    }
    let more = family.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let options = more.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let is_read = more.len() < family.len() && options.len() < more.len();
    is_read.then(|| if options.starts_with('g') { "arm64" } else { "amd64" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_tells_its_architecture() {
        for (kind, expected) in [
            ("t3.small", Some("amd64")),
            ("t4g.small", Some("arm64")),
            ("m7gd.large", Some("arm64")),
            ("c7gn.large", Some("arm64")),
            ("im4gn.large", Some("arm64")),
            ("a1.medium", Some("arm64")),
            ("g4dn.xlarge", Some("amd64")),
            ("g5g.xlarge", Some("arm64")),
            ("g6e.xlarge", Some("amd64")),
            ("m7i-flex.large", Some("amd64")),
            ("u-6tb1.metal", None),
            ("large", None),
            ("", None),
        ] {
            assert_eq!(architecture(kind), expected, "{kind}");
        }
    }
}
