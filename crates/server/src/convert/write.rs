//! To the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::types as wire;
use layer0_domain::model::access::{Subject, Token};
use layer0_domain::model::audit::AuditEntry;
use layer0_domain::model::deploy::{Deploy, DeployImage};
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::listener_rule::Rule;
use layer0_domain::model::load_balancer::{HealthCheck, LoadBalancer, Port, Protocol, Visibility};
use layer0_domain::model::operation::{Operation, OperationEvent};
use layer0_domain::model::owner::{Member, TagRule};
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::model::service::{Deployment, DeploymentState, PinnedImage, Service};
use layer0_domain::model::task::{Task, TaskWanted};
use layer0_domain::ops::Accepted;
use layer0_domain::ops::image::Resolution;
use layer0_domain::ops::map::ListedRule;
use layer0_domain::plan::pull_check::{Check, Outcome};
use layer0_domain::port::access_store::{OwnerUse, UserAccess};
use layer0_domain::port::engine::{CopyState, EnvironmentSeen, LoadBalancerSeen, ServiceSeen, TaskSeen};
use layer0_domain::port::image_source::SourceAnswer;
use layer0_domain::port::pull::RemoteImage;

use crate::text_time::{rfc3339, rfc3339_or_empty};

/// The answer to a create, update or delete.
pub(crate) fn accepted(it: Accepted) -> wire::CreateEntityResponse {
    wire::CreateEntityResponse {
        entity_id: it.entity.id().to_owned(),
        operation_id: Some(it.operation.to_string()),
        warnings: it.warnings,
        images: it.images.iter().map(pinned).collect(),
    }
}

/// A failure with its cause. The class is spelled as it is stored.
pub(crate) fn failure(it: &Failure) -> wire::Failure {
    wire::Failure {
        class: class_word(it.class),
        message: it.message.clone(),
        hint: it.hint.clone(),
        log_tail: it
            .log_tail
            .iter()
            .map(|line| wire::LogLine { container_name: line.container.clone(), line: line.line.clone() })
            .collect(),
    }
}

fn class_word(class: FailureClass) -> String {
    let class = serde_json::to_value(class).ok().and_then(|value| value.as_str().map(str::to_owned));
    class.unwrap_or_default()
}

fn pinned(it: &PinnedImage) -> wire::ImageUse {
    wire::ImageUse {
        container_name: it.container.clone(),
        image: it.written.to_string(),
        resolved: it.pinned.to_string(),
        rule: None,
        warning: it.warning.clone(),
    }
}

/// What a container's image became when its deploy was made.
pub(crate) fn mapped(it: &DeployImage) -> wire::ImageUse {
    wire::ImageUse {
        container_name: it.container.clone(),
        image: it.written.to_string(),
        resolved: it.backing.to_string(),
        rule: it.rule.as_ref().map(ToString::to_string),
        warning: None,
    }
}

/// A deploy.
pub(crate) fn deploy(it: &Deploy) -> wire::Deploy {
    let file = serde_json::to_vec(&it.document.pascal_case()).unwrap_or_default();
    wire::Deploy {
        compatibilities: it.document.compatibilities().iter().map(|it| it.as_str().to_owned()).collect(),
        deploy_file: STANDARD.encode(file),
        deploy_id: it.id.to_string(),
        deploy_name: it.name.to_string(),
        version: it.version.to_string(),
        owner_name: it.owner.as_ref().map(ToString::to_string),
        images: it.images.iter().map(mapped).collect(),
        created: rfc3339(it.created),
    }
}

/// An environment.
pub(crate) fn environment(it: &Environment, seen: Option<&EnvironmentSeen>) -> wire::Environment {
    wire::Environment {
        environment_id: it.id.to_string(),
        environment_name: it.name.to_string(),
        owner_name: it.owner.as_ref().map(ToString::to_string),
        current_size: i64::from(it.scale),
        desired_size: i64::from(it.scale),
        instance_type: it.instance_type.clone(),
        security_group_id: seen.map(|seen| seen.engine_id.clone()).unwrap_or_default(),
        operating_system: it.operating_system.as_str().to_owned(),
        ami_id: it.ami_id.clone(),
        links: it.links.iter().map(ToString::to_string).collect(),
    }
}

/// A listener.
pub(crate) fn port(it: &Port) -> wire::Port {
    wire::Port {
        certificate_arn: it.certificate_arn.clone().unwrap_or_default(),
        container_port: it.container_port().map_or(0, i64::from),
        host_port: i64::from(it.host_port),
        protocol: it.protocol.as_str().to_owned(),
        redirect_port: it.redirect_port().map(i64::from),
        rules: it.rules().iter().map(rule).collect(),
    }
}

fn rule(it: &Rule) -> wire::PortRule {
    wire::PortRule {
        paths: it.paths().iter().map(|path| path.as_str().to_owned()).collect(),
        hosts: it.hosts().iter().map(|host| host.as_str().to_owned()).collect(),
        container_port: i64::from(it.container_port()),
    }
}

fn health_check(it: &HealthCheck) -> wire::HealthCheck {
    wire::HealthCheck {
        target: it.target.clone(),
        path: it.path.clone(),
        interval: i64::from(it.interval_s),
        timeout: i64::from(it.timeout_s),
        healthy_threshold: i64::from(it.healthy_threshold),
        unhealthy_threshold: i64::from(it.unhealthy_threshold),
    }
}

/// Names of the entities around a load balancer.
pub(crate) struct LoadBalancerAround {
    /// Its environment's name.
    pub(crate) environment_name: String,
    /// The service behind it: id and name.
    pub(crate) service: Option<(String, String)>,
}

/// A load balancer.
pub(crate) fn load_balancer(
    it: &LoadBalancer,
    around: LoadBalancerAround,
    seen: Option<&LoadBalancerSeen>,
) -> wire::LoadBalancer {
    let (service_id, service_name) = around.service.unwrap_or_default();
    wire::LoadBalancer {
        environment_id: it.environment.to_string(),
        environment_name: around.environment_name,
        health_check: health_check(&it.health_check),
        idle_timeout: i64::from(it.idle_timeout_s),
        is_public: it.visibility == Visibility::Public,
        load_balancer_arn: seen.map(|seen| seen.engine_name.clone()).unwrap_or_default(),
        load_balancer_id: it.id.to_string(),
        load_balancer_name: it.name.to_string(),
        load_balancer_type: it.kind.as_str().to_owned(),
        ports: it.ports.iter().map(port).collect(),
        service_id,
        service_name,
        url: seen.map(|seen| url(&seen.address, &it.ports)).unwrap_or_default(),
        cross_zone: it.cross_zone,
        problem: seen.and_then(|seen| seen.problem.as_ref()).map(failure),
    }
}

/// Where clients go: to what is not sent elsewhere. The port is left out where it is the scheme's own.
fn url(address: &str, ports: &[Port]) -> String {
    let http = ports
        .iter()
        .find(|port| matches!(port.protocol, Protocol::Http | Protocol::Https) && port.redirect_port().is_none());
    match (http, ports.first()) {
        (Some(port), _) => {
            let (scheme, own) = if port.protocol == Protocol::Https { ("https", 443) } else { ("http", 80) };
            let host = if port.host_port == own { address.to_owned() } else { format!("{address}:{}", port.host_port) };
            format!("{scheme}://{host}/")
        }
        (None, Some(port)) => format!("{address}:{}", port.host_port),
        (None, None) => address.to_owned(),
    }
}

/// Names of the entities around a service.
pub(crate) struct ServiceAround {
    /// Its environment's name.
    pub(crate) environment_name: String,
    /// Its load balancer's name.
    pub(crate) load_balancer_name: String,
}

/// A service. `seen` is `None` when the engine does not answer or was not told of it yet.
pub(crate) fn service(it: &Service, around: ServiceAround, seen: Option<&ServiceSeen>) -> wire::Service {
    let counted = |deployment: Option<&Deployment>| {
        let mut running = 0;
        let mut pending = 0;
        for copy in seen.iter().flat_map(|seen| &seen.copies) {
            if deployment.is_some_and(|deployment| copy.deployment.as_ref() != Some(&deployment.id)) {
                continue;
            }
            match copy.state {
                CopyState::Pending => pending += 1,
                CopyState::Starting | CopyState::Healthy | CopyState::Unhealthy => running += 1,
                CopyState::Draining | CopyState::Stopped => {}
            }
        }
        (running, pending)
    };
    let mut deployments = Vec::new();
    let mut failed_shown = false;
    for (at, deployment) in it.deployments.iter().enumerate() {
        let (running, pending) = counted(Some(deployment));
        let failed = matches!(
            deployment.state,
            DeploymentState::Failed | DeploymentState::RolledBack | DeploymentState::Aborted
        );
        let status = if at == 0 {
            "PRIMARY"
        } else if running + pending > 0 {
            "ACTIVE"
        } else if failed && !failed_shown {
            "INACTIVE"
        } else {
            continue;
        };
        failed_shown |= failed;
        let desired = if at == 0 { i64::from(it.desired_count) } else { 0 };
        deployments.push(wire::Deployment {
            created: rfc3339(deployment.created),
            deploy_id: deployment.deploy.to_string(),
            deploy_name: deployment.deploy_name.to_string(),
            deploy_version: deployment.deploy_version.to_string(),
            desired_count: desired,
            pending_count: pending,
            running_count: running,
            status: status.to_owned(),
            updated: rfc3339(deployment.updated),
            deployment_id: deployment.id.to_string(),
            state: deployment.state.words().to_owned(),
            images: deployment.images.iter().map(pinned).collect(),
            cause: deployment.cause.as_ref().map(failure),
        });
    }
    let (running, pending) = counted(None);
    wire::Service {
        deployments,
        desired_count: i64::from(it.desired_count),
        environment_id: it.environment.to_string(),
        environment_name: around.environment_name,
        load_balancer_id: it.load_balancer.as_ref().map(ToString::to_string).unwrap_or_default(),
        load_balancer_name: around.load_balancer_name,
        pending_count: pending,
        running_count: running,
        service_id: it.id.to_string(),
        service_name: it.name.to_string(),
        stateful: it.stateful,
        // Once it was given up nothing comes of what it would wait for.
        waiting_for: seen.filter(|_| !it.halted()).and_then(|seen| seen.waiting_for.clone()),
        lost_copies: seen.and_then(|seen| seen.lost.as_ref()).map(|lost| wire::LostCopies {
            count: lost.count,
            at: rfc3339(lost.at),
            cause: failure(&lost.last),
        }),
        warnings: seen.map(|seen| seen.warnings.clone()).unwrap_or_default(),
    }
}

/// A task.
pub(crate) fn task(it: &Task, environment_name: String, seen: Option<&TaskSeen>) -> wire::Task {
    let container = |copy: &str, name: &str, status: &str, exit: Option<i64>, meta: &str| wire::Container {
        container_name: name.to_owned(),
        status: status.to_owned(),
        exit_code: exit.unwrap_or(0),
        meta: meta.to_owned(),
        copy_id: copy.to_owned(),
        exited: exit.is_some(),
    };
    let containers: Vec<wire::Container> = match (&it.outcome, seen) {
        (Some(outcome), _) => outcome
            .copies
            .iter()
            .flat_map(|copy| copy.containers.iter().map(move |it| (copy, it)))
            .map(|(copy, it)| {
                container(copy.copy.as_str(), &it.name, "STOPPED", it.exit_code, it.reason.as_deref().unwrap_or(""))
            })
            .collect(),
        (None, Some(seen)) => seen
            .copies
            .iter()
            .flat_map(|copy| copy.containers.iter().map(move |it| (copy, it)))
            .map(|(copy, it)| {
                let outcome = it.outcome.as_ref();
                let reason = outcome.and_then(|it| it.reason.as_deref()).unwrap_or("");
                container(copy.id.as_str(), &it.name, &it.status, outcome.and_then(|it| it.exit_code), reason)
            })
            .collect(),
        (None, None) => vec![],
    };
    let started = |copy: &layer0_domain::port::engine::CopySeen| copy.state != CopyState::Pending;
    let status = match (&it.outcome, seen) {
        (Some(_), _) => "STOPPED",
        (None, Some(seen)) if it.wanted == TaskWanted::Run && !seen.copies.iter().any(started) => "PENDING",
        (None, Some(_)) => "RUNNING",
        (None, None) => "PENDING",
    };
    let cause = it.outcome.as_ref().and_then(|it| it.failure.as_ref()).or(seen.and_then(|it| it.failure.as_ref()));
    wire::Task {
        containers,
        deploy_id: it.deploy.to_string(),
        deploy_name: it.deploy_name.to_string(),
        deploy_version: it.deploy_version.to_string(),
        environment_id: it.environment.to_string(),
        environment_name,
        status: status.to_owned(),
        task_id: it.id.to_string(),
        task_name: it.name.to_string(),
        stateful: it.stateful,
        spot: it.spot,
        copies: i64::from(it.copies),
        cause: cause.map(failure),
        images: it.images.iter().map(pinned).collect(),
        waiting_for: if it.outcome.is_some() { None } else { seen.and_then(|seen| seen.waiting_for.clone()) },
        warnings: seen.map(|seen| seen.warnings.clone()).unwrap_or_default(),
    }
}

/// An operation.
pub(crate) fn operation(it: &Operation) -> wire::Operation {
    wire::Operation {
        operation_id: it.id.to_string(),
        verb: it.verb.as_str().to_owned(),
        entity_type: it.entity.kind().as_str().to_owned(),
        entity_id: it.entity.id().to_owned(),
        entity_name: it.entity_name.clone(),
        environment_id: it.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: it.state.as_str().to_owned(),
        cause: it.cause.as_ref().map(failure),
        created: rfc3339(it.created),
        ended: rfc3339_or_empty(it.ended),
    }
}

/// One thing that happened in an operation.
pub(crate) fn event(it: &OperationEvent) -> wire::OperationEvent {
    wire::OperationEvent { sequence: it.sequence, at: rfc3339(it.at), message: it.message.clone() }
}

/// A token without its secret.
pub(crate) fn token(it: &Token) -> wire::TokenSummary {
    wire::TokenSummary {
        token_id: it.id.to_string(),
        name: it.name.to_string(),
        user: match &it.subject {
            Subject::User(user) => user.to_string(),
            Subject::Owner(_) => String::new(),
        },
        owner: match &it.subject {
            Subject::User(_) => None,
            Subject::Owner(owner) => Some(owner.to_string()),
        },
        scopes: it.scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect()),
        created: rfc3339(it.created),
        expires: rfc3339_or_empty(it.expires),
        last_used: rfc3339_or_empty(it.last_used),
    }
}

/// A map rule.
pub(crate) fn map_rule(it: &ListedRule) -> wire::MapRule {
    wire::MapRule {
        prefix: it.rule.prefix().to_owned(),
        target: it.rule.target().to_owned(),
        source: if it.fixed { "instance" } else { "user" }.to_owned(),
    }
}

/// The steps from a friendly name to what the engine pulls.
pub(crate) fn resolution(it: &Resolution) -> wire::ImageResolution {
    let verdict = it.report.verdict();
    let (digest, platforms, size) = match (&it.source, &it.evidence) {
        (SourceAnswer::Found(found), _) => (Some(found.digest.clone()), found.platforms.clone(), Some(found.size)),
        (_, Some(evidence)) => match (&evidence.remote, &evidence.local) {
            (Some(RemoteImage::Found { digest, platforms }), _) => (Some(digest.clone()), platforms.clone(), None),
            (_, Some(local)) => (None, vec![local.platform.clone()], None),
            _ => (None, vec![], None),
        },
        _ => (None, vec![], None),
    };
    wire::ImageResolution {
        image: it.mapped.written.to_string(),
        rule: it.mapped.rule.as_ref().map(ToString::to_string),
        backing: it.mapped.backing.to_string(),
        digest: digest.map(|digest| digest.to_string()),
        pinned: verdict.as_ref().ok().map(|passed| passed.pinned.to_string()),
        platforms: platforms.iter().map(ToString::to_string).collect(),
        engine_platform: it.evidence.as_ref().map(|it| it.platform.to_string()).unwrap_or_default(),
        size_bytes: size,
        problem: verdict.as_ref().err().map(failure),
        warnings: verdict.as_ref().ok().and_then(|passed| passed.warning.clone()).into_iter().collect(),
    }
}

/// What the pull check of an image comes to.
pub(crate) fn image_check(it: &Resolution, environment: Option<&EnvironmentId>) -> wire::ImageCheck {
    let verdict = it.report.verdict();
    wire::ImageCheck {
        image: it.mapped.written.to_string(),
        backing: it.mapped.backing.to_string(),
        pinned: verdict.as_ref().ok().map(|passed| passed.pinned.to_string()),
        environment_id: environment.map(ToString::to_string).unwrap_or_default(),
        passed: verdict.is_ok(),
        checks: it.report.checks.iter().map(pull_check).collect(),
        problem: verdict.as_ref().err().map(failure),
        warnings: it.report.warnings.clone(),
    }
}

fn pull_check(it: &Check) -> wire::PullCheck {
    let check = it.what.as_str().to_owned();
    match &it.outcome {
        Outcome::Passed { evidence } => wire::PullCheck {
            check,
            result: "passed".to_owned(),
            evidence: evidence.clone(),
            class: None,
            remedy: None,
        },
        Outcome::Failed { class, evidence, remedy } => wire::PullCheck {
            check,
            result: "failed".to_owned(),
            evidence: evidence.clone(),
            class: Some(class_word(*class)),
            remedy: remedy.clone().or_else(|| class.next_step().map(str::to_owned)),
        },
        Outcome::Unknown { why } => {
            wire::PullCheck { check, result: "unknown".to_owned(), evidence: why.clone(), class: None, remedy: None }
        }
    }
}

/// A user.
pub(crate) fn user(it: &UserAccess) -> wire::User {
    let place = |member: &Member| wire::UserOwner {
        owner_name: member.owner.to_string(),
        role: member.role.as_str().to_owned(),
        tags: member.tags.as_ref().map(ToString::to_string),
    };
    wire::User {
        user_name: it.user.name.to_string(),
        admin: it.user.admin,
        has_password: it.user.password.is_some(),
        created_at: rfc3339(it.user.created),
        issuer: it.user.person.as_ref().map(|it| it.id.issuer.to_string()),
        subject: it.user.person.as_ref().map(|it| it.id.subject.to_string()),
        owners: it.members.iter().map(place).collect(),
    }
}

/// An owner.
pub(crate) fn owner(it: &OwnerUse) -> wire::Owner {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    wire::Owner {
        owner_name: it.owner.name.to_string(),
        created_at: rfc3339(it.owner.created),
        quota_bytes: it.owner.quota_bytes.map(number),
        used_bytes: number(it.used_bytes),
        repositories: number(it.repositories),
        immutable: it.owner.tag_rules.iter().map(tag_rule).collect(),
        retention: it.owner.retention.iter().map(retention_rule).collect(),
    }
}

/// A rule for which images are kept.
pub(crate) fn retention_rule(it: &RetentionRule) -> wire::RetentionRule {
    wire::RetentionRule {
        repositories: Some(it.repositories.to_string()),
        tags: Some(it.tags.to_string()),
        keep_last: it.keep_last,
        keep_hours: it.keep_hours,
        untagged_hours: it.untagged_hours,
    }
}

/// A rule of immutable tags.
pub(crate) fn tag_rule(it: &TagRule) -> wire::TagRule {
    wire::TagRule {
        repositories: it.repositories.to_string(),
        tags: it.tags.to_string(),
        except: it.except.iter().map(ToString::to_string).collect(),
    }
}

/// A member.
pub(crate) fn member(it: &Member) -> wire::Member {
    wire::Member {
        owner_name: it.owner.to_string(),
        user_name: it.user.to_string(),
        role: it.role.as_str().to_owned(),
        tags: it.tags.as_ref().map(ToString::to_string),
        since: rfc3339(it.since),
        by_group: it.by_group,
    }
}

/// A record of the audit log.
pub(crate) fn audit(it: &AuditEntry) -> wire::AuditEntry {
    wire::AuditEntry {
        sequence: it.sequence,
        at: rfc3339(it.record.at),
        who: it.record.who.clone(),
        token_id: it.record.token.as_ref().map(ToString::to_string),
        from: it.record.from.clone(),
        action: it.record.action.clone(),
        target: it.record.target.clone(),
        status: it.record.status,
    }
}
