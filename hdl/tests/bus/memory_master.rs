//! The AXI master of walks and queues: bursts arrive whole and once, with the right addresses, under waiting.

use super::bench::{Receiver, Sender, settle, tick};
use portcullis_hdl::bus::ptw::AxiPtw;
use portcullis_hdl::cosim::Rng;
use rust_hdl::prelude::*;
use std::collections::VecDeque;

#[test]
fn writes_become_one_burst_each_and_are_answered() {
    println!("seed 9");
    let mut rng = Rng::new(9);
    let mut uut = AxiPtw::default();
    uut.connect_all();
    settle(&mut uut);
    // Beats of the core: address, data, strobe, last.
    let mut beats: Sender<(u64, u64, u64, bool)> = Sender::new();
    let mut aw = Receiver::new("aw");
    let mut w = Receiver::new("w");
    let (mut addresses, mut data) = (VecDeque::new(), vec![]);
    let mut sent: Option<(u64, Vec<(u64, u64)>)> = None;
    let mut done = 0;
    for _ in 0..20_000 {
        if sent.is_none() {
            let n = if rng.one_in(2) { 4 } else { 1 };
            let address = rng.below(1 << 40) & !0xfff | (rng.below(128) * 32);
            let list: Vec<(u64, u64)> = (0..n).map(|_| (rng.bits(), 1 + rng.below(255))).collect();
            for (i, (d, s)) in list.iter().enumerate() {
                beats.push((address + 8 * i as u64, *d, *s, i + 1 == n));
            }
            sent = Some((address, list));
        }
        let offer = beats.offer(&mut rng, 2);
        uut.w_valid.next = offer.is_some();
        if let Some((address, d, s, last)) = offer {
            uut.w_addr.next = address.into();
            uut.w_data.next = d.into();
            uut.w_strobe.next = s.into();
            uut.w_last.next = last;
        }
        uut.m_axi.awready.next = rng.one_in(4);
        uut.m_axi.wready.next = rng.one_in(2);
        let answer =
            data.last().is_some_and(|(_, _, last)| *last) && !addresses.is_empty() && rng.one_in(4);
        let error = rng.one_in(2);
        uut.m_axi.bvalid.next = answer;
        uut.m_axi.bresp.next = (if error { 2u64 } else { 0 }).into();
        settle(&mut uut);
        let m = &uut.m_axi;
        if offer.is_some() && uut.w_ready.val() {
            beats.taken();
        }
        let seen = m
            .awvalid
            .val()
            .then(|| (u64::from(m.awaddr.val()), u64::from(m.awlen.val())));
        addresses.extend(aw.see(seen, m.awready.val()));
        let seen = m.wvalid.val().then(|| {
            (
                u64::from(m.wdata.val()),
                u64::from(m.wstrb.val()),
                m.wlast.val(),
            )
        });
        data.extend(w.see(seen, m.wready.val()));
        assert_eq!(uut.b_valid.val(), answer);
        if answer {
            assert!(m.bready.val());
            assert_eq!(uut.b_error.val(), error);
            let (address, list) = sent.take().expect("a burst");
            assert_eq!(
                addresses.pop_front(),
                Some((address, list.len() as u64 - 1))
            );
            let last = list.len() - 1;
            let wanted: Vec<(u64, u64, bool)> = list
                .iter()
                .enumerate()
                .map(|(i, (d, s))| (*d, *s, i == last))
                .collect();
            assert_eq!(data, wanted);
            data.clear();
            done += 1;
        }
        tick(&mut uut, |u| &mut u.clock);
    }
    assert!(done > 500, "{done} bursts");
}

#[test]
fn reads_pass_with_their_id_and_errors_become_access_faults() {
    let mut uut = AxiPtw::default();
    uut.connect_all();
    for (resp, status) in [(0u64, 0u64), (1, 0), (2, 1), (3, 1)] {
        uut.ar_valid.next = true;
        uut.ar_addr.next = 0x12_3456_7ff8u64.into();
        uut.ar_len.next = 3u64.into();
        uut.ar_id.next = 5u64.into();
        uut.m_axi.rvalid.next = true;
        uut.m_axi.rid.next = 6u64.into();
        uut.m_axi.rdata.next = 0x55u64.into();
        uut.m_axi.rresp.next = resp.into();
        uut.m_axi.rlast.next = true;
        settle(&mut uut);
        assert!(uut.m_axi.arvalid.val());
        assert_eq!(u64::from(uut.m_axi.araddr.val()), 0x12_3456_7ff8);
        assert_eq!(u64::from(uut.m_axi.arlen.val()), 3);
        assert_eq!(u64::from(uut.m_axi.arid.val()), 5);
        assert!(uut.r_valid.val() && uut.r_last.val());
        assert_eq!(u64::from(uut.r_id.val()), 6);
        assert_eq!(u64::from(uut.r_status.val()), status);
        tick(&mut uut, |u| &mut u.clock);
    }
}
