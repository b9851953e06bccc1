//! Memory as the model sees it: a trait, a plain memory, and one that remembers every value.

use std::collections::BTreeMap;

/// Why an access of the IOMMU failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemError {
    /// PMA or PMP violation, or no such memory.
    Access,
    /// Poisoned data.
    Corrupt,
}

/// A doubleword, or why it could not be read.
pub type Checked = Result<u64, MemError>;

/// Memory that the IOMMU reads and writes. Addresses are those after all checks of the IOMMU itself.
pub trait Memory {
    /// The aligned doubleword at `addr`.
    ///
    /// # Errors
    /// The access was refused or the data is poisoned.
    fn load(&mut self, addr: u64) -> Checked;

    /// Stores `bytes`, all or nothing, within one aligned doubleword or as a run of whole ones.
    ///
    /// # Errors
    /// The access was refused or poisoned.
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemError>;
}

/// A plain memory in which every doubleword is 0 until written; nothing fails.
#[derive(Clone, Debug, Default)]
pub struct Flat {
    words: BTreeMap<u64, u64>,
}

impl Flat {
    /// Writes a doubleword.
    pub fn set(&mut self, addr: u64, value: u64) {
        self.words.insert(addr & !7, value);
    }
    /// Reads a doubleword.
    #[must_use]
    pub fn get(&self, addr: u64) -> u64 {
        self.words.get(&(addr & !7)).copied().unwrap_or(0)
    }
}

impl Memory for Flat {
    fn load(&mut self, addr: u64) -> Checked {
        Ok(self.get(addr))
    }
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemError> {
        for (at, merged) in merge(addr, bytes, |at| self.get(at)) {
            self.set(at, merged);
        }
        Ok(())
    }
}

/// The doublewords that a store of `bytes` at `addr` leaves behind.
fn merge(addr: u64, bytes: &[u8], old: impl Fn(u64) -> u64) -> Vec<(u64, u64)> {
    let mut words: Vec<(u64, u64)> = Vec::new();
    for (i, byte) in bytes.iter().enumerate() {
        let at = addr.wrapping_add(i as u64);
        let word = at & !7;
        if words.last().is_none_or(|last| last.0 != word) {
            words.push((word, old(word)));
        }
        if let Some(last) = words.last_mut() {
            let lane = 8 * (at & 7);
            last.1 = last.1 & !(0xff << lane) | u64::from(*byte) << lane;
        }
    }
    words
}

/// A value that a doubleword had from `start` until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// First moment.
    pub start: u64,
    /// First moment after; `u64::MAX` if it still has the value.
    pub end: u64,
    /// The value, or how a read failed.
    pub value: Checked,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    time: u64,
    first: u64,
    last: u64,
    reads: bool,
    writes: bool,
    error: Option<MemError>,
}

/// Memory that remembers every value a doubleword has had, and when; and every planted error.
///
/// Time is whatever the caller counts: [`Versions::at`] sets it, and it must not go back.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    now: u64,
    words: BTreeMap<u64, Vec<(u64, u64)>>,
    rules: Vec<Rule>,
}

impl Versions {
    /// Moves time on to `now`.
    pub fn at(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Software writes a doubleword.
    pub fn set(&mut self, addr: u64, value: u64) {
        let versions = self.words.entry(addr & !7).or_default();
        match versions.last_mut() {
            Some(last) if last.1 == value => {}
            Some(last) if last.0 == self.now => last.1 = value,
            None if value == 0 => {}
            _ => versions.push((self.now, value)),
        }
    }

    /// The doubleword as software reads it now.
    #[must_use]
    pub fn get(&self, addr: u64) -> u64 {
        let versions = self.words.get(&(addr & !7));
        versions
            .and_then(|versions| versions.last())
            .map_or(0, |last| last.1)
    }

    /// From now on accesses of the IOMMU that touch `len` bytes from `addr` end with `error`, or again with success.
    pub fn plant(
        &mut self,
        addr: u64,
        len: u64,
        reads: bool,
        writes: bool,
        error: Option<MemError>,
    ) {
        let Some(rest) = len.checked_sub(1) else {
            return;
        };
        self.rules.push(Rule {
            time: self.now,
            first: addr,
            last: addr.saturating_add(rest),
            reads,
            writes,
            error,
        });
    }

    /// Whether a write of the IOMMU to the doubleword at `addr` fails now.
    #[must_use]
    pub fn refuses(&self, addr: u64) -> bool {
        self.error(addr & !7, true, self.now).is_some()
    }

    fn error(&self, addr: u64, write: bool, time: u64) -> Option<MemError> {
        let touches = |rule: &&Rule| {
            rule.time <= time
                && rule.first <= addr.saturating_add(7)
                && addr <= rule.last
                && if write { rule.writes } else { rule.reads }
        };
        self.rules
            .iter()
            .rev()
            .find(touches)
            .and_then(|rule| rule.error)
    }

    /// The doubleword as a read at `time` finds it.
    fn read_at(&self, addr: u64, time: u64) -> Checked {
        if let Some(error) = self.error(addr, false, time) {
            return Err(error);
        }
        let versions = self.words.get(&(addr & !7)).map_or(&[][..], Vec::as_slice);
        let value = versions.iter().rev().find(|version| version.0 <= time);
        Ok(value.map_or(0, |version| version.1))
    }

    /// Every moment at which a read of one of these doublewords may have changed its result, 0 first.
    fn moments(&self, addr: u64, words: u64) -> Vec<u64> {
        let last = addr.saturating_add(8 * words - 1);
        let mut moments = vec![0];
        for (_, versions) in self.words.range(addr..=last) {
            moments.extend(versions.iter().map(|version| version.0));
        }
        for rule in &self.rules {
            if rule.reads && rule.first <= last && addr <= rule.last {
                moments.push(rule.time);
            }
        }
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Everything that reads of the `N` doublewords from `addr`, all at one moment, have found up to `until`.
    #[must_use]
    pub fn bursts<const N: usize>(&self, addr: u64, until: u64) -> Vec<Burst<N>> {
        let mut bursts: Vec<Burst<N>> = Vec::new();
        for start in self.moments(addr, N as u64) {
            if start > until {
                break;
            }
            let values =
                std::array::from_fn(|i| self.read_at(addr.wrapping_add(8 * i as u64), start));
            if let Some(last) = bursts.last_mut() {
                if last.values == values {
                    continue;
                }
                last.end = start;
            }
            bursts.push(Burst {
                start,
                end: u64::MAX,
                values,
            });
        }
        bursts
    }

    /// Everything that reads of the doubleword at `addr` have found up to `until`.
    #[must_use]
    pub fn versions(&self, addr: u64, until: u64) -> Vec<Version> {
        let bursts = self.bursts::<1>(addr, until);
        let version = |burst: Burst<1>| Version {
            start: burst.start,
            end: burst.end,
            value: burst.values[0],
        };
        bursts.into_iter().map(version).collect()
    }
}

/// What a burst of `N` doublewords found from `start` until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst<const N: usize> {
    /// First moment.
    pub start: u64,
    /// First moment after.
    pub end: u64,
    /// The doublewords.
    pub values: [Checked; N],
}

impl Memory for Versions {
    fn load(&mut self, addr: u64) -> Checked {
        self.read_at(addr & !7, self.now)
    }
    fn store(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemError> {
        let words = merge(addr, bytes, |at| self.get(at));
        // A refused access tells more than poisoned data, so it wins within a burst.
        let errors = words
            .iter()
            .filter_map(|word| self.error(word.0, true, self.now));
        let worst = errors.reduce(|worst, error| {
            if worst == MemError::Access {
                worst
            } else {
                error
            }
        });
        for (at, value) in words {
            if self.error(at, true, self.now).is_none() {
                self.set(at, value);
            }
        }
        worst.map_or(Ok(()), Err)
    }
}
