//! What a power loss leaves, drawn by a seed.

use super::faults::Kept;

/// Decides what of that which was not synced is there afterwards.
pub(super) struct Chance(Option<u64>);

impl Chance {
    pub(super) fn new(kept: Kept) -> Self {
        match kept {
            Kept::Synced => Self(None),
            Kept::Mixture(seed) => Self(Some(seed.wrapping_mul(2).wrapping_add(1))),
        }
    }

    /// A number below `limit`; SplitMix64.
    fn below(&mut self, limit: u64) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit.max(1)
    }

    pub(super) fn says_yes(&mut self) -> bool {
        self.below(2) == 1
    }

    /// What is left of a file: the bytes of its last sync, those that were written since, a part of these, or these with
    /// a page that never came. Pages that nobody has written to since the last sync are as they were, and none of them goes.
    pub(super) fn mixture(&mut self, durable: Vec<u8>, seen: &[u8]) -> Vec<u8> {
        const PAGE: usize = 4096;
        if durable == seen {
            return durable;
        }
        let length = seen.len() as u64;
        match self.below(4) {
            0 => durable,
            1 => seen.to_vec(),
            2 => {
                let kept = seen.len().min(durable.len());
                let more = self.below(length - kept as u64 + 1);
                seen[..kept + usize::try_from(more).expect("it is small")].to_vec()
            }
            _ => {
                let mut bytes = seen.to_vec();
                let pages = bytes.chunks_mut(PAGE).enumerate();
                let written: Vec<_> = pages
                    .filter(|(at, page)| durable.chunks(PAGE).nth(*at).is_none_or(|before| !is_same(before, page)))
                    .map(|(_, page)| page)
                    .collect();
                let page = usize::try_from(self.below(written.len() as u64)).expect("it is small");
                written.into_iter().skip(page).take(1).for_each(|page| page.fill(0));
                bytes
            }
        }
    }
}

/// Whether a page is as it was, which may have been the last one of its file.
fn is_same(before: &[u8], now: &[u8]) -> bool {
    now.strip_prefix(before).is_some_and(|more| more.iter().all(|byte| *byte == 0))
}
