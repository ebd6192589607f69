//! The roles. The servers have their rights alone: no task and no machine that they start runs with the role of a server, and
//! what a task runs with is told by its name.
//!
//! | role | who has it | handed on by the servers |
//! | --- | --- | --- |
//! | `l0-<name>-server` | the servers | never |
//! | `l0-<name>-server-execution` | ECS, to start the servers and read the admin token for them | never |
//! | `l0-<name>-execution` | ECS, to pull images and write logs | to ECS |
//! | `l0-<name>-machine` | machines of environments that have some | to EC2 |
//! | `l0-<name>-task-…` | tasks: made by whoever writes a deploy that names it | to ECS |

use serde_json::{Value, json};

use super::rights::{Right, rights};
use super::{Template, attribute, reference, substituted};

pub(super) fn roles(template: &mut Template<'_>) {
    let statements: Vec<Value> = rights(template.instance).iter().map(Right::statement).collect();
    let policy = json!([{
        "PolicyName": "server",
        "PolicyDocument": { "Version": "2012-10-17", "Statement": statements },
    }]);
    role(template, "ServerRole", "server", ECS, json!({ "Policies": policy }));
    role(template, "ExecutionRole", "execution", ECS, json!({ "ManagedPolicyArns": [managed(EXECUTION)] }));
    // Of the servers alone: what users start must not read the token.
    let token = json!([{
        "PolicyName": "admin-token",
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "AdminToken",
                "Effect": "Allow",
                "Action": ["secretsmanager:GetSecretValue"],
                "Resource": [attribute("AdminToken", "Id")],
            }],
        },
    }]);
    let more = json!({ "ManagedPolicyArns": [managed(EXECUTION)], "Policies": token });
    role(template, "ServerExecutionRole", "server-execution", ECS, more);
    // One for all environments: so the servers need no right to make roles.
    role(template, "MachineRole", "machine", EC2, json!({ "ManagedPolicyArns": [managed(MACHINE)] }));
    let name = template.name("machine");
    template.resource(
        "MachineProfile",
        "AWS::IAM::InstanceProfile",
        // Both have one name, so that the one is found by the other.
        json!({ "InstanceProfileName": name, "Roles": [reference("MachineRole")] }),
    );
}

/// What the names of all roles end with, behind the stack's.
pub const ROLES: [&str; 4] = ["server", "execution", "server-execution", "machine"];

const ECS: &str = "ecs-tasks.amazonaws.com";
const EC2: &str = "ec2.amazonaws.com";
/// Pulls from ECR and writes logs ("Amazon ECS task execution IAM role").
const EXECUTION: &str = "AmazonECSTaskExecutionRolePolicy";
/// The agent of ECS ("Amazon ECS container instance IAM role").
const MACHINE: &str = "AmazonEC2ContainerServiceforEC2Role";

fn managed(policy: &str) -> Value {
    substituted(format!("arn:${{AWS::Partition}}:iam::aws:policy/service-role/{policy}"))
}

/// A role that a service gets into, with what else it has.
fn role(template: &mut Template<'_>, id: &str, name: &str, service: &str, more: Value) {
    let mut properties = json!({
        "RoleName": template.name(name),
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }],
        },
        "Tags": template.tags(name),
    });
    if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
        properties.extend(more);
    }
    template.resource(id, "AWS::IAM::Role", properties);
}
