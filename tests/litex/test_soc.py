"""The SoC's host programs the IOMMU over the SoC's bus, and devices reach what it lets them reach."""

import json
import os
import random
import re
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

CONFIG = os.environ["PORTCULLIS_CONFIG"]
SEED = int(os.environ["PORTCULLIS_SEED"])
FACTS = json.loads(Path(os.environ["PORTCULLIS_FACTS"]).read_text())
HEADER = Path(os.environ["PORTCULLIS_HEADER"]).read_text()
H = {
    name: int(value, 0)
    for name, value in re.findall(r"#define PORTCULLIS_(\w+) +(?:UINT64_C\()?(0x[0-9a-fA-F]+|\d+)", HEADER)
}
DEVICES = {"narrow": 0x10, "wide": 0x11, "burst": 0x12, "tagged": 0x13}
PROCESS_ID = 0xABCDE
FAULT_WIRE = 2

PAGE = 4096
RAM = FACTS["ram"]
DDT, COMMANDS, FAULTS, TABLES, DATA = (RAM + n * PAGE for n in (0, 1, 2, 3, 16))
IOVA = 0x4000_0000
READ_FAULT, WRITE_FAULT, DISALLOWED = 13, 15, 260


class Wishbone:
    """A master on pins; `unit` is the number of bytes that its address counts."""

    def __init__(self, dut, name, unit):
        self.clock, self.unit = dut.clock, unit
        self.pin = {p: getattr(dut, f"{name}_{p}") for p in ("adr", "dat_w", "dat_r", "sel", "cyc", "stb", "we", "ack", "err")}
        self.bytes = len(self.pin["sel"])
        for p in ("adr", "dat_w", "sel", "cyc", "stb", "we"):
            self.pin[p].value = 0

    async def access(self, address, write=None, sel=None):
        """One bus word: what is read, and whether it was refused."""
        pin = self.pin
        pin["adr"].value = address // self.bytes * self.bytes // self.unit
        pin["sel"].value = (1 << self.bytes) - 1 if sel is None else sel
        pin["we"].value = write is not None
        pin["dat_w"].value = write or 0
        pin["cyc"].value = pin["stb"].value = 1
        for _ in range(3000):
            await RisingEdge(self.clock)
            if pin["ack"].value == 1:
                break
        else:
            raise AssertionError(f"no answer to an access of {address:#x}")
        data, error = int(pin["dat_r"].value), pin["err"].value == 1
        pin["cyc"].value = pin["stb"].value = 0
        await RisingEdge(self.clock)
        return data, error


class Soc:
    def __init__(self, dut):
        self.dut = dut
        self.rng = random.Random(SEED)
        cocotb.start_soon(Clock(dut.clock, 10, "ns").start())
        dut.reset.value = 1
        self.host = Wishbone(dut, "host", 4)
        self.narrow = Wishbone(dut, "narrow", 4)
        self.wide = Wishbone(dut, "wide", 1)
        self.tagged = Wishbone(dut, "tagged", 4)
        self.burst = AxiMaster(AxiBus.from_prefix(dut, "burst"), dut.clock, dut.reset)
        self.next_table = TABLES
        self.fault_head = 0

    async def reset(self):
        await ClockCycles(self.dut.clock, 5)
        self.dut.reset.value = 0
        await RisingEdge(self.dut.clock)

    async def read32(self, address):
        data, error = await self.host.access(address)
        assert not error, f"{address:#x}"
        return data

    async def write32(self, address, value):
        _, error = await self.host.access(address, value)
        assert not error, f"{address:#x}"

    async def read64(self, address):
        return await self.read32(address) | await self.read32(address + 4) << 32

    async def write64(self, address, value):
        """The high half first, as the specification wants it of registers."""
        await self.write32(address + 4, value >> 32)
        await self.write32(address, value & 0xFFFF_FFFF)

    def register(self, name):
        return FACTS["registers"] + H[name]

    async def until(self, name, mask, value):
        for _ in range(200):
            if await self.read32(self.register(name)) & mask == value:
                return
        raise AssertionError(f"{name} never becomes {value:#x} in {mask:#x}")

    async def start(self):
        """Interrupts on wires, the fault queue's on its own, then the directory."""
        await self.write32(self.register("FCTL"), 2)
        await self.write64(self.register("ICVEC"), FAULT_WIRE << 4)
        await self.write64(self.register("FQB"), FAULTS >> 12 << 10 | 6)
        await self.write32(self.register("FQCSR"), 3)
        await self.until("FQCSR", 1 << 16, 1 << 16)
        await self.write64(self.register("DDTP"), DDT >> 12 << 10 | 2)
        await self.until("DDTP", 0x1F, 2)

    async def table(self):
        # Of an earlier test's tables nothing may be left: reset does not clear memory.
        for offset in (0, 8, 16, 24, (IOVA >> 30 & 511) * 8):
            await self.write64(self.next_table + offset, 0)
        self.next_table += PAGE
        return self.next_table - PAGE

    async def attach(self, device, pages):
        """A device context with page tables of its own, which map `pages` from IOVA on."""
        root, middle, leaf = [await self.table() for _ in range(3)]
        for i, word in enumerate((1, 0, device << 12, 8 << 60 | root >> 12)):
            await self.write64(DDT + 32 * device + 8 * i, word)
        await self.write64(root + (IOVA >> 30 & 511) * 8, middle >> 12 << 10 | 1)
        await self.write64(middle, leaf >> 12 << 10 | 1)
        for n, physical in enumerate(pages):
            await self.write64(leaf + 8 * n, physical >> 12 << 10 | 0xD7)

    async def faults(self, tail=0):
        """(CAUSE, PID, PV, DID, iotval) of the records up to `tail`, which the IOMMU's is to become."""
        await self.until("FQT", 0x7F, tail)
        found = []
        while self.fault_head != tail:
            at = FAULTS + 32 * self.fault_head
            head, iotval = await self.read64(at), await self.read64(at + 16)
            found.append((head & 0xFFF, head >> 12 & 0xFFFFF, head >> 32 & 1, head >> 40, iotval))
            self.fault_head = (self.fault_head + 1) % 128
        await self.write32(self.register("FQH"), self.fault_head)
        return found


async def ready(dut):
    soc = Soc(dut)
    await soc.reset()
    return soc


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def registers_through_the_bus(dut):
    """Given the SoC's bus, then capabilities is the configuration's, and writable fields keep what they are given."""
    soc = await ready(dut)
    assert await soc.read64(soc.register("CAPABILITIES")) == H[f"{CONFIG.upper()}_CAPABILITIES"]
    for _ in range(8):
        base = soc.rng.randrange(1 << 20)
        await soc.write64(soc.register("CQB"), base << 10 | 5)
        await soc.write64(soc.register("FQB"), (base ^ 1) << 10 | 6)
        assert await soc.read64(soc.register("CQB")) == base << 10 | 5
        assert await soc.read64(soc.register("FQB")) == (base ^ 1) << 10 | 6


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def without_a_directory_nobody_reaches_memory(dut):
    """Given ddtp Off, then every device is refused and memory keeps what it has."""
    soc = await ready(dut)
    await soc.write64(DATA, 0x0123_4567_89AB_CDEF)
    for master in (soc.narrow, soc.wide, soc.tagged):
        assert await master.access(DATA) == (0, True)
        assert (await master.access(DATA, 0x5555))[1]
    answer = await soc.burst.write(DATA, bytes(16))
    assert answer.resp == AxiResp.SLVERR
    assert await soc.read64(DATA) == 0x0123_4567_89AB_CDEF


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def each_device_reaches_its_own_page(dut):
    """Given a page for each device, then the others are refused there, and recorded with device_id and process_id."""
    soc = await ready(dut)
    pages = {name: DATA + n * PAGE for n, name in enumerate(DEVICES)}
    for name, physical in pages.items():
        await soc.attach(DEVICES[name], [physical])
        await soc.write64(physical, DEVICES[name] << 32 | 0xFEED)
    await soc.start()
    await soc.write32(FACTS["csr"]["ev_enable"], 0xF)

    assert await soc.narrow.access(IOVA + 4) == (DEVICES["narrow"], False)
    assert await soc.narrow.access(IOVA) == (0xFEED, False)
    assert not (await soc.narrow.access(IOVA + 12, 0x1122_3344, sel=0b0110))[1]
    assert await soc.read64(pages["narrow"] + 8) == 0x0022_3300 << 32
    assert await soc.wide.access(IOVA) == (DEVICES["wide"] << 32 | 0xFEED, False)
    assert not (await soc.wide.access(IOVA + 16, 0x8877_6655_4433_2211, sel=0xF0))[1]
    assert await soc.read64(pages["wide"] + 16) == 0x8877_6655 << 32
    answer = await soc.burst.read(IOVA, 8)
    assert answer.data == (DEVICES["burst"] << 32 | 0xFEED).to_bytes(8, "little")
    assert await soc.faults() == [] and dut.interrupt.value == 0

    # What carries a process_id needs a process context, of which there is none.
    assert await soc.tagged.access(IOVA) == (0, True)
    assert await soc.narrow.access(IOVA + PAGE) == (0, True)
    assert (await soc.wide.access(IOVA + PAGE + 8, 1))[1]
    assert (await soc.burst.write(IOVA + PAGE, bytes(64))).resp == AxiResp.SLVERR
    await soc.until("FQT", 0x7F, 4)
    assert dut.interrupt.value == 1
    # Not every configuration lets software choose.
    wire = await soc.read64(soc.register("ICVEC")) >> 4 & 0xF
    assert wire in (0, FAULT_WIRE)
    assert await soc.read32(FACTS["csr"]["ev_pending"]) == 1 << wire
    assert await soc.faults(4) == [
        (DISALLOWED, PROCESS_ID, 1, DEVICES["tagged"], IOVA),
        (READ_FAULT, 0, 0, DEVICES["narrow"], IOVA + PAGE),
        (WRITE_FAULT, 0, 0, DEVICES["wide"], IOVA + PAGE + 8),
        (WRITE_FAULT, 0, 0, DEVICES["burst"], IOVA + PAGE),
    ]
    await soc.write32(soc.register("IPSR"), 2)
    assert await soc.read32(FACTS["csr"]["ev_pending"]) == 0 and dut.interrupt.value == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def bursts_of_all_shapes_arrive(dut):
    """Given two pages, then bursts of every size, length and alignment write and read exactly their bytes."""
    soc = await ready(dut)
    pages = [DATA + 7 * PAGE, DATA + 4 * PAGE]
    await soc.attach(DEVICES["burst"], pages)
    for physical in pages:
        for offset in range(0, 512, 4):
            await soc.write32(physical + offset, 0)
    await soc.start()
    shadow = [bytearray(512), bytearray(512)]
    for _ in range(60):
        page, size = soc.rng.randrange(2), soc.rng.randrange(4)
        offset = soc.rng.randrange(512)
        length = min(soc.rng.choice((1, 8, 60, 300)), 512 - offset)
        address = IOVA + page * PAGE + offset
        if soc.rng.random() < 0.5:
            answer = await soc.burst.read(address, length, size=size)
            assert answer.data == shadow[page][offset : offset + length], f"{address:#x}, {length} bytes, size {size}"
        else:
            data = soc.rng.randbytes(length)
            answer = await soc.burst.write(address, data, size=size)
            shadow[page][offset : offset + length] = data
        assert answer.resp == AxiResp.OKAY
    for page, physical in enumerate(pages):
        for offset in range(0, 512, 4):
            want = int.from_bytes(shadow[page][offset : offset + 4], "little")
            assert await soc.read32(physical + offset) == want, f"{physical + offset:#x}"
    assert await soc.faults() == []


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def addresses_that_the_bus_does_not_have_reach_nothing(dut):
    """Given a page and a page table above the SoC's address space, then they do not wrap around into its memory."""
    soc = await ready(dut)
    above = 1 << FACTS["address_width"]
    await soc.attach(DEVICES["burst"], [DATA, DATA | above])
    await soc.attach(DEVICES["narrow"], [DATA])
    await soc.write64(DATA, 0x0123_4567_89AB_CDEF)
    # The root of the narrow device's tables, moved above.
    fsc = DDT + 32 * DEVICES["narrow"] + 24
    await soc.write64(fsc, await soc.read64(fsc) | above >> 12)
    await soc.start()
    assert (await soc.burst.read(IOVA, 8)).data == (0x0123_4567_89AB_CDEF).to_bytes(8, "little")
    answer = await soc.burst.read(IOVA + PAGE, 16)
    assert answer.resp == AxiResp.DECERR and answer.data == bytes(16)
    assert (await soc.burst.write(IOVA + PAGE, bytes(16))).resp == AxiResp.DECERR
    assert await soc.read64(DATA) == 0x0123_4567_89AB_CDEF
    assert await soc.narrow.access(IOVA) == (0, True)
    assert [fault[:1] for fault in await soc.faults(1)] == [(5,)]
