//! Container instances: the machines that tasks run on, as ECS has them.

use super::super::pace::Family;
use super::super::{Aws, AwsError, last_part};

/// The most container instances that one `DescribeContainerInstances` takes.
const MACHINES_A_CALL: usize = 100;

impl Aws {
    /// The EC2 ids of container instances, by their own; those that ECS does not know are left out, as are all when the cluster
    /// isn't there.
    pub(in crate::ecs) async fn machines_describe(
        &self,
        cluster: &str,
        ids: &[String],
    ) -> Result<Vec<(String, String)>, AwsError> {
        let mut machines = Vec::new();
        for some in ids.chunks(MACHINES_A_CALL) {
            let call =
                self.ecs.describe_container_instances().cluster(cluster).set_container_instances(Some(some.to_vec()));
            // ECS counts it among the reads of tasks ("Cluster resource read actions").
            match self.send("ecs:DescribeContainerInstances", Family::TasksRead, call.send()).await {
                Ok(answer) => {
                    machines.extend(answer.container_instances.unwrap_or_default().into_iter().filter_map(|it| {
                        let id = last_part(it.container_instance_arn.as_deref()?).to_owned();
                        Some((id, it.ec2_instance_id?))
                    }))
                }
                Err(error) if error.is_missing() => return Ok(vec![]),
                Err(error) => return Err(error),
            }
        }
        Ok(machines)
    }
}
