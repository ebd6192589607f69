//! What else bears the instance's tag. The tagging API tells of things for a while after they are gone, so each is looked at by its
//! own service where one is known for it.

use layer0_aws::signed::at_once;
use layer0_aws::xml::Element;
use layer0_aws::{AwsError, query};
use serde_json::json;

use super::AwsAccount;
use super::json::{Pages, text, there};
use super::remains::Found;
use crate::account::{Kind, TAG};

/// How a thing of EC2 is looked at: its type in ARNs, the call, the parameter for its id, and the list of the answer.
const OF_EC2: [(&str, &str, &str, &str); 10] = [
    ("elastic-ip", "ec2:DescribeAddresses", "AllocationId.1", "addressesSet"),
    ("internet-gateway", "ec2:DescribeInternetGateways", "InternetGatewayId.1", "internetGatewaySet"),
    ("launch-template", "ec2:DescribeLaunchTemplates", "LaunchTemplateId.1", "launchTemplates"),
    ("natgateway", "ec2:DescribeNatGateways", "NatGatewayId.1", "natGatewaySet"),
    ("network-interface", "ec2:DescribeNetworkInterfaces", "NetworkInterfaceId.1", "networkInterfaceSet"),
    ("route-table", "ec2:DescribeRouteTables", "RouteTableId.1", "routeTableSet"),
    ("security-group", "ec2:DescribeSecurityGroups", "GroupId.1", "securityGroupInfo"),
    ("subnet", "ec2:DescribeSubnets", "SubnetId.1", "subnetSet"),
    ("vpc", "ec2:DescribeVpcs", "VpcId.1", "vpcSet"),
    ("vpc-endpoint", "ec2:DescribeVpcEndpoints", "VpcEndpointId.1", "vpcEndpointSet"),
];

/// Services that are asked by themselves for what they have of an instance.
const ASKED: [&str; 7] = ["cloudformation", "dynamodb", "ecr", "logs", "s3", "secretsmanager", "ssm"];

impl AwsAccount {
    pub(super) async fn others_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let asked = json!({ "TagFilters": [{ "Key": TAG, "Values": [found.names.instance] }] });
        let pages = Pages::of("ResourceTagMappingList", "PaginationToken");
        for hit in self.pages("tag:GetResources", &asked, &pages).await? {
            let arn = text(&hit, "ResourceARN");
            // arn:<partition>:<service>:<region>:<account>:<type>/<id>
            let [_, _, service, _, _, resource] = arn.splitn(6, ':').collect::<Vec<_>>()[..] else { continue };
            let (kind, id) = resource.split_once(['/', ':']).unwrap_or(("", resource));
            if ASKED.contains(&service) || found.parts.contains(arn) || found.parts.contains(id) {
                continue;
            }
            let is_there = match (service, kind) {
                ("ec2", _) => self.is_there_ec2(kind, id).await?,
                ("ecs", "cluster") => {
                    let answer = self.ask("ecs:DescribeClusters", &json!({ "clusters": [arn] })).await?;
                    text(&answer["clusters"][0], "status") == "ACTIVE"
                }
                // Found in the clusters of the stacks, or by family.
                ("ecs", _) => false,
                ("elasticloadbalancing", "loadbalancer") => {
                    self.is_there_elb("elasticloadbalancing:DescribeLoadBalancers", "LoadBalancerArns.member.1", arn)
                        .await?
                }
                ("elasticloadbalancing", "targetgroup") => {
                    self.is_there_elb("elasticloadbalancing:DescribeTargetGroups", "TargetGroupArns.member.1", arn)
                        .await?
                }
                // Parts of a load balancer.
                ("elasticloadbalancing", _) => false,
                ("acm", _) => {
                    there(self.ask("acm:DescribeCertificate", &json!({ "CertificateArn": arn })).await)?.is_some()
                }
                _ => true,
            };
            if is_there {
                found.add(Kind::Other, arn);
            }
        }
        Ok(())
    }

    async fn is_there_ec2(&self, kind: &str, id: &str) -> Result<bool, AwsError> {
        let Some((_, op, parameter, list)) = OF_EC2.iter().find(|(of, ..)| *of == kind) else { return Ok(true) };
        // What is deleted is told of for an hour.
        let living = |it: &Element| (it.text("state") != Some("deleted")).then_some(());
        let found = there(self.ec2(op, &[(*parameter, id)], list, living).await)?;
        Ok(found.is_some_and(|found| !found.is_empty()))
    }

    async fn is_there_elb(&self, op: &'static str, parameter: &str, arn: &str) -> Result<bool, AwsError> {
        let place = self.place("elasticloadbalancing", "Elastic Load Balancing v2");
        let question = query::question(op, "2015-12-01", [(parameter, arn)]);
        Ok(there(self.sender.ask(&place, &question, query::refusal, &at_once).await)?.is_some())
    }
}
