//! From the collected design to Verilog text: equal modules merged, ports in the header, connections direct.

use super::design::{Design, Names, Port, Scope};
use super::ir::lower;
use super::tidy::{body, map_words, spellings};
use super::wiring::Wiring;
use rust_hdl::prelude::AtomKind;
use rust_hdl::prelude::ast::Verilog;
use std::collections::{BTreeSet, HashMap, HashSet};

/// One Verilog module, used at one or more places. Its text calls other modules `@3@`, and itself `@@`.
struct Module {
    text: String,
    /// Where it is used, without array indices.
    uses: BTreeSet<Vec<String>>,
    /// Data width if it is a register: named by its width then, not by its place.
    register: Option<usize>,
    /// Smallest position in a walk from the top.
    order: usize,
}

struct Generator<'a> {
    design: &'a Design,
    modules: Vec<Module>,
    by_text: HashMap<String, usize>,
    /// Foreign modules, each once.
    cores: Vec<String>,
    order: usize,
}

/// The Verilog of `design`, without header.
pub(super) fn generate(design: &Design) -> Result<String, String> {
    let mut g = Generator {
        design,
        modules: vec![],
        by_text: HashMap::new(),
        cores: vec![],
        order: 0,
    };
    g.scope(&design.top, &[])?;
    let names = g.module_names();
    let mut sorted: Vec<usize> = (0..g.modules.len()).collect();
    sorted.sort_by_key(|i| g.modules[*i].order);
    let mut out = String::new();
    for i in sorted {
        let mut text = g.modules[i].text.replace("@@", &names[i]);
        for (k, name) in names.iter().enumerate() {
            text = text.replace(&format!("@{k}@"), name);
        }
        out += &text;
        out.push('\n');
    }
    for core in &g.cores {
        out += core;
        out += "\n\n";
    }
    Ok(out.trim_end().to_string() + "\n")
}

/// `tlb$way$3` as its parts, without the indices of arrays.
fn parts(name: &str) -> Vec<String> {
    name.split('$')
        .filter(|p| !p.chars().all(|c| c.is_ascii_digit()))
        .map(str::to_string)
        .collect()
}

/// The width of `q` if the block has the ports of a register and a body of its own.
pub(super) fn register_width(scope: &Scope) -> Option<usize> {
    let outputs: Vec<&Port> = scope
        .atoms
        .iter()
        .filter(|a| a.is_port() && !a.is_input())
        .collect();
    let has = |n: &str| scope.atoms.iter().any(|a| a.name == n);
    match outputs[..] {
        [q] if q.name == "q" && has("d") && has("clock") => {
            matches!(scope.body, Verilog::Custom(_)).then_some(q.width)
        }
        _ => None,
    }
}

impl Generator<'_> {
    /// Registers the module of `scope` and of everything below it.
    fn scope(&mut self, scope: &Scope, place: &[String]) -> Result<String, String> {
        let order = self.order;
        self.order += 1;
        if let Verilog::Blackbox(b) = &scope.body {
            self.core(&b.code);
            return Ok(b.name.clone());
        }
        let mut kinds = vec![];
        for child in &scope.children {
            let mut at = place.to_vec();
            at.extend(parts(&child.name));
            kinds.push(self.scope(child, &at)?);
        }
        let text = self
            .module(scope, &kinds)
            .map_err(|e| format!("{}: {e}", scope.path))?;
        let id = match self.by_text.get(&text) {
            Some(id) => *id,
            None => {
                self.modules.push(Module {
                    text: text.clone(),
                    uses: BTreeSet::new(),
                    register: register_width(scope),
                    order,
                });
                self.by_text.insert(text, self.modules.len() - 1);
                self.modules.len() - 1
            }
        };
        self.modules[id].uses.insert(place.to_vec());
        self.modules[id].order = self.modules[id].order.min(order);
        Ok(format!("@{id}@"))
    }

    fn core(&mut self, code: &str) {
        for one in code.split_inclusive("endmodule") {
            let one = one.trim().to_string();
            if !one.is_empty() && !self.cores.contains(&one) {
                self.cores.push(one);
            }
        }
    }

    /// A name for every module: by place if there is one place, else by what the places share.
    fn module_names(&self) -> Vec<String> {
        let top = &self.design.top.name;
        let mut sorted: Vec<usize> = (0..self.modules.len()).collect();
        sorted.sort_by_key(|i| self.modules[*i].order);
        let mut names = vec![String::new(); self.modules.len()];
        let mut taken = HashSet::new();
        for i in sorted {
            let m = &self.modules[i];
            let mut base = vec![top.clone()];
            if let Some(width) = m.register {
                base.push(format!("reg_{width}"));
            } else {
                base.extend(shared_place(&m.uses));
            }
            let base = base.join("_");
            let mut name = base.clone();
            let mut n = 1;
            while !taken.insert(name.clone()) {
                n += 1;
                name = format!("{base}_{n}");
            }
            names[i] = name;
        }
        names
    }

    fn module(&mut self, scope: &Scope, kinds: &[String]) -> Result<String, String> {
        let names = Names::of(scope, self.design);
        let spelling = spellings(names.all());
        match &scope.body {
            Verilog::Combinatorial(block) => {
                let kernel = lower(block, &scope.path, &names);
                Wiring::new(scope, &names, &spelling, kernel).module(kinds)
            }
            Verilog::Custom(text) => {
                let mut out = head(scope, &spelling, &|_| "reg");
                out += &constants(scope, &spelling, text);
                out += &body(text, scope, &spelling);
                Ok(out + "endmodule\n")
            }
            Verilog::Wrapper(w) => {
                self.core(&w.cores);
                let mut out = head(scope, &spelling, &|_| "wire");
                out += &constants(scope, &spelling, &w.code);
                out += &body(&w.code, scope, &spelling);
                Ok(out + "endmodule\n")
            }
            Verilog::Empty => {
                // A block that only groups others has nothing to connect them with.
                let kernel = lower(&vec![], &scope.path, &names);
                Wiring::new(scope, &names, &spelling, kernel).module(kinds)
            }
            Verilog::Blackbox(b) => Err(format!("black box {} has no module", b.name)),
        }
    }
}

/// What the places of a module have in common, to name it by.
fn shared_place(uses: &BTreeSet<Vec<String>>) -> Vec<String> {
    let Some(first) = uses.iter().min_by_key(|u| u.len()) else {
        return vec![];
    };
    if uses.len() == 1 {
        return first.clone();
    }
    let same_end = |n: usize| uses.iter().all(|u| u.ends_with(&first[first.len() - n..]));
    match (1..=first.len()).rev().find(|n| same_end(*n)) {
        Some(n) => first[first.len() - n..].to_vec(),
        None => first.clone(),
    }
}

pub(super) fn range(width: usize) -> String {
    if width == 1 {
        String::new()
    } else {
        format!("[{}:0] ", width - 1)
    }
}

/// `module name (ports);` with `reg` or `wire` outputs as `kind` says.
pub(super) fn head(
    scope: &Scope,
    spelling: &HashMap<String, String>,
    kind: &dyn Fn(&str) -> &'static str,
) -> String {
    let ports: Vec<String> = scope
        .atoms
        .iter()
        .filter(|a| a.is_port())
        .map(|a| {
            let (dir, net) = match a.kind {
                AtomKind::InputParameter => ("input", "wire"),
                AtomKind::InOutParameter => ("inout", "wire"),
                AtomKind::OutputPassthrough => ("output", "wire"),
                _ => ("output", kind(&a.name)),
            };
            format!("  {dir} {net} {}{}", range(a.width), spelling[&a.name])
        })
        .collect();
    if ports.is_empty() {
        return "module @@;\n".into();
    }
    format!("module @@ (\n{}\n);\n", ports.join(",\n"))
}

/// The constants of `scope` that `text` uses.
pub(super) fn constants(scope: &Scope, spelling: &HashMap<String, String>, text: &str) -> String {
    let mut used = HashSet::new();
    map_words(text, |w| {
        used.insert(w.to_string());
        None
    });
    let mut out = String::new();
    for a in &scope.atoms {
        let name = &spelling[&a.name];
        if a.kind == AtomKind::Constant && (used.contains(name) || used.contains(&a.name)) {
            let value = a.value.sized(a.width);
            out += &format!("  localparam {}{name} = {value};\n", range(a.width));
        }
    }
    out
}
