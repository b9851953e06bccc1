//! Verilog text of expressions and statements, exact about widths.
//!
//! Every operator is printed so that its operands have the width they have in Rust: literals get the width of their
//! neighbour, widening is a concatenation with zeros, narrowing a part select. The text then means the same whatever
//! surrounds it, and linters find nothing to say about widths.

use super::design::{Literal, Names, enum_width};
use super::ir::{Arm, Expr, Op, Reduce, Stmt};
use std::collections::HashMap;

/// How tightly a piece of text binds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bind {
    Primary,
    Not,
    Reduce,
    Binary(Op),
}

struct Piece {
    text: String,
    bind: Bind,
}

impl Piece {
    fn primary(text: String) -> Self {
        let bind = Bind::Primary;
        Piece { text, bind }
    }

    /// As an operand of something that binds at least as tightly as a unary operator.
    fn tight(self) -> String {
        match self.bind {
            Bind::Primary => self.text,
            _ => format!("({})", self.text),
        }
    }

    /// As an operand of `op`.
    fn within(self, op: Op) -> String {
        let bare = match self.bind {
            Bind::Primary | Bind::Not => true,
            Bind::Reduce => false,
            Bind::Binary(inner) => {
                let logical = matches!(op, Op::LogicalAnd | Op::LogicalOr);
                let chain = op.is_bitwise() || logical;
                (inner == op && chain) || (logical && inner.is_comparison())
            }
        };
        if bare {
            self.text
        } else {
            format!("({})", self.text)
        }
    }
}

/// Prints the kernel of one scope.
pub(super) struct Printer<'a> {
    pub(super) names: &'a Names<'a>,
    /// Verilog spelling of every name of the scope.
    pub(super) spelling: &'a HashMap<String, String>,
}

type Text = Result<String, String>;

fn pad(zeros: usize, text: &str) -> String {
    format!("{{{}, {text}}}", Literal::new(0).sized(zeros))
}

/// Bits of an index into `n` things.
fn index_bits(n: usize) -> usize {
    enum_width(n).max(1)
}

impl Printer<'_> {
    fn width(&self, e: &Expr) -> Option<usize> {
        match e {
            Expr::Signal(s) => self.names.width(s),
            Expr::Variant(v) => self.names.variant(v).map(|(_, n)| enum_width(n)),
            Expr::Number(_, bits) => (*bits == 1).then_some(1),
            Expr::Paren(x) | Expr::Not(x) | Expr::Neg(x) => self.width(x),
            Expr::Cast(_, m) | Expr::Slice(_, m, _) => Some(*m),
            Expr::Unsigned(_) | Expr::Signed(_) => None,
            Expr::Reduce(..) | Expr::Bit(..) => Some(1),
            Expr::Replace(x, _, _) => self.width(x),
            Expr::Binary(a, op, b) => match op {
                Op::Shl | Op::Shr => self.width(a),
                Op::LogicalAnd | Op::LogicalOr => Some(1),
                _ if op.is_comparison() => Some(1),
                _ => self.width(a).or_else(|| self.width(b)),
            },
        }
    }

    /// Width of what stands inside `unsigned_cast_to`, and 32 for what adapts.
    fn least(&self, e: &Expr) -> usize {
        match e.bare() {
            Expr::Unsigned(x) => self.least(x),
            x => self.width(x).unwrap_or(32),
        }
    }

    fn spell(&self, name: &str) -> Text {
        match self.spelling.get(name) {
            Some(s) => Ok(s.clone()),
            None => Err(format!("`{name}` is unknown")),
        }
    }

    /// `e` with `width` bits; with its own width if that is `None`.
    pub(super) fn expr(&self, e: &Expr, width: Option<usize>) -> Text {
        Ok(self.piece(e, width)?.text)
    }

    fn piece(&self, e: &Expr, width: Option<usize>) -> Result<Piece, String> {
        if !matches!(e, Expr::Signal(_))
            && let Some(v) = e.constant(self.names)
            && self.width(e) != Some(1)
        {
            return self.number(&Literal::new(v), width.or(self.width(e)));
        }
        match (width, self.width(e)) {
            (Some(want), Some(own)) if own < want => {
                let inner = self.piece(e, Some(own))?;
                Ok(Piece::primary(pad(want - own, &inner.text)))
            }
            (Some(want), Some(own)) if own > want => {
                Err(format!("{own} bits where {want} are wanted"))
            }
            (want, own) => self.exact(e, want.or(own)),
        }
    }

    fn number(&self, v: &Literal, width: Option<usize>) -> Result<Piece, String> {
        let width = width.unwrap_or(32);
        if v.bits() > width {
            return Err(format!(
                "{} does not fit in {width} bits",
                v.sized(v.bits())
            ));
        }
        Ok(Piece::primary(v.sized(width)))
    }

    /// `e`, whose own width is `width` or which adapts to it.
    fn exact(&self, e: &Expr, width: Option<usize>) -> Result<Piece, String> {
        match e {
            Expr::Signal(s) => Ok(Piece::primary(self.spell(s)?)),
            Expr::Variant(v) => Ok(Piece::primary(v.replace('$', "_"))),
            Expr::Number(v, _) => self.number(v, width),
            Expr::Paren(x) => self.piece(x, width),
            Expr::Cast(x, m) => self.resize(x, *m),
            Expr::Unsigned(x) => {
                let want = width.unwrap_or(self.least(x));
                self.resize(x, want)
            }
            Expr::Signed(_) | Expr::Neg(_) => Err("signed numbers are not supported".into()),
            Expr::Not(x) => Ok(Piece {
                text: format!("~{}", self.piece(x, width)?.tight()),
                bind: Bind::Not,
            }),
            Expr::Reduce(r, x) => {
                let x = self.piece(x, None)?.tight();
                let op = match r {
                    Reduce::All => "&",
                    Reduce::Any => "|",
                    Reduce::Xor => "^",
                };
                Ok(Piece {
                    text: format!("{op}{x}"),
                    bind: Bind::Reduce,
                })
            }
            Expr::Bit(base, at) => self.select(base, 1, at),
            Expr::Slice(base, w, at) => self.select(base, *w, at),
            Expr::Replace(base, at, bit) => self.replace(base, at, bit),
            Expr::Binary(a, op, b) => self.binary(a, *op, b, width),
        }
    }

    fn binary(&self, a: &Expr, op: Op, b: &Expr, width: Option<usize>) -> Result<Piece, String> {
        let (wa, wb) = match op {
            Op::Shl | Op::Shr => (width, None),
            Op::LogicalAnd | Op::LogicalOr => (Some(1), Some(1)),
            _ if op.is_comparison() => {
                let w = match (self.width(a), self.width(b)) {
                    (Some(a), Some(b)) => a.max(b),
                    (Some(w), None) | (None, Some(w)) => w,
                    (None, None) => self.least(a).max(self.least(b)),
                };
                (Some(w), Some(w))
            }
            _ => (width, width),
        };
        let left = self.piece(a, wa)?.within(op);
        let right = match (op, b.constant(self.names)) {
            (Op::Shl | Op::Shr, Some(n)) => n.to_string(),
            _ => self.piece(b, wb)?.within(op),
        };
        Ok(Piece {
            text: format!("{left} {} {right}", op.text()),
            bind: Bind::Binary(op),
        })
    }

    /// `e` widened with zeros or cut to `m` bits.
    fn resize(&self, e: &Expr, m: usize) -> Result<Piece, String> {
        match self.width(e) {
            None => match e.bare() {
                Expr::Unsigned(x) => self.resize(x, m),
                x => self.piece(x, Some(m)),
            },
            Some(w) if w <= m => self.piece(e, Some(m)),
            Some(_) => self.narrow(e, m),
        }
    }

    /// The low `m` bits of the wider `e`. The operators let through only what depends on low bits alone.
    fn narrow(&self, e: &Expr, m: usize) -> Result<Piece, String> {
        match e.bare() {
            Expr::Signal(s) => self.part(s, m, 0),
            Expr::Number(v, _) => self.number(&v.low(m), Some(m)),
            Expr::Slice(base, _, at) => self.select(base, m, at),
            Expr::Cast(x, _) | Expr::Unsigned(x) => self.resize(x, m),
            Expr::Not(x) => Ok(Piece {
                text: format!("~{}", self.resize(x, m)?.tight()),
                bind: Bind::Not,
            }),
            Expr::Binary(a, op, b) if !op.is_comparison() && *op != Op::Shr => {
                let left = self.resize(a, m)?.within(*op);
                let right = if *op == Op::Shl {
                    self.piece(b, None)?.within(*op)
                } else {
                    self.resize(b, m)?.within(*op)
                };
                Ok(Piece {
                    text: format!("{left} {} {right}", op.text()),
                    bind: Bind::Binary(*op),
                })
            }
            _ => Err(format!("cannot cut an expression to {m} bits: use a Local")),
        }
    }

    /// Bits `at..at + w` of signal `s`.
    fn part(&self, s: &str, w: usize, at: usize) -> Result<Piece, String> {
        let name = self.spell(s)?;
        let total = self.names.width(s).unwrap_or(0);
        if at + w > total {
            return Err(format!("bits {at}..{} of `{name}` do not exist", at + w));
        }
        Ok(Piece::primary(if w == total {
            name
        } else if w == 1 {
            format!("{name}[{at}]")
        } else {
            format!("{name}[{}:{at}]", at + w - 1)
        }))
    }

    fn select(&self, base: &Expr, w: usize, at: &Expr) -> Result<Piece, String> {
        let Expr::Signal(s) = base.bare() else {
            return Err("a part of an expression: use a Local".into());
        };
        if let Some(at) = at.constant(self.names) {
            return self.part(s, w, at as usize);
        }
        let total = self.names.width(s).unwrap_or(1);
        let name = self.spell(s)?;
        let at = self.resize(at, index_bits(total))?.text;
        Ok(Piece::primary(if w == 1 {
            format!("{name}[{at}]")
        } else {
            format!("{name}[{at} +: {w}]")
        }))
    }

    fn replace(&self, base: &Expr, at: &Expr, bit: &Expr) -> Result<Piece, String> {
        let total = self.width(base).ok_or("replace_bit of a literal")?;
        let bit = self.piece(bit, Some(1))?.text;
        if let (Expr::Signal(s), Some(at)) = (base.bare(), at.constant(self.names)) {
            let at = at as usize;
            let mut parts = vec![];
            if at + 1 < total {
                parts.push(self.part(s, total - at - 1, at + 1)?.text);
            }
            parts.push(bit);
            if at > 0 {
                parts.push(self.part(s, at, 0)?.text);
            }
            return Ok(Piece::primary(format!("{{{}}}", parts.join(", "))));
        }
        let base = self.piece(base, Some(total))?.tight();
        let at = self.piece(at, None)?.tight();
        let one = Literal::new(1).sized(total);
        let bit = if total > 1 { pad(total - 1, &bit) } else { bit };
        Ok(Piece {
            text: format!("({base} & ~({one} << {at})) | ({bit} << {at})"),
            bind: Bind::Binary(Op::Or),
        })
    }

    /// `target` of an assignment, and how many bits it takes.
    fn target(&self, name: &str, part: Option<(usize, u64)>) -> Result<(String, usize), String> {
        match part {
            Some((w, at)) => Ok((self.part(name, w, at as usize)?.text, w)),
            None => Ok((self.spell(name)?, self.names.width(name).unwrap_or(1))),
        }
    }

    /// One statement, indented by `depth` steps, newline included.
    pub(super) fn statement(&self, s: &Stmt, depth: usize, out: &mut String) -> Result<(), String> {
        let indent = "  ".repeat(depth);
        match s {
            Stmt::Assign {
                target,
                part,
                value,
            } => {
                let (t, w) = self.target(target, *part)?;
                let v = self
                    .expr(value, Some(w))
                    .map_err(|e| format!("`{t}`: {e}"))?;
                *out += &format!("{indent}{t} = {v};\n");
            }
            Stmt::If { test, then, other } => {
                *out += &indent;
                self.conditional(test, then, other, depth, out)?;
            }
            Stmt::Case { test, arms } => {
                let width = self.width(test);
                *out += &format!("{indent}case ({})\n", self.expr(test, None)?);
                for (arm, body) in arms {
                    let label = match arm {
                        Arm::Default => "default".to_string(),
                        Arm::Number(n) => self.number(&Literal::new(*n), width)?.text,
                        Arm::Variant(v) => v.replace('$', "_"),
                    };
                    if body.is_empty() {
                        *out += &format!("{indent}  {label}: ;\n");
                        continue;
                    }
                    *out += &format!("{indent}  {label}: begin\n");
                    self.block(body, depth + 2, out)?;
                    *out += &format!("{indent}  end\n");
                }
                *out += &format!("{indent}endcase\n");
            }
        }
        Ok(())
    }

    fn conditional(
        &self,
        test: &Expr,
        then: &[Stmt],
        other: &[Stmt],
        depth: usize,
        out: &mut String,
    ) -> Result<(), String> {
        let indent = "  ".repeat(depth);
        *out += &format!("if ({}) begin\n", self.expr(test, Some(1))?);
        self.block(then, depth + 1, out)?;
        *out += &format!("{indent}end");
        match other {
            [] => *out += "\n",
            [Stmt::If { test, then, other }] => {
                *out += " else ";
                self.conditional(test, then, other, depth, out)?;
            }
            _ => {
                *out += " else begin\n";
                self.block(other, depth + 1, out)?;
                *out += &format!("{indent}end\n");
            }
        }
        Ok(())
    }

    fn block(&self, b: &[Stmt], depth: usize, out: &mut String) -> Result<(), String> {
        b.iter().try_for_each(|s| self.statement(s, depth, out))
    }
}
