//! What else is read before anything is made: certificates, hosted zones and quotas.

use std::collections::BTreeMap;

use layer0_aws::signed::{Place, Question, at_once};
use layer0_aws::xml::Element;
use layer0_aws::{AwsError, query};
use layer0_domain::model::image_map::partition_of;
use serde_json::{Value, json};

use super::AwsAccount;
use super::json::{Pages, text, there};
use crate::account::{CertificateSeen, HostedZone, Quota, Wanted};

/// The version of Route 53's API.
const ROUTE53: &str = "/2013-04-01/hostedzone";
/// The version of the API of load balancers.
const BALANCERS: &str = "2015-12-01";
/// The most tasks that ECS describes at once.
const TASKS_MAX: usize = 100;

/// The quotas that a stack draws on: names and codes as Service Quotas has them.
const QUOTAS: [(Wanted, &str, &str, &str); 7] = [
    (Wanted::Vpcs, "vpc", "L-F678F1CE", "VPCs per Region"),
    (Wanted::InternetGateways, "vpc", "L-A4707A72", "Internet gateways per Region"),
    (Wanted::NatGateways, "vpc", "L-FE5A380F", "NAT gateways per Availability Zone"),
    (Wanted::Addresses, "ec2", "L-0263D0A3", "EC2-VPC Elastic IPs"),
    (Wanted::Endpoints, "vpc", "L-29B6F2EB", "Interface VPC endpoints per VPC"),
    (Wanted::Balancers, "elasticloadbalancing", "L-53DA6B97", "Application Load Balancers per Region"),
    (Wanted::FargateCpus, "fargate", "L-3032A538", "Fargate On-Demand vCPU resource count"),
];

impl AwsAccount {
    pub(super) async fn certificate_read(&self, arn: &str) -> Result<Option<CertificateSeen>, AwsError> {
        // arn:aws:acm:<region>:<account>:certificate/<id>
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(&self.connection.region);
        let asked = json!({ "CertificateArn": arn });
        let answer = there(self.ask_in(region, "acm:DescribeCertificate", &asked).await)?;
        Ok(answer.map(|answer| certificate(&answer["Certificate"])))
    }

    pub(super) async fn hosted_zones_all(&self) -> Result<Vec<HostedZone>, AwsError> {
        let op = "route53:ListHostedZones";
        let place = self.route53();
        let mut zones = Vec::new();
        let mut path = ROUTE53.to_owned();
        loop {
            let answer = self.sender.ask(&place, &Question::rest(op, "GET", path), query::refusal, &at_once).await?;
            let root = Element::parse(&answer, "ListHostedZonesResponse")
                .ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
            zones.extend(root.items("HostedZones").filter_map(hosted_zone));
            match root.text("NextMarker").filter(|_| root.is("IsTruncated")) {
                // An id: letters and digits.
                Some(marker) => path = format!("{ROUTE53}?marker={marker}"),
                None => return Ok(zones),
            }
        }
    }

    /// Each partition has one place for it (AWS General Reference, "Amazon Route 53 endpoints and quotas").
    fn route53(&self) -> Place {
        let region = &self.connection.region;
        let (signed, host) = match partition_of(region) {
            "aws" => ("us-east-1", "https://route53.amazonaws.com"),
            "aws-cn" => ("cn-northwest-1", "https://route53.amazonaws.com.cn"),
            "aws-us-gov" => ("us-gov-west-1", "https://route53.us-gov.amazonaws.com"),
            _ => return self.place("route53", "Route 53"),
        };
        let mut place = self.sender.place("route53", "Route 53", signed);
        if place.endpoint.starts_with("https://route53.") {
            host.clone_into(&mut place.endpoint);
        }
        place
    }

    /// What of it can be read. Without a right to one of them a stack may still be made.
    pub(super) async fn quotas_read(&self) -> Vec<Quota> {
        let mut quotas = Vec::new();
        for (of, service, code, name) in QUOTAS {
            let limit = self.limit(service, code).await;
            let used = self.used(of).await;
            if let (Ok(Some(limit)), Ok(used)) = (limit, used) {
                let code = (service.to_owned(), code.to_owned());
                quotas.push(Quota { name: name.to_owned(), code, of, limit, used });
            }
        }
        quotas
    }

    /// How many there may be: what was granted, else what everybody has.
    async fn limit(&self, service: &str, code: &str) -> Result<Option<u32>, AwsError> {
        let asked = json!({ "ServiceCode": service, "QuotaCode": code });
        let mut answer = self.ask("servicequotas:GetServiceQuota", &asked).await;
        if answer.as_ref().is_err_and(|error| error.code == "NoSuchResourceException") {
            answer = self.ask("servicequotas:GetAWSDefaultServiceQuota", &asked).await;
        }
        // A quota is a number with a fraction; these have none.
        Ok(answer?["Quota"]["Value"].as_f64().filter(|value| (0.0..4e9).contains(value)).map(|value| value as u32))
    }

    /// How many there are.
    async fn used(&self, of: Wanted) -> Result<u32, AwsError> {
        let one = |_: &Element| Some(());
        let count = match of {
            Wanted::Vpcs => self.ec2("ec2:DescribeVpcs", &[], "vpcSet", one).await?.len(),
            Wanted::InternetGateways => {
                self.ec2("ec2:DescribeInternetGateways", &[], "internetGatewaySet", one).await?.len()
            }
            Wanted::NatGateways => self.nat_gateways().await?,
            Wanted::Addresses => {
                let of_vpcs = |address: &Element| (address.text("domain") != Some("standard")).then_some(());
                self.ec2("ec2:DescribeAddresses", &[], "addressesSet", of_vpcs).await?.len()
            }
            // Those of a new VPC, which has none.
            Wanted::Endpoints => 0,
            Wanted::Balancers => self.balancers().await?,
            Wanted::FargateCpus => self.fargate_cpus().await?,
        };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Those of the zone that has most.
    async fn nat_gateways(&self) -> Result<usize, AwsError> {
        let zone = |it: &Element| Some((it.text("subnetId")?.to_owned(), it.text("availabilityZone")?.to_owned()));
        let zones: BTreeMap<String, String> =
            self.ec2("ec2:DescribeSubnets", &[], "subnetSet", zone).await?.into_iter().collect();
        let living = |gateway: &Element| {
            let counts = matches!(gateway.text("state"), Some("pending" | "available" | "deleting"));
            gateway.text("subnetId").filter(|_| counts).map(str::to_owned)
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let gateways = self.ec2("ec2:DescribeNatGateways", &[], "natGatewaySet", living).await?;
        for zone in gateways.iter().filter_map(|subnet| zones.get(subnet)) {
            *counts.entry(zone).or_default() += 1;
        }
        Ok(counts.into_values().max().unwrap_or_default())
    }

    async fn balancers(&self) -> Result<usize, AwsError> {
        let op = "elasticloadbalancing:DescribeLoadBalancers";
        let place = self.place("elasticloadbalancing", "Elastic Load Balancing v2");
        let mut count = 0;
        let mut marker: Option<String> = None;
        loop {
            let question = query::question(op, BALANCERS, marker.as_deref().map(|marker| ("Marker", marker)));
            let answer = self.sender.ask(&place, &question, query::refusal, &at_once).await?;
            let root = Element::parse(&answer, "DescribeLoadBalancersResponse");
            let result = root.as_ref().and_then(|root| root.child("DescribeLoadBalancersResult"));
            let result = result.ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
            count += result.items("LoadBalancers").filter(|it| it.text("Type") == Some("application")).count();
            match result.text("NextMarker") {
                Some(next) => marker = Some(next.to_owned()),
                None => return Ok(count),
            }
        }
    }

    /// What the tasks that run on Fargate have, rounded up.
    async fn fargate_cpus(&self) -> Result<usize, AwsError> {
        let clusters = self.pages("ecs:ListClusters", &json!({}), &Pages::of("clusterArns", "nextToken")).await?;
        let mut units = 0;
        for cluster in clusters {
            let asked = json!({ "cluster": cluster, "launchType": "FARGATE" });
            let tasks = there(self.pages("ecs:ListTasks", &asked, &Pages::of("taskArns", "nextToken")).await)?;
            for some in tasks.unwrap_or_default().chunks(TASKS_MAX) {
                let answer = self.ask("ecs:DescribeTasks", &json!({ "cluster": cluster, "tasks": some })).await?;
                let tasks = answer["tasks"].as_array().into_iter().flatten();
                units += tasks.filter_map(|task| text(task, "cpu").parse::<usize>().ok()).sum::<usize>();
            }
        }
        Ok(units.div_ceil(1024))
    }
}

fn certificate(seen: &Value) -> CertificateSeen {
    let mut names = vec![text(seen, "DomainName").to_owned()];
    let others = seen["SubjectAlternativeNames"].as_array().into_iter().flatten();
    names.extend(others.filter_map(|name| name.as_str().map(str::to_owned)));
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    CertificateSeen { names, status: text(seen, "Status").to_owned() }
}

fn hosted_zone(zone: &Element) -> Option<HostedZone> {
    // `/hostedzone/Z…`
    let id = zone.text("Id")?.rsplit('/').next()?;
    let domain = zone.text("Name")?.trim_end_matches('.');
    let is_private = zone.child("Config").is_some_and(|config| config.is("PrivateZone"));
    Some(HostedZone { id: id.to_owned(), domain: domain.to_owned(), is_private })
}
