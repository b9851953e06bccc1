//! Changes of tables with their invalidations, and commands of every kind.

use portcullis_sim::core::Kind;

use super::generate::Generator;
use super::op::Op;
use super::tables::{FENCE_BYTES, FENCES};

impl Generator {
    /// A PTE changes; mostly software then invalidates, more or less exactly.
    pub fn change_entry(&mut self) {
        let (addr, level) = self.world.slot(&mut self.rng);
        let entry = self.world.entry(&mut self.rng, level);
        self.store(addr, vec![entry]);
        if self.rng.chance(70) {
            self.iotinval();
            self.fence();
        }
    }

    pub fn change_context(&mut self) {
        let device = self.rng.one(&self.world.devices);
        let directory = if self.rng.chance(80) {
            self.directory
        } else {
            self.rng.one(&self.world.directories)
        };
        let Some(slot) = self.world.context_slot(directory, device) else {
            return;
        };
        let context = self.world.context(&mut self.rng).to_vec();
        self.store(slot, context);
        if self.rng.chance(75) {
            // INVAL_DDT of the device, or of all (DIR-02, DIR-03).
            self.iodir(device);
            if self.rng.chance(60) {
                self.iotinval();
            }
            self.fence();
        }
    }

    fn iodir(&mut self, device: u32) {
        let operand = if self.rng.chance(70) {
            1 << 33 | u64::from(device) << 40
        } else {
            0
        };
        self.ops.push(Op::Command([3 | operand, 0]));
    }

    /// A page that works is used, changed on one of its levels, mostly invalidated, and used again: cold, cached, with
    /// the change racing.
    pub fn remap(&mut self) {
        let mut found = None;
        for _ in 0..30 {
            let device = self.rng.one(&self.world.devices);
            let iova = self.world.iova(&mut self.rng);
            let context = self.world.context_slot(self.directory, device);
            found = context.and_then(|context| {
                let path = self.world.path(context, iova)?;
                Some((device, iova, context, path))
            });
            if found.is_some() {
                break;
            }
        }
        let Some((device, iova, context, path)) = found else {
            return self.submit();
        };
        let (slot, level) = if self.rng.chance(65) {
            path[path.len() - 1]
        } else {
            self.rng.one(&path)
        };
        self.touch(device, iova);
        self.pause();
        let by_context = self.rng.chance(15);
        if by_context {
            let words = self.world.context(&mut self.rng).to_vec();
            self.store(context, words);
        } else {
            let entry = self.world.entry(&mut self.rng, level);
            self.store(slot, vec![entry]);
        }
        if self.rng.chance(20) {
            self.touch(device, iova);
        }
        if by_context || self.rng.chance(10) {
            self.iodir(device);
        }
        match self.rng.below(10) {
            // Exactly what the change needs, for the leaf.
            0..3 => {
                let pscid = self.rng.one(&self.world.pscids);
                let words = [
                    1 | 1 << 10 | pscid << 12 | self.rng.below(2) << 32,
                    iova >> 12 << 10,
                ];
                self.ops.push(Op::Command(words));
            }
            3..5 => self.ops.push(Op::Command([1, 0])),
            5..8 => self.iotinval(),
            _ => {}
        }
        self.fence();
        if self.rng.chance(40) {
            self.ops.push(Op::Quiesce);
        } else {
            self.pause();
        }
        self.touch(device, iova);
    }

    fn pause(&mut self) {
        match self.rng.below(4) {
            0 => self.ops.push(Op::Quiesce),
            1 => self.pass(),
            _ => {
                let cycles = self.rng.below(20);
                self.ops.push(Op::Step(cycles));
            }
        }
    }

    /// Requests of one device to one page, and perhaps some others between them.
    fn touch(&mut self, device: u32, iova: u64) {
        let mut requests = Vec::new();
        for _ in 0..self.rng.range(1, 4) {
            let mut request = self.request();
            if self.rng.chance(85) {
                request.device_id = device;
                request.process_id = None;
                request.kind = Kind::Untranslated;
                request.iova = iova ^ self.rng.below(4096);
            }
            requests.push(request);
        }
        self.ops.push(Op::Submit(requests));
    }

    /// Any form of IOTINVAL (INV-02..12, INV-24..29).
    fn iotinval(&mut self) {
        let rng = &mut self.rng;
        let pscid = if rng.chance(85) {
            rng.one(&self.world.pscids)
        } else {
            rng.below(1 << 20)
        };
        let (av, pscv) = (rng.chance(45), rng.chance(55));
        let (gvma, gv) = (rng.chance(6), rng.chance(6));
        let pscv = pscv && !gvma;
        let dw0 = 1
            | u64::from(gvma) << 7
            | u64::from(av) << 10
            | pscid << 12
            | u64::from(pscv) << 32
            | u64::from(gv) << 33
            | u64::from(self.non_leaf && rng.chance(25)) << 34;
        let mut dw1 = self.world.iova(rng) >> 12 << 10;
        if self.ranges && rng.chance(25) {
            // The lowest 0 says the size (INV-27).
            let ones = rng.weighted(&[(5, 0), (5, 3), (5, 8), (3, 9), (3, 17), (2, 26), (1, 51)]);
            dw1 = (dw1 >> 10 | ((1 << ones) - 1)) << 10 & !(1 << (ones + 10)) | 1 << 9;
        }
        self.ops.push(Op::Command([dw0, dw1]));
    }

    /// IOFENCE.C, mostly followed by the doorbell.
    fn fence(&mut self) {
        let rng = &mut self.rng;
        let store = rng.chance(50);
        let wsi = rng.chance(15);
        let dw0 = 2
            | u64::from(store) << 10
            | u64::from(wsi) << 11
            | rng.below(4) << 12
            | (rng.word() & 0xffff_ffff) << 32;
        let addr = match rng.below(100) {
            // Both halves of a doubleword (the peer's failure 8).
            0..94 => FENCES + 4 * rng.below(FENCE_BYTES / 4),
            94..97 => 1 << rng.range(32, 63) | FENCES,
            _ => rng.word() & !3,
        };
        self.ops.push(Op::Command([dw0, addr >> 2]));
        self.ring();
    }

    fn ring(&mut self) {
        if self.rng.chance(90) {
            self.ops.push(Op::Ring);
        }
        if self.rng.chance(40) {
            let cycles = self.rng.below(80);
            self.ops.push(Op::Step(cycles));
        }
    }

    fn legal_command(&mut self) {
        match self.rng.below(10) {
            0..5 => self.iotinval(),
            5..7 => {
                let device = u64::from(self.rng.one(&self.world.devices));
                let dw0 = 3 | self.rng.below(2) << 33 | device << 40;
                self.ops.push(Op::Command([dw0, 0]));
            }
            7 => {
                // INVAL_PDT with a process id of 8 bits is legal.
                let dw0 =
                    3 | 1 << 7 | self.rng.below(256) << 12 | 1 << 33 | self.rng.below(128) << 40;
                self.ops.push(Op::Command([dw0, 0]));
            }
            _ => self.fence(),
        }
    }

    pub fn commands(&mut self) {
        for _ in 0..self.rng.range(1, 5) {
            self.legal_command();
        }
        self.fence();
    }

    /// One bit or field of a legal command goes wrong (CQ-06..08); sooner or later software repairs it (CQ-09).
    pub fn illegal_command(&mut self) {
        let at = self.ops.len();
        self.legal_command();
        let Some(Op::Command(words)) = self.ops.get_mut(at) else {
            return;
        };
        let rng = &mut self.rng;
        match rng.below(10) {
            0..7 => {
                let bit = rng.below(128);
                words[(bit / 64) as usize] ^= 1 << (bit % 64);
            }
            7 => words[0] = words[0] & !0x7f | rng.below(128),
            8 => words[0] = words[0] & !0x380 | rng.below(8) << 7,
            _ => *words = [rng.word(), rng.word()],
        }
        let repaired = [2 | rng.below(4) << 12, 0];
        let pause = rng.below(60);
        self.fence();
        if self.rng.chance(60) {
            self.ops.push(Op::Step(pause));
            self.ops.push(Op::Repair(repaired));
        }
    }
}
