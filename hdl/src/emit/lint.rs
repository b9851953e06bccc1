//! Lint over the kernels: everything that could mean one thing in the Rust simulation and another in Verilog.
//!
//! The width and precedence rules are those of rust-hdl's own generator. The generator of this crate is exact about
//! widths and would get many of these cases right; they are refused all the same, so that a kernel means the same
//! whichever tool prints it, and so that a reader need not know the rules of Verilog to trust it.

use super::design::{Design, Names, Role, Scope};
use super::ir::{Arm, Expr, Kernel, Stmt, lower};
use super::keywords::is_keyword;
use super::widths::Widths;
use rust_hdl::prelude::ast::Verilog;
use rust_hdl::prelude::{AtomKind, Block};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// What a [`Problem`] breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Bitwise operators next to a comparison want parentheses.
    Precedence,
    /// A comparison of something that may carry into bits that Rust drops.
    ComparedWidth,
    /// A widening cast of something that may carry.
    WideningCast,
    /// A shift to the right of something that may carry.
    ShiftRight,
    /// A condition, index, shift amount or reduction of something that may carry.
    SelfDetermined,
    /// Constructs that have no Verilog form.
    NotVerilog,
    /// A slice or bit outside its signal.
    OutOfRange,
    /// A literal that does not fit where it is used.
    LiteralFits,
    /// Both sides of an assignment differ in width.
    AssignedWidth,
    /// A name that does not exist in the Verilog.
    UnknownName,
    /// More than one array index in a path.
    OneIndex,
    /// An array index known only at run time.
    RuntimeIndex,
    /// A loop variable with the name of a signal.
    LoopVariable,
    /// A match without `_`.
    MatchDefault,
    /// A pattern that is not a number or a variant.
    MatchArm,
    /// A signal that some path does not write.
    Latch,
    /// A signal read before it is surely written.
    ReadBeforeWrite,
    /// A write to something that is not driven here.
    Driver,
    /// A clock that comes out of a block.
    ClockOut,
    /// A name that Verilog or SystemVerilog reserves.
    Keyword,
    /// A signal without bits: an enum with one variant.
    ZeroWidth,
    /// Two enums of one name.
    EnumClash,
    /// A block with outputs but without Verilog.
    NoVerilog,
    /// A kernel that reads nothing: `always @(*)` would never run.
    ReadsNothing,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The block.
    pub path: String,
    /// What is broken.
    pub rule: Rule,
    /// What was found.
    pub text: String,
}

impl Problem {
    pub(super) fn new(path: &str, rule: Rule, text: String) -> Self {
        Problem {
            path: path.to_string(),
            rule,
            text,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{:?}]", self.path, self.text, self.rule)
    }
}

/// Checks every kernel of `uut`, whose `connect_all` has run.
pub fn lint(uut: &dyn Block) -> Result<Vec<Problem>, String> {
    Ok(lint_design(&Design::of(uut, "top")?))
}

pub(super) fn lint_design(design: &Design) -> Vec<Problem> {
    let mut problems: Vec<Problem> = design
        .clashes
        .iter()
        .map(|n| {
            let text = format!("two different enums are named `{n}`");
            Problem::new(&design.top.path, Rule::EnumClash, text)
        })
        .collect();
    lint_scope(&design.top, design, &mut problems);
    problems
}

fn lint_scope(scope: &Scope, design: &Design, problems: &mut Vec<Problem>) {
    for p in lint_one(scope, design) {
        if !problems.contains(&p) {
            problems.push(p);
        }
    }
    for child in &scope.children {
        lint_scope(child, design, problems);
    }
}

fn lint_one(scope: &Scope, design: &Design) -> Vec<Problem> {
    let mut found = vec![];
    let mut report = |rule, text| found.push(Problem::new(&scope.path, rule, text));
    for a in &scope.atoms {
        if is_keyword(&a.name) {
            report(Rule::Keyword, format!("`{}` is a keyword", a.name));
        }
        if a.width == 0 {
            let text = format!("`{}` has no bits (an enum with one variant?)", a.name);
            report(Rule::ZeroWidth, text);
        }
        if a.clock && a.is_port() && !a.is_input() {
            let text = format!("`{}`: clocks go down as inputs, never out", a.name);
            report(Rule::ClockOut, text);
        }
        if a.signed {
            let text = format!("`{}`: signed numbers are not used here", a.name);
            report(Rule::NotVerilog, text);
        }
    }
    for child in &scope.children {
        if is_keyword(&child.name) {
            report(Rule::Keyword, format!("`{}` is a keyword", child.name));
        }
    }
    match &scope.body {
        Verilog::Combinatorial(block) => {
            let names = Names::of(scope, design);
            let kernel = lower(block, &scope.path, &names);
            found.extend(kernel.problems.iter().cloned());
            let mut k = KernelLint::new(&scope.path, &names);
            k.kernel(&kernel);
            found.extend(k.widths.problems);
        }
        Verilog::Empty => {
            let driven = |a: &&super::design::Port| a.kind == AtomKind::OutputParameter;
            if let Some(a) = scope.atoms.iter().find(driven) {
                let text = format!("`{}` is an output of a block without Verilog", a.name);
                report(Rule::NoVerilog, text);
            }
        }
        _ => {}
    }
    found
}

/// Which bits of a signal are surely written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mask(Vec<bool>);

impl Mask {
    fn none(width: usize) -> Self {
        Mask(vec![false; width])
    }
    fn set(&mut self, offset: usize, width: usize) {
        self.0.iter_mut().skip(offset).take(width).for_each(|b| {
            *b = true;
        });
    }
    fn has(&self, offset: usize, width: usize) -> bool {
        self.0.iter().skip(offset).take(width).all(|b| *b)
    }
    fn intersect(&mut self, other: &Mask) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a &= b;
        }
    }
}

type Written = HashMap<String, Mask>;

fn intersection(a: &Written, b: &Written) -> Written {
    let mut out = Written::new();
    for (name, mask) in a {
        if let Some(other) = b.get(name) {
            let mut m = mask.clone();
            m.intersect(other);
            out.insert(name.clone(), m);
        }
    }
    out
}

struct KernelLint<'a> {
    widths: Widths<'a>,
    names: &'a Names<'a>,
    written: Written,
    touched: BTreeSet<String>,
    reads: usize,
}

impl<'a> KernelLint<'a> {
    fn new(path: &'a str, names: &'a Names<'a>) -> Self {
        KernelLint {
            widths: Widths::new(path, names),
            names,
            written: Written::new(),
            touched: BTreeSet::new(),
            reads: 0,
        }
    }

    fn kernel(&mut self, k: &Kernel) {
        for (target, source) in &k.links {
            self.write(target, None);
            self.reads += usize::from(self.names.get(source).is_some());
        }
        self.block(&k.statements);
        for name in std::mem::take(&mut self.touched) {
            let Some(width) = self.names.width(&name) else {
                continue;
            };
            if !self.written.get(&name).is_some_and(|m| m.has(0, width)) {
                let text = format!("`{name}` is not written on every path: give it a default");
                self.widths.report(Rule::Latch, text);
            }
        }
        if self.reads == 0 && !k.statements.is_empty() {
            let text = "the kernel reads no signal, so its `always @(*)` would never run";
            self.widths.report(Rule::ReadsNothing, text.into());
        }
    }

    fn write(&mut self, name: &str, part: Option<(usize, u64)>) {
        let Some((role, port)) = self.names.get(name) else {
            return;
        };
        if !role.is_driven_here() {
            let text = format!("`{name}` is not driven by this kernel");
            self.widths.report(Rule::Driver, text);
            return;
        }
        let (width, offset) = part.unwrap_or((port.width, 0));
        self.written
            .entry(name.to_string())
            .or_insert_with(|| Mask::none(port.width))
            .set(offset as usize, width);
        self.touched.insert(name.to_string());
    }

    fn read(&mut self, name: &str, offset: usize, width: usize) {
        let Some((role, _)) = self.names.get(name) else {
            self.reads += 1;
            return;
        };
        self.reads += usize::from(role != Role::Constant);
        if role.is_driven_here() && !self.written.get(name).is_some_and(|m| m.has(offset, width)) {
            let text = format!("`{name}` is read before it is surely written");
            self.widths.report(Rule::ReadBeforeWrite, text);
        }
    }

    /// Reads of `e`; a constant slice needs only its own bits.
    fn reads_of(&mut self, e: &Expr) {
        if let Expr::Slice(base, w, at) = e
            && let (Expr::Signal(s), Some(at)) = (&**base, at.constant(self.names))
        {
            return self.read(s, at as usize, *w);
        }
        match e {
            Expr::Signal(s) => self.read(s, 0, usize::MAX),
            Expr::Variant(_) | Expr::Number(..) => {}
            Expr::Paren(x)
            | Expr::Cast(x, _)
            | Expr::Unsigned(x)
            | Expr::Signed(x)
            | Expr::Not(x)
            | Expr::Neg(x)
            | Expr::Reduce(_, x) => self.reads_of(x),
            Expr::Binary(a, _, b) | Expr::Bit(a, b) | Expr::Slice(a, _, b) => {
                self.reads_of(a);
                self.reads_of(b);
            }
            Expr::Replace(a, b, c) => {
                self.reads_of(a);
                self.reads_of(b);
                self.reads_of(c);
            }
        }
    }

    fn block(&mut self, b: &[Stmt]) {
        b.iter().for_each(|s| self.statement(s));
    }

    fn statement(&mut self, s: &Stmt) {
        match s {
            Stmt::Assign {
                target,
                part,
                value,
            } => {
                self.reads_of(value);
                let width = part.map(|p| p.0).or_else(|| self.names.width(target));
                self.widths.assigned(value, width, target);
                self.write(target, *part);
            }
            Stmt::If { test, then, other } => {
                self.reads_of(test);
                self.widths.condition(test);
                let before = self.written.clone();
                self.block(then);
                let after_then = std::mem::replace(&mut self.written, before);
                self.block(other);
                self.written = intersection(&self.written, &after_then);
            }
            Stmt::Case { test, arms } => {
                self.reads_of(test);
                self.widths.matched(test, arms);
                let before = self.written.clone();
                let mut common: Option<Written> = None;
                for (_, body) in arms {
                    self.written = before.clone();
                    self.block(body);
                    common = Some(match common {
                        Some(c) => intersection(&c, &self.written),
                        None => self.written.clone(),
                    });
                }
                if arms.iter().any(|(a, _)| matches!(a, Arm::Default)) {
                    self.written = common.unwrap_or(before);
                } else {
                    self.written = before;
                    let text = "match without `_`: unused encodings would keep the old value";
                    self.widths.report(Rule::MatchDefault, text.into());
                }
            }
        }
    }
}
