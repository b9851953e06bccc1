//! The lint finds each trap of the field guide and leaves sound kernels alone.

use portcullis_hdl::emit::{Rule, emit, lint};
use rust_hdl::prelude::*;

type I<const N: usize> = Signal<In, Bits<N>>;
type O<const N: usize> = Signal<Out, Bits<N>>;
type L<const N: usize> = Signal<Local, Bits<N>>;
type Ib = Signal<In, Bit>;
type Ob = Signal<Out, Bit>;
type Lb = Signal<Local, Bit>;

macro_rules! block {
    ($name:ident { $($field:ident: $ty:ty),* $(,)? } $($kernel:tt)*) => {
        #[derive(LogicBlock, Default)]
        struct $name { $($field: $ty),* }
        impl Logic for $name { $($kernel)* }
    };
}

fn found(mut uut: impl Block) -> Vec<Rule> {
    uut.connect_all();
    let problems = lint(&uut).expect("a block");
    problems.iter().for_each(|p| println!("{p}"));
    let mut rules: Vec<Rule> = vec![];
    for p in problems {
        if !rules.contains(&p.rule) {
            rules.push(p.rule);
        }
    }
    rules
}

macro_rules! trap {
    ($test:ident, $rule:expr, { $($field:ident: $ty:ty),* $(,)? } $($kernel:tt)*) => {
        #[test]
        fn $test() {
            block!(Trap { $($field: $ty),* } $($kernel)*);
            assert_eq!(found(Trap::default()), [$rule]);
        }
    };
}

trap!(bitwise_next_to_comparison, Rule::Precedence, { a: I<8>, b: I<8>, c: I<8>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() & self.b.val() == self.c.val(); });

trap!(inverted_and_compared, Rule::ComparedWidth, { a: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = !self.a.val() == 0; });

trap!(sum_compared, Rule::ComparedWidth, { a: I<4>, b: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() + 1 == self.b.val(); });

trap!(difference_compared_with_bits, Rule::ComparedWidth, { a: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() - 1 == bits::<4>(15); });

trap!(shift_out_compared, Rule::ComparedWidth, { a: I<16>, n: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = (self.a.val() << self.n.val()) == bits::<16>(0); });

trap!(sum_shifted_right, Rule::ShiftRight, { a: I<4>, y: O<4> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = (self.a.val() + 1) >> 1; });

trap!(sum_widened, Rule::WideningCast, { a: I<4>, b: I<4>, y: O<8> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = bit_cast::<8, 4>(self.a.val() + self.b.val()); });

trap!(inverse_widened, Rule::WideningCast, { a: I<4>, y: O<8> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = bit_cast::<8, 4>(!self.a.val()); });

trap!(cast_there_and_back, Rule::WideningCast, { a: I<16>, y: O<16> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = bit_cast::<16, 8>(bit_cast::<8, 16>(self.a.val()) << 4); });

trap!(inverted_bit_inserted, Rule::WideningCast, { a: I<16>, f: Ib, y: O<16> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val().replace_bit(3, !self.f.val()); });

trap!(all_of_a_literal, Rule::SelfDetermined, { a: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = (self.a.val() | 3).all(); });

trap!(any_of_a_sum, Rule::SelfDetermined, { a: I<4>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = (self.a.val() + 1).any(); });

trap!(index_that_wraps, Rule::SelfDetermined, { a: I<3>, b: I<3>, x: I<16>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.x.val().get_bit(self.a.val().index() + self.b.val().index()); });

trap!(slice_of_a_sum, Rule::NotVerilog, { a: I<8>, b: I<8>, y: O<4> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = (self.a.val() + self.b.val()).get_bits::<4>(2); });

trap!(bit_of_a_bit, Rule::NotVerilog, { a: I<1>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val().get_bit(0); });

trap!(double_inverse, Rule::NotVerilog, { a: Ib, y: Ob }
    #[hdl_gen]
    #[allow(clippy::nonminimal_bool)]
    fn update(&mut self) { self.y.next = !!self.a.val(); });

trap!(slice_past_the_top, Rule::OutOfRange, { a: I<8>, y: O<4> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val().get_bits::<4>(6); });

trap!(loop_slice_past_the_top, Rule::OutOfRange, { a: I<12>, b: L<8>, y: O<8> }
#[hdl_gen]
fn update(&mut self) {
    self.b.next = 0.into();
    for i in 0..2 { self.b.next = self.b.val() | self.a.val().get_bits::<8>(8 * i); }
    self.y.next = self.b.val();
});

trap!(literal_too_wide, Rule::LiteralFits, { a: I<8>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() == 300; });

const LIMIT: u64 = 5;
trap!(rust_constant, Rule::UnknownName, { a: I<8>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() == LIMIT; });

trap!(invisible_field, Rule::UnknownName, { a: I<8>, _b: L<8>, y: O<8> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() & self._b.val(); });

trap!(loop_variable_hides_signal, Rule::LoopVariable, { i: Ib, a: I<8>, y: O<4> }
#[hdl_gen]
fn update(&mut self) {
    self.y.next = 0.into();
    for i in 0..4 {
        if self.i.val() { self.y.next = self.a.val().get_bits::<4>(i); }
    }
});

trap!(missing_else, Rule::Latch, { a: I<8>, c: Ib, y: O<8> }
    #[hdl_gen]
    fn update(&mut self) { if self.c.val() { self.y.next = self.a.val(); } });

trap!(read_before_write, Rule::ReadBeforeWrite, { a: Ib, t: Lb, y: Ob }
#[hdl_gen]
fn update(&mut self) {
    self.y.next = false;
    if self.t.val() { self.y.next = true; }
    self.t.next = self.a.val();
});

trap!(keyword, Rule::Keyword, { a: Ib, table: Lb, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.table.next = self.a.val(); self.y.next = self.table.val(); });

trap!(reads_nothing, Rule::ReadsNothing, { a: Ib, y: O<4> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = 5.into(); });

#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
#[allow(dead_code)]
enum Three {
    One,
    Two,
    Last,
}

trap!(match_without_default, Rule::MatchDefault, { s: Signal<In, Three>, y: O<2> }
#[hdl_gen]
fn update(&mut self) {
    self.y.next = 0.into();
    match self.s.val() {
        Three::One => { self.y.next = 1.into(); }
        Three::Two => { self.y.next = 2.into(); }
        Three::Last => { self.y.next = 3.into(); }
    }
});

trap!(hexadecimal_arm, Rule::MatchArm, { s: I<5>, y: O<2> }
#[hdl_gen]
fn update(&mut self) {
    self.y.next = 0.into();
    match self.s.val().index() {
        0x10 => { self.y.next = 1.into(); }
        3 => { self.y.next = 2.into(); }
        _ => {}
    }
});

#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
enum Single {
    Only,
}

trap!(enum_without_bits, Rule::ZeroWidth, { a: Ib, s: Signal<Local, Single>, y: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.s.next = Single::Only; self.y.next = self.a.val(); });

mod other {
    use rust_hdl::prelude::*;
    #[derive(LogicState, Debug, Copy, Clone, PartialEq)]
    #[allow(dead_code)]
    pub enum Three {
        Red,
        Green,
        Blue,
    }
}

trap!(two_enums_of_one_name, Rule::EnumClash, { a: Signal<In, Three>, b: Signal<In, other::Three>, y: Ob, z: Ob }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val() == Three::Two; self.z.next = self.b.val() != self.b.val(); });

trap!(clock_comes_out, Rule::ClockOut, { clock: Signal<In, Clock>, q: Signal<Out, Clock> }
    #[hdl_gen]
    fn update(&mut self) { self.q.next = self.clock.val(); });

#[derive(LogicBlock, Default)]
struct NoBody {
    a: Ib,
    y: Ob,
}
impl Logic for NoBody {
    fn update(&mut self) {
        self.y.next = self.a.val();
    }
    fn connect(&mut self) {
        self.y.connect();
    }
}

#[test]
fn own_cell_without_verilog() {
    assert_eq!(found(NoBody::default()), [Rule::NoVerilog]);
}

#[derive(LogicBlock, Default)]
struct Grid {
    a: I<4>,
    m: [[Signal<Local, Bits<4>>; 2]; 2],
    y: O<4>,
}
impl Logic for Grid {
    #[hdl_gen]
    fn update(&mut self) {
        self.m[0][0].next = self.a.val();
        self.y.next = self.m[0][0].val();
    }
}

#[test]
fn two_indices() {
    assert!(found(Grid::default()).contains(&Rule::OneIndex));
}

#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
struct Inner {
    lo: Bits<4>,
    hi: Bits<4>,
}
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
struct Outer {
    i: Inner,
    f: Bit,
}

trap!(two_struct_levels, Rule::UnknownName, { a: Signal<In, Outer>, y: O<4> }
    #[hdl_gen]
    fn update(&mut self) { self.y.next = self.a.val().i.hi; });

trap!(field_never_written, Rule::Latch, { a: I<4>, t: Signal<Local, Inner>, y: O<8> }
#[hdl_gen]
fn update(&mut self) {
    self.t.next.lo = self.a.val();
    self.y.next = 0.into();
    if self.a.val().any() { self.y.next = bit_cast::<8, 4>(self.t.val().lo); }
});

#[derive(LogicState, Debug, Copy, Clone, PartialEq)]
enum Phase {
    Idle,
    Busy,
    Done,
}

/// Uses what the guide calls safe, all in one kernel.
#[derive(LogicBlock)]
struct Clean {
    clock: Signal<In, Clock>,
    reset: Ib,
    go: Ib,
    a: I<8>,
    wide: I<64>,
    n: I<3>,
    y: O<16>,
    hit: Ob,
    both: Signal<Out, Inner>,
    phase: DFF<Phase>,
    count: DFF<Bits<8>>,
    bank: [DFF<Bits<4>>; 3],
    sum: L<8>,
    part: Signal<Local, Inner>,
    not_a: L<8>,
    mask: Constant<Bits<8>>,
}

impl Default for Clean {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            go: Default::default(),
            a: Default::default(),
            wide: Default::default(),
            n: Default::default(),
            y: Default::default(),
            hit: Default::default(),
            both: Default::default(),
            phase: Default::default(),
            count: Default::default(),
            bank: Default::default(),
            sum: Default::default(),
            part: Default::default(),
            not_a: Default::default(),
            mask: Constant::new(0x3c.into()),
        }
    }
}

impl Logic for Clean {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase, count);
        for i in 0..3 {
            self.bank[i].clock.next = self.clock.val();
            self.bank[i].d.next = self.bank[i].q.val();
        }
        self.sum.next = self.a.val() + self.count.q.val();
        self.not_a.next = !self.a.val();
        self.part.next.lo = self.sum.val().get_bits::<4>(0);
        self.part.next.hi = self.not_a.val().get_bits::<4>(4);
        self.both.next = self.part.val();
        self.y.next =
            bit_cast::<16, 8>(self.sum.val()) | (bit_cast::<16, 8>(self.not_a.val()) << 8);
        self.hit.next = (self.a.val() & self.mask.val()) == self.sum.val();
        match self.phase.q.val() {
            Phase::Idle => {
                if self.go.val() && !self.reset.val() {
                    self.phase.d.next = Phase::Busy;
                }
            }
            Phase::Busy => {
                self.count.d.next = self.count.q.val() + 1;
                for i in 0..2 {
                    self.bank[i + 1].d.next = self.bank[i].q.val();
                }
                if self.wide.val().get_bit(self.n.val().index()) {
                    self.phase.d.next = Phase::Done;
                }
            }
            _ => {
                self.bank[0].d.next = self.a.val().get_bits::<4>(2);
                self.phase.d.next = Phase::Idle;
            }
        }
        if self.reset.val() {
            self.phase.d.next = Phase::Idle;
            self.count.d.next = 0.into();
        }
    }
}

#[test]
fn sound_kernels_pass() {
    assert_eq!(found(Clean::default()), []);
}

#[test]
fn emit_refuses_what_the_lint_finds() {
    block!(Bad { a: I<4>, y: O<4> }
        #[hdl_gen]
        fn update(&mut self) { self.y.next = (self.a.val() + 1) >> 1; });
    let mut uut = Bad::default();
    uut.connect_all();
    let error = emit(&uut, "bad").expect_err("a trap");
    assert!(error.starts_with("bad: "), "{error}");
    assert!(error.contains("ShiftRight"), "{error}");
}

#[test]
fn emit_refuses_what_check_all_finds() {
    block!(Open { a: I<4>, r: DFF<Bits<4>>, y: O<4> }
        #[hdl_gen]
        fn update(&mut self) { self.y.next = self.r.q.val(); });
    let mut uut = Open::default();
    uut.connect_all();
    assert!(emit(&uut, "open").is_err());
}
