//! Resources of a policy in words, those of one place together: `services and tasks in clusters named l0-test-*`.

use super::listed;

/// How people call a service.
pub(super) fn title(service: &str) -> String {
    let known = match service {
        "autoscaling" => "Auto Scaling",
        "cloudformation" => "CloudFormation",
        "cloudtrail" => "CloudTrail",
        "dynamodb" => "DynamoDB",
        "elasticloadbalancing" => "load balancing",
        "logs" => "CloudWatch Logs",
        "organizations" => "Organizations",
        "secretsmanager" => "Secrets Manager",
        _ => return service.to_ascii_uppercase(),
    };
    known.to_owned()
}

/// A name with what CloudFormation fills in told by what it is.
pub(super) fn name(text: &str) -> String {
    [("${AWS::Partition}", "aws"), ("${AWS::Region}", "(region)"), ("${AWS::AccountId}", "(account)")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Resources by their ARNs.
pub(super) fn resources(arns: &[String]) -> String {
    // What is told of each: a noun, and where or how called. Those that are in the same place are told together.
    let mut places: Vec<(String, Vec<String>)> = Vec::new();
    for arn in arns {
        let (noun, place) = one(arn);
        match places.iter_mut().find(|(known, _)| *known == place) {
            Some((_, nouns)) if !nouns.contains(&noun) => nouns.push(noun),
            Some(_) => {}
            None => places.push((place, vec![noun])),
        }
    }
    let told = places.into_iter().map(|(place, nouns)| format!("{}{place}", listed(&nouns)));
    told.collect::<Vec<_>>().join("; ")
}

/// The noun and the place of a resource.
fn one(arn: &str) -> (String, String) {
    // First, for pseudo parameters have colons too.
    let text = name(arn);
    let plain: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", _, service, region, account, rest] = plain[..] else {
        return (if arn == "*" { "anything".to_owned() } else { text.clone() }, String::new());
    };
    let elsewhere = elsewhere(service, region, account);
    let called = |noun: &str, name: &str| {
        let name = if name == "*" || name == "*/*" { String::new() } else { format!(" named {name}") };
        (noun.to_owned(), format!("{name}{elsewhere}"))
    };
    let (kind, tail) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
    match (service, kind) {
        ("ecs", "service" | "task" | "container-instance" | "service-deployment" | "service-revision") => {
            let cluster = tail.split('/').next().unwrap_or_default();
            (format!("{}s", kind.replace('-', " ")), format!(" in clusters named {cluster}{elsewhere}"))
        }
        ("ecs", "cluster" | "capacity-provider" | "task-definition") => {
            called(&format!("{}s", kind.replace('-', " ")), tail)
        }
        ("dynamodb", "table") => ("the table".to_owned(), format!(" {tail}{elsewhere}")),
        ("cloudformation", "stack") => called("stacks", tail.trim_end_matches("/*")),
        ("logs", "log-group") => called("logs", tail),
        ("ecr", "repository") => called("repositories", tail),
        ("iam", "role") => called("roles", tail),
        ("iam", "policy") => (if account == "aws" { "policies of AWS" } else { "policies" }.to_owned(), String::new()),
        ("iam", "instance-profile") => called("instance profiles", tail),
        ("s3", bucket) if tail == "*" => ("objects".to_owned(), format!(" in the bucket {bucket}")),
        ("s3", _) => ("the bucket".to_owned(), format!(" {rest}")),
        ("ec2", "security-group") => called("security groups", tail),
        ("ec2", "vpc") if tail == "${Vpc}" => ("the instance's VPC".to_owned(), String::new()),
        ("ec2", "vpc") => ("the VPC".to_owned(), format!(" {tail}")),
        ("ec2", "*") => ("anything of EC2".to_owned(), elsewhere),
        ("elasticloadbalancing", "*") => ("load balancers and their parts".to_owned(), elsewhere),
        ("autoscaling", "autoScalingGroup") => called("Auto Scaling groups", tail.rsplit('/').next().unwrap_or(tail)),
        ("ssm", "parameter") => called("parameters", &format!("/{tail}")),
        ("organizations", "account") => ("this account's place".to_owned(), String::new()),
        _ => (text.clone(), String::new()),
    }
}

/// Where it is, unless it is here.
fn elsewhere(service: &str, region: &str, account: &str) -> String {
    // IAM, S3 and parameters of AWS itself say no account or no region.
    if ["iam", "s3", "ssm", "organizations"].contains(&service) || account == "(account)" || account.is_empty() {
        return String::new();
    }
    format!(" of account {account} in {region}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_of_one_place_are_told_together() {
        let here = |service: &str, rest: &str| {
            format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
        };
        let told = |arns: &[String]| resources(arns);
        assert_eq!(
            told(&[
                here("ecs", "service/l0-a-*/*"),
                here("ecs", "task/l0-a-*/*"),
                here("ecs", "task-definition/l0-a-*")
            ]),
            "services and tasks in clusters named l0-a-*; task definitions named l0-a-*"
        );
        assert_eq!(told(&["*".to_owned()]), "anything");
        assert_eq!(
            told(&[here("ec2", "vpc/${Vpc}"), here("ec2", "security-group/*")]),
            "the instance's VPC and security groups"
        );
        assert_eq!(
            told(&[here("autoscaling", "autoScalingGroup:*:autoScalingGroupName/l0-a-*")]),
            "Auto Scaling groups named l0-a-*"
        );
        assert_eq!(
            told(&["arn:aws:s3:::b".to_owned(), "arn:aws:s3:::b/*".to_owned()]),
            "the bucket b; objects in the bucket b"
        );
        assert_eq!(
            told(&["arn:aws:ecr:us-west-2:210987654321:repository/team/*".to_owned()]),
            "repositories named team/* of account 210987654321 in us-west-2"
        );
        assert_eq!(told(&["${AdminToken}".to_owned()]), "${AdminToken}");
    }
}
