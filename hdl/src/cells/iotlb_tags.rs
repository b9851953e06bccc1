//! Tags of the IOTLB: `N` pages, found by virtual page number in the cycle of the question.
//!
//! An entry is tagged by the *slot* of the context that it was walked for, not by a PSCID: three bits instead of
//! twenty, and the compare need not wait for the context's PSCID. An entry lives only as long as its slot
//! (`flush`), so a slot always stands for the PSCID that its context holds, and invalidations by PSCID turn into a
//! set of slots.
//!
//! Timing: `hit`, `index` and `size` answer `vpn*` and `slots` combinationally. `inval`, `kill`, `drop`, `flush`,
//! `fill` and `reset` act at the clock edge; `fill` wins over the others for its own index.
//!
//! Invariant: at most one entry matches a question; the miss path looks up again before it walks.

use rust_hdl::prelude::*;

/// `N` entries addressed by `I` bits, contexts in `C` slots addressed by `S` bits.
#[derive(LogicBlock)]
pub struct IotlbTags<const N: usize, const I: usize, const C: usize, const S: usize> {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the IOTLB.
    pub reset: Signal<In, Bit>,
    /// IOVA[38:30] asked for.
    pub vpn2: Signal<In, Bits<9>>,
    /// IOVA[29:21] asked for.
    pub vpn1: Signal<In, Bits<9>>,
    /// IOVA[20:12] asked for.
    pub vpn0: Signal<In, Bits<9>>,
    /// Slots that may match, one bit each.
    pub slots: Signal<In, Bits<C>>,
    /// An entry matches ...
    pub hit: Signal<Out, Bit>,
    /// ... this one ...
    pub index: Signal<Out, Bits<I>>,
    /// ... of this size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB.
    pub size: Signal<Out, Bits<2>>,
    /// IOTINVAL.VMA with the operands `vpn*`, `slots` and the next two.
    pub inval: Signal<In, Bit>,
    /// AV: only entries that contain the address (INV-04, INV-22).
    pub inval_av: Signal<In, Bit>,
    /// PSCV: only entries of `slots`, and no global ones (INV-03).
    pub inval_pv: Signal<In, Bit>,
    /// Drop entry `kill_index`.
    pub kill: Signal<In, Bit>,
    /// See `kill`.
    pub kill_index: Signal<In, Bits<I>>,
    /// Drop entry `drop_index`.
    pub drop: Signal<In, Bit>,
    /// See `drop`.
    pub drop_index: Signal<In, Bits<I>>,
    /// Drop every entry of these slots.
    pub flush: Signal<In, Bits<C>>,
    /// Store an entry.
    pub fill: Signal<In, Bit>,
    /// Where.
    pub fill_index: Signal<In, Bits<I>>,
    /// Its IOVA[38:30].
    pub fill_vpn2: Signal<In, Bits<9>>,
    /// Its IOVA[29:21].
    pub fill_vpn1: Signal<In, Bits<9>>,
    /// Its IOVA[20:12].
    pub fill_vpn0: Signal<In, Bits<9>>,
    /// Its size.
    pub fill_size: Signal<In, Bits<2>>,
    /// It is a global mapping (S1-29).
    pub fill_global: Signal<In, Bit>,
    /// Its slot.
    pub fill_slot: Signal<In, Bits<S>>,
    _entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    valid: bool,
    vpn: u32,
    size: u32,
    global: bool,
    slot: u32,
}

/// VPN bits that a page of each size does not compare.
const FREE: [u32; 4] = [0, 0xf, 0x1ff, 0x3_ffff];

impl<const N: usize, const I: usize, const C: usize, const S: usize> Default
    for IotlbTags<N, I, C, S>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            vpn2: Default::default(),
            vpn1: Default::default(),
            vpn0: Default::default(),
            slots: Default::default(),
            hit: Default::default(),
            index: Default::default(),
            size: Default::default(),
            inval: Default::default(),
            inval_av: Default::default(),
            inval_pv: Default::default(),
            kill: Default::default(),
            kill_index: Default::default(),
            drop: Default::default(),
            drop_index: Default::default(),
            flush: Default::default(),
            fill: Default::default(),
            fill_index: Default::default(),
            fill_vpn2: Default::default(),
            fill_vpn1: Default::default(),
            fill_vpn0: Default::default(),
            fill_size: Default::default(),
            fill_global: Default::default(),
            fill_slot: Default::default(),
            _entries: vec![Entry::default(); N],
        }
    }
}

fn vpn(v2: Bits<9>, v1: Bits<9>, v0: Bits<9>) -> u32 {
    ((v2.index() << 18) | (v1.index() << 9) | v0.index()) as u32
}

impl<const N: usize, const I: usize, const C: usize, const S: usize> Logic
    for IotlbTags<N, I, C, S>
{
    fn update(&mut self) {
        let key = vpn(self.vpn2.val(), self.vpn1.val(), self.vpn0.val());
        let slots = self.slots.val().index() as u32;
        let address = |e: &Entry| (e.vpn ^ key) & !FREE[e.size as usize] == 0;
        let of = |set: u32, e: &Entry| (set >> e.slot) & 1 == 1;
        if self.clock.pos_edge() {
            let flush = self.flush.val().index() as u32;
            for (i, e) in self._entries.iter_mut().enumerate() {
                let inval = self.inval.val()
                    && (!self.inval_av.val() || address(e))
                    && (!self.inval_pv.val() || (of(slots, e) && !e.global));
                if inval
                    || self.reset.val()
                    || of(flush, e)
                    || (self.kill.val() && self.kill_index.val().index() == i)
                    || (self.drop.val() && self.drop_index.val().index() == i)
                {
                    e.valid = false;
                }
            }
            if self.fill.val() && !self.reset.val() {
                self._entries[self.fill_index.val().index()] = Entry {
                    valid: true,
                    vpn: vpn(
                        self.fill_vpn2.val(),
                        self.fill_vpn1.val(),
                        self.fill_vpn0.val(),
                    ),
                    size: self.fill_size.val().index() as u32,
                    global: self.fill_global.val(),
                    slot: self.fill_slot.val().index() as u32,
                };
            }
        }
        let (mut hit, mut index, mut size) = (false, 0u64, 0u64);
        for (i, e) in self._entries.iter().enumerate() {
            if e.valid && of(slots, e) && address(e) {
                hit = true;
                index |= i as u64;
                size |= u64::from(e.size);
            }
        }
        self.hit.next = hit;
        self.index.next = index.into();
        self.size.next = size.into();
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.index.connect();
        self.size.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{n1}:0] valid;
reg [{n1}:0] tag_global;
reg [26:0] tag_vpn[{n1}:0];
reg [1:0] tag_size[{n1}:0];
reg [{s1}:0] tag_slot[{n1}:0];
reg [{n1}:0] address;
reg [{n1}:0] asked;
reg [{n1}:0] matched;
integer k;
initial begin
  valid = 0;
  tag_global = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    tag_vpn[k] = 0; tag_size[k] = 0; tag_slot[k] = 0;
  end
end
always @(posedge clock) begin
  for (k = 0; k < {N}; k = k + 1)
    if ((inval & (~inval_av | address[k]) & (~inval_pv | (asked[k] & ~tag_global[k])))
        | flush[tag_slot[k]]
        | (kill & (kill_index == k[{i1}:0]))
        | (drop & (drop_index == k[{i1}:0]))) valid[k] <= 1'b0;
  if (fill) begin
    valid[fill_index] <= 1'b1;
    tag_global[fill_index] <= fill_global;
    tag_vpn[fill_index] <= {{fill_vpn2, fill_vpn1, fill_vpn0}};
    tag_size[fill_index] <= fill_size;
    tag_slot[fill_index] <= fill_slot;
  end
  if (reset) valid <= 0;
end
always @(*) begin
  index = 0;
  size = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    address[k] = (tag_vpn[k][26:18] == vpn2)
      & ((tag_vpn[k][17:9] == vpn1) | (tag_size[k] == 2'd3))
      & ((tag_vpn[k][8:4] == vpn0[8:4]) | tag_size[k][1])
      & ((tag_vpn[k][3:0] == vpn0[3:0]) | (tag_size[k] != 2'd0));
    asked[k] = slots[tag_slot[k]];
    matched[k] = valid[k] & asked[k] & address[k];
    index = index | ({{{I}{{matched[k]}}}} & k[{i1}:0]);
    size = size | ({{2{{matched[k]}}}} & tag_size[k]);
  end
  hit = |matched;
end
",
            n1 = N - 1,
            s1 = S - 1,
            i1 = I - 1,
        ))
    }
}
