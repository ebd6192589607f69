//! What a kind of network and a way in mean, for who chooses: what tasks reach, how images come to them, and what costs.

use crate::instance::{Access, Network, WayOut};

/// What a way out means.
#[must_use]
pub fn way_out(way_out: WayOut) -> &'static str {
    match way_out {
        WayOut::Endpoints => {
            "Tasks stand in private subnets and reach AWS alone, through endpoints in the VPC: images come from ECR in this \
             region, and layers, logs, secrets and `exec` work; nothing else on the internet is reached, so neither Docker Hub \
             nor any other registry. Each endpoint costs by the hour in each zone and a little by the gigabyte; S3's is free. \
             The servers themselves stand in the public subnets, for some services that they call have no endpoint; only the \
             load balancer reaches them."
        }
        WayOut::Nat => {
            "Tasks and servers stand in private subnets and reach the whole internet through one NAT gateway: images come from \
             any registry. The gateway costs by the hour and by the gigabyte, and pulls go through it. It stands in one zone: \
             while that zone is down, what runs in the others reaches nothing outside."
        }
        WayOut::Public => {
            "Tasks and servers stand in public subnets with addresses of their own, into which security groups let nobody but \
             load balancers: images come from any registry. There is neither NAT nor endpoints to pay for, but each public \
             address costs by the hour, one for each server and each task. The cheapest for a few tasks."
        }
    }
}

/// What an instance's network means.
#[must_use]
pub fn network(network: &Network) -> String {
    match network {
        Network::New { way_out: way, .. } => way_out(*way).to_owned(),
        Network::Given { vpc, private_subnets, .. } if private_subnets.is_empty() => {
            format!("Everything stands in public subnets of {vpc}. {}", way_out(WayOut::Public))
        }
        Network::Given { vpc, .. } => format!(
            "Tasks stand in private subnets of {vpc} and reach what those reach: without NAT they need endpoints for `ecr.api`, \
             `ecr.dkr`, `s3`, `logs`, `secretsmanager` and `ssmmessages` there, or no image is pulled. What {vpc} costs is not \
             part of the estimate."
        ),
    }
}

/// What the way in means.
#[must_use]
pub fn access(access: &Access) -> String {
    let blocks = |allow: &[crate::instance::Cidr]| allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match access {
        Access::Domain { name, zone, allow, .. } => {
            let from = if allow.is_empty() { "from everywhere".to_owned() } else { format!("from {}", blocks(allow)) };
            let record = match zone {
                Some(zone) => format!("its record is written into hosted zone {zone}"),
                None => "its record is yours to write: an alias or CNAME to the load balancer's address".to_owned(),
            };
            format!("https://{name}/ is reached {from}, over TLS 1.2 or 1.3; {record}.")
        }
        Access::Bare { allow } if allow.is_empty() => "There is no domain, so there is no TLS, and the load balancer is \
             internal: the API is reached from inside the VPC alone, by who is in the security group `Inside` (a VPN, a bastion, a \
             task). Tokens cross the VPC in the open; nothing crosses the internet. Docker clients must be told that this registry \
             is an insecure one."
            .to_owned(),
        Access::Bare { allow } => format!(
            "There is no domain, so there is no TLS: the API is reached from {} alone, over plain HTTP, and TOKENS CROSS THE \
             INTERNET IN THE OPEN between there and AWS. Good for a trial; give a domain for anything else. Docker clients must \
             be told that this registry is an insecure one.",
            blocks(allow)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::{CASES, instance};

    #[test]
    fn each_choice_says_what_it_means() {
        let mut lines = Vec::new();
        for (name, more) in CASES {
            let instance = instance(more);
            lines.push(format!("{name}\n  {}\n  {}", network(&instance.network), access(&instance.access)));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }
}
