//! Handles with generations, and the tables they point into.

/// What a handle names: bits 63:56.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Iommu = 1,
    Group = 2,
    Guard = 3,
    Domain = 4,
    Admin = 5,
    Mapping = 6,
    Reset = 7,
    Gather = 8,
    Deferred = 9,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Iommu,
        Kind::Group,
        Kind::Guard,
        Kind::Domain,
        Kind::Admin,
        Kind::Mapping,
        Kind::Reset,
        Kind::Gather,
        Kind::Deferred,
    ];
}

/// A handle taken apart. Its kind is never 0, so no handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub kind: Kind,
    /// Place of the IOMMU: bits 55:48.
    pub iommu: u8,
    /// Place of the object: bits 47:32.
    pub slot: u16,
    /// How many objects had this place before: bits 31:0.
    pub generation: u32,
}

impl Handle {
    pub fn bits(self) -> u64 {
        (self.kind as u64) << 56
            | u64::from(self.iommu) << 48
            | u64::from(self.slot) << 32
            | u64::from(self.generation)
    }

    /// `None` for what was never given out.
    pub fn from_bits(bits: u64) -> Option<Self> {
        Some(Handle {
            kind: *Kind::ALL.iter().find(|k| **k as u64 == bits >> 56)?,
            iommu: (bits >> 48) as u8,
            slot: (bits >> 32) as u16,
            generation: bits as u32,
        })
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Fills a place that owns nothing. An assignment would bring the code that drops what is there, and its stack.
fn fill<T>(place: &mut Option<T>, value: T) {
    core::mem::forget(place.replace(value));
}

/// Objects of one kind.
pub struct Table<T, const N: usize> {
    slots: [Slot<T>; N],
}

impl<T, const N: usize> Table<T, N> {
    pub const fn new() -> Self {
        Table {
            slots: [const {
                Slot {
                    generation: 0,
                    value: None,
                }
            }; N],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|s| s.value.is_none())
    }

    /// Takes all objects out for good.
    pub fn clear(&mut self) {
        (0..N as u16).for_each(|slot| self.discard(slot));
    }

    pub fn is_full(&self) -> bool {
        self.free().is_none()
    }

    /// A place for another object, and its generation.
    pub fn insert(&mut self, value: T) -> Option<(u16, u32)> {
        let place = self.free()?;
        self.put(place.0, value);
        Some(place)
    }

    /// The place that the next object gets, and its generation.
    pub fn free(&self) -> Option<(u16, u32)> {
        let at = self.slots.iter().position(|s| s.value.is_none())?;
        Some((at as u16, self.slots[at].generation))
    }

    /// Where the object is, if the handle's generation is its own.
    pub fn get(&mut self, slot: u16, generation: u32) -> Option<&mut T> {
        let slot = self.slots.get_mut(usize::from(slot))?;
        slot.value
            .as_mut()
            .filter(|_| slot.generation == generation)
    }

    /// The object in a place, whatever its generation.
    pub fn at(&mut self, slot: u16) -> Option<&mut T> {
        self.slots.get_mut(usize::from(slot))?.value.as_mut()
    }

    /// Whether there was such an object once.
    pub fn is_past(&self, slot: u16, generation: u32) -> bool {
        self.slots
            .get(usize::from(slot))
            .is_some_and(|s| generation < s.generation)
    }

    /// Takes an object out for a while: its handle stays good.
    pub fn lift(&mut self, slot: u16) -> Option<T> {
        self.slots.get_mut(usize::from(slot))?.value.take()
    }

    /// Puts back what was taken out, or what has become of it. What is there meanwhile, if anything, owns nothing.
    pub fn put(&mut self, slot: u16, value: T) {
        if let Some(slot) = self.slots.get_mut(usize::from(slot)) {
            fill(&mut slot.value, value);
        }
    }

    /// Drops an object where it is: its handle is refused from now on.
    pub fn discard(&mut self, slot: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(slot)) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.value = None;
        }
    }

    /// Takes an object out for good: its handle is refused from now on.
    pub fn remove(&mut self, slot: u16) -> Option<T> {
        let slot = self.slots.get_mut(usize::from(slot))?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.value.take()
    }

    /// Place and generation of the object that fits.
    pub fn find(&self, fits: impl Fn(&T) -> bool) -> Option<(u16, u32)> {
        let at = self
            .slots
            .iter()
            .position(|s| s.value.as_ref().is_some_and(&fits))?;
        Some((at as u16, self.slots[at].generation))
    }
}
