//! The answers of the query protocols: nested members to XML.

use serde_json::Value;

/// What an element of a list is called: `member` in the query protocol, `item` in that of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListStyle {
    /// `<member>`
    Member,
    /// `<item>`
    Item,
}

/// Writes the members of a structure, without an element around them. Absent ones (`null`) are left out.
pub(crate) fn write(xml: &mut String, members: &Value, style: ListStyle) {
    match members {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                element(xml, name, value, style);
            }
        }
        Value::Array(list) => {
            let name = match style {
                ListStyle::Member => "member",
                ListStyle::Item => "item",
            };
            for value in list {
                element(xml, name, value, style);
            }
        }
        Value::String(text) => escape(xml, text),
        Value::Bool(_) | Value::Number(_) => xml.push_str(&members.to_string()),
    }
}

fn element(xml: &mut String, name: &str, value: &Value, style: ListStyle) {
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    write(xml, value, style);
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

/// Writes text so that it is read as text.
fn escape(xml: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#xD;"),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structures_lists_and_text() {
        let mut xml = String::new();
        write(&mut xml, &json!({"A": [{"B": "<&"}, {"B": 1}], "C": null, "D": true}), ListStyle::Member);
        assert_eq!(xml, "<A><member><B>&lt;&amp;</B></member><member><B>1</B></member></A><D>true</D>");
        xml.clear();
        write(&mut xml, &json!({"set": ["x"]}), ListStyle::Item);
        assert_eq!(xml, "<set><item>x</item></set>");
    }
}
