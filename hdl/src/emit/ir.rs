//! Kernels with their loops unrolled and their names resolved.
//!
//! rust-hdl keeps names as text (`r[i+1]$q$next`) until the last moment. Here they become what they are in the
//! Verilog, once, so that lint and generator agree on them. What cannot be resolved becomes a [`Problem`].

use super::design::{Literal, Names};
use super::lint::{Problem, Rule};
use rust_hdl::prelude::ast::{
    VerilogBlock, VerilogBlockOrConditional, VerilogConditional, VerilogExpression, VerilogLink,
    VerilogOp, VerilogOpUnary, VerilogStatement,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    LogicalAnd,
    LogicalOr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    fn of(op: &VerilogOp) -> Self {
        match op {
            VerilogOp::Add => Op::Add,
            VerilogOp::Sub => Op::Sub,
            VerilogOp::Mul => Op::Mul,
            VerilogOp::BitAnd => Op::And,
            VerilogOp::BitOr => Op::Or,
            VerilogOp::BitXor => Op::Xor,
            VerilogOp::Shl => Op::Shl,
            VerilogOp::Shr => Op::Shr,
            VerilogOp::LogicalAnd => Op::LogicalAnd,
            VerilogOp::LogicalOr => Op::LogicalOr,
            VerilogOp::Eq => Op::Eq,
            VerilogOp::Ne => Op::Ne,
            VerilogOp::Lt => Op::Lt,
            VerilogOp::Le => Op::Le,
            VerilogOp::Gt => Op::Gt,
            VerilogOp::Ge => Op::Ge,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::And => "&",
            Op::Or => "|",
            Op::Xor => "^",
            Op::Shl => "<<",
            Op::Shr => ">>",
            Op::LogicalAnd => "&&",
            Op::LogicalOr => "||",
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }

    pub(super) fn is_bitwise(self) -> bool {
        matches!(self, Op::And | Op::Or | Op::Xor)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduce {
    All,
    Any,
    Xor,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Signal(String),
    /// `Type$Variant`.
    Variant(String),
    /// A literal or a loop variable, with the width rust-hdl gives it.
    Number(Literal, usize),
    Paren(Box<Expr>),
    Cast(Box<Expr>, usize),
    Unsigned(Box<Expr>),
    Signed(Box<Expr>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Reduce(Reduce, Box<Expr>),
    Binary(Box<Expr>, Op, Box<Expr>),
    Bit(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, usize, Box<Expr>),
    Replace(Box<Expr>, Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Without parentheses around it.
    pub(super) fn bare(&self) -> &Expr {
        match self {
            Expr::Paren(x) => x.bare(),
            x => x,
        }
    }

    /// Calls `f` with every signal name read.
    pub(super) fn reads(&self, f: &mut dyn FnMut(&str)) {
        match self {
            Expr::Signal(s) => f(s),
            Expr::Variant(_) | Expr::Number(..) => {}
            Expr::Paren(x)
            | Expr::Cast(x, _)
            | Expr::Unsigned(x)
            | Expr::Signed(x)
            | Expr::Not(x)
            | Expr::Neg(x)
            | Expr::Reduce(_, x) => x.reads(f),
            Expr::Binary(a, _, b) | Expr::Bit(a, b) | Expr::Slice(a, _, b) => {
                a.reads(f);
                b.reads(f);
            }
            Expr::Replace(a, b, c) => {
                a.reads(f);
                b.reads(f);
                c.reads(f);
            }
        }
    }

    /// Value of an expression of numbers and constants only.
    pub(super) fn constant(&self, names: &Names) -> Option<u64> {
        match self {
            Expr::Number(v, _) => v.value(),
            Expr::Signal(s) => match names.get(s) {
                Some((super::design::Role::Constant, p)) => p.value.value(),
                _ => None,
            },
            Expr::Paren(x) => x.constant(names),
            Expr::Binary(a, op, b) => {
                let (a, b) = (a.constant(names)?, b.constant(names)?);
                match op {
                    Op::Add => a.checked_add(b),
                    Op::Sub => a.checked_sub(b),
                    Op::Mul => a.checked_mul(b),
                    Op::Shl => a.checked_mul(1u64.checked_shl(u32::try_from(b).ok()?)?),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Arm {
    Number(u64),
    /// `Type$Variant`.
    Variant(String),
    Default,
}

#[derive(Clone, Debug)]
pub(super) enum Stmt {
    Assign {
        target: String,
        /// Width and offset of a field; `None` assigns the whole signal.
        part: Option<(usize, u64)>,
        value: Expr,
    },
    If {
        test: Expr,
        then: Vec<Stmt>,
        other: Vec<Stmt>,
    },
    Case {
        test: Expr,
        arms: Vec<(Arm, Vec<Stmt>)>,
    },
}

impl Stmt {
    /// Calls `w` with every target and `r` with every name read.
    pub(super) fn visit(&self, w: &mut dyn FnMut(&str), r: &mut dyn FnMut(&str)) {
        match self {
            Stmt::Assign { target, value, .. } => {
                value.reads(r);
                w(target);
            }
            Stmt::If { test, then, other } => {
                test.reads(r);
                then.iter().chain(other).for_each(|s| s.visit(w, r));
            }
            Stmt::Case { test, arms } => {
                test.reads(r);
                arms.iter().flat_map(|(_, b)| b).for_each(|s| s.visit(w, r));
            }
        }
    }
}

/// A kernel, resolved.
pub(super) struct Kernel {
    /// Connections made by `join` and `link`: target and source. They hold at any time, not in statement order.
    pub(super) links: Vec<(String, String)>,
    pub(super) statements: Vec<Stmt>,
    pub(super) problems: Vec<Problem>,
}

struct Lowering<'a> {
    path: &'a str,
    names: &'a Names<'a>,
    loops: Vec<(String, u64)>,
    links: Vec<(String, String)>,
    problems: Vec<Problem>,
}

/// Resolves the kernel `block` of the scope at `path`.
pub(super) fn lower(block: &VerilogBlock, path: &str, names: &Names) -> Kernel {
    let mut l = Lowering {
        path,
        names,
        loops: vec![],
        links: vec![],
        problems: vec![],
    };
    let statements = l.block(block);
    Kernel {
        links: l.links,
        statements,
        problems: l.problems,
    }
}

impl Lowering<'_> {
    fn problem(&mut self, rule: Rule, text: String) {
        let p = Problem::new(self.path, rule, text);
        if !self.problems.contains(&p) {
            self.problems.push(p);
        }
    }

    /// The Verilog name for a path of rust-hdl, before it is looked up.
    fn spelling(&mut self, raw: &str) -> String {
        let name = raw
            .trim_start_matches('.')
            .trim_end_matches("$next")
            .replace("::", "$")
            .replace('.', "$");
        let Some(open) = name.find('[') else {
            return name;
        };
        let Some(close) = matching(&name, open) else {
            return name;
        };
        let rest = &name[close + 1..];
        if rest.contains('[') {
            self.problem(
                Rule::OneIndex,
                format!("`{raw}`: two indices in one path do not translate"),
            );
        }
        match evaluate(&name[open + 1..close], &self.loops) {
            Some(i) => format!("{}${i}{rest}", &name[..open]),
            None => {
                self.problem(
                    Rule::RuntimeIndex,
                    format!("`{raw}`: the index must be a number or a loop variable"),
                );
                name
            }
        }
    }

    fn name(&mut self, raw: &str) -> String {
        let n = self.spelling(raw);
        if self.names.get(&n).is_none() && !n.contains('[') {
            self.problem(
                Rule::UnknownName,
                format!("`{n}` is no signal, constant or port of a direct child"),
            );
        }
        n
    }

    fn expr(&mut self, e: &VerilogExpression) -> Expr {
        use VerilogExpression as X;
        let mut sub = |x: &VerilogExpression| Box::new(self.expr(x));
        match e {
            X::Signal(raw) => {
                if let Some((_, value)) = self.loops.iter().rev().find(|(n, _)| n == raw) {
                    return Expr::Number(Literal::new(*value), 32);
                }
                let spelled = raw.replace("::", "$");
                if self.names.variant(&spelled).is_some() {
                    return Expr::Variant(spelled);
                }
                Expr::Signal(self.name(raw))
            }
            X::Literal(v) => {
                let (value, bits) = Literal::of(v);
                Expr::Number(value, bits)
            }
            X::Paren(x) => Expr::Paren(sub(x)),
            X::Cast(x, m) => Expr::Cast(sub(x), *m),
            X::Signed(x) => Expr::Signed(sub(x)),
            X::Unsigned(x) => Expr::Unsigned(sub(x)),
            X::Unary(op, x) => {
                let x = sub(x);
                match op {
                    VerilogOpUnary::Not => Expr::Not(x),
                    VerilogOpUnary::Neg => Expr::Neg(x),
                    VerilogOpUnary::All => Expr::Reduce(Reduce::All, x),
                    VerilogOpUnary::Any => Expr::Reduce(Reduce::Any, x),
                    VerilogOpUnary::Xor => Expr::Reduce(Reduce::Xor, x),
                }
            }
            X::Binary(a, op, b) => Expr::Binary(sub(a), Op::of(op), sub(b)),
            X::Index(a, b) => Expr::Bit(sub(a), sub(b)),
            X::Slice(a, w, b) => Expr::Slice(sub(a), *w, sub(b)),
            X::IndexReplace(a, b, c) => Expr::Replace(sub(a), sub(b), sub(c)),
        }
    }

    fn target(&mut self, e: &VerilogExpression) -> String {
        match e {
            VerilogExpression::Signal(raw) => self.name(raw),
            _ => {
                self.problem(
                    Rule::NotVerilog,
                    "only `x.next` and `x.next.field` can be assigned".into(),
                );
                String::new()
            }
        }
    }

    fn block(&mut self, b: &VerilogBlock) -> Vec<Stmt> {
        let mut out = vec![];
        for s in b {
            self.statement(s, &mut out);
        }
        out
    }

    fn conditional(&mut self, c: &VerilogConditional, out: &mut Vec<Stmt>) {
        let test = self.expr(&c.test);
        let then = self.block(&c.then);
        let mut other = vec![];
        match &c.otherwise {
            VerilogBlockOrConditional::Block(b) => other = self.block(b),
            VerilogBlockOrConditional::Conditional(s) => self.statement(s, &mut other),
            VerilogBlockOrConditional::None => {}
        }
        out.push(Stmt::If { test, then, other });
    }

    fn statement(&mut self, s: &VerilogStatement, out: &mut Vec<Stmt>) {
        match s {
            VerilogStatement::Assignment(t, v) => {
                let value = self.expr(v);
                let target = self.target(t);
                let part = None;
                out.push(Stmt::Assign {
                    target,
                    part,
                    value,
                });
            }
            VerilogStatement::SliceAssignment {
                base,
                width,
                offset,
                replacement,
            } => {
                let value = self.expr(replacement);
                let target = self.target(base);
                let offset = self.expr(offset).constant(self.names).unwrap_or(0);
                let part = Some((*width, offset));
                out.push(Stmt::Assign {
                    target,
                    part,
                    value,
                });
            }
            VerilogStatement::If(c) => self.conditional(c, out),
            VerilogStatement::Macro(b) => b.iter().for_each(|s| self.statement(s, out)),
            VerilogStatement::Comment(_) => {}
            VerilogStatement::Loop(p) => {
                if self.names.get(&p.index).is_some() {
                    self.problem(
                        Rule::LoopVariable,
                        format!("loop variable `{}` hides the signal of that name", p.index),
                    );
                }
                for i in p.from.as_usize()..p.to.as_usize() {
                    self.loops.push((p.index.clone(), i as u64));
                    p.block.iter().for_each(|s| self.statement(s, out));
                    self.loops.pop();
                }
            }
            VerilogStatement::Match(m) => {
                let test = self.expr(&m.test);
                let mut arms = vec![];
                for c in &m.cases {
                    let arm = self.arm(&c.condition);
                    let body = self.block(&c.block);
                    arms.extend(arm.map(|a| (a, body)));
                }
                out.push(Stmt::Case { test, arms });
            }
            VerilogStatement::Link(links) => links.iter().for_each(|l| self.link(l)),
        }
    }

    fn arm(&mut self, condition: &str) -> Option<Arm> {
        let spelled = condition.replace("::", "$");
        if spelled == "default" {
            return Some(Arm::Default);
        }
        if let Ok(n) = spelled.replace('_', "").parse() {
            return Some(Arm::Number(n));
        }
        if self.names.variant(&spelled).is_some() {
            return Some(Arm::Variant(spelled));
        }
        self.problem(
            Rule::MatchArm,
            format!("match arm `{condition}` is neither a decimal number nor `Type::Variant`"),
        );
        None
    }

    fn link(&mut self, l: &VerilogLink) {
        let (d, forward) = match l {
            VerilogLink::Forward(d) => (d, true),
            VerilogLink::Backward(d) => (d, false),
            VerilogLink::Bidirectional(_) => {
                return self.problem(
                    Rule::NotVerilog,
                    "bidirectional signals belong into a board's top, not into the core".into(),
                );
            }
        };
        let my = self.spelling(&d.my_name);
        let mut end = |raw: &str| {
            let base = self.spelling(raw);
            if my.is_empty() {
                self.name(&base)
            } else {
                self.name(&format!("{base}${my}"))
            }
        };
        let (owner, other) = (end(&d.owner_name), end(&d.other_name));
        self.links.push(if forward {
            (other, owner)
        } else {
            (owner, other)
        });
    }
}

/// Position of the bracket that closes the one at `open`.
fn matching(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices().skip_while(|(i, _)| *i < open) {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

/// Value of an array index: numbers and loop variables with `+ - * / %` and parentheses.
fn evaluate(text: &str, loops: &[(String, u64)]) -> Option<u64> {
    let mut tokens = vec![];
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    let mut at = 0;
    let v = sum(&tokens, &mut at, loops)?;
    (at == tokens.len()).then_some(v)
}

fn sum(t: &[String], at: &mut usize, loops: &[(String, u64)]) -> Option<u64> {
    let mut v = product(t, at, loops)?;
    while let Some(op @ ("+" | "-")) = t.get(*at).map(String::as_str) {
        *at += 1;
        let r = product(t, at, loops)?;
        v = if op == "+" {
            v.checked_add(r)?
        } else {
            v.checked_sub(r)?
        };
    }
    Some(v)
}

fn product(t: &[String], at: &mut usize, loops: &[(String, u64)]) -> Option<u64> {
    let mut v = factor(t, at, loops)?;
    while let Some(op @ ("*" | "/" | "%")) = t.get(*at).map(String::as_str) {
        *at += 1;
        let r = factor(t, at, loops)?;
        v = match op {
            "*" => v.checked_mul(r)?,
            "/" => v.checked_div(r)?,
            _ => v.checked_rem(r)?,
        };
    }
    Some(v)
}

fn factor(t: &[String], at: &mut usize, loops: &[(String, u64)]) -> Option<u64> {
    let word = t.get(*at)?;
    *at += 1;
    if word == "(" {
        let v = sum(t, at, loops)?;
        *at += 1;
        return (t.get(*at - 1)? == ")").then_some(v);
    }
    if let Some((_, v)) = loops.iter().rev().find(|(n, _)| n == word) {
        return Some(*v);
    }
    word.parse().ok()
}
