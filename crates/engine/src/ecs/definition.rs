//! From a task definition as its user wrote it to the body of `RegisterTaskDefinition`.
//!
//! What the user wrote goes through as it is, keys included that nobody here reads. Changed is only what has to be: the
//! images (mapped and pinned), the environment (overrides), the family, the labels; added is what is missing and must not be:
//! a log configuration, the execution role, the network mode on Fargate and behind a load balancer that sends to addresses, and on
//! Fargate a size.

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::task_definition::{Problem, TaskDefinition};
use layer0_domain::plan::fargate;
use layer0_domain::plan::load_balancer::{Form, has_own_address};
use layer0_domain::port::pull::Launch;
use serde_json::{Map, Value, json};

use super::config::EcsConfig;

/// Keys that ECS answers with a task definition and refuses in a request, and the marks of other tools.
const NOT_ASKED: [&str; 11] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
    "AWSEBDockerrunVersion",
    "authentication",
];

/// What a definition is registered as.
#[derive(Debug, Clone)]
pub(super) struct Registration<'a> {
    /// The account.
    pub(super) config: &'a EcsConfig,
    /// The family.
    pub(super) family: String,
    /// On what it runs.
    pub(super) launch: Launch,
    /// Behind what.
    pub(super) behind: Option<Form>,
    /// The log group of the environment.
    pub(super) log_group: &'a str,
    /// What the names of its log streams begin with, without the last `/`.
    pub(super) log_prefix: String,
    /// Labels.
    pub(super) tags: Vec<(String, String)>,
}

/// The body of the request.
///
/// # Errors
/// When Fargate refuses it, or the document was not kept (made by an older version).
pub(super) fn body(definition: &TaskDefinition, registration: &Registration<'_>) -> Result<Value, Box<Failure>> {
    let Some(Value::Object(written)) = definition.written.as_ref().map(|written| &written.0) else {
        let mut failure = Failure::new(FailureClass::CannotStart, "the deploy was made before its document was kept");
        failure.hint = Some("make the deploy again, and update the service".to_owned());
        return Err(Box::new(failure));
    };
    let mut body: Map<String, Value> = written.clone();
    let theirs = body.remove("tags");
    body.retain(|key, value| {
        let is_refused = NOT_ASKED.iter().any(|dropped| dropped.eq_ignore_ascii_case(key));
        // An empty text says nothing, here as where the document is read: what is missing is added below.
        !is_refused && value.as_str() != Some("")
    });
    body.insert("family".to_owned(), json!(registration.family));
    let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
    let mut tags: Vec<Value> = registration.tags.iter().map(|(key, value)| tag(key, value)).collect();
    let is_ours = |it: &Value| registration.tags.iter().any(|(key, _)| it["key"].as_str() == Some(key));
    tags.extend(theirs.as_ref().and_then(Value::as_array).into_iter().flatten().filter(|it| !is_ours(it)).cloned());
    body.insert("tags".to_owned(), json!(tags));
    if let Some(role) = &registration.config.execution_role {
        body.entry("executionRoleArn").or_insert_with(|| json!(role));
    }
    match registration.launch {
        Launch::Fargate => {
            let size = fargate::fit(definition).map_err(|problems| Box::new(refused(&problems)))?.size;
            body.insert("cpu".to_owned(), json!(size.cpu.to_string()));
            body.insert("memory".to_owned(), json!(size.memory_mib.to_string()));
            body.entry("networkMode").or_insert_with(|| json!("awsvpc"));
            body.insert("requiresCompatibilities".to_owned(), json!(["FARGATE"]));
        }
        Launch::Ec2 => {
            if has_own_address(definition, registration.launch, registration.behind) {
                body.entry("networkMode").or_insert_with(|| json!("awsvpc"));
            }
            body.insert("requiresCompatibilities".to_owned(), json!(["EC2"]));
        }
    }
    let containers = body.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for item in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        let typed = item.get("name").and_then(Value::as_str).and_then(|name| definition.container(name));
        if let Some(typed) = typed {
            item.insert("image".to_owned(), json!(typed.image));
            let environment: Vec<Value> =
                typed.environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
            if !environment.is_empty() {
                item.insert("environment".to_owned(), json!(environment));
            }
        }
        item.entry("logConfiguration").or_insert_with(|| {
            json!({
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": registration.log_group,
                    "awslogs-region": registration.config.region,
                    "awslogs-stream-prefix": registration.log_prefix,
                },
            })
        });
    }
    Ok(Value::Object(body))
}

/// What Fargate refuses of a definition, as one failure.
fn refused(problems: &[Problem]) -> Failure {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let mut failure =
        Failure::new(FailureClass::CannotStart, format!("Fargate can't run the deploy: {}", all.join("; ")));
    failure.hint = Some("change the deploy, or run it on machines of the environment (`--stateful`)".to_owned());
    failure
}

/// What the user should know of a definition: the size that is chosen where it names none, and what Fargate refuses.
pub(super) fn warnings(definition: &TaskDefinition) -> Vec<String> {
    match fargate::fit(definition) {
        Ok(fit) => fit.words,
        Err(problems) => vec![refused(&problems).message],
    }
}

/// Why Fargate can't run a definition; `None` when it can.
pub(super) fn refusal(definition: &TaskDefinition) -> Option<Failure> {
    fargate::fit(definition).err().map(|problems| refused(&problems))
}

/// The first container that maps a port.
pub(super) fn container_with_port(definition: &TaskDefinition, port: u16) -> Option<&str> {
    let listens = definition.containers.iter().find(|it| it.port_mappings.iter().any(|to| to.container_port == port));
    listens.map(|it| it.name.as_str())
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::task_definition::Document;

    use super::*;

    fn registered(document: &str, launch: Launch) -> Value {
        let mut config = EcsConfig::new("prod".to_owned(), "prod-1".to_owned(), "us-west-2".to_owned());
        config.execution_role = Some("arn:aws:iam::123456789012:role/l0-exec".to_owned());
        let document = Document::parse(document.as_bytes()).expect("a legal document");
        let mut definition = document.definition_with_document();
        definition.containers[0].image = "123456789012.dkr.ecr.us-west-2.amazonaws.com/app@sha256:00".to_owned();
        let registration = Registration {
            config: &config,
            family: "l0-prod-web-1_app-1".to_owned(),
            launch,
            behind: None,
            log_group: "l0-prod-env-1",
            log_prefix: "l0/web-1".to_owned(),
            tags: vec![("layer0.instance".to_owned(), "prod-1".to_owned())],
        };
        body(&definition, &registration).expect("the document was kept")
    }

    #[test]
    fn keys_that_nobody_reads_go_through_and_those_in_another_case_too() {
        let body = registered(
            r#"{"AWSEBDockerrunVersion": 2, "ContainerDefinitions": [{"Name": "web", "image": "team/app", "memory": 128,
               "versionConsistency": "disabled", "somethingNew": {"a": [1]}}],
               "proxyConfiguration": {"type": "APPMESH", "containerName": "web"}, "brandNew": true}"#,
            Launch::Fargate,
        );
        assert_eq!(body["brandNew"], json!(true));
        assert_eq!(body["proxyConfiguration"]["containerName"], json!("web"));
        let container = &body["containerDefinitions"][0];
        assert_eq!(container["somethingNew"], json!({ "a": [1] }));
        assert_eq!(container["name"], json!("web"));
        assert_eq!(container["image"], json!("123456789012.dkr.ecr.us-west-2.amazonaws.com/app@sha256:00"));
        assert!(body.get("AWSEBDockerrunVersion").is_none() && body.get("awsebDockerrunVersion").is_none());
        assert_eq!(body["networkMode"], json!("awsvpc"));
        assert_eq!((&body["cpu"], &body["memory"]), (&json!("256"), &json!("512")), "the smallest that fits");
        assert_eq!(body["executionRoleArn"], json!("arn:aws:iam::123456789012:role/l0-exec"));
        assert_eq!(container["logConfiguration"]["options"]["awslogs-stream-prefix"], json!("l0/web-1"));
    }

    #[test]
    fn what_fargate_refuses_is_said_before_anything_starts() {
        let of =
            |document: &str| Document::parse(document.as_bytes()).expect("a legal document").definition_with_document();
        let privileged =
            of(r#"{"containerDefinitions": [{"name": "web", "image": "app", "memory": 128, "privileged": true}]}"#);
        let failure = refusal(&privileged).expect("it is refused");
        assert!(failure.message.contains("privileged"), "{}", failure.message);
        assert!(failure.hint.expect("a way").contains("--stateful"));
        assert_eq!(refusal(&of(r#"{"containerDefinitions": [{"name": "web", "image": "app"}]}"#)), None);
    }

    #[test]
    fn what_the_user_chose_stays() {
        let body = registered(
            r#"{"family": "mine", "executionRoleArn": "arn:aws:iam::1:role/own", "networkMode": "host", "taskRoleArn": "",
               "tags": [{"key": "team", "value": "web"}, {"key": "layer0.instance", "value": "other"}],
               "containerDefinitions": [{"name": "web", "image": "app", "memory": 128,
               "logConfiguration": {"logDriver": "awsfirelens"}}]}"#,
            Launch::Ec2,
        );
        assert_eq!(body["executionRoleArn"], json!("arn:aws:iam::1:role/own"));
        assert_eq!(body["networkMode"], json!("host"));
        assert_eq!(body["family"], json!("l0-prod-web-1_app-1"));
        assert_eq!(body["containerDefinitions"][0]["logConfiguration"], json!({ "logDriver": "awsfirelens" }));
        assert_eq!(body["requiresCompatibilities"], json!(["EC2"]));
        let tags = json!([{ "key": "layer0.instance", "value": "prod-1" }, { "key": "team", "value": "web" }]);
        assert_eq!(body["tags"], tags, "ours, and theirs but for what is ours");
        assert!(body.get("taskRoleArn").is_none(), "what is empty is not there");
    }
}
