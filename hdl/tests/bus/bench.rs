//! What the tests share: random numbers, a clock, and channels whose `valid` must not change its mind.

use portcullis_hdl::cosim::Rng;
use rust_hdl::prelude::*;

/// Brings combinational logic to rest.
pub fn settle(uut: &mut impl Block) {
    assert!(simulate(uut, 1000), "does not settle");
}

/// One clock edge; outputs are to be read, and inputs set, before.
pub fn tick<B: Block>(uut: &mut B, clock: impl Fn(&mut B) -> &mut Signal<In, Clock>) {
    settle(uut);
    clock(uut).next = Clock { clk: true };
    settle(uut);
    clock(uut).next = Clock { clk: false };
    settle(uut);
}

/// A sender's side of a handshake: holds `valid` and its payload until it is taken.
#[derive(Debug)]
pub struct Sender<T> {
    queue: std::collections::VecDeque<T>,
    offered: bool,
}

impl<T: Clone> Sender<T> {
    pub fn new() -> Self {
        Sender {
            queue: std::collections::VecDeque::new(),
            offered: false,
        }
    }
    pub fn push(&mut self, item: T) {
        self.queue.push_back(item);
    }
    pub fn len(&self) -> usize {
        self.queue.len()
    }
    /// What is on offer in this cycle.
    pub fn offer(&mut self, rng: &mut Rng, one_in: u64) -> Option<T> {
        self.offered |= rng.one_in(one_in);
        if self.offered {
            self.queue.front().cloned()
        } else {
            None
        }
    }
    /// It has been taken.
    pub fn taken(&mut self) -> T {
        self.offered = false;
        self.queue.pop_front().expect("something was offered")
    }
}

/// A receiver's side: sees that an offer stays, unchanged, until it is taken.
#[derive(Debug)]
pub struct Receiver<T> {
    name: &'static str,
    held: Option<T>,
}

impl<T: PartialEq + std::fmt::Debug + Clone> Receiver<T> {
    pub fn new(name: &'static str) -> Self {
        Receiver { name, held: None }
    }
    /// The offer of this cycle and whether it is taken.
    pub fn see(&mut self, offer: Option<T>, ready: bool) -> Option<T> {
        if let Some(held) = &self.held {
            assert_eq!(
                offer.as_ref(),
                Some(held),
                "{}: an offer changed",
                self.name
            );
        }
        if ready {
            self.held = None;
            offer
        } else {
            self.held = offer;
            None
        }
    }
}
