//! Fault records, interrupts and a fence that cannot write, while devices hammer, on the cycle-accurate hardware
//! (scenarios T29, T52, T54, T55, T57, T58).

use std::cell::{Cell, RefCell};

use portcullis::DefaultDomainType::Blocked;
use portcullis::platform::{DmaMemory, Event, Op, Registers, Trace};
use portcullis::{Config, DeviceId, FaultRecord, Health, PhysAddr};
use portcullis_regmap::command::{self, Command, Op as Decoded};
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_regmap::fault;
use portcullis_regmap::regs::{Cqcsr, QueueBase, offset};
use portcullis_sim::core::{Access, MemStatus};
use portcullis_sim::memory::FaultOn;
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::stage::{Setting, Stage};
use portcullis_tests::ownership::*;
use portcullis_tests::request;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Given a device that reaches red and faults elsewhere so often that its faults are no longer recorded (DTF); when red
/// is replaced; then no access to the window is refused, no record is written, and the faults elsewhere go on unseen.
#[test]
fn t_29_replacement_with_dtf() {
    for (config, seed) in [(&TINY, 29), (&LINUX, 30)] {
        let stage = small(config, seed);
        let storm = Config {
            storm_polls: 2,
            ..driver(Blocked)
        };
        let (iommu, dev) = begin(&stage, storm);
        iommu.add_device(DEV.into()).unwrap();
        let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
        let (red, is_red) = coloured(&stage, &iommu, "red");
        let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
            owned.attach(red).unwrap()
        });
        let elsewhere = stage.engine(DEV.0, BLOCKED);
        stage.with(|_, scene| scene.load.engine_mut(elsewhere).pages = vec![0x5000_0000]);
        let drain = || {
            let mut records = 0;
            let all = iommu.faults().drain(1000, |record| {
                records += usize::from(record.device() == DEV);
            });
            all.expect("drained");
            records
        };
        for poll in 0.. {
            run(&stage, 400);
            assert!(drain() > 0, "poll {poll}");
            let quieted = stage.call("poll", &[dev], is_red, is_red, || {
                iommu.poll().unwrap().quieted
            });
            assert_eq!(quieted, usize::from(poll == 1));
            if quieted > 0 {
                break;
            }
        }
        // By one store, as any change of a context in use.
        assert_eq!(bus(&stage, "poll"), [&["tc.V=1"][..], &SYNC].concat());
        drain();
        let (blue, is_blue) = coloured(&stage, &iommu, "blue");
        let refused = stage.count(elsewhere, BLOCKED);
        let (owned, red) = stage.call("replace", &[dev], [is_red, is_blue], is_blue, || {
            run(&stage, 200);
            let replaced = owned.replace_hitless(blue).unwrap();
            run(&stage, 200);
            replaced
        });
        stage.give_back(is_red);
        drop(red);
        run(&stage, 400);
        assert!(stage.count(elsewhere, BLOCKED) > refused);
        assert_eq!(drain(), 0, "no record");
        // Detached, it is loud again: with V=0 there is no DTF.
        let (owned, _) = stage.call("detach", &[dev], [is_blue, BLOCKED], BLOCKED, || {
            owned.detach()
        });
        run(&stage, 400);
        assert!(drain() > 0);
        owned.release();
        end(&stage, iommu);
    }
}

/// Given a fence that is to write memory where that is refused (the driver never asks for one: here its last fence is
/// altered in the ring, once); when a domain is attached, replaced, detached; then the queue stops with cqmf at the
/// fence, is reset and everything invalidated, and the call succeeds; nothing is reached that must not be.
#[test]
fn t_52_fence_that_cannot_write() {
    const NOWHERE: u64 = 0x7000_0000;
    let stage = small(&TINY, 52);
    let (armed, slot) = (Cell::new(false), Cell::new(0));
    let resets = RefCell::new(Vec::new());
    let memory = RefCell::new(stage.platform());
    let tell = |op| match op {
        Op::Store(PhysAddr(pa), 8, _) if armed.get() => {
            let ring = stage.with(|_, scene| scene.monitor.ring());
            let Some(at) = pa
                .checked_sub(ring + 8)
                .filter(|at| *at < 4096 && at % 16 == 0)
            else {
                return;
            };
            let mut memory = memory.borrow_mut();
            let dw0 = memory.load64(PhysAddr(pa - 8)).expect("memory");
            let fence = Command { dw0, dw1: 0 }.decode();
            if let Ok(Decoded::Iofence {
                pr: true, pw: true, ..
            }) = fence
            {
                // AV=1, DATA, and the address: the second doubleword was the last store of the batch.
                let altered = dw0 | 1 << 10 | 0x5a5a << 32;
                memory.store64(PhysAddr(pa - 8), altered).expect("memory");
                memory.store64(PhysAddr(pa), NOWHERE >> 2).expect("memory");
                armed.set(false);
                slot.set(at / command::BYTES);
            }
        }
        Op::Event(Event::QueueReset { cqcsr, cqh }) => resets.borrow_mut().push((cqcsr, cqh)),
        _ => {}
    };
    let (iommu, dev) = begin_on(&stage, Trace::new(stage.platform(), tell), driver(Blocked));
    stage.with(|harness, _| {
        let memory = harness.memory_mut();
        memory.set_fault(NOWHERE, 4096, FaultOn::Write, MemStatus::Access);
    });
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let (blue, is_blue) = coloured(&stage, &iommu, "blue");
    let stopped = |times: usize| {
        assert!(!armed.get(), "no fence came");
        let resets = resets.borrow();
        let (cqcsr, cqh) = *resets.last().expect("a reset");
        assert_eq!((resets.len(), u64::from(cqh)), (times, slot.get()));
        let cqcsr = Cqcsr::from_bits(cqcsr);
        assert!(cqcsr.cqmf() && !cqcsr.cmd_ill(), "{cqcsr:?}");
        assert_eq!(iommu.health(), Health::Degraded);
        run(&stage, 300);
    };
    armed.set(true);
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    stopped(1);
    armed.set(true);
    let (owned, red) = stage.call("replace", &[dev], [is_red, is_blue], is_blue, || {
        owned.replace(blue).unwrap()
    });
    stage.give_back(is_red);
    drop(red);
    stopped(2);
    armed.set(true);
    let (owned, blue) = stage.call("detach", &[dev], [is_blue, BLOCKED], BLOCKED, || {
        owned.detach()
    });
    stage.give_back(is_blue);
    drop(blue);
    stopped(3);
    let at_target = stage.with(|harness, _| harness.memory().load64(NOWHERE));
    assert_eq!(at_target, 0, "nothing was written");
    owned.release();
    end(&stage, iommu);
}

/// Given a fault queue of 8, which holds 7; when 7 accesses are refused, and an 8th; then draining gives the 7 in order and
/// says that some were lost, once; and what is refused after that is reported again.
#[test]
fn t_54_overflow() {
    for (config, seed) in [(&TINY, 54), (&LINUX, 55)] {
        let stage = stage(setting(config, seed));
        let settings = Config {
            fault_queue: 8,
            ..driver(Blocked)
        };
        let (iommu, dev) = begin(&stage, settings);
        stage.with(|_, scene| scene.load.engine_mut(dev).running = false);
        iommu.add_device(DEV.into()).unwrap();
        run(&stage, 200);
        // What came before, and what was lost of it.
        while iommu.faults().drain(100, |_| ()).unwrap().records > 0 {}
        let losses = iommu.stats().fault_losses;
        let refuse = |numbers: std::ops::Range<u64>| {
            for n in numbers {
                let asked = request(DEV.0, Access::Read, 0x1000 * n);
                assert!(stage.ask(asked).expect("no hang").response.fault);
            }
            run(&stage, 100);
        };
        let drain = || {
            let mut numbers = Vec::new();
            let drained = iommu.faults().drain(100, |record| {
                assert_eq!(record.device(), DEV);
                numbers.push(record.record.dw[2] / 0x1000);
            });
            (numbers, drained.unwrap().lost)
        };
        for round in 0..3 {
            let from = 1 + 20 * round;
            refuse(from..from + 7);
            if round == 1 {
                // Full, but nothing is lost yet.
                assert_eq!(drain(), ((from..from + 7).collect(), false));
                refuse(from..from + 7);
            }
            refuse(from + 7..from + 8);
            assert_eq!(drain(), ((from..from + 7).collect(), true), "round {round}");
            assert_eq!(iommu.stats().fault_losses, losses + 1 + round);
            assert_eq!(drain(), (vec![], false), "said once");
            refuse(from + 8..from + 11);
            assert_eq!(
                drain(),
                ((from + 8..from + 11).collect(), false),
                "reported again"
            );
        }
        assert_eq!(iommu.health(), Health::Good);
        end(&stage, iommu);
    }
}

/// Given a device whose every access is refused, at full speed; when records are drained with a budget of 16 while more
/// come; then each call ends after at most 16 records and a bounded number of accesses of the driver, and in the end every
/// refused access was delivered once, in the order in which they were answered.
#[test]
fn t_55_budget_in_a_burst() {
    const BUDGET: usize = 16;
    for (config, seed) in [(&TINY, 55), (&LINUX, 56)] {
        let stage = small(config, seed);
        let accesses = Cell::new(0);
        let tell = |op| {
            if matches!(op, Op::Read(..) | Op::Write(..) | Op::Load(..)) {
                accesses.set(accesses.get() + 1);
            }
        };
        let (iommu, dev) = begin_on(&stage, Trace::new(stage.platform(), tell), driver(Blocked));
        let running = |on| stage.with(|_, scene| scene.load.engine_mut(dev).running = on);
        running(false);
        iommu.add_device(DEV.into()).unwrap();
        run(&stage, 400);
        while iommu.faults().drain(1000, |_| ()).unwrap().records > 0 {}
        let first = stage.with(|_, scene| scene.load.touches().len());
        let mut delivered = Vec::new();
        let (mut full, mut left) = (0, 0);
        let mut drain = |delivered: &mut Vec<u64>| {
            let (before, count) = (accesses.get(), delivered.len());
            let drained = iommu.faults().drain(BUDGET, |record| {
                assert_eq!(record.device(), DEV);
                delivered.push(record.record.dw[2]);
            });
            let drained = drained.unwrap();
            assert_eq!(delivered.len() - count, drained.records);
            assert!(drained.records <= BUDGET && !drained.lost, "{drained:?}");
            // Four doublewords for each record; a few registers for each look at the queue.
            let took = accesses.get() - before;
            assert!(took <= 8 * BUDGET + 16, "{took} accesses");
            full += usize::from(drained.records == BUDGET);
            left += usize::from(drained.more);
            drained.records
        };
        running(true);
        for _ in 0..rounds(12) {
            run(&stage, 500);
            // What is left stays for the next call; the queue has room for it.
            drain(&mut delivered);
            drain(&mut delivered);
        }
        running(false);
        run(&stage, 300);
        while drain(&mut delivered) > 0 {}
        assert!(
            full > 3 && left > 3,
            "a burst: {full} calls used up their budget, {left} left records"
        );
        let refused: Vec<u64> = stage.with(|_, scene| {
            let touches = scene.load.touches()[first..].iter();
            let mut refused: Vec<_> = touches.filter(|touch| touch.engine == dev).collect();
            refused.sort_by_key(|touch| touch.answered);
            assert!(refused.iter().all(|touch| touch.colour == BLOCKED));
            refused.iter().map(|touch| touch.iova).collect()
        });
        println!(
            "{}: {} records, {full} calls with the whole budget",
            config.name,
            delivered.len()
        );
        assert_eq!(delivered.len(), refused.len());
        assert_eq!(delivered, refused, "in order");
        end(&stage, iommu);
    }
}

/// Given records of devices that nobody knows, and records that hold anything at all, reserved causes included (as if
/// somebody had scribbled over the queue); when they are drained; then each is delivered as it is, attributed to a
/// group only if it names one of its devices, nothing panics, and others are not disturbed.
#[test]
fn t_57_anything_in_a_record() {
    let stage = small(&TINY, 57);
    let (iommu, dev) = begin(&stage, driver(Blocked));
    iommu.add_device(DEV.into()).unwrap();
    let group = iommu.group(DEV).unwrap().id();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let (red, is_red) = coloured(&stage, &iommu, "red");
    let owned = stage.call("attach", &[dev], [BLOCKED, is_red], is_red, || {
        owned.attach(red).unwrap()
    });
    // What it left while it was blocked.
    run(&stage, 200);
    iommu.faults().drain(1000, |_| ()).unwrap();
    let unknown = DeviceId(0x31);
    let stranger = stage.engine(unknown.0, BLOCKED);
    let drain = || {
        let mut records: Vec<FaultRecord> = Vec::new();
        stage.call("drain", &[dev], is_red, is_red, || {
            let drained = iommu.faults().drain(1000, |record| records.push(*record));
            assert!(!drained.unwrap().lost);
        });
        records
    };
    // What the hardware writes of a device that nobody knows.
    run(&stage, 300);
    let records = drain();
    assert!(!records.is_empty());
    for record in &records {
        assert_eq!((record.device(), record.group), (unknown, None));
        assert_eq!(record.record.cause().0, 258);
    }
    assert_eq!(iommu.stats().unknown_faults, records.len() as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(57);
    for round in 0..rounds(6) {
        stage.with(|_, scene| scene.load.engine_mut(stranger).running = true);
        run(&stage, 300);
        stage.with(|_, scene| scene.load.engine_mut(stranger).running = false);
        run(&stage, 200);
        let mut platform = stage.platform();
        let base = platform
            .read64(offset::FQB)
            .map(QueueBase::from_bits)
            .unwrap();
        let mut index = |at| platform.read32(at).unwrap();
        let (head, tail) = (index(offset::FQH), index(offset::FQT));
        let mask = (2u32 << base.log2sz_minus_1()) - 1;
        let count = tail.wrapping_sub(head) & mask;
        assert!(count > 4, "{count}");
        let mut written = Vec::new();
        for n in 0..count {
            let mut dw = [0; 4].map(|_| rng.next_u64());
            if n == 1 {
                // A reserved cause and type, of a device that is there.
                dw[0] = 0xfff | 0x3f << 34 | u64::from(DEV.0) << 40;
            }
            let at = (base.ppn() << 12) + u64::from((head + n) & mask) * fault::BYTES;
            stage.with(|harness, _| {
                for (word, value) in dw.iter().enumerate() {
                    harness.memory_mut().store64(at + 8 * word as u64, *value);
                }
            });
            written.push(dw);
        }
        let records = drain();
        let delivered: Vec<_> = records.iter().map(|record| record.record.dw).collect();
        assert_eq!(delivered, written, "round {round}");
        for (n, record) in records.iter().enumerate() {
            assert_eq!(record.group, (n == 1).then_some(group), "{record:?}");
            let _ = format!("{record:?} {:?}", record.record.cause().describe());
        }
    }
    assert_eq!(iommu.health(), Health::Good);
    stage.call("release", &[dev], [is_red, BLOCKED], BLOCKED, || {
        owned.release()
    });
    end(&stage, iommu);
}

/// Given an interrupt controller that knows edges only; when a record arrives between the handler's clearing of the
/// pending bit and its look at the queue, or just behind that look; then none is lost: once the device is silent and
/// the wire low, every refused access was delivered once.
#[test]
fn t_58_no_record_is_lost_between_clear_and_read() {
    for seed in 58..58 + rounds(2) {
        let stage = stage(Setting {
            habits: Habits {
                outstanding: 1,
                ..Habits::default()
            },
            ..setting(&TINY, seed)
        });
        no_record_is_lost(&stage, seed);
    }
}

fn no_record_is_lost(stage: &Stage, seed: u64) {
    let (left, engine) = (Cell::new(0u32), Cell::new(usize::MAX));
    let rng = RefCell::new(ChaCha8Rng::seed_from_u64(seed));
    let forced = Cell::new([0u32; 2]);
    // One more record arrives right here.
    let tell = |op| {
        let place = match op {
            Op::Write(offset::IPSR, ..) => 0,
            Op::Read(offset::FQT, ..) => 1,
            _ => return,
        };
        if left.get() == 0 || rng.borrow_mut().next_u32().is_multiple_of(2) {
            return;
        }
        left.set(left.get() - 1);
        let before = stage.count(engine.get(), BLOCKED);
        let running = |on| {
            stage.with(|_, scene| scene.load.engine_mut(engine.get()).running = on);
        };
        running(true);
        while stage.count(engine.get(), BLOCKED) == before {
            run(stage, 1);
        }
        running(false);
        // The record is written behind the answer.
        run(stage, 60);
        let mut counts = forced.get();
        counts[place] += 1;
        forced.set(counts);
    };
    let (iommu, dev) = begin_on(stage, Trace::new(stage.platform(), tell), driver(Blocked));
    stage.with(|_, scene| scene.load.engine_mut(dev).running = false);
    iommu.add_device(DEV.into()).unwrap();
    run(stage, 400);
    iommu.faults().drain(1000, |_| ()).unwrap();
    engine.set(dev);
    let from = stage.count(dev, BLOCKED);
    let wire = || stage.with(|harness, _| harness.irq() & 1 != 0);
    let mut delivered = 0;
    for burst in 0..rounds(12) {
        assert!(!wire(), "burst {burst}: silent, and nothing waits");
        stage.with(|_, scene| scene.load.engine_mut(dev).running = true);
        let length = rng.borrow_mut().next_u32() % 30;
        run(stage, 30 + u64::from(length));
        stage.with(|_, scene| scene.load.engine_mut(dev).running = false);
        run(stage, 60);
        left.set(4);
        // The handler clears the bit first, so that a wire that is high on its return is a new edge.
        while wire() {
            if !iommu.on_interrupt().unwrap().faults {
                continue;
            }
            let drained = iommu.faults().drain(1000, |record| {
                assert_eq!(record.device(), DEV);
                delivered += 1;
            });
            assert!(!drained.unwrap().lost);
        }
        left.set(0);
        run(stage, 100);
        let refused = stage.count(dev, BLOCKED) - from;
        assert_eq!(delivered, refused, "burst {burst} of seed {seed}");
    }
    let [cleared, read] = forced.get();
    assert!(
        cleared > 3 && read > 3,
        "{cleared} behind the clear, {read} behind the read"
    );
    end(stage, iommu);
}
