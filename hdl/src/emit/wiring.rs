//! How the statements of a kernel become `assign`s, `always` blocks and direct connections.
//!
//! rust-hdl prints one `always` block per kernel. Split into what belongs together, the Verilog is easier to read,
//! simulators evaluate less, and tools see no loops through a block that only shares a kernel.
//!
//! A kernel gives defaults first and overrides them. Printed as it stands, every evaluation would show the default
//! for an instant, which wakes up whoever reads the signal; where such readers form a ring (valid to ready to valid,
//! through several modules), an event-driven simulator never comes to rest. So an `always` block works on `x_next`
//! and assigns `x` once, at its end.

use super::design::{Names, Port, Role, Scope, enum_width};
use super::generate::{constants, head, range, register_width};
use super::ir::{Arm, Expr, Kernel, Stmt};
use super::print::Printer;
use super::tidy::spellings;
use rust_hdl::prelude::AtomKind;
use std::collections::{BTreeSet, HashMap, HashSet};

/// How the signals of a kernel become nets.
pub(super) struct Wiring<'a> {
    scope: &'a Scope,
    names: &'a Names<'a>,
    spelling: &'a HashMap<String, String>,
    /// Groups of statements in order; a group of one whole assignment becomes an `assign`.
    groups: Vec<Vec<Stmt>>,
    /// Inputs of children connected straight to a net or a number.
    direct: HashMap<String, Expr>,
    read: HashSet<String>,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(
        scope: &'a Scope,
        names: &'a Names<'a>,
        spelling: &'a HashMap<String, String>,
        kernel: Kernel,
    ) -> Self {
        let mut statements: Vec<Stmt> = kernel
            .links
            .into_iter()
            .map(|(target, source)| Stmt::Assign {
                target,
                part: None,
                value: Expr::Signal(source),
            })
            .collect();
        statements.extend(kernel.statements);
        let mut w = Wiring {
            scope,
            names,
            spelling,
            groups: group(statements),
            direct: HashMap::new(),
            read: HashSet::new(),
        };
        for g in &w.groups {
            for s in g {
                s.visit(&mut |_| {}, &mut |r| {
                    w.read.insert(r.to_string());
                });
            }
        }
        w.connect_directly();
        w
    }

    /// A child's input that is nothing but another net needs no net of its own.
    fn connect_directly(&mut self) {
        let groups = std::mem::take(&mut self.groups);
        for g in groups {
            if let [
                Stmt::Assign {
                    target,
                    part: None,
                    value,
                },
            ] = &g[..]
                && !self.read.contains(target)
                && self.is_net(target, value)
            {
                self.direct.insert(target.clone(), value.bare().clone());
            } else {
                self.groups.push(g);
            }
        }
    }

    fn is_net(&self, target: &str, value: &Expr) -> bool {
        let Some((Role::ChildIn, port)) = self.names.get(target) else {
            return false;
        };
        match value.bare() {
            Expr::Signal(s) => self.names.width(s) == Some(port.width),
            Expr::Number(..) => true,
            _ => false,
        }
    }

    /// Whether `name` is assigned in an `always` block.
    fn in_always(&self, name: &str) -> bool {
        self.groups.iter().any(|g| {
            let mut hit = false;
            g.iter()
                .for_each(|s| s.visit(&mut |w| hit |= w == name, &mut |_| {}));
            hit && !is_assign(g)
        })
    }

    pub(super) fn module(&self, kinds: &[String]) -> Result<String, String> {
        let printer = Printer {
            names: self.names,
            spelling: self.spelling,
        };
        let mut code = String::new();
        for s in self.groups.iter().filter(|g| is_assign(g)).flatten() {
            let mut line = String::new();
            printer.statement(s, 0, &mut line)?;
            code += &format!("  assign {line}");
        }
        let (blocks, drafts) = self.always_blocks()?;
        code += &blocks;
        let instances = self.instances(kinds, &printer)?;
        let net = |n: &str| if self.in_always(n) { "reg" } else { "wire" };
        let mut out = head(self.scope, self.spelling, &net);
        out += &constants(self.scope, self.spelling, &format!("{code}{instances}"));
        out += &self.variants(&code);
        for a in &self.scope.atoms {
            if a.kind == AtomKind::LocalSignal {
                out += &self.declaration(&a.name, a.width);
            }
        }
        for (child, a) in self.child_ports() {
            let name = format!("{}${}", child.name, a.name);
            let needed = if a.is_input() {
                !self.direct.contains_key(&name)
            } else {
                self.is_read(&name)
            };
            if needed {
                out += &self.declaration(&name, a.width);
            }
        }
        out += &drafts;
        out += &instances;
        if !code.is_empty() && !code.starts_with('\n') {
            out.push('\n');
        }
        out += &code;
        Ok(out + "endmodule\n")
    }

    /// The `always` blocks, and the declarations of their drafts.
    fn always_blocks(&self) -> Result<(String, String), String> {
        let (mut code, mut declarations) = (String::new(), String::new());
        let mut taken: HashSet<String> = self.spelling.values().cloned().collect();
        for (at, g) in self.groups.iter().enumerate() {
            if is_assign(g) {
                continue;
            }
            let mut spelling = self.spelling.clone();
            let mut copies = String::new();
            for name in self.watched(at) {
                let last = &self.spelling[&name];
                let mut draft = format!("{last}_next");
                while !taken.insert(draft.clone()) {
                    draft += "_i";
                }
                copies += &format!("    {last} = {draft};\n");
                let width = self.names.width(&name).unwrap_or(1);
                declarations += &format!("  reg {}{draft};\n", range(width));
                spelling.insert(name, draft);
            }
            let printer = Printer {
                names: self.names,
                spelling: &spelling,
            };
            code += "\n  always @(*) begin\n";
            for s in g {
                printer.statement(s, 2, &mut code)?;
            }
            code += &copies;
            code += "  end\n";
        }
        Ok((code, declarations))
    }

    /// Targets of group `at` whose changes something else reacts to at once.
    fn watched(&self, at: usize) -> BTreeSet<String> {
        let mut targets = BTreeSet::new();
        let mut outside = HashSet::new();
        for (i, s) in self
            .groups
            .iter()
            .enumerate()
            .flat_map(|(i, g)| g.iter().map(move |s| (i, s)))
        {
            s.visit(
                &mut |w| {
                    if i == at {
                        targets.insert(w.to_string());
                    }
                },
                &mut |r| {
                    if i != at {
                        outside.insert(r.to_string());
                    }
                },
            );
        }
        for e in self.direct.values() {
            e.reads(&mut |r| {
                outside.insert(r.to_string());
            });
        }
        targets.retain(|t| match self.names.get(t) {
            Some((Role::Local, _)) => outside.contains(t),
            Some((Role::ChildIn, port)) => {
                // A register looks at its inputs at the clock edge only.
                let samples = |c: &&Scope| {
                    register_width(c).is_some() && *t == format!("{}${}", c.name, port.name)
                };
                outside.contains(t)
                    || port.clock
                    || !self.scope.children.iter().any(|c| samples(&c))
            }
            _ => true,
        });
        targets
    }

    fn child_ports(&self) -> impl Iterator<Item = (&Scope, &Port)> {
        self.scope
            .children
            .iter()
            .flat_map(|c| c.atoms.iter().filter(|a| a.is_port()).map(move |a| (c, a)))
    }

    fn is_read(&self, name: &str) -> bool {
        let direct = |e: &Expr| matches!(e, Expr::Signal(s) if s == name);
        self.read.contains(name) || self.direct.values().any(direct)
    }

    fn declaration(&self, name: &str, width: usize) -> String {
        let net = if self.in_always(name) { "reg" } else { "wire" };
        format!("  {net} {}{};\n", range(width), self.spelling[name])
    }

    /// The enum variants that `code` names.
    fn variants(&self, code: &str) -> String {
        let mut used = BTreeSet::new();
        let mut note = |v: &str| {
            if let Some((at, n)) = self.names.variant(v) {
                used.insert((
                    v.split('$').next().unwrap_or("").to_string(),
                    at,
                    n,
                    v.replace('$', "_"),
                ));
            }
        };
        self.groups
            .iter()
            .flatten()
            .for_each(|s| variants_of(s, &mut note));
        let mut out = String::new();
        for (_, at, n, name) in used {
            if code.contains(&name) {
                let w = enum_width(n);
                out += &format!("  localparam {}{name} = {w}'d{at};\n", range(w));
            }
        }
        out
    }

    fn instances(&self, kinds: &[String], printer: &Printer) -> Result<String, String> {
        let mut out = String::new();
        let taken: HashSet<&str> = self.spelling.values().map(String::as_str).collect();
        for (child, kind) in self.scope.children.iter().zip(kinds) {
            let port_names: Vec<String> = child.atoms.iter().map(|a| a.name.clone()).collect();
            let child_spelling = self.child_spelling(child, &port_names);
            let mut lines = vec![];
            for a in child.atoms.iter().filter(|a| a.is_port()) {
                let name = format!("{}${}", child.name, a.name);
                let net = match self.direct.get(&name) {
                    Some(e) => printer.expr(e, Some(a.width))?,
                    None if a.is_input() || self.is_read(&name) => self.spelling[&name].clone(),
                    None => String::new(),
                };
                lines.push(format!("    .{}({net})", child_spelling[&a.name]));
            }
            let instance = free_name(&child.name.replace('$', "_"), &taken);
            out += &format!("\n  {kind} {instance} (\n{}\n  );\n", lines.join(",\n"));
        }
        Ok(out)
    }

    /// How the child's own module spells its ports: decided by all names in that module.
    fn child_spelling(&self, child: &Scope, own: &[String]) -> HashMap<String, String> {
        let mut all = own.to_vec();
        for c in &child.children {
            let ports = c.atoms.iter().filter(|a| a.is_port());
            all.extend(ports.map(|a| format!("{}${}", c.name, a.name)));
        }
        spellings(all.iter())
    }
}

/// An instance name that no net has.
fn free_name(wanted: &str, taken: &HashSet<&str>) -> String {
    let mut name = wanted.to_string();
    while taken.contains(name.as_str()) {
        name += "_i";
    }
    name
}

/// Whether `g` can be printed as `assign`s: one whole assignment, or assignments of separate fields.
fn is_assign(g: &[Stmt]) -> bool {
    if matches!(g, [Stmt::Assign { part: None, .. }]) {
        return true;
    }
    let mut fields = vec![];
    for s in g {
        let Stmt::Assign {
            target,
            part: Some((w, at)),
            value,
        } = s
        else {
            return false;
        };
        let mut own = false;
        value.reads(&mut |r| own |= r == target);
        let end = at + *w as u64;
        if own || fields.iter().any(|(a, e)| *at < *e && *a < end) {
            return false;
        }
        fields.push((*at, end));
    }
    true
}

fn variants_of(s: &Stmt, note: &mut dyn FnMut(&str)) {
    match s {
        Stmt::Assign { value, .. } => variants_in(value, note),
        Stmt::If { test, then, other } => {
            variants_in(test, note);
            then.iter().chain(other).for_each(|s| variants_of(s, note));
        }
        Stmt::Case { test, arms } => {
            variants_in(test, note);
            for (arm, body) in arms {
                if let Arm::Variant(v) = arm {
                    note(v);
                }
                body.iter().for_each(|s| variants_of(s, note));
            }
        }
    }
}

fn variants_in(e: &Expr, note: &mut dyn FnMut(&str)) {
    match e {
        Expr::Variant(v) => note(v),
        Expr::Signal(_) | Expr::Number(..) => {}
        Expr::Paren(x)
        | Expr::Cast(x, _)
        | Expr::Unsigned(x)
        | Expr::Signed(x)
        | Expr::Not(x)
        | Expr::Neg(x)
        | Expr::Reduce(_, x) => variants_in(x, note),
        Expr::Binary(a, _, b) | Expr::Bit(a, b) | Expr::Slice(a, _, b) => {
            variants_in(a, note);
            variants_in(b, note);
        }
        Expr::Replace(a, b, c) => {
            variants_in(a, note);
            variants_in(b, note);
            variants_in(c, note);
        }
    }
}

/// Splits a kernel into groups of statements that can run independently of one another.
///
/// Statements belong together if they write the same signal, or if one reads a signal that a later one writes again:
/// then it means the value in between. Every other read sees the final value, wherever its writer stands.
fn group(statements: Vec<Stmt>) -> Vec<Vec<Stmt>> {
    let n = statements.len();
    let mut writes: Vec<HashSet<String>> = vec![HashSet::new(); n];
    let mut reads: Vec<HashSet<String>> = vec![HashSet::new(); n];
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut parent: Vec<usize> = (0..n).collect();
    for (i, s) in statements.iter().enumerate() {
        s.visit(
            &mut |w| {
                writes[i].insert(w.to_string());
            },
            &mut |r| {
                reads[i].insert(r.to_string());
            },
        );
        for w in &writes[i] {
            if let Some(j) = last.insert(w.clone(), i) {
                union(&mut parent, i, j);
            }
        }
    }
    for (i, r) in reads.iter().enumerate() {
        for name in r {
            if let Some(j) = last.get(name).filter(|j| **j > i) {
                union(&mut parent, i, *j);
            }
        }
    }
    let mut groups: Vec<Vec<Stmt>> = vec![];
    let mut at: HashMap<usize, usize> = HashMap::new();
    for (i, s) in statements.into_iter().enumerate() {
        let root = find(&mut parent, i);
        let k = *at.entry(root).or_insert_with(|| {
            groups.push(vec![]);
            groups.len() - 1
        });
        groups[k].push(s);
    }
    groups
}

fn find(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn union(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parent, a), find(parent, b));
    parent[a.max(b)] = a.min(b);
}
