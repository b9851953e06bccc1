"""A LiteX SoC around the IOMMU: a host on the SoC's bus, memory, and four devices behind the IOMMU, on pins."""

import importlib.util
import json

from migen import ClockDomain

from litex.build.generic_platform import GenericPlatform, Pins
from litex.gen import LiteXModule
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import axi, wishbone

RAM_SIZE = 0x2_0000
REGISTERS = 0x2000_0000
# Name, device_id, process_id; what each is, below.
DEVICES = (("narrow", 0x10, None), ("wide", 0x11, None), ("burst", 0x12, None), ("tagged", 0x13, 0xABCDE))


class Clocks(LiteXModule):
    def __init__(self, platform):
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(platform.request("clock")), self.cd_sys.rst.eq(platform.request("reset"))]


def masters():
    """A bus for the host and each device."""
    return {
        "host": wishbone.Interface(data_width=32, address_width=32),
        "narrow": wishbone.Interface(data_width=32, address_width=32),
        "wide": wishbone.Interface(data_width=64, address_width=64, addressing="byte"),
        "burst": axi.AXIInterface(data_width=64, address_width=64, id_width=4),
        "tagged": wishbone.Interface(data_width=32, address_width=32),
    }


def make(wrapper, standard, width, verilog, facts):
    """Writes the SoC's Verilog, and as JSON where things are."""
    spec = importlib.util.spec_from_file_location("wrapper", wrapper)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    buses = masters()
    io = [("clock", 0, Pins(1)), ("reset", 0, Pins(1)), ("interrupt", 0, Pins(1))]
    for name, bus in buses.items():
        io += bus.get_ios(name)
    platform = GenericPlatform("none", io)
    soc = SoCMini(
        platform,
        clk_freq=int(50e6),
        bus_standard=standard,
        bus_data_width=width,
        integrated_main_ram_size=RAM_SIZE,
        integrated_main_ram_init=[0] * (RAM_SIZE * 8 // width),
    )
    soc.crg = Clocks(platform)
    for name, bus in buses.items():
        soc.comb += bus.connect_to_pads(platform.request(name), mode="slave")
    soc.bus.add_master("host", buses["host"])

    soc.iommu = module.PortcullisIOMMU(platform)
    soc.iommu.attach(soc, origin=REGISTERS)
    for name, device, process in DEVICES:
        soc.iommu.add_device(device, buses[name], process)

    soc.comb += platform.request("interrupt").eq(soc.iommu.ev.irq)
    soc.finalize()
    # One process per signal: in LiteX's regular style an event-driven simulator goes round in processes that drive several.
    platform.get_verilog(soc, name=verilog.stem, regular_comb=False).write(str(verilog))
    csrs = soc.csr.regions["iommu"]
    where = {
        "ram": soc.bus.regions["main_ram"].origin,
        "registers": soc.bus.regions["iommu"].origin,
        "csr": {csr.name: csrs.origin + 4 * n for n, csr in enumerate(csrs.obj)},
        "address_width": soc.bus.address_width,
    }
    facts.write_text(json.dumps(where))
    return [source[0] for source in platform.sources]
