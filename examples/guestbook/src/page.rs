//! The page as HTML.

use std::fmt::Write as _;

use crate::book::{Entry, MAX_MESSAGE, MAX_NAME, Refusal};

/// What the page says of the program that answers.
#[derive(Clone, Debug)]
pub struct About {
    /// The version it was built as.
    pub version: &'static str,
    /// The host name, which in a container is its short id: with several copies it tells them apart.
    pub copy: String,
    /// The headline.
    pub greeting: String,
}

impl About {
    /// Reads the greeting from `GREETING` and the host name from the kernel (a `FROM scratch` image has no other source).
    pub fn from_environment() -> Self {
        let copy = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim().to_owned())
            .unwrap_or_else(|_| "unknown".to_owned());
        Self {
            version: option_env!("GUESTBOOK_VERSION").unwrap_or("v1"),
            copy,
            greeting: std::env::var("GREETING").unwrap_or_else(|_| "Guest book".to_owned()),
        }
    }
}

/// What the visitor did before this page.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// Nothing: the page was asked for.
    None,
    /// Signed; the entry is in the list.
    Signed(&'a Entry),
    /// Tried to sign in vain.
    Refused(Refusal),
}

/// The whole document. Everything that came from outside is escaped here.
pub fn render(about: &About, entries: &[Entry], notice: Notice<'_>) -> String {
    let greeting = escape(&about.greeting);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{greeting}</title>\n<style>\n\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:2rem auto;padding:0 1rem;color:#1c2430}}\n\
         label,input,textarea{{display:block;width:100%;box-sizing:border-box;font:inherit}}\n\
         input,textarea{{padding:.4rem;margin:.1rem 0 .8rem;border:1px solid #9aa5b5;border-radius:.3rem}}\n\
         button{{font:inherit;padding:.4rem 1.2rem}} li{{margin:.6rem 0;white-space:pre-wrap}}\n\
         footer{{margin-top:2rem;color:#5b6675;font-size:.9rem}} .notice{{font-weight:600}}\n\
         </style>\n</head>\n<body>\n<h1>{greeting}</h1>\n"
    );
    match notice {
        Notice::None => {}
        Notice::Signed(entry) => {
            push(&mut html, format_args!("<p class=\"notice\">Thank you, {}.</p>\n", escape(&entry.name)));
        }
        Notice::Refused(refusal) => {
            push(&mut html, format_args!("<p class=\"notice\">{}</p>\n", refusal.text()));
        }
    }
    push(
        &mut html,
        format_args!(
            "<form method=\"post\" action=\"/\">\n\
             <label>Name <input name=\"name\" maxlength=\"{MAX_NAME}\" required></label>\n\
             <label>Message <textarea name=\"message\" rows=\"3\" maxlength=\"{MAX_MESSAGE}\" required></textarea></label>\n\
             <button>Sign</button>\n</form>\n"
        ),
    );
    if entries.is_empty() {
        html.push_str("<p>Nobody has signed this copy yet.</p>\n");
    } else {
        html.push_str("<ul>\n");
        for entry in entries {
            push(
                &mut html,
                format_args!("<li><strong>{}</strong>: {}</li>\n", escape(&entry.name), escape(&entry.message)),
            );
        }
        html.push_str("</ul>\n");
    }
    push(
        &mut html,
        format_args!(
            "<footer>guestbook {}, answered by copy {}. Each copy keeps its own book, in memory.</footer>\n\
             </body>\n</html>\n",
            escape(about.version),
            escape(&about.copy)
        ),
    );
    html
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("writing to a String cannot fail");
}

/// Makes text safe between tags and inside a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { version: "v7", copy: "0a1b2c".to_owned(), greeting: "Hi <b>".to_owned() }
    }

    #[test]
    fn escape_covers_the_five() {
        assert_eq!(escape(r#"<a href="x">'&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(escape("L\u{f6}we \u{1f981}"), "L\u{f6}we \u{1f981}");
    }

    #[test]
    fn nothing_from_outside_reaches_the_page_raw() {
        let entry = Entry {
            name: "<script>alert(1)</script>".to_owned(),
            message: "\"><img src=x onerror=alert(2)>".to_owned(),
        };
        let html = render(&about(), std::slice::from_ref(&entry), Notice::Signed(&entry));
        assert!(!html.contains("<script>"));
        assert!(!html.contains("<img"));
        assert!(!html.contains("Hi <b>"));
        assert!(html.contains("Thank you, &lt;script&gt;alert(1)&lt;/script&gt;."));
    }

    #[test]
    fn the_page_names_version_and_copy() {
        let html = render(&about(), &[], Notice::None);
        assert!(html.contains("guestbook v7, answered by copy 0a1b2c"));
        assert!(html.contains("Nobody has signed"));
    }
}
