//! Bodies: JSON that may be larger than an item, in as many parts as it takes.
//!
//! A service that remembers ten deployments of 64 KiB has 640 KiB and more; an item has 400 KB at most. So a body is the
//! items `body#000`, `body#001`, … of its own partition. All parts are written in one transaction and carry the same stamp.
//! A query does not read all items of one moment, so a reader who sees parts of different stamps reads again.

use super::action::Action;
use super::fault::Fault;
use super::item::{Item, Key};
use super::table::{Query, Range, Table};

/// Bytes of text in one part. Well below the 400 KB of an item, and small enough that the parts of the largest service stay
/// far below the 4 MB of a transaction.
const PART_MAX: usize = 256 * 1024;

/// How often a body is read anew that changed while it was read.
const READS: u32 = 20;

const BEGIN: &str = "body#";

/// The place of a part.
pub(super) fn key(partition: &str, part: usize) -> Key {
    Key::new(partition, format!("{BEGIN}{part:03}"))
}

/// A body in its parts; never without one.
pub(super) struct Body<'a>(Vec<&'a str>);

impl<'a> Body<'a> {
    pub(super) fn of(mut text: &'a str) -> Self {
        let mut parts = Vec::new();
        while text.len() > PART_MAX {
            let (part, rest) = text.split_at(text.floor_char_boundary(PART_MAX));
            parts.push(part);
            text = rest;
        }
        parts.push(text);
        Self(parts)
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> usize {
        self.0.len()
    }

    /// The actions that write it over a body of `before` parts. No two bodies of a partition may have one stamp.
    pub(super) fn write(&self, partition: &str, stamp: u64, before: usize) -> Vec<Action> {
        let puts = self.0.iter().enumerate().map(|(part, text)| {
            let item = Item::at(&key(partition, part)).with_number("stamp", stamp).with_number("parts", self.parts());
            Action::put(item.with_text("text", *text))
        });
        puts.chain(delete(partition, self.parts(), before)).collect()
    }
}

/// The actions that take the parts from `first` to before `end` away.
pub(super) fn delete(partition: &str, first: usize, end: usize) -> impl Iterator<Item = Action> {
    (first..end).map(move |part| Action::delete(key(partition, part)))
}

/// The body of which the first part has been read, if that is all of it.
pub(super) fn whole(first: &Item) -> Result<Option<&str>, Fault> {
    let parts: usize = first.number("parts")?;
    if parts == 1 { first.text("text").map(Some) } else { Ok(None) }
}

impl Table {
    /// The body in a partition; `None` when there is none.
    pub(super) async fn body(&self, partition: &str) -> Result<Option<String>, Fault> {
        for _ in 0..READS {
            let parts = self.query(Query::of(partition).within(Range::Begin(BEGIN.to_owned()))).await?;
            let Some(first) = parts.first() else { return Ok(None) };
            let (stamp, count): (u64, usize) = (first.number("stamp")?, first.number("parts")?);
            let mut same = parts.len() == count;
            let mut text = String::new();
            for part in &parts {
                same &= part.number::<u64>("stamp")? == stamp;
                text.push_str(part.text("text")?);
            }
            if same {
                return Ok(Some(text));
            }
        }
        Err(Fault::Contended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_between_characters_and_loses_nothing() {
        for length in [0, 1, PART_MAX - 1, PART_MAX, PART_MAX + 1, 3 * PART_MAX] {
            let text: String = "aü".chars().cycle().take(length).collect();
            let body = Body::of(&text);
            assert_eq!(body.0.concat(), text);
            assert!(body.0.iter().all(|part| part.len() <= PART_MAX));
            assert_eq!(body.write("p", 1, 0).len(), body.parts());
        }
    }
}
