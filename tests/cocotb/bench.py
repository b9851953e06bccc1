"""What the tests share: the buses, the page tables in memory, and how to speak to the registers and queues."""

import os
import random
import re
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiMaster, AxiRam
from cocotbext.axi.sparse_memory import SparseMemory

CONFIG = os.environ["PORTCULLIS_CONFIG"]
SEED = int(os.environ["PORTCULLIS_SEED"])
OPERATIONS = int(os.environ["PORTCULLIS_OPERATIONS"])
PAGE = 4096


def defines(path):
    """The numbers of the generated C header, without their prefix."""
    text = Path(path).read_text()
    found = re.findall(r"#define PORTCULLIS_(\w+) +(?:UINT64_C\()?(0x[0-9a-fA-F]+|\d+)", text)
    return {name: int(value, 0) for name, value in found}


H = defines(os.environ["PORTCULLIS_HEADER"])

# Where things are in memory; devices' pages lie above.
DDT, COMMANDS, FAULTS, FENCE = 0x10_0000, 0x11_0000, 0x12_0000, 0x13_0000
TABLES, DATA = 0x20_0000, 0x100_0000


def pauses(rng):
    """Random waiting: phases of much and phases of little."""
    while True:
        chance = rng.choice((0.0, 0.2, 0.5, 0.9))
        for _ in range(rng.randrange(1, 40)):
            yield rng.random() < chance


class Bench:
    """The IOMMU between an AXI master (the devices) and one memory, with waiting on every channel."""

    def __init__(self, dut, seed):
        self.dut = dut
        self.rng = random.Random(seed)
        cocotb.start_soon(Clock(dut.clock, 10, "ns").start())
        dut.reset.value = 1
        args = (dut.clock, dut.reset)
        self.memory = SparseMemory(1 << 56)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *args)
        self.device = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), *args)
        self.data_ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), *args, mem=self.memory)
        self.walk_ram = AxiRam(AxiBus.from_prefix(dut, "m_axi_ptw"), *args, mem=self.memory)
        self.width = len(dut.s_axil_wdata) // 8
        self.next_table = TABLES
        self.command_tail = 0
        self.fault_head = 0

    def pause_everywhere(self):
        for bus in (self.registers, self.device, self.data_ram, self.walk_ram):
            write, read = bus.write_if, bus.read_if
            for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
                channel.set_pause_generator(pauses(random.Random(self.rng.random())))

    async def reset(self):
        await ClockCycles(self.dut.clock, 5)
        self.dut.reset.value = 0
        await RisingEdge(self.dut.clock)

    # Registers.

    async def read32(self, offset):
        return await self.registers.read_dword(offset)

    async def write32(self, offset, value):
        await self.registers.write_dword(offset, value)

    async def read64(self, offset):
        if self.width == 8:
            return await self.registers.read_qword(offset)
        low = await self.read32(offset)
        return low | await self.read32(offset + 4) << 32

    async def write64(self, offset, value):
        if self.width == 8:
            await self.registers.write_qword(offset, value)
        else:
            await self.write32(offset + 4, value >> 32)
            await self.write32(offset, value & 0xFFFF_FFFF)

    async def until32(self, offset, mask, value):
        for _ in range(200):
            if await self.read32(offset) & mask == value:
                return
        raise AssertionError(f"register {offset} never becomes {value:#x} in {mask:#x}")

    async def start(self):
        """Queues on, then the directory."""
        await self.write64(H["CQB"], COMMANDS >> 12 << 10 | 5)
        await self.write32(H["CQCSR"], 1)
        await self.until32(H["CQCSR"], 1 << 16, 1 << 16)
        await self.write64(H["FQB"], FAULTS >> 12 << 10 | 6)
        await self.write32(H["FQCSR"], 1)
        await self.until32(H["FQCSR"], 1 << 16, 1 << 16)
        await self.write64(H["DDTP"], DDT >> 12 << 10 | 2)
        await self.until32(H["DDTP"], 0x1F, 2)

    # Memory.

    def word(self, address, value=None):
        if value is None:
            return int.from_bytes(self.memory.read(address, 8), "little")
        self.memory.write(address, value.to_bytes(8, "little"))

    def table(self):
        self.next_table += PAGE
        return self.next_table - PAGE

    def attach(self, device):
        """A device context with page tables of its own. Returns the root."""
        root = self.table()
        for i, word in enumerate((1, 0, device << 12, 8 << 60 | root >> 12)):
            self.word(DDT + 32 * device + 8 * i, word)
        return root

    def map(self, root, iova, physical, read, write):
        """A page of 4 KiB; without both permissions, no page."""
        for level in (2, 1):
            entry = root + (iova >> (12 + 9 * level) & 511) * 8
            if not self.word(entry) & 1:
                self.word(entry, self.table() >> 12 << 10 | 1)
            root = self.word(entry) >> 10 << 12
        flags = 1 | read << 1 | write << 2 | 1 << 4 | 1 << 6 | 1 << 7
        self.word(root + (iova >> 12 & 511) * 8, physical >> 12 << 10 | flags if read else 0)

    # Queues.

    async def command(self, low, high=0):
        at = COMMANDS + 16 * self.command_tail
        self.word(at, low)
        self.word(at + 8, high)
        self.command_tail = (self.command_tail + 1) % 64
        await self.write32(H["CQT"], self.command_tail)

    async def invalidate_page(self, device, iova):
        """IOTINVAL.VMA with AV and PSCV, then IOFENCE.C with PR, PW and data, and the wait for that data."""
        value = self.rng.randrange(1, 1 << 32)
        await self.command(1 | 1 << 10 | device << 12 | 1 << 32, iova >> 12 << 10)
        await self.command(2 | 1 << 10 | 3 << 12 | value << 32, FENCE >> 2)
        for _ in range(5000):
            if self.word(FENCE) & 0xFFFF_FFFF == value:
                return
            await RisingEdge(self.dut.clock)
        raise AssertionError("IOFENCE.C does not complete")

    async def faults(self):
        """(CAUSE, DID, iotval) of the records since last time."""
        tail = await self.read32(H["FQT"])
        found = []
        while self.fault_head != tail:
            head = self.word(FAULTS + 32 * self.fault_head)
            found.append((head & 0xFFF, head >> 40, self.word(FAULTS + 32 * self.fault_head + 16)))
            self.fault_head = (self.fault_head + 1) % 128
        await self.write32(H["FQH"], self.fault_head)
        return found
