//! The blocks that are co-simulated on their own: every cell whose Verilog is written by hand, and the kernels
//! around them; those of the buses are in `bus.rs`.

use super::Case;
use super::draw::Rng;
use super::words::Words;
use crate::cells::{
    CommandBuffer, ContextTags, FifoMem, IotlbSets, IotlbTags, LineStore, LineWait, PointerCache,
    SlotMem, SyncRam, WalkSlots,
};
use crate::command_queue::CommandQueue;
use crate::cosim_case as case;
use crate::debug::Debug;
use crate::drain::Drain;
use crate::fault_queue::FaultQueue;
use crate::fifo::Fifo;
use crate::hpm::Hpm;
use crate::line_fetch::LineFetch;
use crate::memory_port::MemoryPort;
use crate::msi::Msi;
use crate::registers::Registers;
use crate::types::{Leaf, Req};
use crate::walker::Walker;
use portcullis_regmap::config::LINUX;

/// All of them, and the printer's own test.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut all = vec![case!("words", Words::default(), [a, b, n, wide, f])];
    all.extend(memories());
    all.extend(blocks());
    all.extend(super::bus::cases());
    all
}

/// A page-table entry as lines keep it, now and then with a bit that they do not.
fn entry(rng: &mut Rng) -> rust_hdl::prelude::Bits<64> {
    const KEPT: u64 = 0x8000_003f_ffff_fcff;
    let odd = if rng.one_in(8) { 1 << rng.below(64) } else { 0 };
    (rng.bits() & KEPT | odd).into()
}

/// Few tables of few contexts, so that they are found again.
macro_rules! pointer_cache {
    ($name:literal, $new:expr) => {
        case!(
            $name,
            $new,
            [
                reset,
                ask_key,
                ask_slot,
                drop,
                fill,
                fill_key,
                fill_slot,
                fill_frame,
                fill_global
            ],
            |u, rng| {
                u.ask_key.next = rng.below(32).into();
                u.fill_key.next = rng.below(32).into();
                u.ask_slot.next = rng.below(3).into();
                u.fill_slot.next = rng.below(3).into();
                if !rng.one_in(16) {
                    u.drop.next = 0.into();
                }
            }
        )
    };
}

/// Walks that begin, wait and end in any order.
macro_rules! walk_slots {
    ($name:literal, $new:expr) => {
        case!(
            $name,
            $new,
            [
                reset,
                look_did,
                look_page,
                ask_did,
                ask_page,
                head_did,
                head_page,
                start,
                start_fetch,
                start_waits,
                start_context,
                start_old,
                arrive,
                arrive_slot,
                judged,
                finish,
                wait_read,
                hold,
                got_context,
                new_context,
                own_old,
                evict,
                mark_stale
            ],
            |u, rng| {
                // Few devices and pages, so that they meet; a walk ends in one way only.
                u.look_did.next = rng.below(3).into();
                u.look_page.next = rng.below(3).into();
                u.ask_did.next = rng.below(3).into();
                u.head_did.next = rng.below(3).into();
                u.ask_page.next = rng.below(3).into();
                u.head_page.next = rng.below(3).into();
                u.start.next &= u.idle.val();
                u.start_context.next = rng.below(3).into();
                u.new_context.next = rng.below(3).into();
                u.mark_stale.next = rng.one_in(32);
                u.evict.next = rng.one_in(8);
                let end = rng.below(4);
                u.finish.next = end == 0;
                u.wait_read.next = end == 1;
                u.hold.next = end == 2;
            }
        )
    };
}

fn memories() -> Vec<Case> {
    vec![
        case!(
            "sync_ram",
            SyncRam::<Leaf, 3>::default(),
            [re, ra, we, wa, wd]
        )
        .warm_up(64),
        case!(
            "command_buffer",
            CommandBuffer::<4>::default(),
            [we, wa, second, wd, ra]
        ),
        case!("fifo_mem", FifoMem::<Req, 2>::default(), [ra, we, wa, wd]),
        case!(
            "slot_mem",
            SlotMem::<Leaf, 4, 2>::default(),
            [ra, we, wa, wd]
        ),
        case!(
            "slot_mem_of_one",
            SlotMem::<Leaf, 1, 1>::default(),
            [ra, we, wa, wd]
        ),
        case!(
            "context_tags",
            ContextTags::<4, 2, 7>::default(),
            [
                reset, ask, ask_did, ask_again, again_did, ask_op, op_did, op_pscid, did, kill,
                kill_all, fill, fill_slot, fill_did, fill_pscid, fill_info
            ],
            |u, rng| {
                // A slot is only ever filled with device ids that no other slot holds.
                let own = (rng.below(4) << 2) | u.fill_slot.next.index() as u64;
                u.fill_did.next = ((rng.below(4) << 7) | own).into();
                // In stage 1 is what came last.
                if u.ask.val() {
                    u.did.next = if u.ask_op.val() {
                        u.op_did.val()
                    } else if u.ask_again.val() {
                        u.again_did.val()
                    } else {
                        u.ask_did.val()
                    };
                } else {
                    u.did.next = u.did.val();
                }
                u.ask_did.next = rng.below(16).into();
                u.again_did.next = rng.below(16).into();
                u.op_did.next = rng.below(16).into();
                u.op_pscid.next = rng.below(3).into();
                u.fill_pscid.next = rng.below(3).into();
                u.kill_all.next = rng.one_in(32);
                u.kill.next = rng.one_in(4);
            }
        ),
        case!(
            "iotlb_tags",
            IotlbTags::<8, 3, 4, 2, 45>::default(),
            [
                reset,
                vpn4,
                vpn3,
                vpn2,
                vpn1,
                vpn0,
                access,
                slots,
                inval_slots,
                inval,
                inval_av,
                inval_coarse,
                inval_pv,
                kill,
                kill_index,
                flush,
                renew,
                renew_slot,
                fill,
                fill_index,
                fill_vpn4,
                fill_vpn3,
                fill_vpn2,
                fill_vpn1,
                fill_vpn0,
                fill_size,
                fill_rights,
                fill_global,
                fill_slot
            ],
            |u, rng| {
                // Few addresses, so that questions hit, and entries of different sizes overlap now and then.
                u.fill_vpn2.next = rng.below(4).into();
                u.vpn2.next = rng.below(4).into();
                u.vpn1.next = rng.below(2).into();
                u.fill_vpn1.next = rng.below(2).into();
                u.vpn0.next = (rng.below(32)).into();
                u.fill_vpn0.next = (rng.below(32)).into();
                u.inval.next = rng.one_in(16);
                u.kill.next = rng.one_in(16);
                if !rng.one_in(32) {
                    u.flush.next = 0.into();
                }
                u.renew.next = rng.one_in(32);
            }
        ),
        pointer_cache!("pointer_cache", PointerCache::<16, 4, 36, 8, 3>::default()),
        pointer_cache!(
            "pointer_cache_small",
            PointerCache::<4, 2, 17, 8, 3>::default()
        ),
        walk_slots!("walk_slots", WalkSlots::<4, 2, 3>::default()),
        walk_slots!("walk_slots_of_one", WalkSlots::<1, 1, 2>::default()),
        case!(
            "line_wait",
            LineWait::<4, 2, 3>::default(),
            [
                reset,
                start,
                start_walk,
                start_place,
                start_at,
                r_valid,
                r_place,
                beats
            ],
            |u, rng| {
                // Few doublewords, so that they are waited for.
                u.start_place.next = (rng.below(16) / 14).into();
                u.r_place.next = (rng.below(16) / 14).into();
                u.start_at.next = rng.below(4).into();
                // Each line is at one of the first four.
                u.beats.next = (rng.bits() & 0o33_333_333).into();
                u.reset.next = rng.one_in(128);
            }
        ),
        case!(
            "line_store",
            LineStore::<6, 3, 3>::default(),
            [
                reset,
                drop,
                look_table,
                look_line,
                look_slot,
                ask_at,
                touch,
                wants,
                will_table,
                will_line,
                will_slot,
                want_table,
                want_line,
                want_slot,
                want_global,
                start,
                r_valid,
                r_place,
                r_data,
                r_good,
                r_leaf,
                r_last
            ],
            |u, rng| {
                // Few lines, so that they are found; now and then one that differs in a single bit.
                let bit = |rng: &mut Rng, n: u64| {
                    if rng.one_in(16) {
                        1u64 << rng.below(n)
                    } else {
                        0
                    }
                };
                u.look_table.next = bit(rng, 36).into();
                u.will_table.next = bit(rng, 36).into();
                u.want_table.next = bit(rng, 36).into();
                u.look_line.next = rng.below(3).into();
                u.will_line.next = rng.below(3).into();
                u.want_line.next = rng.below(3).into();
                u.look_slot.next = bit(rng, 3).into();
                u.will_slot.next = bit(rng, 3).into();
                u.want_slot.next = bit(rng, 3).into();
                u.r_good.next = !rng.one_in(8);
                u.r_data.next = entry(rng);
                u.reset.next = rng.one_in(512);
                u.drop.next = rng.one_in(64);
                u.start.next &= u.room.val();
            }
        ),
        case!(
            "iotlb_sets",
            IotlbSets::<4, 4, 2, 45, 2>::default(),
            [
                reset,
                ask,
                next_free,
                next_set,
                vpn4,
                vpn3,
                vpn2,
                vpn1,
                vpn0,
                access,
                slots,
                inval_slots,
                inval,
                inval_av,
                inval_range,
                inval_pv,
                inval_leaves,
                flush,
                renew,
                renew_slot,
                kill,
                kill_set,
                kill_way,
                choose,
                choose_way,
                fill,
                fill_vpn4,
                fill_vpn3,
                fill_vpn2,
                fill_vpn1,
                fill_vpn0,
                fill_rights,
                fill_global,
                fill_slot
            ],
            |u, rng| {
                // Three sets, each with few pages; now and then one that differs in a single bit.
                let page = |rng: &mut Rng| rng.pick(&[0u64, 1, 63, 64]);
                u.vpn0.next = page(rng).into();
                u.fill_vpn0.next = page(rng).into();
                u.vpn1.next = (rng.below(2) * 0x1ff).into();
                u.fill_vpn1.next = (rng.below(2) * 0x1ff).into();
                for field in [
                    &mut u.vpn2,
                    &mut u.vpn3,
                    &mut u.vpn4,
                    &mut u.fill_vpn2,
                    &mut u.fill_vpn3,
                    &mut u.fill_vpn4,
                ] {
                    let bit = if rng.one_in(8) {
                        1u64 << rng.below(9)
                    } else {
                        0
                    };
                    field.next = bit.into();
                }
                u.kill_set.next = page(rng).min(63).into();
                u.reset.next = rng.one_in(512);
                u.ask.next = rng.one_in(2);
                u.inval.next = rng.one_in(8);
                u.inval_av.next = !rng.one_in(8);
                u.next_set.next = (page(rng) & 63).into();
                u.kill.next = rng.one_in(8);
                u.slots.next = (1u64 << rng.below(4)).into();
                if rng.one_in(16) {
                    u.slots.next = rng.below(16).into();
                }
                if !rng.one_in(64) {
                    u.flush.next = 0.into();
                }
                u.renew.next = rng.one_in(32);
            }
        ),
    ]
}

fn blocks() -> Vec<Case> {
    vec![
        case!(
            "line_fetch",
            LineFetch::<6, 3, 3, 4, 2>::default(),
            [
                reset,
                off,
                drop,
                renew,
                look,
                look_slot,
                ask,
                ask_slot,
                asks,
                used,
                used_walk,
                near,
                near_req,
                near_slot,
                near_frame,
                near_global,
                near_again,
                ar_ready,
                r_valid,
                r_place,
                r_data,
                r_status,
                r_leaf,
                r_last
            ],
            |u, rng| {
                // Few tables, walked upwards.
                let page = rng.below(20);
                u.look.next = Req {
                    vpn0: (page + rng.below(2)).into(),
                    vpn1: (rng.below(16) / 15).into(),
                    ..Req::default()
                };
                u.ask.next = Req {
                    vpn0: page.into(),
                    vpn1: (rng.below(16) / 15).into(),
                    ..Req::default()
                };
                u.near_req.next = Req {
                    vpn0: (page + rng.below(2)).into(),
                    vpn1: (rng.below(16) / 15).into(),
                    ..Req::default()
                };
                u.look_slot.next = (rng.below(16) / 15).into();
                u.ask_slot.next = (rng.below(16) / 15).into();
                u.near_slot.next = (rng.below(16) / 15).into();
                u.near.next = rng.one_in(4);
                u.off.next = rng.one_in(128);
                u.drop.next = rng.one_in(64);
                u.renew.next = rng.one_in(64);
                u.r_last.next = rng.one_in(4);
                u.r_status.next = (rng.below(8) / 6).into();
                u.reset.next = rng.one_in(256);
                u.used.next &= u.hit.val() | u.arrives.val() | u.comes.val();
                u.asks.next = u.used.next;
                u.r_data.next = entry(rng);
            }
        ),
        case!(
            "fifo",
            Fifo::<Req, 2, 3>::default(),
            [reset, push, data_in, pop],
            |u, _rng| {
                let level = u.level.val().index();
                u.push.next &= level < 4;
                u.pop.next &= level > 0;
            }
        ),
        case!(
            "walker",
            Walker::<4, 2, 4, 8, 3, 16, 4>::new(&LINUX),
            [
                reset,
                ddt_root,
                start,
                req,
                mode,
                wide,
                found,
                slot,
                pscid,
                info,
                raced,
                look,
                look_slot,
                head,
                line_hit,
                line_word,
                line_leaf,
                line_global,
                line_arrives,
                line_comes,
                line_brings,
                line_brings_walk,
                mark_stale,
                drop_tables,
                drop_directory,
                block_fill,
                ar_ready,
                r_valid,
                r_slot,
                r_data,
                r_status,
                r_last,
                res_ready,
                record_ready,
                record_free
            ],
            |u, rng| {
                u.start.next &= u.idle.val();
                if !rng.one_in(32) {
                    u.drop_tables.next = 0.into();
                    u.drop_directory.next = false;
                }
                u.mark_stale.next = rng.one_in(16);
                u.block_fill.next = u.mark_stale.next || rng.one_in(16);
                u.line_word.next = super::top::entry(rng).into();
                u.r_data.next = match rng.below(8) {
                    0..=3 => super::top::entry(rng),
                    4 => super::top::directory_word(rng),
                    _ => {
                        let index = rng.below(4);
                        super::top::context_word(rng, index)
                    }
                }
                .into();
                u.wide.next = rng.one_in(32);
                if !rng.one_in(16) {
                    u.r_status.next = 0.into();
                    u.mode.next = rng.pick(&[2u64, 3, 4]).into();
                    u.req.next.hi = 0.into();
                    u.req.next.did = u.req.next.did & 0x7f;
                }
            }
        ),
        case!(
            "command_queue",
            CommandQueue::<13, 4>::new(&LINUX),
            [
                reset, go, base, head, tail, mask, wires, ar_ready, r_valid, r_data, r_status,
                r_last, op_ready, drain_done, w_ready, b_valid, b_error
            ],
            |u, rng| {
                u.r_data.next = super::top::command_word(rng).into();
                if !rng.one_in(16) {
                    u.r_status.next = 0.into();
                }
            }
        ),
        case!(
            "fault_queue",
            FaultQueue::<8, 1, 2>::default(),
            [
                reset,
                enabled,
                failed,
                base,
                head,
                tail,
                mask,
                record_valid,
                record,
                w_ready,
                b_valid,
                b_error
            ],
            |u, rng| {
                u.enabled.next = !rng.one_in(16);
                u.failed.next = rng.one_in(16);
                u.record_valid.next &= u.ready.val();
            }
        ),
        case!(
            "drain",
            Drain::default(),
            [
                reset,
                ddtp_valid,
                fence_valid,
                fence_reads,
                fence_writes,
                op_ready,
                passed,
                stale,
                sync_ack
            ]
        ),
        case!(
            "memory_port",
            MemoryPort::new(&LINUX),
            [
                reset,
                walk_valid,
                walk_frame,
                walk_off,
                walk_ddt,
                walk_dc,
                walk_id,
                line_valid,
                line_frame,
                line_off,
                line_place,
                cmd_valid,
                cmd_frame,
                cmd_off,
                cmd_len,
                fence_valid,
                fence_frame,
                fence_off,
                fence_data,
                fence_upper,
                msi_valid,
                msi_frame,
                msi_off,
                msi_data,
                fault_valid,
                fault_frame,
                fault_off,
                fault_data,
                fault_last,
                ar_ready,
                r_valid,
                r_id,
                w_ready,
                b_valid
            ]
        ),
        case!(
            "registers",
            Registers::<13>::new(&LINUX),
            [
                reset,
                valid,
                write,
                offset,
                wide,
                wdata,
                ddtp_done,
                cq_active,
                cq_advance,
                cq_memory_fault,
                cq_illegal,
                cq_fence_wire,
                fq_active,
                fq_advance,
                fq_overflow,
                fq_memory_fault,
                overflow,
                ext_lo,
                ext_hi,
                ext_narrow
            ],
            |u, rng| {
                u.offset.next = super::top::register(rng).into();
                u.cq_memory_fault.next = rng.one_in(64);
                u.cq_illegal.next = rng.one_in(64);
                u.fq_memory_fault.next = rng.one_in(64);
                u.fq_overflow.next = rng.one_in(64);
            }
        ),
        case!(
            "msi",
            Msi::new(&LINUX),
            [
                reset,
                wires,
                cip,
                fip,
                pmip,
                cip_edge,
                fip_edge,
                pmip_edge,
                bus_access,
                bus_write,
                bus_row,
                bus_low,
                bus_high,
                bus_first,
                bus_second,
                bus_wlo,
                bus_whi,
                w_ready,
                b_valid,
                b_error,
                record_ready
            ],
            |u, rng| {
                u.bus_access.next = rng.one_in(4);
                u.bus_write.next &= u.bus_access.next;
                // icvec and msi_cfg_tbl.
                u.bus_row.next = (95 + rng.below(9)).into();
            }
        ),
        case!(
            "debug",
            Debug::default(),
            [
                reset, bus_write, bus_row, bus_low, bus_high, bus_wlo, bus_whi, ready, done, fault,
                spa
            ],
            |u, rng| {
                u.bus_row.next = (74 + rng.below(5)).into();
            }
        ),
        case!(
            "hpm",
            Hpm::default(),
            [
                reset, bus_write, bus_row, bus_low, bus_high, bus_second, bus_wlo, bus_whi,
                ev_request, req, ev_miss, ev_ddt, ev_pte, walk_req, walk_pscid
            ],
            |u, rng| {
                u.bus_write.next = rng.one_in(8);
                u.bus_row.next = rng.pick(&[11u64, 12, 13, 14, 16, 44, 45, 47]).into();
                // Known events, and counters near their end.
                if u.bus_row.next.index() > 40 && rng.one_in(2) {
                    u.bus_wlo.next = rng.below(9).into();
                } else if rng.one_in(2) {
                    u.bus_wlo.next = (0xffff_fff0 + rng.below(16)).into();
                }
            }
        ),
    ]
}
