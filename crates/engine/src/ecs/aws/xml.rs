//! The XML of the query protocols, as a tree: answers are small, and only a few of their parts are read.

use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};

/// How deep an answer may be nested. EC2's are less than ten deep.
const DEPTH_MAX: usize = 32;

/// An element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document that has this root; `None` when it is another, or not whole.
    pub(super) fn parse(text: &str, root: &str) -> Option<Self> {
        // The decoder takes the end of the text for the end of all that is open.
        if !text.trim_end().ends_with(&format!("</{root}>")) {
            return None;
        }
        let mut document = Document::new(text);
        let mut decoder = document.root_element().ok()?;
        if decoder.start_el().local() != root {
            return None;
        }
        node(&mut decoder, 0).ok()
    }

    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child; `None` when it isn't there or is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Its own text.
    pub(super) fn content(&self) -> &str {
        &self.text
    }

    /// Whether a child says `true`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The items of a list: EC2 calls each `item`, the other services `member`.
    pub(super) fn items(&self, list: &str) -> impl Iterator<Item = &Element> {
        let children = self.child(list).map_or(&[][..], |list| &list.children);
        children.iter().filter(|item| is_item(&item.name))
    }
}

/// The elements of the answers that hold elements; the decoder has to be told what it will find.
const NODES: [&str; 18] = [
    "Errors",
    "Error",
    "subnetSet",
    "routeTableSet",
    "associationSet",
    "routeSet",
    "vpcEndpointSet",
    "routeTableIdSet",
    "groupSet",
    "securityGroupInfo",
    "ipPermissions",
    "ipPermissionsEgress",
    "groups",
    "ipRanges",
    "ipv6Ranges",
    "prefixListIds",
    "DescribeInstanceHealthResult",
    "InstanceStates",
];

fn is_item(name: &str) -> bool {
    matches!(name, "item" | "member")
}

/// Whether an element holds elements. The items of a list do, but for those of a list of ids.
fn is_node(name: &str, parent: &str) -> bool {
    NODES.contains(&name) || (is_item(name) && !parent.ends_with("IdSet"))
}

fn node(decoder: &mut ScopedDecoder<'_, '_>, depth: usize) -> Result<Element, XmlDecodeError> {
    if depth > DEPTH_MAX {
        return Err(XmlDecodeError::custom("too deep"));
    }
    let mut made = Element { name: decoder.start_el().local().to_owned(), ..Element::default() };
    while let Some(mut child) = decoder.next_tag() {
        let name = child.start_el().local().to_owned();
        if is_node(&name, &made.name) {
            made.children.push(node(&mut child, depth + 1)?);
        } else {
            // What is neither a text nor known is nothing that is read here.
            let text = try_data(&mut child).map(|text| text.trim().to_owned()).unwrap_or_default();
            made.children.push(Element { name, text, children: Vec::new() });
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeVpcEndpointsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>1</requestId>
    <vpcEndpointSet>
        <item>
            <vpcEndpointId>vpce-1</vpcEndpointId>
            <policyDocument>{&quot;a&quot;: &quot;&lt;b&gt;&quot;}</policyDocument>
            <dnsOptions><dnsRecordIpType>ipv4</dnsRecordIpType></dnsOptions>
            <routeTableIdSet><item>rtb-1</item><item>rtb-2</item></routeTableIdSet>
            <groupSet><item><groupId>sg-1</groupId></item></groupSet>
            <privateDnsEnabled>true</privateDnsEnabled>
            <tagSet/>
        </item>
    </vpcEndpointSet>
</DescribeVpcEndpointsResponse>
"#;

    #[test]
    fn an_answer_is_read_whole() {
        let root = Element::parse(ANSWER, "DescribeVpcEndpointsResponse").expect("it is whole");
        let endpoint = root.items("vpcEndpointSet").next().expect("one item");
        assert_eq!(endpoint.text("vpcEndpointId"), Some("vpce-1"));
        assert_eq!(endpoint.text("policyDocument"), Some(r#"{"a": "<b>"}"#));
        assert_eq!(endpoint.text("dnsOptions"), None);
        assert!(endpoint.is("privateDnsEnabled"));
        let tables: Vec<&str> = endpoint.items("routeTableIdSet").map(Element::content).collect();
        assert_eq!(tables, ["rtb-1", "rtb-2"]);
        assert_eq!(endpoint.items("groupSet").next().and_then(|group| group.text("groupId")), Some("sg-1"));
        assert_eq!(root.text("nextToken"), None);
    }

    /// In the form that the API reference shows ("DescribeInstanceHealth").
    #[test]
    fn lists_of_members_are_read_too() {
        let answer = r#"<DescribeInstanceHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/">
  <DescribeInstanceHealthResult>
    <InstanceStates>
      <member>
        <Description>N/A</Description>
        <InstanceId>i-0abc</InstanceId>
        <State>InService</State>
        <ReasonCode>N/A</ReasonCode>
      </member>
    </InstanceStates>
  </DescribeInstanceHealthResult>
  <ResponseMetadata>
    <RequestId>1</RequestId>
  </ResponseMetadata>
</DescribeInstanceHealthResponse>"#;
        let root = Element::parse(answer, "DescribeInstanceHealthResponse").expect("it is whole");
        let result = root.child("DescribeInstanceHealthResult").expect("it has a result");
        let states: Vec<_> =
            result.items("InstanceStates").map(|it| (it.text("InstanceId"), it.text("State"))).collect();
        assert_eq!(states, [(Some("i-0abc"), Some("InService"))]);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_not_read() {
        assert_eq!(Element::parse(&ANSWER[..ANSWER.len() / 2], "DescribeVpcEndpointsResponse"), None);
        assert_eq!(Element::parse(ANSWER, "DescribeSubnetsResponse"), None);
        assert_eq!(Element::parse("no XML", "Response"), None);
    }
}
