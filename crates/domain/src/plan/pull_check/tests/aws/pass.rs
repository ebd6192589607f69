//! Check 6: the roles that are handed over.

use super::*;

const SERVER: &str = "arn:aws:iam::111122223333:role/layer0";
const TASK: &str = "arn:aws:iam::111122223333:role/app";
const EXECUTION: &str = "arn:aws:iam::111122223333:role/l0-execution";

fn document(effect: &str, resource: &str, condition: &str) -> RoleRights {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}},
            {{"Sid": "pass", "Effect": "{effect}", "Action": "iam:PassRole", "Resource": "{resource}"{condition}}}]}}"#
    );
    RoleRights::Documents { policies: vec![PolicyText { name: "server".to_owned(), text }], boundary: None }
}

fn simulation(decision: Decision) -> RoleRights {
    let one = |resource: &str| Simulated {
        action: "iam:PassRole".to_owned(),
        resource: resource.to_owned(),
        decision,
        missing_keys: vec![],
    };
    RoleRights::Simulated(vec![one(TASK), one(EXECUTION)])
}

fn passing(rights: Fact<RoleRights>, trust: Fact<Option<String>>) -> Passing {
    Passing {
        passer: Fact::Known(Passer { arn: SERVER.to_owned(), rights }),
        roles: vec![
            PassedRole { arn: EXECUTION.to_owned(), used_as: UsedAs::Execution },
            PassedRole { arn: TASK.to_owned(), used_as: UsedAs::Task { trust } },
        ],
    }
}

/// Whether the roles may be handed over, with words that have to be in what is said.
#[test]
fn each_role_that_is_handed_over_is_looked_at() {
    let to_tasks = r#", "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}"#;
    let to_others = r#", "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}"#;
    let by_tag = r#", "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}}"#;
    let trusted = || Fact::Known(Some(TRUST.to_owned()));
    let allowed = || Fact::Known(simulation(Decision::Allowed));
    let rows: [(&str, Passing, &str, &[&str]); 12] = [
        ("simulated", passing(allowed(), trusted()), "passed", &["layer0 may pass l0-execution and app to tasks"]),
        ("by a document", passing(Fact::Known(document("Allow", "*", to_tasks)), trusted()), "passed", &[]),
        (
            "not at all",
            passing(Fact::Known(simulation(Decision::ImplicitDeny)), trusted()),
            "failed",
            &["may not pass l0-execution and app", "add this statement to a policy of layer0", "iam:PassedToService"],
        ),
        (
            "one of them",
            passing(Fact::Known(document("Allow", EXECUTION, to_tasks)), trusted()),
            "failed",
            &["may not pass app to tasks", TASK],
        ),
        (
            "to another service",
            passing(Fact::Known(document("Allow", "*", to_others)), trusted()),
            "failed",
            &["may not pass"],
        ),
        (
            "denied",
            passing(Fact::Known(document("Deny", TASK, "")), trusted()),
            "failed",
            &["is denied iam:PassRole on app", "`pass`"],
        ),
        (
            "hangs on a tag",
            passing(Fact::Known(document("Allow", "*", by_tag)), trusted()),
            "unknown",
            &["whether layer0 may pass l0-execution is not certain"],
        ),
        (
            "nobody may look",
            passing(denied("iam:SimulatePrincipalPolicy"), trusted()),
            "unknown",
            &["iam:SimulatePrincipalPolicy"],
        ),
        (
            "no such task role",
            passing(allowed(), Fact::Known(None)),
            "failed",
            &["the task role arn:aws:iam::111122223333:role/app does not exist", "--role-name app", "taskRoleArn"],
        ),
        (
            "it trusts machines",
            passing(allowed(), Fact::Known(Some(TRUST.replace("ecs-tasks", "ec2")))),
            "failed",
            &["app does not trust ecs-tasks.amazonaws.com", "update-assume-role-policy --role-name app"],
        ),
        ("its trust is not known", passing(allowed(), denied("iam:GetRole")), "unknown", &["iam:GetRole"]),
        (
            "nobody knows who asks",
            Passing { passer: denied("sts:GetCallerIdentity"), ..passing(allowed(), trusted()) },
            "unknown",
            &["as whom this server asks"],
        ),
    ];
    for (name, passing, expected, words) in rows {
        let mut case = Case::good(OWN);
        case.aws.passing = Some(passing);
        let report = case.judged();
        assert_eq!(outcome(&report, What::PassRole), expected, "{name}: {report:#?}");
        let check = report.checks.last().expect("it is the last");
        let said = format!("{:?}", check.outcome).replace("\\\"", "\"");
        for word in words {
            assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        }
        assert_eq!(report.verdict().is_err(), expected == "failed", "{name}");
    }
}
