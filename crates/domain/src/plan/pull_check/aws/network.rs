//! Check 5: whether every subnet has a way to what a start needs.
//!
//! A name of AWS is resolved inside the VPC: where an interface endpoint has taken it over by private DNS, or a gateway
//! endpoint is in the subnet's route table, traffic goes there and nowhere else, NAT or no NAT. So each service is looked
//! at by itself: first its endpoint, else the way to the internet.

use super::request::account;
use crate::model::failure::FailureClass;
use crate::model::image_map::partition_of;
use crate::plan::policy::{Answer, Context, Document, Request, Requester, evaluate};
use crate::plan::pull_check::Outcome;
use crate::port::pull::PullQuestion;
use crate::port::pull::aws::{AwsEvidence, DefaultRoute, Endpoint, EndpointKind, NetworkEvidence, Subnet};

mod groups;

use groups::Passage;

/// What must be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    /// What an endpoint service's name ends with: `ecr.dkr`; `None` for what no endpoint leads to.
    service: Option<&'static str>,
    /// For people.
    name: String,
    /// What is asked there, for an endpoint's policy: action and resource.
    asks: Option<(&'static str, String)>,
}

/// How one target is reached from one subnet.
enum Way {
    Open(String),
    Closed(Closed),
    Uncertain(String),
}

/// Why there is no way, and what makes one.
struct Closed {
    why: String,
    /// What opens this one way; `None` where only `instead` does.
    remedy: Option<String>,
    /// What opens every way of the subnet at once.
    instead: Option<String>,
}

impl Closed {
    fn shut(why: String, remedy: String) -> Self {
        Self { why, remedy: Some(remedy), instead: None }
    }
}

/// Subnets and targets that lack a way, put together by what stands in it.
#[derive(Default)]
struct Lacking(Vec<(String, Vec<String>, String)>);

impl Lacking {
    fn add(&mut self, subnet: &str, target: &str, why: String) {
        match self.0.iter_mut().find(|(known, _, because)| known == subnet && *because == why) {
            Some((_, targets, _)) => targets.push(target.to_owned()),
            None => self.0.push((subnet.to_owned(), vec![target.to_owned()], why)),
        }
    }

    fn said(&self) -> Option<String> {
        let each = self.0.iter().map(|(subnet, targets, why)| format!("{subnet} to {}: {why}", targets.join(", ")));
        (!self.0.is_empty()).then(|| each.collect::<Vec<_>>().join("; "))
    }
}

pub(super) fn check(question: &PullQuestion, aws: &AwsEvidence) -> Outcome {
    let network = match aws.network.get() {
        Ok(network) => network,
        Err(why) => return Outcome::unknown(why),
    };
    if network.subnets.is_empty() {
        return Outcome::failed(
            FailureClass::NoRoute,
            format!("there is no subnet in {} to put a task into", network.vpc),
            "give the environment subnets",
        );
    }
    let targets = targets(question, aws);
    let mut open = Vec::new();
    let (mut closed, mut uncertain) = (Lacking::default(), Lacking::default());
    let (mut remedies, mut instead) = (Vec::new(), Vec::new());
    for subnet in &network.subnets {
        let mut ways = Vec::new();
        for target in &targets {
            match way(target, subnet, network, aws) {
                Way::Open(by) => put(&mut ways, Some(by)),
                Way::Closed(found) => {
                    closed.add(&subnet.id, &target.name, found.why);
                    put(&mut remedies, found.remedy);
                    put(&mut instead, found.instead);
                }
                Way::Uncertain(why) => uncertain.add(&subnet.id, &target.name, why),
            }
        }
        open.push(format!("{} by {}", subnet.id, ways.join(" and ")));
    }
    if let Some(said) = closed.said() {
        let remedy = match (remedies.join("; "), instead.join("; ")) {
            (remedies, instead) if remedies.is_empty() => instead,
            (remedies, instead) if instead.is_empty() => remedies,
            (remedies, instead) => format!("{remedies}; or, instead of endpoints, {instead}"),
        };
        return Outcome::failed(FailureClass::NoRoute, format!("there is no way from {said}"), remedy);
    }
    match uncertain.said() {
        Some(said) => Outcome::unknown(format!("the way from {said}")),
        None => Outcome::passed(format!("there is a way from {}", open.join(", "))),
    }
}

/// Puts a text behind the others if it is not there.
fn put(texts: &mut Vec<String>, text: Option<String>) {
    if let Some(text) = text.filter(|text| !texts.contains(text)) {
        texts.push(text);
    }
}

/// What a start of this image has to reach (ECR user guide, "Amazon ECR interface VPC endpoints"; ECS developer guide,
/// "Amazon ECS interface VPC endpoints").
fn targets(question: &PullQuestion, aws: &AwsEvidence) -> Vec<Target> {
    let region = &aws.puller.region;
    let of = |service: &'static str, asks: Option<(&'static str, String)>| Target {
        service: Some(service),
        name: service.to_owned(),
        asks,
    };
    let mut all = Vec::new();
    match &aws.ecr {
        Some(ecr) if ecr.host.region == *region => {
            let repository = ecr.host.repository_arn(question.image.path());
            // Layers come from this bucket of ECR's own (ECR user guide, "Minimum Amazon S3 bucket permissions").
            let layers = format!("arn:{}:s3:::prod-{region}-starport-layer-bucket/any", ecr.host.partition());
            all.push(of("ecr.api", Some(("ecr:GetAuthorizationToken", "*".to_owned()))));
            all.push(of("ecr.dkr", Some(("ecr:BatchGetImage", repository))));
            all.push(of("s3", Some(("s3:GetObject", layers))));
        }
        // Endpoints do not lead into another region.
        Some(ecr) => all.push(Target { service: None, name: format!("ECR in {}", ecr.host.region), asks: None }),
        None => {
            all.push(Target { service: None, name: question.image.canonical_host().to_owned(), asks: None });
        }
    }
    let away = question.uses.log_groups.iter().find(|group| group.region.as_ref().is_some_and(|own| own != region));
    if question.uses.log_groups.iter().any(|group| group.region.as_ref().is_none_or(|own| own == region)) {
        all.push(of("logs", None));
    }
    if let Some(region) = away.and_then(|group| group.region.as_ref()) {
        all.push(Target { service: None, name: format!("CloudWatch Logs in {region}"), asks: None });
    }
    let secrets = &question.uses.secrets;
    // The credential of a registry is always a secret's, by its ARN or by its name.
    if question.uses.repository_credentials.is_some() || secrets.iter().any(|from| from.contains(":secretsmanager:")) {
        all.push(of("secretsmanager", None));
    }
    if secrets.iter().any(|from| !from.contains(":secretsmanager:")) {
        all.push(of("ssm", None));
    }
    all
}

/// The name of an endpoint service. In China those of ECR bear a prefix of their own.
fn service_name(service: &str, region: &str) -> String {
    match (partition_of(region), service) {
        ("aws-cn", "ecr.api" | "ecr.dkr") => format!("cn.com.amazonaws.{region}.{service}"),
        _ => format!("com.amazonaws.{region}.{service}"),
    }
}

fn way(target: &Target, subnet: &Subnet, network: &NetworkEvidence, aws: &AwsEvidence) -> Way {
    let region = &aws.puller.region;
    let Some(service) = target.service else {
        return internet(subnet, network, None);
    };
    let endpoints = match network.endpoints.get() {
        Ok(endpoints) => endpoints,
        // A way to the internet is no proof then: an endpoint may have taken over the name, and be shut.
        Err(why) => return Way::Uncertain(format!("the endpoints of {} could not be listed: {why}", network.vpc)),
    };
    let tail = format!(".{region}.{service}");
    let named: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.service.ends_with(&tail)).collect();
    let route_table = subnet.route_table.known();
    let gateway = named.iter().find(|endpoint| match &endpoint.kind {
        EndpointKind::Gateway { route_tables, .. } => route_table.is_some_and(|own| route_tables.contains(own)),
        EndpointKind::Interface { .. } => false,
    });
    let interface =
        named.iter().find(|endpoint| matches!(endpoint.kind, EndpointKind::Interface { private_dns: true, .. }));
    if let Some(endpoint) = interface.or(gateway) {
        return through(endpoint, target, subnet, network, aws);
    }
    let is_gateway = |endpoint: &&Endpoint| matches!(endpoint.kind, EndpointKind::Gateway { .. });
    if route_table.is_none() && named.iter().any(is_gateway) {
        let why = subnet.route_table.get().err().unwrap_or_default();
        return Way::Uncertain(format!("its route table could not be read: {why}"));
    }
    internet(subnet, network, Some(missing(service, region, network, subnet, &named)))
}

/// The remedy for a service without an endpoint that leads there.
fn missing(
    service: &'static str,
    region: &str,
    network: &NetworkEvidence,
    subnet: &Subnet,
    named: &[&Endpoint],
) -> String {
    let (full, vpc) = (service_name(service, region), &network.vpc);
    // Beside its gateway endpoint, which costs nothing, nobody needs another one for S3.
    let is_fit = |it: &&&Endpoint| service != "s3" || matches!(it.kind, EndpointKind::Gateway { .. });
    if let Some(endpoint) = named.iter().find(is_fit) {
        return match &endpoint.kind {
            EndpointKind::Interface { .. } => format!(
                "turn private DNS on: `aws ec2 modify-vpc-endpoint --vpc-endpoint-id {} --private-dns-enabled`",
                endpoint.id
            ),
            EndpointKind::Gateway { .. } => format!(
                "put {} into the subnet's route table: `aws ec2 modify-vpc-endpoint --vpc-endpoint-id {} --add-route-table-ids {}`",
                endpoint.id,
                endpoint.id,
                subnet.route_table.known().map_or("ROUTE_TABLE", String::as_str)
            ),
        };
    }
    if service == "s3" {
        let mut tables = Vec::new();
        for subnet in &network.subnets {
            put(&mut tables, subnet.route_table.known().cloned());
        }
        return format!(
            "make the gateway endpoint {full}: `aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Gateway --service-name {full} --route-table-ids {}`",
            tables.join(" ")
        );
    }
    let subnets: Vec<&str> = network.subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    format!(
        "make the interface endpoint {full}: `aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --service-name {full} --private-dns-enabled --subnet-ids {}`",
        subnets.join(" ")
    )
}

fn through(endpoint: &Endpoint, target: &Target, subnet: &Subnet, network: &NetworkEvidence, aws: &AwsEvidence) -> Way {
    let own = match network.security_groups.get() {
        Ok(own) => own,
        Err(why) => return Way::Uncertain(format!("the security groups could not be read: {why}")),
    };
    let passage = match &endpoint.kind {
        EndpointKind::Gateway { prefix_list, .. } => groups::out_to_gateway(own, prefix_list.as_deref()),
        EndpointKind::Interface { security_groups, .. } => match security_groups.get() {
            Ok(theirs) => groups::out_to_endpoint(own, theirs, endpoint)
                .and(|| groups::into_endpoint(own, theirs, endpoint, subnet)),
            Err(why) => Passage::Uncertain(format!("the security groups of {} could not be read: {why}", endpoint.id)),
        },
    };
    match passage {
        Passage::Open => match lets_through(endpoint, target, aws) {
            Some(way) => way,
            None => Way::Open(endpoint.id.clone()),
        },
        Passage::Shut { why, remedy } => Way::Closed(Closed::shut(why, remedy)),
        Passage::Uncertain(why) => Way::Uncertain(why),
    }
}

/// Whether an endpoint's policy stands in the way; `None` when it does not.
fn lets_through(endpoint: &Endpoint, target: &Target, aws: &AwsEvidence) -> Option<Way> {
    let (action, resource) = target.asks.as_ref()?;
    let text = match endpoint.policy.get() {
        Ok(text) => text.as_ref()?,
        Err(why) => return Some(Way::Uncertain(format!("the policy of {} could not be read: {why}", endpoint.id))),
    };
    let document = match Document::parse(&format!("the policy of {}", endpoint.id), text) {
        Ok(document) => document,
        Err(why) => return Some(Way::Uncertain(why.to_string())),
    };
    let requester = super::request::requester(aws)
        .unwrap_or_else(|| Requester::Iam { account: account(aws).unwrap_or_default().to_owned(), arn: None });
    // Layers are fetched by a signed address, as ECR and not as the role: of those requests nothing is known.
    let context = if action.starts_with("s3:") { Context::new() } else { super::request::context(aws) };
    let request = Request { requester: &requester, action, resource, context: &context };
    match evaluate(&request, std::slice::from_ref(&document)) {
        Answer::Allowed { .. } => None,
        Answer::Unknown { why } => Some(Way::Uncertain(why)),
        answer @ (Answer::Denied { .. } | Answer::NotAllowed) => Some(Way::Closed(Closed::shut(
            format!("the policy of {} does not let {action} on {resource} through ({answer})", endpoint.id),
            format!("let the policy of {} allow {action} on {}", endpoint.id, resource.replace("/any", "/*")),
        ))),
    }
}

/// The way to the internet. `remedy` is what would do without.
fn internet(subnet: &Subnet, network: &NetworkEvidence, remedy: Option<String>) -> Way {
    let nat = || format!("route 0.0.0.0/0 of {} to a NAT gateway", subnet.id);
    let by = match subnet.default_route.get() {
        Ok(DefaultRoute::Nat(id)) => id,
        Ok(DefaultRoute::InternetGateway(id)) if network.public_ip => id,
        Ok(DefaultRoute::InternetGateway(id)) => {
            return Way::Closed(Closed {
                why: format!("its default route leads to {id}, which is a way only with a public address"),
                remedy,
                instead: Some(format!("give the tasks public addresses, or {}", nat())),
            });
        }
        Ok(DefaultRoute::Nowhere) => {
            let why = if remedy.is_some() { "no default route, and no endpoint for it" } else { "no default route" };
            return Way::Closed(Closed { why: why.to_owned(), remedy, instead: Some(nat()) });
        }
        Ok(DefaultRoute::Elsewhere(id)) => {
            return Way::Uncertain(format!("its default route leads to {id}, and on from there it can't be seen"));
        }
        Err(why) => return Way::Uncertain(format!("its routes could not be read: {why}")),
    };
    match network.security_groups.get() {
        Ok(own) => match groups::out_to_internet(own) {
            Passage::Open => Way::Open(by.clone()),
            Passage::Shut { why, remedy } => Way::Closed(Closed::shut(why, remedy)),
            Passage::Uncertain(why) => Way::Uncertain(why),
        },
        Err(why) => Way::Uncertain(format!("the security groups could not be read: {why}")),
    }
}
