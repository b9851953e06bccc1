//! Tags of the IOTLB: `N` pages, found by virtual page number in the cycle of the question.
//!
//! An entry is tagged by the *slot* of the context that it was walked for, not by a PSCID: three bits instead of
//! twenty, and the compare need not wait for the context's PSCID. An entry lives only as long as its slot
//! (`flush`), so a slot always stands for the PSCID that its context holds, and invalidations by PSCID turn into a
//! set of slots.
//!
//! Timing: `hit`, `index` and `size` answer `vpn*` and `slots` combinationally. `inval`, `kill`, `flush`, `renew`,
//! `fill` and `reset` act at the clock edge; `fill` wins over the others for its own index, but leaves it empty if `renew` is
//! for its own slot.
//!
//! Software may leave pages of different sizes over one address in the cache (promotion without invalidation, SW-16). Of
//! several entries that match, the first one answers, alone (MEM-07); an invalidation reaches them all.

use crate::types::Rights;
use rust_hdl::prelude::*;

/// `N` entries addressed by `I` bits, contexts in `C` slots addressed by `S` bits, `V` virtual page number bits
/// (27 for Sv39 alone, 45 up to Sv57).
#[derive(LogicBlock)]
pub struct IotlbTags<const N: usize, const I: usize, const C: usize, const S: usize, const V: usize>
{
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Empties the IOTLB.
    pub reset: Signal<In, Bit>,
    /// IOVA[56:48] asked for.
    pub vpn4: Signal<In, Bits<9>>,
    /// IOVA[47:39] asked for.
    pub vpn3: Signal<In, Bits<9>>,
    /// IOVA[38:30] asked for.
    pub vpn2: Signal<In, Bits<9>>,
    /// IOVA[29:21] asked for.
    pub vpn1: Signal<In, Bits<9>>,
    /// IOVA[20:12] asked for.
    pub vpn0: Signal<In, Bits<9>>,
    /// Slots that may match, one bit each.
    pub slots: Signal<In, Bits<C>>,
    /// The same for an invalidation.
    pub inval_slots: Signal<In, Bits<C>>,
    /// Access asked for: 0 read, 1 or 3 write, 2 execute.
    pub access: Signal<In, Bits<2>>,
    /// An entry matches ...
    pub hit: Signal<Out, Bit>,
    /// ... which allows the access ...
    pub permitted: Signal<Out, Bit>,
    /// ... this one ...
    pub index: Signal<Out, Bits<I>>,
    /// ... of this size: 0 4 KiB, 1 64 KiB, 2 2 MiB, 3 1 GiB, 4 512 GiB, 5 256 TiB.
    pub size: Signal<Out, Bits<3>>,
    /// IOTINVAL.VMA with the operands `vpn*`, `inval_slots` and the next two.
    pub inval: Signal<In, Bit>,
    /// AV: only entries that contain the address (INV-04, INV-22).
    pub inval_av: Signal<In, Bit>,
    /// With `inval_av`, a range (INV-27) rounded up: 1, `vpn0` does not count; 2, nor does `vpn1`; 3, nor does the rest.
    pub inval_coarse: Signal<In, Bits<2>>,
    /// PSCV: only entries of `inval_slots`, and no global ones (INV-03).
    pub inval_pv: Signal<In, Bit>,
    /// Drop entry `kill_index`.
    pub kill: Signal<In, Bit>,
    /// See `kill`.
    pub kill_index: Signal<In, Bits<I>>,
    /// Drop every entry of these slots ...
    pub flush: Signal<In, Bits<C>>,
    /// ... and, with this, ...
    pub renew: Signal<In, Bit>,
    /// ... of this one: known early, while `renew` comes late in the cycle.
    pub renew_slot: Signal<In, Bits<S>>,
    /// Store an entry.
    pub fill: Signal<In, Bit>,
    /// Where.
    pub fill_index: Signal<In, Bits<I>>,
    /// Its IOVA[56:48].
    pub fill_vpn4: Signal<In, Bits<9>>,
    /// Its IOVA[47:39].
    pub fill_vpn3: Signal<In, Bits<9>>,
    /// Its IOVA[38:30].
    pub fill_vpn2: Signal<In, Bits<9>>,
    /// Its IOVA[29:21].
    pub fill_vpn1: Signal<In, Bits<9>>,
    /// Its IOVA[20:12].
    pub fill_vpn0: Signal<In, Bits<9>>,
    /// Its size.
    pub fill_size: Signal<In, Bits<3>>,
    /// What it allows.
    pub fill_rights: Signal<In, Rights>,
    /// It is a global mapping (S1-29).
    pub fill_global: Signal<In, Bit>,
    /// Its slot.
    pub fill_slot: Signal<In, Bits<S>>,
    _entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    valid: bool,
    vpn: u64,
    size: u32,
    rights: Rights,
    global: bool,
    slot: u32,
}

/// VPN bits that a page of each size does not compare; there are no sizes 6 and 7.
const FREE: [u64; 8] = {
    let all = 0xf_ffff_ffff;
    [0, 0xf, 0x1ff, 0x3_ffff, 0x7ff_ffff, all, all, all]
};

impl<const N: usize, const I: usize, const C: usize, const S: usize, const V: usize> Default
    for IotlbTags<N, I, C, S, V>
{
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            vpn4: Default::default(),
            vpn3: Default::default(),
            vpn2: Default::default(),
            vpn1: Default::default(),
            vpn0: Default::default(),
            slots: Default::default(),
            inval_slots: Default::default(),
            access: Default::default(),
            hit: Default::default(),
            permitted: Default::default(),
            index: Default::default(),
            size: Default::default(),
            inval: Default::default(),
            inval_av: Default::default(),
            inval_coarse: Default::default(),
            inval_pv: Default::default(),
            kill: Default::default(),
            kill_index: Default::default(),
            flush: Default::default(),
            renew: Default::default(),
            renew_slot: Default::default(),
            fill: Default::default(),
            fill_index: Default::default(),
            fill_vpn4: Default::default(),
            fill_vpn3: Default::default(),
            fill_vpn2: Default::default(),
            fill_vpn1: Default::default(),
            fill_vpn0: Default::default(),
            fill_size: Default::default(),
            fill_rights: Default::default(),
            fill_global: Default::default(),
            fill_slot: Default::default(),
            _entries: vec![Entry::default(); N],
        }
    }
}

fn vpn<const V: usize>(fields: [Bits<9>; 5]) -> u64 {
    let all = fields.iter().fold(0, |v, f| (v << 9) | f.index() as u64);
    all & ((1 << V) - 1)
}

impl<const N: usize, const I: usize, const C: usize, const S: usize, const V: usize> Logic
    for IotlbTags<N, I, C, S, V>
{
    fn update(&mut self) {
        let key = vpn::<V>([
            self.vpn4.val(),
            self.vpn3.val(),
            self.vpn2.val(),
            self.vpn1.val(),
            self.vpn0.val(),
        ]);
        let slots = self.slots.val().index() as u32;
        let inval_slots = self.inval_slots.val().index() as u32;
        let address = |e: &Entry| (e.vpn ^ key) & !FREE[e.size as usize] == 0;
        let of = |set: u32, e: &Entry| (set >> e.slot) & 1 == 1;
        if self.clock.pos_edge() {
            let coarse = [0, 0x1ff, 0x3_ffff, u64::MAX][self.inval_coarse.val().index()];
            let near = |e: &Entry| (e.vpn ^ key) & !FREE[e.size as usize] & !coarse == 0;
            let flush = self.flush.val().index() as u32;
            let renewed =
                |e: &Entry| self.renew.val() && self.renew_slot.val().index() as u32 == e.slot;
            for (i, e) in self._entries.iter_mut().enumerate() {
                let inval = self.inval.val()
                    && (!self.inval_av.val() || near(e))
                    && (!self.inval_pv.val() || (of(inval_slots, e) && !e.global));
                if inval
                    || self.reset.val()
                    || of(flush, e)
                    || renewed(e)
                    || (self.kill.val() && self.kill_index.val().index() == i)
                {
                    e.valid = false;
                }
            }
            if self.fill.val() && !self.reset.val() {
                let renewed = self.renew.val() && self.renew_slot.val() == self.fill_slot.val();
                self._entries[self.fill_index.val().index()] = Entry {
                    valid: !renewed,
                    vpn: vpn::<V>([
                        self.fill_vpn4.val(),
                        self.fill_vpn3.val(),
                        self.fill_vpn2.val(),
                        self.fill_vpn1.val(),
                        self.fill_vpn0.val(),
                    ]),
                    size: self.fill_size.val().index() as u32,
                    rights: self.fill_rights.val(),
                    global: self.fill_global.val(),
                    slot: self.fill_slot.val().index() as u32,
                };
            }
        }
        let (mut hit, mut index, mut size) = (false, 0u64, 0u64);
        let mut permitted = false;
        for (i, e) in self._entries.iter().enumerate() {
            if !hit && e.valid && of(slots, e) && address(e) {
                (hit, index, size) = (true, i as u64, u64::from(e.size));
                permitted = e.rights.allow(self.access.val());
            }
        }
        self.hit.next = hit;
        self.permitted.next = permitted;
        self.index.next = index.into();
        self.size.next = size.into();
    }
    fn connect(&mut self) {
        self.hit.connect();
        self.permitted.connect();
        self.index.connect();
        self.size.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{n1}:0] valid;
reg [{n1}:0] tag_global;
reg [{v1}:0] tag_vpn[{n1}:0];
reg [2:0] tag_size[{n1}:0];
reg [2:0] rights[{n1}:0];
reg [{s1}:0] tag_slot[{n1}:0];
reg [{n1}:0] same_high;
reg [{n1}:0] same_1;
reg [{n1}:0] same_0;
reg [{n1}:0] asked;
reg [{n1}:0] matched;
reg [{n1}:0] first;
reg [{n1}:0] allows;
wire [44:0] key = {{vpn4, vpn3, vpn2, vpn1, vpn0}};
wire [44:0] fill_key = {{fill_vpn4, fill_vpn3, fill_vpn2, fill_vpn1, fill_vpn0}};
integer k;
integer j;
initial begin
  valid = 0;
  tag_global = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    tag_vpn[k] = 0; tag_size[k] = 0; tag_slot[k] = 0; rights[k] = 0;
  end
end
always @(posedge clock) begin
  for (k = 0; k < {N}; k = k + 1)
    if ((inval
          & (~inval_av | ((same_high[k] | (&inval_coarse)) & (same_1[k] | inval_coarse[1])
                          & (same_0[k] | (inval_coarse != 2'd0))))
          & (~inval_pv | (inval_slots[tag_slot[k]] & ~tag_global[k])))
        | flush[tag_slot[k]]
        | (renew & (tag_slot[k] == renew_slot))
        | (kill & (kill_index == k[{i1}:0]))) valid[k] <= 1'b0;
  if (fill) begin
    valid[fill_index] <= ~(renew & (fill_slot == renew_slot));
    tag_global[fill_index] <= fill_global;
    tag_vpn[fill_index] <= fill_key[{v1}:0];
    tag_size[fill_index] <= fill_size;
    rights[fill_index] <= fill_rights;
    tag_slot[fill_index] <= fill_slot;
  end
  if (reset) valid <= 0;
end
always @(*) begin
  index = 0;
  size = 0;
  for (k = 0; k < {N}; k = k + 1) begin
    same_high[k] = {high};
    same_1[k] = (tag_vpn[k][17:9] == key[17:9]) | (tag_size[k] > 3'd2);
    same_0[k] = ((tag_vpn[k][8:4] == key[8:4]) | (tag_size[k] > 3'd1))
      & ((tag_vpn[k][3:0] == key[3:0]) | (tag_size[k] != 3'd0));
    asked[k] = slots[tag_slot[k]];
    matched[k] = valid[k] & asked[k] & same_high[k] & same_1[k] & same_0[k];
    allows[k] = access[0] ? rights[k][1] : access[1] ? rights[k][2] : rights[k][0];
  end
  for (k = 0; k < {N}; k = k + 1) begin
    first[k] = matched[k];
    for (j = 0; j < k; j = j + 1) first[k] = first[k] & ~matched[j];
  end
  for (k = 0; k < {N}; k = k + 1) begin
    index = index | ({{{I}{{first[k]}}}} & k[{i1}:0]);
    size = size | ({{3{{first[k]}}}} & tag_size[k]);
  end
  hit = |matched;
  permitted = |(first & allows);
end
",
            n1 = N - 1,
            s1 = S - 1,
            i1 = I - 1,
            v1 = V - 1,
            high = high::<V>(),
        ))
    }
}

/// The compare of the fields above `vpn1`: a superpage does not compare what it spans.
fn high<const V: usize>() -> String {
    let mut all = vec!["((tag_vpn[k][26:18] == key[26:18]) | (tag_size[k] > 3'd3))"];
    if V > 27 {
        all.push("((tag_vpn[k][35:27] == key[35:27]) | (tag_size[k] > 3'd4))");
        all.push("(tag_vpn[k][44:36] == key[44:36])");
    }
    all.join("\n      & ")
}
