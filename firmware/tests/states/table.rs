//! The table "operations × states" of section 2.3 as a program: what each call answers, the next state, and the waits
//! its hardware steps take. It knows nothing of the driver.

use portcullis::Error;

/// Where DMA goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Blocked,
    Identity,
    /// The default domain of type DMA or DMA-FQ: nothing is mapped there.
    Empty,
    /// A domain of somebody: its colour, and whether its format is Sv48.
    User {
        colour: u64,
        deep: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Blocked,
    Identity,
    Dma,
    DmaFq,
}

impl Kind {
    pub fn place(self) -> Place {
        match self {
            Kind::Blocked => Place::Blocked,
            Kind::Identity => Place::Identity,
            Kind::Dma | Kind::DmaFq => Place::Empty,
        }
    }
}

/// What is peculiar of a device: a region, or what its group's default domain must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    /// A direct region that must stay.
    Direct,
    /// A reserved region, where domains may have their second page.
    Reserved,
    Dma,
    Identity,
    Untrusted,
    /// Never fulfilled.
    UntrustedIdentity,
}

impl Wish {
    fn is_untrusted(self) -> bool {
        matches!(self, Wish::Untrusted | Wish::UntrustedIdentity)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    UseDefault,
    Unuse,
    Claim(u64),
    ClaimDevice(usize, u64),
    ReleaseDevice,
    Release,
    Attach(Place),
    AttachUnfit,
    Replace(Place),
    ReplaceHitless(Place),
    Detach,
    Add(usize, Wish),
    Remove(usize),
    Gone(usize),
    SetType(Kind),
    ResetBegin(usize),
    ResetEnd(usize),
    /// A driver maps a buffer in the default domain.
    DmaMap,
    DmaUnmap(Mapping),
    DmaUnmapLater(Mapping),
    /// The buffer of a deferred unmap, if it is free.
    DmaTake(Mapping),
    /// The same after a flush.
    DmaWait(Mapping),
    /// A second page of a domain, which is mapped or not.
    Map(Place, bool),
    Unmap(Place, bool),
    UnmapDeferred(Place, bool),
    Flush(Place),
    /// A process id, and a number for the attachment.
    AttachPasid(u32, u64, Place),
    ReplacePasid(u64, Place),
    DetachPasid(u64),
}

/// A buffer that is mapped, or was: what the caller keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The default domain it was made in; `None` if that was identity.
    pub serial: Option<u64>,
    /// Purges of the group's slot before its deferred unmap; `None` if that was a strict one.
    pub stamp: Option<u64>,
}

/// A domain attached for a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: u64,
    pub pasid: u32,
    pub place: Place,
}

/// Columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    S0,
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
}

pub const DEVICES: usize = 3;
/// Deferred unmaps before the next one flushes.
pub const QUEUE: u32 = 4;
/// Process ids of one-level directories.
const PASIDS: u32 = 256;

/// The variables of section 2.1.
#[derive(Clone, Debug)]
pub struct Group {
    pub devices: [bool; DEVICES],
    /// What they asked for; [`Wish::Nothing`] without a device.
    pub wishes: [Wish; DEVICES],
    /// The default domain maps a direct region.
    pub direct: bool,
    /// Colours of domains whose second page is mapped.
    pub second: Vec<u64>,
    /// Devices being reset: modifier +R.
    pub resetting: [bool; DEVICES],
    pub default: Kind,
    pub current: Place,
    /// A user domain is attached.
    pub user: bool,
    pub owner: Option<u64>,
    pub n: u32,
    /// Type that a new group starts with.
    pub initial: Kind,
    /// The devices have process ids, and the hardware has directories for them.
    pub directory: bool,
    /// Modifier +P.
    pub processes: Vec<Process>,
    /// Counts default domains.
    pub serial: u64,
    /// Purges of the slot since start, and deferred unmaps since the last one.
    pub purges: u64,
    pub pending: u32,
}

type Answer = (Result<(), Error>, u64);

/// Waits of SET: a store that is one step, or by way of blocked.
fn set(from: Place, to: Place) -> u64 {
    let format = |p| match p {
        Place::Empty => Some(false),
        Place::User { deep, .. } => Some(deep),
        Place::Blocked | Place::Identity => None,
    };
    if from == to {
        return 0;
    }
    match (format(from), format(to)) {
        (Some(a), Some(b)) if a != b => 2,
        _ => 1,
    }
}

const OK: Answer = (Ok(()), 0);

fn no(error: Error) -> Answer {
    (Err(error), 0)
}

impl Group {
    pub fn new(initial: Kind, directory: bool) -> Self {
        Group {
            devices: [false; DEVICES],
            wishes: [Wish::Nothing; DEVICES],
            direct: false,
            second: Vec::new(),
            resetting: [false; DEVICES],
            default: initial,
            current: Place::Blocked,
            user: false,
            owner: None,
            n: 0,
            initial,
            directory,
            processes: Vec::new(),
            serial: 0,
            purges: 0,
            pending: 0,
        }
    }

    pub fn state(&self) -> State {
        match (self.devices.contains(&true), self.owner, self.user, self.n) {
            (false, None, ..) => State::S0,
            (false, Some(_), ..) => State::S6,
            (true, None, true, _) => State::S3,
            (true, None, false, 0) => State::S1,
            (true, None, false, _) => State::S2,
            (true, Some(_), false, _) => State::S4,
            (true, Some(_), true, _) => State::S5,
        }
    }

    /// Whether contexts of the devices are valid.
    pub fn is_open(&self) -> bool {
        self.current != Place::Blocked || !self.processes.is_empty()
    }

    fn go(&mut self, to: Place) -> u64 {
        let waits = set(self.current, to);
        self.current = to;
        self.purged(waits)
    }

    /// Every change of a context of the slot counts as a flush (3.8).
    fn purged(&mut self, waits: u64) -> u64 {
        if waits > 0 {
            (self.purges, self.pending) = (self.purges + 1, 0);
        }
        waits
    }

    /// One device comes, goes, or is reset: a wait if it has a context.
    fn touch(&mut self, live: bool) -> u64 {
        self.purged(u64::from(live))
    }

    /// Ends the deferred unmaps of the slot.
    fn flush(&mut self) -> u64 {
        self.purged(u64::from(self.pending > 0))
    }

    fn empty(&mut self) {
        let (serial, purges) = (self.serial + 1, self.purges);
        *self = Group {
            serial,
            purges,
            second: core::mem::take(&mut self.second),
            ..Group::new(self.initial, self.directory)
        };
    }

    /// Where a mapping of the DMA API is: in the default domain that hardware leads to by now, in the default domain, or
    /// nowhere any more.
    pub fn finds(&self, mapping: Mapping) -> (bool, bool) {
        let there = mapping.serial == Some(self.serial);
        (there && self.current == Place::Empty, there)
    }

    fn is_over(&self, mapping: Mapping) -> bool {
        let (_, there) = self.finds(mapping);
        !there || mapping.stamp.is_none_or(|stamp| self.purges > stamp)
    }

    /// Whether a domain is where the traffic without process id goes, or a process's.
    fn leads(&self, place: Place) -> (bool, bool) {
        let process = self.processes.iter().any(|p| p.place == place);
        (self.user && self.current == place, process)
    }

    /// A deferred unmap of something that was mapped and is in use: the flush it may bring.
    fn defer(&mut self, mapped: bool) -> u64 {
        let waits = if self.pending >= QUEUE {
            self.flush()
        } else {
            0
        };
        self.pending += u64::from(mapped) as u32;
        waits
    }

    fn take(&mut self, owner: u64) -> Answer {
        (self.owner, self.n) = (Some(owner), 1);
        (Ok(()), self.go(Place::Blocked))
    }

    fn give_back(&mut self) -> Answer {
        (self.owner, self.n, self.user) = (None, 0, false);
        let processes = core::mem::take(&mut self.processes).len() as u64;
        let blocked = processes + self.go(Place::Blocked);
        if !self.devices.contains(&true) {
            self.empty();
            return (Ok(()), blocked);
        }
        (Ok(()), blocked + self.go(self.default.place()))
    }

    fn enter(&mut self, place: Place) -> Answer {
        self.user = true;
        (Ok(()), self.go(place))
    }

    fn pull(&mut self, device: usize) -> Answer {
        (self.devices[device], self.wishes[device]) = (false, Wish::Nothing);
        let live = self.is_open() && !self.resetting[device];
        self.resetting[device] = false;
        let waits = self.touch(live);
        if !self.devices.contains(&true) {
            (self.current, self.user) = (Place::Blocked, false);
            self.processes.clear();
            if self.owner.is_none() {
                self.empty();
            }
        }
        (Ok(()), waits)
    }

    fn any(&self, wish: Wish) -> bool {
        self.wishes.contains(&wish)
    }

    /// Whether a device has reserved what a domain maps.
    fn collides(&self, place: Place, wish: Option<Wish>) -> bool {
        let mapped = match place {
            Place::User { colour, .. } => self.second.contains(&colour),
            _ => false,
        };
        mapped && (wish == Some(Wish::Reserved) || wish.is_none() && self.any(Wish::Reserved))
    }

    /// Another default domain, with what the devices need in it.
    fn exchange_default(&mut self, kind: Kind) -> u64 {
        // What was mapped in the old one is nowhere any more.
        (self.default, self.serial) = (kind, self.serial + 1);
        self.direct = kind.place() == Place::Empty && self.any(Wish::Direct);
        self.go(kind.place())
    }

    /// Type of default domain that a group begins with.
    fn first_type(&self, wish: Wish) -> Result<Kind, Error> {
        match wish {
            Wish::UntrustedIdentity => Err(Error::Invalid),
            Wish::Direct if self.initial == Kind::Blocked => Err(Error::Invalid),
            Wish::Untrusted => Ok(Kind::Dma),
            Wish::Identity => Ok(Kind::Identity),
            Wish::Dma if self.initial.place() != Place::Empty => Ok(Kind::DmaFq),
            _ => Ok(self.initial),
        }
    }

    /// Type that a group must change to for one more device, or why it cannot join.
    fn needed_type(&self, wish: Wish) -> Result<Option<Kind>, Error> {
        let (blocked, owned) = (self.current == Place::Blocked, self.owner.is_some());
        if wish == Wish::Direct && owned {
            // Blocked, or with a domain that lacks the region.
            return Err(Error::Invalid);
        }
        let own = self.user && self.collides(self.current, Some(wish));
        let processes = self.processes.iter();
        if own
            || processes
                .into_iter()
                .any(|p| self.collides(p.place, Some(wish)))
        {
            return Err(Error::Invalid);
        }
        let untrusted = wish.is_untrusted() || self.any(Wish::Untrusted);
        let identity = self.any(Wish::Identity);
        let asks = matches!(wish, Wish::Identity | Wish::UntrustedIdentity);
        if untrusted && (identity || asks) {
            return Err(Error::Invalid);
        }
        let paging = self.default.place() == Place::Empty;
        let wanted = match wish {
            Wish::Identity if self.default != Kind::Identity => Some(Kind::Identity),
            Wish::Dma if !paging && !identity && untrusted => Some(Kind::Dma),
            Wish::Dma if !paging && !identity => Some(Kind::DmaFq),
            _ if untrusted && self.default == Kind::Identity => Some(Kind::Dma),
            _ => None,
        };
        match wanted {
            Some(_) if self.n > 0 => Err(Error::Busy),
            None if wish == Wish::Direct
                && self.default == Kind::Blocked
                && (blocked || self.user) =>
            {
                Err(Error::Invalid)
            }
            wanted => Ok(wanted),
        }
    }

    fn add(&mut self, device: usize, wish: Wish) -> Answer {
        let fresh = self.state() == State::S0;
        let mut waits = 0;
        if fresh {
            match self.first_type(wish) {
                Ok(kind) => (self.default, self.current) = (kind, kind.place()),
                Err(error) => return no(error),
            }
        } else {
            match self.needed_type(wish) {
                Ok(Some(kind)) => waits += self.exchange_default(kind),
                Ok(None) => {}
                Err(error) => return no(error),
            }
        }
        let region = matches!(wish, Wish::Direct | Wish::Reserved);
        if region && self.default.place() == Place::Empty {
            // Addresses that wait for a flush may lead elsewhere.
            waits += self.flush();
            self.direct |= wish == Wish::Direct;
        }
        (self.devices[device], self.wishes[device]) = (true, wish);
        let live = self.is_open();
        (Ok(()), waits + self.touch(live))
    }

    /// Whether a device minds a type of default domain.
    fn minds(&self, kind: Kind) -> bool {
        let identity = self.any(Wish::Identity);
        match kind {
            Kind::Identity => self.any(Wish::Untrusted) || self.any(Wish::Dma) && !identity,
            Kind::Blocked => identity || self.any(Wish::Dma) || self.any(Wish::Direct),
            Kind::Dma | Kind::DmaFq => identity,
        }
    }

    /// One cell of the table.
    pub fn step(&mut self, op: Op) -> Answer {
        use State::*;
        let state = self.state();
        match (op, state) {
            (Op::UseDefault, S0) => no(Error::NoDevice),
            (Op::UseDefault, S2) if !self.processes.is_empty() => no(Error::Busy),
            (Op::UseDefault, S1 | S2) => {
                self.n += 1;
                OK
            }
            (Op::UseDefault, _) => no(Error::Busy),

            (Op::Unuse, S2) => {
                self.n -= 1;
                OK
            }
            // The one of the driver whose domain is attached: detach first.
            (Op::Unuse, S3) => {
                (self.user, self.n) = (false, self.n - 1);
                (Ok(()), self.go(self.default.place()))
            }
            (Op::Unuse, _) => OK,

            (Op::Claim(_), S0) => no(Error::NoDevice),
            (Op::Claim(_) | Op::ClaimDevice(..), S1)
                if self.any(Wish::Direct) || !self.processes.is_empty() =>
            {
                match op {
                    Op::ClaimDevice(device, _) if !self.devices[device] => no(Error::NoDevice),
                    _ if self.any(Wish::Direct) => no(Error::Invalid),
                    _ => no(Error::Busy),
                }
            }
            (Op::Claim(owner), S1) => self.take(owner),
            (Op::Claim(_), _) => no(Error::NotPermitted),

            (Op::ClaimDevice(device, _), _) if !self.devices[device] => no(Error::NoDevice),
            (Op::ClaimDevice(_, owner), S1) => self.take(owner),
            (Op::ClaimDevice(_, owner), S4 | S5) if self.owner == Some(owner) => {
                self.n += 1;
                OK
            }
            (Op::ClaimDevice(..), _) => no(Error::NotPermitted),

            (Op::ReleaseDevice, S4 | S5 | S6) if self.n > 1 => {
                self.n -= 1;
                OK
            }
            (Op::ReleaseDevice | Op::Release, S4 | S5 | S6) => self.give_back(),
            (Op::ReleaseDevice | Op::Release, _) => OK,

            (Op::Attach(_) | Op::AttachUnfit, S0 | S6) => match op {
                Op::AttachUnfit => no(Error::Invalid),
                _ => no(Error::NoDevice),
            },
            (Op::Attach(_), S1) => no(Error::NotPermitted),
            (Op::Attach(_), S2 | S4) if self.resetting.contains(&true) => no(Error::Busy),
            (Op::Attach(place), S2 | S4) if self.collides(place, None) => no(Error::Invalid),
            (Op::Attach(place), S2 | S4) => self.enter(place),
            (Op::Attach(_), S3 | S5) => no(Error::Busy),
            (Op::AttachUnfit, _) => no(Error::Invalid),

            (Op::Replace(_) | Op::ReplaceHitless(_), S0 | S6) => no(Error::NoDevice),
            (Op::Replace(_) | Op::ReplaceHitless(_), S1) => no(Error::NotPermitted),
            // The current one again is never chosen: every domain is attached at one place at most.
            (Op::Replace(_) | Op::ReplaceHitless(_), _) if self.resetting.contains(&true) => {
                no(Error::Busy)
            }
            (Op::Replace(place) | Op::ReplaceHitless(place), _) if self.collides(place, None) => {
                no(Error::Invalid)
            }
            (Op::Replace(place), _) => self.enter(place),
            (Op::ReplaceHitless(place), S2 | S3 | S5)
                if self.current != Place::Blocked && set(self.current, place) < 2 =>
            {
                self.enter(place)
            }
            (Op::ReplaceHitless(_), _) => no(Error::NotSupported),

            (Op::Detach, S3) => {
                self.user = false;
                (Ok(()), self.go(self.default.place()))
            }
            (Op::Detach, S5) => {
                self.user = false;
                (Ok(()), self.go(Place::Blocked))
            }
            (Op::Detach, _) => OK,

            (Op::Add(device, _), _) if self.devices[device] => no(Error::Exists),
            (Op::Add(device, wish), _) => self.add(device, wish),

            (Op::Remove(device) | Op::Gone(device), _) if !self.devices[device] => {
                no(Error::NoDevice)
            }
            (Op::Remove(_), S2 | S3 | S4 | S5)
                if self.devices.iter().filter(|d| **d).count() == 1 =>
            {
                no(Error::Busy)
            }
            (Op::Remove(device) | Op::Gone(device), _) => self.pull(device),

            (Op::ResetBegin(device), _) if !self.devices[device] => no(Error::NoDevice),
            (Op::ResetBegin(device), _) if self.resetting[device] => no(Error::Busy),
            (Op::ResetBegin(device), _) => {
                self.resetting[device] = true;
                let live = self.is_open();
                (Ok(()), self.touch(live))
            }
            (Op::ResetEnd(device), _) => {
                let ends = core::mem::take(&mut self.resetting[device]);
                let live = ends && self.is_open();
                (Ok(()), self.touch(live))
            }

            (Op::SetType(_), S0 | S6) => no(Error::Invalid),
            (Op::SetType(Kind::DmaFq), _) if self.default == Kind::Dma => {
                self.default = Kind::DmaFq;
                OK
            }
            (Op::SetType(kind), S1) if self.minds(kind) => no(Error::Invalid),
            // The same domain, strict from now on.
            (Op::SetType(Kind::Dma), S1) if self.default == Kind::DmaFq => {
                self.default = Kind::Dma;
                (Ok(()), self.flush())
            }
            (Op::SetType(kind), S1) if kind == self.default => OK,
            (Op::SetType(kind), S1) => (Ok(()), self.exchange_default(kind)),
            (Op::SetType(_), _) => no(Error::NotPermitted),

            (Op::DmaMap, S0) => no(Error::NoDevice),
            (Op::DmaMap, _) if self.default == Kind::Blocked => no(Error::NotSupported),
            (Op::DmaMap, _) => OK,
            (Op::DmaUnmap(mapping), _) => (Ok(()), u64::from(self.finds(mapping).0)),
            (Op::DmaUnmapLater(mapping), _) => {
                let (led, _) = self.finds(mapping);
                let queued = self.default == Kind::DmaFq;
                match (led, queued) {
                    (false, _) => OK,
                    (true, false) => (Ok(()), 1),
                    (true, true) => (Ok(()), self.defer(true)),
                }
            }
            (Op::DmaTake(mapping), _) if self.is_over(mapping) => OK,
            (Op::DmaTake(_), _) => no(Error::Busy),
            (Op::DmaWait(mapping), _) if self.is_over(mapping) => OK,
            (Op::DmaWait(_), _) => (Ok(()), self.flush()),

            (Op::Map(place, _), _)
                if self.any(Wish::Reserved) && self.leads(place) != (false, false) =>
            {
                no(Error::Invalid)
            }
            (Op::Map(_, true), _) => no(Error::AddressInUse),
            (Op::Map(_, false), _) => OK,
            (Op::Unmap(place, mapped), _) => {
                let (own, process) = self.leads(place);
                (Ok(()), u64::from(mapped && (own || process)))
            }
            (Op::UnmapDeferred(place, mapped), _) => match self.leads(place) {
                (true, _) => (Ok(()), self.defer(mapped)),
                // Strict there.
                (false, process) => (Ok(()), u64::from(mapped && process)),
            },
            (Op::Flush(place), _) => match self.leads(place).0 {
                true => (Ok(()), self.flush()),
                false => OK,
            },

            (Op::AttachPasid(..), S0 | S6) => no(Error::NoDevice),
            (Op::AttachPasid(..), S1) => no(Error::NotPermitted),
            (Op::AttachPasid(..), _) if !self.directory => no(Error::NotSupported),
            (Op::AttachPasid(pasid, ..), _) if !(1..PASIDS).contains(&pasid) => no(Error::Invalid),
            (Op::AttachPasid(pasid, id, place), _) => {
                let taken = self.processes.iter().any(|p| p.pasid == pasid);
                if taken || self.resetting.contains(&true) {
                    return no(Error::Busy);
                }
                if self.collides(place, None) {
                    return no(Error::Invalid);
                }
                self.processes.push(Process { id, pasid, place });
                (Ok(()), 1)
            }
            (Op::ReplacePasid(..), S0 | S6) => no(Error::NoDevice),
            (Op::ReplacePasid(..), S1) => no(Error::NotPermitted),
            (Op::ReplacePasid(id, place), _) => {
                let resetting = self.resetting.contains(&true);
                let collides = self.collides(place, None);
                match self.processes.iter_mut().find(|p| p.id == id) {
                    None => no(Error::Invalid),
                    Some(_) if resetting => no(Error::Busy),
                    Some(_) if collides => no(Error::Invalid),
                    Some(process) => {
                        let old = core::mem::replace(&mut process.place, place);
                        (Ok(()), set(old, place))
                    }
                }
            }
            (Op::DetachPasid(id), _) => {
                let before = self.processes.len();
                self.processes.retain(|p| p.id != id);
                (Ok(()), (before - self.processes.len()) as u64)
            }
        }
    }
}
