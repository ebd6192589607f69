//! The query protocols: flat form parameters to nested members.
//!
//! `Parameters.member.1.ParameterKey=a` (query) and `Filter.1.Value.1=b` (EC2) both become
//! `{"Parameters": [{"ParameterKey": "a"}]}`: a level of numbers is a list, and the level `member` is left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One level of the tree that the dotted names draw.
#[derive(Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<String, Node>,
}

impl Node {
    fn into_value(mut self) -> Value {
        if self.below.is_empty() {
            return self.text.map_or(Value::Null, Value::String);
        }
        if self.below.len() == 1
            && let Some(members) = self.below.remove("member")
        {
            return members.into_value();
        }
        if self.below.keys().all(|key| key.bytes().all(|byte| byte.is_ascii_digit())) {
            let mut numbered: Vec<(u64, Node)> =
                self.below.into_iter().map(|(key, node)| (key.parse().unwrap_or(u64::MAX), node)).collect();
            numbered.sort_by_key(|(number, _)| *number);
            return numbered.into_iter().map(|(_, node)| node.into_value()).collect();
        }
        Value::Object(self.below.into_iter().map(|(key, node)| (key, node.into_value())).collect::<Map<_, _>>())
    }
}

/// The members of a form.
#[must_use]
pub(crate) fn members(form: &str) -> Value {
    let mut root = Node::default();
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let mut node = &mut root;
        for level in unescape(name).split('.') {
            node = node.below.entry(level.to_owned()).or_default();
        }
        node.text = Some(unescape(text));
    }
    match root.into_value() {
        Value::Null => Value::Object(Map::new()),
        members => members,
    }
}

/// `%41+b` is `A b`. A broken escape stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .flatten();
        match (bytes[at], escaped) {
            (_, Some(byte)) => {
                plain.push(byte);
                at += 3;
                continue;
            }
            (b'+', None) => plain.push(b' '),
            (byte, None) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_and_structures() {
        let form = "Action=CreateStack&Parameters.member.2.ParameterKey=b&Parameters.member.1.ParameterKey=a%2Bc+d";
        let wanted = json!({"Action": "CreateStack", "Parameters": [{"ParameterKey": "a+c d"}, {"ParameterKey": "b"}]});
        assert_eq!(members(form), wanted);
    }

    #[test]
    fn lists_of_ec2() {
        let wanted = json!({"Filter": [{"Name": "vpc-id", "Value": ["vpc-1", "vpc-2"]}]});
        assert_eq!(members("Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2"), wanted);
    }

    #[test]
    fn nothing_is_an_empty_structure() {
        assert_eq!(members(""), json!({}));
        assert_eq!(members("a=%zz"), json!({"a": "%zz"}));
    }
}
