//! A CMSIS-SVD file: the registers that a configuration has, for debuggers and generators.

use portcullis_regmap::regs::{REGISTERS, Register as Row, Reset, offset};
use portcullis_regmap::{Access as Kind, Config, Field as Bits};
use svd_rs::{
    Access, AddressBlock, AddressBlockUsage, BitRange, Device, DimElement, Field, FieldInfo,
    MaybeArray, ModifiedWriteValues, Peripheral, PeripheralInfo, Register, RegisterCluster,
    RegisterInfo, RegisterProperties, ValidateLevel,
};

fn access(kind: Kind) -> Access {
    match kind {
        Kind::Ro | Kind::Wpri | Kind::Custom => Access::ReadOnly,
        Kind::Rw | Kind::Warl | Kind::Rw1c | Kind::Rw1s => Access::ReadWrite,
    }
}

fn reset(row: &Row, config: &Config) -> Option<u64> {
    match (row.reset, row.name) {
        (Reset::Config, "capabilities") => Some(config.capabilities),
        (Reset::Config, "fctl") => Some(config.fctl.into()),
        (Reset::Zero, _) => Some(0),
        _ => None,
    }
}

fn field(bits: &Bits) -> Result<Field, String> {
    let writes = match bits.access {
        Kind::Rw1c => Some(ModifiedWriteValues::OneToClear),
        Kind::Rw1s => Some(ModifiedWriteValues::OneToSet),
        _ => None,
    };
    let name = bits.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    FieldInfo::builder()
        .name(name)
        .description(Some(bits.doc.trim().into()))
        .bit_range(BitRange::from_offset_width(bits.lsb, bits.bits))
        .access(Some(access(bits.access)))
        .modified_write_values(writes)
        .build(ValidateLevel::Strict)
        .map(MaybeArray::Single)
        .map_err(|e| format!("{}: {e}", bits.name))
}

fn register(row: &Row, config: &Config) -> Result<Register, String> {
    let fields: Result<Vec<Field>, String> = row
        .fields
        .iter()
        .filter(|f| !f.name.is_empty())
        .map(field)
        .collect();
    let fields = fields?;
    let name = if row.count > 1 {
        format!("{}%s", row.name)
    } else {
        row.name.to_string()
    };
    let info = RegisterInfo::builder()
        .name(name)
        .description(Some(row.doc.into()))
        .address_offset(row.offset.into())
        .properties(
            RegisterProperties::new()
                .size(Some(u32::from(row.width) * 8))
                .access(Some(access(row.access)))
                .reset_value(reset(row, config)),
        )
        .fields((!fields.is_empty()).then_some(fields))
        .build(ValidateLevel::Strict)
        .map_err(|e| format!("{}: {e}", row.name))?;
    if row.count == 1 {
        return Ok(MaybeArray::Single(info));
    }
    let last = row.first + row.count - 1;
    let indices = (row.first..=last).map(|i| i.to_string()).collect();
    let dim = DimElement::builder()
        .dim(row.count.into())
        .dim_increment(row.stride.into())
        .dim_index(Some(indices))
        .build(ValidateLevel::Strict)
        .map_err(|e| format!("{}: {e}", row.name))?;
    Ok(info.array(dim))
}

/// The SVD file of `config`. The base address is 0: the system says where the page is.
///
/// # Errors
/// A name or position that the format does not allow.
pub fn svd(config: &Config) -> Result<String, String> {
    let there = |row: &&Row| row.needs.met(config.capabilities());
    let registers: Result<Vec<RegisterCluster>, String> = REGISTERS
        .iter()
        .filter(there)
        .map(|row| register(row, config).map(RegisterCluster::Register))
        .collect();
    let page = AddressBlock::builder()
        .offset(0)
        .size(offset::PAGE.into())
        .usage(AddressBlockUsage::Registers)
        .build(ValidateLevel::Strict)
        .map_err(|e| e.to_string())?;
    let peripheral = PeripheralInfo::builder()
        .name("IOMMU".into())
        .description(Some(format!(
            "Portcullis RISC-V IOMMU, configuration {}",
            config.name
        )))
        .base_address(0)
        .address_block(Some(vec![page]))
        .registers(Some(registers?))
        .build(ValidateLevel::Strict)
        .map_err(|e| e.to_string())?;
    let device = Device::builder()
        .name(format!("portcullis_{}", config.name))
        .version(env!("CARGO_PKG_VERSION").into())
        .description(format!(
            "Portcullis RISC-V IOMMU, configuration {}",
            config.name
        ))
        .license_text(Some(env!("CARGO_PKG_LICENSE").into()))
        .address_unit_bits(8)
        .width(64)
        .peripherals(vec![Peripheral::Single(peripheral)])
        .build(ValidateLevel::Strict)
        .map_err(|e| e.to_string())?;
    svd_encoder::encode(&device)
        .map(|text| text + "\n")
        .map_err(|e| e.to_string())
}
