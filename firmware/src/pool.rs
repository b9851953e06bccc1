//! Frames of the driver itself: directory, tables, queues.
//!
//! They come from the platform in chunks, and every chunk is on record, so that a mapping which would hand one of them
//! to a device can be refused (R-45's reason: such a device could rewrite its own isolation).

use portcullis_regmap::PAGE_SIZE;

use crate::PhysAddr;
use crate::hw::{Fail, Hw};
use crate::platform::Platform;

/// Chunks on record. With full chunks of 64 frames this is 16 MiB of tables: 8 GiB mapped by 4 KiB pages.
const CHUNKS: usize = 64;

#[derive(Clone, Copy)]
struct Chunk {
    base: u64,
    frames: u64,
    /// Bit n: frame n is free. Whole allocations have none.
    free: u64,
    /// Taken as one piece by [`Pool::take`].
    whole: bool,
}

impl Chunk {
    fn all_free(&self) -> u64 {
        u64::MAX >> (64 - self.frames)
    }
}

/// The record of chunks.
pub(crate) struct Pool {
    chunks: [Option<Chunk>; CHUNKS],
    chunk_frames: u64,
    /// First address beyond what the IOMMU can address.
    limit: u64,
}

impl Pool {
    /// Without any memory until [`Pool::reach`] says where it may lie.
    #[inline(always)]
    pub(crate) fn new(chunk_frames: u32) -> Self {
        Pool {
            // A constant is copied to where it belongs, without a stop on the stack.
            chunks: const { [None; CHUNKS] },
            chunk_frames: u64::from(chunk_frames.clamp(1, 64)),
            limit: 0,
        }
    }

    /// How many bits of a physical address the IOMMU has.
    pub(crate) fn reach(&mut self, pas_bits: u32) {
        self.limit = 1u64.checked_shl(pas_bits).unwrap_or(u64::MAX);
    }

    /// Whether any byte of the range belongs to the driver.
    pub(crate) fn overlaps(&self, pa: PhysAddr, bytes: u64) -> bool {
        let end = pa.0.saturating_add(bytes);
        self.chunks
            .iter()
            .flatten()
            .any(|c| pa.0 < c.base + c.frames * PAGE_SIZE && c.base < end)
    }

    #[inline(never)]
    fn add<P: Platform>(
        &mut self,
        p: &mut P,
        bytes: u64,
        align: u64,
        whole: bool,
    ) -> Option<&mut Chunk> {
        let slot = self.chunks.iter_mut().find(|c| c.is_none())?;
        let (size, align) = (usize::try_from(bytes).ok()?, usize::try_from(align).ok()?);
        let pa = p.alloc(size, align)?;
        if pa.0.checked_add(bytes).is_none_or(|end| end > self.limit) {
            // SAFETY: just taken, and unused.
            unsafe { p.free(pa, size) };
            return None;
        }
        let frames = bytes / PAGE_SIZE;
        let chunk = slot.insert(Chunk {
            base: pa.0,
            frames,
            free: 0,
            whole,
        });
        if !whole {
            chunk.free = chunk.all_free();
        }
        Some(chunk)
    }

    /// Contiguous memory for good: a queue or the root of the directory.
    pub(crate) fn take<P: Platform>(
        &mut self,
        p: &mut P,
        bytes: u64,
        align: u64,
    ) -> Option<PhysAddr> {
        self.add(p, bytes, align, true).map(|c| PhysAddr(c.base))
    }

    /// One frame, content arbitrary.
    #[inline(never)]
    pub(crate) fn frame<P: Platform>(&mut self, p: &mut P) -> Option<PhysAddr> {
        if !self.chunks.iter().flatten().any(|c| c.free != 0) {
            let mut frames = self.chunk_frames;
            while self.add(p, frames * PAGE_SIZE, PAGE_SIZE, false).is_none() {
                if frames == 1 {
                    return None;
                }
                frames /= 2;
            }
        }
        let chunk = self.chunks.iter_mut().flatten().find(|c| c.free != 0)?;
        let index = u64::from(chunk.free.trailing_zeros());
        chunk.free &= chunk.free - 1;
        Some(PhysAddr(chunk.base + index * PAGE_SIZE))
    }

    /// Takes a frame back; the IOMMU must not be able to reach it any more. A chunk that is free as a whole goes back
    /// to the platform.
    #[inline(never)]
    pub(crate) fn free<P: Platform>(&mut self, p: &mut P, pa: PhysAddr) {
        for slot in &mut self.chunks {
            let Some(chunk) = slot else { continue };
            let Some(offset) = pa.0.checked_sub(chunk.base) else {
                continue;
            };
            let index = offset / PAGE_SIZE;
            if index >= chunk.frames || chunk.whole {
                continue;
            }
            chunk.free |= 1 << index;
            if chunk.free == chunk.all_free() {
                let (base, bytes) = (PhysAddr(chunk.base), (chunk.frames * PAGE_SIZE) as usize);
                *slot = None;
                // SAFETY: base and size are those of the allocation, and no frame of it is in use.
                unsafe { p.free(base, bytes) };
            }
            return;
        }
    }

    /// Gives everything back.
    ///
    /// # Safety
    /// The IOMMU reaches none of it: it is off, queues included.
    pub(crate) unsafe fn free_all<P: Platform>(&mut self, p: &mut P) {
        for slot in &mut self.chunks {
            if let Some(chunk) = slot.take() {
                // SAFETY: base and size are those of the allocation; unreachable by contract.
                unsafe { p.free(PhysAddr(chunk.base), (chunk.frames * PAGE_SIZE) as usize) };
            }
        }
    }
}

/// Marks a link, and is bit 1 so that the word is an invalid entry to a walker that still reads the page.
const LINK: u64 = 0b10;

/// Frames held aside, linked through their first doubleword: no storage besides. The links are invalid PTEs (V=0), so
/// a page may be put here while the IOMMU can still walk through it.
#[derive(Default)]
pub(crate) struct PageList {
    /// Link to the last page pushed; 0 if there is none.
    head: u64,
}

impl PageList {
    pub(crate) fn is_empty(&self) -> bool {
        self.head & LINK == 0
    }

    pub(crate) fn push<P: Platform>(&mut self, hw: &mut Hw<P>, pa: PhysAddr) -> Result<(), Fail> {
        hw.store_invalid(pa, self.head)?;
        self.head = pa.0 | LINK;
        Ok(())
    }

    /// Takes the last one pushed, its first doubleword zeroed.
    #[inline(never)]
    pub(crate) fn pop<P: Platform>(&mut self, hw: &mut Hw<P>) -> Result<Option<PhysAddr>, Fail> {
        if self.is_empty() {
            return Ok(None);
        }
        let pa = PhysAddr(self.head & !LINK);
        let link = hw.load(pa)?;
        hw.store_invalid(pa, 0)?;
        self.head = link;
        Ok(Some(pa))
    }

    /// Moves all of `other` here.
    #[inline(never)]
    pub(crate) fn append<P: Platform>(
        &mut self,
        hw: &mut Hw<P>,
        other: &mut PageList,
    ) -> Result<(), Fail> {
        while let Some(pa) = other.pop(hw)? {
            self.push(hw, pa)?;
        }
        Ok(())
    }
}
