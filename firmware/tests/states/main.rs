//! Scenario T15: random calls compared with the table of section 2.3. 100 000 of them, or as many as
//! `PORTCULLIS_CALLS` says.

#[path = "../common/mod.rs"]
mod common;
mod table;

use std::collections::BTreeSet;

use common::*;
use portcullis::*;
use table::{DEVICES, Kind, Op, Place, State};

type Domain<'i> = PagingDomain<'i, Machine>;

/// The guard of an owned group. While it is `Lagging`, all devices had vanished: a domain is held but not attached.
enum Guard<'i> {
    None,
    Blocked(OwnedGroup<'i, Machine, 16, Blocked>),
    Attached(OwnedGroup<'i, Machine, 16, Attached<Domain<'i>>>),
}

/// The driver's side: everything that holds something of the group.
struct Rig<'i> {
    iommu: &'i Iommu<Machine>,
    admin: &'i AdminToken,
    stranger: &'i Iommu<Machine>,
    group: Group<'i, Machine>,
    users: Vec<KernelUse<'i, Machine>>,
    managed: Option<DriverManaged<'i, Machine, 16, Domain<'i>>>,
    guard: Guard<'i>,
    claims: Vec<DeviceClaim<'i, Machine>>,
    /// Domains nobody has attached, with what the table calls them.
    spare: Vec<(Domain<'i>, Place)>,
    /// What is inside the guard.
    held: Place,
    resets: [Option<DeviceReset<'i, Machine>>; DEVICES],
}

fn colour(place: Place) -> u64 {
    match place {
        Place::User { colour, .. } => colour,
        _ => 0,
    }
}

fn kind(kind: Kind) -> DefaultDomainType {
    match kind {
        Kind::Blocked => DefaultDomainType::Blocked,
        // SAFETY: the devices are part of the test.
        Kind::Identity => DefaultDomainType::Identity(unsafe { TrustToken::new() }),
        Kind::Dma => DefaultDomainType::Dma,
        Kind::DmaFq => DefaultDomainType::DmaFq,
    }
}

fn device(n: usize) -> DeviceId {
    DeviceId(n as u32 + 1)
}

impl<'i> Rig<'i> {
    fn fetch(&mut self, place: Place) -> Domain<'i> {
        let at = self.spare.iter().position(|(_, p)| *p == place);
        self.spare.swap_remove(at.expect("spare")).0
    }

    fn refused<G>(&mut self, refused: AttachError<G, Domain<'i>>, place: Place) -> (G, Error) {
        self.spare.push((refused.target, place));
        (refused.guard, refused.error)
    }

    /// Makes the call; `None` if the types leave no way to write it.
    fn call(&mut self, op: Op) -> Option<Result<(), Error>> {
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
                    self.spare.push((domain(self.iommu, place), place));
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
            Op::Add(n) => {
                let group = match self.group.status() {
                    Status::Empty => None,
                    _ => Some(self.group.id()),
                };
                let info = DeviceInfo {
                    group,
                    ..device(n).into()
                };
                let result = self.iommu.add_device(info);
                Some(result.map(|id| self.group = self.iommu.group(id).expect("added")))
            }
            Op::Remove(n) => {
                let result = self.iommu.remove_device(device(n));
                self.end_reset_of_absent(n, &result);
                Some(result)
            }
            Op::Gone(n) => {
                let result = self.iommu.device_gone(device(n));
                self.end_reset_of_absent(n, &result);
                Some(result)
            }
            Op::ResetBegin(n) => {
                let result = self.iommu.reset_device(device(n));
                Some(result.map(|reset| self.resets[n] = Some(reset)))
            }
            Op::ResetEnd(n) => {
                self.resets[n].take()?.done();
                Some(Ok(()))
            }
            Op::SetType(k) => Some(self.group.set_default_domain_type(kind(k), self.admin)),
        }
    }

    /// The guard of a reset ends nothing once the device has gone.
    fn end_reset_of_absent(&mut self, n: usize, removed: &Result<(), Error>) {
        if removed.is_ok() {
            self.resets[n] = None;
        }
    }

    fn target(&mut self, place: Place) -> Domain<'i> {
        match place {
            Place::Blocked => unfit(self.stranger),
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

    fn back<G>(&mut self, refused: AttachError<G, Domain<'i>>, place: Place) -> (G, Error) {
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
                return None;
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

    /// Guards of a group that has vanished answer `ENODEV`; then they go.
    fn bury(&mut self) {
        if let Some(managed) = self.managed.take() {
            let (user, domain) = managed.detach();
            let refused = user.attach(domain).expect_err("gone");
            assert_eq!(refused.error, Error::NoDevice);
            self.spare.push((refused.target, self.held));
        }
        self.users.clear();
    }

    /// A guard for a group that is owned by device-level claims only.
    fn take_guard(&mut self) {
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

fn domain(iommu: &Iommu<Machine>, place: Place) -> Domain<'_> {
    let deep = matches!(place, Place::User { deep: true, .. });
    let mode = if deep { Mode::Sv48 } else { Mode::Sv39 };
    let domain = iommu.paging_domain(DomainConfig { mode }).unwrap();
    map(&domain, 0x7000, colour(place), 0x1000, Perm::READ).unwrap();
    domain
}

fn unfit(stranger: &Iommu<Machine>) -> Domain<'_> {
    stranger.paging_domain(DomainConfig::default()).unwrap()
}

fn choose(random: &mut Random, spare: &[(Domain<'_>, Place)]) -> Op {
    let place = spare[random.below(spare.len() as u64) as usize].1;
    let (n, o) = (random.below(DEVICES as u64) as usize, 1 + random.below(2));
    let kinds = [Kind::Blocked, Kind::Identity, Kind::Dma, Kind::DmaFq];
    match random.below(30) {
        0..=2 => Op::UseDefault,
        3 => Op::Unuse,
        4 | 5 => Op::Claim(o),
        6 | 7 => Op::ClaimDevice(n, o),
        8 | 9 => Op::ReleaseDevice,
        10 => Op::Release,
        11..=13 => Op::Attach(place),
        14 => Op::AttachUnfit,
        15 | 16 => Op::Replace(place),
        17 | 18 => Op::ReplaceHitless(place),
        19 => Op::Detach,
        20..=22 => Op::Add(n),
        23 => Op::Remove(n),
        24 => Op::Gone(n),
        25 => Op::ResetBegin(n),
        26..=28 => Op::ResetEnd(n),
        _ => Op::SetType(kinds[random.below(4) as usize]),
    }
}

fn expected_status(model: &table::Group) -> Status {
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

fn random_calls(seed: u64, calls: u64, initial: Kind) -> BTreeSet<(String, State)> {
    let (w, other) = (world(), world());
    w.borrow_mut().capabilities |= 1 << 10;
    w.borrow_mut().identity_wanted = true;
    let config = Config {
        default_domain: kind(initial),
        ..Config::default()
    };
    let mut iommu = start(&w, config);
    let stranger = start(&other, Config::default());
    let admin = iommu.admin_token();
    let iommu = &iommu;
    let spare = (0..6).map(|n| Place::User {
        colour: 0x10_0000 + n * 0x1000,
        deep: n >= 4,
    });
    let spare = spare.map(|place| (domain(iommu, place), place)).collect();
    // A name from before: the group is in S0.
    let id = iommu.add_device(device(0).into()).unwrap();
    let group = iommu.group(id).unwrap();
    iommu.remove_device(device(0)).unwrap();
    let mut rig = Rig {
        iommu,
        admin: &admin,
        stranger: &stranger,
        group,
        users: Vec::new(),
        managed: None,
        guard: Guard::None,
        claims: Vec::new(),
        spare,
        held: Place::Blocked,
        resets: [const { None }; DEVICES],
    };
    let mut model = table::Group::new(initial);
    let (mut random, mut made, mut cells) = (Random(seed), 0, BTreeSet::new());
    while made < calls {
        if random.below(4) == 0 {
            rig.take_guard();
        }
        let op = choose(&mut random, &rig.spare);
        let grows = matches!(op, Op::UseDefault | Op::ClaimDevice(..));
        // Claims of an ownership that is over count nothing: they are dropped, and nothing may change.
        if model.owner.is_none() {
            rig.claims.clear();
        }
        // A driver whose sibling has a domain attached may go while that stays; the table speaks of the other.
        if grows && model.n > 5 {
            continue;
        }
        let (state, before) = (model.state(), iommu.stats().fence_waits);
        let Some(answer) = rig.call(op) else { continue };
        made += 1;
        let context = format!("call {made} of seed {seed}: {op:?} in {model:?}");
        let waits = iommu.stats().fence_waits - before;
        assert_eq!((answer, waits), model.step(op), "{context}");
        assert_eq!(rig.group.status(), expected_status(&model), "{context}");
        if model.state() != State::S0 {
            assert_eq!(rig.group.users(), model.n, "{context}");
        } else {
            rig.bury();
        }
        let reached = match model.current {
            Place::Blocked => Err(258),
            Place::Identity => Ok(0x7000),
            Place::Empty => Err(13),
            Place::User { colour, .. } => Ok(colour),
        };
        for n in 0..DEVICES {
            let there = model.devices[n] && !model.resetting[n];
            let expected = if there { reached } else { Err(258) };
            let got = w.borrow_mut().dma(device(n).0, 0x7000, Dma::Read);
            assert_eq!(got, expected, "device {n}, {context}");
        }
        let name = format!("{op:?}");
        let name = name
            .split(['(', ' '])
            .next()
            .unwrap_or_default()
            .to_string();
        cells.insert((name, state));
    }
    assert_eq!(iommu.health(), Health::Good);
    cells
}

#[test]
fn t15_calls_agree_with_the_table() {
    let calls = std::env::var("PORTCULLIS_CALLS").ok();
    let calls = calls.and_then(|n| n.parse().ok()).unwrap_or(100_000u64);
    let kinds = [Kind::Dma, Kind::Blocked, Kind::Identity, Kind::DmaFq];
    let mut cells = BTreeSet::new();
    for (seed, kind) in (1..).zip(kinds) {
        cells.extend(random_calls(seed * 0x9e37_79b9, calls.div_ceil(4), kind));
    }
    println!("{} cells of the table", cells.len());
    assert!(
        calls < 20_000 || cells.len() >= 70,
        "{} cells: {cells:?}",
        cells.len()
    );
}
