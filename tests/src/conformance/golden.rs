//! The golden model as something to test.

use portcullis_sim::backend::model::Golden;
use portcullis_sim::core::{MemStatus, Purpose, Request, Response};
use portcullis_sim::memory::FaultOn;

use super::Dut;

impl Dut for Golden {
    fn reset(&mut self) {
        Golden::reset(self);
    }
    fn reg_read(&mut self, offset: u16, wide: bool) -> u64 {
        Golden::reg_read(self, offset, wide)
    }
    fn reg_write(&mut self, offset: u16, wide: bool, data: u64) {
        Golden::reg_write(self, offset, wide, data);
    }
    fn mem_read(&self, addr: u64, out: &mut [u8]) {
        Golden::mem_read(self, addr, out);
    }
    fn mem_write(&mut self, addr: u64, data: &[u8]) {
        Golden::mem_write(self, addr, data);
    }
    fn mem_fault(&mut self, addr: u64, len: u64, on: FaultOn, status: MemStatus) {
        Golden::mem_fault(self, addr, len, on, status);
    }
    fn translate(&mut self, requests: &[Request]) -> Vec<Response> {
        requests
            .iter()
            .map(|r| Golden::translate(self, r))
            .collect()
    }
    fn step(&mut self, cycles: u64) {
        Golden::step(self, cycles);
    }
    fn settle(&mut self) {
        self.work();
    }
    fn irq(&self) -> u32 {
        Golden::irq(self)
    }
    fn reads(&self, purpose: Purpose) -> u64 {
        Golden::reads(self, purpose)
    }
    fn writes(&self, purpose: Purpose) -> u64 {
        Golden::writes(self, purpose)
    }
}
