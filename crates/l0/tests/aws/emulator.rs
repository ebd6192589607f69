//! The emulator's own API, for what has to be there before Layer0 and to see what Layer0 made: the little of AWS's two
//! protocols that this takes.

use serde_json::{Value, json};

use crate::common::http::Connection;

/// `host:port` of the emulator.
pub(crate) fn emulator() -> String {
    let url = std::env::var("LAYER0_TEST_MINISTACK").expect("LAYER0_TEST_MINISTACK is set by scripts/aws.sh");
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// Calls an operation of a service that speaks JSON.
#[track_caller]
pub(crate) fn json_call(service: &str, target: &str, input: &Value) -> Value {
    let headers = format!("X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.1\r\n");
    let answer = call(&emulator(), service, &headers, &input.to_string());
    serde_json::from_str(&answer).unwrap_or_else(|why| panic!("{target}: {why}: {answer}"))
}

/// Calls an operation of a service that takes forms, and gives the XML that it answers.
#[track_caller]
pub(crate) fn query_call(service: &str, version: &str, action: &str, input: &[(&str, &str)]) -> String {
    query_call_at(&emulator(), service, version, action, input)
}

/// As [`query_call`], where `host:port` answers.
#[track_caller]
pub(crate) fn query_call_at(host: &str, service: &str, version: &str, action: &str, input: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
    let fields: String = input.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
    let body = format!("Action={action}&Version={version}{fields}");
    call(host, service, "Content-Type: application/x-www-form-urlencoded\r\n", &body)
}

/// What stands in the first element of this name.
#[track_caller]
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let inside = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inside.unwrap_or_else(|| panic!("no <{name}> in {xml}")).0
}

#[track_caller]
fn call(host: &str, service: &str, headers: &str, body: &str) -> String {
    let headers = format!(
        "{headers}Connection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n"
    );
    let mut connection = Connection::open(host).expect("it listens");
    let answer = connection.request("POST", "/", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{body}: {answer:?}");
    answer.body
}

/// Makes a repository: ECR makes none on a push.
#[track_caller]
pub(crate) fn repository_create(name: &str) {
    json_call("ecr", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", &json!({ "repositoryName": name }));
}

/// Calls an operation of ECS.
#[track_caller]
pub(crate) fn ecs(operation: &str, input: &Value) -> Value {
    json_call("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
}

/// The names of the stacks that are there.
#[track_caller]
pub(crate) fn stacks() -> Vec<String> {
    let xml = query_call("cloudformation", "2010-05-15", "DescribeStacks", &[]);
    xml.split("<StackName>").skip(1).filter_map(|rest| Some(rest.split_once('<')?.0.to_owned())).collect()
}

/// The description of a load balancer of ELBv2 and of its listeners, as XML.
#[track_caller]
pub(crate) fn load_balancer(name: &str) -> (String, String) {
    const VERSION: &str = "2015-12-01";
    let elb = |action, input: &[(&str, &str)]| query_call("elasticloadbalancing", VERSION, action, input);
    let balancer = elb("DescribeLoadBalancers", &[("Names.member.1", name)]);
    let listeners = elb("DescribeListeners", &[("LoadBalancerArn", element(&balancer, "LoadBalancerArn"))]);
    (balancer, listeners)
}

/// A network of the test's own, whose tasks reach everything: a VPC, two subnets, a route to an internet gateway.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) vpc: String,
    /// The subnets, separated by a comma.
    pub(crate) subnets: String,
}

impl Network {
    #[track_caller]
    pub(crate) fn create() -> Self {
        let ec2 = |action: &str, input: &[(&str, &str)], id: &str| {
            element(&query_call("ec2", "2016-11-15", action, input), id).to_owned()
        };
        let vpc = ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/16")], "vpcId");
        let gateway = ec2("CreateInternetGateway", &[], "internetGatewayId");
        ec2("AttachInternetGateway", &[("VpcId", &vpc), ("InternetGatewayId", &gateway)], "return");
        let table = ec2("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId");
        let route = [("RouteTableId", table.as_str()), ("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", &gateway)];
        ec2("CreateRoute", &route, "return");
        let subnets = ["a", "b"].map(|zone| {
            let (block, zone) = (format!("10.0.{}.0/24", u8::from(zone == "b")), format!("us-east-1{zone}"));
            let subnet = [("VpcId", vpc.as_str()), ("CidrBlock", &block), ("AvailabilityZone", &zone)];
            let subnet = ec2("CreateSubnet", &subnet, "subnetId");
            ec2("AssociateRouteTable", &[("RouteTableId", &table), ("SubnetId", &subnet)], "associationId");
            subnet
        });
        Self { vpc, subnets: subnets.join(",") }
    }
}

/// Makes an execution role that may do what a start needs, and gives its ARN.
#[track_caller]
pub(crate) fn execution_role(name: &str) -> String {
    const VERSION: &str = "2010-05-08";
    let statement = |more: Value| {
        let mut statement = json!({ "Effect": "Allow" });
        statement.as_object_mut().expect("an object").append(more.clone().as_object_mut().expect("an object"));
        json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    };
    let trust = statement(json!({ "Principal": { "Service": "ecs-tasks.amazonaws.com" }, "Action": "sts:AssumeRole" }));
    let rights = statement(json!({
        "Action": [
            "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents",
        ],
        "Resource": "*",
    }));
    let made =
        query_call("iam", VERSION, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust.as_str())]);
    let put = [("RoleName", name), ("PolicyName", "pull"), ("PolicyDocument", rights.as_str())];
    query_call("iam", VERSION, "PutRolePolicy", &put);
    element(&made, "Arn").to_owned()
}
