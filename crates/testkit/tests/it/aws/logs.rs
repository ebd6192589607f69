//! CloudWatch Logs.

use layer0_testkit::aws::FakeAwsConfig;
use serde_json::{Value, json};

use super::client::Client;

/// A fake with streams `a` and `b`: `a` has the even, `b` the odd numbers below 10, each at its number.
async fn with_lines() -> Client {
    let client = Client::start(FakeAwsConfig::default()).await;
    for number in 0..10 {
        let stream = if number % 2 == 0 { "a" } else { "b" };
        client.aws.log("logs", stream, number, &number.to_string());
    }
    client
}

fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().expect("a list");
    events.iter().map(|event| event["message"].as_str().expect("a text")).collect()
}

#[tokio::test]
async fn a_stream_is_read_in_both_directions() {
    let client = with_lines().await;
    let get = |more: Value| {
        let mut input = json!({"logGroupName": "logs", "logStreamName": "a", "limit": 2});
        for (key, value) in more.as_object().expect("members") {
            input[key] = value.clone();
        }
        client.logs("GetLogEvents", input)
    };
    let newest = get(json!({})).await.expect("a page");
    assert_eq!(messages(&newest), ["6", "8"]);
    let before = get(json!({"nextToken": newest["nextBackwardToken"]})).await.expect("a page");
    assert_eq!(messages(&before), ["2", "4"]);
    let first = get(json!({"startFromHead": true})).await.expect("a page");
    assert_eq!(messages(&first), ["0", "2"]);
    let mut token = first["nextForwardToken"].clone();
    let mut seen = Vec::new();
    loop {
        let page = get(json!({"nextToken": token, "startFromHead": true})).await.expect("a page");
        seen.extend(messages(&page).into_iter().map(str::to_owned));
        if page["nextForwardToken"] == token {
            break;
        }
        token = page["nextForwardToken"].clone();
    }
    assert_eq!(seen, ["4", "6", "8"]);
    client.aws.log("logs", "a", 10, "later");
    let more = get(json!({"nextToken": token, "startFromHead": true})).await.expect("a page");
    assert_eq!(messages(&more), ["later"], "the token of the end goes on when there is more");
    let range = get(json!({"startTime": 2, "endTime": 6, "limit": 10})).await.expect("a page");
    assert_eq!(messages(&range), ["2", "4"], "the end is not included");
    let bad = get(json!({"nextToken": "x"})).await.expect_err("no such token");
    assert_eq!(bad.code, "InvalidParameterException");
}

#[tokio::test]
async fn many_streams_are_merged_and_paged() {
    let client = with_lines().await;
    let filter = |more: Value| {
        let mut input = json!({"logGroupName": "logs"});
        for (key, value) in more.as_object().expect("members") {
            input[key] = value.clone();
        }
        client.logs("FilterLogEvents", input)
    };
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let page = filter(json!({"limit": 3, "nextToken": token})).await.expect("a page");
        seen.extend(messages(&page).into_iter().map(str::to_owned));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    let wanted: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(seen, wanted);
    let some = filter(json!({"logStreamNames": ["b"], "startTime": 3, "endTime": 7})).await.expect("a page");
    assert_eq!(messages(&some), ["3", "5", "7"], "the end is included");
    let prefix = filter(json!({"logStreamNamePrefix": "a"})).await.expect("a page");
    assert_eq!(messages(&prefix), ["0", "2", "4", "6", "8"]);
    let names: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    assert_eq!(filter(json!({"logStreamNames": names})).await.expect_err("too many").code, "InvalidParameterException");
    let none = filter(json!({"logStreamNames": ["none"]})).await.expect_err("no such stream");
    assert_eq!(none.message, "The specified log stream does not exist.");
}

#[tokio::test]
async fn streams_are_listed_by_name_or_time() {
    let client = with_lines().await;
    for number in 0..60 {
        client.aws.log("logs", &format!("x/{number:02}"), 100 - number, "x");
    }
    let names = |answer: &Value| -> Vec<String> {
        let streams = answer["logStreams"].as_array().expect("a list");
        streams.iter().filter_map(|stream| stream["logStreamName"].as_str()).map(str::to_owned).collect()
    };
    let first = client
        .logs("DescribeLogStreams", json!({"logGroupName": "logs", "logStreamNamePrefix": "x/"}))
        .await
        .expect("a page");
    assert_eq!(names(&first).len(), 50);
    let rest = json!({"logGroupName": "logs", "logStreamNamePrefix": "x/", "nextToken": first["nextToken"]});
    assert_eq!(names(&client.logs("DescribeLogStreams", rest).await.expect("a page")).len(), 10);
    let newest = json!({"logGroupName": "logs", "orderBy": "LastEventTime", "descending": true, "limit": 1});
    assert_eq!(names(&client.logs("DescribeLogStreams", newest).await.expect("a page")), ["x/00"]);
    let both = json!({"logGroupName": "logs", "orderBy": "LastEventTime", "logStreamNamePrefix": "x"});
    assert_eq!(
        client.logs("DescribeLogStreams", both).await.expect_err("one of them").code,
        "InvalidParameterException"
    );
}

#[tokio::test]
async fn groups_come_and_go() {
    let client = Client::start(FakeAwsConfig::default()).await;
    let group = json!({"logGroupName": "l0/one"});
    client.logs("CreateLogGroup", group.clone()).await.expect("it is new");
    let again = client.logs("CreateLogGroup", group.clone()).await.expect_err("it is there");
    assert_eq!(again.code, "ResourceAlreadyExistsException");
    client
        .logs("PutRetentionPolicy", json!({"logGroupName": "l0/one", "retentionInDays": 30}))
        .await
        .expect("it is legal");
    let bad = client.logs("PutRetentionPolicy", json!({"logGroupName": "l0/one", "retentionInDays": 31})).await;
    assert_eq!(bad.expect_err("31 is not").code, "InvalidParameterException");
    let listed = client.logs("DescribeLogGroups", json!({"logGroupNamePrefix": "l0/"})).await.expect("a list");
    assert_eq!(listed["logGroups"][0]["retentionInDays"], 30);
    client.aws.log("l0/one", "s", 1, "x");
    let stored = client.logs("DescribeLogGroups", json!({})).await.expect("a list");
    assert_eq!(stored["logGroups"][0]["storedBytes"], 27, "the message and 26 bytes");
    client.logs("DeleteLogStream", json!({"logGroupName": "l0/one", "logStreamName": "s"})).await.expect("it is there");
    client.logs("DeleteLogGroup", group.clone()).await.expect("it is there");
    let gone = client.logs("DeleteLogGroup", group).await.expect_err("it is gone");
    assert_eq!(gone.code, "ResourceNotFoundException");
}
