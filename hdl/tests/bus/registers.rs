//! Register buses against a model of the register port: what each access does, and that nothing is lost under waiting.

use super::bench::{Receiver, settle, tick};
use portcullis_hdl::bus::axil32::AxiLite32;
use portcullis_hdl::bus::axil64::AxiLite64;
use portcullis_hdl::bus::wishbone::WishboneRegisters;
use portcullis_hdl::cosim::Rng;
use portcullis_regmap::regs::REGISTERS;
use rust_hdl::prelude::*;

/// A register page of plain storage behind the register port's rules: 8-byte accesses to 8-byte registers, 4-byte
/// ones to everything; anything else touches nothing and reads 0.
struct Page {
    words: Vec<u32>,
    acked: bool,
    rdata: u64,
    accesses: usize,
}

/// Whether a doubleword of the page holds 4-byte registers.
fn is_pair(row: usize) -> bool {
    let covers = |r: &portcullis_regmap::regs::Register| {
        (0..usize::from(r.count))
            .any(|i| (usize::from(r.offset) + i * usize::from(r.stride)) / 8 == row)
    };
    REGISTERS.iter().any(|r| r.width == 4 && covers(r))
}

impl Page {
    fn new(rng: &mut Rng) -> Self {
        Page {
            words: (0..1024).map(|_| rng.bits() as u32).collect(),
            acked: false,
            rdata: 0,
            accesses: 0,
        }
    }
    /// Outputs of this cycle.
    fn outputs(&self) -> (bool, u64) {
        (self.acked, self.rdata)
    }
    fn step(&mut self, valid: bool, write: bool, offset: u64, wide: bool, wdata: u64) {
        let access = valid && !self.acked;
        self.acked = access;
        if !access {
            return;
        }
        self.accesses += 1;
        self.rdata = 0;
        let at = offset as usize / 4;
        let good = if wide {
            offset.is_multiple_of(8) && !is_pair(offset as usize / 8)
        } else {
            offset.is_multiple_of(4)
        };
        match (good, write, wide) {
            (false, _, _) => {}
            (_, true, false) => self.words[at] = wdata as u32,
            (_, true, true) => {
                self.words[at] = wdata as u32;
                self.words[at + 1] = (wdata >> 32) as u32;
            }
            (_, false, false) => self.rdata = self.words[at].into(),
            (_, false, true) => {
                self.rdata = u64::from(self.words[at]) | (u64::from(self.words[at + 1]) << 32);
            }
        }
    }
}

macro_rules! axi_lite_test {
    ($name:ident, $uut:ty, $bytes:expr, $apply:expr) => {
        #[test]
        fn $name() {
            const BYTES: u64 = $bytes;
            let apply: fn(&mut Vec<u32>, u64, u64, u64) = $apply;
            let mut uut = <$uut>::default();
            uut.connect_all();
            settle(&mut uut);
            println!("seed 3");
            let mut rng = Rng::new(3);
            let mut page = Page::new(&mut rng);
            let mut expected = page.words.clone();
            let mut b = Receiver::new("b");
            let mut r = Receiver::new("r");
            let (mut aw, mut w, mut ar) = (None, None, None);
            let (mut written, mut reading) = (None, None);
            let (mut writes, mut reads) = (0, 0);
            for _ in 0..20_000 {
                if written.is_none() && aw.is_none() && w.is_none() && rng.one_in(4) {
                    let strobe = match rng.below(6) {
                        0 => 0xf,
                        1 if BYTES == 8 => 0xf0,
                        2 => rng.below(1 << BYTES),
                        _ => (1 << BYTES) - 1,
                    };
                    aw = Some((rng.below(4096), false));
                    w = Some((rng.bits() >> (64 - 8 * BYTES), strobe, false));
                }
                if reading.is_none() && ar.is_none() && rng.one_in(4) {
                    ar = Some((rng.below(4096), false));
                }
                // An offer may come late, and stays.
                if let Some(a) = &mut aw {
                    a.1 |= rng.one_in(2);
                }
                if let Some(a) = &mut w {
                    a.2 |= rng.one_in(2);
                }
                if let Some(a) = &mut ar {
                    a.1 |= rng.one_in(2);
                }
                uut.s_axil.awvalid.next = aw.is_some_and(|a| a.1);
                uut.s_axil.awaddr.next = aw.map_or(0, |a| a.0).into();
                uut.s_axil.wvalid.next = w.is_some_and(|a| a.2);
                uut.s_axil.wdata.next = w.map_or(0, |a| a.0).into();
                uut.s_axil.wstrb.next = w.map_or(0, |a| a.1).into();
                uut.s_axil.arvalid.next = ar.is_some_and(|a| a.1);
                uut.s_axil.araddr.next = ar.map_or(0, |a| a.0).into();
                uut.s_axil.bready.next = rng.one_in(2);
                uut.s_axil.rready.next = rng.one_in(2);
                let (done, rdata) = page.outputs();
                uut.reg_done.next = done;
                uut.reg_rdata.next = rdata.into();
                settle(&mut uut);
                let s = &uut.s_axil;
                assert_eq!(
                    s.awvalid.val() && s.awready.val(),
                    s.wvalid.val() && s.wready.val(),
                    "address and data go together"
                );
                if s.bvalid.val() {
                    assert_eq!(u64::from(s.bresp.val()), 0);
                }
                if b.see(s.bvalid.val().then_some(0), s.bready.val()).is_some() {
                    let (address, data, strobe) = written.take().expect("a write");
                    apply(&mut expected, address, data, strobe);
                    assert_eq!(page.words, expected, "{address:#x} {data:#x} {strobe:#x}");
                    writes += 1;
                }
                let offer = s.rvalid.val().then(|| u64::from(s.rdata.val()));
                if let Some(data) = r.see(offer, s.rready.val()) {
                    let address: u64 = reading.take().expect("a read");
                    let at = (address / BYTES * BYTES / 4) as usize;
                    let mut wanted = u64::from(expected[at]);
                    if BYTES == 8 {
                        wanted |= u64::from(expected[at + 1]) << 32;
                    }
                    assert_eq!(data, wanted, "read of {address:#x}");
                    reads += 1;
                }
                if s.awvalid.val() && s.awready.val() {
                    let (address, _) = aw.take().expect("an address");
                    let (data, strobe, _) = w.take().expect("data");
                    written = Some((address, data, strobe));
                }
                if s.arvalid.val() && s.arready.val() {
                    reading = ar.take().map(|a| a.0);
                }
                page.step(
                    uut.reg_valid.val(),
                    uut.reg_write.val(),
                    uut.reg_offset.val().into(),
                    uut.reg_wide.val(),
                    uut.reg_wdata.val().into(),
                );
                tick(&mut uut, |u| &mut u.clock);
            }
            assert!(
                writes > 500 && reads > 500,
                "{writes} writes, {reads} reads"
            );
        }
    };
}

axi_lite_test!(axi_lite_32, AxiLite32, 4, |words, address, data, strobe| {
    if strobe == 0xf {
        words[address as usize / 4] = data as u32;
    }
});

axi_lite_test!(axi_lite_64, AxiLite64, 8, |words, address, data, strobe| {
    let at = address as usize / 8 * 2;
    match strobe {
        0x0f => words[at] = data as u32,
        0xf0 => words[at + 1] = (data >> 32) as u32,
        // An 8-byte write to two 4-byte registers touches neither (REG-04).
        0xff if !is_pair(at / 2) => {
            words[at] = data as u32;
            words[at + 1] = (data >> 32) as u32;
        }
        _ => {}
    }
});

#[test]
fn wishbone() {
    let mut uut = WishboneRegisters::default();
    uut.connect_all();
    settle(&mut uut);
    println!("seed 4");
    let mut rng = Rng::new(4);
    let mut page = Page::new(&mut rng);
    let mut expected = page.words.clone();
    let mut access: Option<(bool, u64, u32, u64)> = None;
    let mut acks = 0;
    for _ in 0..10_000 {
        if access.is_none() && rng.one_in(2) {
            let select = if rng.one_in(3) { rng.below(16) } else { 15 };
            access = Some((rng.one_in(2), rng.below(1024), rng.bits() as u32, select));
        } else if rng.one_in(64) {
            // A cycle that is given up; its access may or may not have happened.
            if let Some((true, address, data, 15)) = access {
                expected[address as usize] = page.words[address as usize];
                let _ = data;
            }
            access = None;
        }
        let (done, rdata) = page.outputs();
        uut.reg_done.next = done;
        uut.reg_rdata.next = rdata.into();
        uut.s_wb.cyc.next = access.is_some();
        uut.s_wb.stb.next = access.is_some();
        if let Some((write, address, data, select)) = access {
            uut.s_wb.we.next = write;
            uut.s_wb.adr.next = address.into();
            uut.s_wb.dat_w.next = u64::from(data).into();
            uut.s_wb.sel.next = select.into();
        }
        settle(&mut uut);
        if uut.s_wb.ack.val() {
            let (write, address, data, select) = access.take().expect("an access");
            if write && select == 15 {
                expected[address as usize] = data;
            }
            assert_eq!(page.words, expected);
            if !write {
                let read = u64::from(uut.s_wb.dat_r.val());
                assert_eq!(read, u64::from(expected[address as usize]));
            }
            acks += 1;
        }
        page.step(
            uut.reg_valid.val(),
            uut.reg_write.val(),
            uut.reg_offset.val().into(),
            uut.reg_wide.val(),
            uut.reg_wdata.val().into(),
        );
        tick(&mut uut, |u| &mut u.clock);
    }
    assert!(acks > 2000, "{acks} accesses");
}
