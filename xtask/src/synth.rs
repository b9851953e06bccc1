//! Synthesis, place and route of the cores, and the budgets in constraints/budgets.toml.

use crate::report::Report;
use crate::root;
use portcullis_board::area::{AIM_MHZ, measure};
use portcullis_board::budget::{self, Budgets};
use portcullis_board::device::device;
use portcullis_board::tools::{PACKAGES, Tools, read, target};
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

/// Holds `config` on its devices against their budgets. Place and route runs where a clock frequency is wanted.
pub fn run(report: &mut Report, tools: &Tools, config: &'static Config) {
    let mut all = None;
    report.step(&format!("budgets {}", config.name), || {
        let found = budgets()?.remove(config.name);
        let limits = found.ok_or(format!(
            "constraints/budgets.toml has no section [{}.DEVICE]",
            config.name
        ))?;
        let names: Vec<&String> = limits.keys().collect();
        let text = format!("{names:?}");
        all = Some(limits);
        Ok(text)
    });
    for (name, limits) in all.unwrap_or_default() {
        report.step(&format!("synth {}: {name}", config.name), || {
            let dir = target().join(format!("area/{}-{name}", config.name));
            let aim = limits.fmax_mhz.map(|_| AIM_MHZ);
            let area = measure(tools, config, device(&name)?, aim, 1, &dir)?;
            let mut text = limits.area(&area.cells)?;
            if let Some(routed) = area.routed {
                text += &format!(", {}", limits.clock(routed.fmax_mhz)?);
            }
            Ok(text)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_has_a_budget_on_known_devices() {
        let all = budgets().expect("budgets");
        for config in portcullis_regmap::config::CONFIGS {
            for name in all[config.name].keys() {
                assert!(device(name).is_ok(), "{name}");
            }
        }
    }
}
