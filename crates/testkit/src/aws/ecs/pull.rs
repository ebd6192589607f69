//! Whether a task's images can be pulled, when the configuration wants that checked, in the words of stopped tasks (developer
//! guide, "CannotPullContainer task errors" and "ResourceInitializationError").

use super::super::config::Pulls;
use super::super::iam;
use super::super::wire::Input;
use super::super::world::World;
use super::Task;

/// What pulling from ECR needs the execution role to be allowed, besides the token: what the managed policy
/// AmazonEC2ContainerRegistryPullOnly gives.
const PULL: [&str; 2] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// A reference into a private ECR registry.
struct Reference<'a> {
    text: &'a str,
    registry: &'a str,
    repository: &'a str,
    tag: &'a str,
    digest: Option<&'a str>,
}

/// Reads `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME[:TAG][@DIGEST]`; `None` for an image from elsewhere.
fn parse(text: &str) -> Option<Reference<'_>> {
    let (host, path) = text.split_once('/')?;
    let (registry, rest) = host.split_once(".dkr.ecr.")?;
    if !rest.contains(".amazonaws.com") {
        return None;
    }
    let (path, digest) = match path.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (path, None),
    };
    let (repository, tag) = path.split_once(':').unwrap_or((path, "latest"));
    Some(Reference { text, registry, repository, tag, digest })
}

/// The container whose image can't be pulled, and why.
pub(super) fn problem(world: &World, task: &Task) -> Option<(usize, String)> {
    if world.config.pulls == Pulls::Succeed {
        return None;
    }
    let images = task.containers.iter().enumerate();
    images.filter_map(|(at, container)| Some((at, parse(container.definition.text("image")?)?))).find_map(
        |(at, image)| {
            let found = role_problem(world, task, &image)
                .or_else(|| network_problem(world, task))
                .or_else(|| image_problem(world, task, &image));
            found.map(|text| (at, text))
        },
    )
}

fn role_problem(world: &World, task: &Task, image: &Reference<'_>) -> Option<String> {
    let arn = task.definition.document.text("executionRoleArn")?;
    let name = arn.rsplit('/').next().unwrap_or_default();
    let Some(role) = world.iam.roles.get(name) else {
        return Some(format!(
            "ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being \
             passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
        ));
    };
    let user = format!("arn:aws:sts::{}:assumed-role/{name}/{}", world.config.account, task.id);
    if iam::simulate::decide(world, role, "ecr:GetAuthorizationToken", "*") != "allowed" {
        return Some(format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: \
             unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: User: {user} \
             is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows \
             the ecr:GetAuthorizationToken action"
        ));
    }
    let resource = format!("arn:aws:ecr:{}:{}:repository/{}", world.config.region, image.registry, image.repository);
    let denied = PULL.into_iter().any(|action| iam::simulate::decide(world, role, action, &resource) != "allowed");
    denied.then(|| forbidden(image))
}

fn forbidden(image: &Reference<'_>) -> String {
    format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {}: unexpected status \
         from HEAD request: 403 Forbidden",
        image.text
    )
}

/// The task's subnet has a way to ECR: out, or through endpoints.
fn network_problem(world: &World, task: &Task) -> Option<String> {
    let interface = task.interface.as_ref()?;
    let subnet = world.ec2.subnet(&interface.subnet)?;
    let table = world.ec2.route_table(subnet);
    let leads_out = |(destination, target): &(String, String)| {
        destination == "0.0.0.0/0" && (interface.public || !target.starts_with("igw-"))
    };
    if table.is_some_and(|table| table.routes.iter().any(leads_out)) {
        return None;
    }
    let endpoints: Vec<_> = world.ec2.network.endpoints.iter().filter(|endpoint| endpoint.vpc == subnet.vpc).collect();
    let has = |name: &str| endpoints.iter().any(|endpoint| endpoint.service.ends_with(name));
    let bucket = endpoints.iter().filter(|endpoint| endpoint.service.ends_with(".s3")).any(|endpoint| {
        endpoint.route_tables.is_empty() || table.is_some_and(|table| endpoint.route_tables.contains(&table.id))
    });
    if has(".ecr.api") && has(".ecr.dkr") && bucket {
        return None;
    }
    Some(format!(
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon \
         ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration. RequestError: \
         send request failed caused by: Post \"https://api.ecr.{}.amazonaws.com/\": dial tcp: i/o timeout",
        world.config.region
    ))
}

fn image_problem(world: &World, task: &Task, image: &Reference<'_>) -> Option<String> {
    let own = image.registry == world.config.account;
    let open = world
        .ecr
        .access
        .as_ref()
        .is_some_and(|access| PULL.into_iter().all(|action| access(image.registry, image.repository, action)));
    if !own && !open {
        return Some(forbidden(image));
    }
    let repository = world.ecr.repositories.get(&(image.registry.to_owned(), image.repository.to_owned()));
    let found = repository.and_then(|repository| {
        let digest = image.digest.or_else(|| repository.tags.get(image.tag).map(String::as_str))?;
        repository.manifests.get(digest).map(|stored| (repository, stored))
    });
    let retried = "CannotPullContainerError: pull image manifest has been retried 1 time(s)";
    let Some((repository, stored)) = found else {
        return Some(format!("{retried}: failed to resolve ref {0}: {0}: not found", image.text));
    };
    let platform =
        task.definition.document.member("runtimePlatform").and_then(|platform| platform.text("cpuArchitecture"));
    let platform = if platform == Some("ARM64") { "linux/arm64" } else { "linux/amd64" };
    if !stored.platforms.iter().any(|known| known == platform || known.starts_with(&format!("{platform}/"))) {
        return Some(format!("{retried}: image Manifest does not contain descriptor matching platform '{platform}'"));
    }
    let missing = stored.layers.iter().find(|digest| !repository.layers.get(*digest).is_some_and(|(_, there)| *there));
    missing.map(|digest| {
        format!("CannotPullContainerError: failed to copy: httpReadSeeker: failed open: content at {digest}: not found")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_into_ecr_are_read() {
        let image = parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1@sha256:ab").expect("ECR");
        assert_eq!((image.registry, image.repository, image.tag), ("123456789012", "team/app", "1"));
        assert_eq!(image.digest, Some("sha256:ab"));
        let latest = parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app").expect("ECR");
        assert_eq!((latest.repository, latest.tag), ("app", "latest"));
        assert!(parse("team/app:1").is_none());
        assert!(parse("registry.example.com/app").is_none());
    }
}
