//! AXI in front of the translation port: random bursts of several devices and ids against a translation port that
//! answers late, out of order and with faults, and a memory that answers ids out of order, beats mixed.

use super::bench::{Receiver, Sender, settle, tick};
use portcullis_hdl::bus::translate::AxiTranslate;
use portcullis_hdl::cosim::Rng;
use rust_hdl::prelude::*;
use std::collections::VecDeque;

type Uut = AxiTranslate<4, 2, 3>;

const SLVERR: u64 = 2;

/// A burst as a device sends it.
#[derive(Clone, Debug, PartialEq)]
struct Burst {
    number: u64,
    id: u64,
    iova: u64,
    len: u64,
    size: u64,
    kind: u64,
    device: u64,
    process: u64,
    valid: bool,
    prot: u64,
}

impl Burst {
    fn random(rng: &mut Rng, number: u64) -> Self {
        let size = rng.below(4);
        let kind = rng.pick(&[1u64, 1, 1, 0, 2]);
        let any = rng.below(256);
        let len = match kind {
            0 => rng.below(16),
            2 => rng.pick(&[1u64, 3, 7, 15]),
            _ => rng.pick(&[0, 1, 2, 3, 7, 15, any]),
        };
        let mut offset = rng.below(4096);
        if kind == 2 {
            offset &= !((1 << size) - 1);
        }
        if kind == 1 && (offset >> size << size) + ((len + 1) << size) > 4096 && !rng.one_in(8) {
            offset = 0;
        }
        Burst {
            number,
            id: rng.below(4),
            // The page number tells the scoreboard which burst a translation is for.
            iova: (number << 12) | offset,
            len,
            size: if rng.one_in(64) {
                4 + rng.below(4)
            } else {
                size
            },
            kind: if rng.one_in(64) { 3 } else { kind },
            device: rng.below(1 << 24),
            process: rng.below(1 << 20),
            valid: rng.one_in(2),
            prot: rng.below(8),
        }
    }
    /// Whether AXI4 allows it.
    fn legal(&self) -> bool {
        let first = (self.iova & 0xfff) >> self.size << self.size;
        self.size < 4
            && match self.kind {
                0 => self.len < 16,
                1 => first + ((self.len + 1) << self.size) <= 4096,
                2 => [1, 3, 7, 15].contains(&self.len),
                _ => false,
            }
    }
    /// What the translation port of the test says to it: a page that shows the burst's number, or a refusal.
    fn page(&self) -> Option<u64> {
        (!self.number.is_multiple_of(3)).then_some(0x8_0000_0000 ^ (self.number << 5))
    }
    fn address(&self) -> Option<u64> {
        let page = if self.legal() { self.page() } else { None };
        page.map(|p| (p << 12) | (self.iova & 0xfff))
    }
    fn data(&self, beat: u64) -> u64 {
        (self.number << 32) | (beat << 8) | 0x5a
    }
}

/// What a device or the memory sees of an address channel.
type Seen = (u64, u64, u64, u64, u64);

struct Bench {
    uut: Uut,
    rng: Rng,
    cycle: u64,
    ar: Sender<Burst>,
    aw: Sender<Burst>,
    w: Sender<(u64, u64)>,
    requests: Receiver<(u64, u64, u64, u64)>,
    r_seen: Receiver<(u64, u64, u64, bool)>,
    b_seen: Receiver<(u64, u64)>,
    m_ar_seen: Receiver<Seen>,
    m_aw_seen: Receiver<Seen>,
    m_w_seen: Receiver<(u64, u64, bool)>,
    /// Translations on their way: tag and IOVA.
    walks: Vec<(u64, u64)>,
    /// All bursts by number.
    bursts: Vec<(Burst, bool)>,
    /// Device side, by id: what is still to be answered, in order, and beats already seen.
    want_r: Vec<VecDeque<(u64, u64)>>,
    want_b: Vec<VecDeque<u64>>,
    /// Beats of write data up to the last of each burst, and those that have been taken.
    write_ends: Vec<u64>,
    beats_sent: u64,
    beats_taken: u64,
    /// The beat before was the last of its burst, or none came yet.
    between_reads: bool,
    /// It was one of an error burst, and not the last.
    erring: bool,
    /// Memory side: reads taken, by id, with the next beat; writes taken, and those whose data is complete.
    mem_r: Vec<VecDeque<(u64, u64)>>,
    mem_aw: VecDeque<u64>,
    mem_w: VecDeque<Vec<(u64, u64)>>,
    mem_b: Vec<VecDeque<u64>>,
    r: Option<(u64, u64, u64, bool)>,
    b: Option<(u64, u64)>,
    /// Numbers of granted bursts that memory has not finished.
    granted: Vec<u64>,
    /// A fence in progress: what it has to wait for.
    fence: Option<(bool, bool, Vec<u64>)>,
    overtaken: u64,
    refused: u64,
    fences: u64,
    answered: u64,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut uut = Uut::default();
        uut.connect_all();
        settle(&mut uut);
        Bench {
            uut,
            rng: Rng::new(seed),
            cycle: 0,
            ar: Sender::new(),
            aw: Sender::new(),
            w: Sender::new(),
            requests: Receiver::new("translation request"),
            r_seen: Receiver::new("s_axi r"),
            b_seen: Receiver::new("s_axi b"),
            m_ar_seen: Receiver::new("m_axi ar"),
            m_aw_seen: Receiver::new("m_axi aw"),
            m_w_seen: Receiver::new("m_axi w"),
            walks: vec![],
            bursts: vec![],
            want_r: vec![VecDeque::new(); 16],
            want_b: vec![VecDeque::new(); 16],
            write_ends: vec![],
            beats_sent: 0,
            beats_taken: 0,
            between_reads: true,
            erring: false,
            mem_r: vec![VecDeque::new(); 16],
            mem_aw: VecDeque::new(),
            mem_w: VecDeque::from([vec![]]),
            mem_b: vec![VecDeque::new(); 16],
            r: None,
            b: None,
            granted: vec![],
            fence: None,
            overtaken: 0,
            refused: 0,
            fences: 0,
            answered: 0,
        }
    }

    fn send(&mut self, write: bool) {
        let burst = Burst::random(&mut self.rng, self.bursts.len() as u64);
        self.bursts.push((burst.clone(), write));
        let id = burst.id as usize;
        if write {
            for beat in 0..=burst.len {
                self.w
                    .push((burst.data(beat), (burst.number + beat) & 0xff));
            }
            self.beats_sent += burst.len + 1;
            self.want_b[id].push_back(burst.number);
            self.aw.push(burst);
        } else {
            self.want_r[id].push_back((burst.number, 0));
            self.ar.push(burst);
        }
        self.write_ends.push(self.beats_sent);
    }

    fn idle(&self) -> bool {
        self.want_r.iter().all(VecDeque::is_empty) && self.want_b.iter().all(VecDeque::is_empty)
    }

    fn set_addresses(&mut self) -> (bool, bool, bool) {
        let ar = self.ar.offer(&mut self.rng, 2);
        let aw = self.aw.offer(&mut self.rng, 2);
        let w = self.w.offer(&mut self.rng, 2);
        let s = &mut self.uut.s_axi;
        s.arvalid.next = ar.is_some();
        if let Some(b) = &ar {
            s.arid.next = b.id.into();
            s.araddr.next = b.iova.into();
            s.arlen.next = b.len.into();
            s.arsize.next = b.size.into();
            s.arburst.next = b.kind.into();
            s.arprot.next = b.prot.into();
            s.armmusid.next = b.device.into();
            s.armmussid.next = b.process.into();
            s.armmussidv.next = b.valid;
        }
        s.awvalid.next = aw.is_some();
        if let Some(b) = &aw {
            s.awid.next = b.id.into();
            s.awaddr.next = b.iova.into();
            s.awlen.next = b.len.into();
            s.awsize.next = b.size.into();
            s.awburst.next = b.kind.into();
            s.awprot.next = b.prot.into();
            s.awmmusid.next = b.device.into();
            s.awmmussid.next = b.process.into();
            s.awmmussidv.next = b.valid;
        }
        s.wvalid.next = w.is_some();
        if let Some((data, strobe)) = w {
            s.wdata.next = data.into();
            s.wstrb.next = strobe.into();
        }
        (ar.is_some(), aw.is_some(), w.is_some())
    }

    fn set_memory(&mut self) {
        let rng = &mut self.rng;
        if self.r.is_none() && rng.one_in(2) {
            let ids: Vec<usize> = (0..16).filter(|i| !self.mem_r[*i].is_empty()).collect();
            if !ids.is_empty() {
                let id = ids[rng.below(ids.len() as u64) as usize];
                let (number, beat) = self.mem_r[id][0];
                let burst = &self.bursts[number as usize].0;
                self.r = Some((id as u64, burst.data(beat), 0, beat == burst.len));
            }
        }
        if self.b.is_none() && rng.one_in(4) {
            let ids: Vec<usize> = (0..16).filter(|i| !self.mem_b[*i].is_empty()).collect();
            if !ids.is_empty() {
                let id = ids[rng.below(ids.len() as u64) as usize];
                self.b = Some((id as u64, self.mem_b[id][0] % 2));
            }
        }
        let m = &mut self.uut.m_axi;
        m.rvalid.next = self.r.is_some();
        if let Some((id, data, resp, last)) = self.r {
            m.rid.next = id.into();
            m.rdata.next = data.into();
            m.rresp.next = resp.into();
            m.rlast.next = last;
        }
        m.bvalid.next = self.b.is_some();
        if let Some((id, resp)) = self.b {
            m.bid.next = id.into();
            m.bresp.next = resp.into();
        }
        m.arready.next = rng.one_in(2);
        m.awready.next = rng.one_in(2);
        m.wready.next = rng.one_in(2);
        self.uut.s_axi.rready.next = rng.one_in(2);
        self.uut.s_axi.bready.next = rng.one_in(2);
        self.uut.req_ready.next = rng.one_in(2);
    }

    /// A translation is answered: in any order.
    fn set_translation(&mut self) -> Option<u64> {
        let answer = !self.walks.is_empty() && self.rng.one_in(3);
        self.uut.rsp_valid.next = answer;
        if !answer {
            return None;
        }
        let at = self.rng.below(self.walks.len() as u64) as usize;
        let (tag, iova) = self.walks.swap_remove(at);
        let number = iova >> 12;
        let page = self.bursts[number as usize].0.page();
        self.uut.rsp_tag.next = tag.into();
        self.uut.rsp_fault.next = page.is_none();
        // A refusal carries no address; here it carries one that must not be used.
        let pa = page.map_or(0x666_0000, |p| (p << 12) | (iova & 0xfff));
        self.uut.rsp_pa.next = pa.into();
        page.map(|_| number)
    }

    fn set_fence(&mut self, busy: bool) {
        if busy && self.fence.is_none() && self.rng.one_in(64) {
            let (reads, writes) = (self.rng.one_in(2), self.rng.one_in(2));
            if reads || writes {
                let bursts = &self.bursts;
                let counts = |n: &u64| if bursts[*n as usize].1 { writes } else { reads };
                let wait = self.granted.iter().copied().filter(counts).collect();
                self.fence = Some((reads, writes, wait));
            }
        }
        let (reads, writes) = self.fence.as_ref().map_or((false, false), |f| (f.0, f.1));
        self.uut.sync_reads.next = reads;
        self.uut.sync_writes.next = writes;
    }

    fn see_requests(&mut self) {
        let u = &self.uut;
        let offer = u.req_valid.val().then(|| {
            (
                u64::from(u.req_tag.val()),
                u64::from(u.req_iova.val()),
                u64::from(u.req_device_id.val()),
                u64::from(u.req_access.val()),
            )
        });
        let process = (
            u64::from(u.req_process_id.val()),
            u.req_process_valid.val(),
            u.req_privileged.val(),
        );
        let Some((tag, iova, device, access)) = self.requests.see(offer, u.req_ready.val()) else {
            return;
        };
        let (burst, write) = &self.bursts[(iova >> 12) as usize];
        assert!(burst.legal(), "asked for {burst:?}");
        assert_eq!(iova, burst.iova);
        assert_eq!(device, burst.device);
        let wanted = match (write, burst.prot & 4) {
            (true, _) => 1,
            (false, 0) => 0,
            _ => 2,
        };
        assert_eq!(access, wanted);
        assert_eq!(process, (burst.process, burst.valid, burst.prot & 1 == 1));
        assert_eq!(tag >> 5 == 1, *write);
        assert!(self.walks.iter().all(|(t, _)| *t != tag), "tag {tag} twice");
        self.walks.push((tag, iova));
    }

    fn number_of(&self, seen: Seen, write: bool) -> u64 {
        let (id, address, len, size, kind) = seen;
        let fits = |b: &&(Burst, bool)| b.0.address() == Some(address) && b.1 == write;
        let found = self.bursts.iter().find(fits);
        let (burst, _) = found.unwrap_or_else(|| panic!("{address:#x} was not translated"));
        assert_eq!(
            (id, len, size, kind),
            (burst.id, burst.len, burst.size, burst.kind)
        );
        assert!(
            self.granted.contains(&burst.number),
            "{address:#x} left before its answer"
        );
        burst.number
    }

    fn see_memory(&mut self) {
        let m = &self.uut.m_axi;
        let ar = m.arvalid.val().then(|| {
            (
                u64::from(m.arid.val()),
                u64::from(m.araddr.val()),
                u64::from(m.arlen.val()),
                u64::from(m.arsize.val()),
                u64::from(m.arburst.val()),
            )
        });
        let aw = m.awvalid.val().then(|| {
            (
                u64::from(m.awid.val()),
                u64::from(m.awaddr.val()),
                u64::from(m.awlen.val()),
                u64::from(m.awsize.val()),
                u64::from(m.awburst.val()),
            )
        });
        let w = m.wvalid.val().then(|| {
            (
                u64::from(m.wdata.val()),
                u64::from(m.wstrb.val()),
                m.wlast.val(),
            )
        });
        let ready = (m.arready.val(), m.awready.val(), m.wready.val());
        let taken = (
            self.r.is_some() && m.rready.val(),
            self.b.is_some() && m.bready.val(),
        );
        if let Some(seen) = self.m_ar_seen.see(ar, ready.0) {
            let number = self.number_of(seen, false);
            let id = seen.0 as usize;
            self.overtaken += u64::from(self.bursts[..number as usize].iter().any(|(b, write)| {
                !write
                    && b.address().is_some()
                    && self.want_r[b.id as usize].iter().any(|w| w.0 == b.number)
                    && !self.mem_r[b.id as usize].iter().any(|r| r.0 == b.number)
                    && b.id != seen.0
            }));
            self.mem_r[id].push_back((number, 0));
        }
        if let Some(seen) = self.m_aw_seen.see(aw, ready.1) {
            let number = self.number_of(seen, true);
            self.mem_aw.push_back(number);
        }
        if let Some((data, strobe, last)) = self.m_w_seen.see(w, ready.2) {
            self.mem_w.back_mut().expect("a burst").push((data, strobe));
            if last {
                self.mem_w.push_back(vec![]);
            }
        }
        while self.mem_w.len() > 1 && !self.mem_aw.is_empty() {
            let number = self.mem_aw.pop_front().expect("an address");
            let beats = self.mem_w.pop_front().expect("its data");
            let burst = &self.bursts[number as usize].0;
            let wanted: Vec<(u64, u64)> = (0..=burst.len)
                .map(|i| (burst.data(i), (number + i) & 0xff))
                .collect();
            assert_eq!(beats, wanted, "data of {burst:?}");
            self.mem_b[burst.id as usize].push_back(number);
        }
        if taken.0 {
            let (id, _, _, last) = self.r.take().expect("a beat");
            let queue = &mut self.mem_r[id as usize];
            queue[0].1 += 1;
            if last {
                let (number, _) = queue.pop_front().expect("a read");
                self.granted.retain(|n| *n != number);
            }
        }
        if taken.1 {
            let (id, _) = self.b.take().expect("an answer");
            let number = self.mem_b[id as usize].pop_front().expect("a write");
            self.granted.retain(|n| *n != number);
        }
    }

    fn see_devices(&mut self) {
        let s = &self.uut.s_axi;
        let r = s.rvalid.val().then(|| {
            (
                u64::from(s.rid.val()),
                u64::from(s.rdata.val()),
                u64::from(s.rresp.val()),
                s.rlast.val(),
            )
        });
        let b = s
            .bvalid
            .val()
            .then(|| (u64::from(s.bid.val()), u64::from(s.bresp.val())));
        if let Some((id, data, resp, last)) = self.r_seen.see(r, s.rready.val()) {
            let queue = &mut self.want_r[id as usize];
            let (number, beat) = queue.front_mut().expect("somebody waits");
            let burst = &self.bursts[*number as usize].0;
            let wanted = match burst.address() {
                Some(_) => (burst.data(*beat), 0),
                None => (0, SLVERR),
            };
            assert_eq!((data, resp), wanted, "beat {beat} of {burst:?}");
            assert_eq!(last, *beat == burst.len, "beat {beat} of {burst:?}");
            // An error burst stands between others. Within one from memory, memory may mix.
            if resp == SLVERR {
                assert!(
                    *beat > 0 || self.between_reads,
                    "{burst:?} cuts another in two"
                );
                self.erring = !last;
            } else {
                assert!(!self.erring, "{burst:?} is mixed with an error burst");
            }
            self.between_reads = last;
            *beat += 1;
            if last {
                self.refused += u64::from(resp == SLVERR);
                self.answered += 1;
                queue.pop_front();
            }
        }
        if let Some((id, resp)) = self.b_seen.see(b, s.bready.val()) {
            let number = self.want_b[id as usize]
                .pop_front()
                .expect("somebody waits");
            let burst = &self.bursts[number as usize].0;
            let wanted = if burst.address().is_some() {
                number % 2
            } else {
                SLVERR
            };
            assert_eq!(resp, wanted, "answer to {burst:?}");
            let end = self.write_ends[number as usize];
            assert!(
                self.beats_taken >= end,
                "answer before the data of {burst:?}"
            );
            self.refused += u64::from(resp == SLVERR);
            self.answered += 1;
        }
    }

    /// One cycle; in a `busy` one, devices may send new bursts and a fence may begin.
    fn step(&mut self, busy: bool) {
        if busy && self.ar.len() < 4 && self.rng.one_in(8) {
            self.send(false);
        }
        if busy && self.aw.len() < 4 && self.rng.one_in(8) {
            self.send(true);
        }
        let (ar, aw, w) = self.set_addresses();
        self.set_memory();
        let granted = self.set_translation();
        self.set_fence(busy);
        settle(&mut self.uut);
        let s = &self.uut.s_axi;
        let (ar, aw, w) = (
            ar && s.arready.val(),
            aw && s.awready.val(),
            w && s.wready.val(),
        );
        if ar {
            self.ar.taken();
        }
        if aw {
            self.aw.taken();
        }
        if w {
            self.w.taken();
            self.beats_taken += 1;
        }
        self.see_requests();
        self.see_memory();
        self.see_devices();
        if self.uut.sync_ack.val() {
            let (_, _, wait) = self.fence.take().expect("a fence");
            let left: Vec<&u64> = wait.iter().filter(|n| self.granted.contains(n)).collect();
            assert!(left.is_empty(), "the fence did not wait for {left:?}");
            self.fences += 1;
        }
        self.granted.extend(granted);
        tick(&mut self.uut, |u| &mut u.clock);
        self.cycle += 1;
    }
}

#[test]
fn random_bursts_are_translated_answered_in_order_and_fenced() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut bench = Bench::new(seed);
        for _ in 0..6000 {
            bench.step(true);
        }
        println!(
            "{} bursts answered, {} refused, {} overtook, {} fences",
            bench.answered, bench.refused, bench.overtaken, bench.fences
        );
        assert!(
            bench.answered > 100 && bench.refused > 20,
            "nothing happened"
        );
        assert!(bench.overtaken > 5 && bench.fences > 5, "nothing happened");
    }
}

/// Given devices that go on for ever with ids of their own, when they stop, everything is answered.
#[test]
fn nothing_is_forgotten() {
    let mut bench = Bench::new(77);
    for _ in 0..2000 {
        bench.step(true);
    }
    for _ in 0..20_000 {
        if bench.idle() && bench.fence.is_none() {
            return;
        }
        bench.step(false);
    }
    panic!("still waiting: {:?} {:?}", bench.want_r, bench.want_b);
}

/// Given a burst every cycle and nobody who waits, then reads leave one a cycle, five cycles after they came.
#[test]
fn timing_of_a_hit() {
    let mut uut = Uut::default();
    uut.connect_all();
    uut.req_ready.next = true;
    uut.m_axi.arready.next = true;
    settle(&mut uut);
    let mut pipeline: VecDeque<Option<(u64, u64)>> = VecDeque::from([None, None]);
    let mut first = None;
    for cycle in 0..12u64 {
        uut.s_axi.arvalid.next = cycle == 0;
        uut.s_axi.araddr.next = 0x1000u64.into();
        uut.s_axi.arburst.next = 1u64.into();
        uut.s_axi.arsize.next = 3u64.into();
        // The core answers a hit two cycles after it has taken the request.
        let answer = pipeline.pop_front().expect("two stages");
        uut.rsp_valid.next = answer.is_some();
        if let Some((tag, iova)) = answer {
            uut.rsp_tag.next = tag.into();
            uut.rsp_pa.next = (iova | 0x8000_0000).into();
        }
        settle(&mut uut);
        let request = uut
            .req_valid
            .val()
            .then(|| (u64::from(uut.req_tag.val()), u64::from(uut.req_iova.val())));
        pipeline.push_back(request);
        if uut.m_axi.arvalid.val() && first.is_none() {
            assert_eq!(u64::from(uut.m_axi.araddr.val()), 0x8000_1000);
            first = Some(cycle);
        }
        tick(&mut uut, |u| &mut u.clock);
    }
    assert_eq!(first, Some(5));
}
