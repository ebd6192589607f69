//! Gzip bodies, read without a crate of its own: clients of AWS may send them, and nothing else here needs it.
//!
//! RFC 1952 (the wrapper) and RFC 1951 (deflate). The checksum is not verified; the length is.

/// The content of a gzip file of one member, if it is one and no longer than `limit`.
pub(crate) fn gunzip(file: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (magic, rest) = file.split_at_checked(10)?;
    if magic[..3] != [0x1f, 0x8b, 8] {
        return None;
    }
    let flags = magic[3];
    let mut body = rest;
    if flags & 4 != 0 {
        let (length, after) = body.split_at_checked(2)?;
        body = after.get(usize::from(u16::from_le_bytes([length[0], length[1]]))..)?;
    }
    for named in [8, 16] {
        if flags & named != 0 {
            let end = body.iter().position(|byte| *byte == 0)?;
            body = &body[end + 1..];
        }
    }
    if flags & 2 != 0 {
        body = body.get(2..)?;
    }
    let plain = inflate(body, limit)?;
    let told = file.last_chunk::<4>()?;
    (u32::from_le_bytes(*told) as usize == plain.len()).then_some(plain)
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for place in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    fn align_to_byte(&mut self) {
        self.at = self.at.div_ceil(8) * 8;
    }
}

/// A Huffman code: how many codes of each length, and the symbols in their order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        for length in lengths {
            counts[*length] += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Length codes 257 to 285 and distance codes 0 to 29 (RFC 1951, 3.2.5): the base, and how many bits follow.
fn length_of(symbol: usize) -> Option<(usize, usize)> {
    match symbol {
        0..=7 => Some((3 + symbol, 0)),
        28 => Some((258, 0)),
        8..=27 => {
            let extra = symbol / 4 - 1;
            Some((3 + ((4 + symbol % 4) << extra), extra))
        }
        _ => None,
    }
}

fn distance_of(symbol: usize) -> Option<(usize, usize)> {
    match symbol {
        0..=3 => Some((1 + symbol, 0)),
        4..=29 => {
            let extra = symbol / 2 - 1;
            Some((1 + ((2 + symbol % 2) << extra), extra))
        }
        _ => None,
    }
}

fn inflate(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut bits = Bits { bytes, at: 0 };
    let mut plain = Vec::new();
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.align_to_byte();
                let length = bits.take(16)?;
                if bits.take(16)? != length ^ 0xffff {
                    return None;
                }
                let start = bits.at / 8;
                plain.extend_from_slice(bytes.get(start..start + length)?);
                bits.at += length * 8;
            }
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| match symbol {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    })
                    .collect();
                block(&mut bits, &Code::new(&lengths), &Code::new(&[5; 30]), &mut plain, limit)?;
            }
            2 => {
                let (literals, distances) = codes(&mut bits)?;
                block(&mut bits, &literals, &distances, &mut plain, limit)?;
            }
            _ => return None,
        }
        if plain.len() > limit {
            return None;
        }
        if last {
            return Some(plain);
        }
    }
}

/// The codes that a block brings with it.
fn codes(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, used) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut lengths = [0; 19];
    for place in &ORDER[..used] {
        lengths[*place] = bits.take(3)?;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    if lengths.len() > literals + distances {
        return None;
    }
    Some((Code::new(&lengths[..literals]), Code::new(&lengths[literals..])))
}

fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code, plain: &mut Vec<u8>, limit: usize) -> Option<()> {
    loop {
        match literals.read(bits)? {
            literal @ 0..=255 => plain.push(u8::try_from(literal).ok()?),
            256 => return Some(()),
            symbol => {
                let (base, extra) = length_of(symbol - 257)?;
                let length = base + bits.take(extra)?;
                let (base, extra) = distance_of(distances.read(bits)?)?;
                let distance = base + bits.take(extra)?;
                let start = plain.len().checked_sub(distance)?;
                if plain.len() + length > limit {
                    return None;
                }
                for at in start..start + length {
                    plain.push(plain[at]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"cluster":"a","include":["TAGS"],"pad":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}` by gzip(1).
    const FIXED: &str = "1f8b0800000000000203ab564ace292d2e492d52b2524a54d251cacc03f2535295aca295421cdd83956275940a125340920480522d00aca998534b000000";
    /// The numbers from 0 to 119, a line each, by gzip(1).
    const DYNAMIC: &str = "1f8b08000000000002031dd0b701c0400804c17cabc19bfe1b13affc806304c57082a46886450555d45047034db4d046075d4cb09b31ccb1c0122bacb1c116175cf15be978e08917def8e04b08a18411773188248a686288258554d24827af5092453639e4524229659453415ddfa29a1a6a69a19536dae9a093be779a1e7a19619431c699609229e6be1d6659619535d6d960932db6d9c3781ac721e72107222722472267228722a722c72297fbd92ef7e09edca37b760fefe93dbef3fb001dd0a05c72010000";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
                u8::from_str_radix(pair, 16).expect("hexadecimal digits")
            })
            .collect()
    }

    #[test]
    fn files_of_gzip_are_read() {
        let plain = gunzip(&bytes(FIXED), 1000).expect("a gzip file");
        let text = r#"{"cluster":"a","include":["TAGS"],"pad":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
        assert_eq!(String::from_utf8_lossy(&plain), text);
        let numbers: String = (0..120).map(|number| format!("{number}\n")).collect();
        assert_eq!(gunzip(&bytes(DYNAMIC), 10_000).expect("a gzip file"), numbers.as_bytes());
    }

    #[test]
    fn what_is_broken_or_too_long_is_refused() {
        assert_eq!(gunzip(b"{}", 10), None);
        assert_eq!(gunzip(&bytes(DYNAMIC), 100), None, "longer than the limit");
        let mut cut = bytes(DYNAMIC);
        cut.truncate(cut.len() / 2);
        assert_eq!(gunzip(&cut, 10_000), None);
    }
}
