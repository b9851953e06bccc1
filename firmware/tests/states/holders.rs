//! The driver's side of the table of calls and states, on the model and on the hardware: everything that holds something of
//! one group, and how each call of the table is made with it. Buffers and process ids are the model's (`rig.rs`).

use portcullis::platform::Platform;
use portcullis::*;

use crate::table::{self, DEVICES, Kind, Op, Place, State, Wish};

pub type Domain<'i, P> = PagingDomain<'i, P>;

fn owner(number: u64) -> Owner {
    Owner::new(number).expect("not 0")
}

/// The guard of an owned group. While it is `Lagging`, all devices had vanished: a domain is held but not attached.
pub enum Guard<'i, P: Platform> {
    None,
    Blocked(OwnedGroup<'i, P, 16, Blocked>),
    Attached(OwnedGroup<'i, P, 16, Attached<Domain<'i, P>>>),
}

/// The driver's side: everything that holds something of the group.
pub struct Holders<'i, P: Platform> {
    pub iommu: &'i Iommu<P>,
    pub admin: &'i AdminToken,
    /// Makes a domain of a colour; of [`Place::Blocked`], one of another IOMMU.
    pub make: &'i dyn Fn(Place) -> Domain<'i, P>,
    /// A device that asks for something.
    pub info: fn(usize, Wish) -> DeviceInfo,
    pub group: Group<'i, P>,
    pub users: Vec<KernelUse<'i, P>>,
    pub managed: Option<DriverManaged<'i, P, 16, Domain<'i, P>>>,
    pub guard: Guard<'i, P>,
    pub claims: Vec<DeviceClaim<'i, P>>,
    /// Domains nobody has attached, with what the table calls them.
    pub spare: Vec<(Domain<'i, P>, Place)>,
    /// What is inside the guard.
    pub held: Place,
    pub resets: [Option<DeviceReset<'i, P>>; DEVICES],
}

pub fn kind(kind: Kind) -> DefaultDomainType {
    match kind {
        Kind::Blocked => DefaultDomainType::Blocked,
        // SAFETY: the devices are part of the test.
        Kind::Identity => DefaultDomainType::Identity(unsafe { TrustToken::new() }),
        Kind::Dma => DefaultDomainType::Dma,
        Kind::DmaFq => DefaultDomainType::DmaFq,
    }
}

pub fn device(n: usize) -> DeviceId {
    DeviceId(n as u32 + 1)
}

impl<'i, P: Platform> Holders<'i, P> {
    pub fn fetch(&mut self, place: Place) -> Domain<'i, P> {
        let at = self.spare.iter().position(|(_, p)| *p == place);
        self.spare.swap_remove(at.expect("spare")).0
    }

    pub fn refused<G>(
        &mut self,
        refused: AttachError<G, Domain<'i, P>>,
        place: Place,
    ) -> (G, Error) {
        self.spare.push((refused.target, place));
        (refused.guard, refused.error)
    }

    /// Makes the call; `None` if the types leave no way to write it.
    pub fn call(&mut self, op: Op) -> Option<Result<(), Error>> {
        match op {
            Op::UseDefault => {
                let result = self.group.use_default_domain();
                Some(result.map(|user| self.users.push(user)))
            }
            Op::Unuse => {
                if let Some(managed) = self.managed.take() {
                    // Detached by hand only to keep the domain.
                    let (user, domain) = managed.detach();
                    self.spare.push((domain, self.held));
                    drop(user);
                } else {
                    self.users.pop()?.unuse();
                }
                Some(Ok(()))
            }
            Op::Claim(o) => {
                let result = self.group.claim(&owner(o));
                Some(result.map(|guard| self.guard = Guard::Blocked(guard)))
            }
            Op::ClaimDevice(n, o) => {
                let result = self.iommu.claim_device(device(n), &owner(o));
                Some(result.map(|claim| self.claims.push(claim)))
            }
            Op::ReleaseDevice => {
                if let Some(claim) = self.claims.pop() {
                    claim.release_device();
                    return Some(Ok(()));
                }
                match std::mem::replace(&mut self.guard, Guard::None) {
                    Guard::Blocked(guard) => {
                        guard.release_device();
                        Some(Ok(()))
                    }
                    other => {
                        self.guard = other;
                        None
                    }
                }
            }
            Op::Release => match std::mem::replace(&mut self.guard, Guard::None) {
                Guard::None => None,
                Guard::Blocked(guard) => {
                    guard.release();
                    Some(Ok(()))
                }
                // The domain must be made anew: dropping the guard has freed it.
                Guard::Attached(guard) => {
                    guard.release();
                    let place = self.held;
                    self.spare.push(((self.make)(place), place));
                    Some(Ok(()))
                }
            },
            Op::AttachUnfit => self.attach(Place::Blocked),
            Op::Attach(place) => self.attach(place),
            Op::Replace(place) => self.replace(place, false),
            Op::ReplaceHitless(place) => self.replace(place, true),
            Op::Detach => {
                if let Some(managed) = self.managed.take() {
                    let (user, domain) = managed.detach();
                    self.users.push(user);
                    self.spare.push((domain, self.held));
                    return Some(Ok(()));
                }
                match std::mem::replace(&mut self.guard, Guard::None) {
                    Guard::Attached(guard) => {
                        let (guard, domain) = guard.detach();
                        self.guard = Guard::Blocked(guard);
                        self.spare.push((domain, self.held));
                        Some(Ok(()))
                    }
                    other => {
                        self.guard = other;
                        None
                    }
                }
            }
            Op::Add(n, wish) => {
                let group = match self.group.status() {
                    Status::Empty => None,
                    _ => Some(self.group.id()),
                };
                let info = DeviceInfo {
                    group,
                    ..(self.info)(n, wish)
                };
                let result = self.iommu.add_device(info);
                Some(result.map(|id| self.group = self.iommu.group(id).expect("added")))
            }
            // A guard of its reset stays, and ends nothing of a successor.
            Op::Remove(n) => Some(self.iommu.remove_device(device(n))),
            Op::Gone(n) => Some(self.iommu.device_gone(device(n))),
            Op::ResetBegin(n) => {
                let result = self.iommu.reset_device(device(n));
                Some(result.map(|reset| self.resets[n] = Some(reset)))
            }
            Op::ResetEnd(n) => {
                self.resets[n].take()?.done();
                Some(Ok(()))
            }
            Op::SetType(k) => Some(self.group.set_default_domain_type(kind(k), self.admin)),
            _ => None,
        }
    }

    fn target(&mut self, place: Place) -> Domain<'i, P> {
        match place {
            Place::Blocked => (self.make)(place),
            _ => self.fetch(place),
        }
    }

    fn attach(&mut self, place: Place) -> Option<Result<(), Error>> {
        if let Guard::Blocked(_) = self.guard {
            let target = self.target(place);
            let Guard::Blocked(guard) = std::mem::replace(&mut self.guard, Guard::None) else {
                return None;
            };
            return Some(match guard.attach(target) {
                Ok(guard) => {
                    (self.guard, self.held) = (Guard::Attached(guard), place);
                    Ok(())
                }
                Err(refused) => {
                    let (guard, error) = self.back(refused, place);
                    self.guard = Guard::Blocked(guard);
                    Err(error)
                }
            });
        }
        let user = self.users.pop()?;
        let target = self.target(place);
        Some(match user.attach(target) {
            Ok(managed) => {
                (self.managed, self.held) = (Some(managed), place);
                Ok(())
            }
            Err(refused) => {
                let (user, error) = self.back(refused, place);
                self.users.push(user);
                Err(error)
            }
        })
    }

    fn back<G>(&mut self, refused: AttachError<G, Domain<'i, P>>, place: Place) -> (G, Error) {
        match place {
            Place::Blocked => (refused.guard, refused.error),
            _ => self.refused(refused, place),
        }
    }

    fn replace(&mut self, place: Place, hitless: bool) -> Option<Result<(), Error>> {
        if let Some(managed) = self.managed.take() {
            let target = self.fetch(place);
            let result = if hitless {
                managed.replace_hitless(target)
            } else {
                managed.replace(target)
            };
            return Some(match result {
                Ok((managed, old)) => {
                    self.managed = Some(managed);
                    self.spare.push((old, self.held));
                    self.held = place;
                    Ok(())
                }
                Err(refused) => {
                    let (managed, error) = self.refused(refused, place);
                    self.managed = Some(managed);
                    Err(error)
                }
            });
        }
        let guard = match std::mem::replace(&mut self.guard, Guard::None) {
            Guard::Attached(guard) => guard,
            other => {
                self.guard = other;
                return if hitless {
                    self.leave_default(place)
                } else {
                    None
                };
            }
        };
        let target = self.fetch(place);
        let result = if hitless {
            guard.replace_hitless(target)
        } else {
            guard.replace(target)
        };
        Some(match result {
            Ok((guard, old)) => {
                self.guard = Guard::Attached(guard);
                self.spare.push((old, self.held));
                self.held = place;
                Ok(())
            }
            Err(refused) => {
                let (guard, error) = self.refused(refused, place);
                self.guard = Guard::Attached(guard);
                Err(error)
            }
        })
    }

    /// A driver goes from the default domain to its own without losing DMA.
    fn leave_default(&mut self, place: Place) -> Option<Result<(), Error>> {
        let user = self.users.pop()?;
        let target = self.fetch(place);
        Some(match user.attach_hitless(target) {
            Ok(managed) => {
                (self.managed, self.held) = (Some(managed), place);
                Ok(())
            }
            Err(refused) => {
                let (user, error) = self.refused(refused, place);
                self.users.push(user);
                Err(error)
            }
        })
    }

    /// Guards of a group that has vanished answer `ENODEV`; then they go.
    pub fn bury(&mut self) {
        if let Some(managed) = self.managed.take() {
            let (user, domain) = managed.detach();
            let refused = user.attach(domain).expect_err("gone");
            assert_eq!(refused.error, Error::NoDevice);
            self.spare.push((refused.target, self.held));
        }
        self.users.clear();
    }

    /// A guard for a group that is owned by device-level claims only.
    pub fn take_guard(&mut self) {
        if matches!(self.guard, Guard::None)
            && let Some(claim) = self.claims.pop()
        {
            match claim.guard() {
                Ok(guard) => self.guard = Guard::Blocked(guard),
                Err((claim, _)) => self.claims.push(claim),
            }
        }
    }
}

/// What the driver says of a group in that state.
pub fn expected_status(model: &table::Group) -> Status {
    let o = owner(model.owner.unwrap_or(9));
    match model.state() {
        State::S0 => Status::Empty,
        State::S1 => Status::Idle,
        State::S2 => Status::Kernel(model.n),
        State::S3 => Status::DriverManaged(model.n),
        State::S4 => Status::Owned(o),
        State::S5 => Status::Attached(o),
        State::S6 => Status::Orphan(o),
    }
}
