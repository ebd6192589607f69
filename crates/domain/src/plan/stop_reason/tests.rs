//! The words are ECS's own, out of issue threads and its documentation.

use super::*;

const IMAGE: &str = "111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1";

fn container<'a>(name: &'a str, exit_code: Option<i64>, reason: Option<&'a str>) -> StoppedContainer<'a> {
    StoppedContainer { name, image: IMAGE, essential: true, exit_code, reason }
}

fn not_started(reason: &str) -> Failure {
    let containers = [container("app", None, None)];
    let stopped = Stopped {
        code: Some("TaskFailedToStart"),
        reason: Some(reason),
        containers: &containers,
        log_tail: &[],
        purpose: Purpose::Serve,
    };
    failure(&stopped).expect("a start that did not come about is a failure")
}

#[test]
fn each_wording_has_its_class_its_message_and_its_next_step() {
    use FailureClass::*;
    let cases = [
        // Not there.
        (
            "CannotPullContainerError: API error (404): repository 111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app not found",
            ImageNotFound,
            "does not exist in its registry",
            "push it",
        ),
        (
            "CannotPullContainerError: Error response from daemon: manifest for 111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1 not found: manifest unknown: Requested image not found",
            ImageNotFound,
            "does not exist",
            "push it",
        ),
        (
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1@sha256:abc: not found",
            ImageNotFound,
            "does not exist",
            "new deployment",
        ),
        (
            "CannotPullContainerError: Error response from daemon: name unknown: The repository with name 'team/app' does not exist in the registry with id '111122223333'",
            ImageNotFound,
            "does not exist",
            "push it",
        ),
        ("CannotPullContainerError: invalid reference format", ImageNotFound, "no legal name", "l0 image resolve"),
        // Not let in.
        (
            "CannotPullContainerError: Error response from daemon: pull access denied for 111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app, repository does not exist or may require 'docker login': denied: User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:111122223333:repository/team/app because no resource-based policy allows the ecr:BatchGetImage action",
            PullDenied,
            "it may not do ecr:BatchGetImage on arn:aws:ecr:us-east-1:111122223333:repository/team/app",
            "l0 image check",
        ),
        (
            "CannotPullContainerError: Error response from daemon: Get https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/team/app/manifests/1: no basic auth credentials",
            PullDenied,
            "does not let the task pull",
            "l0 image check",
        ),
        (
            "CannotPullContainerError: inspect image has been retried 1 time(s): failed to resolve ref \"111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1\": pulling from host 111122223333.dkr.ecr.us-east-1.amazonaws.com failed with status code [manifests 1]: 403 Forbidden",
            PullDenied,
            "does not let the task pull",
            "policy",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: User: arn:aws:sts::1:assumed-role/l0-execution/abc is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action status code: 400, request id: 1",
            PullDenied,
            "it may not do ecr:GetAuthorizationToken on *",
            "execution role",
        ),
        (
            "ECS was unable to assume the role 'arn:aws:iam::1:role/l0-execution' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.",
            PullDenied,
            "may not act as the execution role",
            "ecs-tasks.amazonaws.com",
        ),
        // No way.
        (
            "CannotPullContainerError: API error (500): Get https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/: net/http: request canceled while waiting for connection\"",
            NoRoute,
            "no way to ECR",
            "NAT",
        ),
        (
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref \"111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1\": failed to do request: Head \"https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/team/app/manifests/1\": dial tcp 10.0.3.17:443: i/o timeout",
            NoRoute,
            "no way to ECR",
            "endpoint",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed caused by: Post \"https://api.ecr.us-east-2.amazonaws.com/\": dial tcp 52.95.1.1:443: i/o timeout. Please check your task network configuration.",
            NoRoute,
            "no way to ECR",
            "endpoint",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration.",
            NoRoute,
            "no way to ECR",
            "endpoint",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 5 time(s): failed to fetch secret arn:aws:secretsmanager:us-west-2:1:secret:db from secrets manager: RequestCanceled: request context canceled caused by: context deadline exceeded. Please check your task network configuration.",
            NoRoute,
            "no way to Secrets Manager",
            "endpoint",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 5 time(s): RequestCanceled: request context canceled caused by: context deadli...",
            NoRoute,
            "no way to Systems Manager",
            "endpoint",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined in the task definition. There is a connection issue between the task and Amazon CloudWatch. Check your network configuration. : signal: killed",
            NoRoute,
            "no way to CloudWatch Logs",
            "endpoint",
        ),
        ("CannotPullContainerError: context canceled", NoRoute, "no way to", "NAT"),
        (
            "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: httpReadSeeker: failed open: failed to do request: Get \"https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/a/b?X-Amz-Security-Token=SECRET&X-Amz-Signature=SECRET\": dial tcp 52.216.1.1:443: i/o timeout",
            NoRoute,
            "no way to S3, where ECR keeps its layers",
            "endpoint",
        ),
        // The disk, the platform, the limit.
        (
            "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob111111111: no space left on device",
            NoCapacity,
            "no room on the disk",
            "ephemeralStorage",
        ),
        (
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
            WrongArchitecture,
            "has no variant",
            "docker buildx",
        ),
        (
            "CannotPullContainerError: Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries",
            WrongArchitecture,
            "has no variant",
            "runtimePlatform",
        ),
        (
            "CannotPullContainerError: inspect image has been retried 5 time(s): httpReaderSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/nginx/manifests/sha256:2bb501e6429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
            Throttled,
            "lets no more pulls through",
            "l0 map add",
        ),
        ("CannotPullContainerError: something new", PullDenied, "can't be pulled", "l0 image check"),
        // Secrets, logs, volumes.
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:1:secret:db from secrets manager: AccessDeniedException: User: arn:aws:sts::1:assumed-role/l0-execution/a is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:1:secret:db because no identity-based policy allows the secretsmanager:GetSecretValue action",
            CannotStart,
            "it may not do secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:1:secret:db",
            "kms:Decrypt",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:1:secret:db from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
            CannotStart,
            "is not there",
            "valueFrom",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /prod/db",
            CannotStart,
            "is not there",
            "valueFrom",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1",
            CannotStart,
            "log group that the definition names does not exist",
            "awslogs-create-group",
        ),
        (
            "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. status code: 400",
            CannotStart,
            "log group",
            "aws logs create-log-group",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log group: AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: logs:CreateLogGroup on resource: arn:aws:logs:eu-central-1:1:log-group:g:log-stream: because no identity-based policy allows the logs:CreateLogGroup action : exit status 1",
            CannotStart,
            "it may not do logs:CreateLogGroup",
            "logs:CreateLogGroup",
        ),
        (
            "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: Failed to resolve \"fs-00000000.efs.us-east-1.amazonaws.com\" - check that your file system ID is correct.",
            CannotStart,
            "EFS",
            "mount target",
        ),
        (
            "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: mount.nfs4: Connection reset by peer : unsuccessful EFS utils command execution; code: 32",
            CannotStart,
            "EFS",
            "2049",
        ),
        (
            "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: b'mount.nfs4: mounting fs-1.efs.eu-west-1.amazonaws.com:/grafana failed, reason given by server: No such file or directory' : unsuccessful EFS utils command execution; code: 32",
            CannotStart,
            "EFS",
            "directory",
        ),
        // The container itself.
        (
            "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"-url\": executable file not found in $PATH: unknown",
            CannotStart,
            "container `app` can't be started: its command is not in the image",
            "entryPoint",
        ),
        (
            "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: OCI runtime create failed: container_linux.go:370: starting container process caused: exec: \"/opt/sonarqube/bin/run.sh\": stat /opt/sonarqube/bin/run.sh: no such file or direct...",
            CannotStart,
            "container `app` can't be started",
            "deploy",
        ),
        (
            "CannotStartContainerError: Error response from daemon: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/app\": permission denied: unknown",
            CannotStart,
            "may not be executed",
            "executable",
        ),
        (
            "CannotStartContainerError: Error response from daemon: failed to create task for container: exec /usr/bin/app: exec format error",
            WrongArchitecture,
            "has no variant",
            "docker buildx",
        ),
        (
            "CannotCreateContainerError: API error (500): Untar",
            CannotStart,
            "container `app` can't be started",
            "deploy",
        ),
        (
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
            Timeout,
            "did not start in time",
            "disk",
        ),
        (
            "Timeout waiting for network interface provisioning to complete.",
            Timeout,
            "network interface",
            "tries again",
        ),
        ("Task failed to start", CannotStart, "the task could not be started", "l0 image check"),
        (
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            NoCapacity,
            "no Fargate capacity",
            "zones",
        ),
        (
            "You’ve reached the limit on the number of vCPUs you can run concurrently",
            NoCapacity,
            "quota",
            "Service Quotas",
        ),
    ];
    for (text, class, message, hint) in cases {
        let failure = not_started(text);
        assert_eq!(failure.class, class, "{text}\n{failure:?}");
        assert!(failure.message.contains(message), "{text}\n{}", failure.message);
        assert!(failure.hint.as_deref().unwrap_or_default().contains(hint), "{text}\n{:?}", failure.hint);
        assert!(!format!("{failure:?}").contains("SECRET"), "{failure:?}");
    }
}

#[test]
fn a_placement_that_failed_says_what_is_missing() {
    for (reason, detail, message) in [
        ("RESOURCE:MEMORY", None, "enough free memory"),
        ("RESOURCE:CPU", None, "enough free memory, CPU"),
        ("RESOURCE:PORTS", Some("8080"), "ports"),
        ("RESOURCE:ENI", None, "network interface"),
        ("RESOURCE:GPU", None, "no machine"),
        ("ATTRIBUTE", None, "can do what the definition asks for"),
        ("AGENT", None, "no place"),
        (
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            None,
            "Fargate capacity",
        ),
        ("No Container Instances were found in your cluster.", None, "has no machine"),
        ("EMPTY CAPACITY PROVIDER", None, "has no machine"),
        ("You've reached the limit on the number of vCPUs you can run concurrently", None, "quota"),
        ("SOMETHING:NEW", None, "found no place for the task (ECS: SOMETHING:NEW)"),
    ] {
        let failure = not_placed(reason, detail);
        assert_eq!(failure.class, FailureClass::NoCapacity, "{reason}");
        assert!(failure.message.contains(message), "{reason}: {}", failure.message);
        assert!(failure.hint.is_some(), "{reason}");
    }
}

fn stopped<'a>(
    code: &'a str,
    reason: &'a str,
    containers: &'a [StoppedContainer<'a>],
    purpose: Purpose,
) -> Stopped<'a> {
    Stopped { code: Some(code), reason: Some(reason), containers, log_tail: &[], purpose }
}

#[test]
fn each_stop_code_is_told_in_words() {
    let ran = [container("app", Some(143), None)];
    for (code, reason, expected) in [
        ("UserInitiated", "Task stopped by user", Some((FailureClass::Stopped, "stopped by a user"))),
        ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1234)", None),
        (
            "ServiceSchedulerInitiated",
            "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/l0/1)",
            Some((FailureClass::Unhealthy, "load balancer's health check")),
        ),
        (
            "ServiceSchedulerInitiated",
            "Task failed container health checks",
            Some((FailureClass::Unhealthy, "health check of container `app`")),
        ),
        (
            "ServiceSchedulerInitiated",
            "(service web) (port 8080) is unhealthy in (target-group arn:aws:x) due to (reason Health checks failed with these codes: [404])",
            Some((FailureClass::Unhealthy, "[404]")),
        ),
        ("SpotInterruption", "Your Spot Task was interrupted.", Some((FailureClass::NoCapacity, "Spot"))),
        ("TerminationNotice", "Fargate is retiring", Some((FailureClass::NoCapacity, "took back the machine"))),
        ("InfrastructureHealth", "", Some((FailureClass::Other, "not healthy"))),
        ("", "Host EC2 (instance i-0abc) terminated.", Some((FailureClass::NoCapacity, "went away"))),
    ] {
        let found = failure(&stopped(code, reason, &ran, Purpose::Serve));
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some((class, message))) => {
                assert_eq!(found.class, class, "{code} {reason}");
                assert!(found.message.contains(message), "{code} {reason}: {}", found.message);
            }
            (found, expected) => panic!("{code} {reason}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn exit_codes_tell_whose_fault_it_was() {
    let exited = "Essential container in task exited";
    let side = |code| StoppedContainer { essential: false, ..container("side", Some(code), None) };
    let app = |code| container("app", Some(code), None);
    let oom = container("app", Some(137), Some("OutOfMemoryError: Container killed due to memory usage"));
    let cases: [(&[StoppedContainer<'_>], Purpose, Option<&str>); 11] = [
        (&[app(0)], Purpose::RunOnce, None),
        (&[app(0)], Purpose::Serve, Some("ended by themselves")),
        (&[app(0), side(143)], Purpose::RunOnce, None),
        (&[app(0), side(1)], Purpose::RunOnce, Some("container `side` ended with exit code 1")),
        (&[app(3), side(143)], Purpose::RunOnce, Some("container `app` ended with exit code 3")),
        (&[side(143), app(1)], Purpose::Serve, Some("container `app` ended with exit code 1")),
        (&[app(137)], Purpose::Serve, Some("exit code 137: it was killed")),
        (&[oom, side(143)], Purpose::Serve, Some("container `app` used more memory than it may")),
        (&[app(139)], Purpose::RunOnce, Some("SIGSEGV")),
        (&[app(127)], Purpose::RunOnce, Some("not in the image")),
        (&[app(126)], Purpose::RunOnce, Some("can't be executed")),
    ];
    for (number, (containers, purpose, expected)) in cases.into_iter().enumerate() {
        let found = failure(&stopped("EssentialContainerExited", exited, containers, purpose));
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(words)) => assert!(found.message.contains(words), "case {number}: {}", found.message),
            _ => panic!("case {number}: {found:?}"),
        }
    }
}

/// Fargate tells of a foreign program only by the line that it leaves in the log.
#[test]
fn a_foreign_program_is_known_by_its_last_words() {
    let containers = [container("app", Some(255), None)];
    let log_tail =
        [LogLine { container: "app".to_owned(), line: "exec /usr/local/bin/app: exec format error".to_owned() }];
    let mut stopped =
        stopped("EssentialContainerExited", "Essential container in task exited", &containers, Purpose::Serve);
    stopped.log_tail = &log_tail;
    let found = failure(&stopped).expect("a failure");
    assert_eq!(found.class, FailureClass::WrongArchitecture);
    assert!(found.message.contains(IMAGE), "{}", found.message);
    assert_eq!(found.log_tail, log_tail);
}

/// A start that did not come about has no exit code, and is a failure also when ECS gives no stop code.
#[test]
fn a_container_that_never_ran_is_a_failure() {
    let containers = [container("app", None, None)];
    let silent =
        Stopped { code: None, reason: None, containers: &containers, log_tail: &[], purpose: Purpose::RunOnce };
    assert_eq!(failure(&silent).expect("a failure").class, FailureClass::CannotStart);
}

/// The container's reason is whole where the task's is cut short.
#[test]
fn the_longer_reason_counts() {
    let whole = "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref \"111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1\": failed to do request: Head \"https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/\": dial tcp 10.0.3.17:443: i/o timeout";
    let containers = [container("side", None, None), container("app", None, Some(whole))];
    let cut = &whole[..80];
    let found = failure(&stopped("TaskFailedToStart", cut, &containers, Purpose::Serve)).expect("a failure");
    assert_eq!(found.class, FailureClass::NoRoute);
}

#[test]
fn secrets_are_taken_out_of_addresses() {
    for (text, expected) in [
        (
            "Get \"https://b.s3.amazonaws.com/k?X-Amz-Signature=abc&x=1\": i/o timeout",
            "Get \"https://b.s3.amazonaws.com/k…\": i/o timeout",
        ),
        ("https://user:secret@host.example.com/path", "https://…@host.example.com/path"),
        ("…ws.com/key?x-amz-security-token=abc", "…ws.com/key…"),
        ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=AKIA&Signature=abc", "https://b.s3.amazonaws.com/k…"),
        ("is it there? no: a@b", "is it there? no: a@b"),
        ("https://b.s3.amazonaws.com/k?token=abc&X-Amz-Signature=abc", "https://b.s3.amazonaws.com/k…"),
        ("", ""),
    ] {
        assert_eq!(scrub(text), expected);
    }
    assert_eq!(scrub(&"x".repeat(5_000)).chars().count(), 1_001);
}
