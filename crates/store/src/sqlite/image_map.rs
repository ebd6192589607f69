//! The rules of the image map.

use layer0_domain::model::image_map::MapRule;
use rusqlite::Connection;

use super::convert::parsed;
use super::fault::StoreWork;

pub(super) fn list_tx(db: &Connection) -> StoreWork<Vec<MapRule>> {
    let mut select = db.prepare_cached("SELECT rule FROM map_rule")?;
    let mut rows = select.query([])?;
    let mut rules = Vec::new();
    while let Some(row) = rows.next()? {
        let rule = row.get_ref(0)?;
        let rule = parsed("map rule", rule.as_str())?;
        rules.push(parsed("map rule", MapRule::parse(rule))?);
    }
    // Not by the stored text: the character between prefix and target would take part.
    rules.sort_by(|a, b| (a.prefix(), a.target()).cmp(&(b.prefix(), b.target())));
    Ok(rules)
}

/// Writes `write` when the stored rules are those of `read`, in whatever order.
pub(super) fn replace_tx(db: &Connection, read: &[MapRule], write: &[MapRule]) -> StoreWork<bool> {
    if texts(&list_tx(db)?) != texts(read) {
        return Ok(false);
    }
    db.prepare_cached("DELETE FROM map_rule")?.execute([])?;
    let mut insert = db.prepare_cached("INSERT INTO map_rule (rule) VALUES (?1)")?;
    for rule in texts(write) {
        insert.execute([rule])?;
    }
    Ok(true)
}

/// The rules as text, sorted; a rule given twice counts once.
fn texts(rules: &[MapRule]) -> Vec<String> {
    let mut texts: Vec<String> = rules.iter().map(MapRule::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}
