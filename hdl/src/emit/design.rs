//! A rust-hdl block as plain data: scopes, their signals, their children and their kernels.
//!
//! rust-hdl shows a design only through callbacks. Lint and generator both need to look at a scope together with
//! the ports of its children, so the callbacks are collected into a tree once.

use rust_hdl::prelude::ast::Verilog;
use rust_hdl::prelude::{Atom, AtomKind, Block, Probe, TypeDescriptor, TypeKind};
use std::collections::{BTreeMap, HashMap};

/// A number of any width, as hexadecimal digits without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal(String);

impl Literal {
    pub(super) fn new(value: u64) -> Self {
        Literal(format!("{value:x}"))
    }

    /// Reads what rust-hdl prints for a literal in hexadecimal: `12'h0ff`.
    fn parse(text: &str) -> Option<Self> {
        let (_, digits) = text.split_once("'h")?;
        let digits = digits.trim_start_matches('0');
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        Some(Literal(if digits.is_empty() { "0" } else { digits }.into()))
    }

    /// From the literal of a rust-hdl expression, with the width rust-hdl would print.
    pub(super) fn of(v: &rust_hdl::prelude::VerilogLiteral) -> (Self, usize) {
        let text = format!("{v:x}");
        let bits = text.split('\'').next().and_then(|w| w.parse().ok());
        (
            Self::parse(&text).unwrap_or_else(|| Literal::new(0)),
            bits.unwrap_or(32),
        )
    }

    pub(super) fn value(&self) -> Option<u64> {
        u64::from_str_radix(&self.0, 16).ok()
    }

    /// Bits needed to hold the value.
    pub(super) fn bits(&self) -> usize {
        let first = u8::from_str_radix(&self.0[..1], 16).unwrap_or(0);
        (self.0.len() - 1) * 4 + 8 - first.leading_zeros() as usize
    }

    /// The low `width` bits.
    pub(super) fn low(&self, width: usize) -> Self {
        let bits: String = self
            .0
            .chars()
            .flat_map(|c| {
                let d = c.to_digit(16).unwrap_or(0);
                (0..4).rev().map(move |i| (d >> i) & 1 == 1)
            })
            .map(|b| if b { '1' } else { '0' })
            .collect();
        let kept = &bits[bits.len().saturating_sub(width)..];
        let padded = format!("{}{kept}", "0".repeat(kept.len().wrapping_neg() % 4));
        let digits: String = padded
            .as_bytes()
            .chunks(4)
            .map(|c| {
                let d = c.iter().fold(0, |v, b| v * 2 + u32::from(*b == b'1'));
                char::from_digit(d, 16).unwrap_or('0')
            })
            .collect();
        let digits = digits.trim_start_matches('0');
        Literal(if digits.is_empty() { "0" } else { digits }.into())
    }

    /// Verilog text with exactly `width` bits.
    pub(super) fn sized(&self, width: usize) -> String {
        if width == 1 {
            format!("1'b{}", self.0)
        } else {
            format!("{width}'h{}", self.0)
        }
    }
}

/// A signal or constant of a block.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: AtomKind,
    pub(super) width: usize,
    pub(super) clock: bool,
    pub(super) signed: bool,
    pub(super) value: Literal,
}

impl Port {
    pub(super) fn is_port(&self) -> bool {
        self.kind.is_parameter()
    }
    pub(super) fn is_input(&self) -> bool {
        self.kind == AtomKind::InputParameter
    }
}

/// One block of the design.
#[derive(Debug)]
pub(super) struct Scope {
    /// Where it is, dot-separated, for messages.
    pub(super) path: String,
    /// Field name in the parent; `name$3` for an element of an array.
    pub(super) name: String,
    pub(super) atoms: Vec<Port>,
    pub(super) children: Vec<Scope>,
    pub(super) body: Verilog,
}

/// The whole design.
#[derive(Debug)]
pub(super) struct Design {
    pub(super) top: Scope,
    /// Variants of every enum, by type name; the encoding is the position.
    pub(super) enums: BTreeMap<String, Vec<String>>,
    /// Enum names that stand for two different types.
    pub(super) clashes: Vec<String>,
}

#[derive(Default)]
struct Collector {
    stack: Vec<Scope>,
    namespace: Vec<String>,
    done: Option<Scope>,
    enums: BTreeMap<String, Vec<String>>,
    clashes: Vec<String>,
}

impl Collector {
    fn enums_of(&mut self, d: &TypeDescriptor) {
        match &d.kind {
            TypeKind::Enum(variants) => {
                let first = self.enums.entry(d.name.clone());
                if first.or_insert_with(|| variants.clone()) != variants
                    && !self.clashes.contains(&d.name)
                {
                    self.clashes.push(d.name.clone());
                }
            }
            TypeKind::Composite(fields) => fields.iter().for_each(|f| self.enums_of(&f.kind)),
            _ => {}
        }
    }
}

impl Probe for Collector {
    fn visit_start_scope(&mut self, name: &str, _node: &dyn Block) {
        let path = match self.stack.last() {
            Some(parent) => format!("{}.{}", parent.path, name.replace('$', ".")),
            None => name.to_string(),
        };
        self.stack.push(Scope {
            path,
            name: name.to_string(),
            atoms: vec![],
            children: vec![],
            body: Verilog::Empty,
        });
        self.namespace.clear();
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        self.namespace.push(name.to_string());
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        self.namespace.pop();
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let descriptor = atom.descriptor();
        self.enums_of(&descriptor);
        let mut full = self.namespace.clone();
        full.push(name.to_string());
        if let Some(scope) = self.stack.last_mut() {
            scope.atoms.push(Port {
                name: full.join("$"),
                kind: atom.kind(),
                width: atom.bits(),
                clock: descriptor.name == "clock",
                signed: matches!(descriptor.kind, TypeKind::Signed(_)),
                value: Literal::of(&atom.verilog()).0,
            });
        }
    }

    fn visit_end_scope(&mut self, _name: &str, node: &dyn Block) {
        if let Some(mut scope) = self.stack.pop() {
            scope.body = node.hdl();
            match self.stack.last_mut() {
                Some(parent) => parent.children.push(scope),
                None => self.done = Some(scope),
            }
        }
    }
}

impl Design {
    /// Collects `uut`, naming its outermost scope `top`.
    pub(super) fn of(uut: &dyn Block, top: &str) -> Result<Self, String> {
        let mut c = Collector::default();
        uut.accept(top, &mut c);
        match c.done {
            Some(top) => Ok(Design {
                top,
                enums: c.enums,
                clashes: c.clashes,
            }),
            None => Err(format!("{top}: not a block with signals of its own")),
        }
    }
}

/// What a name means inside a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    In,
    Out,
    Local,
    Constant,
    InOut,
    ChildIn,
    ChildOut,
}

impl Role {
    /// Kernels must write it before they read it.
    pub(super) fn is_driven_here(self) -> bool {
        matches!(self, Role::Out | Role::Local | Role::ChildIn)
    }
}

/// Everything a kernel may name.
pub(super) struct Names<'a> {
    signals: HashMap<String, (Role, &'a Port)>,
    enums: &'a BTreeMap<String, Vec<String>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(scope: &'a Scope, design: &'a Design) -> Self {
        let mut signals = HashMap::new();
        for a in &scope.atoms {
            let role = match a.kind {
                AtomKind::InputParameter => Role::In,
                AtomKind::OutputParameter | AtomKind::OutputPassthrough => Role::Out,
                AtomKind::Constant => Role::Constant,
                AtomKind::InOutParameter => Role::InOut,
                _ => Role::Local,
            };
            signals.insert(a.name.clone(), (role, a));
        }
        for child in &scope.children {
            for a in child.atoms.iter().filter(|a| a.is_port()) {
                let role = match a.kind {
                    AtomKind::InputParameter => Role::ChildIn,
                    AtomKind::InOutParameter => Role::InOut,
                    _ => Role::ChildOut,
                };
                signals.insert(format!("{}${}", child.name, a.name), (role, a));
            }
        }
        Names {
            signals,
            enums: &design.enums,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<(Role, &'a Port)> {
        self.signals.get(name).copied()
    }

    pub(super) fn width(&self, name: &str) -> Option<usize> {
        self.get(name).map(|(_, p)| p.width)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.signals.keys()
    }

    /// Position of `Type$Variant` in its type and the number of variants.
    pub(super) fn variant(&self, name: &str) -> Option<(usize, usize)> {
        let (ty, _) = name.split_once('$')?;
        let variants = self.enums.get(ty)?;
        let at = variants
            .iter()
            .position(|v| v.replace("::", "$") == *name)?;
        Some((at, variants.len()))
    }
}

/// Bits of an enum with `n` variants.
pub(super) fn enum_width(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}
