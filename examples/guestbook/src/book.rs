//! The entries of the guest book.

use std::collections::VecDeque;

/// Entries kept; the oldest leave first, so that a visitor cannot fill the memory.
pub const MAX_ENTRIES: usize = 200;
/// Longest name, in characters.
pub const MAX_NAME: usize = 60;
/// Longest message, in characters.
pub const MAX_MESSAGE: usize = 500;

/// What one visitor left. Text as it was typed; escaping is the page's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who signed: 1 to [`MAX_NAME`] characters.
    pub name: String,
    /// What they wrote: 1 to [`MAX_MESSAGE`] characters.
    pub message: String,
}

/// Why an entry was refused, in words for the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Name or message is missing or only blanks.
    Empty,
    /// Name or message is over its limit.
    TooLong,
}

impl Refusal {
    /// The sentence the page shows.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Empty => "Please give both a name and a message.",
            Self::TooLong => "A name has at most 60 characters, a message at most 500.",
        }
    }
}

impl Entry {
    /// Reads the fields `name` and `message` of a submitted form (`application/x-www-form-urlencoded`).
    pub fn from_form(body: &[u8]) -> Result<Self, Refusal> {
        let (mut name, mut message) = (String::new(), String::new());
        for (key, value) in form_fields(body) {
            match key.as_str() {
                "name" => name = value.trim().to_owned(),
                "message" => message = value.trim().to_owned(),
                _ => {}
            }
        }
        if name.is_empty() || message.is_empty() {
            return Err(Refusal::Empty);
        }
        if name.chars().count() > MAX_NAME || message.chars().count() > MAX_MESSAGE {
            return Err(Refusal::TooLong);
        }
        Ok(Self { name, message })
    }
}

/// The last [`MAX_ENTRIES`] entries, newest first.
#[derive(Debug, Default)]
pub struct Book(VecDeque<Entry>);

impl Book {
    /// Adds an entry. The same entry twice in a row is one entry: a page reloaded after signing sends it again.
    pub fn sign(&mut self, entry: Entry) {
        if self.0.front() == Some(&entry) {
            return;
        }
        self.0.push_front(entry);
        self.0.truncate(MAX_ENTRIES);
    }

    /// The entries, newest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.iter().cloned().collect()
    }
}

/// The fields of a form in their order. Bytes that are no UTF-8 become U+FFFD; a `%` without two hex digits stays as it is.
fn form_fields(body: &[u8]) -> impl Iterator<Item = (String, String)> {
    body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).map(|field| {
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        let key = halves.next().map(decode).unwrap_or_default();
        (key, halves.next().map(decode).unwrap_or_default())
    })
}

fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (*first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    out.push(high * 16 + low);
                    rest = after;
                } else {
                    out.push(b'%');
                }
            }
            (byte, _) => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, message: &str) -> Entry {
        Entry { name: name.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_form_is_decoded() {
        let read = Entry::from_form(b"name=Ada+L%C3%B6we&message=1%2B1%3D2%26more&extra=x");
        assert_eq!(read, Ok(entry("Ada L\u{f6}we", "1+1=2&more")));
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(decode(b"100%"), "100%");
        assert_eq!(decode(b"%4"), "%4");
        assert_eq!(decode(b"%zz%41"), "%zzA");
        assert_eq!(decode(b"%ff"), "\u{fffd}");
    }

    #[test]
    fn empty_and_overlong_entries_are_refused() {
        assert_eq!(Entry::from_form(b""), Err(Refusal::Empty));
        assert_eq!(Entry::from_form(b"name=++&message=hi"), Err(Refusal::Empty));
        assert_eq!(Entry::from_form(b"name=me"), Err(Refusal::Empty));
        let long = format!("name={}&message=hi", "a".repeat(MAX_NAME + 1));
        assert_eq!(Entry::from_form(long.as_bytes()), Err(Refusal::TooLong));
        let longest = format!("name={}&message=hi", "%C3%B6".repeat(MAX_NAME));
        assert!(Entry::from_form(longest.as_bytes()).is_ok());
    }

    #[test]
    fn the_book_keeps_the_newest_and_ignores_a_repeat() {
        let mut book = Book::default();
        for number in 0..=MAX_ENTRIES {
            book.sign(entry("n", &number.to_string()));
        }
        book.sign(entry("n", &MAX_ENTRIES.to_string()));
        let entries = book.entries();
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert_eq!(entries.first(), Some(&entry("n", "200")));
        assert_eq!(entries.last(), Some(&entry("n", "1")));
    }
}
