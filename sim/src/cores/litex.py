"""The IOMMU as a LiteX module.

    soc.iommu = PortcullisIOMMU(soc.platform)
    soc.iommu.attach(soc)                  # registers, walks, devices' accesses on the SoC's bus; interrupt
    soc.iommu.add_device(0x10, dma.bus)    # instead of soc.bus.add_master: an AXI or Wishbone master, and its device_id

The Verilog file lies beside this one. What is attached to the SoC's bus makes one access at a time. A memory controller with an
AXI port of its own can have `m_axi` or `m_axi_ptw` (64 bits of address and data, ids, several accesses on their way)
as they are: `attach(soc, m_axi=False)` leaves the first alone, `ptw=False` the second.

Addresses that the SoC's bus cannot express are answered DECERR: they never wrap around into its memory. LiteX answers an
access where nothing is with ones instead of an error, after its bus's timeout.
"""

import os

from migen import Cat, ClockSignal, FSM, If, Instance, NextState, NextValue, Replicate, ResetSignal, Signal

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel

# (configuration)

_WIDTHS = {name: width for _, width, name in PORTS}
_DATA = 64
_ADDRESS = 64


class PortcullisIOMMU(LiteXModule):
    """Interfaces: `s_axi` (devices; `user` of ar and aw: device_id in bits 23:0, process_id in 43:24, its valid in 44),
    `m_axi` (their accesses, translated), `m_axi_ptw` (walks, queues, messages), `s_axil` (registers), `irq`."""

    device_bits = _WIDTHS["s_axi_armmusid"]
    process_bits = _WIDTHS["s_axi_armmussid"]

    def __init__(self, platform):
        ids = _WIDTHS["s_axi_arid"]
        user = self.device_bits + self.process_bits + _WIDTHS["s_axi_armmussidv"]
        full = dict(data_width=_DATA, address_width=_ADDRESS, id_width=ids)
        self.s_axi = axi.AXIInterface(**full, ar_user_width=user, aw_user_width=user)
        self.m_axi = axi.AXIInterface(**full)
        self.m_axi_ptw = axi.AXIInterface(**full)
        self.s_axil = axi.AXILiteInterface(data_width=_WIDTHS["s_axil_wdata"], address_width=_WIDTHS["s_axil_araddr"])
        self.irq = Signal(_WIDTHS["irq"])
        self._devices = []

        self.ev = EventManager()
        for wire in range(len(self.irq)):
            source = EventSourceLevel(name=f"wire{wire}", description=f"Interrupt wire {wire} of the IOMMU.")
            setattr(self.ev, f"wire{wire}", source)
            self.comb += source.trigger.eq(self.irq[wire])
        self.ev.finalize()

        pins = {}
        for direction, width, name in PORTS:
            signal = self._signal(name)
            if len(signal) != width:
                raise ValueError(f"{name}: {width} bits in the Verilog, {len(signal)} here")
            pins[f"{'i' if direction == 'input' else 'o'}_{name}"] = signal
        self.core = Instance(MODULE, **pins)
        platform.add_source(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{MODULE}.v"))

    def _signal(self, name):
        """What the port `name` of the Verilog is connected to."""
        if name == "clock":
            return ClockSignal()
        if name == "reset":
            return ResetSignal()
        if name == "irq":
            return self.irq
        bus, pin = name.rsplit("_", 1)
        channel, field = (pin[:2], pin[2:]) if pin[:2] in ("ar", "aw") else (pin[:1], pin[1:])
        channel = getattr(getattr(self, bus), channel)
        process = self.device_bits + self.process_bits
        sidebands = {
            "mmusid": lambda: channel.user[: self.device_bits],
            "mmussid": lambda: channel.user[self.device_bits : process],
            "mmussidv": lambda: channel.user[process],
        }
        return sidebands[field]() if field in sidebands else getattr(channel, field)

    def attach(self, soc, name="iommu", origin=None, m_axi=True, ptw=True):
        """Registers at `origin` (LiteX chooses without), the masters, and the interrupt if the SoC has any."""
        width = soc.bus.address_width
        registers = axi.AXILiteInterface(data_width=self.s_axil.data_width, address_width=width)
        self.comb += registers.connect(self.s_axil)
        region = SoCRegion(origin=origin, size=2**self.s_axil.address_width, cached=False)
        soc.bus.add_slave(name, registers, region)
        for wanted, master, port in ((m_axi, name, self.m_axi), (ptw, f"{name}_ptw", self.m_axi_ptw)):
            if wanted:
                bridge = _ToSystem(port, min(_DATA, soc.bus.data_width), width)
                self.submodules += bridge
                soc.bus.add_master(master, bridge.bus)
        if soc.irq.enabled:
            soc.irq.add(name, use_loc_if_exists=True)

    def add_device(self, device_id, bus, process_id=None):
        """A master behind the IOMMU: an AXI interface of 64 data bits, or a Wishbone interface of 32 or 64."""
        if not 0 <= device_id < 1 << self.device_bits:
            raise ValueError(f"device_id {device_id:#x} does not fit in {self.device_bits} bits")
        if process_id is not None and not 0 <= process_id < 1 << self.process_bits:
            raise ValueError(f"process_id {process_id:#x} does not fit in {self.process_bits} bits")
        if isinstance(bus, wishbone.Interface):
            bridge = _FromWishbone(bus, self.s_axi.id_width)
            self.submodules += bridge
            bus = bridge.axi
        elif not isinstance(bus, axi.AXIInterface) or bus.version != "axi4":
            raise ValueError("a device is an AXI4 or a Wishbone master")
        elif bus.data_width != _DATA or bus.id_width > self.s_axi.id_width or bus.address_width > _ADDRESS:
            raise ValueError(f"an AXI master needs {_DATA} data bits and at most {self.s_axi.id_width} id bits")
        device = axi.AXIInterface(
            data_width=_DATA,
            address_width=_ADDRESS,
            id_width=self.s_axi.id_width,
            ar_user_width=self.s_axi.ar.user_width,
            aw_user_width=self.s_axi.aw.user_width,
        )
        self.comb += bus.connect(device, omit={"user", "dest"})
        valid = process_id is not None
        user = device_id | (process_id or 0) << self.device_bits | valid << self.device_bits + self.process_bits
        self.comb += [device.ar.user.eq(user), device.aw.user.eq(user)]
        self._devices.append(device)

    def do_finalize(self):
        if len(self._devices) == 1:
            self.comb += self._devices[0].connect(self.s_axi)
        elif self._devices:
            self.arbiter = axi.AXIArbiter(self._devices, self.s_axi)


class _ToSystem(LiteXModule):
    """AXI4 to Wishbone, one burst after the other, beat by beat.

    LiteX's own bridges drop errors, take every beat for a full one, and cut off the bits of an address that the bus does not
    have. `cyc` stays over both halves of a doubleword, the low one first, so that a shared Wishbone shows them together.
    """

    def __init__(self, port, data_width, address_width):
        self.bus = bus = wishbone.Interface(data_width=data_width, address_width=address_width)
        words = _DATA // data_width
        shift = (data_width // 8 - 1).bit_length()
        burst = axi.AXIStreamInterface(layout=axi.ax_description(_ADDRESS), id_width=port.id_width)
        beat = axi.AXIStreamInterface(layout=axi.ax_description(_ADDRESS), id_width=port.id_width)
        self.beats = axi.AXIBurst2Beat(burst, beat)

        writing = Signal()
        word = Signal(max=max(words, 2))
        data = Signal(_DATA)
        resp = Signal(2)
        outside = Signal()
        narrow = Signal()
        last_word = word == words - 1
        fields = [name for name, _ in axi.ax_description(_ADDRESS)] + ["id"]

        def take(channel):
            return [channel.ready.eq(1)] + [NextValue(getattr(burst, f), getattr(channel, f)) for f in fields]

        # Bursts do not cross 4 KiB: where the first beat lies, they all do.
        if address_width < _ADDRESS:
            self.comb += outside.eq(burst.addr[address_width:] != 0)
        selected = Signal(data_width // 8)
        for n in range(words):
            part, lanes = slice(n * data_width, (n + 1) * data_width), slice(n * data_width // 8, (n + 1) * data_width // 8)
            self.comb += If(word == n, selected.eq(port.w.strb[lanes]), bus.dat_w.eq(port.w.data[part]))
        if words == 1:
            self.comb += bus.adr.eq(beat.addr[shift:])
        else:
            self.comb += bus.adr.eq(Cat(word, beat.addr[3:address_width]))
            self.comb += narrow.eq((burst.size != 3) & (beat.addr[2] != word))

        step = If(last_word, NextValue(word, 0)).Else(NextValue(word, word + 1))
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            NextValue(resp, axi.RESP_OKAY),
            NextValue(word, 0),
            # The direction that went last gives way.
            If(
                port.aw.valid & ~(port.ar.valid & writing),
                take(port.aw),
                NextValue(writing, 1),
                NextState("WRITE"),
            ).Elif(
                port.ar.valid,
                take(port.ar),
                NextValue(writing, 0),
                NextState("READ"),
            ),
        )
        self.comb += burst.valid.eq(~fsm.ongoing("IDLE"))
        fsm.act(
            "READ",
            If(
                outside,
                NextValue(resp, axi.RESP_DECERR),
                NextValue(data, 0),
                NextState("READ-ANSWER"),
            ).Else(
                bus.cyc.eq(1),
                bus.stb.eq(~narrow),
                bus.sel.eq(2 ** len(bus.sel) - 1),
                If(
                    bus.ack | bus.err | narrow,
                    [
                        If(word == n, NextValue(data[n * data_width : (n + 1) * data_width], bus.dat_r))
                        for n in range(words)
                    ],
                    If(bus.err & ~narrow, NextValue(resp, axi.RESP_SLVERR)),
                    step,
                    If(last_word, NextState("READ-ANSWER")),
                ),
            ),
        )
        fsm.act(
            "READ-ANSWER",
            port.r.valid.eq(1),
            port.r.data.eq(data & Replicate(resp == axi.RESP_OKAY, _DATA)),
            port.r.resp.eq(resp),
            port.r.id.eq(beat.id),
            port.r.last.eq(beat.last),
            If(
                port.r.ready,
                beat.ready.eq(1),
                NextValue(resp, axi.RESP_OKAY),
                If(beat.last, NextState("IDLE")).Else(NextState("READ")),
            ),
        )
        fsm.act(
            "WRITE",
            bus.we.eq(1),
            bus.sel.eq(selected),
            bus.cyc.eq(port.w.valid & ~outside),
            bus.stb.eq(port.w.valid & ~outside & (selected != 0)),
            If(
                port.w.valid & (outside | bus.ack | bus.err | (selected == 0)),
                If(outside, NextValue(resp, axi.RESP_DECERR)),
                If((bus.err & bus.stb), NextValue(resp, axi.RESP_SLVERR)),
                step,
                If(
                    last_word,
                    port.w.ready.eq(1),
                    beat.ready.eq(1),
                    If(beat.last, NextState("WRITE-ANSWER")),
                ),
            ),
        )
        fsm.act(
            "WRITE-ANSWER",
            port.b.valid.eq(1),
            port.b.resp.eq(resp),
            port.b.id.eq(burst.id),
            If(port.b.ready, NextState("IDLE")),
        )


class _FromWishbone(LiteXModule):
    """Wishbone to AXI4 of 64 data bits: an access is a burst of one beat. A refused one ends with `ack` and `err`."""

    def __init__(self, bus, id_width):
        if bus.data_width not in (32, _DATA):
            raise ValueError(f"a Wishbone master of {bus.data_width} data bits needs a converter in front of the IOMMU")
        self.axi = port = axi.AXIInterface(data_width=_DATA, address_width=_ADDRESS, id_width=id_width)
        size = (bus.data_width // 8 - 1).bit_length()
        address = bus.adr if bus.addressing == "byte" else Cat(Replicate(0, size), bus.adr)
        byte = Signal(_ADDRESS)
        high = Signal()
        asked, sent = Signal(), Signal()
        self.comb += byte.eq(address)
        if bus.data_width < _DATA:
            self.comb += high.eq(byte[2])
        for channel in (port.ar, port.aw):
            self.comb += [channel.addr.eq(byte), channel.size.eq(size), channel.burst.eq(axi.BURST_INCR)]
        copies = _DATA // bus.data_width
        self.comb += [
            port.w.data.eq(Replicate(bus.dat_w, copies)),
            port.w.strb.eq(bus.sel << Cat(Replicate(0, 2), high)),
            port.w.last.eq(1),
            bus.dat_r.eq(port.r.data >> Cat(Replicate(0, 5), high)),
        ]
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act(
            "IDLE",
            NextValue(asked, 0),
            NextValue(sent, 0),
            If(bus.cyc & bus.stb, If(bus.we, NextState("WRITE")).Else(NextState("READ"))),
        )
        fsm.act(
            "READ",
            port.ar.valid.eq(~asked),
            If(port.ar.valid & port.ar.ready, NextValue(asked, 1)),
            port.r.ready.eq(1),
            If(port.r.valid, bus.ack.eq(1), bus.err.eq(port.r.resp[1]), NextState("IDLE")),
        )
        fsm.act(
            "WRITE",
            port.aw.valid.eq(~asked),
            port.w.valid.eq(~sent),
            If(port.aw.valid & port.aw.ready, NextValue(asked, 1)),
            If(port.w.valid & port.w.ready, NextValue(sent, 1)),
            port.b.ready.eq(1),
            If(port.b.valid, bus.ack.eq(1), bus.err.eq(port.b.resp[1]), NextState("IDLE")),
        )
