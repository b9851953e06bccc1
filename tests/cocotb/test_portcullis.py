"""Somebody else's bus models against the generated Verilog."""

import random

import cocotb
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiResp

from bench import CONFIG, DATA, H, OPERATIONS, PAGE, SEED, Bench

DEVICES = (1, 2, 3, 4)
PAGES = 6
IOVA = 0x4000_0000


async def ready(dut, seed, waiting=True):
    print(f"seed {seed}")
    bench = Bench(dut, seed)
    if waiting:
        bench.pause_everywhere()
    await bench.reset()
    return bench


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def after_reset_nothing_passes(dut):
    """Given no directory (ddtp Off), then every access of a device is refused and memory sees none."""
    bench = await ready(dut, SEED)
    before = bench.memory.read(0x5000, 64)
    read = await bench.device.read(0x5000, 64, user=3)
    written = await bench.device.write(0x5000, bytes(range(64)), user=3)
    assert read.resp == AxiResp.SLVERR and read.data == bytes(64)
    assert written.resp == AxiResp.SLVERR
    assert bench.memory.read(0x5000, 64) == before


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def registers_read_and_write(dut):
    """Given the registers, then capabilities is the configuration's and writable fields keep what they are given."""
    bench = await ready(dut, SEED)
    assert await bench.read64(H["CAPABILITIES"]) == H[f"{CONFIG.upper()}_CAPABILITIES"]
    for _ in range(40):
        base = bench.rng.randrange(1 << 20)
        await bench.write64(H["CQB"], base << 10 | 5)
        assert await bench.read64(H["CQB"]) == base << 10 | 5
        await bench.write32(H["CQT"], 63)
        assert await bench.read32(H["CQT"]) == 63
        assert await bench.read32(H["CQH"]) == 0
        await bench.write32(H["CQT"], 0)
        # A write of one byte touches nothing (REG-04).
        await bench.registers.write(H["CQT"], b"\x07")
        assert await bench.read32(H["CQT"]) == 0


class Device:
    """A device with pages of its own, some of them read-only or absent, and a copy of what they must hold."""

    def __init__(self, bench, number):
        self.bench, self.number = bench, number
        self.rng = random.Random(f"{SEED} {number}")
        self.root = bench.attach(number)
        self.pages = []
        self.refused = set()
        for page in range(PAGES):
            physical = DATA + (number * 64 + self.rng.randrange(8) * 8 + page) * PAGE
            read = page == 0 or self.rng.random() < 0.8
            write = read and (page == 0 or self.rng.random() < 0.7)
            bench.map(self.root, IOVA + page * PAGE, physical, read, write)
            content = self.rng.randbytes(PAGE)
            bench.memory.write(physical, content)
            self.pages.append([physical, read, write, bytearray(content)])

    async def operate(self):
        """One burst of any size, length and alignment within a page."""
        rng, index = self.rng, self.rng.randrange(PAGES)
        physical, read, write, content = self.pages[index]
        size = rng.randrange(4)
        offset = rng.randrange(PAGE)
        most = min(PAGE - offset, (256 << size) - offset % (1 << size))
        length = rng.choice((1, rng.randrange(1, 9), rng.randrange(1, 129), most))
        length = min(length, most)
        address = IOVA + index * PAGE + offset
        kind = {"size": size, "user": self.number}
        if rng.random() < 0.5:
            answer = await self.bench.device.read(address, length, arid=self.number, **kind)
            want = content[offset : offset + length] if read else bytes(length)
            assert answer.resp == (AxiResp.OKAY if read else AxiResp.SLVERR), f"read of {address:#x}"
            assert answer.data == want, f"read of {address:#x}"
            if not read:
                self.refused.add((13, self.number, address >> 12))
        else:
            data = rng.randbytes(length)
            answer = await self.bench.device.write(address, data, awid=self.number, **kind)
            assert answer.resp == (AxiResp.OKAY if write else AxiResp.SLVERR), f"write of {address:#x}"
            if write:
                content[offset : offset + length] = data
            else:
                self.refused.add((15, self.number, address >> 12))
        assert self.bench.memory.read(physical, PAGE) == content, f"after {address:#x}"

    async def run(self, operations):
        for _ in range(operations):
            await self.operate()


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def bursts_of_all_shapes(dut):
    """Given four devices at the same time, then each reaches its own pages as permitted, and refusals are recorded."""
    bench = await ready(dut, SEED)
    devices = [Device(bench, number) for number in DEVICES]
    await bench.start()
    tasks = [cocotb.start_soon(device.run(OPERATIONS)) for device in devices]
    for task in tasks:
        await task
    for device in devices:
        for physical, _, _, content in device.pages:
            assert bench.memory.read(physical, PAGE) == content
    recorded = {(cause, did, iova >> 12) for cause, did, iova in await bench.faults()}
    refused = set().union(*[device.refused for device in devices])
    assert recorded == refused
    assert refused, "no access was refused: the test has lost its point"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def long_transfers_cross_pages(dut):
    """Given a transfer over all pages of a device, then every page goes through its own translation."""
    bench = await ready(dut, SEED + 1, waiting=False)
    device = Device(bench, 2)
    for index in range(PAGES):
        physical = DATA + (512 + bench.rng.randrange(8) * 8 + index) * PAGE
        device.pages[index][0] = physical
        bench.map(device.root, IOVA + index * PAGE, physical, True, True)
    await bench.start()
    data = bench.rng.randbytes(PAGES * PAGE - 100)
    answer = await bench.device.write(IOVA + 37, data, awid=1, user=2)
    assert answer.resp == AxiResp.OKAY
    answer = await bench.device.read(IOVA + 37, len(data), arid=2, user=2)
    assert answer.resp == AxiResp.OKAY and answer.data == data
    whole = b"".join(bench.memory.read(page[0], PAGE) for page in device.pages)
    assert whole[37 : 37 + len(data)] == data


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def an_unmapped_page_is_not_reached_after_the_fence(dut):
    """Given a device that writes on, when its page moves and IOFENCE.C has passed, then the old page stays as it is."""
    bench = await ready(dut, SEED + 2)
    root = bench.attach(5)
    old, new = DATA, DATA + PAGE
    bench.map(root, IOVA, old, True, True)
    await bench.start()
    stop = False

    async def hammer(name):
        rng = random.Random(f"{SEED} hammer {name}")
        while not stop:
            await bench.device.write(IOVA + 8 * rng.randrange(500), rng.randbytes(8 * 8), awid=name, user=5)

    writers = [cocotb.start_soon(hammer(name)) for name in (1, 2, 3)]
    for _ in range(5):
        bench.map(root, IOVA, new, True, True)
        await with_timeout(bench.invalidate_page(5, IOVA), 5, "ms")
        bench.memory.write(old, bytes(PAGE))
        await bench.read32(H["CQH"])
        for _ in range(20):
            await bench.read32(H["IPSR"])
        assert bench.memory.read(old, PAGE) == bytes(PAGE), "a write reached the page after the fence"
        assert bench.memory.read(new, PAGE) != bytes(PAGE)
        old, new = new, old
    stop = True
    for writer in writers:
        await writer
