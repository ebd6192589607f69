//! The network that is pulled over: subnets with their routes, security groups, endpoints.

use layer0_domain::model::id::EnvironmentId;
use layer0_domain::port::pull::aws::{Endpoint, EndpointKind, NetworkEvidence, SecurityGroup, Subnet};
use layer0_domain::port::pull::{Fact, Launch};

use super::Gathering;
use crate::ecs::aws::{EndpointSeen, Reached, RouteTable, SubnetSeen};
use crate::ecs::template::{MEMBERS, SECURITY_GROUP};

impl Gathering<'_> {
    /// The network of the question's environment.
    pub(super) async fn network(&self) -> Fact<NetworkEvidence> {
        let Some(environment) = &self.question.environment else {
            return Fact::Unknown("it was not asked for an environment".to_owned());
        };
        let config = &self.shared.config;
        let ((seen, tables, endpoints), own) = futures_util::join!(self.vpc(), self.own_groups(environment));
        let groups = self.groups(&own, &endpoints).await;
        Fact::Known(NetworkEvidence {
            vpc: config.vpc.clone(),
            subnets: config.private_subnets.iter().map(|id| subnet(id, &seen, &tables)).collect(),
            public_ip: match self.question.launch {
                Launch::Fargate => config.public_ip,
                // Machines get what their subnet gives; one subnet without an address is enough for a start to land there.
                Launch::Ec2 => seen.known().is_some_and(|all| all.iter().all(|subnet| subnet.maps_public_ip)),
            },
            security_groups: match &own {
                Fact::Known(ids) => chosen(ids, &groups),
                Fact::Unknown(why) => Fact::Unknown(why.clone()),
            },
            endpoints: match endpoints {
                Fact::Known(all) => {
                    Fact::Known(all.into_iter().map(|it| endpoint(it, &groups, tables.known())).collect())
                }
                Fact::Unknown(why) => Fact::Unknown(why),
            },
        })
    }

    /// What all environments have in common: subnets, route tables and endpoints.
    pub(super) async fn vpc(&self) -> (Fact<Vec<SubnetSeen>>, Fact<Vec<RouteTable>>, Fact<Vec<EndpointSeen>>) {
        let (aws, config, kept) = (&self.shared.aws, &self.shared.config, &self.shared.kept);
        let (vpc, subnets) = (config.vpc.as_str(), &config.private_subnets);
        futures_util::join!(
            async { self.fact(self.kept(&kept.subnets, subnets.join(","), aws.subnets(subnets)).await) },
            async { self.fact(self.kept(&kept.route_tables, vpc, aws.route_tables(vpc)).await) },
            async { self.fact(self.kept(&kept.endpoints, vpc, aws.endpoints(vpc)).await) },
        )
    }

    /// The groups of what stands in the environment, as the engine knows them or its stack says.
    async fn own_groups(&self, environment: &EnvironmentId) -> Fact<Vec<String>> {
        if let Some(ids) = self.shared.environment_groups(environment) {
            return Fact::Known(ids);
        }
        let stack = self.shared.aws.stack_describe(&self.shared.names.environment(environment)).await;
        let stack = match self.fact(stack) {
            Fact::Known(stack) => stack.filter(|stack| self.shared.is_ours(stack)),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let outputs = stack.map(|stack| stack.outputs).unwrap_or_default();
        let ids: Option<Vec<String>> =
            [MEMBERS, SECURITY_GROUP].into_iter().map(|key| outputs.get(key).cloned()).collect();
        match ids {
            Some(ids) => Fact::Known(ids),
            None => Fact::Unknown(format!("environment {environment} has no security groups yet")),
        }
    }

    /// All security groups that matter, in one look.
    async fn groups(&self, own: &Fact<Vec<String>>, endpoints: &Fact<Vec<EndpointSeen>>) -> Fact<Vec<SecurityGroup>> {
        let mut ids: Vec<String> = own.known().cloned().unwrap_or_default();
        for endpoint in endpoints.known().into_iter().flatten() {
            if let Reached::Interface { groups, .. } = &endpoint.reached {
                ids.extend(groups.iter().cloned());
            }
        }
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Fact::Known(Vec::new());
        }
        let looked = self.shared.aws.security_groups(&ids);
        self.fact(self.kept(&self.shared.kept.groups, ids.join(","), looked).await)
    }
}

/// The groups of these ids.
fn chosen(ids: &[String], groups: &Fact<Vec<SecurityGroup>>) -> Fact<Vec<SecurityGroup>> {
    let groups = match groups {
        Fact::Known(groups) => groups,
        Fact::Unknown(why) => return Fact::Unknown(why.clone()),
    };
    let mut chosen = Vec::new();
    for id in ids {
        match groups.iter().find(|group| group.id == *id) {
            Some(group) => chosen.push(group.clone()),
            None => return Fact::Unknown(format!("security group {id} is not there")),
        }
    }
    Fact::Known(chosen)
}

fn subnet(id: &str, seen: &Fact<Vec<SubnetSeen>>, tables: &Fact<Vec<RouteTable>>) -> Subnet {
    let cidr = match seen {
        Fact::Known(all) => all
            .iter()
            .find(|subnet| subnet.id == id)
            .and_then(|subnet| subnet.cidr.clone())
            .map_or_else(|| Fact::Unknown(format!("{id} has no IPv4 addresses")), Fact::Known),
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    };
    // Its own table, else the VPC's main one (VPC user guide, "Subnet route tables").
    let table = match tables {
        Fact::Known(all) => {
            let own = all.iter().find(|table| table.subnets.iter().any(|own| own == id));
            own.or_else(|| all.iter().find(|table| table.is_main))
                .ok_or_else(|| format!("no route table of the VPC counts for {id}"))
        }
        Fact::Unknown(why) => Err(why.clone()),
    };
    let (route_table, default_route) = match table {
        Ok(table) => (Fact::Known(table.id.clone()), Fact::Known(table.default_route.clone())),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    Subnet { id: id.to_owned(), cidr, route_table, default_route }
}

/// The prefix list of a gateway endpoint is what the routes to it are for.
fn endpoint(seen: EndpointSeen, groups: &Fact<Vec<SecurityGroup>>, tables: Option<&Vec<RouteTable>>) -> Endpoint {
    let kind = match seen.reached {
        Reached::Interface { private_dns, groups: ids } => {
            EndpointKind::Interface { private_dns, security_groups: chosen(&ids, groups) }
        }
        Reached::Gateway { route_tables } => {
            let routes = tables.into_iter().flatten().flat_map(|table| &table.prefix_lists);
            let prefix_list = routes.filter(|(_, to)| *to == seen.id).map(|(list, _)| list.clone()).next();
            EndpointKind::Gateway { route_tables, prefix_list }
        }
    };
    Endpoint { id: seen.id, service: seen.service, kind, policy: Fact::Known(seen.policy) }
}
