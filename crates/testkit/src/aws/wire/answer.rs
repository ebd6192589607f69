//! Answers on the wire.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};

use super::xml::{self, ListStyle};
use super::{AwsError, Protocol, Service};

/// An answer, whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What an operation gave, in the service's protocol.
pub(crate) fn success(service: Service, operation: &str, request_id: &str, output: &Value) -> Answer {
    match service.protocol() {
        Protocol::Json => json_answer(200, request_id, output.to_string()),
        Protocol::Query => {
            let namespace = service.namespace();
            let mut text = format!("<{operation}Response xmlns=\"{namespace}\"><{operation}Result>");
            xml::write(&mut text, output, ListStyle::Member);
            text.push_str(&format!("</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId>"));
            text.push_str(&format!("</ResponseMetadata></{operation}Response>"));
            xml_answer(200, request_id, text)
        }
        Protocol::Ec2 => {
            let namespace = service.namespace();
            let mut text = format!("<{operation}Response xmlns=\"{namespace}\"><requestId>{request_id}</requestId>");
            xml::write(&mut text, output, ListStyle::Item);
            text.push_str(&format!("</{operation}Response>"));
            xml_answer(200, request_id, text)
        }
    }
}

/// An error, in a protocol.
pub(crate) fn failure(protocol: Protocol, request_id: &str, error: &AwsError) -> Answer {
    let error_type = if error.status >= 500 { "Receiver" } else { "Sender" };
    match protocol {
        Protocol::Json => {
            let mut body = json!({"__type": error.code, "message": error.message});
            if let (Some(Value::Object(more)), Some(body)) = (error.members.clone(), body.as_object_mut()) {
                body.extend(more);
            }
            json_answer(error.status, request_id, body.to_string())
        }
        Protocol::Query => {
            let mut text = String::from("<ErrorResponse><Error>");
            let error_members = json!({"Type": error_type, "Code": error.code, "Message": error.message});
            xml::write(&mut text, &error_members, ListStyle::Member);
            text.push_str(&format!("</Error><RequestId>{request_id}</RequestId></ErrorResponse>"));
            xml_answer(error.status, request_id, text)
        }
        Protocol::Ec2 => {
            let mut text = String::from("<Response><Errors><Error>");
            xml::write(&mut text, &json!({"Code": error.code, "Message": error.message}), ListStyle::Item);
            text.push_str(&format!("</Error></Errors><RequestID>{request_id}</RequestID></Response>"));
            xml_answer(error.status, request_id, text)
        }
    }
}

/// Bytes, for what is fetched by a plain GET.
pub(crate) fn bytes(status: u16, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}

fn json_answer(status: u16, request_id: &str, body: String) -> Answer {
    with_id(bytes(status, "application/x-amz-json-1.1", body.into()), request_id)
}

fn xml_answer(status: u16, request_id: &str, body: String) -> Answer {
    with_id(bytes(status, "text/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into()), request_id)
}

fn with_id(mut answer: Answer, request_id: &str) -> Answer {
    if let Ok(id) = http::HeaderValue::from_str(request_id) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    answer
}
