//! Frames of the serial bridge, byte by byte; `docs/serial-bridge.md` has the format.

/// Begins and ends every frame.
pub const FLAG: u8 = 0x7e;
/// Announces a byte that would otherwise be [`FLAG`] or [`ESCAPE`]; it follows with [`FLIP`] inverted.
pub const ESCAPE: u8 = 0x7d;
/// See [`ESCAPE`].
pub const FLIP: u8 = 0x20;
/// Bytes of the longest frame between its flags, not counting escapes: an 8-byte memory write.
pub const LONGEST: usize = 20;
/// Bytes of the longest frame on the line: each one escaped, and both flags.
pub const LONGEST_ON_LINE: usize = 2 * LONGEST + 2;
/// Bit of the first byte that tells an answer from a request.
pub const ANSWER: u8 = 0x80;
/// First four bytes of what a board says of itself.
pub const MAGIC: u32 = u32::from_le_bytes(*b"PCLS");
/// Version of the format.
pub const VERSION: u16 = 1;

/// First byte of requests.
pub mod op {
    /// What the board is: index of the doubleword asked for.
    pub const IDENTIFY: u8 = 0x01;
    /// Register read: offset.
    pub const READ32: u8 = 0x02;
    /// Register write: offset, value.
    pub const WRITE32: u8 = 0x03;
    /// Memory read of 8 bytes: address.
    pub const LOAD64: u8 = 0x04;
    /// Memory write of 4 bytes: address, value.
    pub const STORE32: u8 = 0x05;
    /// Memory write of 8 bytes: address, value.
    pub const STORE64: u8 = 0x06;
    /// The interrupt wires.
    pub const INTERRUPTS: u8 = 0x07;
}

/// Third byte of answers.
pub mod status {
    /// Done.
    pub const OK: u8 = 0;
    /// Unknown request, or of the wrong length. Nothing was done.
    pub const UNKNOWN: u8 = 1;
    /// An address or offset that is misaligned or not there. Nothing was done.
    pub const ADDRESS: u8 = 2;
    /// The bus behind the board answered with an error.
    pub const BUS: u8 = 3;
}

/// CRC-16/MCRF4XX: polynomial 0x1021, least significant bit first (as a UART sends), starting from all ones. Over a frame
/// that ends in its own CRC, low byte first, it is 0.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| {
            (crc >> 1) ^ (if crc & 1 == 1 { 0x8408 } else { 0 })
        })
    })
}

/// A frame as it goes over the line.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; LONGEST_ON_LINE],
    used: usize,
}

impl Encoded {
    /// Wraps `content`, which must fit with its CRC: at most [`LONGEST`] - 2 bytes. What is beyond is cut off.
    pub fn new(content: &[u8]) -> Self {
        let content = &content[..content.len().min(LONGEST - 2)];
        let mut frame = Encoded {
            bytes: [FLAG; LONGEST_ON_LINE],
            used: 1,
        };
        for &byte in content.iter().chain(&crc(content).to_le_bytes()) {
            if matches!(byte, FLAG | ESCAPE) {
                frame.push(ESCAPE);
                frame.push(byte ^ FLIP);
            } else {
                frame.push(byte);
            }
        }
        frame.push(FLAG);
        frame
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.used] = byte;
        self.used += 1;
    }

    /// The bytes, flags included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// Finds frames in a stream of bytes, whatever came before them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    bytes: [u8; LONGEST],
    used: usize,
    escaped: bool,
    /// Too long to be a frame; nothing counts before the next flag.
    spoilt: bool,
}

impl Decoder {
    /// Takes the next byte. If it ends a frame with a right CRC: the frame without flags, escapes and CRC.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        match byte {
            FLAG => {
                let whole = !self.spoilt && !self.escaped && self.used >= 4;
                let used = core::mem::take(&mut self.used);
                (self.spoilt, self.escaped) = (false, false);
                let content = &self.bytes[..used];
                if whole && crc(content) == 0 {
                    return Some(&content[..used - 2]);
                }
            }
            ESCAPE => self.escaped = true,
            _ => {
                let byte = if core::mem::take(&mut self.escaped) {
                    byte ^ FLIP
                } else {
                    byte
                };
                match self.bytes.get_mut(self.used) {
                    Some(place) => {
                        *place = byte;
                        self.used += 1;
                    }
                    None => self.spoilt = true,
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_catalogue() {
        assert_eq!(crc(b"123456789"), 0x6f91);
    }

    #[test]
    fn every_frame_comes_back_whatever_was_before() {
        let mut decoder = Decoder::default();
        let garbage: [&[u8]; 5] = [
            &[],
            &[1, 2, 3],
            &[FLAG, FLAG],
            &[ESCAPE],
            &[0x55; LONGEST + 9],
        ];
        for byte in 0..=255u8 {
            let content = [byte, byte ^ 3, 7, byte.wrapping_mul(31)];
            for garbage in garbage {
                let found = |bytes: &[u8], decoder: &mut Decoder| {
                    bytes
                        .iter()
                        .filter(|&&b| decoder.push(b).is_some_and(|c| c == content))
                        .count()
                };
                let frame = Encoded::new(&content);
                assert_eq!(found(garbage, &mut decoder), 0);
                assert_eq!(found(frame.bytes(), &mut decoder), 1, "{garbage:x?}");
            }
        }
    }

    #[test]
    fn no_single_error_is_taken_for_a_frame() {
        let frame = Encoded::new(&[op::STORE32, 9, FLAG, ESCAPE, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]);
        for at in 0..frame.bytes().len() * 8 {
            let mut decoder = Decoder::default();
            for (n, byte) in frame.bytes().iter().enumerate() {
                let flip = if at / 8 == n { 1 << (at % 8) } else { 0 };
                assert_eq!(decoder.push(byte ^ flip), None, "bit {at}");
            }
        }
        for cut in 0..frame.bytes().len() {
            let mut decoder = Decoder::default();
            for (n, &byte) in frame.bytes().iter().enumerate() {
                if n != cut {
                    let found = decoder.push(byte).is_some();
                    assert_eq!(found, cut == 0 && byte == FLAG && n > 0, "byte {cut}");
                }
            }
        }
    }
}
