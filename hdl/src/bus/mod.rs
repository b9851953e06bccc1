//! Wrappers that give the core the buses of a system: nothing here knows what a translation is.
//!
//! | port | file | what it is |
//! |---|---|---|
//! | `s_axi_*`, `m_axi_*` | [`translate`] ([`reads`], [`writes`]) | AXI4 of the devices, and the same bursts with physical addresses |
//! | `m_axi_ptw_*` | [`ptw`] | AXI4 master for walks, queues and interrupt messages |
//! | `s_axil_*` | [`axil32`], [`axil64`] | AXI4-Lite for the registers |
//! | `s_wb_*` | [`wishbone`] | Wishbone for the registers |
//!
//! Of `s_axi_*` and `m_axi_*`, every output comes from registers: no combinational path leads through the wrapper.
//! `m_axi_ptw_*` passes the core's memory port as it is.
//! [`TinyAxi`] and [`LinuxAxi`] are the configurations with all of it.

pub mod axil32;
pub mod axil64;
pub mod burst_check;
pub mod linux_axi;
pub mod pick;
pub mod ptw;
pub mod reads;
pub mod shapes;
pub mod slots;
pub mod tiny_axi;
pub mod translate;
pub mod wishbone;
pub mod writes;

pub use linux_axi::LinuxAxi;
pub use tiny_axi::TinyAxi;
