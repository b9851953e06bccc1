//! What an unmap has taken out and the hardware may still have cached.

use portcullis_regmap::PAGE_SHIFT;
use portcullis_regmap::PAGE_SIZE;
use portcullis_regmap::command::Command;

use crate::Error;
use crate::hw::{Fail, Hw};
use crate::platform::Platform;
use crate::pool::PageList;
use crate::space::AddressSpace;

/// Ranges kept apart; more than that are invalidated as the whole address space.
const RANGES: usize = 8;
/// IOTINVAL commands per call; beyond that the whole address space is cheaper.
const COMMANDS: usize = 64;

/// Ranges of cleared leaves.
#[derive(Default)]
pub(crate) struct Ranges {
    items: [(u64, u64); RANGES],
    used: usize,
    /// There were more than fit.
    overflow: bool,
}

impl Ranges {
    pub(crate) fn add(&mut self, start: u64, bytes: u64) {
        if let Some(last) = self.items[..self.used]
            .last_mut()
            .filter(|last| last.0 + last.1 == start)
        {
            last.1 += bytes;
        } else if let Some(item) = self.items.get_mut(self.used) {
            *item = (start, bytes);
            self.used += 1;
        } else {
            self.overflow = true;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// One command per page, or per naturally aligned block if the hardware takes ranges.
    fn commands(&self, pscid: u32, blocks: bool) -> impl Iterator<Item = Command> + '_ {
        self.items[..self.used]
            .iter()
            .flat_map(move |&(start, bytes)| {
                let end = start + bytes;
                let mut at = start;
                core::iter::from_fn(move || {
                    if at >= end {
                        return None;
                    }
                    let widest = (end - at).ilog2().min(at.trailing_zeros());
                    let shift = if blocks { widest } else { PAGE_SHIFT };
                    let command = match shift {
                        PAGE_SHIFT => Command::iotinval_vma_page(pscid, at),
                        _ => Command::iotinval_vma_range(pscid, at, shift),
                    };
                    at += 1 << shift;
                    Some(command)
                })
            })
    }
}

/// Cleared leaves and unlinked tables, to be invalidated before anything of it is used again.
#[derive(Default)]
pub(crate) struct Gone {
    pub(crate) ranges: Ranges,
    pub(crate) tables: PageList,
}

impl Gone {
    /// Nothing was cleared and nothing unlinked. Unlinking a table without leaves counts: the walker may hold it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.tables.is_empty()
    }
}

impl<P: Platform> Hw<P> {
    /// Purges what is gone from the caches of these slots and waits until what was granted before has landed.
    pub(crate) fn invalidate(
        &mut self,
        gone: &Gone,
        pscids: impl Iterator<Item = u32>,
    ) -> Result<(), Fail> {
        let blocks = self.caps.s();
        // Invalidation by address need not reach cached non-leaf entries (INV-20), and these lead to the tables.
        let by_address = gone.tables.is_empty()
            && !gone.ranges.overflow
            && gone.ranges.commands(0, blocks).nth(COMMANDS).is_none();
        let commands = pscids.flat_map(|pscid| {
            let whole = (!by_address).then(|| Command::iotinval_vma_pscid(pscid));
            let pages = gone.ranges.commands(pscid, blocks);
            whole
                .into_iter()
                .chain(pages.take(if by_address { usize::MAX } else { 0 }))
        });
        self.run(commands.chain([Command::iofence(true, true)]))
    }
}

/// Unmapped ranges of one domain, invalidated together by [`Gather::sync`] or when dropped.
///
/// Until then devices may still reach the memory, and neither it nor the addresses may be used for anything else.
#[must_use = "dropping it waits for the hardware"]
pub struct Gather<'d, 'i, P: Platform, const DEVICES: usize> {
    domain: &'d AddressSpace<'i, P, DEVICES>,
    pub(crate) gone: Gone,
}

impl<'d, 'i, P: Platform, const DEVICES: usize> Gather<'d, 'i, P, DEVICES> {
    pub(crate) fn new(domain: &'d AddressSpace<'i, P, DEVICES>) -> Self {
        Gather {
            domain,
            gone: Gone::default(),
        }
    }

    /// Whether it was made for this domain.
    pub(crate) fn is_of(&self, domain: &AddressSpace<'i, P, DEVICES>) -> bool {
        core::ptr::eq(self.domain, domain)
    }

    /// Invalidates what was gathered. On return no device reaches it, and nothing granted before is still on the way.
    ///
    /// # Errors
    /// [`Error::Io`]: the hardware does not answer; devices may still reach the memory.
    pub fn sync(mut self) -> Result<(), Error> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), Error> {
        let mut gone = core::mem::take(&mut self.gone);
        self.domain
            .iommu
            .with(|i| i.invalidate(self.domain.table, &mut gone))
    }
}

impl<P: Platform, const DEVICES: usize> Drop for Gather<'_, '_, P, DEVICES> {
    fn drop(&mut self) {
        // A failure shows in the health of the IOMMU.
        let _ = self.finish();
    }
}

const _: () = assert!(PAGE_SIZE == 1 << PAGE_SHIFT);
