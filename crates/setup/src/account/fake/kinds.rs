//! What the fake knows of kinds of resources, from CloudFormation's resource reference: which property is a name, what `Ref`
//! gives, and which properties can't be changed without another thing in the place of the one that is there.

/// A kind of resource.
struct Known {
    kind: &'static str,
    /// The property that is its name in the account; empty where it gets an id.
    name: &'static str,
    /// "Update requires: Replacement", beside the name.
    fixed: &'static [&'static str],
    /// What an id begins with, or an ARN that `Ref` gives: `{}` stands for the name.
    id: &'static str,
}

const fn known(kind: &'static str, name: &'static str, fixed: &'static [&'static str], id: &'static str) -> Known {
    Known { kind, name, fixed, id }
}

/// A property list that stands for all of them.
const ALL: &[&str] = &["*"];

const KNOWN: &[Known] = &[
    known(
        "AWS::CertificateManager::Certificate",
        "",
        &["DomainName", "SubjectAlternativeNames", "ValidationMethod"],
        "arn:aws:acm:{region}:{account}:certificate/{}",
    ),
    known("AWS::DynamoDB::Table", "TableName", &["AttributeDefinitions", "KeySchema"], ""),
    known("AWS::EC2::EIP", "", &["Domain"], "eipalloc-"),
    known("AWS::EC2::InternetGateway", "", &[], "igw-"),
    known("AWS::EC2::NatGateway", "", &["AllocationId", "SubnetId"], "nat-"),
    known("AWS::EC2::Route", "", &["RouteTableId", "DestinationCidrBlock"], "route-"),
    known("AWS::EC2::RouteTable", "", &["VpcId"], "rtb-"),
    known("AWS::EC2::SecurityGroup", "GroupName", &["GroupDescription", "VpcId"], "sg-"),
    known("AWS::EC2::Subnet", "", &["AvailabilityZone", "CidrBlock", "VpcId"], "subnet-"),
    known("AWS::EC2::SubnetRouteTableAssociation", "", &["SubnetId"], "rtbassoc-"),
    known("AWS::EC2::VPC", "", &["CidrBlock"], "vpc-"),
    known("AWS::EC2::VPCEndpoint", "", &["ServiceName", "VpcEndpointType", "VpcId"], "vpce-"),
    known("AWS::EC2::VPCGatewayAttachment", "", &["VpcId"], "attachment-"),
    known("AWS::ECR::Repository", "RepositoryName", &["EncryptionConfiguration"], ""),
    known("AWS::ECS::Cluster", "ClusterName", &[], ""),
    known(
        "AWS::ECS::Service",
        "ServiceName",
        &["Cluster", "LaunchType", "SchedulingStrategy"],
        "arn:aws:ecs:{region}:{account}:service/{}",
    ),
    known("AWS::ECS::TaskDefinition", "", ALL, "arn:aws:ecs:{region}:{account}:task-definition/{}"),
    known(
        "AWS::ElasticLoadBalancingV2::Listener",
        "",
        &["LoadBalancerArn"],
        "arn:aws:elasticloadbalancing:{region}:{account}:listener/app/{}",
    ),
    known(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Name",
        &["Scheme", "Type"],
        "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{}",
    ),
    known(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Name",
        &["Port", "Protocol", "TargetType", "VpcId"],
        "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{}",
    ),
    known("AWS::IAM::InstanceProfile", "InstanceProfileName", &["Path"], ""),
    known("AWS::IAM::Role", "RoleName", &["Path"], ""),
    known("AWS::Logs::LogGroup", "LogGroupName", &[], ""),
    known("AWS::Route53::RecordSet", "Name", &["HostedZoneId"], ""),
    known("AWS::S3::Bucket", "BucketName", &[], ""),
    known("AWS::S3::BucketPolicy", "", &["Bucket"], "policy-"),
    known("AWS::SSM::Parameter", "Name", &["Type"], ""),
    known("AWS::SecretsManager::Secret", "Name", &[], "arn:aws:secretsmanager:{region}:{account}:secret:{}"),
];

fn of(kind: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.kind == kind)
}

/// The property that is a name in the account.
pub(super) fn name_property(kind: &str) -> Option<&'static str> {
    of(kind).map(|known| known.name).filter(|name| !name.is_empty())
}

/// Whether a change of a property makes another thing.
pub(super) fn is_replaced_by(kind: &str, property: &str) -> bool {
    of(kind).is_some_and(|known| {
        known.name == property || known.fixed.contains(&property) || (known.fixed == ALL && property != "Tags")
    })
}

/// What `Ref` gives for a thing with this name, or with this number when it has none.
pub(super) fn physical(kind: &str, name: &str, number: u64, (region, account): (&str, &str)) -> String {
    let called = if name.is_empty() { format!("{number:08x}") } else { name.to_owned() };
    match of(kind).map(|known| known.id) {
        None => format!("thing-{called}"),
        Some("") => called,
        Some(id) if id.contains("{}") => {
            // A secret's ARN ends in six letters that nobody chooses, a definition's in its revision.
            let called = match kind {
                "AWS::SecretsManager::Secret" => format!("{called}-{number:06x}"),
                "AWS::ECS::TaskDefinition" => format!("definition:{number}"),
                _ => called,
            };
            id.replace("{region}", region).replace("{account}", account).replace("{}", &called)
        }
        Some(id) if kind == "AWS::EC2::SecurityGroup" => format!("{id}{number:08x}"),
        Some(id) => format!("{id}{called}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_once_in_order() {
        assert!(KNOWN.is_sorted_by(|one, other| one.kind < other.kind));
    }

    #[test]
    fn a_name_or_a_fixed_property_makes_another_thing() {
        assert!(is_replaced_by("AWS::DynamoDB::Table", "TableName"));
        assert!(is_replaced_by("AWS::ElasticLoadBalancingV2::TargetGroup", "Port"));
        assert!(is_replaced_by("AWS::ECS::TaskDefinition", "Cpu"));
        assert!(!is_replaced_by("AWS::ECS::Service", "DesiredCount"));
        assert!(!is_replaced_by("AWS::ECS::TaskDefinition", "Tags"));
    }
}
