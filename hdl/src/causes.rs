//! The causes of what can be wrong with a page: which of three it is depends on the access (FLT-07, group 15 of the matrix).
//! Combinational.

use rust_hdl::prelude::*;

/// See the module.
#[derive(LogicBlock)]
pub struct Causes {
    /// What the request wants: 0 read, 1 or 3 write, 2 execute.
    pub access: Signal<In, Bits<2>>,
    /// The page does not allow it.
    pub page_fault: Signal<Out, Bits<9>>,
    /// Its tables cannot be read.
    pub access_fault: Signal<Out, Bits<9>>,
    exec_page: Constant<Bits<9>>,
    exec_access: Constant<Bits<9>>,
    read_page: Constant<Bits<9>>,
    read_access: Constant<Bits<9>>,
    write_page: Constant<Bits<9>>,
    write_access: Constant<Bits<9>>,
}

impl Default for Causes {
    fn default() -> Self {
        Self {
            access: Default::default(),
            page_fault: Default::default(),
            access_fault: Default::default(),
            exec_page: Constant::new(12u64.into()),
            exec_access: Constant::new(1u64.into()),
            read_page: Constant::new(13u64.into()),
            read_access: Constant::new(5u64.into()),
            write_page: Constant::new(15u64.into()),
            write_access: Constant::new(7u64.into()),
        }
    }
}

impl Logic for Causes {
    #[hdl_gen]
    fn update(&mut self) {
        self.page_fault.next = self.read_page.val();
        self.access_fault.next = self.read_access.val();
        if self.access.val().get_bit(0) {
            self.page_fault.next = self.write_page.val();
            self.access_fault.next = self.write_access.val();
        }
        if self.access.val() == 2 {
            self.page_fault.next = self.exec_page.val();
            self.access_fault.next = self.exec_access.val();
        }
    }
}
