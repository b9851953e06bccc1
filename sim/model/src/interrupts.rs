//! ipsr, wires and messages (group 25).

use std::collections::VecDeque;

/// Command queue pending (INT-01).
pub(crate) const CIP: u32 = 1;
/// Fault queue pending.
pub(crate) const FIP: u32 = 2;
/// Performance counters pending.
pub(crate) const PMIP: u32 = 4;

/// One entry of msi_cfg_tbl (INT-12).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    pub addr: u64,
    pub data: u32,
    pub masked: bool,
    /// Sources whose messages are held back while masked (INT-15).
    held: u32,
}

/// Interrupt state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts {
    pub ipsr: u32,
    pub icvec: u32,
    pub table: Vec<Entry>,
    /// Vectors whose messages are due.
    pub due: VecDeque<usize>,
}

impl Interrupts {
    /// Vector of a pending bit (INT-08, INT-10): civ, fiv, pmiv.
    fn vector(&self, bit: u32) -> usize {
        (self.icvec >> (4 * bit.trailing_zeros()) & 0xf) as usize
    }

    /// Sets pending bits; with messages, each 0→1 makes one, of the vector that icvec names now, whatever it says
    /// later (INT-09).
    pub fn raise(&mut self, bits: u32, wires: bool) {
        for bit in [CIP, FIP, PMIP] {
            if bits & bit == 0 || self.ipsr & bit != 0 {
                continue;
            }
            self.ipsr |= bit;
            let vector = self.vector(bit);
            if wires {
                continue;
            }
            match self.table.get_mut(vector) {
                Some(entry) if entry.masked => entry.held |= bit,
                Some(_) => self.due.push_back(vector),
                None => {}
            }
        }
    }

    /// msi_vec_ctl: unmasking sends what was held back, once for each source (INT-15, A-13).
    pub fn set_mask(&mut self, vector: usize, masked: bool) {
        if let Some(entry) = self.table.get_mut(vector) {
            entry.masked = masked;
            if !masked {
                let held = std::mem::take(&mut entry.held);
                self.due.extend((0..held.count_ones()).map(|_| vector));
            }
        }
    }

    /// The next message: address and data.
    pub fn next_message(&mut self) -> Option<(u64, u32)> {
        let vector = self.due.pop_front()?;
        self.table.get(vector).map(|entry| (entry.addr, entry.data))
    }

    /// The wires (INT-08): level, OR-ed when shared.
    pub fn wires(&self) -> u32 {
        let pending = [CIP, FIP, PMIP]
            .into_iter()
            .filter(|bit| self.ipsr & bit != 0);
        pending.fold(0, |wires, bit| wires | 1 << self.vector(bit))
    }
}
