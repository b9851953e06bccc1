//! The wrappers of [`crate::bus`] on their own, under inputs that keep no rule of their bus: what a master or a memory
//! must not do has to be the same in Verilog as well.

use super::{Case, Rng};
use crate::bus::axil32::AxiLite32;
use crate::bus::axil64::AxiLite64;
use crate::bus::ptw::AxiPtw;
use crate::bus::reads::Reads;
use crate::bus::shapes::Ask;
use crate::bus::translate::AxiTranslate;
use crate::bus::wishbone::WishboneRegisters;
use crate::bus::writes::Writes;
use crate::cosim_case as case;

/// A burst that has ids in common with others, ends soon, and is legal most of the time.
fn burst(ask: &mut Ask, rng: &mut Rng) {
    ask.id = rng.below(3).into();
    ask.len = rng.pick(&[0u64, 0, 0, 1, 1, 3]).into();
    if !rng.one_in(8) {
        ask.size = rng.below(4).into();
        ask.burst = 1.into();
    }
}

macro_rules! lite {
    ($name:literal, $block:ty, $strobes:expr) => {
        case!(
            $name,
            <$block>::default(),
            [
                reset,
                s_axil.awvalid,
                s_axil.awaddr,
                s_axil.wvalid,
                s_axil.wdata,
                s_axil.wstrb,
                s_axil.bready,
                s_axil.arvalid,
                s_axil.araddr,
                s_axil.rready,
                reg_done,
                reg_rdata
            ],
            |u, rng| {
                // Those that make an access, and anything.
                if !rng.one_in(4) {
                    u.s_axil.wstrb.next = rng.pick(&$strobes).into();
                }
                u.s_axil.araddr.next = super::top::register(rng).into();
            }
        )
    };
}

/// A block with `m_axi`: memory's side of it, and the inputs given.
macro_rules! master {
    ($name:literal, $block:expr, [$($input:tt)*] $($draw:tt)*) => {
        case!(
            $name,
            $block,
            [
                m_axi.awready,
                m_axi.wready,
                m_axi.bvalid,
                m_axi.bid,
                m_axi.bresp,
                m_axi.arready,
                m_axi.rvalid,
                m_axi.rid,
                m_axi.rdata,
                m_axi.rresp,
                m_axi.rlast,
                $($input)*
            ]
            $($draw)*
        )
    };
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    vec![
        lite!("axil32", AxiLite32, [0xfu64]),
        lite!("axil64", AxiLite64, [0x0fu64, 0xf0, 0xff]),
        case!(
            "wishbone",
            WishboneRegisters::default(),
            [
                reset, s_wb.cyc, s_wb.stb, s_wb.we, s_wb.adr, s_wb.sel, s_wb.dat_w, reg_done,
                reg_rdata
            ]
        ),
        ptw(),
        reads(),
        writes(),
        translate(),
    ]
}

fn ptw() -> Case {
    master!(
        "ptw",
        AxiPtw::default(),
        [
            reset, ar_valid, ar_addr, ar_len, ar_id, w_valid, w_addr, w_data, w_strobe, w_last
        ]
    )
}

fn reads() -> Case {
    case!(
        "reads",
        Reads::<4, 2>::default(),
        [
            reset, s_arvalid, s_ar, s_rready, m_arready, m_rvalid, m_r, req_ready, rsp_valid,
            rsp_slot, rsp_fault, rsp_page, sync
        ],
        |u, rng| {
            burst(&mut u.s_ar.next, rng);
            u.m_r.next.id = rng.below(3).into();
        }
    )
}

fn writes() -> Case {
    case!(
        "writes",
        Writes::<4, 2, 3>::default(),
        [
            reset, s_awvalid, s_aw, s_wvalid, s_w, s_bready, m_awready, m_wready, m_bvalid, m_b,
            req_ready, rsp_valid, rsp_slot, rsp_fault, rsp_page, sync
        ],
        |u, rng| {
            burst(&mut u.s_aw.next, rng);
            u.m_b.next.id = rng.below(3).into();
        }
    )
}

fn translate() -> Case {
    master!(
        "translate",
        AxiTranslate::<8, 3, 4>::default(),
        [
            reset,
            s_axi.awvalid,
            s_axi.awid,
            s_axi.awaddr,
            s_axi.awlen,
            s_axi.awsize,
            s_axi.awburst,
            s_axi.awlock,
            s_axi.awcache,
            s_axi.awprot,
            s_axi.awqos,
            s_axi.awmmusid,
            s_axi.awmmussid,
            s_axi.awmmussidv,
            s_axi.wvalid,
            s_axi.wdata,
            s_axi.wstrb,
            s_axi.wlast,
            s_axi.bready,
            s_axi.arvalid,
            s_axi.arid,
            s_axi.araddr,
            s_axi.arlen,
            s_axi.arsize,
            s_axi.arburst,
            s_axi.arlock,
            s_axi.arcache,
            s_axi.arprot,
            s_axi.arqos,
            s_axi.armmusid,
            s_axi.armmussid,
            s_axi.armmussidv,
            s_axi.rready,
            req_ready,
            rsp_valid,
            rsp_tag,
            rsp_fault,
            rsp_pa,
            sync_reads,
            sync_writes
        ],
        |u, rng| {
            u.s_axi.awlen.next = rng.pick(&[0u64, 0, 0, 1, 1, 3]).into();
            u.s_axi.arlen.next = rng.pick(&[0u64, 0, 0, 1, 1, 3]).into();
            u.s_axi.awid.next = rng.below(3).into();
            u.s_axi.arid.next = rng.below(3).into();
            u.m_axi.bid.next = rng.below(3).into();
            u.m_axi.rid.next = rng.below(3).into();
            // Legal most of the time.
            if !rng.one_in(4) {
                u.s_axi.awsize.next = 3.into();
                u.s_axi.arsize.next = 3.into();
                u.s_axi.awburst.next = 1.into();
                u.s_axi.arburst.next = 1.into();
            }
            u.rsp_tag.next = (rng.below(8) | (rng.below(2) << 5)).into();
        }
    )
}
