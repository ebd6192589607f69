//! The environment variables of the server.

/// Environment variables that are read, with what each sets. The reference page is made from this table.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("LAYER0_CONFIG", "the TOML file (flag `--config`)"),
    ("LAYER0_DATA_DIR", "the data directory (flag `--data-dir`, key `data_dir`)"),
    ("LAYER0_LISTEN", "address and port to listen on (flag `--listen`, key `listen`)"),
    (
        "LAYER0_ADMIN_TOKEN",
        "the first admin token of a new instance, in place of one that is made and shown: 43 random letters and digits or more, behind `l0_` or not. The environment alone: it is a secret. Not looked at once the instance has had its first token",
    ),
    (
        "LAYER0_ADMIN_TOKEN_FOR",
        "what LAYER0_ADMIN_TOKEN was made for, such as the id of a stack. When it is another one than at the starts before, the secret in LAYER0_ADMIN_TOKEN becomes the first admin token once more, and the one before it is revoked",
    ),
    ("LAYER0_PORT", "the port alone, on 127.0.0.1 (flag `--port`); LAYER0_LISTEN wins over it"),
    ("LAYER0_INSTANCE", "the instance's name (flag `--instance`, key `instance`)"),
    (
        "LAYER0_REGISTRY_NAME",
        "the name of the registry in task definitions (flag `--registry-name`, key `registry_name`)",
    ),
    (
        "LAYER0_REGISTRY_ADDRESS",
        "where the engine reaches the registry (flag `--registry-address`, key `registry_address`)",
    ),
    ("LAYER0_IMAGE_MAP", "map rules, `prefix|target`, separated by commas (flag `--image-map`, key `image_map`)"),
    ("ECR_BACKED_REPO", "the older name of LAYER0_IMAGE_MAP, read when that is not set"),
    ("LAYER0_DOCKER_REPO_OVERRIDE", "the oldest name of LAYER0_IMAGE_MAP, read when neither of the others is set"),
    ("LAYER0_CREATE_ON_PUSH", "`true`: a push makes the repository (flag `--create-on-push`, key `create_on_push`)"),
    ("LAYER0_REGISTRY_CHALLENGE", "`bearer` or `basic`: how clients are asked to sign in (key `registry_challenge`)"),
    (
        "LAYER0_TRUSTED_PROXY",
        "`true`: a TLS proxy stands in front, its X-Forwarded-Proto and X-Forwarded-For are believed (flag `--trusted-proxy`, key `trusted_proxy`)",
    ),
    ("LAYER0_OIDC_ISSUER", "the provider at which people sign in (flag `--oidc-issuer`, key `oidc_issuer`)"),
    ("LAYER0_OIDC_CLIENT_ID", "as what this server is known there (flag `--oidc-client-id`, key `oidc_client_id`)"),
    (
        "LAYER0_OIDC_CLIENT_SECRET",
        "the client's secret there. The environment alone; none for a public client, and none beside a file with it",
    ),
    (
        "LAYER0_OIDC_CLIENT_SECRET_FILE",
        "a file with the client's secret (flag `--oidc-client-secret-file`, key `oidc_client_secret_file`)",
    ),
    (
        "LAYER0_OIDC_SCOPES",
        "what the provider is asked for, `openid` among it, separated by commas (flag `--oidc-scopes`, key `oidc_scopes`)",
    ),
    (
        "LAYER0_OIDC_GROUPS_CLAIM",
        "the claim with somebody's groups (flag `--oidc-groups-claim`, key `oidc_groups_claim`)",
    ),
    ("LAYER0_OIDC_NAME_CLAIM", "the claim with somebody's name (flag `--oidc-name-claim`, key `oidc_name_claim`)"),
    (
        "LAYER0_OIDC_GROUPS",
        "what groups give, `platform=team:writer,operators=admin` (flag `--oidc-groups`, key `oidc_groups`, there a list too)",
    ),
    (
        "LAYER0_OIDC_HOURS",
        "how many hours a token lives that a sign-in at the provider gives (flag `--oidc-hours`, key `oidc_hours`)",
    ),
    ("LAYER0_ENGINE", "`docker`, `ecs` or `fake`; `none` for the registry alone (flag `--engine`, key `engine`)"),
    ("LAYER0_DOCKER_HOST", "where the Docker engine is, else DOCKER_HOST (flag `--docker-host`, key `docker_host`)"),
    (
        "LAYER0_PUBLIC_ADDRESS",
        "the address in the URLs of public load balancers (flag `--public-address`, key `public_address`)",
    ),
    ("LAYER0_AWS_REGION", "the region, else AWS_REGION or a profile's (flag `--aws-region`, key `aws_region`)"),
    (
        "LAYER0_ENDPOINT_URL",
        "what stands in for all of AWS, else AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> (flag `--endpoint-url`, key `endpoint_url`)",
    ),
    (
        "LAYER0_TABLE",
        "a DynamoDB table for the state in place of the data directory; several servers may share it (flag `--table`, key `table`)",
    ),
    ("LAYER0_AWS_VPC", "the VPC that everything stands in (flag `--aws-vpc`, key `aws_vpc`)"),
    (
        "LAYER0_AWS_PRIVATE_SUBNETS",
        "subnets for tasks, machines and private load balancers, separated by commas (flag `--aws-private-subnets`, key `aws_private_subnets`)",
    ),
    (
        "LAYER0_AWS_PUBLIC_SUBNETS",
        "subnets for public load balancers, separated by commas (flag `--aws-public-subnets`, key `aws_public_subnets`)",
    ),
    (
        "LAYER0_AWS_EXECUTION_ROLE",
        "the role that pulls images and writes logs, for deploys that name none (flag `--aws-execution-role`, key `aws_execution_role`)",
    ),
    (
        "LAYER0_AWS_MACHINE_PROFILE",
        "the instance profile of machines, whose role has the same name (flag `--aws-machine-profile`, key `aws_machine_profile`)",
    ),
    (
        "LAYER0_AWS_PUBLIC_IP",
        "`true`: tasks get a public address, their way to ECR without NAT and endpoints (flag `--aws-public-ip`, key `aws_public_ip`)",
    ),
    (
        "LAYER0_AWS_RATE",
        "how fast AWS is called: 2 is twice as fast as usual, 0.5 half as fast (flag `--aws-rate`, key `aws_rate`)",
    ),
    (
        "LAYER0_REGISTRY_BACKING",
        "where images lie: `disk`, `s3` or `ecr` (flag `--registry-backing`, key `registry_backing`)",
    ),
    ("LAYER0_S3_BUCKET", "the bucket that images lie in with `s3` (flag `--s3-bucket`, key `s3_bucket`)"),
    ("LAYER0_S3_PREFIX", "what stands before all keys in the bucket (flag `--s3-prefix`, key `s3_prefix`)"),
    (
        "LAYER0_S3_REDIRECT",
        "`true`: clients fetch blobs from S3 at a signed address (flag `--s3-redirect`, key `s3_redirect`)",
    ),
    (
        "LAYER0_REGISTRY_STREAM",
        "`true`: blobs of ECR go through the server (flag `--registry-stream`, key `registry_stream`)",
    ),
    ("LAYER0_ECR_PREFIX", "what stands before all names in ECR (flag `--ecr-prefix`, key `ecr_prefix`)"),
    ("LAYER0_ECR_HOST", "the name of ECR's registry for those who pull (flag `--ecr-host`, key `ecr_host`)"),
    (
        "LAYER0_ECR_IMMUTABLE_TAGS",
        "`true`: tags of new repositories can't be moved (flag `--ecr-immutable-tags`, key `ecr_immutable_tags`)",
    ),
    (
        "LAYER0_ECR_SCAN_ON_PUSH",
        "`true`: ECR scans what is pushed to new repositories (flag `--ecr-scan-on-push`, key `ecr_scan_on_push`)",
    ),
    ("LAYER0_ECR_KMS_KEY", "the KMS key of new repositories (flag `--ecr-kms-key`, key `ecr_kms_key`)"),
    (
        "LAYER0_ECR_LIFECYCLE_POLICY",
        "the lifecycle policy of new repositories: JSON, or a file with it (flag `--ecr-lifecycle-policy`, key `ecr_lifecycle_policy`)",
    ),
    (
        "LAYER0_ECR_KEEP_UNTAGGED_DAYS",
        "a lifecycle policy by which images without a tag go after so many days (flag `--ecr-keep-untagged-days`, key `ecr_keep_untagged_days`)",
    ),
    ("LAYER0_ECR_TAGS", "tags of new repositories, `team=web,cost=7` (flag `--ecr-tags`, key `ecr_tags`)"),
    (
        "LAYER0_ACCOUNT_GRANTS",
        "`on`: account grants are written into the policies of the account's ECR registry, and kept true; `report-only`: what comes undone is only reported; `off` (flag `--account-grants`, key `account_grants`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_TO",
        "who may pull everything: accounts, `org:o-…` and `ou:o-…/ou-…`, separated by commas; `none` for nobody. What is new in it is granted at the start, and what has left it is taken back (flag `--account-grants-to`, key `account_grants_to`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_EVERY",
        "how many minutes pass between two looks at all policies (flag `--account-grants-every`, key `account_grants_every`)",
    ),
    (
        "LAYER0_ACCOUNT_GRANTS_STRATEGY",
        "in which documents account grants stand: `repositories`, `registry` or `organization` (flag `--account-grants-strategy`, key `account_grants_strategy`)",
    ),
    (
        "LAYER0_STOP_DELAY",
        "for how many seconds after SIGTERM all goes on while `/health` answers 503, for a load balancer to notice (flag `--stop-delay`, key `stop_delay`)",
    ),
    (
        "LAYER0_REGISTRY_GC_EVERY",
        "how many hours after a collection of what no image needs the next begins, 0 for never (flag `--registry-gc-every`, key `registry_gc_every`)",
    ),
    (
        "LAYER0_REGISTRY_GC_GRACE",
        "how many hours a blob is kept that no image needs (flag `--registry-gc-grace`, key `registry_gc_grace`)",
    ),
    (
        "LAYER0_REGISTRY_MIRRORS",
        "prefixes that mirror other registries, `hub=https://registry-1.docker.io`, separated by commas (flag `--registry-mirrors`, key `registry_mirrors`)",
    ),
    (
        "LAYER0_STOP_GRACE",
        "how many seconds requests that run may then take to end (flag `--stop-grace`, key `stop_grace`)",
    ),
    ("LAYER0_LOG", "what is logged: `info`, `debug`, `layer0_server=debug` (flag `--log`, key `log`)"),
    ("LAYER0_LOG_FORMAT", "`text` or `json` (flag `--log-format`, key `log_format`)"),
    ("LAYER0_DEBUG", "`true`: as `--log debug`"),
];
