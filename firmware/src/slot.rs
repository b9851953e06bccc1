//! Changes of one slot of a group with a process directory, by BLOCK, PUB, SWAP or SLOW as in `context.rs`: the process
//! context alone while other slots are attached, the device contexts with it if none is.

use portcullis_regmap::command::Command;
use portcullis_regmap::pdt::pc;

use crate::context::{select, selected};
use crate::hw::{Fail, Hw};
use crate::iommu::Inner;
use crate::pdt::valid;
use crate::platform::{Barrier, Change, Event, Path, Platform};
use crate::process::Process;
use crate::types::{GroupId, Pasid};
use crate::{Error, PhysAddr};

/// A slot of a group with a directory, as one change needs it.
struct Slot {
    group: GroupId,
    pasid: u32,
    pscid: u32,
    /// Its process context.
    at: PhysAddr,
    /// Other slots are attached: they keep the device contexts valid.
    others: bool,
    /// Where it leads, and where it shall lead.
    old: Option<u64>,
    new: Option<u64>,
}

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// As [`Inner::set`] for the slot of one process id; the caller knows that `old` and `new` differ. Other slots keep
    /// the device contexts valid if any of them is attached.
    #[inline(never)]
    pub(crate) fn set_process(
        &mut self,
        id: GroupId,
        pasid: u32,
        pscid: u32,
        old: Option<u64>,
        new: Option<u64>,
    ) -> Result<(), Error> {
        let mut slot = Slot {
            group: id,
            pasid,
            pscid,
            at: PhysAddr(0),
            others: false,
            old,
            new,
        };
        self.find_slot(&mut slot)?;
        let waited = self.hw.stats.fence_wait_us;
        let path = self.bring_process(&slot)?;
        self.process_changed(&slot, path, waited);
        Ok(())
    }

    /// Where it is, and whether it has others beside it.
    #[inline(never)]
    fn find_slot(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let id = slot.group;
        let root = self.directory(id).ok_or(Error::NotSupported)?;
        slot.at = self.hw.process_context(root, slot.pasid)?;
        slot.others = if slot.pasid == 0 {
            self.has_processes(id)
        } else {
            let other = |p: &Process| p.group == id && p.pasid != slot.pasid;
            !self.is_blocked(id) || self.processes.iter().flatten().any(other)
        };
        Ok(())
    }

    #[inline(never)]
    fn bring_process(&mut self, slot: &Slot) -> Result<Path, Error> {
        if let (Some(from), Some(to)) = (slot.old, slot.new)
            && Hw::<P>::swappable(from, to).is_ok()
        {
            let result = self.swap_process(slot, from, to);
            return self.settle_slot(slot, result).map(|()| Path::Swap);
        }
        if slot.old.is_some() {
            self.block_process(slot)?;
        }
        if let Some(fsc) = slot.new {
            self.publish_process(slot, fsc)?;
        }
        Ok(match (slot.old, slot.new) {
            (_, None) => Path::Block,
            (None, Some(_)) => Path::Publish,
            (Some(_), Some(_)) => Path::Slow,
        })
    }

    #[inline(never)]
    fn process_changed(&mut self, slot: &Slot, path: Path, waited: u64) {
        let wait_us = self.hw.stats.fence_wait_us - waited;
        self.hw.p.event(Event::Changed(Change {
            group: slot.group,
            device: None,
            pasid: Pasid(slot.pasid),
            old: slot.old,
            new: slot.new,
            path,
            wait_us,
        }));
    }

    /// After a SYNC, also one that was lost and made good by a reset of the queue.
    #[inline(never)]
    fn settle_slot(&mut self, slot: &Slot, result: Result<(), Fail>) -> Result<(), Error> {
        let result = self.hw.settle(result);
        if slot.pasid == 0 {
            self.purged(slot.group);
        }
        result
    }

    /// SWAP of one slot.
    #[inline(never)]
    fn swap_process(&mut self, slot: &Slot, from: u64, to: u64) -> Result<(), Fail> {
        let fsc = PhysAddr(slot.at.0 + pc::FSC);
        self.hw.barrier(Barrier::MemToMem);
        self.hw.store_live(fsc, from, to)?;
        self.hw.publish(fsc, 8)?;
        self.sync_slot(slot)
    }

    /// BLOCK of one slot: its process context, or the device contexts if nothing else is attached.
    #[inline(always)]
    fn block_process(&mut self, slot: &Slot) -> Result<(), Error> {
        let result = if slot.others {
            self.invalidate_process(slot)
        } else {
            self.edit_contexts(slot.group, |hw, at| hw.clear_valid(at, 0))
                .and_then(|()| self.sync_contexts(slot.group, None))
        };
        self.settle_slot(slot, result)?;
        let result = self.hw.idle_process(slot.at);
        self.hw.settle(result)
    }

    // Without a frame of its own: it lies deepest in the deepest calls.
    #[inline(always)]
    fn invalidate_process(&mut self, slot: &Slot) -> Result<(), Fail> {
        self.hw.clear_valid(slot.at, 0)?;
        self.hw.publish(slot.at, 8)?;
        self.sync_slot(slot)
    }

    /// PUB of one slot; with the device contexts if nothing else is attached.
    #[inline(never)]
    fn publish_process(&mut self, slot: &Slot, fsc: u64) -> Result<(), Error> {
        let result = self.write_process(slot, fsc);
        self.settle_slot(slot, result)?;
        let result = self.validate_process(slot);
        self.hw.settle(result)
    }

    #[inline(never)]
    fn write_process(&mut self, slot: &Slot, fsc: u64) -> Result<(), Fail> {
        self.hw.store(PhysAddr(slot.at.0 + pc::FSC), fsc)?;
        self.hw.publish(slot.at, pc::BYTES)?;
        if slot.others {
            self.sync_slot(slot)
        } else {
            self.sync_contexts(slot.group, None)
        }
    }

    #[inline(never)]
    fn validate_process(&mut self, slot: &Slot) -> Result<(), Fail> {
        self.hw.store(slot.at, valid(slot.pscid))?;
        self.hw.publish(slot.at, 8)?;
        if !slot.others {
            self.hw.barrier(Barrier::MemToMem);
            let tc = Self::directory_tc().into_bits();
            self.edit_contexts(slot.group, |hw, at| hw.store(at, tc))?;
        }
        self.hw.barrier(Barrier::MemToReg);
        Ok(())
    }

    #[inline(never)]
    fn edit_contexts(
        &mut self,
        id: GroupId,
        mut edit: impl FnMut(&mut Hw<P>, PhysAddr) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        let Inner { hw, devices, .. } = self;
        for device in select(devices, id, None) {
            edit(hw, device.context)?;
            hw.publish(device.context, 8)?;
        }
        hw.barrier(Barrier::MemToMem);
        Ok(())
    }

    /// SYNC for one process context.
    #[inline(never)]
    fn sync_slot(&mut self, slot: &Slot) -> Result<(), Fail> {
        self.hw.barrier(Barrier::MemToMem);
        for n in 0..DEVICES {
            let device = self.devices[n].as_ref();
            if let Some(device) = device.filter(|d| selected(d, slot.group, None)) {
                self.hw.push(Command::inval_pdt(device.id.0, slot.pasid))?;
            }
        }
        self.hw.push(Command::iofence(false, false))?;
        self.hw.push(Command::iotinval_vma_pscid(slot.pscid))?;
        self.hw.finish()
    }
}
