//! A core among registers: how fast is it when the rest of the chip does not stand in its way?
//!
//! A core has more ports than a package has pins. [`surround`] writes a module with three pins in which every input of
//! the core comes from a register of its own (one shift register) and every output goes into one; the outputs'
//! registers are reduced to one pin by a tree of registered exclusive-ors, so that nothing can be optimised away. All
//! paths that remain are the core's own, or one route long.

use std::fmt::Write;

/// A port of a Verilog module: name and width in bits.
type Port = (String, usize);

/// Inputs (the clock left out) and outputs of `top`, as the generated Verilog declares them: one port a line.
fn ports(verilog: &str, top: &str) -> Result<(Vec<Port>, Vec<Port>), String> {
    let missing = || format!("the Verilog has no module `{top}` with a port list");
    let start = verilog
        .find(&format!("module {top} (\n"))
        .ok_or_else(missing)?;
    let list = verilog[start..].split(");").next().ok_or_else(missing)?;
    let (mut inputs, mut outputs) = (vec![], vec![]);
    for line in list.lines().skip(1) {
        let line = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> = line
            .trim()
            .trim_end_matches(',')
            .split_whitespace()
            .collect();
        let [direction, .., name] = words[..] else {
            continue;
        };
        let range = words.iter().find_map(|w| w.strip_prefix('['));
        let high = range.map_or(Some(0), |r| r.split(':').next()?.parse::<usize>().ok());
        let width = high.ok_or_else(|| format!("cannot read the width in `{}`", line.trim()))? + 1;
        match direction {
            "input" if name == "clock" => {}
            "input" => inputs.push((name.to_string(), width)),
            "output" => outputs.push((name.to_string(), width)),
            _ => return Err(format!("cannot read the port `{}`", line.trim())),
        }
    }
    if inputs.is_empty() || outputs.is_empty() {
        return Err(missing());
    }
    Ok((inputs, outputs))
}

/// Name of the module that [`surround`] writes.
pub const TOP: &str = "out_of_context";

/// The module [`TOP`] around `top` of `verilog`.
///
/// # Errors
/// `verilog` does not declare `top` in the generator's style.
pub fn surround(verilog: &str, top: &str) -> Result<String, String> {
    let (inputs, outputs) = ports(verilog, top)?;
    let bits = |ports: &[Port]| ports.iter().map(|(_, w)| w).sum::<usize>();
    let (ins, outs) = (bits(&inputs), bits(&outputs));
    let mut text = format!(
        "module {TOP}(input wire clock, input wire serial_in, output reg serial_out);\n\
         reg [{}:0] feed;\nwire [{o}:0] seen;\nreg [{o}:0] level0;\n\
         always @(posedge clock) begin\n  feed <= {{feed, serial_in}};\n  level0 <= seen;\nend\n",
        ins - 1,
        o = outs - 1
    );
    let (mut level, mut width) = (0, outs);
    while width > 1 {
        let next = width.div_ceil(4);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "reg [{}:0] level{};", next - 1, level + 1);
        for i in 0..next {
            let high = (4 * i + 3).min(width - 1);
            let _ = writeln!(
                text,
                "always @(posedge clock) level{}[{i}] <= ^level{level}[{high}:{}];",
                level + 1,
                4 * i
            );
        }
        (level, width) = (level + 1, next);
    }
    let _ = writeln!(text, "always @(posedge clock) serial_out <= level{level};");
    let mut wires = vec![".clock(clock)".to_string()];
    for (ports, signal) in [(&inputs, "feed"), (&outputs, "seen")] {
        let mut low = 0;
        for (name, width) in ports {
            wires.push(format!(".{name}({signal}[{}:{low}])", low + width - 1));
            low += width;
        }
    }
    let _ = writeln!(
        text,
        "{top} core(\n  {}\n);\nendmodule",
        wires.join(",\n  ")
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "module leaf (\n  input wire clock\n);\nendmodule\n\nmodule core (\n  input wire clock,\n  \
                        input wire [2:0] a, // three\n  input wire go,\n  output reg [4:0] y\n);\nendmodule\n";

    #[test]
    fn every_bit_has_a_register() {
        let text = surround(CORE, "core").expect("a module");
        assert!(text.contains("reg [3:0] feed;"), "{text}");
        assert!(text.contains("reg [4:0] level0;"), "{text}");
        assert!(
            text.contains(".a(feed[2:0])") && text.contains(".go(feed[3:3])"),
            "{text}"
        );
        assert!(text.contains("level1[1] <= ^level0[4:4];"), "{text}");
        assert!(text.contains("serial_out <= level2;"), "{text}");
    }

    #[test]
    fn other_verilog_is_refused() {
        assert!(surround(CORE, "leaf").is_err());
        assert!(surround(CORE, "nothing").is_err());
    }
}
