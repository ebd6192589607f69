//! What the fake engine finds out about images of ECR: as if it were on AWS, in account `111111111111` and `us-east-1`.
//!
//! The repository's last component says what is wrong, so that each case of the pull check can be tried with nothing but a
//! name: `l0 image check 111111111111.dkr.ecr.us-east-1.amazonaws.com/team/no-tag:1 --environment demo`. Any other name is
//! an image that can be pulled.
//!
//! | name | what is wrong |
//! |---|---|
//! | `no-repository`, `no-tag`, `no-layer` | the image is not there, or not whole |
//! | `not-cached` | the image is not there yet: a pull-through cache rule fetches it from Docker Hub |
//! | `no-platform` | it is for another processor |
//! | `not-let-in`, `denied` | no statement lets the account in (for an account of its own), or one denies it |
//! | `no-role`, `untrusted-role`, `weak-role` | the execution role is missing, not trusted with tasks, or may not pull |
//! | `no-route`, `no-endpoint`, `shut-endpoint`, `no-egress` | the subnet has no way, an endpoint is missing or lets nobody in, the security group lets nothing out |
//! | `not-passed` | the server may not pass the role that the definition's containers get (`taskRoleArn`) |
//! | `unreadable` | nothing may be looked at |

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image_map::{EcrHost, partition_of};
use layer0_domain::model::registry::Platform;
use layer0_domain::port::pull::aws::{
    ActedBy, AwsEvidence, CacheRule, Decision, DefaultRoute, EcrEvidence, EcrImage, Endpoint, EndpointKind,
    NetworkEvidence, Organization, PassedRole, Passer, Passing, Peer, PolicyText, Puller, Role, RoleEvidence,
    RoleRights, Rule, SecurityGroup, Simulated, Subnet, UsedAs,
};
use layer0_domain::port::pull::{Fact, PullQuestion, StartUses};

/// Whose tasks they are.
const ACCOUNT: &str = "111111111111";
/// Where they run.
const REGION: &str = "us-east-1";

const LET_IN: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "pull", "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
    "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}]}"#;
const DENY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "closed", "Effect": "Deny", "Principal": "*",
    "Action": "ecr:BatchGetImage"}]}"#;
const EXECUTION_ROLE: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [
    "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage",
    "logs:*", "secretsmanager:GetSecretValue", "ssm:GetParameters"], "Resource": "*"}]}"#;
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
const WEAK_ROLE: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}"#;

/// The facts about an image of ECR; `None` for any other.
pub(super) fn evidence(question: &PullQuestion, platforms: &[Platform]) -> Option<AwsEvidence> {
    let host = question.image.host().and_then(EcrHost::parse)?;
    let path = question.image.path();
    let case = path.rsplit('/').next().unwrap_or(path);
    if case == "unreadable" {
        return Some(unreadable(host));
    }
    let network = match question.environment {
        Some(_) => Fact::Known(network(case)),
        None => Fact::Unknown("no environment was named whose network it could be".to_owned()),
    };
    Some(AwsEvidence {
        puller: Puller {
            account: Fact::Known(ACCOUNT.to_owned()),
            organization: Fact::Known(Some(Organization { id: "o-fake000000".to_owned(), path: None })),
            region: REGION.to_owned(),
        },
        role: Fact::Known(role(case)),
        network,
        passing: passing(case, question),
        added: StartUses::default(),
        unsure_of_platform: None,
        is_of_now: true,
        ecr: Some(EcrEvidence {
            image: Fact::Known(image(case, question, platforms)),
            repository_policy: Fact::Known(repository_policy(case, &host)),
            registry_policy: Fact::Known(None),
            cache_rule: Fact::Known((case == "not-cached").then(|| CacheRule {
                prefix: path.split('/').next().unwrap_or_default().to_owned(),
                upstream: "registry-1.docker.io".to_owned(),
            })),
            host,
        }),
    })
}

fn unreadable(host: EcrHost) -> AwsEvidence {
    fn denied<T>(action: &str) -> Fact<T> {
        Fact::Unknown(format!("access denied to {action}"))
    }
    AwsEvidence {
        puller: Puller {
            account: Fact::Known(ACCOUNT.to_owned()),
            organization: denied("organizations:DescribeOrganization"),
            region: REGION.to_owned(),
        },
        ecr: Some(EcrEvidence {
            host,
            image: denied("ecr:BatchGetImage"),
            repository_policy: denied("ecr:GetRepositoryPolicy"),
            registry_policy: denied("ecr:GetRegistryPolicy"),
            cache_rule: Fact::Known(None),
        }),
        role: denied("iam:GetRole"),
        network: denied("ec2:DescribeSubnets"),
        passing: None,
        added: StartUses::default(),
        unsure_of_platform: None,
        is_of_now: true,
    }
}

fn image(case: &str, question: &PullQuestion, platforms: &[Platform]) -> EcrImage {
    let image = &question.image;
    let digest = image.digest().cloned().unwrap_or_else(|| Digest::sha256_of(image.canonical_key().as_bytes()));
    match case {
        "no-repository" | "not-cached" => EcrImage::NoRepository,
        "no-tag" => EcrImage::NoImage { tags: Fact::Known(vec!["latest".to_owned()]) },
        _ => EcrImage::Found {
            missing: Fact::Known(if case == "no-layer" { vec![Digest::sha256_of(b"a layer")] } else { Vec::new() }),
            platforms: Fact::Known(if case == "no-platform" {
                vec![super::engine::platform("s390x")]
            } else {
                platforms.to_vec()
            }),
            digest,
        },
    }
}

fn repository_policy(case: &str, host: &EcrHost) -> Option<String> {
    match case {
        "denied" => Some(DENY.to_owned()),
        "not-let-in" => None,
        _ if host.account == ACCOUNT => None,
        _ => Some(LET_IN.replace("arn:aws:", &format!("arn:{}:", partition_of(&host.region)))),
    }
}

fn role(case: &str) -> RoleEvidence {
    if case == "no-role" {
        return RoleEvidence::NotGiven;
    }
    let trusted = if case == "untrusted-role" { "lambda.amazonaws.com" } else { "ecs-tasks.amazonaws.com" };
    RoleEvidence::Found(Role {
        arn: format!("arn:aws:iam::{ACCOUNT}:role/l0-execution"),
        acted_by: ActedBy::Task,
        trust: Fact::Known(format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
                "Principal": {{"Service": "{trusted}"}}, "Action": "sts:AssumeRole"}}]}}"#
        )),
        rights: Fact::Known(RoleRights::Documents {
            policies: vec![PolicyText {
                name: "execution".to_owned(),
                text: if case == "weak-role" { WEAK_ROLE } else { EXECUTION_ROLE }.to_owned(),
            }],
            boundary: None,
        }),
    })
}

/// A definition with a role for its containers has it handed over. There is one role, `app`, which trusts tasks; any other does
/// not exist.
fn passing(case: &str, question: &PullQuestion) -> Option<Passing> {
    let arn = question.task_role.clone()?;
    let trust = arn.ends_with("/app").then(|| TRUST.to_owned());
    let decision = if case == "not-passed" { Decision::ImplicitDeny } else { Decision::Allowed };
    let result =
        Simulated { action: "iam:PassRole".to_owned(), resource: arn.clone(), decision, missing_keys: Vec::new() };
    let rights = Fact::Known(RoleRights::Simulated(vec![result]));
    Some(Passing {
        passer: Fact::Known(Passer { arn: format!("arn:aws:iam::{ACCOUNT}:role/layer0"), rights }),
        roles: vec![PassedRole { arn, used_as: UsedAs::Task { trust: Fact::Known(trust) } }],
    })
}

fn network(case: &str) -> NetworkEvidence {
    let default_route = match case {
        "no-route" => DefaultRoute::InternetGateway("igw-fake".to_owned()),
        "no-endpoint" => DefaultRoute::Nowhere,
        _ => DefaultRoute::Nat("nat-fake".to_owned()),
    };
    let endpoints = match case {
        "no-endpoint" => vec![interface("ecr.api", "0.0.0.0/0"), interface("logs", "0.0.0.0/0"), gateway()],
        "shut-endpoint" => vec![interface("ecr.api", "192.0.2.0/24")],
        _ => Vec::new(),
    };
    let out = if case == "no-egress" { Vec::new() } else { vec![https("0.0.0.0/0")] };
    NetworkEvidence {
        vpc: "vpc-fake".to_owned(),
        subnets: vec![Subnet {
            id: "subnet-fake".to_owned(),
            cidr: Fact::Known("10.0.1.0/24".to_owned()),
            route_table: Fact::Known("rtb-fake".to_owned()),
            default_route: Fact::Known(default_route),
        }],
        public_ip: false,
        security_groups: Fact::Known(vec![SecurityGroup {
            id: "sg-task".to_owned(),
            ingress: Vec::new(),
            egress: out,
        }]),
        endpoints: Fact::Known(endpoints),
    }
}

fn https(cidr: &str) -> Rule {
    Rule { protocol: Some("tcp".to_owned()), ports: Some((443, 443)), peer: Peer::Cidr(cidr.to_owned()) }
}

fn interface(service: &str, lets_in: &str) -> Endpoint {
    let group = SecurityGroup { id: "sg-endpoint".to_owned(), ingress: vec![https(lets_in)], egress: Vec::new() };
    Endpoint {
        id: format!("vpce-{}", service.replace('.', "-")),
        service: format!("com.amazonaws.{REGION}.{service}"),
        kind: EndpointKind::Interface { private_dns: true, security_groups: Fact::Known(vec![group]) },
        policy: Fact::Known(None),
    }
}

fn gateway() -> Endpoint {
    Endpoint {
        id: "vpce-s3".to_owned(),
        service: format!("com.amazonaws.{REGION}.s3"),
        kind: EndpointKind::Gateway {
            route_tables: vec!["rtb-fake".to_owned()],
            prefix_list: Some("pl-s3".to_owned()),
        },
        policy: Fact::Known(None),
    }
}
