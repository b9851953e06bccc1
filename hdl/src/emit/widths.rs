//! The width rules of the lint: where Verilog computes with more or fewer bits than Rust.

use super::design::Names;
use super::ir::{Arm, Expr, Op, Reduce};
use super::lint::{Problem, Rule};

/// What is known about the width of an expression.
#[derive(Clone, Copy, Debug)]
struct Width {
    /// In Rust; `None` for a literal or a loop variable, which takes the width of its neighbour.
    rust: Option<usize>,
    /// In Verilog as rust-hdl prints it, on its own.
    verilog: usize,
    /// The bits above the Rust width are zero whatever the context.
    exact: bool,
    /// The Rust width is not visible: the result of an `unsigned_cast_to`.
    hidden: bool,
}

const LITERAL: Width = Width {
    rust: None,
    verilog: 32,
    exact: true,
    hidden: false,
};

const BIT: Width = Width {
    rust: Some(1),
    verilog: 1,
    exact: true,
    hidden: false,
};

pub(super) struct Widths<'a> {
    path: &'a str,
    names: &'a Names<'a>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Widths<'a> {
    pub(super) fn new(path: &'a str, names: &'a Names<'a>) -> Self {
        Widths {
            path,
            names,
            problems: vec![],
        }
    }

    pub(super) fn report(&mut self, rule: Rule, text: String) {
        let p = Problem::new(self.path, rule, text);
        if !self.problems.contains(&p) {
            self.problems.push(p);
        }
    }

    /// The right-hand side of an assignment to `width` bits of `target`.
    pub(super) fn assigned(&mut self, value: &Expr, width: Option<usize>, target: &str) {
        let w = self.expr(value);
        let Some(width) = width else { return };
        if let (Some(rust), false) = (w.rust, w.hidden)
            && rust != width
        {
            let text = format!("`{target}`: {rust} bits assigned to {width}");
            self.report(Rule::AssignedWidth, text);
        }
        self.fits(value, width);
    }

    pub(super) fn condition(&mut self, test: &Expr) {
        let w = self.expr(test);
        self.alone(w, "a condition");
    }

    pub(super) fn matched(&mut self, test: &Expr, arms: &[(Arm, Vec<super::ir::Stmt>)]) {
        let w = self.expr(test);
        if !w.exact {
            let text = "`match` on + - << or !: put it into a Local first";
            self.report(Rule::SelfDetermined, text.into());
        }
        let Some(width) = w.rust.filter(|w| *w < 64) else {
            return;
        };
        for (arm, _) in arms {
            if let Arm::Number(n) = arm
                && n >> width != 0
            {
                let text = format!("match arm {n} does not fit in {width} bits");
                self.report(Rule::LiteralFits, text);
            }
        }
    }

    /// Literals of `e` that meet a `width`-bit value must fit in it.
    fn fits(&mut self, e: &Expr, width: usize) {
        match e.bare() {
            Expr::Number(v, _) if v.bits() > width => {
                let text = format!("{} does not fit in {width} bits", v.sized(v.bits()));
                self.report(Rule::LiteralFits, text);
            }
            Expr::Binary(a, Op::Shl | Op::Shr, _) => self.fits(a, width),
            Expr::Binary(a, op, b) if !op.is_comparison() => {
                self.fits(a, width);
                self.fits(b, width);
            }
            Expr::Not(x) => self.fits(x, width),
            _ => {}
        }
    }

    /// `w` stands where Verilog computes it on its own: nothing around it widens it.
    fn alone(&mut self, w: Width, what: &str) {
        let rust = w.rust.unwrap_or(w.verilog);
        if !w.exact && (w.hidden || w.verilog != rust) {
            let text =
                format!("{what} of + - << or ! next to a literal: put it into a Local first");
            self.report(Rule::SelfDetermined, text);
        }
    }

    /// A bit number or slice offset: `usize` in Rust, as wide as its widest operand in Verilog.
    fn offset(&mut self, e: &Expr, base: Option<usize>, width: usize) {
        let w = self.expr(e);
        if let Some(at) = e.constant(self.names) {
            let end = at as usize + width;
            if base.is_some_and(|b| end > b) {
                let text = format!("bits {at}..{end} are outside the signal");
                self.report(Rule::OutOfRange, text);
            }
        } else if !w.exact {
            let text = "an index that is + - << or !: put it into a Local first";
            self.report(Rule::SelfDetermined, text.into());
        }
    }

    /// The signal that a bit or a slice is taken of.
    fn sliced(&mut self, base: &Expr, what: &str) -> Option<usize> {
        let w = self.expr(base);
        if !matches!(base, Expr::Signal(_)) {
            let text = format!("{what} of an expression: put it into a Local first");
            self.report(Rule::NotVerilog, text);
            return None;
        }
        if w.verilog == 1 {
            let text = format!("{what} of a single bit: use .any() or the bit itself");
            self.report(Rule::NotVerilog, text);
        }
        w.rust
    }

    fn expr(&mut self, e: &Expr) -> Width {
        match e {
            Expr::Signal(s) => match self.names.width(s) {
                Some(w) => Width {
                    rust: Some(w),
                    verilog: w,
                    exact: true,
                    hidden: false,
                },
                None => LITERAL,
            },
            Expr::Variant(_) => LITERAL,
            Expr::Number(_, bits) => Width {
                rust: (*bits == 1).then_some(1),
                verilog: *bits,
                ..LITERAL
            },
            Expr::Paren(x) => self.expr(x),
            Expr::Signed(x) | Expr::Neg(x) => {
                self.report(
                    Rule::NotVerilog,
                    "signed numbers are not used here".to_string(),
                );
                self.expr(x)
            }
            Expr::Cast(x, m) => self.cast(x, *m),
            Expr::Unsigned(x) => {
                let a = self.expr(x);
                let rust = a.rust.unwrap_or(a.verilog);
                Width {
                    exact: a.exact || rust == a.verilog,
                    hidden: true,
                    ..a
                }
            }
            Expr::Not(x) => {
                if matches!(**x, Expr::Not(_)) {
                    self.report(
                        Rule::NotVerilog,
                        "`!!x` has no Verilog form: write `!(!x)`".into(),
                    );
                }
                let a = self.expr(x);
                Width { exact: false, ..a }
            }
            Expr::Reduce(r, x) => {
                let a = self.expr(x);
                let rust = a.rust.unwrap_or(a.verilog);
                if *r == Reduce::All && (a.hidden || a.verilog != rust) {
                    let text = ".all() of something wider in Verilog: put it into a Local first";
                    self.report(Rule::SelfDetermined, text.into());
                } else {
                    self.alone(a, "a reduction");
                }
                BIT
            }
            Expr::Bit(base, at) => {
                let w = self.sliced(base, "get_bit()");
                self.offset(at, w, 1);
                BIT
            }
            Expr::Slice(base, n, at) => {
                let w = self.sliced(base, "get_bits() or a field");
                self.offset(at, w, *n);
                Width {
                    rust: Some(*n),
                    verilog: *n,
                    ..BIT
                }
            }
            Expr::Replace(base, at, bit) => {
                let a = self.expr(base);
                self.offset(at, a.rust, 1);
                if !self.expr(bit).exact {
                    let text = "replace_bit() with `!x`: put the bit into a Local first";
                    self.report(Rule::WideningCast, text.into());
                }
                Width {
                    verilog: a.verilog.max(32),
                    ..a
                }
            }
            Expr::Binary(a, op, b) => self.binary(a, *op, b),
        }
    }

    fn cast(&mut self, x: &Expr, m: usize) -> Width {
        let a = self.expr(x);
        let rust = a.rust.unwrap_or(m);
        if a.rust.is_none() {
            self.fits(x, m);
        }
        if !a.exact && (m > rust || a.hidden) {
            let text =
                format!("bit_cast of + - << or ! to {m} bits: put the operand into a Local first");
            self.report(Rule::WideningCast, text);
        }
        if m < rust && matches!(x.bare(), Expr::Binary(_, Op::Shr, _)) {
            let text = "narrowing bit_cast of `>>`: use get_bits, or a Local";
            self.report(Rule::NotVerilog, text.into());
        }
        Width {
            rust: Some(m),
            verilog: a.verilog.max(m),
            exact: a.exact || m <= rust,
            hidden: false,
        }
    }

    fn binary(&mut self, ea: &Expr, op: Op, eb: &Expr) -> Width {
        if op.is_comparison() {
            for e in [ea, eb] {
                if matches!(e, Expr::Binary(_, o, _) if o.is_bitwise()) {
                    let text = format!(
                        "`&`, `|` or `^` next to `{}` wants parentheses: Verilog compares first",
                        op.text()
                    );
                    self.report(Rule::Precedence, text);
                }
            }
        }
        let (a, b) = (self.expr(ea), self.expr(eb));
        let rust = a.rust.or(b.rust);
        let verilog = a.verilog.max(b.verilog);
        let hidden = a.hidden || b.hidden;
        match op {
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                if (!a.exact || !b.exact) && (hidden || rust.is_some_and(|r| r != verilog)) {
                    let text = format!(
                        "`{}` with + - << or ! beside something wider: put it into a Local first",
                        op.text()
                    );
                    self.report(Rule::ComparedWidth, text);
                }
                if let (Some(r), false) = (rust, hidden) {
                    self.fits(ea, r);
                    self.fits(eb, r);
                }
                BIT
            }
            Op::LogicalAnd | Op::LogicalOr => {
                self.alone(a, "an operand of && or ||");
                self.alone(b, "an operand of && or ||");
                BIT
            }
            Op::Shl | Op::Shr => {
                self.alone(b, "a shift amount");
                if op == Op::Shr && !a.exact {
                    let text =
                        "`>>` of + - << or ! pulls the carry down: put it into a Local first";
                    self.report(Rule::ShiftRight, text.into());
                }
                Width {
                    exact: op == Op::Shr && a.exact,
                    ..a
                }
            }
            _ => Width {
                rust,
                verilog,
                exact: match op {
                    Op::And => a.exact || b.exact,
                    Op::Or | Op::Xor => a.exact && b.exact,
                    _ => false,
                },
                hidden,
            },
        }
    }
}
