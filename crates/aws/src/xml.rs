//! The XML of AWS's answers, as a tree: they are small, and only a few of their parts are read. Attributes, namespaces and comments
//! mean nothing here.

/// How deep an answer may be nested. AWS's are less than ten deep.
const DEPTH_MAX: usize = 32;

/// An element.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document that has this root; `None` when it is another, or not whole.
    #[must_use]
    pub fn parse(text: &str, root: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let element = loop {
            match reader.next()? {
                Part::Open { name, is_empty } => break reader.element(name, is_empty, 0)?,
                Part::Text(text) if text.trim().is_empty() => {}
                Part::Text(_) | Part::Close(_) => return None,
            }
        };
        (element.name == root).then_some(element)
    }

    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name, for lists that have no element of their own.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of a child; `None` when it isn't there or is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Its own text.
    #[must_use]
    pub fn content(&self) -> &str {
        &self.text
    }

    /// Whether a child says `true`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The items of a list: EC2 calls each `item`, other services `member` or by a name of their own.
    pub fn items(&self, list: &str) -> impl Iterator<Item = &Element> {
        self.child(list).map_or(&[][..], |list| &list.children).iter()
    }
}

/// A piece of a document.
enum Part<'a> {
    Open { name: &'a str, is_empty: bool },
    Close(&'a str),
    Text(String),
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next piece; `None` at the end, and for what is no XML.
    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if let Some(after) = self.rest.strip_prefix("<!--") {
                self.rest = after.split_once("-->")?.1;
            } else if let Some(after) = self.rest.strip_prefix("<![CDATA[") {
                let (text, rest) = after.split_once("]]>")?;
                self.rest = rest;
                return Some(Part::Text(text.to_owned()));
            } else if self.rest.starts_with("<?") || self.rest.starts_with("<!") {
                self.rest = self.rest.split_once('>')?.1;
            } else if let Some(after) = self.rest.strip_prefix("</") {
                let (name, rest) = after.split_once('>')?;
                self.rest = rest;
                return Some(Part::Close(local(name.trim_end())));
            } else if let Some(after) = self.rest.strip_prefix('<') {
                let inside = &after[..tag_end(after)?];
                self.rest = &after[inside.len() + 1..];
                let is_empty = inside.ends_with('/');
                let name = inside.trim_end_matches('/').split_whitespace().next()?;
                return Some(Part::Open { name: local(name), is_empty });
            } else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Some(Part::Text(unescaped(text)?));
            }
        }
    }

    /// The element that was just opened.
    fn element(&mut self, name: &str, is_empty: bool, depth: usize) -> Option<Element> {
        let mut made = Element { name: name.to_owned(), ..Element::default() };
        if is_empty {
            return Some(made);
        }
        if depth > DEPTH_MAX {
            return None;
        }
        loop {
            match self.next()? {
                Part::Open { name, is_empty } => made.children.push(self.element(name, is_empty, depth + 1)?),
                Part::Text(text) => made.text.push_str(&text),
                Part::Close(name) if name == made.name => {
                    made.text = made.text.trim().to_owned();
                    return Some(made);
                }
                Part::Close(_) => return None,
            }
        }
    }
}

/// Where a tag ends: a `>` in an attribute's value is none.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(at, letter)| {
        match (quote, letter) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
        None
    })
}

/// A name without its namespace's prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, name)| name)
}

/// A text with what `&…;` stands for.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        made.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let number = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(number)?
            }
        });
        made.push_str(rest);
    }
    Some(made)
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
        assert_eq!(endpoint.child("dnsOptions").and_then(|options| options.text("dnsRecordIpType")), Some("ipv4"));
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

    /// As S3 writes it: without an element around lists, with attributes, a namespace and numbers for letters.
    #[test]
    fn what_else_xml_has_is_read_or_left_out() {
        let answer = "<?xml version=\"1.0\"?><!-- a > b --><x:R xmlns:x='a>b'><E k='1'/><E><![CDATA[<&>]]></E><E>&#65;&#x42;&apos;</E></x:R >";
        let root = Element::parse(answer, "R").expect("it is whole");
        assert_eq!(root.all("E").map(Element::content).collect::<Vec<_>>(), ["", "<&>", "AB'"]);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_not_read() {
        assert_eq!(Element::parse(&ANSWER[..ANSWER.len() / 2], "DescribeVpcEndpointsResponse"), None);
        assert_eq!(Element::parse(ANSWER, "DescribeSubnetsResponse"), None);
        for broken in ["no XML", "", "<a><b></a></b>", "<a>&nope;</a>", "<a x='>'", "</a>", "<a>", &"<a>".repeat(1000)]
        {
            assert_eq!(Element::parse(broken, "a"), None, "{broken}");
        }
    }
}
