//! From the wire: what a request says, checked. The order of the checks and, mended, their words are those of the
//! predecessor.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::types as wire;
use layer0_domain::model::access::Scope;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::environment::OperatingSystem;
use layer0_domain::model::glob::Glob;
use layer0_domain::model::id::{DeployId, EnvironmentId, LoadBalancerId};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::listener_rule::{HostPattern, PathPattern, PatternError, Rule, RuleError};
use layer0_domain::model::load_balancer::{
    Action, HealthCheck, HealthTarget, LoadBalancerKind, Port, Protocol, Visibility,
};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::registry;
use layer0_domain::ops::environment::{EnvironmentChange, NewEnvironment};
use layer0_domain::ops::image::{CheckFor, PullCheck};
use layer0_domain::ops::load_balancer::{LoadBalancerChange, NewLoadBalancer, NewRule};
use layer0_domain::ops::service::{COPIES_MAX, NewService, ServiceChange};
use layer0_domain::ops::task::NewTask;
use layer0_domain::port::pull::Launch;

use crate::error::{ApiError, missing};

type Read<T> = Result<T, ApiError>;

/// A name; `what` is said when it is empty.
pub(crate) fn name(text: &str, what: &str) -> Read<Name> {
    if text.is_empty() {
        return Err(ApiError::value(format!("{what} is required")));
    }
    Name::parse(text).map_err(|why| ApiError::value(format!("{what}: {why}")))
}

/// Who may pull from a repository.
pub(crate) fn visibility(text: &str) -> Read<registry::Visibility> {
    registry::Visibility::parse(text)
        .ok_or_else(|| ApiError::value(format!("visibility must be `private` or `public`, not `{text}`")))
}

/// The name of an owner that must be named.
pub(crate) fn owner_name(text: &str) -> Read<OwnerName> {
    owner(Some(text))?.ok_or_else(|| ApiError::value("an owner is required"))
}

/// A pattern; `what` says which.
pub(crate) fn glob(text: &str, what: &str) -> Read<Glob> {
    Glob::parse(text).map_err(|why| ApiError::value(format!("{what}: {why}")))
}

/// Scopes.
pub(crate) fn scopes(texts: &[String]) -> Read<Vec<Scope>> {
    texts.iter().map(|text| Scope::parse(text).map_err(|why| ApiError::value(why.to_string()))).collect()
}

/// An owner, where one is named.
pub(crate) fn owner(text: Option<&str>) -> Read<Option<OwnerName>> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => OwnerName::parse(text).map(Some).map_err(|why| ApiError::value(why.to_string())),
    }
}

/// The id of an entity. Text that can't be an id names nothing that exists.
pub(crate) fn entity(kind: EntityKind, text: &str) -> Read<EntityRef> {
    EntityRef::from_parts(kind, text).map_err(|_| not_there(kind, text))
}

fn not_there(kind: EntityKind, text: &str) -> ApiError {
    let shown: String = text.chars().take(80).collect();
    let placeholder = EntityRef::from_parts(kind, "x").map(|entity| missing(&entity));
    match placeholder {
        Ok(error) => error.said(format!("{kind} `{shown}` does not exist")),
        Err(_) => ApiError::request("no such entity"),
    }
}

macro_rules! id_readers {
    ($($name:ident: $type:ident = $kind:ident, $label:literal);+ $(;)?) => {$(
        #[doc = concat!("The id of ", $label, "; required.")]
        pub(crate) fn $name(text: &str) -> Read<$type> {
            if text.is_empty() {
                return Err(ApiError::value(concat!($label, " is required")));
            }
            $type::parse(text).map_err(|_| not_there(EntityKind::$kind, text))
        }
    )+};
}

id_readers! {
    environment_id: EnvironmentId = Environment, "EnvironmentID";
    deploy_id: DeployId = Deploy, "DeployID";
    load_balancer_id: LoadBalancerId = LoadBalancer, "LoadBalancerID";
}

/// base64 of a field, with or without line breaks.
pub(crate) fn base64_field(text: &str, what: &str) -> Read<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).map_err(|why| ApiError::value(format!("{what} is not base64: {why}")))
}

fn count(value: i64, what: &str, least: i64, most: u32) -> Read<u32> {
    match u32::try_from(value) {
        Ok(count) if value >= least && count <= most => Ok(count),
        _ => Err(ApiError::value(format!("{what} must be a number from {least} to {most}, not {value}"))),
    }
}

/// `POST /environment`.
pub(crate) fn new_environment(it: wire::CreateEnvironmentRequest) -> Read<NewEnvironment> {
    let name = name(&it.environment_name, "EnvironmentName")?;
    let operating_system = match it.operating_system.as_str() {
        "linux" => OperatingSystem::Linux,
        "" => return Err(ApiError::value("OperatingSystem is required")),
        other => {
            return Err(
                ApiError::value(format!("Unrecognized OperatingSystem '{other}'")).hint("only `linux` runs here")
            );
        }
    };
    if !it.user_data_template.is_empty() {
        base64_field(&it.user_data_template, "user_data_template")?;
    }
    Ok(NewEnvironment {
        name,
        owner: owner(it.owner_name.as_deref())?,
        operating_system,
        scale: count(it.scale, "Scale", 0, COPIES_MAX)?,
        instance_type: it.instance_type,
        ami_id: it.ami_id,
        user_data_template: it.user_data_template,
    })
}

/// `PATCH /environment/{id}`.
pub(crate) fn environment_change(it: wire::UpdateEnvironmentRequest) -> Read<EnvironmentChange> {
    let ids = |texts: &[String]| texts.iter().map(|text| environment_id(text)).collect::<Read<BTreeSet<_>>>();
    Ok(EnvironmentChange {
        scale: it.scale.map(|scale| count(scale, "Scale", 0, COPIES_MAX)).transpose()?,
        links: it.links.as_deref().map(ids).transpose()?,
        add_links: ids(&it.add_links)?,
        remove_links: ids(&it.remove_links)?,
    })
}

fn port(it: &wire::Port) -> Read<Port> {
    let number = |value: i64, what: &str| match u16::try_from(value) {
        Ok(0) => Err(ApiError::value(format!("{what} is required"))),
        Ok(port) => Ok(port),
        Err(_) => Err(ApiError::value(format!("{what} {value} is no port (1 to 65535)"))),
    };
    let container_port = match it.redirect_port {
        None => number(it.container_port, "ContainerPort")?,
        Some(_) => 0,
    };
    let host_port = number(it.host_port, "HostPort")?;
    if it.protocol.is_empty() {
        return Err(ApiError::value("Protocol is required"));
    }
    let protocol = Protocol::parse(&it.protocol).ok_or_else(|| {
        ApiError::value(format!("Unrecognized protocol '{}'", it.protocol)).hint("HTTP, HTTPS, TCP or TLS")
    })?;
    let certificate_arn = Some(it.certificate_arn.clone()).filter(|arn| !arn.is_empty());
    let rules = it.rules.iter().map(rule).collect::<Read<Vec<Rule>>>()?;
    let action = match it.redirect_port {
        None => Action::Forward { container_port, rules },
        Some(redirect_port) => {
            if it.container_port != 0 || !rules.is_empty() {
                let message = format!("port {host_port} redirects, so nothing of it goes to a container");
                return Err(ApiError::value(message).hint("leave out ContainerPort and Rules"));
            }
            Action::Redirect { redirect_port: number(redirect_port, "RedirectPort")? }
        }
    };
    Ok(Port { host_port, protocol, certificate_arn, action })
}

fn rule(it: &wire::PortRule) -> Read<Rule> {
    let container_port = match u16::try_from(it.container_port) {
        Ok(port) if port > 0 => port,
        _ => {
            return Err(ApiError::value(format!(
                "a rule's ContainerPort {} is no port (1 to 65535)",
                it.container_port
            )));
        }
    };
    let unfit = |why: PatternError| ApiError::value(why.to_string());
    let paths = it.paths.iter().map(|text| PathPattern::parse(text)).collect::<Result<_, _>>().map_err(unfit)?;
    let hosts = it.hosts.iter().map(|text| HostPattern::parse(text)).collect::<Result<_, _>>().map_err(unfit)?;
    Rule::new(paths, hosts, container_port).map_err(|why| {
        let error = ApiError::value(why.to_string());
        match why {
            RuleError::Patterns(_) | RuleError::Wildcards(_) => error.hint("make two rules of it"),
            RuleError::MatchesAll => error.hint("what no rule matches goes to the port's own ContainerPort"),
            RuleError::Twice(_) => error,
        }
    })
}

fn ports(all: &[wire::Port]) -> Read<Vec<Port>> {
    all.iter().map(port).collect()
}

fn health_check(it: wire::HealthCheck) -> Read<HealthCheck> {
    if it.target.is_empty() && it.path.is_empty() {
        return Err(ApiError::value("Path or Target is required"));
    }
    if !it.path.is_empty() && !it.path.starts_with('/') {
        return Err(ApiError::value(format!("expected healthcheck path '{}' to start with '/'", it.path)));
    }
    if !it.target.is_empty() {
        HealthTarget::parse(&it.target).map_err(|why| ApiError::value(why.to_string()))?;
    }
    let number = |value: i64, what: &str, most: u32| match value {
        0 => Err(ApiError::value(format!("{what} is required"))),
        value => count(value, what, 1, most),
    };
    let check = HealthCheck {
        interval_s: number(it.interval, "Interval", 300)?,
        timeout_s: number(it.timeout, "Timeout", 120)?,
        healthy_threshold: number(it.healthy_threshold, "HealthyThreshold", 10)?,
        unhealthy_threshold: number(it.unhealthy_threshold, "UnhealthyThreshold", 10)?,
        target: it.target,
        path: it.path,
    };
    if check.timeout_s > check.interval_s {
        let message = format!("Timeout ({}) must not be longer than Interval ({})", check.timeout_s, check.interval_s);
        return Err(ApiError::value(message));
    }
    Ok(check)
}

/// The idle timeout that a load balancer gets when nothing is said.
const IDLE_TIMEOUT_S: u32 = 60;

/// The longest idle timeout: that of an ALB.
const IDLE_TIMEOUT_MAX_S: u32 = 4000;

/// `POST /loadbalancer`.
pub(crate) fn new_load_balancer(it: wire::CreateLoadBalancerRequest) -> Read<NewLoadBalancer> {
    let name = name(&it.load_balancer_name, "LoadBalancerName")?;
    let environment = environment_id(&it.environment_id)?;
    let kind = match it.load_balancer_type.as_str() {
        "" => LoadBalancerKind::Application,
        text => LoadBalancerKind::parse(text).ok_or_else(|| {
            ApiError::value(format!("Unrecognized LoadBalancerType '{text}'")).hint("`application` or `classic`")
        })?,
    };
    let mut listeners = ports(&it.ports)?;
    if listeners.is_empty() {
        listeners.push(Port::forward(80, 80, Protocol::Http));
    }
    Ok(NewLoadBalancer {
        name,
        environment,
        kind,
        visibility: if it.is_public { Visibility::Public } else { Visibility::Private },
        ports: listeners,
        health_check: health_check(it.health_check.unwrap_or_else(wire::HealthCheck::standard))?,
        idle_timeout_s: match it.idle_timeout {
            0 => IDLE_TIMEOUT_S,
            seconds => count(seconds, "IdleTimeout", 1, IDLE_TIMEOUT_MAX_S)?,
        },
        cross_zone: it.cross_zone.unwrap_or(true),
    })
}

/// `PATCH /loadbalancer/{id}`.
pub(crate) fn load_balancer_change(it: wire::UpdateLoadBalancerRequest) -> Read<LoadBalancerChange> {
    let host_port = |port: &i64| {
        u16::try_from(*port).map_err(|_| ApiError::value(format!("host port {port} is no port (1 to 65535)")))
    };
    let added = |it: &wire::RuleChange| {
        let place = match it.place.map(usize::try_from) {
            None => None,
            Some(Ok(place)) if place > 0 => Some(place),
            Some(_) => return Err(ApiError::value("a rule's Place is 1 for the first, 2 for the second, and so on")),
        };
        Ok(NewRule { host_port: host_port(&it.host_port)?, rule: rule(&it.rule)?, place })
    };
    let removed = |it: &wire::RuleChange| Ok((host_port(&it.host_port)?, rule(&it.rule)?));
    Ok(LoadBalancerChange {
        ports: it.ports.as_deref().map(ports).transpose()?,
        add_ports: ports(&it.add_ports)?,
        remove_ports: it.remove_ports.iter().map(host_port).collect::<Read<Vec<u16>>>()?,
        add_rules: it.add_rules.iter().map(added).collect::<Read<_>>()?,
        remove_rules: it.remove_rules.iter().map(removed).collect::<Read<_>>()?,
        health_check: it.health_check.map(health_check).transpose()?,
        idle_timeout_s: it.idle_timeout.map(|it| count(it, "IdleTimeout", 1, IDLE_TIMEOUT_MAX_S)).transpose()?,
        cross_zone: it.cross_zone,
    })
}

/// `POST /service`.
pub(crate) fn new_service(it: wire::CreateServiceRequest) -> Read<NewService> {
    Ok(NewService {
        name: name(&it.service_name, "ServiceName")?,
        environment: environment_id(&it.environment_id)?,
        deploy: deploy_id(&it.deploy_id)?,
        load_balancer: match it.load_balancer_id.as_str() {
            "" => None,
            text => Some(load_balancer_id(text)?),
        },
        desired_count: count(it.scale.unwrap_or(1), "Scale", 0, COPIES_MAX)?,
        stateful: it.stateful,
        pull_check: pull_check(it.skip_pull_check),
    })
}

/// `GET /image/check`: for what.
pub(crate) fn check_for(it: &wire::ImageCheckQuery) -> Read<CheckFor> {
    let platform = |text: &String| {
        registry::Platform::parse(text)
            .ok_or_else(|| ApiError::value(format!("platform must be like `linux/amd64`, not `{text}`")))
    };
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(CheckFor {
        environment: named(&it.environment_id).map(|text| environment_id(&text)).transpose()?,
        platform: named(&it.platform).as_ref().map(platform).transpose()?,
        launch: Launch::of_stateful(it.stateful),
    })
}

pub(crate) fn pull_check(skip: bool) -> PullCheck {
    if skip { PullCheck::Skipped } else { PullCheck::Made }
}

/// `PATCH /service/{id}`.
pub(crate) fn service_change(it: wire::UpdateServiceRequest) -> Read<ServiceChange> {
    if it.deploy_id.as_deref() == Some("") {
        return Err(ApiError::value("DeployID must be omitted or a non-empty string"));
    }
    if it.deploy_id.is_none() && it.scale.is_none() {
        return Err(ApiError::value("nothing to change: give deploy_id, scale or both"));
    }
    Ok(ServiceChange {
        deploy: it.deploy_id.as_deref().map(deploy_id).transpose()?,
        desired_count: it.scale.map(|scale| count(scale, "Scale", 0, COPIES_MAX)).transpose()?,
        pull_check: pull_check(it.skip_pull_check),
    })
}

/// `POST /task`.
pub(crate) fn new_task(it: wire::CreateTaskRequest) -> Read<NewTask> {
    let name = name(&it.task_name, "TaskName")?;
    let environment = environment_id(&it.environment_id)?;
    let deploy = deploy_id(&it.deploy_id)?;
    let mut overrides: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for container in it.container_overrides {
        if container.container_name.is_empty() {
            return Err(ApiError::value("ContainerName is required"));
        }
        if container.environment_overrides.keys().any(|key| key.is_empty() || key.contains('=')) {
            return Err(ApiError::value("EnvironmentOverride is missing a key, or a key holds `=`"));
        }
        overrides.entry(container.container_name).or_default().extend(container.environment_overrides);
    }
    Ok(NewTask {
        name,
        environment,
        deploy,
        copies: count(it.copies.unwrap_or(1), "Copies", 1, COPIES_MAX)?,
        overrides,
        stateful: it.stateful,
        spot: it.spot,
        pull_check: pull_check(it.skip_pull_check),
    })
}

/// `owner/name` in two parts; the name may have further `/`.
pub(crate) fn repository(owner: &str, name: &str) -> Read<RepositoryName> {
    if name.is_empty() {
        return Err(ApiError::value("Field 'name' is required"));
    }
    RepositoryName::parse(&format!("{owner}/{name}")).map_err(|why| ApiError::value(why.to_string()))
}
