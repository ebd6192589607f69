//! How old the facts may be: what changes seldom is asked for once in ten minutes, where the question bears that.

use layer0_domain::port::pull::Age;

use super::*;

/// The calls for one question, without the loop's.
async fn calls(case: &Case, engine: &EcsEngine, question: &PullQuestion) -> (Vec<String>, PullEvidence) {
    case.aws.calls_clear();
    let evidence = engine.pull_evidence(question).await.expect("AWS answers");
    let loop_asks = [Some(Service::CloudFormation), Some(Service::Ecs)];
    let asked = case.aws.calls_take().into_iter().filter(|call| !loop_asks.contains(&call.service));
    let mut operations: Vec<String> = asked.map(|call| call.operation).collect();
    operations.sort_unstable();
    (operations, evidence)
}

#[tokio::test]
async fn a_second_start_asks_about_its_image_alone() {
    let mut case = Case::good(|_| {}).await;
    let engine = case.engine().await;
    let start = PullQuestion { age: Age::Recent, ..case.question.clone() };
    let (first, evidence) = calls(&case, &engine, &start).await;
    assert!(first.len() > 10, "{first:?}");
    assert!(aws_of(&evidence).is_of_now, "nothing was known before");

    let (second, evidence) = calls(&case, &engine, &start).await;
    assert_eq!(second, ["BatchCheckLayerAvailability", "BatchGetImage", "GetRepositoryPolicy"]);
    assert!(!aws_of(&evidence).is_of_now);
    for what in ALL {
        assert_eq!(outcome(&case.judged(&evidence), what), "passed", "{evidence:#?}");
    }

    case.aws.image("team/other", "1", FakeImage::default());
    let other = PullQuestion { image: about(OWN, "team/other:1").image, ..start };
    let (third, evidence) = calls(&case, &engine, &other).await;
    case.question = other;
    assert!(third.len() <= 6, "of another repository the role's rights are asked too: {third:?}");
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "passed", "{evidence:#?}");
}

#[tokio::test]
async fn who_asks_what_is_so_now_gets_that() {
    let mut case = Case::good(|_| {}).await;
    let engine = case.engine().await;
    let now = case.question.clone();
    let start = PullQuestion { age: Age::Recent, ..now.clone() };
    let (all, _) = calls(&case, &engine, &now).await;
    case.aws.role("l0-execution", IamRole::for_tasks(&PULL));

    let (_, evidence) = calls(&case, &engine, &start).await;
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "passed", "a moment ago it was so: {evidence:#?}");
    let (again, evidence) = calls(&case, &engine, &now).await;
    // Who asks never changes, and is never asked again.
    let all: Vec<String> = all.into_iter().filter(|operation| operation != "GetCallerIdentity").collect();
    assert_eq!(again, all);
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "failed", "{evidence:#?}");
    let (_, evidence) = calls(&case, &engine, &start).await;
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "failed", "the newest answer serves all: {evidence:#?}");
}

#[tokio::test]
async fn an_answer_that_failed_is_not_kept() {
    let mut case = Case::good(|_| {}).await;
    let engine = case.engine().await;
    let start = PullQuestion { age: Age::Recent, ..case.question.clone() };
    let denied = || Effect::AccessDenied { message: None };
    for operation in ["SimulatePrincipalPolicy", "ListAttachedRolePolicies", "ListRolePolicies"] {
        case.aws.fault(Fault::on(Service::Iam, operation, denied()).times(u64::MAX));
    }
    let (_, evidence) = calls(&case, &engine, &start).await;
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "unknown", "{evidence:#?}");
    case.aws.faults_clear();
    let (second, evidence) = calls(&case, &engine, &start).await;
    assert!(second.contains(&"SimulatePrincipalPolicy".to_owned()), "{second:?}");
    assert_eq!(outcome(&case.judged(&evidence), What::Role), "passed", "{evidence:#?}");
}
