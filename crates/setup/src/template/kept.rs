//! What an instance keeps: its state, the registry's bytes where they lie in S3, the first admin token, the servers' log, and the
//! wishes that it was made of.

use serde_json::json;

use super::{Template, admin_token_name, attribute, bucket_name, reference, stack_name, substituted, wishes_name};

/// What is no part of a token, which stands in headers, shells and URLs.
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// After how many days the parts of an upload that nobody finished are thrown away.
const UPLOAD_DAYS: u8 = 7;

pub(super) fn kept(template: &mut Template<'_>) {
    state(template);
    bucket(template);
    wishes(template);
    let name = admin_token_name(template.instance);
    let tags = template.tags("admin-token");
    template.resource(
        "AdminToken",
        "AWS::SecretsManager::Secret",
        json!({
            "Name": name,
            "Description": format!("The first admin token of Layer0 instance {}", template.instance.name),
            "GenerateSecretString": { "PasswordLength": 43, "ExcludeCharacters": PUNCTUATION },
            "Tags": tags,
        }),
    );
    let (name, tags) = (stack_name(template.instance), template.own_tags());
    template.resource(
        "Log",
        "AWS::Logs::LogGroup",
        json!({ "LogGroupName": name, "RetentionInDays": template.instance.log_days, "Tags": tags }),
    );
}

/// The table outlives the stack: `destroy --with-data` deletes it by itself.
fn state(template: &mut Template<'_>) {
    let name = stack_name(template.instance);
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let tags = template.tags("state");
    template.kept(
        "State",
        "AWS::DynamoDB::Table",
        json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "p", "AttributeType": "S" }, { "AttributeName": "s", "AttributeType": "S" },
            ],
            "KeySchema": [key("p", "HASH"), key("s", "RANGE")],
            "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true },
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
            "DeletionProtectionEnabled": true,
            "SSESpecification": { "SSEEnabled": true },
            "Tags": tags,
        }),
    );
}

/// The bucket outlives the stack too.
fn bucket(template: &mut Template<'_>) {
    let Some(name) = bucket_name(template.instance, template.parts.account) else { return };
    let tags = template.tags("registry");
    template.kept(
        "Bucket",
        "AWS::S3::Bucket",
        json!({
            "BucketName": name,
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            },
            "OwnershipControls": { "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] },
            "BucketEncryption": { "ServerSideEncryptionConfiguration": [
                { "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } },
            ] },
            "LifecycleConfiguration": { "Rules": [{
                "Id": "unfinished-uploads",
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": UPLOAD_DAYS },
            }] },
            "Tags": tags,
        }),
    );
    let objects = substituted("${Bucket.Arn}/*");
    // It goes with the stack: a bucket has one, and the next stack, which takes the bucket in again, makes its own.
    template.resource(
        "BucketPolicy",
        "AWS::S3::BucketPolicy",
        json!({
            "Bucket": reference("Bucket"),
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [attribute("Bucket", "Arn"), objects],
                    "Condition": { "Bool": { "aws:SecureTransport": "false" } },
                }],
            },
        }),
    );
}

/// So that `pull` reads on another machine what the instance was made of, and a plan shows what changes of it.
fn wishes(template: &mut Template<'_>) {
    let name = wishes_name(template.instance);
    template.resource(
        "Wishes",
        "AWS::SSM::Parameter",
        json!({
            "Name": name,
            "Type": "String",
            "Value": template.parts.wishes,
            "Description": format!("What Layer0 instance {} was made of; no secret is in it", template.instance.name),
            // Above 4 KiB it costs a few cents.
            "Tier": "Intelligent-Tiering",
            // This type alone has a map here.
            "Tags": { super::TAG: template.instance.name },
        }),
    );
}
