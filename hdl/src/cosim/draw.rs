//! Random input values, biased towards the ones that matter.

use crate::bus::shapes::{Ask, ReadBeat, WriteAnswer, WriteBeat};
use crate::types::{Context, Leaf, PipeOp, Record, Req, Rights, Spa};
use rust_hdl::prelude::*;

/// A small random number generator (splitmix64): reproducible on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// True in one of `n` cases.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A type of which random values can be made.
pub trait Draw: Synth {
    /// A random value; zero, all ones and small numbers come often, so that addresses meet.
    fn draw(rng: &mut Rng) -> Self;
}

impl<const N: usize> Draw for Bits<N> {
    fn draw(rng: &mut Rng) -> Self {
        let shape = rng.below(8);
        let mut out = Bits::default();
        for i in (0..N).step_by(64) {
            let word = match shape {
                0 => 0,
                1 => u64::MAX,
                2 | 3 if i == 0 => rng.bits() & 7,
                2 | 3 => 0,
                _ => rng.bits(),
            };
            for k in i..N.min(i + 64) {
                out = out.replace_bit(k, (word >> (k - i)) & 1 == 1);
            }
        }
        out
    }
}

impl Draw for Bit {
    fn draw(rng: &mut Rng) -> Self {
        rng.one_in(2)
    }
}

macro_rules! draw_fields {
    ($ty:ident: $($field:ident),* $(,)?) => {
        impl Draw for $ty {
            fn draw(rng: &mut Rng) -> Self {
                $ty { $($field: Draw::draw(rng)),* }
            }
        }
    };
}

draw_fields!(Context: dtf, pdtv, paged, extra, far, root);
draw_fields!(Leaf: p0, p1, p2, p3, p4, r, w, x);
draw_fields!(Rights: r, w, x);
draw_fields!(Spa: off, p0, p1, p2, p3, p4, hi);
draw_fields!(Req: off, vpn0, vpn1, vpn2, vpn3, vpn4, hi, tag, did, pv, pid, sup, access, kind, debug);
draw_fields!(Record: cause, pid, pv, sup, ttyp, did, iova);

draw_fields!(Ask: id, off, page, len, size, burst, lock, cache, prot, qos, did, pid, pv);
draw_fields!(ReadBeat: id, data, resp, last);
draw_fields!(WriteBeat: data, strobe);
draw_fields!(WriteAnswer: id, resp);

impl Draw for PipeOp {
    fn draw(rng: &mut Rng) -> Self {
        rng.pick(&[
            PipeOp::Translate,
            PipeOp::InvalVma,
            PipeOp::InvalDdt,
            PipeOp::Fence,
        ])
    }
}
