//! Synthesis, place and route of the cores, and the budgets in constraints/budgets.toml.

use crate::report::Report;
use crate::root;
use portcullis_board::area::{AIM_MHZ, design, measure};
use portcullis_board::budget::{self, Budgets};
use portcullis_board::device::device;
use portcullis_board::figures::{self, Stored};
use portcullis_board::tools::{PACKAGES, Tools, read, target};
use portcullis_hdl::verilog::Bus;
use portcullis_regmap::Config;

/// Installs the tools where `portcullis area` looks for them, as a step of its own.
pub fn provide(report: &mut Report) -> Option<Tools> {
    let mut tools = None;
    report.step("fpga tools", || {
        tools = Some(Tools::provide(&target().join("fpga-tools"))?);
        Ok(PACKAGES.join(", "))
    });
    tools
}

pub fn budgets() -> Result<Budgets, String> {
    budget::parse(&read(&root().join("constraints/budgets.toml"))?)
}

pub fn stored() -> Result<Stored, String> {
    figures::parse(&read(&root().join(figures::PATH))?)
}

/// Holds `config` with these ports on its devices against their budgets and what is stored. Place and route runs where
/// a clock frequency is wanted.
pub fn run(report: &mut Report, tools: &Tools, config: &'static Config, bus: Bus) {
    let name = design(config, bus);
    let mut all = None;
    report.step(&format!("budgets {name}"), || {
        let found = budgets()?.remove(&name);
        let limits = found.ok_or(format!(
            "constraints/budgets.toml has no section [{name}.DEVICE]"
        ))?;
        let names: Vec<&String> = limits.keys().collect();
        let text = format!("{names:?}");
        all = Some(limits);
        Ok(text)
    });
    for (place, limits) in all.unwrap_or_default() {
        report.step(&format!("synth {name}: {place}"), || {
            let dir = target().join(format!("area/{name}-{place}"));
            let aim = limits.fmax_mhz.map(|_| AIM_MHZ);
            let area = measure(tools, config, bus, device(&place)?, aim, 1, &dir)?;
            let mut text = limits.area(&area.cells)?;
            let mhz = area.routed.map(|routed| routed.fmax_mhz);
            if let Some(mhz) = mhz {
                text += &format!(", {}", limits.clock(mhz)?);
            }
            figures::agree(&stored()?, &name, &place, &area.cells, mhz)?;
            Ok(text)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_hdl::verilog::BUSES;

    #[test]
    fn every_configuration_has_a_budget_on_known_devices() {
        let all = budgets().expect("budgets");
        for config in portcullis_regmap::config::CONFIGS {
            for bus in BUSES {
                for name in all[&design(config, bus)].keys() {
                    assert!(device(name).is_ok(), "{name}");
                }
            }
        }
    }
}
