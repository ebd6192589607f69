//! What is read of an account, on moto: it checks networks as AWS does, and has the services that ministack lacks.

use layer0_aws::signed::{Question, Sender, at_once};
use layer0_aws::{connect, query};
use layer0_setup::account::{Account as _, Kind, Remain, TAG, Wanted, Way};
use layer0_testkit::until::until;
use serde_json::{Value, json};

use crate::on;

const MOTO: &str = "LAYER0_TEST_MOTO";
const MINISTACK: &str = "LAYER0_TEST_MINISTACK";

/// Makes what the tests look at.
struct Staging {
    sender: Sender,
}

impl Staging {
    async fn new(variable: &str) -> Self {
        let endpoint = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"));
        let connection = connect(Some("us-east-1"), Some(&endpoint)).await.expect("there is a way");
        Self { sender: Sender::new(&connection.sdk) }
    }

    async fn ask(&self, service: &'static str, id: &str, question: Question) -> String {
        let place = self.sender.place(service, id, "us-east-1");
        self.sender.ask(&place, &question, query::ec2_refusal, &at_once).await.expect("it is done")
    }

    /// A call of EC2; answers the text of the first element of a name.
    async fn ec2(&self, op: &'static str, asked: &[(&str, &str)], wanted: &str) -> String {
        let answer = self.ask("ec2", "EC2", query::question(op, "2016-11-15", asked.iter().copied())).await;
        let (_, rest) = answer.split_once(&format!("<{wanted}>")).unwrap_or_else(|| panic!("{wanted} in {answer}"));
        rest.split('<').next().unwrap_or_default().to_owned()
    }

    async fn json(&self, (service, id): (&'static str, &str), target: &str, asked: Value) -> Value {
        let answer = self.ask(service, id, Question::json("test:Make", target, &asked)).await;
        serde_json::from_str(&answer).unwrap_or_default()
    }

    async fn s3(&self, method: &'static str, path: &str, body: &str) -> String {
        let question = Question { body: body.to_owned(), ..Question::rest("s3:Make", method, path) };
        self.ask("s3", "S3", question).await
    }
}

#[tokio::test]
async fn a_network_is_read_with_the_ways_of_its_subnets() {
    let (account, staging) = (on(MOTO).await, Staging::new(MOTO).await);
    let vpc = staging.ec2("ec2:CreateVpc", &[("CidrBlock", "10.77.0.0/16")], "vpcId").await;
    let subnet = async |block: &str, zone: &str| {
        let asked = [("VpcId", vpc.as_str()), ("CidrBlock", block), ("AvailabilityZone", zone)];
        staging.ec2("ec2:CreateSubnet", &asked, "subnetId").await
    };
    let public = subnet("10.77.0.0/24", "us-east-1a").await;
    let behind = subnet("10.77.1.0/24", "us-east-1b").await;
    let closed = subnet("10.77.2.0/24", "us-east-1c").await;
    let gateway = staging.ec2("ec2:CreateInternetGateway", &[], "internetGatewayId").await;
    staging.ec2("ec2:AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)], "requestId").await;
    let address = staging.ec2("ec2:AllocateAddress", &[("Domain", "vpc")], "allocationId").await;
    let asked = [("SubnetId", public.as_str()), ("AllocationId", &address)];
    let nat = staging.ec2("ec2:CreateNatGateway", &asked, "natGatewayId").await;
    for (subnet, target, id) in [(&public, "GatewayId", &gateway), (&behind, "NatGatewayId", &nat)] {
        let table = staging.ec2("ec2:CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
        let route = [("RouteTableId", table.as_str()), ("DestinationCidrBlock", "0.0.0.0/0"), (target, id)];
        staging.ec2("ec2:CreateRoute", &route, "requestId").await;
        let asked = [("RouteTableId", table.as_str()), ("SubnetId", subnet)];
        staging.ec2("ec2:AssociateRouteTable", &asked, "associationId").await;
    }
    let asked =
        [("VpcId", vpc.as_str()), ("ServiceName", "com.amazonaws.us-east-1.s3"), ("VpcEndpointType", "Gateway")];
    staging.ec2("ec2:CreateVpcEndpoint", &asked, "vpcEndpointId").await;
    let asked = [("ResourceId.1", vpc.as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", "seventy-seven")];
    staging.ec2("ec2:CreateTags", &asked, "requestId").await;

    let seen = account.vpc(&vpc).await.expect("an answer").expect("it is there");
    assert_eq!((seen.name.as_str(), seen.endpoints.as_slice()), ("seventy-seven", ["s3".to_owned()].as_slice()));
    assert_eq!(seen.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.77.0.0/16"]);
    let ways: Vec<_> = seen.subnets.iter().map(|it| (it.id.as_str(), it.zone.as_str(), it.way)).collect();
    let expected = [
        (public.as_str(), "us-east-1a", Way::Internet),
        (behind.as_str(), "us-east-1b", Way::Nat),
        (closed.as_str(), "us-east-1c", Way::None),
    ];
    assert_eq!(ways, expected);
    assert!(seen.subnets.iter().all(|subnet| subnet.free > 200), "{:?}", seen.subnets);
    let listed = account.vpcs().await.expect("an answer");
    assert!(listed.iter().any(|it| it.id == vpc && it.subnets.is_empty()), "{listed:?}");

    let quotas = account.quotas().await.expect("an answer");
    let of = |wanted| quotas.iter().find(|quota| quota.of == wanted);
    for wanted in [Wanted::Vpcs, Wanted::InternetGateways, Wanted::NatGateways] {
        let quota = of(wanted).unwrap_or_else(|| panic!("{wanted:?} in {quotas:?}"));
        assert!(quota.used >= 1 && quota.limit >= 1, "{quota:?}");
    }
}

#[tokio::test]
async fn certificates_and_hosted_zones_are_read() {
    let (account, staging) = (on(MOTO).await, Staging::new(MOTO).await);
    let asked = json!({ "DomainName": "l0.example.com", "SubjectAlternativeNames": ["*.l0.example.com"] });
    let made = staging.json(("acm", "ACM"), "CertificateManager.RequestCertificate", asked).await;
    let arn = made["CertificateArn"].as_str().expect("an ARN");
    let seen = account.certificate(arn).await.expect("an answer").expect("it is there");
    assert_eq!(seen.names, ["*.l0.example.com", "l0.example.com"]);
    assert!(!seen.status.is_empty());
    let other = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000";
    assert_eq!(account.certificate(other).await, Ok(None));

    let body = "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                <Name>suite.example.com</Name><CallerReference>suite</CallerReference></CreateHostedZoneRequest>";
    let question =
        Question { body: body.to_owned(), ..Question::rest("route53:Make", "POST", "/2013-04-01/hostedzone") };
    staging.ask("route53", "Route 53", question).await;
    let zones = account.hosted_zones().await.expect("an answer");
    let zone = zones.iter().find(|zone| zone.domain == "suite.example.com").expect("it is there");
    assert!(!zone.id.contains('/') && !zone.is_private, "{zone:?}");
}

#[tokio::test]
async fn a_bucket_goes_with_all_its_versions_and_uploads() {
    let (account, staging) = (on(MINISTACK).await, Staging::new(MINISTACK).await);
    let (instance, bucket) = ("suite-bucket", "l0-suite-bucket-123456789012");
    let remain = Remain { kind: Kind::Bucket, name: bucket.to_owned() };
    account.remove(&remain).await.expect("what a run before left goes");
    staging.s3("PUT", &format!("/{bucket}"), "").await;
    let tags = format!("<Tagging><TagSet><Tag><Key>{TAG}</Key><Value>{instance}</Value></Tag></TagSet></Tagging>");
    staging.s3("PUT", &format!("/{bucket}?tagging="), &tags).await;
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    staging.s3("PUT", &format!("/{bucket}?versioning="), versioned).await;
    for (key, body) in [("a", "1"), ("a", "2"), ("b%20c/d%2Be%26f", "3"), ("g%22%3C", "4")] {
        staging.s3("PUT", &format!("/{bucket}/{key}"), body).await;
    }
    staging.s3("DELETE", &format!("/{bucket}/a"), "").await;
    staging.s3("POST", &format!("/{bucket}/never%20done?uploads="), "").await;
    assert_eq!(account.remains(instance).await, Ok(vec![remain.clone()]));
    for _ in 0..2 {
        account.remove(&remain).await.expect("it goes");
    }
    assert_eq!(account.remains(instance).await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_servers_made_is_an_instances_and_what_is_called_alike_is_not() {
    let (account, staging) = (on(MINISTACK).await, Staging::new(MINISTACK).await);
    let ecr = ("ecr", "ECR");
    let tags = |instance: &str| json!([{ "Key": "layer0.instance", "Value": instance }]);
    for (name, tags) in [
        ("l0-suite-made/team/app", tags("suitemad-0123456789")),
        ("l0-suite-made/adopted", json!([{ "Key": "layer0.adopted", "Value": "suitemad-0123456789" }])),
        ("l0-suite-made-eu/team/app", tags("suitemad-0123456789")),
    ] {
        let target = "AmazonEC2ContainerRegistry_V20150921.DeleteRepository";
        let place = staging.sender.place(ecr.0, ecr.1, "us-east-1");
        let question =
            Question::json("ecr:DeleteRepository", target, &json!({ "repositoryName": name, "force": true }));
        drop(staging.sender.ask_json(&place, &question, &at_once).await);
        let asked = json!({ "repositoryName": name, "tags": tags });
        staging.json(ecr, "AmazonEC2ContainerRegistry_V20150921.CreateRepository", asked).await;
    }
    let definition = async |family: &str, entity: &str| {
        let asked = json!({
            "family": family,
            "containerDefinitions": [{ "name": "a", "image": "a", "memory": 128 }],
            "tags": [
                { "key": "layer0.instance", "value": "suitemad-0123456789" }, { "key": "layer0.entity", "value": entity },
            ],
        });
        let target = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition";
        let made = staging.json(("ecs", "ECS"), target, asked).await;
        format!("{family}:{}", made["taskDefinition"]["revision"])
    };
    let ours = definition("l0-suite-made-web-0123456789_app-0123456789", "web-0123456789").await;
    definition("l0-suite-made-eu-web-0123456789_app-0123456789", "web-0123456789").await;

    let remains = account.remains("suite-made").await.expect("an answer");
    let definitions: Vec<_> = remains.iter().filter(|it| it.kind == Kind::TaskDefinition).collect();
    assert!(definitions.iter().any(|it| it.name == ours), "{remains:?}");
    assert!(definitions.iter().all(|it| it.name.starts_with("l0-suite-made-web-")), "{remains:?}");
    let repositories: Vec<_> = remains.iter().filter(|it| it.kind == Kind::Repository).map(|it| &it.name).collect();
    assert_eq!(repositories, ["l0-suite-made/team/app"]);
    until("nothing left", || async {
        let remains = account.remains("suite-made").await.expect("an answer");
        for remain in &remains {
            account.remove(remain).await.map_err(|error| format!("{remain:?}: {error}"))?;
        }
        if remains.is_empty() { Ok(()) } else { Err(format!("{remains:?}")) }
    })
    .await;
}

/// A role that a failed delete left is named; one of that name which somebody else made is not.
#[tokio::test]
async fn a_role_that_was_left_is_found_by_its_name_and_tag() {
    let (account, staging) = (on(MINISTACK).await, Staging::new(MINISTACK).await);
    let policy = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    for (instance, role, tag) in [("leftrole", "server", "leftrole"), ("leftrole", "machine", "another")] {
        let name = format!("l0-{instance}-{role}");
        let asked = [
            ("RoleName", name.as_str()),
            ("AssumeRolePolicyDocument", policy.as_str()),
            ("Tags.member.1.Key", TAG),
            ("Tags.member.1.Value", tag),
        ];
        staging.ask("iam", "IAM", query::question("iam:CreateRole", "2010-05-08", asked)).await;
    }
    let remains = account.remains("leftrole").await.expect("they can be read");
    let [Remain { kind: Kind::Other, name }] = &remains[..] else { panic!("{remains:?}") };
    assert!(name.ends_with(":role/l0-leftrole-server"), "{name}");
    for role in ["server", "machine"] {
        let name = format!("l0-leftrole-{role}");
        let asked = [("RoleName", name.as_str())];
        staging.ask("iam", "IAM", query::question("iam:DeleteRole", "2010-05-08", asked)).await;
    }
    assert_eq!(account.remains("leftrole").await.expect("they can be read"), []);
}
