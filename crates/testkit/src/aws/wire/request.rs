//! Which service and operation a request means.

use http::header::HeaderMap;
use serde_json::Value;

use super::{AwsError, query};

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// awsJson 1.0 or 1.1: one JSON document each way, the operation in `X-Amz-Target`.
    Json,
    /// awsQuery: a form in, XML out.
    Query,
    /// ec2Query: the same with other wrappers.
    Ec2,
}

/// A service that the fake knows, or at least the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Container Service.
    Ecs,
    /// CloudWatch Logs.
    Logs,
    /// Elastic Container Registry.
    Ecr,
    /// CloudFormation.
    CloudFormation,
    /// Elastic Load Balancing: application and network load balancers.
    Elbv2,
    /// Elastic Load Balancing: classic load balancers.
    Elb,
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
    /// Elastic Compute Cloud.
    Ec2,
    /// Organizations.
    Organizations,
    /// CloudTrail.
    CloudTrail,
}

impl Service {
    /// The name, as IAM's actions have it before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Logs => "logs",
            Self::Ecr => "ecr",
            Self::CloudFormation => "cloudformation",
            Self::Elbv2 | Self::Elb => "elasticloadbalancing",
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::Ec2 => "ec2",
            Self::Organizations => "organizations",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// How it speaks.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Ecs | Self::Logs | Self::Ecr | Self::Organizations | Self::CloudTrail => Protocol::Json,
            Self::CloudFormation | Self::Elbv2 | Self::Elb | Self::Iam | Self::Sts => Protocol::Query,
            Self::Ec2 => Protocol::Ec2,
        }
    }

    /// The namespace of its XML answers.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::CloudFormation => "http://cloudformation.amazonaws.com/doc/2010-05-15/",
            Self::Elbv2 => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            Self::Elb => "http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/",
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            Self::Ecs | Self::Logs | Self::Ecr | Self::Organizations | Self::CloudTrail => "",
        }
    }

    /// By the prefix of an `X-Amz-Target`.
    fn by_target(prefix: &str) -> Option<Self> {
        match prefix {
            "AmazonEC2ContainerServiceV20141113" => Some(Self::Ecs),
            "Logs_20140328" => Some(Self::Logs),
            "AmazonEC2ContainerRegistry_V20150921" => Some(Self::Ecr),
            "AWSOrganizationsV20161128" => Some(Self::Organizations),
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" => Some(Self::CloudTrail),
            _ => None,
        }
    }

    /// By the version of the query API, which no two of them share.
    fn by_version(version: &str) -> Option<Self> {
        match version {
            "2010-05-15" => Some(Self::CloudFormation),
            "2015-12-01" => Some(Self::Elbv2),
            "2012-06-01" => Some(Self::Elb),
            "2010-05-08" => Some(Self::Iam),
            "2011-06-15" => Some(Self::Sts),
            "2016-11-15" => Some(Self::Ec2),
            _ => None,
        }
    }
}

/// A request that was understood so far as to know who has to answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) input: Value,
    /// The account of the role in whose name it is made; `None` for the fake's own.
    pub(crate) account: Option<String>,
}

/// A request that nobody can answer: in which form, and with what.
#[derive(Debug)]
pub(crate) struct Unanswerable {
    pub(crate) protocol: Protocol,
    pub(crate) error: AwsError,
}

/// Reads a request.
///
/// # Errors
/// `MissingAuthenticationToken` without a credential scope; `UnknownOperationException`, `InvalidAction` for what the fake
/// does not know; `SerializationException` for a body that is no JSON.
pub(crate) fn read(headers: &HeaderMap, body: &str) -> Result<Request, Unanswerable> {
    match headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        Some(target) => read_json(headers, target, body),
        None => read_query(headers, body),
    }
}

fn read_json(headers: &HeaderMap, target: &str, body: &str) -> Result<Request, Unanswerable> {
    let refuse = |error| Unanswerable { protocol: Protocol::Json, error };
    let Scope { account, .. } = scope(headers).map_err(refuse)?;
    let (prefix, operation) = target.rsplit_once('.').unwrap_or((target, ""));
    let service = Service::by_target(prefix).ok_or_else(|| {
        refuse(AwsError::new("UnknownOperationException", format!("the fake has no service with the target {target}")))
    })?;
    let body = if body.trim().is_empty() { "{}" } else { body };
    let input = serde_json::from_str(body)
        .map_err(|error| refuse(AwsError::new("SerializationException", format!("the body is no JSON: {error}"))))?;
    Ok(Request { service, operation: operation.to_owned(), input, account })
}

fn read_query(headers: &HeaderMap, form: &str) -> Result<Request, Unanswerable> {
    let input = query::members(form);
    let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (operation, version) = (text("Action"), text("Version"));
    let service = Service::by_version(&version);
    let refuse = |error| Unanswerable { protocol: service.map_or(Protocol::Query, Service::protocol), error };
    let Scope { service: signed_for, account } = scope(headers).map_err(refuse)?;
    let Some(service) = service else {
        let what =
            format!("the fake has no service {signed_for} with the action {operation:?} and version {version:?}");
        return Err(refuse(AwsError::new("InvalidAction", what)));
    };
    Ok(Request { service, operation, input, account })
}

/// What the keys of a role's session begin with; its account follows.
pub(crate) const SESSION_KEY: &str = "ASIAFAKE";

/// What a signature says.
struct Scope {
    service: String,
    /// The account of the role that the keys are of.
    account: Option<String>,
}

/// What the signature is for: `Credential=KEY/20260101/us-east-1/ecs/aws4_request`. Nothing is verified.
fn scope(headers: &HeaderMap) -> Result<Scope, AwsError> {
    let missing =
        || AwsError::new("MissingAuthenticationToken", "Request is missing Authentication Token").with_status(403);
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let credential = header.split("Credential=").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    let parts: Vec<&str> = credential.ok_or_else(missing)?.split('/').collect();
    match parts.as_slice() {
        [key, _, _, service, "aws4_request"] => {
            Ok(Scope { service: (*service).to_owned(), account: key.strip_prefix(SESSION_KEY).map(str::to_owned) })
        }
        _ => Err(missing()),
    }
}
