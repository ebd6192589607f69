//! S3, by its REST protocol: which buckets are an instance's, and how one is emptied. Buckets are part of the path, so that no name is
//! made of theirs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use layer0_aws::signed::{Question, at_once};
use layer0_aws::xml::Element;
use layer0_aws::{AwsError, query};
use layer0_domain::model::digest::Digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::AwsAccount;
use super::error::refused;
use super::json::there;
use super::remains::Found;
use crate::account::{AccountError, Kind, TAG};

/// What a path or a query leaves as it is (RFC 3986, "unreserved").
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl AwsAccount {
    async fn s3(&self, question: &Question) -> Result<String, AwsError> {
        let place = self.place("s3", "S3");
        self.sender.ask(&place, question, refusal, &at_once).await
    }

    /// Makes a call that reads, and answers the root of what it says.
    async fn s3_read(&self, op: &'static str, path: String, root: &str) -> Result<Element, AwsError> {
        let answer = self.s3(&Question::rest(op, "GET", path)).await?;
        Element::parse(&answer, root).ok_or_else(|| AwsError::incomplete(op, "readable content"))
    }

    pub(super) async fn buckets_of(&self, found: &mut Found<'_>) -> Result<(), AwsError> {
        let path = format!("/?prefix={}", encoded(&found.names.stack));
        let root = self.s3_read("s3:ListAllMyBuckets", path, "ListAllMyBucketsResult").await?;
        let mut buckets: Vec<&str> = root.items("Buckets").filter_map(|bucket| bucket.text("Name")).collect();
        buckets.retain(|name| name.starts_with(&found.names.stack));
        for bucket in buckets {
            let path = format!("/{bucket}?tagging");
            let tagging = match self.s3_read("s3:GetBucketTagging", path, "Tagging").await {
                Ok(tagging) => tagging,
                // One of another region, which is none of this account's stacks.
                Err(error) if matches!(error.code.as_str(), "PermanentRedirect" | "AuthorizationHeaderMalformed") => {
                    continue;
                }
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error),
            };
            let mut tags = tagging.items("TagSet");
            if tags.any(|tag| tag.text("Key") == Some(TAG) && tag.text("Value") == Some(found.names.instance)) {
                found.add(Kind::Bucket, bucket);
            }
        }
        Ok(())
    }

    pub(super) async fn bucket_remove(&self, bucket: &str) -> Result<(), AccountError> {
        // Each page is the first one once that before it is gone.
        while self.versions_remove(bucket).await? || self.uploads_remove(bucket).await? {}
        there(self.s3(&Question::rest("s3:DeleteBucket", "DELETE", format!("/{bucket}"))).await)?;
        Ok(())
    }

    /// Takes a page of objects with all their versions away. Answers whether there was any.
    async fn versions_remove(&self, bucket: &str) -> Result<bool, AccountError> {
        let path = format!("/{bucket}?encoding-type=url&versions=");
        let listed = self.s3_read("s3:ListBucketVersions", path, "ListVersionsResult").await;
        let Some(root) = there(listed)? else { return Ok(false) };
        let mut asked = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
        let mut is_any = false;
        for version in root.all("Version").chain(root.all("DeleteMarker")) {
            let key = key(&root, version);
            let id = version.text("VersionId").map(|id| format!("<VersionId>{}</VersionId>", escaped(id)));
            asked.push_str(&format!("<Object><Key>{}</Key>{}</Object>", escaped(&key), id.unwrap_or_default()));
            is_any = true;
        }
        if !is_any {
            return Ok(false);
        }
        asked.push_str("</Delete>");
        let op = "s3:DeleteObjectVersion";
        let answer = self.s3(&delete(op, bucket, asked)).await?;
        let root =
            Element::parse(&answer, "DeleteResult").ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
        match root.child("Error") {
            None => Ok(true),
            Some(error) => {
                let [key, code, message] = ["Key", "Code", "Message"].map(|name| error.text(name).unwrap_or_default());
                Err(refused(op, format!("{key} in {bucket}: {code}: {message}")))
            }
        }
    }

    /// Gives uploads up that were never completed. Answers whether there was any.
    async fn uploads_remove(&self, bucket: &str) -> Result<bool, AccountError> {
        let path = format!("/{bucket}?encoding-type=url&uploads=");
        let listed = self.s3_read("s3:ListBucketMultipartUploads", path, "ListMultipartUploadsResult").await;
        let Some(root) = there(listed)? else { return Ok(false) };
        let mut is_any = false;
        for upload in root.all("Upload") {
            let key = key(&root, upload);
            let path: Vec<String> = key.split('/').map(encoded).collect();
            let id = encoded(upload.text("UploadId").unwrap_or_default());
            let path = format!("/{bucket}/{}?uploadId={id}", path.join("/"));
            there(self.s3(&Question::rest("s3:AbortMultipartUpload", "DELETE", path)).await)?;
            is_any = true;
        }
        Ok(is_any)
    }
}

/// A call that deletes what a body names; S3 wants to know that the body is whole.
fn delete(op: &'static str, bucket: &str, body: String) -> Question {
    let digest = Digest::sha256_of(body.as_bytes());
    let bytes: Vec<u8> = digest
        .hex()
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let headers = vec![
        ("content-type", "application/xml".to_owned()),
        ("x-amz-checksum-sha256", BASE64_STANDARD.encode(bytes)),
        ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
    ];
    Question { op, method: "POST", path: format!("/{bucket}?delete="), headers, body }
}

/// Code and words of an answer of S3 that is an error: it has no element around it.
fn refusal(body: &str) -> (String, String) {
    match Element::parse(body, "Error") {
        Some(error) => {
            let text = |name: &str| error.text(name).unwrap_or_default().to_owned();
            (text("Code"), text("Message"))
        }
        None => query::refusal(body),
    }
}

/// The key of an item of a list: encoded as in a form, so that any key can be told in XML, when the list says so.
fn key(list: &Element, item: &Element) -> String {
    let key = item.text("Key").unwrap_or_default();
    if list.text("EncodingType") != Some("url") {
        return key.to_owned();
    }
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\r', "&#13;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_decoded_where_it_is_encoded() {
        for (encoding, told) in [("<EncodingType>url</EncodingType>", "b+c/d%2Be%26"), ("", "b c/d+e&amp;")] {
            let list = format!("<L>{encoding}<Upload><Key>{told}</Key></Upload></L>");
            let list = Element::parse(&list, "L").expect("it is whole");
            let keys: Vec<String> = list.all("Upload").map(|upload| key(&list, upload)).collect();
            assert_eq!(keys, ["b c/d+e&"]);
        }
    }

    #[test]
    fn a_body_is_sent_with_its_sum() {
        let question = delete("s3:DeleteObjectVersion", "b", String::new());
        assert_eq!(question.headers[1].1, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(refusal("<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>").0, "NoSuchBucket");
    }
}
