//! Process directories in memory: where a process context lies, what an idle one holds, and how a group's directory
//! is made and given back.

use portcullis_regmap::ddt::{NonLeaf, Pdtp, Tc, pdtp_mode};
use portcullis_regmap::pdt::{PcTa, pc, pdi};
use portcullis_regmap::regs::Capabilities;
use portcullis_regmap::{PAGE_SHIFT, PAGE_SIZE};

use crate::group::GroupState;
use crate::hw::{Fail, Hw};
use crate::iommu::Inner;
use crate::platform::{Barrier, Platform};
use crate::types::GroupId;
use crate::{Error, PhysAddr};

/// Process-id bits of the widest directory the hardware has; 0 without any.
pub(crate) fn bits(caps: Capabilities) -> u32 {
    match (caps.pd20(), caps.pd17(), caps.pd8()) {
        (true, ..) => 20,
        (_, true, _) => 17,
        (_, _, true) => 8,
        _ => 0,
    }
}

/// Levels of that directory, and its mode.
fn shape(caps: Capabilities) -> (u8, u8) {
    match bits(caps) {
        20 => (3, pdtp_mode::PD20),
        17 => (2, pdtp_mode::PD17),
        _ => (1, pdtp_mode::PD8),
    }
}

pub(crate) fn valid(pscid: u32) -> u64 {
    PcTa::new().with_v(true).with_pscid(pscid).into_bits()
}

impl<P: Platform> Hw<P> {
    /// `fsc` of contexts that lead to a process directory.
    pub(crate) fn pdtp(&self, root: PhysAddr) -> u64 {
        Pdtp::new()
            .with_ppn(root.0 >> PAGE_SHIFT)
            .with_mode(shape(self.caps).1)
            .into_bits()
    }

    /// A page of process contexts or of links to them, filled, published.
    #[inline(never)]
    fn directory_page(&mut self, level: u8) -> Result<PhysAddr, Error> {
        let page = self.zeroed_frame()?;
        let (fsc, mut result) = (self.empty_fsc(), Ok(()));
        if level == 0 {
            for context in (0..PAGE_SIZE).step_by(pc::BYTES as usize) {
                result =
                    result.and_then(|()| self.store(PhysAddr(page.0 + context + pc::FSC), fsc));
            }
        }
        if let Err(fail) = result.and_then(|()| self.publish(page, PAGE_SIZE)) {
            self.free_frame(page);
            return Err(fail.into());
        }
        self.barrier(Barrier::MemToMem);
        Ok(page)
    }

    /// Place of a process context, with level 0, or the level of the first link that is missing on the way, and its place.
    #[inline(never)]
    fn process_entry(&mut self, root: PhysAddr, pasid: u32) -> Result<(u8, PhysAddr), Fail> {
        let mut table = root;
        for level in (1..shape(self.caps).0).rev() {
            let at = PhysAddr(table.0 + u64::from(pdi(pasid, level)) * 8);
            let link = NonLeaf::from_bits(self.load(at)?);
            if !link.v() {
                return Ok((level, at));
            }
            table = PhysAddr(link.ppn() << PAGE_SHIFT);
        }
        let context = u64::from(pdi(pasid, 0)) * pc::BYTES;
        Ok((0, PhysAddr(table.0 + context)))
    }

    /// Place of a process context that is there.
    pub(crate) fn process_context(
        &mut self,
        root: PhysAddr,
        pasid: u32,
    ) -> Result<PhysAddr, Error> {
        match self.process_entry(root, pasid)? {
            (0, at) => Ok(at),
            _ => Err(Error::NotFound),
        }
    }

    /// Place of a process context; pages on the way are added, which moves no other context (PDT-06).
    #[inline(never)]
    pub(crate) fn add_process_context(
        &mut self,
        root: PhysAddr,
        pasid: u32,
    ) -> Result<PhysAddr, Error> {
        loop {
            match self.process_entry(root, pasid)? {
                (0, at) => return Ok(at),
                (level, at) => self.link_directory_page(level - 1, at)?,
            }
        }
    }

    #[inline(never)]
    fn link_directory_page(&mut self, level: u8, at: PhysAddr) -> Result<(), Error> {
        let page = self.directory_page(level)?;
        let link = NonLeaf::new()
            .with_v(true)
            .with_ppn(page.0 >> PAGE_SHIFT)
            .into_bits();
        let result = self.link(page, at, link);
        // The store may have happened although it failed: then the page must stay what it is.
        self.settle(result)
    }

    /// An idle process context, as [`Hw::idle_context`].
    #[inline(never)]
    pub(crate) fn idle_process(&mut self, at: PhysAddr) -> Result<(), Fail> {
        let empty = self.empty_fsc();
        self.clear_valid(at, 0)?;
        self.store(PhysAddr(at.0 + pc::FSC), empty)?;
        self.publish(at, pc::BYTES)
    }

    /// Takes V from every process context of a directory, while translation is off.
    pub(crate) fn clear_processes(&mut self, root: PhysAddr) -> Result<(), Fail> {
        self.clear_directory(root, shape(self.caps).0, pc::BYTES)
    }

    /// Gives the pages of a directory of devices or processes back that nothing leads to.
    #[inline(never)]
    pub(crate) fn free_directory(&mut self, root: PhysAddr, levels: u8) {
        let links = |hw: &mut Self, page: PhysAddr, n: u64| {
            let link = hw.load(PhysAddr(page.0 + n * 8)).map(NonLeaf::from_bits);
            let link = link.ok().filter(|link| link.v());
            link.map(|link| PhysAddr(link.ppn() << PAGE_SHIFT))
        };
        for n in 0..if levels > 1 { PAGE_SIZE / 8 } else { 0 } {
            let Some(middle) = links(self, root, n) else {
                continue;
            };
            for m in 0..if levels > 2 { PAGE_SIZE / 8 } else { 0 } {
                if let Some(leaf) = links(self, middle, m) {
                    self.free_frame(leaf);
                }
            }
            self.free_frame(middle);
        }
        self.free_frame(root);
    }
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    pub(crate) fn directory(&self, id: GroupId) -> Option<PhysAddr> {
        self.directories
            .get(usize::from(id.slot))
            .copied()
            .flatten()
    }

    /// A directory for a new group, with the context of process id 0, so that attaching there never allocates.
    #[inline(never)]
    pub(crate) fn add_process_directory(&mut self, id: GroupId) -> Result<(), Error> {
        if bits(self.hw.caps) == 0 {
            return Ok(());
        }
        let root = self.hw.directory_page(shape(self.hw.caps).0 - 1)?;
        if let Err(error) = self.hw.add_process_context(root, 0) {
            self.hw.free_directory(root, shape(self.hw.caps).0);
            return Err(error);
        }
        self.directories[usize::from(id.slot)] = Some(root);
        Ok(())
    }

    /// With the group; nothing leads there any more.
    #[inline(never)]
    pub(crate) fn remove_process_directory(&mut self, id: GroupId) {
        for process in &mut self.processes {
            if process.is_some_and(|p| p.group == id) {
                *process = None;
            }
        }
        let root = self.directories.get_mut(usize::from(id.slot));
        if let Some(root) = root.and_then(Option::take)
            && !self.hw.wedged()
        {
            self.hw.free_directory(root, shape(self.hw.caps).0);
        }
    }

    /// `tc` of contexts that lead to a directory.
    pub(crate) fn directory_tc() -> Tc {
        Tc::new().with_v(true).with_pdtv(true).with_dpe(true)
    }

    /// Process contexts of a group as the state on record wants them, while translation is off.
    #[inline(never)]
    pub(crate) fn rewrite_processes(&mut self, id: GroupId) -> Result<(), Fail> {
        let Some(root) = self.directory(id) else {
            return Ok(());
        };
        let own = self.state(id).and_then(GroupState::fsc);
        self.rewrite_process(root, 0, Self::pscid(id), own)?;
        for slot in 0..DEVICES {
            if let Some(process) = self.processes[slot].filter(|p| p.group == id) {
                let pscid = Self::process_pscid(slot);
                self.rewrite_process(root, process.pasid, pscid, Some(process.fsc))?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn rewrite_process(
        &mut self,
        root: PhysAddr,
        pasid: u32,
        pscid: u32,
        fsc: Option<u64>,
    ) -> Result<(), Fail> {
        let at = self.hw.process_context(root, pasid);
        let at = at.map_err(|_| Fail::Platform)?;
        self.hw.idle_process(at)?;
        if let Some(fsc) = fsc {
            self.hw.store(PhysAddr(at.0 + pc::FSC), fsc)?;
            self.hw.store(at, valid(pscid))?;
            self.hw.publish(at, pc::BYTES)?;
        }
        Ok(())
    }
}
