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
    Add(usize),
    Remove(usize),
    Gone(usize),
    SetType(Kind),
    ResetBegin(usize),
    ResetEnd(usize),
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

/// The variables of section 2.1.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub devices: [bool; DEVICES],
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
    pub fn new(initial: Kind) -> Self {
        Group {
            devices: [false; DEVICES],
            resetting: [false; DEVICES],
            default: initial,
            current: Place::Blocked,
            user: false,
            owner: None,
            n: 0,
            initial,
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

    fn go(&mut self, to: Place) -> u64 {
        let waits = set(self.current, to);
        self.current = to;
        waits
    }

    fn empty(&mut self) {
        *self = Group::new(self.initial);
    }

    fn take(&mut self, owner: u64) -> Answer {
        (self.owner, self.n) = (Some(owner), 1);
        (Ok(()), self.go(Place::Blocked))
    }

    fn give_back(&mut self) -> Answer {
        (self.owner, self.n, self.user) = (None, 0, false);
        let blocked = self.go(Place::Blocked);
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
        self.devices[device] = false;
        let live = self.current != Place::Blocked && !self.resetting[device];
        self.resetting[device] = false;
        let waits = u64::from(live);
        if !self.devices.contains(&true) {
            (self.current, self.user) = (Place::Blocked, false);
            if self.owner.is_none() {
                self.empty();
            }
        }
        (Ok(()), waits)
    }

    /// One cell of the table.
    pub fn step(&mut self, op: Op) -> Answer {
        use State::*;
        let state = self.state();
        match (op, state) {
            (Op::UseDefault, S0) => no(Error::NoDevice),
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
            (Op::Attach(place), S2 | S4) => self.enter(place),
            (Op::Attach(_), S3 | S5) => no(Error::Busy),
            (Op::AttachUnfit, _) => no(Error::Invalid),

            (Op::Replace(_) | Op::ReplaceHitless(_), S0 | S6) => no(Error::NoDevice),
            (Op::Replace(_) | Op::ReplaceHitless(_), S1) => no(Error::NotPermitted),
            // The current one again is never chosen: every domain is attached at one place at most.
            (Op::Replace(_) | Op::ReplaceHitless(_), _) if self.resetting.contains(&true) => {
                no(Error::Busy)
            }
            (Op::Replace(place), _) => self.enter(place),
            (Op::ReplaceHitless(place), S3 | S5) if set(self.current, place) < 2 => {
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

            (Op::Add(device), _) if self.devices[device] => no(Error::Exists),
            (Op::Add(device), _) => {
                self.devices[device] = true;
                if state == S0 {
                    self.default = self.initial;
                    self.current = self.default.place();
                }
                (Ok(()), u64::from(self.current != Place::Blocked))
            }

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
                (Ok(()), u64::from(self.current != Place::Blocked))
            }
            (Op::ResetEnd(device), _) => {
                let ends = core::mem::take(&mut self.resetting[device]);
                (Ok(()), u64::from(ends && self.current != Place::Blocked))
            }

            (Op::SetType(_), S0 | S6) => no(Error::Invalid),
            (Op::SetType(Kind::DmaFq), _) if self.default == Kind::Dma => {
                self.default = Kind::DmaFq;
                OK
            }
            (Op::SetType(kind), S1) => {
                // A new default domain is another one, though it looks alike.
                self.default = kind;
                (Ok(()), self.go(kind.place()))
            }
            (Op::SetType(_), _) => no(Error::NotPermitted),
        }
    }
}
