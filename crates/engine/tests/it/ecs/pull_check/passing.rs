//! The roles that a start hands over, from the wire to the judgement.

use super::*;

fn task_role(case: &mut Case) {
    case.aws.role("app", IamRole::for_tasks(&["s3:GetObject"]));
    case.question.task_role = Some(format!("arn:aws:iam::{OWN}:role/app"));
}

fn deny_simulation(case: &Case) {
    let denied = Fault::on(Service::Iam, "SimulatePrincipalPolicy", Effect::AccessDenied { message: None });
    case.aws.fault(denied.times(u64::MAX));
}

#[tokio::test]
async fn the_roles_that_are_handed_over_are_looked_at() {
    let rows: &[Row] = &[
        ("the instance's own", |_| {}, What::PassRole, "passed", &["layer0 may pass l0-execution to tasks"]),
        ("the task's too", task_role, What::PassRole, "passed", &["layer0 may pass l0-execution and app to tasks"]),
        (
            "by name",
            |case| {
                task_role(case);
                case.question.task_role = Some("app".to_owned());
            },
            What::PassRole,
            "passed",
            &["l0-execution and app"],
        ),
        (
            "one that is not there",
            |case| case.question.task_role = Some(format!("arn:aws:iam::{OWN}:role/gone")),
            What::PassRole,
            "failed",
            &["role/gone does not exist", "aws iam create-role --role-name gone"],
        ),
        (
            "one that trusts others",
            |case| {
                task_role(case);
                let mut role = IamRole::for_tasks(&[]);
                role.trust = json!({ "Version": "2012-10-17", "Statement": [] });
                case.aws.role("app", role);
            },
            What::PassRole,
            "failed",
            &["app does not trust ecs-tasks.amazonaws.com"],
        ),
        (
            "without the right",
            |case| {
                task_role(case);
                case.aws.role("layer0", IamRole::for_tasks(&["ecs:RunTask"]));
            },
            What::PassRole,
            "failed",
            &["may not pass l0-execution and app to tasks", "iam:PassedToService"],
        ),
        (
            "of another account",
            |case| case.question.task_role = Some(format!("arn:aws:iam::{OTHER}:role/app")),
            What::PassRole,
            "unknown",
            &["which can't be asked from"],
        ),
        (
            "where nobody knows us",
            |case| {
                let denied = Effect::AccessDenied { message: None };
                case.aws.fault(Fault::on(Service::Iam, "GetRole", denied).times(u64::MAX));
                deny_simulation(case);
            },
            What::PassRole,
            "unknown",
            &["access denied to iam:SimulatePrincipalPolicy"],
        ),
    ];
    assert_rows(rows, &[What::Image, What::Platform, What::Access, What::Network]).await;
}

/// Without the right to simulate, the server's own documents are evaluated, conditions included.
#[tokio::test]
async fn without_a_simulation_the_servers_own_policies_say_it() {
    for (service, expected) in [("ecs-tasks.amazonaws.com", "passed"), ("lambda.amazonaws.com", "failed")] {
        let mut case = Case::good(|_| {}).await;
        task_role(&mut case);
        let mut server = IamRole::for_tasks(&[]);
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
            "Condition": { "StringEquals": { "iam:PassedToService": service } },
        }] });
        server.inline.insert("pass".to_owned(), policy);
        case.aws.role("layer0", server);
        deny_simulation(&case);
        let (evidence, report) = case.looked().await;
        assert_eq!(outcome(&report, What::PassRole), expected, "{service}: {report:#?}\n{evidence:#?}");
    }
}
