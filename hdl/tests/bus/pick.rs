//! The picker serves everybody.

use super::bench::tick;
use portcullis_hdl::bus::pick::Pick;
use portcullis_hdl::cosim::Rng;
use rust_hdl::prelude::*;

#[test]
fn nobody_waits_for_more_than_two_turns_of_each_other() {
    let mut uut = Pick::<4, 2>::default();
    uut.connect_all();
    let mut rng = Rng::new(5);
    let mut waited = [0u64; 4];
    let mut ask = 0u64;
    for cycle in 0..2000 {
        ask |= rng.below(16);
        uut.ask.next = ask.into();
        uut.take.next = rng.one_in(2);
        super::bench::settle(&mut uut);
        assert_eq!(uut.any.val(), ask != 0);
        let one = u64::from(uut.one.val());
        if ask != 0 {
            assert_eq!(one.count_ones(), 1, "cycle {cycle}");
            assert_ne!(one & ask, 0, "cycle {cycle}: picked one that does not ask");
            assert_eq!(1 << u64::from(uut.index.val()), one);
        }
        if uut.take.val() {
            for (i, wait) in waited.iter_mut().enumerate() {
                let picked = one >> i & 1 == 1;
                let asks = ask >> i & 1 == 1;
                *wait = if asks && !picked { *wait + 1 } else { 0 };
                assert!(*wait <= 6, "cycle {cycle}: {i} waits");
            }
            ask &= !one;
        }
        tick(&mut uut, |u| &mut u.clock);
    }
}
