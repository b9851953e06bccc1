//! What the model has besides: buffers, domains for process ids, and second pages that are mapped and unmapped.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use portcullis::*;

use crate::common::*;
use crate::holders::{Guard, Holders, device};
use crate::table::{Group as Model, Kind, Mapping, Op, Place, Wish};

/// What domains map, and buffers do not: they lie below.
pub const PROBE: u64 = 0x7_0000;
/// The second page of a domain.
pub const SECOND: u64 = 0x7_1000;

pub type Domain<'i> = PagingDomain<'i, Machine>;

/// The driver's side: everything that holds something of the group.
pub struct Rig<'i> {
    pub holders: Holders<'i, Machine>,
    pub buffers: Vec<Kept<'i>>,
    pub processes: Vec<Attachment<'i>>,
    /// Colours of domains whose second page is mapped.
    pub second: BTreeSet<u64>,
    /// Numbers for buffers and attachments.
    pub made: u64,
    /// Buffers that came back since the last look: where they were mapped, and their addresses.
    pub freed: Vec<(u64, u64)>,
}

impl<'i> Deref for Rig<'i> {
    type Target = Holders<'i, Machine>;

    fn deref(&self) -> &Self::Target {
        &self.holders
    }
}

impl DerefMut for Rig<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.holders
    }
}

/// A buffer and what the table needs of it. Its address is its number, shifted.
pub struct Kept<'i> {
    pub state: Held<'i>,
    pub mapping: Mapping,
    pub iova: u64,
    pub pa: u64,
}

pub enum Held<'i> {
    Mapped(Mapped<'i, Machine, 16, Buffer>),
    Pending(Pending<'i, Machine, 16, Buffer>),
}

/// A domain attached for a process id, or one whose group was released meanwhile.
pub struct Attachment<'i> {
    pub id: u64,
    pub guard: PasidGuard<'i, Machine, 16, Domain<'i>>,
    pub place: Place,
}

pub fn colour(place: Place) -> u64 {
    match place {
        Place::User { colour, .. } => colour,
        _ => 0,
    }
}

/// A direct region, away from what domains and buffers use.
pub const REGION: u64 = 0x9_0000;

const DIRECT: &[DeviceRegion] = &[DeviceRegion {
    start: REGION,
    bytes: 0x1000,
    kind: RegionKind::Direct(Perm::READ),
}];
const RESERVED: &[DeviceRegion] = &[DeviceRegion {
    start: SECOND,
    bytes: 0x1000,
    kind: RegionKind::Reserved,
}];

/// A device that asks for something.
pub fn info(n: usize, wish: Wish) -> DeviceInfo {
    let mut info = DeviceInfo {
        process_ids: true,
        ..device(n).into()
    };
    match wish {
        Wish::Nothing => {}
        Wish::Direct => info.regions = DIRECT,
        Wish::Reserved => info.regions = RESERVED,
        Wish::Dma => info.policy = Policy::Dma,
        Wish::Identity => info.policy = Policy::Identity(identity()),
        Wish::Untrusted => info.untrusted = true,
        Wish::UntrustedIdentity => {
            (info.untrusted, info.policy) = (true, Policy::Identity(identity()));
        }
    }
    info
}

impl<'i> Rig<'i> {
    /// Makes the call; `None` if the types leave no way to write it.
    pub fn call(&mut self, op: Op, model: &Model) -> Option<Result<(), Error>> {
        match op {
            Op::DmaMap
            | Op::DmaUnmap(_)
            | Op::DmaUnmapLater(_)
            | Op::DmaTake(_)
            | Op::DmaWait(_) => self.dma(op, model),
            Op::Map(place, _)
            | Op::Unmap(place, _)
            | Op::UnmapDeferred(place, _)
            | Op::Flush(place) => Some(self.edit(op, place)),
            Op::AttachPasid(pasid, id, place) => self.attach_pasid(Pasid(pasid), id, place),
            Op::ReplacePasid(id, place) => self.replace_pasid(id, place),
            Op::DetachPasid(id) => {
                let at = self.processes.iter().position(|p| p.id == id)?;
                let Attachment { guard, place, .. } = self.processes.swap_remove(at);
                self.spare.push((guard.detach(), place));
                Some(Ok(()))
            }
            Op::Release => {
                if let Guard::Attached(_) = self.guard {
                    // Made anew, since dropping the guard frees it.
                    let colour = colour(self.held);
                    self.second.remove(&colour);
                }
                self.holders.call(op)
            }
            _ => self.holders.call(op),
        }
    }

    fn dma(&mut self, op: Op, model: &Model) -> Option<Result<(), Error>> {
        let mapping = match op {
            Op::DmaMap => {
                self.made += 1;
                let pa = self.made << 32;
                let result = self
                    .users
                    .last()?
                    .map(buffer(pa, 0x1000).0, Direction::Both);
                return Some(match result {
                    Ok(mapped) => {
                        assert!(mapped.iova().0 < PROBE || mapped.iova().0 == pa);
                        self.buffers.push(Kept {
                            iova: mapped.iova().0,
                            state: Held::Mapped(mapped),
                            mapping: Mapping {
                                serial: (model.default.place() == Place::Empty)
                                    .then_some(model.serial),
                                stamp: None,
                            },
                            pa,
                        });
                        Ok(())
                    }
                    Err((_, error)) => Err(error),
                });
            }
            Op::DmaUnmap(mapping)
            | Op::DmaUnmapLater(mapping)
            | Op::DmaTake(mapping)
            | Op::DmaWait(mapping) => mapping,
            _ => return None,
        };
        let fits = |kept: &Kept<'_>| {
            let later = matches!(kept.state, Held::Pending(_));
            kept.mapping == mapping && later == matches!(op, Op::DmaTake(_) | Op::DmaWait(_))
        };
        let at = self.buffers.iter().position(fits)?;
        let mut kept = self.buffers.swap_remove(at);
        let result = match (op, kept.state) {
            (Op::DmaUnmap(_), Held::Mapped(mapped)) => mapped.unmap().map_err(|(_, e)| e),
            (Op::DmaUnmapLater(_), Held::Mapped(mapped)) => {
                let pending = match mapped.unmap_later() {
                    Ok(pending) => pending,
                    Err((_, error)) => return Some(Err(error)),
                };
                // A flush that makes room comes first.
                let queued = model.default == Kind::DmaFq && model.finds(mapping).0;
                let full = queued && model.pending >= crate::table::QUEUE;
                kept.mapping.stamp = queued.then_some(model.purges + u64::from(full));
                kept.state = Held::Pending(pending);
                self.buffers.push(kept);
                return Some(Ok(()));
            }
            (Op::DmaTake(_), Held::Pending(pending)) => match pending.take() {
                Ok(buffer) => Ok(buffer),
                Err(pending) => {
                    kept.state = Held::Pending(pending);
                    self.buffers.push(kept);
                    return Some(Err(Error::Busy));
                }
            },
            (Op::DmaWait(_), Held::Pending(pending)) => pending.wait().map_err(|(_, e)| e),
            _ => return None,
        };
        // Whoever has the buffer again may write it: no device reaches it.
        self.freed.push((kept.iova, kept.pa));
        Some(result.map(drop))
    }

    fn space(&self, place: Place) -> &Domain<'i> {
        if let Some((domain, _)) = self.spare.iter().find(|(_, p)| *p == place) {
            return domain;
        }
        if let Some(process) = self.processes.iter().find(|p| p.place == place) {
            return process.guard.domain();
        }
        match (&self.managed, &self.guard) {
            (Some(managed), _) => managed.domain(),
            (None, Guard::Attached(guard)) => guard.domain(),
            _ => panic!("{place:?} is nowhere"),
        }
    }

    fn edit(&mut self, op: Op, place: Place) -> Result<(), Error> {
        let (colour, iova) = (colour(place), Iova(SECOND));
        let domain = self.space(place);
        let (result, mapped) = match op {
            Op::Map(..) => {
                let result = map(domain, SECOND, colour + 0x1000, 0x1000, Perm::READ);
                (result, true)
            }
            Op::Unmap(..) => (domain.unmap(iova, 0x1000).map(drop), false),
            Op::UnmapDeferred(..) => (domain.unmap_deferred(iova, 0x1000).map(drop), false),
            _ => return domain.flush(),
        };
        match (&result, mapped) {
            (Ok(()), true) => self.second.insert(colour),
            (Ok(()), false) => self.second.remove(&colour),
            (Err(_), _) => false,
        };
        result
    }

    fn attach_pasid(&mut self, pasid: Pasid, id: u64, place: Place) -> Option<Result<(), Error>> {
        let right =
            self.managed.is_some() || !self.users.is_empty() || !matches!(self.guard, Guard::None);
        if !right {
            return None;
        }
        let target = self.fetch(place);
        let result = match (&self.managed, self.users.last(), &self.guard) {
            (Some(managed), ..) => managed.attach_pasid(pasid, target),
            (None, Some(user), _) => user.attach_pasid(pasid, target),
            (None, None, Guard::Blocked(guard)) => guard.attach_pasid(pasid, target),
            (None, None, Guard::Attached(guard)) => guard.attach_pasid(pasid, target),
            (None, None, Guard::None) => return None,
        };
        Some(match result {
            Ok(guard) => {
                self.processes.push(Attachment { id, guard, place });
                Ok(())
            }
            Err(refused) => Err(self.refused(refused, place).1),
        })
    }

    fn replace_pasid(&mut self, id: u64, place: Place) -> Option<Result<(), Error>> {
        let at = self.processes.iter().position(|p| p.id == id)?;
        let target = self.fetch(place);
        let Attachment {
            guard, place: held, ..
        } = self.processes.swap_remove(at);
        let (guard, place, answer) = match guard.replace(target) {
            Ok((guard, old)) => {
                self.spare.push((old, held));
                (guard, place, Ok(()))
            }
            Err(refused) => {
                let (guard, error) = self.refused(refused, place);
                (guard, held, Err(error))
            }
        };
        self.processes.push(Attachment { id, guard, place });
        Some(answer)
    }

    /// Guards of a group that has vanished answer `ENODEV`; then they go.
    pub fn bury(&mut self) {
        if let Some(user) = self.users.last() {
            let (_, error) = user
                .map(buffer(1 << 62, 0x1000).0, Direction::Both)
                .expect_err("gone");
            assert_eq!(error, Error::NoDevice);
        }
        self.holders.bury();
        for Attachment { guard, place, .. } in std::mem::take(&mut self.processes) {
            let target = self.spare.pop().expect("spare");
            let refused = guard.replace(target.0).expect_err("gone");
            assert_eq!(refused.error, Error::NoDevice);
            self.spare.push((refused.target, target.1));
            self.spare.push((refused.guard.detach(), place));
        }
    }
}

pub fn domain(iommu: &Iommu<Machine>, place: Place) -> Domain<'_> {
    let deep = matches!(place, Place::User { deep: true, .. });
    let mode = if deep { Mode::Sv48 } else { Mode::Sv39 };
    let domain = iommu.paging_domain(DomainConfig { mode }).unwrap();
    map(&domain, PROBE, colour(place), 0x1000, Perm::READ).unwrap();
    domain
}

pub fn unfit(stranger: &Iommu<Machine>) -> Domain<'_> {
    stranger.paging_domain(DomainConfig::default()).unwrap()
}
