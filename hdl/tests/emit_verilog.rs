//! What the generator prints: merged modules, names without `$`, exact widths, direct connections.

use portcullis_hdl::cosim::words::Words;
use portcullis_hdl::emit::{Header, emit, emit_with_header};
use rust_hdl::prelude::*;

#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
enum Phase {
    Idle,
    Busy,
    Done,
}

#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
struct Pair {
    lo: Bits<4>,
    hi: Bits<4>,
}

#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "StreamOut"]
struct StreamIn {
    data: Signal<In, Bits<8>>,
    valid: Signal<In, Bit>,
    ready: Signal<Out, Bit>,
}

#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "StreamIn"]
struct StreamOut {
    data: Signal<Out, Bits<8>>,
    valid: Signal<Out, Bit>,
    ready: Signal<In, Bit>,
}

/// One register stage of a stream.
#[derive(LogicBlock, Default)]
struct Stage {
    clock: Signal<In, Clock>,
    from: StreamIn,
    to: StreamOut,
    held: DFF<Bits<8>>,
    full: DFF<Bit>,
}

impl Logic for Stage {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, full);
        self.to.data.next = self.held.q.val();
        self.to.valid.next = self.full.q.val();
        self.from.ready.next = !self.full.q.val() | self.to.ready.val();
        if self.from.ready.val() {
            self.held.d.next = self.from.data.val();
            self.full.d.next = self.from.valid.val();
        }
    }
}

#[derive(LogicBlock)]
struct Top {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    inp: StreamIn,
    out: StreamOut,
    a: Signal<In, Bits<8>>,
    sel: Signal<In, Bits<3>>,
    wide: Signal<Out, Bits<16>>,
    pick: Signal<Out, Bit>,
    sum_is: Signal<Out, Bit>,
    low: Signal<Out, Bits<4>>,
    flipped: Signal<Out, Bits<8>>,
    at: Signal<Out, Bits<2>>,
    pair: Signal<Out, Pair>,
    first: Stage,
    second: Stage,
    phase: DFF<Phase>,
    bank: [DFF<Bits<8>>; 2],
    sum: Signal<Local, Bits<8>>,
    bank_0: Signal<Local, Bit>,
    one: Constant<Bits<8>>,
    unused: Constant<Bits<8>>,
}

impl Default for Top {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            inp: Default::default(),
            out: Default::default(),
            a: Default::default(),
            sel: Default::default(),
            wide: Default::default(),
            pick: Default::default(),
            sum_is: Default::default(),
            low: Default::default(),
            flipped: Default::default(),
            at: Default::default(),
            pair: Default::default(),
            first: Default::default(),
            second: Default::default(),
            phase: Default::default(),
            bank: Default::default(),
            sum: Default::default(),
            bank_0: Default::default(),
            one: Constant::new(1.into()),
            unused: Constant::new(7.into()),
        }
    }
}

impl Logic for Top {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase);
        clock!(self, clock, first, second);
        StreamIn::link(&mut self.inp, &mut self.first.from);
        StreamOut::join(&mut self.first.to, &mut self.second.from);
        StreamOut::link(&mut self.out, &mut self.second.to);
        for i in 0..2 {
            self.bank[i].clock.next = self.clock.val();
            self.bank[i].d.next = self.a.val();
        }
        self.sum.next = self.a.val() + self.one.val();
        self.wide.next = bit_cast::<16, 8>(self.sum.val()) << 4;
        self.pick.next = self.a.val().get_bit(self.sel.val().index());
        self.sum_is.next = (self.a.val() & self.bank[1].q.val()) == self.sum.val();
        self.low.next = bit_cast::<4, 8>(self.sum.val());
        self.bank_0.next = self.bank[0].q.val().any() && (self.sel.val() == 5);
        self.flipped.next = self.a.val().replace_bit(3, self.bank_0.val());
        self.pair.next.lo = self.a.val().get_bits::<4>(4);
        self.pair.next.hi = self.a.val().get_bits::<4>(0);
        self.at.next = 0.into();
        match self.phase.q.val() {
            Phase::Idle => {
                if self.pick.val() {
                    self.phase.d.next = Phase::Busy;
                }
            }
            Phase::Busy => {
                self.at.next = 1.into();
                self.phase.d.next = Phase::Done;
            }
            _ => {
                self.phase.d.next = Phase::Idle;
            }
        }
        if self.reset.val() {
            self.phase.d.next = Phase::Idle;
        }
    }
}

fn verilog() -> String {
    let mut top = Top::default();
    top.connect_all();
    emit(&top, "core_tiny").unwrap_or_else(|e| panic!("{e}"))
}

/// The text of one module.
fn module<'a>(text: &'a str, name: &str) -> &'a str {
    let start = text
        .find(&format!("module {name} "))
        .unwrap_or_else(|| panic!("no module {name} in\n{text}"));
    let end = text[start..].find("endmodule").expect("an end") + start;
    &text[start..end]
}

#[test]
fn modules_are_merged_and_named() {
    let v = verilog();
    println!("{v}");
    let names: Vec<&str> = v
        .lines()
        .filter_map(|l| l.strip_prefix("module "))
        .map(|l| l.split_whitespace().next().unwrap_or(""))
        .collect();
    assert_eq!(
        names,
        [
            "core_tiny",
            "core_tiny_first",
            "core_tiny_reg_8",
            "core_tiny_reg_1",
            "core_tiny_reg_2"
        ]
    );
    assert_eq!(v.matches("core_tiny_first second (").count(), 1);
}

#[test]
fn no_dollar_anywhere() {
    let v = verilog();
    assert!(!v.contains('$'), "{v}");
    // `bank[0].q` would be `bank_0_q`; the local `bank_0` keeps its name and the instance steps aside.
    assert!(v.contains("core_tiny_reg_8 bank_0_i ("), "{v}");
    assert!(v.contains("input wire [7:0] inp_data,"), "{v}");
}

#[test]
fn widths_are_exact() {
    let v = verilog();
    let top = module(&v, "core_tiny");
    for line in [
        "assign sum = a + one;",
        "assign wide = {8'h0, sum} << 4;",
        "assign pick = a[sel];",
        "assign sum_is = (a & bank_1_q) == sum;",
        "assign low = sum[3:0];",
        "assign bank_0 = (|bank_0_q) && sel == 3'h5;",
        "assign flipped = {a[7:4], bank_0, a[2:0]};",
        "assign pair[3:0] = a[7:4];",
        "assign pair[7:4] = a[3:0];",
        "localparam [1:0] Phase_Busy = 2'd1;",
        "localparam [7:0] one = 8'h1;",
    ] {
        assert!(top.contains(line), "no `{line}` in\n{top}");
    }
    assert!(!top.contains("unused"), "{top}");
}

#[test]
fn connections_are_direct() {
    let v = verilog();
    let top = module(&v, "core_tiny");
    assert!(top.contains(".clock(clock)"), "{top}");
    assert!(top.contains(".d(a)"), "{top}");
    assert!(!top.contains("wire first_clock"), "{top}");
    assert!(top.contains(".from_data(first_to_data)"), "{top}");
}

#[test]
fn header_is_a_comment() {
    let mut top = Top::default();
    top.connect_all();
    let header = Header {
        title: "Core, configuration tiny".into(),
        version: "1.2.3".into(),
        licence: "MIT".into(),
        generator: "make".into(),
    };
    let v = emit_with_header(&top, "t", Some(&header)).expect("verilog");
    assert!(v.starts_with(
        "// Core, configuration tiny, version 1.2.3\n// SPDX-License-Identifier: MIT\n"
    ));
}

#[test]
fn output_does_not_depend_on_chance() {
    assert_eq!(verilog(), verilog());
}

/// The default of `at` must not be seen before its final value: rings of such glimpses never come to rest.
#[test]
fn watched_signals_change_once() {
    let v = verilog();
    let top = module(&v, "core_tiny");
    assert_eq!(top.matches(" at = at_next;").count(), 1, "{top}");
    assert!(top.contains("reg [1:0] at_next;"), "{top}");
    assert!(top.contains("at_next = 2'h1;"), "{top}");
    // A register looks at `d` only at the clock edge.
    assert!(!top.contains("phase_d_next"), "{top}");
}

#[test]
fn expressions() {
    let mut uut = Words::default();
    uut.connect_all();
    let v = emit(&uut, "words").unwrap_or_else(|e| panic!("{e}"));
    for line in [
        "assign carry_dropped = {8'h0, a + b};",
        "assign cut = (a[3:0] ^ mask[3:0]) - b[3:0];",
        "assign shifted = a >> n;",
        "assign joined = ({16'h0, sum} << 16) | ({16'h0, b} << 8) | {23'h0, f};",
        "assign reduced = (|a) & ~(&b) & (^sum);",
        "assign compared = ((a & mask) < b) | (sum >= 8'h7f);",
        "assign part = wide[{3'h0, n} +: 8];",
        "assign inserted = (wide & ~(40'h1 << n)) | ({39'h0, f} << n);",
        "assign nested = f && (n == 3'h3 || ~f);",
        "bits_3_next = bits_2;",
        "bits_3_next = bits_2 + 4'h1;",
        "assign count = bits_8;",
        "assign moved = (wide << 7) ^ (wide >> 33);",
        "assign flipped = {a[7:4], f, a[2:0]};",
        "halves_next[7:4] = halves_next[3:0];",
        "3'h5: begin",
        "total_d = total_q + {60'h0, wide};",
    ] {
        assert!(v.contains(line), "no `{line}` in\n{v}");
    }
}
