//! Stand-ins for AWS in the tests of single calls; whole workflows run on emulators (`tests/aws`).

use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
use layer0_aws::{Connection, connect};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::AwsAccount;

/// The account behind an endpoint of all services.
pub(super) async fn account(endpoint: &str) -> AwsAccount {
    let connection = connect(Some("us-east-1"), Some(endpoint)).await.expect("a region is given");
    // No signature is checked, but no request is sent without one.
    let keys = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let sdk = connection.sdk.into_builder().credentials_provider(keys).build();
    AwsAccount::new(&Connection { sdk, region: connection.region })
}

/// Serves services of the JSON protocol: what a call of this name (`X-Amz-Target`, without the service) is answered. Lives as long as
/// the runtime of the test. Answers its address.
pub(super) async fn canned(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut call, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.expect("a request");
                let Some((name, value)) = line.trim_end().split_once(':') else {
                    // The first line has no colon but in a full address, and the one after the headers is empty.
                    if line.trim_end().is_empty() { break } else { continue }
                };
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().expect("a number"),
                    "x-amz-target" => call = value.rsplit('.').next().unwrap_or_default().to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.expect("the whole request");
            let (status, answer) = answer(&call);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.expect("it is read");
        }
    });
    format!("http://{address}")
}
