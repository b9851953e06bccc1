//! What a group's default domain must be, and the addresses its devices have reserved.

use portcullis_regmap::PAGE_SIZE;

use crate::group::{Current, DefaultDomain};
use crate::iommu::Inner;
use crate::platform::Platform;
use crate::table::{Request, Table};
use crate::types::{DefaultDomainType, DeviceInfo, DeviceRegion, GroupId, Policy};
use crate::{Error, Perm, PhysAddr};

impl<P: Platform, const DEVICES: usize> Inner<P, DEVICES> {
    /// Type of the default domain of a group that begins with this device.
    #[inline(never)]
    pub(crate) fn first_type(&self, info: &DeviceInfo) -> Result<DefaultDomainType, Error> {
        let general = self.hw.config.default_domain;
        let kind = match (info.untrusted, info.policy) {
            (true, Policy::Identity(_)) => return Err(Error::Invalid),
            (true, _) => DefaultDomainType::Dma,
            (false, Policy::Identity(token)) => DefaultDomainType::Identity(token),
            (false, Policy::Dma) if !is_paging(general) => DefaultDomainType::Auto,
            (false, Policy::Dma | Policy::Any) => general,
        };
        let direct = info.regions.iter().any(DeviceRegion::must_stay);
        if direct && matches!(kind, DefaultDomainType::Blocked) {
            return Err(Error::Invalid);
        }
        Ok(self.resolve(kind, info.untrusted))
    }

    fn resolve(&self, kind: DefaultDomainType, untrusted: bool) -> DefaultDomainType {
        match kind {
            DefaultDomainType::Auto if self.hw.config.deferred_flush && !untrusted => {
                DefaultDomainType::DmaFq
            }
            DefaultDomainType::Auto => DefaultDomainType::Dma,
            other => other,
        }
    }

    /// Whether a device asks for another default domain than those that its group has by now.
    pub(crate) fn conflicts(&self, id: GroupId, info: &DeviceInfo) -> bool {
        let of = |p: fn(&Policy) -> bool| self.devices_of(id).any(|d| p(&d.policy));
        match info.policy {
            Policy::Identity(_) => of(is_dma),
            Policy::Dma => of(is_identity),
            Policy::Any => false,
        }
    }

    /// Type that the default domain of a group must change to for one more device, or why it cannot join.
    #[inline(never)]
    pub(crate) fn needed_type(
        &mut self,
        id: GroupId,
        info: &DeviceInfo,
    ) -> Result<Option<DefaultDomainType>, Error> {
        let state = self.state(id).ok_or(Error::NotFound)?;
        let (default, current, idle) = (state.default, state.current, state.users == 0);
        let must_stay = info.regions.iter().any(DeviceRegion::must_stay);
        match current {
            Current::Blocked if must_stay => return Err(Error::Invalid),
            Current::User(fsc) => {
                let owned = state.owner.is_some();
                self.check_user(fsc, info.regions, owned)?;
            }
            Current::Blocked | Current::Default => {}
        }
        for slot in 0..DEVICES {
            if let Some(process) = self.processes[slot].filter(|p| p.group == id) {
                self.check_user(process.fsc, info.regions, false)?;
            }
        }
        let untrusted = info.untrusted || self.devices_of(id).any(|d| d.untrusted);
        let identity = self.devices_of(id).any(|d| is_identity(&d.policy));
        let boot = self.devices_of(id).any(|d| d.standing.has_boot());
        if untrusted && (identity || boot || is_identity(&info.policy)) {
            return Err(Error::Invalid);
        }
        let wanted = match info.policy {
            Policy::Identity(token) if default != DefaultDomain::Identity => {
                Some(DefaultDomainType::Identity(token))
            }
            Policy::Dma if default.table().is_none() && !identity => Some(DefaultDomainType::Auto),
            _ if untrusted && default == DefaultDomain::Identity => Some(DefaultDomainType::Dma),
            _ => None,
        };
        match wanted {
            Some(_) if !idle => Err(Error::Busy),
            None if must_stay && default == DefaultDomain::Blocked => Err(Error::Invalid),
            wanted => Ok(wanted.map(|kind| self.resolve(kind, untrusted))),
        }
    }

    /// Whether no device of a group minds a type of default domain.
    #[inline(never)]
    fn allowed(&self, id: GroupId, kind: DefaultDomainType) -> Result<(), Error> {
        let any_identity = self.devices_of(id).any(|d| is_identity(&d.policy));
        let minds = self.devices_of(id).any(|d| match kind {
            DefaultDomainType::Identity(_) => d.untrusted || is_dma(&d.policy) && !any_identity,
            DefaultDomainType::Blocked => {
                d.policy != Policy::Any || d.regions.iter().any(DeviceRegion::must_stay)
            }
            DefaultDomainType::Dma | DefaultDomainType::DmaFq | DefaultDomainType::Auto => {
                any_identity
            }
        });
        if minds { Err(Error::Invalid) } else { Ok(()) }
    }

    #[inline(never)]
    pub(crate) fn set_type(&mut self, id: GroupId, kind: DefaultDomainType) -> Result<(), Error> {
        self.hw.usable()?;
        if !self.has_devices(id) {
            return Err(Error::Invalid);
        }
        let untrusted = self.devices_of(id).any(|d| d.untrusted);
        let kind = self.resolve(kind, untrusted);
        let state = self.state_mut(id)?;
        let old = state.default;
        if let (DefaultDomain::Dma { root, queued }, DefaultDomainType::DmaFq) = (old, kind)
            && !queued
        {
            let queued = true;
            state.default = DefaultDomain::Dma { root, queued };
            return Ok(());
        }
        if state.owner.is_some() || state.users > 0 {
            return Err(Error::NotPermitted);
        }
        self.allowed(id, kind)?;
        if old.is(kind) {
            return Ok(());
        }
        if let (DefaultDomain::Dma { root, .. }, DefaultDomainType::Dma) = (old, kind) {
            self.flush(id)?;
            let queued = false;
            self.state_mut(id)?.default = DefaultDomain::Dma { root, queued };
            return Ok(());
        }
        self.exchange_default(id, kind, &[])
    }

    // Regions.

    pub(crate) fn regions(&self, id: GroupId) -> impl Iterator<Item = &'static DeviceRegion> + '_ {
        self.devices_of(id).flat_map(|d| d.regions)
    }

    pub(crate) fn check_regions(regions: &[DeviceRegion]) -> Result<(), Error> {
        let whole = |r: &DeviceRegion| {
            r.bytes > 0
                && (r.start | r.bytes).is_multiple_of(PAGE_SIZE)
                && r.start.checked_add(r.bytes).is_some()
        };
        if regions.len() <= u64::BITS as usize && regions.iter().all(whole) {
            Ok(())
        } else {
            Err(Error::Invalid)
        }
    }

    /// Whether a group's devices may be led to a domain of somebody: nothing is mapped where they must not see it.
    #[inline(never)]
    pub(crate) fn regions_allow(&mut self, id: GroupId, fsc: u64) -> Result<(), Error> {
        for slot in 0..DEVICES {
            let regions = match &self.devices[slot] {
                Some(device) if device.group == id => device.regions,
                _ => continue,
            };
            self.check_user(fsc, regions, false)?;
        }
        Ok(())
    }

    /// `complete`: what must stay mapped has to be.
    #[inline(never)]
    fn check_user(
        &mut self,
        fsc: u64,
        regions: &[DeviceRegion],
        complete: bool,
    ) -> Result<(), Error> {
        let Some(table) = Table::of(fsc) else {
            return Ok(());
        };
        for region in regions {
            let fits = match region.direct() {
                None => self
                    .hw
                    .occupied(table, region.start, region.end())?
                    .is_none(),
                Some(perm) if complete && region.must_stay() => {
                    self.hw.is_direct(table, region, perm)?
                }
                Some(_) => true,
            };
            if !fits {
                return Err(Error::Invalid);
            }
        }
        Ok(())
    }

    /// Maps the direct regions of a device that joins, before its context leads there.
    #[inline(never)]
    pub(crate) fn map_direct(
        &mut self,
        id: GroupId,
        regions: &[DeviceRegion],
    ) -> Result<(), Error> {
        if regions.is_empty() {
            return Ok(());
        }
        let state = self.state(id).ok_or(Error::NoDevice)?;
        let Some(table) = state.default.table() else {
            return Ok(());
        };
        // Addresses whose unmap is not flushed yet may still lead elsewhere.
        self.flush(id)?;
        self.map_regions(id, table, regions)
    }

    /// Maps those of all devices of a group, and of one that joins, into a table that nothing leads to yet. If that
    /// fails, the table is of no use, and goes as a whole.
    #[inline(never)]
    pub(crate) fn map_direct_of_group(
        &mut self,
        table: Table,
        id: GroupId,
        joining: &[DeviceRegion],
    ) -> Result<(), Error> {
        for slot in 0..=DEVICES {
            let regions = match self.devices.get(slot) {
                None => joining,
                Some(Some(device)) if device.group == id => device.regions,
                Some(_) => continue,
            };
            for region in regions {
                self.map_region(table, region)?;
            }
        }
        Ok(())
    }

    /// All of these regions, or none. What is mapped as a region wants it already stays so.
    fn map_regions(
        &mut self,
        id: GroupId,
        table: Table,
        regions: &[DeviceRegion],
    ) -> Result<(), Error> {
        let mut mapped = 0u64;
        for (n, region) in regions.iter().enumerate() {
            match self.map_region(table, region) {
                Ok(new) => mapped |= u64::from(new) << n,
                Err(error) => {
                    self.unmap_regions(id, table, regions, mapped)?;
                    return Err(error);
                }
            }
        }
        let told = self.notify_regions(id, mapped);
        if told.is_err() {
            // The hardware has failed already.
            let _ = self.unmap_regions(id, table, regions, mapped);
        }
        told
    }

    /// Those with a bit in `which`. Tables stay in the domain, for what is mapped there next.
    #[cold]
    #[inline(never)]
    fn unmap_regions(
        &mut self,
        id: GroupId,
        table: Table,
        regions: &[DeviceRegion],
        which: u64,
    ) -> Result<(), Error> {
        for (_, region) in (0..).zip(regions).filter(|(n, _)| which >> n & 1 != 0) {
            let result = self.hw.erase_range(table, region.start, region.bytes);
            self.hw.settle(result)?;
        }
        match which {
            0 => Ok(()),
            _ => self.purge_slot(id),
        }
    }

    /// Lets the host of an emulated IOMMU know of all of them at once.
    fn notify_regions(&mut self, id: GroupId, which: u64) -> Result<(), Error> {
        if self.hw.config.notify_on_map && which != 0 {
            self.purge_slot(id)
        } else {
            Ok(())
        }
    }

    /// What a region still has to be mapped with, if anything.
    #[inline(never)]
    fn missing(&mut self, table: Table, region: &DeviceRegion) -> Result<Option<Perm>, Error> {
        let Some(perm) = region.direct() else {
            return match self.hw.occupied(table, region.start, region.end())? {
                None => Ok(None),
                Some(_) => Err(Error::AddressInUse),
            };
        };
        if region.end() > table.mode.aperture_end() {
            return Err(Error::Invalid);
        }
        let direct = self.hw.is_direct(table, region, perm)?;
        Ok((!direct).then_some(perm))
    }

    /// Whether anything had to be mapped. The caller tells the host of an emulated IOMMU, if the table is in use.
    #[inline(always)]
    fn map_region(&mut self, table: Table, region: &DeviceRegion) -> Result<bool, Error> {
        let Some(perm) = self.missing(table, region)? else {
            return Ok(false);
        };
        let request = Request::direct(region, perm);
        self.check_map(table, &request)?;
        self.hw.map(table, &request)?;
        Ok(true)
    }
}

fn is_paging(kind: DefaultDomainType) -> bool {
    matches!(
        kind,
        DefaultDomainType::Dma | DefaultDomainType::DmaFq | DefaultDomainType::Auto
    )
}

fn is_identity(policy: &Policy) -> bool {
    matches!(policy, Policy::Identity(_))
}

fn is_dma(policy: &Policy) -> bool {
    matches!(policy, Policy::Dma)
}

impl<P: Platform> crate::hw::Hw<P> {
    /// Whether a region is mapped to itself, with at least these rights.
    #[inline(never)]
    fn is_direct(
        &mut self,
        table: Table,
        region: &DeviceRegion,
        perm: Perm,
    ) -> Result<bool, crate::hw::Fail> {
        if region.end() > table.mode.aperture_end() {
            return Ok(false);
        }
        for page in (region.start..region.end()).step_by(PAGE_SIZE as usize) {
            match self.translate(table, page)? {
                Some((pa, found)) if pa == PhysAddr(page) && found.contains(perm) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
