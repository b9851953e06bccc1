//! The Verilog of [`super::IotlbSets`].

use super::{SET_BITS, SETS};
use rust_hdl::prelude::*;

/// For the sizes of the type.
pub(super) fn verilog<
    const K: usize,
    const C: usize,
    const S: usize,
    const V: usize,
    const G: usize,
>() -> Verilog {
    assert!(matches!(K, 0 | 4), "the sets have no way or four");
    if K == 0 {
        return Verilog::Custom(
                "wire unused = &{1'b0, clock, ask, next_free, next_set, access, vpn4, vpn3, vpn2, vpn1, vpn0, slots, inval_slots, inval, inval_av, inval_range,
  inval_pv, inval_leaves, flush, renew, renew_slot, kill, kill_set, kill_way, choose, choose_way, fill, fill_vpn4, fill_vpn3, fill_vpn2,
  fill_vpn1, fill_vpn0, fill_rights, fill_global, fill_slot};
always @(*) begin
  hit = 1'b0 & reset;
  permitted = hit;
  way = {2{hit}};
  overwritten = hit;
  victim = {2{hit}};
  stays = hit;
  pause = hit;
  fill_way = {2{hit}};
end
"
                .into(),
            );
    }
    let page = V - SET_BITS as usize;
    let tag = page + S + 1 + G + 3;
    let ways = |text: &str| -> String {
        (0..K)
            .map(|w| text.replace("$", &w.to_string()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    Verilog::Custom(format!(
            "{memories}
reg [1:0] chosen[{hi}:0];
(* mem2reg *) reg [{g1}:0] local_generation[{c1}:0];
(* mem2reg *) reg [{g1}:0] global_generation[{c1}:0];
reg [1:0] turn;
reg pending;
reg [{v1}:0] range_page;
reg [{v1}:0] range_span;
reg [{c1}:0] range_slots;
reg range_pv;
reg [5:0] range_at;
reg sweeps;
reg clears;
reg clearing;
reg [5:0] clear_at;
reg round;
reg [{c1}:0] bump_local;
reg [{c1}:0] bump_global;
reg [{g1}:0] want_local;
reg [{g1}:0] want_global;
reg [{k1}:0] same;
reg [{k1}:0] covered;
reg [{k1}:0] asked;
reg [{k1}:0] alive;
reg [{k1}:0] taken;
reg [{k1}:0] own;
reg [{k1}:0] own_before;
reg [{k1}:0] taken_before;
reg [{k1}:0] matched;
reg [{k1}:0] allows;
reg [{k1}:0] dropped;
reg [{k1}:0] write_valid;
reg [{k1}:0] write_tag;
reg [5:0] write_set;
integer k;
integer j;
wire [{v1}:0] key = {key};
wire [{v1}:0] fill_page = {fill_key};
wire [{v1}:0] after = key + 1'b1;
wire one_page = inval & inval_av & ~inval_range;
wire is_range = inval & inval_av & inval_range;
wire ends = (range_at & range_span[5:0]) == range_span[5:0];
wire new_range = is_range & inval_leaves;
wire [5:0] page_after = new_range ? key[5:0] : range_page[5:0];
wire [5:0] span_after = new_range ? key[5:0] ^ after[5:0] : range_span[5:0];
wire [5:0] at_after = new_range ? 6'd0 : range_at + {{5'd0, sweeps}};
wire pending_after = ~reset & (new_range | (pending & ~(sweeps & ends)));
reg free;
reg [5:0] set;
wire in_range = pending & (((set ^ range_page[5:0]) & ~range_span[5:0]) == 0);
wire [{t1}:0] fill_tag = {{fill_rights, fill_global ? global_generation[fill_slot] : local_generation[fill_slot],
  fill_global, fill_slot, fill_page[{v1}:6]}};
{reads}
initial begin
  for (k = 0; k < {SETS}; k = k + 1) begin
    {zero}
    chosen[k] = 0;
  end
  for (k = 0; k < {C}; k = k + 1) begin
    local_generation[k] = 0; global_generation[k] = 0;
  end
  turn = 0; clearing = 0; clear_at = 0; free = 0; set = 0; own_before = 0; taken_before = 0;
  pending = 0; range_page = 0; range_span = 0; range_slots = 0; range_pv = 0; range_at = 0;
end
always @(*) begin
  want_local = 0;
  want_global = 0;
  for (k = 0; k < {C}; k = k + 1) begin
    want_local = want_local | ({{{G}{{slots[k]}}}} & local_generation[k]);
    want_global = want_global | ({{{G}{{slots[k]}}}} & global_generation[k]);
  end
{compare}
  matched = own & same;
  hit = (|matched) & ~(|(matched & covered)) & ask & (~clearing | (key[5:0] < clear_at));
  permitted = matched[0] ? allows[0] : matched[1] ? allows[1] : matched[2] ? allows[2] : matched[3] & allows[3];
  overwritten = fill & (fill_page[5:0] == key[5:0]) & matched[chosen[fill_page[5:0]]];
  way = matched[0] ? 2'd0 : matched[1] ? 2'd1 : matched[2] ? 2'd2 : matched[3] ? 2'd3 : 2'd0;
  victim = turn;
  if ((&own_before[2:0] | &own_before[3:1] | (&own_before[1:0] & own_before[3]) | (own_before[0] & &own_before[3:2]))
      & ~own_before[turn])
    victim = turn + 1'b1;
  if (~&taken_before) victim = ~taken_before[0] ? 2'd0 : ~taken_before[1] ? 2'd1 : ~taken_before[2] ? 2'd2 : 2'd3;
end
always @(*) begin
  fill_way = chosen[fill_page[5:0]];
  stays = is_range & pending;
  pause = pending & clear_at[0];
end
always @(*) begin
  write_valid = 0;
  write_tag = 0;
  write_set = kill_set;
  clears = 0;
  sweeps = 0;
  if (one_page) begin
    write_set = set;
    write_valid = dropped;
  end else if (fill) begin
    write_set = fill_page[5:0];
    write_tag[fill_way] = 1'b1;
    write_valid[fill_way] = 1'b1;
  end else if (kill) write_valid[kill_way] = 1'b1;
  else if (clearing) begin
    write_set = clear_at;
    write_valid = {{{K}{{1'b1}}}};
    clears = 1'b1;
  end else if (pending & free) begin
    write_set = set;
    write_valid = covered;
    sweeps = 1'b1;
  end
  round = 0;
  for (j = 0; j < {C}; j = j + 1) begin
    round = round | (&local_generation[j]) | (&global_generation[j]);
    bump_local[j] = (&local_generation[j]) | flush[j] | (renew & (renew_slot == j[{s1}:0]))
      | (inval & ~inval_av & inval_leaves & (inval_slots[j] | ~inval_pv));
    bump_global[j] = (&global_generation[j]) | flush[j] | (renew & (renew_slot == j[{s1}:0])) | (inval & ~inval_av & inval_leaves & ~inval_pv);
  end
end
always @(posedge clock) begin
{writes}
  if (choose) begin
    chosen[kill_set] <= choose_way;
    turn <= turn + 1'b1;
  end
  for (k = 0; k < {C}; k = k + 1) begin
    if (bump_local[k]) local_generation[k] <= local_generation[k] + 1'b1;
    if (bump_global[k]) global_generation[k] <= global_generation[k] + 1'b1;
  end
  if (clears | ~clearing) clear_at <= clear_at + 1'b1;
  if (clears & (&clear_at)) clearing <= 1'b0;
  if (sweeps) begin
    range_at <= range_at + 1'b1;
    if (ends) pending <= 1'b0;
  end
  own_before <= own;
  taken_before <= taken;
  free <= next_free;
  set <= (next_free & pending_after) ? (page_after & ~span_after) | (at_after & span_after) : next_set;
  if (new_range) begin
    pending <= 1'b1;
    range_page <= key;
    range_span <= key ^ after;
    range_slots <= inval_slots;
    range_pv <= inval_pv;
    range_at <= 0;
  end
  if (round | reset) begin
    clearing <= 1'b1;
    clear_at <= 0;
  end
  if (reset) pending <= 1'b0;
end
",
            hi = SETS - 1,
            g1 = G - 1,
            s1 = S - 1,
            c1 = C - 1,
            k1 = K - 1,
            v1 = V - 1,
            t1 = tag - 1,
            key = key("", V),
            fill_key = key("fill_", V),
            memories = ways(&format!(
                "reg valid$[{hi}:0];\nreg [{t1}:0] tag$[{hi}:0];",
                hi = SETS - 1,
                t1 = tag - 1
            )),
            zero = ways("valid$[k] = 0; tag$[k] = 0;"),
            reads = ways(&format!(
                "wire valid_at$ = valid$[set];
wire [{t1}:0] tag_at$ = tag$[set];
wire [{p1}:0] page_at$ = tag_at$[{p1}:0];
wire [{s1}:0] slot_at$ = tag_at$[{s_hi}:{p}];
wire global_at$ = tag_at$[{g_at}];
wire [{g1}:0] generation_at$ = tag_at$[{g_hi}:{g_lo}];
wire [2:0] rights_at$ = tag_at$[{t1}:{r_lo}];",
                t1 = tag - 1,
                p = page,
                p1 = page - 1,
                s1 = S - 1,
                s_hi = page + S - 1,
                g_at = page + S,
                g_lo = page + S + 1,
                g_hi = page + S + G,
                r_lo = page + S + 1 + G,
                g1 = G - 1,
            )),
            compare = ways(&format!(
                "  same[$] = page_at$ == key[{v1}:6];
  covered[$] = in_range & (((page_at$ ^ range_page[{v1}:6]) & ~range_span[{v1}:6]) == 0)
    & (~range_pv | (range_slots[slot_at$] & ~global_at$));
  asked[$] = slots[slot_at$];
  alive[$] = generation_at$ == (global_at$ ? want_global : want_local);
  own[$] = valid_at$ & asked[$] & alive[$];
  taken[$] = valid_at$ & ~(asked[$] & ~alive[$]);
  allows[$] = access[0] ? rights_at$[1] : access[1] ? rights_at$[2] : rights_at$[0];
  dropped[$] = same[$] & (~inval_pv | (inval_slots[slot_at$] & ~global_at$));",
                v1 = V - 1,
            )),
            writes = ways(
                "  if (write_valid[$]) valid$[write_set] <= write_tag[$];
  if (write_tag[$]) tag$[write_set] <= fill_tag;"
            ),
        ))
}

/// The page number out of its fields, as wide as the configuration has it.
fn key(prefix: &str, width: usize) -> String {
    let fields = if width > 27 { 5 } else { 3 };
    let names: Vec<String> = (0..fields)
        .rev()
        .map(|i| format!("{prefix}vpn{i}"))
        .collect();
    format!("{{{}}}", names.join(", "))
}
