//! What is known of the content of blobs: checksums, and which of them are damaged.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::{BlobCondition, BlobSums};
use layer0_domain::model::time::Timestamp;
use rusqlite::{Connection, params};

use super::blob::is_held;
use crate::sqlite::fault::RegistryWork;

/// Bytes of a sum in the column.
const WIDTH: usize = 4;

pub(super) fn prove_tx(db: &Connection, digest: &Digest, sums: &BlobSums) -> RegistryWork<()> {
    let digest = digest.to_string();
    if !is_held(db, &digest)? {
        return Ok(());
    }
    let bytes: Vec<u8> = sums.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    // Whoever verifies finds the same as a rule: then nothing is written.
    let sql = "INSERT INTO blob_sums (digest, piece, sums) VALUES (?1, ?2, ?3) \
               ON CONFLICT (digest) DO UPDATE SET piece = excluded.piece, sums = excluded.sums \
               WHERE piece <> excluded.piece OR sums <> excluded.sums";
    db.prepare_cached(sql)?.execute(params![digest, sums.piece, bytes])?;
    db.prepare_cached("DELETE FROM blob_damage WHERE digest = ?1")?.execute([digest])?;
    Ok(())
}

pub(super) fn condemn_tx(db: &Connection, digest: &Digest, at: Timestamp) -> RegistryWork<bool> {
    let digest = digest.to_string();
    if !is_held(db, &digest)? {
        return Ok(false);
    }
    let sql = "INSERT INTO blob_damage (digest, found) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING";
    Ok(db.prepare_cached(sql)?.execute(params![digest, at.0])? > 0)
}

/// Drops all that is known of a blob that no repository holds any more.
pub(super) fn forget(db: &Connection, digest: &str) -> RegistryWork<()> {
    db.prepare_cached("DELETE FROM blob_sums WHERE digest = ?1")?.execute([digest])?;
    db.prepare_cached("DELETE FROM blob_damage WHERE digest = ?1")?.execute([digest])?;
    Ok(())
}

/// The condition of a blob of this size, out of its columns. Sums that can't be its own are none: the content is there to
/// be read again.
pub(super) fn condition(size: u64, damaged: bool, piece: Option<i64>, sums: Option<Vec<u8>>) -> BlobCondition {
    if damaged {
        return BlobCondition::Damaged;
    }
    let (Some(piece), Some(bytes)) = (piece, sums) else { return BlobCondition::Unproven };
    let Ok(piece) = u32::try_from(piece) else { return BlobCondition::Unproven };
    let (chunks, rest) = bytes.as_chunks::<WIDTH>();
    let sums = BlobSums { piece, sums: chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect() };
    if rest.is_empty() && sums.fit(size) { BlobCondition::Proven(sums) } else { BlobCondition::Unproven }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_can_not_be_those_of_the_blob_are_none() {
        let sums = BlobSums { piece: 4, sums: vec![1, 0x0200_0000] };
        let bytes = || Some(vec![1, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(condition(5, false, Some(4), bytes()), BlobCondition::Proven(sums));
        assert_eq!(condition(5, true, Some(4), bytes()), BlobCondition::Damaged);
        for (size, piece, bytes) in [
            (9, Some(4), bytes()),
            (5, Some(0), bytes()),
            (5, Some(-4), bytes()),
            (5, Some(1 << 40), bytes()),
            (5, None, bytes()),
            (5, Some(4), None),
            (5, Some(4), Some(vec![1, 0, 0, 0, 0, 0, 0, 2, 3])),
        ] {
            assert_eq!(condition(size, false, piece, bytes), BlobCondition::Unproven, "{size} {piece:?}");
        }
    }
}
