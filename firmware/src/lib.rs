//! Driver of the Portcullis RISC-V IOMMU: DMA ownership, domains, attach and detach, without `std` and without `alloc`.
//!
//! * [`Iommu`] starts the hardware and knows devices and their groups; before a device is added it is blocked.
//!   [`Iommu::with_devices`] starts behind devices that work already.
//! * [`Group::claim`] takes the DMA of a group for an [`Owner`]; on return nothing passes.
//! * [`OwnedGroup::attach`] moves a [`PagingDomain`] in, [`OwnedGroup::detach`] moves it out.
//! * [`OwnedGroup::replace`] exchanges it; [`OwnedGroup::replace_hitless`] refuses to drop DMA on the way.
//! * [`Group::use_default_domain`] registers a driver; [`KernelUse::attach`] moves a domain of its own in.
//! * [`KernelUse::map`] maps buffers in the default domain, where the driver finds room: the DMA API.
//! * [`AddressSpace`] maps and unmaps: strictly, gathered, or deferred until a flush. [`PagingDomain`] and
//!   [`SharedDomain`] hold one.
//! * The machine is behind the traits of [`platform`].
//!
//! ```
//! use portcullis::{DeviceId, DomainConfig, Error, Iommu, Iova, Owner, Perm, PhysAddr, platform::Platform};
//!
//! fn demo<P: Platform>(iommu: &Iommu<P>, buffer: PhysAddr) -> Result<(), Error> {
//!     let nic = DeviceId(5);
//!     iommu.add_device(nic.into())?;
//!     let owned = iommu.group(nic)?.claim(&Owner::new(1)?)?;
//!     let domain = iommu.paging_domain(DomainConfig::default())?;
//!     let owned = owned.attach(domain).map_err(|e| e.error)?;
//!     // SAFETY: the buffer is used by nobody else until it is unmapped.
//!     unsafe { owned.domain().map(Iova(0x1000_0000), buffer, 4096, Perm::READ_WRITE)? };
//!     owned.domain().unmap(Iova(0x1000_0000), 4096)?;
//!     let (owned, _domain) = owned.detach();
//!     owned.release();
//!     Ok(())
//! }
//! ```
//!
//! # What does not compile
//!
//! Freeing a domain that is attached: attach has moved it.
//! ```compile_fail,E0382
//! # use portcullis::{Blocked, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Blocked>, domain: PagingDomain<'i, P>) {
//!     let attached = owned.attach(domain);
//!     drop(domain);
//! }
//! ```
//! Attaching without owning the group.
//! ```compile_fail,E0599
//! # use portcullis::{Group, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(group: Group<'i, P>, domain: PagingDomain<'i, P>) {
//!     group.attach(domain);
//! }
//! ```
//! Attaching a second domain, or the same one again.
//! ```compile_fail,E0599
//! # use portcullis::{Attached, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>, other: PagingDomain<'i, P>) {
//!     owned.attach(other);
//! }
//! ```
//! Detaching what is not attached.
//! ```compile_fail,E0599
//! # use portcullis::{Blocked, OwnedGroup, platform::Platform};
//! fn f<P: Platform>(owned: OwnedGroup<'_, P, 16, Blocked>) {
//!     owned.detach();
//! }
//! ```
//! Exchanging the attached domain behind the guard's back.
//! ```compile_fail,E0596
//! # use portcullis::{Attached, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(
//!     mut owned: OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>,
//!     mut other: PagingDomain<'i, P>,
//! ) {
//!     let mut inside = owned.domain();
//!     core::mem::swap(&mut *inside, &mut other);
//! }
//! ```
//! Using a group after releasing it.
//! ```compile_fail,E0382
//! # use portcullis::{Blocked, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Blocked>, domain: PagingDomain<'i, P>) {
//!     owned.release();
//!     owned.attach(domain);
//! }
//! ```
//! Keeping a domain longer than its IOMMU.
//! ```compile_fail,E0505
//! # use portcullis::{DomainConfig, Iommu, platform::Platform};
//! fn f<P: Platform>(iommu: Iommu<P>) {
//!     let domain = iommu.paging_domain(DomainConfig::default());
//!     drop(iommu);
//!     drop(domain);
//! }
//! ```
//! Handing over to the next kernel while somebody owns a group.
//! ```compile_fail,E0505
//! # use portcullis::{DeviceId, Iommu, Owner, TrustToken, platform::Platform};
//! fn f<P: Platform>(iommu: Iommu<P>, owner: &Owner, token: &TrustToken) -> Result<(), portcullis::Error> {
//!     let owned = iommu.group(DeviceId(1))?.claim(owner)?;
//!     let _ = iommu.stop_in_bare(token);
//!     owned.release();
//!     Ok(())
//! }
//! ```
//! Stopping in its place what somebody still refers to.
//! ```compile_fail,E0502
//! # use portcullis::{DeviceId, Iommu, platform::Platform};
//! fn f<P: Platform>(place: &mut Option<Iommu<P>>) -> Option<()> {
//!     let group = place.as_ref()?.group(DeviceId(1)).ok()?;
//!     let _ = Iommu::stop_in(place, None);
//!     group.users();
//!     None
//! }
//! ```
//! Mapping without vouching for the memory.
//! ```compile_fail,E0133
//! # use portcullis::{Iova, PagingDomain, Perm, PhysAddr, platform::Platform};
//! fn f<P: Platform>(domain: &PagingDomain<'_, P>) {
//!     let _ = domain.map(Iova(0x1000), PhysAddr(0x1000), 4096, Perm::READ);
//! }
//! ```
//! Identity without a token, and a token without `unsafe`.
//! ```compile_fail,E0133
//! # use portcullis::{Blocked, Identity, OwnedGroup, TrustToken, platform::Platform};
//! fn f<P: Platform>(owned: OwnedGroup<'_, P, 16, Blocked>) {
//!     let token = TrustToken::new();
//!     let _ = owned.attach(Identity(&token));
//! }
//! ```
//! A target of one's own making.
//! ```compile_fail,E0277
//! # use portcullis::{Attach, platform::Platform};
//! struct Mine;
//! impl<P: Platform, const N: usize> Attach<P, N> for Mine {}
//! ```
//! Detaching while an unmap still waits for its invalidation.
//! ```compile_fail,E0505
//! # use portcullis::{Attached, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>) {
//!     let gather = owned.domain().gather();
//!     let _ = owned.detach();
//!     let _ = gather.sync();
//! }
//! ```
//! Using a guard after its domain was replaced.
//! ```compile_fail,E0382
//! # use portcullis::{Attached, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(
//!     owned: OwnedGroup<'i, P, 16, Attached<PagingDomain<'i, P>>>,
//!     other: PagingDomain<'i, P>,
//! ) {
//!     let replaced = owned.replace(other);
//!     owned.release();
//! }
//! ```
//! Replacing without interruption what is blocked: there is nothing to keep.
//! ```compile_fail,E0599
//! # use portcullis::{Blocked, OwnedGroup, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(owned: OwnedGroup<'i, P, 16, Blocked>, domain: PagingDomain<'i, P>) {
//!     let _ = owned.replace_hitless(domain);
//! }
//! ```
//! A driver's second domain beside its first.
//! ```compile_fail,E0382
//! # use portcullis::{KernelUse, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(user: KernelUse<'i, P>, a: PagingDomain<'i, P>, b: PagingDomain<'i, P>) {
//!     let managed = user.attach(a);
//!     let _ = user.attach(b);
//! }
//! ```
//! Freeing the domain of a driver while it is attached.
//! ```compile_fail,E0505
//! # use portcullis::{DriverManaged, PagingDomain, platform::Platform};
//! fn f<'i, P: Platform>(managed: DriverManaged<'i, P, 16, PagingDomain<'i, P>>) {
//!     let inside = managed.domain();
//!     drop(managed);
//!     let _ = inside.flush();
//! }
//! ```
//! Freeing the domain of a process while it is attached.
//! ```compile_fail,E0382
//! # use portcullis::{Blocked, OwnedGroup, PagingDomain, Pasid, platform::Platform};
//! fn f<'i, P: Platform>(owned: &OwnedGroup<'i, P, 16, Blocked>, domain: PagingDomain<'i, P>) {
//!     let guard = owned.attach_pasid(Pasid(5), domain);
//!     drop(domain);
//! }
//! ```
//! Using a buffer that devices may write: mapping has moved it.
//! ```compile_fail,E0382
//! # use portcullis::{Direction, DmaBuffer, KernelUse, platform::Platform};
//! fn f<P: Platform, B: DmaBuffer>(user: &KernelUse<'_, P>, buffer: B) {
//!     let mapped = user.map(buffer, Direction::FromDevice);
//!     drop(buffer);
//! }
//! ```
//! Unmapping a buffer twice.
//! ```compile_fail,E0382
//! # use portcullis::{DmaBuffer, Mapped, platform::Platform};
//! fn f<P: Platform, B: DmaBuffer>(mapped: Mapped<'_, P, 16, B>) {
//!     let _ = mapped.unmap();
//!     let _ = mapped.unmap();
//! }
//! ```
//! Taking a buffer back before the flush without vouching for it.
//! ```compile_fail,E0133
//! # use portcullis::{DmaBuffer, Mapped, platform::Platform};
//! fn f<P: Platform, B: DmaBuffer>(mapped: Mapped<'_, P, 16, B>) {
//!     let _ = mapped.unmap_lazy();
//! }
//! ```
//! Mapping a buffer that is only borrowed: forgetting the mapping would end the borrow, and not the mapping.
//! ```compile_fail,E0478
//! # use portcullis::{DmaBuffer, PhysAddr};
//! struct Borrowed<'a, T>(&'a mut T);
//! unsafe impl<'a, T> DmaBuffer for Borrowed<'a, T> {
//!     fn address(&self) -> PhysAddr { PhysAddr(0) }
//!     fn bytes(&self) -> usize { 4096 }
//! }
//! ```
//! Keeping a mapping longer than its IOMMU.
//! ```compile_fail,E0505
//! # use portcullis::{Direction, DmaBuffer, Iommu, KernelUse, Mapped, platform::Platform};
//! fn f<P: Platform, B: DmaBuffer>(iommu: Iommu<P>, buffer: B) -> Option<()> {
//!     let user = iommu.group(portcullis::DeviceId(1)).ok()?.use_default_domain().ok()?;
//!     let mapped = user.map(buffer, Direction::Both);
//!     drop(user);
//!     drop(iommu);
//!     drop(mapped);
//!     None
//! }
//! ```
//! A doorbell, a page of which nobody vouches what writes to it do.
//! ```compile_fail,E0133
//! let _ = portcullis::Doorbell::new(portcullis::PhysAddr(0x2800_0000));
//! ```
//! Ending a claim twice.
//! ```compile_fail,E0382
//! # use portcullis::{DeviceClaim, platform::Platform};
//! fn f<P: Platform>(claim: DeviceClaim<'_, P>) {
//!     claim.release_device();
//!     claim.release_device();
//! }
//! ```
//! Changing a default domain without the right to.
//! ```compile_fail,E0423
//! # use portcullis::{AdminToken, DefaultDomainType, Group, platform::Platform};
//! fn f<P: Platform>(group: Group<'_, P>) {
//!     let _ = group.set_default_domain_type(DefaultDomainType::Blocked, &AdminToken(()));
//! }
//! ```
//! Getting that right while somebody uses the IOMMU.
//! ```compile_fail,E0502
//! # use portcullis::{Iommu, KernelUse, platform::Platform};
//! fn f<P: Platform>(iommu: &mut Iommu<P>) {
//!     let group = iommu.group(portcullis::DeviceId(1));
//!     let _ = iommu.admin_token();
//!     drop(group);
//! }
//! ```
//! Going on after a failure without vouching for the hardware.
//! ```compile_fail,E0133
//! # use portcullis::{Iommu, platform::Platform};
//! fn f<P: Platform>(iommu: &Iommu<P>) {
//!     let _ = iommu.recover();
//! }
//! ```
//! Use from two threads at once.
//! ```compile_fail,E0277
//! # use portcullis::{Iommu, platform::Platform};
//! fn shared<T: Sync>(_: &T) {}
//! fn f<P: Platform + Sync>(iommu: &Iommu<P>) {
//!     shared(iommu);
//! }
//! ```

#![no_std]
#![forbid(clippy::undocumented_unsafe_blocks)]

mod claim;
mod context;
mod device;
mod directory;
mod dma;
mod domain;
mod error;
mod expected;
mod fault;
mod gather;
mod group;
mod hw;
mod iommu;
mod iova;
mod kernel;
mod own;
mod pdt;
pub mod platform;
mod policy;
mod pool;
mod process;
mod queue;
mod recover;
mod slot;
mod space;
mod start;
mod storm;
mod table;
mod types;

pub use claim::DeviceClaim;
pub use context::NotHitless;
pub use device::DeviceReset;
pub use dma::{Direction, DmaBuffer, Doorbell, Mapped, Pending};
pub use domain::{PagingDomain, SharedDomain};
pub use error::Error;
pub use expected::Expected;
pub use fault::{Drained, FaultRecord, Faults};
pub use gather::{Gather, Suspended};
pub use group::{Group, Status};
pub use iommu::{InitError, Iommu, Polled};
pub use kernel::{DriverManaged, KernelUse, Managed};
pub use own::{
    AnyTarget, Attach, AttachError, Attached, Blocked, Identity, Nested, OwnedGroup, Replaced,
};
pub use process::{PasidGuard, ReplacedPasid};
pub use space::{AddressSpace, Deferred};
pub use start::{BootDevice, StopError};
pub use storm::Events;
pub use types::*;
