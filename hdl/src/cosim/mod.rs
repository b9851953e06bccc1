//! Co-simulation: the same inputs for a block in Rust and for its generated Verilog, every output compared.
//!
//! This module runs the Rust side and writes down what went in and came out, cycle by cycle, together with a
//! testbench that replays it on the Verilog. `cargo xtask verify` runs the testbenches in Icarus Verilog.
//!
//! To add a block, add one line to [`cells::cases`]: its name, how to make it, and its inputs. A missing input is an
//! error, not a hole.

mod axi;
mod bus;
pub mod cells;
mod draw;
mod top;
pub mod words;

pub use draw::{Draw, Rng};

/// Every configuration, with its own ports and with AXI; each is named like its Verilog module.
#[must_use]
pub fn top_cases() -> Vec<Case> {
    let mut all = top::cases();
    all.extend(axi::cases());
    all
}

use crate::emit::emit;
use rust_hdl::prelude::*;
use std::fmt::Write;

/// A block to co-simulate.
pub struct Case {
    /// Name of the block, and of the module in its Verilog.
    pub name: &'static str,
    /// Cycles at the start that are not compared.
    warm_up: usize,
    make: Box<dyn Fn(usize, u64) -> Result<Files, String>>,
}

impl Case {
    /// Simulates `cycles` cycles in Rust and writes down what the Verilog has to do.
    ///
    /// # Errors
    /// What [`emit`] refuses, an input without stimulus, or a simulation that does not settle.
    pub fn run(&self, cycles: usize, seed: u64) -> Result<Files, String> {
        let mut files = (self.make)(cycles, seed).map_err(|e| format!("{}: {e}", self.name))?;
        if self.warm_up > 0 {
            let compare = format!("if (i >= {}) begin", self.warm_up);
            files.testbench = files.testbench.replace("begin : compare", &compare);
        }
        Ok(files)
    }
}

/// What a Verilog simulator needs to repeat a run.
pub struct Files {
    /// The block.
    pub verilog: String,
    /// Module `tb`; reads `rows.hex` and ends with a line `EQUAL n` or `DIFFERENT n`.
    pub testbench: String,
    /// One line per cycle, for `rows.hex`.
    pub rows: String,
    /// Number of cycles.
    pub cycles: usize,
}

struct Pin {
    name: String,
    width: usize,
    input: bool,
    clock: bool,
}

impl Pin {
    /// Hexadecimal digits in a row.
    fn digits(&self) -> usize {
        self.width.div_ceil(4)
    }
}

/// Finds the ports of a block, and their values.
#[derive(Default)]
struct Ports {
    depth: usize,
    namespace: Vec<String>,
    found: Vec<(Pin, String)>,
}

impl Probe for Ports {
    fn visit_start_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth += 1;
    }
    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth -= 1;
    }
    fn visit_start_namespace(&mut self, name: &str, _: &dyn Block) {
        self.namespace.push(name.into());
    }
    fn visit_end_namespace(&mut self, _: &str, _: &dyn Block) {
        self.namespace.pop();
    }
    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let input = match atom.kind() {
            AtomKind::InputParameter => true,
            AtomKind::OutputParameter => false,
            _ => return,
        };
        if self.depth != 1 {
            return;
        }
        let mut full = self.namespace.clone();
        full.push(name.into());
        let literal = format!("{:x}", atom.verilog());
        let digits = literal.split_once("'h").map_or("0", |(_, d)| d);
        let signal = Pin {
            name: full.join("_").replace('$', "_"),
            width: atom.bits(),
            input,
            clock: atom.descriptor().name == "clock",
        };
        let row = format!("{digits:0>width$}", width = signal.digits());
        self.found.push((signal, row));
    }
}

fn ports(uut: &dyn Block) -> Vec<(Pin, String)> {
    let mut p = Ports::default();
    uut.accept("dut", &mut p);
    p.found.retain(|(s, _)| !s.clock);
    p.found
}

/// Takes down the ports of a block, one row per cycle. For harnesses that step the block themselves.
pub struct Recorder {
    signals: Vec<Pin>,
    rows: String,
    cycles: usize,
    name: String,
    verilog: String,
}

impl Recorder {
    /// For `uut`, whose `connect_all` has run; its Verilog module will be called `name`.
    ///
    /// # Errors
    /// What [`emit`] refuses.
    pub fn new(uut: &dyn Block, name: &str) -> Result<Self, String> {
        Ok(Recorder {
            signals: ports(uut).into_iter().map(|(s, _)| s).collect(),
            rows: String::new(),
            cycles: 0,
            name: name.into(),
            verilog: emit(uut, name)?,
        })
    }

    /// Takes down the ports. Call it once per cycle, settled, before the clock edge.
    pub fn sample(&mut self, uut: &dyn Block) {
        for (_, row) in ports(uut) {
            self.rows += &row;
        }
        self.rows.push('\n');
        self.cycles += 1;
    }

    /// The files for a Verilog simulator.
    #[must_use]
    pub fn finish(self) -> Files {
        Files {
            testbench: self.testbench(),
            verilog: self.verilog,
            rows: self.rows,
            cycles: self.cycles,
        }
    }

    /// Part selects of every signal in a row: the first signal holds the most significant digits.
    fn places(&self) -> (Vec<(&Pin, String)>, usize) {
        let total: usize = self.signals.iter().map(Pin::digits).sum();
        let mut at = total * 4;
        let places = self
            .signals
            .iter()
            .map(|s| {
                at -= s.digits() * 4;
                (s, format!("row[{at} +: {}]", s.width))
            })
            .collect();
        (places, total * 4)
    }

    fn testbench(&self) -> String {
        let (places, bits) = self.places();
        let last = bits - 1;
        let n = self.cycles;
        let mut nets = String::new();
        let mut pins = vec!["    .clock(clock)".to_string()];
        let mut checks = String::new();
        for (s, place) in &places {
            let name = &s.name;
            if s.input {
                pins.push(format!("    .{name}({place})"));
                continue;
            }
            let _ = writeln!(nets, "  wire [{}:0] {name};", s.width - 1);
            pins.push(format!("    .{name}({name})"));
            let _ = write!(
                checks,
                "      if ({name} !== {place}) begin
        bad = bad + 1;
        if (bad <= 10) $display(\"cycle %0d: {name} is %h in Verilog, %h in Rust\", i, {name}, {place});
      end
"
            );
        }
        format!(
            "`timescale 1ns / 1ps
module tb;
  reg clock;
  reg [{last}:0] rows [0:{}];
  reg [{last}:0] row;
  integer i, bad;
{nets}
  {} dut (
{}
  );

  initial begin
    clock = 0;
    bad = 0;
    $readmemh(\"rows.hex\", rows);
    for (i = 0; i < {n}; i = i + 1) begin
      row = rows[i];
      #4;
      begin : compare
{checks}      end
      #1 clock = 1;
      #5 clock = 0;
    end
    if (bad == 0) $display(\"EQUAL %0d\", i);
    else $display(\"DIFFERENT %0d\", bad);
    $finish;
  end
endmodule
",
            n - 1,
            self.name,
            pins.join(",\n")
        )
    }
}

fn settle(uut: &mut impl Block) -> Result<(), String> {
    if simulate(uut, 1000) {
        Ok(())
    } else {
        Err("the Rust simulation does not settle: a combinational loop?".into())
    }
}

/// Runs a block whose inputs are set by `stimulus`, called before every cycle with the number of that cycle.
///
/// # Errors
/// What [`emit`] refuses, an input not in `inputs`, or a simulation that does not settle.
pub fn run<B: Block>(
    mut uut: B,
    name: &str,
    cycles: usize,
    set_clock: impl Fn(&mut B, bool),
    inputs: &[String],
    mut stimulus: impl FnMut(&mut B, usize),
) -> Result<Files, String> {
    uut.connect_all();
    let mut recorder = Recorder::new(&uut, name)?;
    let missing = recorder
        .signals
        .iter()
        .find(|s| s.input && !inputs.contains(&s.name));
    if let Some(s) = missing {
        return Err(format!("input `{}` gets no stimulus", s.name));
    }
    settle(&mut uut)?;
    for cycle in 0..cycles {
        stimulus(&mut uut, cycle);
        settle(&mut uut)?;
        recorder.sample(&uut);
        set_clock(&mut uut, true);
        settle(&mut uut)?;
        set_clock(&mut uut, false);
        settle(&mut uut)?;
    }
    Ok(recorder.finish())
}

/// Name of a port of the Verilog: an input, or the signal of an interface.
#[must_use]
pub fn port(path: &[&str]) -> String {
    path.join("_")
}

/// A [`Case`] that draws the listed inputs at random, each cycle anew; `reset` is rare. Signals of interfaces are written
/// as in Rust, `s_axil.awvalid`. The optional closure may then correct what would break a rule of the block, such as
/// pushing into a full queue.
#[macro_export]
macro_rules! cosim_case {
    ($name:literal, $new:expr, [$($($input:ident).+),* $(,)?] $(, |$u:ident, $rng:ident| $adjust:block)?) => {
        $crate::cosim::Case::new($name, move |cycles, seed| {
            let mut rng = $crate::cosim::Rng::new(seed);
            $crate::cosim::run(
                $new,
                $name,
                cycles,
                |u, high| u.clock.next.clk = high,
                &[$($crate::cosim::port(&[$(stringify!($input)),+])),*],
                |u, _cycle| {
                    $(
                        let rare = concat!($(stringify!($input)),+) == "reset";
                        u.$($input).+.next = if rare && !rng.one_in(512) {
                            Default::default()
                        } else {
                            $crate::cosim::Draw::draw(&mut rng)
                        };
                    )*
                    $({
                        let ($u, $rng) = (u, &mut rng);
                        $adjust
                    })?
                },
            )
        })
    };
}

/// Refuses a run that is not worth comparing: each of these has to have happened at least once.
fn reached(all: &[(&str, u64)]) -> Result<(), String> {
    if all.iter().all(|(_, n)| *n > 0) {
        return Ok(());
    }
    let counts: Vec<String> = all.iter().map(|(w, n)| format!("{n} {w}")).collect();
    Err(format!(
        "the random run did not reach everything: {}",
        counts.join(", ")
    ))
}

impl Case {
    /// A case from a function of the number of cycles and the seed.
    pub fn new(
        name: &'static str,
        make: impl Fn(usize, u64) -> Result<Files, String> + 'static,
    ) -> Self {
        Case {
            name,
            warm_up: 0,
            make: Box::new(make),
        }
    }

    /// Leaves the outputs of the first `cycles` cycles out: for a memory whose read register has no value at
    /// power-up, which Verilog shows as `x`.
    #[must_use]
    pub fn warm_up(mut self, cycles: usize) -> Self {
        self.warm_up = cycles;
        self
    }
}
