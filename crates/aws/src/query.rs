//! The query protocols: a call is a form. What answers it, and how it refuses, is XML, of one kind for EC2 and of another for
//! the rest.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::signed::Question;
use crate::xml::Element;

/// What a form leaves as it is (RFC 3986, "unreserved").
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The action of a call, which IAM writes behind its service.
#[must_use]
pub fn action(op: &str) -> &str {
    op.split_once(':').map_or(op, |(_, action)| action)
}

/// A call with these parameters, of this version of the API.
pub fn question<'a>(op: &'static str, version: &str, asked: impl IntoIterator<Item = (&'a str, &'a str)>) -> Question {
    let mut form = format!("Action={}&Version={version}", action(op));
    for (key, value) in asked {
        form.push_str(&format!("&{key}={}", utf8_percent_encode(value, FORM)));
    }
    Question::post(op, "application/x-www-form-urlencoded; charset=utf-8", form)
}

/// Code and words of an answer that is an error, of every service but EC2.
#[must_use]
pub fn refusal(body: &str) -> (String, String) {
    let root = Element::parse(body, "ErrorResponse");
    read(root.as_ref().and_then(|root| root.child("Error")))
}

/// Code and words of an answer of EC2 that is an error.
#[must_use]
pub fn ec2_refusal(body: &str) -> (String, String) {
    let root = Element::parse(body, "Response");
    read(root.as_ref().and_then(|root| root.child("Errors")?.child("Error")))
}

fn read(error: Option<&Element>) -> (String, String) {
    let text = |name: &str| error.and_then(|error| error.text(name)).unwrap_or_default().to_owned();
    (text("Code"), text("Message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_form() {
        let question =
            question("elasticloadbalancing:DescribeInstanceHealth", "2012-06-01", [("LoadBalancerName", "a b&c")]);
        assert_eq!(question.body, "Action=DescribeInstanceHealth&Version=2012-06-01&LoadBalancerName=a%20b%26c");
    }

    /// Both as the references show them: "Error responses" of EC2, "Common errors" of Elastic Load Balancing.
    #[test]
    fn each_kind_of_refusal_is_read() {
        let of_ec2 = "<Response><Errors><Error><Code>InvalidGroup.NotFound</Code><Message>no</Message></Error></Errors>\
                      <RequestID>1</RequestID></Response>";
        assert_eq!(ec2_refusal(of_ec2), ("InvalidGroup.NotFound".to_owned(), "no".to_owned()));
        let of_others = r#"<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/">
            <Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code><Message>no</Message></Error>
            <RequestId>1</RequestId></ErrorResponse>"#;
        assert_eq!(refusal(of_others), ("LoadBalancerNotFound".to_owned(), "no".to_owned()));
        assert_eq!(refusal(of_ec2), (String::new(), String::new()));
    }
}
