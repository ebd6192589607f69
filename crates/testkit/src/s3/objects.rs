//! The bucket: objects, and uploads that are not completed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::answer::{Answer, refused};

/// The smallest part but the last one.
const PART_MIN: usize = 5 << 20;
/// Entries of one page. Fewer than S3 has, so that there are several.
const PAGE: usize = 50;

struct Object {
    bytes: Vec<u8>,
    tag: String,
    at: SystemTime,
}

struct Upload {
    key: String,
    begun: SystemTime,
    parts: BTreeMap<u32, Object>,
}

/// An upload that became an object.
struct Completed {
    id: String,
    /// The body by which that was asked for.
    wish: String,
    key: String,
    tag: String,
}

#[derive(Default)]
pub(super) struct Objects {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    completed: Vec<Completed>,
    /// Whether a completion that repeats another one finds no upload.
    forgets: bool,
    count: u64,
}

/// The answer to a completion.
fn completed(key: &str, tag: &str) -> Answer {
    let tag = tag.replace('"', "&quot;");
    Answer::xml("CompleteMultipartUploadResult", &format!("<Key>{key}</Key><ETag>{tag}</ETag>"))
}

/// The parameters of a query.
fn query(head: &Parts) -> BTreeMap<String, String> {
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let hex: String = rest.by_ref().take(2).map(char::from).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
                }
                b'+' => bytes.push(b' '),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), decoded(value))
        })
        .collect()
}

/// Bucket and key, of `/bucket/key`.
fn target(head: &Parts) -> (&str, &str) {
    head.uri.path().trim_start_matches('/').split_once('/').unwrap_or((head.uri.path().trim_matches('/'), ""))
}

/// The name of an operation in the S3 API reference.
pub(super) fn operation(head: &Parts) -> &'static str {
    let (query, (_, key)) = (query(head), target(head));
    let has = |name| query.contains_key(name);
    match (&head.method, key.is_empty()) {
        (&Method::HEAD, true) => "HeadBucket",
        (&Method::GET, true) if has("uploads") => "ListMultipartUploads",
        (&Method::GET, true) => "ListObjectsV2",
        (&Method::POST, false) if has("uploads") => "CreateMultipartUpload",
        (&Method::POST, false) => "CompleteMultipartUpload",
        (&Method::PUT, false) if has("partNumber") => "UploadPart",
        (&Method::PUT, false) => "PutObject",
        (&Method::DELETE, false) if has("uploadId") => "AbortMultipartUpload",
        (&Method::DELETE, false) => "DeleteObject",
        (&Method::GET, false) if has("uploadId") => "ListParts",
        (&Method::GET, false) => "GetObject",
        (&Method::HEAD, false) => "HeadObject",
        _ => "Unknown",
    }
}

fn tag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("\"{}\"", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn sum(bytes: &[u8]) -> String {
    // CRC-32C (RFC 3720), bit by bit from a table made here: this is no code of the registry's.
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| table[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8));
    BASE64_STANDARD.encode((!crc).to_be_bytes())
}

/// Seconds since 1970 as `YYYY-MM-DDTHH:MM:SS.000Z` (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn iso(at: SystemTime) -> String {
    let (year, month, day, rest) = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The same as `Thu, 01 Jan 1970 00:00:00 GMT`.
fn http_date(at: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (year, month, day, rest) = civil(at);
    let days = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[(month - 1) as usize];
    format!("{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month, day and seconds of the day.
fn civil(at: SystemTime) -> (u64, u64, u64, u64) {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day, seconds % 86_400)
}

/// Whether the checksum that came along is the content's.
fn is_sound(head: &Parts, body: &[u8]) -> bool {
    let told = head.headers.get("x-amz-checksum-crc32c").and_then(|value| value.to_str().ok());
    told.is_none_or(|told| told == sum(body))
}

impl Objects {
    pub(super) fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, key: &str) -> Vec<u8> {
        self.objects.get(key).expect("there is such an object").bytes.clone()
    }

    pub(super) fn uploads(&self) -> Vec<String> {
        self.uploads.values().map(|upload| upload.key.clone()).collect()
    }

    pub(super) fn change(&mut self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.objects.get_mut(key).expect("there is such an object").bytes);
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    pub(super) fn age(&mut self, days: u64) {
        let by = Duration::from_secs(days * 86_400);
        self.objects.values_mut().for_each(|object| object.at -= by);
        for upload in self.uploads.values_mut() {
            upload.begun -= by;
            upload.parts.values_mut().for_each(|part| part.at -= by);
        }
    }

    pub(super) fn act(&mut self, op: &str, head: &Parts, body: &Bytes) -> Answer {
        let (query, (bucket, key)) = (query(head), target(head));
        if bucket != super::FakeS3::BUCKET {
            return refused(404, "NoSuchBucket");
        }
        let param = |name: &str| query.get(name).cloned().unwrap_or_default();
        match op {
            "HeadBucket" => Answer::empty(200),
            "CreateMultipartUpload" => {
                self.count += 1;
                let id = format!("upload-{}", self.count);
                let upload = Upload { key: key.to_owned(), begun: SystemTime::now(), parts: BTreeMap::new() };
                self.uploads.insert(id.clone(), upload);
                Answer::xml("InitiateMultipartUploadResult", &format!("<Key>{key}</Key><UploadId>{id}</UploadId>"))
            }
            "PutObject" | "UploadPart" if !is_sound(head, body) => refused(400, "BadDigest"),
            "PutObject" => {
                let object = Object { bytes: body.to_vec(), tag: tag(body), at: SystemTime::now() };
                let answer = Answer::empty(200).with("etag", &object.tag);
                self.objects.insert(key.to_owned(), object);
                answer
            }
            "UploadPart" => {
                let Some(upload) = self.uploads.get_mut(&param("uploadId")) else {
                    return refused(404, "NoSuchUpload");
                };
                let part = Object { bytes: body.to_vec(), tag: tag(body), at: SystemTime::now() };
                let answer = Answer::empty(200).with("etag", &part.tag);
                match param("partNumber").parse() {
                    Ok(number @ 1..=10_000) => drop(upload.parts.insert(number, part)),
                    _ => return refused(400, "InvalidArgument"),
                }
                answer
            }
            "CompleteMultipartUpload" => self.complete(&param("uploadId"), &String::from_utf8_lossy(body)),
            "AbortMultipartUpload" => match self.uploads.remove(&param("uploadId")) {
                Some(_) => Answer::empty(204),
                None => refused(404, "NoSuchUpload"),
            },
            "DeleteObject" => {
                self.objects.remove(key);
                Answer::empty(204)
            }
            "GetObject" | "HeadObject" => self.get(head, key),
            "ListParts" => {
                let Some(upload) = self.uploads.get(&param("uploadId")) else { return refused(404, "NoSuchUpload") };
                let after: u32 = param("part-number-marker").parse().unwrap_or(0);
                let mut left = upload.parts.range(after + 1..);
                let page: Vec<_> = left.by_ref().take(PAGE).collect();
                let mut inner = String::new();
                for (number, part) in &page {
                    inner.push_str(&format!(
                        "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Size>{}</Size><LastModified>{}</LastModified><ChecksumCRC32C>{}</ChecksumCRC32C></Part>",
                        part.tag.replace('"', "&quot;"), part.bytes.len(), iso(part.at), sum(&part.bytes)
                    ));
                }
                if let Some((last, _)) = page.last() {
                    inner.push_str(&format!("<NextPartNumberMarker>{last}</NextPartNumberMarker>"));
                }
                inner.push_str(&format!("<IsTruncated>{}</IsTruncated>", left.next().is_some()));
                Answer::xml("ListPartsResult", &inner)
            }
            "ListMultipartUploads" => {
                let prefix = param("prefix");
                let mut inner = String::new();
                for (id, upload) in self.uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix)) {
                    inner.push_str(&format!(
                        "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
                        upload.key,
                        iso(upload.begun)
                    ));
                }
                Answer::xml("ListMultipartUploadsResult", &(inner + "<IsTruncated>false</IsTruncated>"))
            }
            "ListObjectsV2" => {
                let (prefix, after) = (param("prefix"), param("continuation-token"));
                let mut left = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
                let page: Vec<_> = left.by_ref().take(PAGE).collect();
                let mut inner = String::new();
                for (key, object) in &page {
                    inner.push_str(&format!(
                        "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>{}</LastModified></Contents>",
                        object.bytes.len(),
                        iso(object.at)
                    ));
                }
                let more = left.next().is_some();
                if let (true, Some((last, _))) = (more, page.last()) {
                    inner.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
                }
                Answer::xml("ListBucketResult", &format!("{inner}<IsTruncated>{more}</IsTruncated>"))
            }
            _ => refused(405, "MethodNotAllowed"),
        }
    }

    pub(super) fn forget_completions(&mut self) {
        self.forgets = true;
    }

    fn complete(&mut self, id: &str, wish: &str) -> Answer {
        let Some(upload) = self.uploads.get(id) else {
            let repeats =
                |it: &&Completed| !self.forgets && it.id == id && it.wish == wish && self.objects.contains_key(&it.key);
            return match self.completed.iter().find(repeats) {
                Some(it) => completed(&it.key, &it.tag),
                None => refused(404, "NoSuchUpload"),
            };
        };
        let text = |within: &str, name: &str| {
            let inner = within.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>"))?.0;
            Some(inner.replace("&quot;", "\""))
        };
        let (mut bytes, mut last) = (Vec::new(), 0);
        let wished: Vec<&str> = wish.split("<Part>").skip(1).collect();
        for (at, part) in wished.iter().enumerate() {
            let number: u32 = text(part, "PartNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
            let Some(kept) = upload.parts.get(&number) else { return refused(400, "InvalidPart") };
            if text(part, "ETag").as_ref() != Some(&kept.tag) {
                return refused(400, "InvalidPart");
            }
            if text(part, "ChecksumCRC32C").is_some_and(|told| told != sum(&kept.bytes)) {
                return refused(400, "InvalidPart");
            }
            if number <= last {
                return refused(400, "InvalidPartOrder");
            }
            if at + 1 < wished.len() && kept.bytes.len() < PART_MIN {
                return refused(400, "EntityTooSmall");
            }
            last = number;
            bytes.extend_from_slice(&kept.bytes);
        }
        if wished.is_empty() {
            return refused(400, "MalformedXML");
        }
        let upload = self.uploads.remove(id).expect("it was there");
        let tag = format!("{}-{}\"", tag(&bytes).trim_end_matches('"'), wished.len());
        let answer = completed(&upload.key, &tag);
        let (id, wish) = (id.to_owned(), wish.to_owned());
        self.completed.push(Completed { id, wish, key: upload.key.clone(), tag: tag.clone() });
        self.objects.insert(upload.key, Object { bytes, tag, at: upload.begun });
        answer
    }

    fn get(&self, head: &Parts, key: &str) -> Answer {
        let Some(object) = self.objects.get(key) else { return refused(404, "NoSuchKey") };
        let length = object.bytes.len();
        let range = head.headers.get("range").and_then(|value| value.to_str().ok());
        let answer = |status, bytes: &[u8]| {
            let answer = Answer::empty(status).with("etag", &object.tag).with("last-modified", http_date(object.at));
            let answer = answer.with("content-length", bytes.len());
            Answer { body: Bytes::copy_from_slice(bytes), ..answer }
        };
        let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            return answer(200, &object.bytes);
        };
        let first: usize = first.parse().unwrap_or(0);
        if first >= length {
            return refused(416, "InvalidRange");
        }
        let last = last.parse().map_or(length - 1, |last: usize| last.min(length - 1));
        answer(206, &object.bytes[first..=last]).with("content-range", format!("bytes {first}-{last}/{length}"))
    }
}
