//! What of a task definition this engine can't honour, one sentence each. Pure.

use layer0_domain::model::task_definition::{ContainerDefinition, TaskDefinition};

use super::body::is_local_driver;

/// One sentence for each field that is set and not honoured.
pub(in crate::docker) fn warnings(definition: &TaskDefinition) -> Vec<String> {
    let mut all = Vec::new();
    let mut say = |text: String| all.push(text);
    if definition.network_mode.as_deref() == Some("host") {
        say("networkMode `host` is not honoured: copies run in their environment's network".to_owned());
    }
    if definition.task_role_arn.is_some() {
        say("taskRoleArn is not honoured: containers get no AWS credentials from this engine".to_owned());
    }
    if definition.execution_role_arn.is_some() {
        say("executionRoleArn is not honoured: this engine pulls with a credential of its own".to_owned());
    }
    if definition.ephemeral_storage_gib.is_some() {
        say("ephemeralStorage is not honoured: a container's file system may grow as long as the disk has room"
            .to_owned());
    }
    if let Some(family) =
        definition.runtime_platform.as_ref().and_then(|platform| platform.operating_system_family.as_deref())
        && !family.eq_ignore_ascii_case("linux")
    {
        say(format!(
            "runtimePlatform.operatingSystemFamily `{family}` is not honoured: this engine runs Linux containers"
        ));
    }
    for volume in definition.volumes.iter().filter(|volume| !volume.unsupported.is_empty()) {
        let kinds = volume.unsupported.join(", ");
        say(format!(
            "volume `{}`: {kinds} is not honoured: the volume is an empty one that lives as long as the copy",
            volume.name
        ));
    }
    for container in &definition.containers {
        of_container(container, definition.containers.len() > 1, &mut say);
    }
    for path in &definition.not_modelled {
        say(format!("{path} is not honoured by the Docker engine"));
    }
    all
}

fn of_container(container: &ContainerDefinition, several: bool, say: &mut impl FnMut(String)) {
    let name = &container.name;
    let mut of = |text: String| say(format!("container `{name}`: {text}"));
    for mapping in &container.port_mappings {
        if let Some(host_port) = mapping.host_port.filter(|port| *port != 0 && *port != mapping.container_port) {
            of(format!(
                "hostPort {host_port} is not honoured: ports are not published on the host, a load balancer is the way in"
            ));
        }
    }
    if !container.secrets.is_empty() {
        let names: Vec<&str> = container.secrets.iter().map(|secret| secret.name.as_str()).collect();
        of(format!("secrets are not honoured: {} will be missing in its environment", names.join(", ")));
    }
    if container.repository_credentials.is_some() {
        of("repositoryCredentials is not honoured: the image is pulled with a credential of Layer0's or with none"
            .to_owned());
    }
    if !container.environment_files.is_empty() {
        of("environmentFiles are not honoured: their variables will be missing".to_owned());
    }
    if container.restart_policy.as_ref().is_some_and(|policy| policy.enabled) {
        of("restartPolicy is not honoured: a service replaces the whole copy when an essential container ends"
            .to_owned());
    }
    if let Some(log) = &container.log_configuration {
        if !is_local_driver(&log.log_driver) {
            of(format!(
                "log driver `{}` is not honoured: lines go to the engine's own log, `l0 service logs` shows them",
                log.log_driver
            ));
        }
        if !log.secret_options.is_empty() {
            of("logConfiguration.secretOptions are not honoured".to_owned());
        }
    }
    if several && container.hostname.is_some() {
        of("hostname holds for all containers of the copy: they share one network".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::task_definition::Document;
    use serde_json::{Value, json};

    use super::*;

    fn of(document: Value) -> Vec<String> {
        warnings(Document::from_canonical(document).expect("a legal document").definition())
    }

    #[test]
    fn what_is_honoured_is_not_warned_of() {
        let all = of(json!({ "containerDefinitions": [{
            "name": "a", "image": "app:1", "memory": 32, "portMappings": [{ "containerPort": 80, "hostPort": 80 }],
            "logConfiguration": { "logDriver": "json-file" },
        }]}));
        assert_eq!(all, Vec::<String>::new());
    }

    #[test]
    fn each_field_that_is_not_honoured_is_named() {
        let host = of(json!({ "networkMode": "host", "containerDefinitions": [
            { "name": "a", "image": "app:1", "memory": 32 },
        ]}));
        assert!(host[0].contains("networkMode"), "{host:?}");
        let all = of(json!({ "containerDefinitions": [{
            "name": "a", "image": "app:1", "memory": 32, "portMappings": [{ "containerPort": 80, "hostPort": 8080 }],
            "logConfiguration": { "logDriver": "awslogs" },
            "secrets": [{ "name": "PASSWORD", "valueFrom": "arn:aws:ssm:us-west-2:1:parameter/x" }],
        }]}));
        for word in ["hostPort 8080", "awslogs", "PASSWORD"] {
            assert!(all.iter().any(|sentence| sentence.contains(word)), "{word}: {all:?}");
        }
        assert!(!all.iter().any(|sentence| sentence.contains("arn:")), "{all:?}");
    }
}
