//! The Verilog as a core of other people's build systems: a FuseSoC core file and a LiteX module, both made of the port list
//! and the header that the Verilog has.

use portcullis_board::area::home;
use portcullis_board::device::device;
use portcullis_hdl::verilog::{Bus, header, module_name, ports};
use portcullis_regmap::Config;

/// Of the generated Verilog; each waiver says why.
const WAIVERS: &str = include_str!("../../../hdl/lint/verilator.vlt");
/// Everything of the LiteX module that does not depend on the configuration.
const LITEX: &str = include_str!("litex.py");
/// The line of [`LITEX`] that the configuration's names and ports take the place of.
const CONFIGURATION: &str = "# (configuration)\n";

/// A file: its name and text.
pub type Named = (String, String);

/// The FuseSoC core (CAPI2) and Verilator's waivers, for the directory that the Verilog file is in.
///
/// # Errors
/// The configuration's device is not known.
pub fn fusesoc(config: &Config, bus: Bus) -> Result<[Named; 2], String> {
    let about = header(config, bus);
    let top = module_name(config, bus);
    let architecture = device(home(config))?.family.architecture();
    let core = format!(
        "CAPI=2:\n\
         {}\
         name: portcullis:iommu:{top}:{}\n\
         description: {}\n\
         license: {}\n\
         \n\
         filesets:\n\
         \x20 rtl:\n\
         \x20   files: [{top}.v]\n\
         \x20   file_type: verilogSource\n\
         \x20 waivers:\n\
         \x20   files: [{top}.vlt]\n\
         \x20   file_type: vlt\n\
         \n\
         targets:\n\
         \x20 default:\n\
         \x20   filesets: [rtl]\n\
         \x20 lint:\n\
         \x20   filesets: [waivers, rtl]\n\
         \x20   toplevel: {top}\n\
         \x20   flow: lint\n\
         \x20   flow_options: {{tool: verilator, verilator_options: [-Wall]}}\n\
         \x20 synth:\n\
         \x20   filesets: [rtl]\n\
         \x20   toplevel: {top}\n\
         \x20   flow: generic\n\
         \x20   flow_options: {{tool: yosys, arch: {architecture}}}\n",
        about.text("#"),
        about.version,
        about.title,
        about.licence,
    );
    // Of a design that uses the core, nobody else's files.
    let waivers = WAIVERS.replace("-file \"*\"", &format!("-file \"*{top}.v\""));
    Ok([
        (format!("{top}.core"), core),
        (format!("{top}.vlt"), waivers),
    ])
}

/// The LiteX module, for the directory that the Verilog file is in.
///
/// # Errors
/// The core's own ports are nothing that LiteX knows.
pub fn litex(config: &Config, bus: Bus) -> Result<Named, String> {
    if bus != Bus::Axi {
        return Err("--litex needs --bus axi: LiteX connects AXI ports".into());
    }
    let top = module_name(config, bus);
    let mut table = format!("MODULE = \"{top}\"\nPORTS = (\n");
    for port in ports(config, bus)? {
        let direction = if port.input { "input" } else { "output" };
        table += &format!(
            "    (\"{direction}\", {}, \"{}\"),\n",
            port.width, port.name
        );
    }
    table += ")\n";
    let text = LITEX.replace(CONFIGURATION, &table);
    let about = header(config, bus).text("#");
    Ok((format!("{top}.py"), about + &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_regmap::config::{CONFIGS, TINY};

    #[test]
    fn the_python_module_lists_every_port() {
        assert_eq!(LITEX.matches(CONFIGURATION).count(), 1);
        for config in CONFIGS {
            let (name, text) = litex(config, Bus::Axi).expect("a module");
            assert_eq!(name, format!("portcullis_{}_axi.py", config.name));
            for port in ports(config, Bus::Axi).expect("ports") {
                let line = format!("{}, \"{}\"),", port.width, port.name);
                assert!(text.contains(&line), "{line}");
            }
        }
        assert!(litex(&TINY, Bus::Core).is_err());
    }

    #[test]
    fn waivers_are_for_the_file_of_the_core_alone() {
        let [core, waivers] = fusesoc(&TINY, Bus::Axi).expect("a core");
        assert_eq!(core.0, "portcullis_tiny_axi.core");
        assert!(core.1.starts_with("CAPI=2:\n"), "{}", core.1);
        assert!(core.1.contains(&waivers.0), "{}", core.1);
        assert!(!waivers.1.contains("-file \"*\""), "{}", waivers.1);
        assert!(waivers.1.contains("-file \"*portcullis_tiny_axi.v\""));
    }
}
