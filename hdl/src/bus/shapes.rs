//! AXI channels: as ports, and as words that travel between the blocks of this folder.

use rust_hdl::prelude::*;

/// Width of the transaction ids of `s_axi_*` and `m_axi_*`.
pub const ID_BITS: usize = 4;

/// A device's address channel: what it wants, from where, and who it is.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Ask {
    /// Transaction id.
    pub id: Bits<4>,
    /// Address within the page.
    pub off: Bits<12>,
    /// IOVA[63:12].
    pub page: Bits<52>,
    /// Beats, less one.
    pub len: Bits<8>,
    /// log2 of the bytes of a beat.
    pub size: Bits<3>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub burst: Bits<2>,
    /// Exclusive access.
    pub lock: Bit,
    /// Memory attributes.
    pub cache: Bits<4>,
    /// Bit 0 privileged, bit 2 instruction.
    pub prot: Bits<3>,
    /// Quality of service.
    pub qos: Bits<4>,
    /// MMUSID: device_id.
    pub did: Bits<24>,
    /// MMUSSID: process_id.
    pub pid: Bits<20>,
    /// MMUSSIDV: a process_id is valid.
    pub pv: Bit,
}

/// What of an [`Ask`] goes on to memory, apart from the page.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Burst {
    /// Transaction id.
    pub id: Bits<4>,
    /// Address within the page.
    pub off: Bits<12>,
    /// Beats, less one.
    pub len: Bits<8>,
    /// log2 of the bytes of a beat.
    pub size: Bits<3>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub burst: Bits<2>,
    /// Exclusive access.
    pub lock: Bit,
    /// Memory attributes.
    pub cache: Bits<4>,
    /// Bit 0 privileged, bit 2 instruction.
    pub prot: Bits<3>,
    /// Quality of service.
    pub qos: Bits<4>,
}

/// A byte address: page and offset.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Address {
    /// Bits 11:0.
    pub off: Bits<12>,
    /// Bits 63:12.
    pub page: Bits<52>,
}

impl From<Bits<64>> for Address {
    fn from(b: Bits<64>) -> Address {
        let w = u64::from(b);
        Address {
            off: (w & 0xfff).into(),
            page: (w >> 12).into(),
        }
    }
}

/// What an error answer to a read needs.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct Refusal {
    /// Transaction id.
    pub id: Bits<4>,
    /// Beats, less one.
    pub len: Bits<8>,
}

/// A beat of read data.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct ReadBeat {
    /// Transaction id.
    pub id: Bits<4>,
    /// Data.
    pub data: Bits<64>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR, 3 DECERR.
    pub resp: Bits<2>,
    /// Last of the burst.
    pub last: Bit,
}

/// A beat of write data. The length of the burst says which is the last.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct WriteBeat {
    /// Data.
    pub data: Bits<64>,
    /// Byte enables.
    pub strobe: Bits<8>,
}

/// The answer to a write.
#[derive(LogicStruct, Debug, Copy, Clone, PartialEq, Default)]
pub struct WriteAnswer {
    /// Transaction id.
    pub id: Bits<4>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR, 3 DECERR.
    pub resp: Bits<2>,
}

/// AXI4 of the devices, 64 bits wide, with the sidebands of an SMMU's client (AMBA: AxMMUSID, AxMMUSSID, AxMMUSSIDV).
#[derive(LogicInterface, Clone, Debug, Default)]
pub struct AxiDevice {
    /// Write address is offered.
    pub awvalid: Signal<In, Bit>,
    /// It is taken.
    pub awready: Signal<Out, Bit>,
    /// Transaction id.
    pub awid: Signal<In, Bits<4>>,
    /// IOVA.
    pub awaddr: Signal<In, Bits<64>>,
    /// Beats, less one.
    pub awlen: Signal<In, Bits<8>>,
    /// log2 of the bytes of a beat.
    pub awsize: Signal<In, Bits<3>>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub awburst: Signal<In, Bits<2>>,
    /// Exclusive access.
    pub awlock: Signal<In, Bit>,
    /// Memory attributes, passed on.
    pub awcache: Signal<In, Bits<4>>,
    /// Protection, passed on; bit 0 privileged.
    pub awprot: Signal<In, Bits<3>>,
    /// Quality of service, passed on.
    pub awqos: Signal<In, Bits<4>>,
    /// device_id.
    pub awmmusid: Signal<In, Bits<24>>,
    /// process_id.
    pub awmmussid: Signal<In, Bits<20>>,
    /// A process_id is valid.
    pub awmmussidv: Signal<In, Bit>,
    /// Write data is offered.
    pub wvalid: Signal<In, Bit>,
    /// It is taken.
    pub wready: Signal<Out, Bit>,
    /// Data.
    pub wdata: Signal<In, Bits<64>>,
    /// Byte enables.
    pub wstrb: Signal<In, Bits<8>>,
    /// Not looked at: the length of the burst says which beat is the last.
    pub wlast: Signal<In, Bit>,
    /// Answer to a write.
    pub bvalid: Signal<Out, Bit>,
    /// It is taken.
    pub bready: Signal<In, Bit>,
    /// Transaction id.
    pub bid: Signal<Out, Bits<4>>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR (also: refused), 3 DECERR.
    pub bresp: Signal<Out, Bits<2>>,
    /// Read address is offered.
    pub arvalid: Signal<In, Bit>,
    /// It is taken.
    pub arready: Signal<Out, Bit>,
    /// Transaction id.
    pub arid: Signal<In, Bits<4>>,
    /// IOVA.
    pub araddr: Signal<In, Bits<64>>,
    /// Beats, less one.
    pub arlen: Signal<In, Bits<8>>,
    /// log2 of the bytes of a beat.
    pub arsize: Signal<In, Bits<3>>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub arburst: Signal<In, Bits<2>>,
    /// Exclusive access.
    pub arlock: Signal<In, Bit>,
    /// Memory attributes, passed on.
    pub arcache: Signal<In, Bits<4>>,
    /// Protection, passed on; bit 0 privileged, bit 2 instruction.
    pub arprot: Signal<In, Bits<3>>,
    /// Quality of service, passed on.
    pub arqos: Signal<In, Bits<4>>,
    /// device_id.
    pub armmusid: Signal<In, Bits<24>>,
    /// process_id.
    pub armmussid: Signal<In, Bits<20>>,
    /// A process_id is valid.
    pub armmussidv: Signal<In, Bit>,
    /// Read data is offered.
    pub rvalid: Signal<Out, Bit>,
    /// It is taken.
    pub rready: Signal<In, Bit>,
    /// Transaction id.
    pub rid: Signal<Out, Bits<4>>,
    /// Data; 0 if refused.
    pub rdata: Signal<Out, Bits<64>>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR (also: refused), 3 DECERR.
    pub rresp: Signal<Out, Bits<2>>,
    /// Last of the burst.
    pub rlast: Signal<Out, Bit>,
}

/// An AXI4 master, 64 bits wide.
#[derive(LogicInterface, Clone, Debug, Default)]
pub struct AxiMaster {
    /// Write address is offered.
    pub awvalid: Signal<Out, Bit>,
    /// It is taken.
    pub awready: Signal<In, Bit>,
    /// Transaction id.
    pub awid: Signal<Out, Bits<4>>,
    /// System physical address.
    pub awaddr: Signal<Out, Bits<64>>,
    /// Beats, less one.
    pub awlen: Signal<Out, Bits<8>>,
    /// log2 of the bytes of a beat.
    pub awsize: Signal<Out, Bits<3>>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub awburst: Signal<Out, Bits<2>>,
    /// Exclusive access.
    pub awlock: Signal<Out, Bit>,
    /// Memory attributes.
    pub awcache: Signal<Out, Bits<4>>,
    /// Protection.
    pub awprot: Signal<Out, Bits<3>>,
    /// Quality of service.
    pub awqos: Signal<Out, Bits<4>>,
    /// Write data is offered.
    pub wvalid: Signal<Out, Bit>,
    /// It is taken.
    pub wready: Signal<In, Bit>,
    /// Data.
    pub wdata: Signal<Out, Bits<64>>,
    /// Byte enables.
    pub wstrb: Signal<Out, Bits<8>>,
    /// Last of the burst.
    pub wlast: Signal<Out, Bit>,
    /// Answer to a write.
    pub bvalid: Signal<In, Bit>,
    /// It is taken.
    pub bready: Signal<Out, Bit>,
    /// Transaction id.
    pub bid: Signal<In, Bits<4>>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR, 3 DECERR.
    pub bresp: Signal<In, Bits<2>>,
    /// Read address is offered.
    pub arvalid: Signal<Out, Bit>,
    /// It is taken.
    pub arready: Signal<In, Bit>,
    /// Transaction id.
    pub arid: Signal<Out, Bits<4>>,
    /// System physical address.
    pub araddr: Signal<Out, Bits<64>>,
    /// Beats, less one.
    pub arlen: Signal<Out, Bits<8>>,
    /// log2 of the bytes of a beat.
    pub arsize: Signal<Out, Bits<3>>,
    /// 0 FIXED, 1 INCR, 2 WRAP.
    pub arburst: Signal<Out, Bits<2>>,
    /// Exclusive access.
    pub arlock: Signal<Out, Bit>,
    /// Memory attributes.
    pub arcache: Signal<Out, Bits<4>>,
    /// Protection.
    pub arprot: Signal<Out, Bits<3>>,
    /// Quality of service.
    pub arqos: Signal<Out, Bits<4>>,
    /// Read data is offered.
    pub rvalid: Signal<In, Bit>,
    /// It is taken.
    pub rready: Signal<Out, Bit>,
    /// Transaction id.
    pub rid: Signal<In, Bits<4>>,
    /// Data.
    pub rdata: Signal<In, Bits<64>>,
    /// 0 OKAY, 1 EXOKAY, 2 SLVERR, 3 DECERR.
    pub rresp: Signal<In, Bits<2>>,
    /// Last of the burst.
    pub rlast: Signal<In, Bit>,
}

/// AXI4-Lite of the registers, `D` data bits and `B` = `D` / 8 byte enables.
#[derive(LogicInterface, Clone, Debug, Default)]
pub struct AxiLite<const D: usize, const B: usize> {
    /// Write address is offered.
    pub awvalid: Signal<In, Bit>,
    /// It is taken.
    pub awready: Signal<Out, Bit>,
    /// Byte address in the register page.
    pub awaddr: Signal<In, Bits<12>>,
    /// Write data is offered.
    pub wvalid: Signal<In, Bit>,
    /// It is taken.
    pub wready: Signal<Out, Bit>,
    /// Data.
    pub wdata: Signal<In, Bits<D>>,
    /// Byte enables.
    pub wstrb: Signal<In, Bits<B>>,
    /// Answer to a write.
    pub bvalid: Signal<Out, Bit>,
    /// It is taken.
    pub bready: Signal<In, Bit>,
    /// Always 0, OKAY.
    pub bresp: Signal<Out, Bits<2>>,
    /// Read address is offered.
    pub arvalid: Signal<In, Bit>,
    /// It is taken.
    pub arready: Signal<Out, Bit>,
    /// Byte address in the register page.
    pub araddr: Signal<In, Bits<12>>,
    /// Read data is offered.
    pub rvalid: Signal<Out, Bit>,
    /// It is taken.
    pub rready: Signal<In, Bit>,
    /// Data.
    pub rdata: Signal<Out, Bits<D>>,
    /// Always 0, OKAY.
    pub rresp: Signal<Out, Bits<2>>,
}
