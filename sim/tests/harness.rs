//! Stepping, latencies, visibility and the watchdog.

mod support;

use portcullis_sim::core::{Access, Kind, RegAccess, Request};
use portcullis_sim::failure::Failure;
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};
use support::{Defects, broken};

const CQT: u16 = 36;
const ROOT: u64 = 0x10_0000;
const QUEUE: u64 = 0x20_0000;

fn request(access: Access, iova: u64) -> Request {
    Request {
        tag: 0,
        device_id: 1,
        process_id: None,
        privileged: false,
        access,
        kind: Kind::Untranslated,
        iova,
    }
}

fn harness(defects: Defects) -> Harness {
    Harness::new(
        broken(defects),
        Memory::new(Timing {
            latency: 10,
            ..Timing::default()
        }),
    )
}

fn write(harness: &mut Harness, offset: u16, data: u64, wide: bool) {
    harness
        .register(RegAccess {
            write: true,
            offset,
            wide,
            data,
        })
        .expect("register");
}

/// Device 1 has the page 0x5000 at 0x8000_0000; the command queue is on.
fn set_up(harness: &mut Harness) {
    let memory = harness.memory_mut();
    memory.store64(ROOT + 32, 1);
    memory.store64(ROOT + 32 + 24, 8 << 60 | 0x201);
    memory.store64(0x20_1000, 0x202 << 10 | 1);
    memory.store64(0x20_2000, 0x203 << 10 | 1);
    memory.store64(0x20_3000 + 8 * 5, 0x8_0000 << 10 | 0xd7);
    write(harness, 24, 0x200 << 10 | 3, true);
    write(harness, 72, 1, false);
    write(harness, 16, 0x100 << 10 | 2, true);
}

#[test]
fn a_translation_reports_when_it_was_issued_and_answered() {
    let mut harness = harness(Defects::default());
    set_up(&mut harness);
    let start = harness.cycle();
    let first = harness.submit(request(Access::Read, 0x5123));
    let second = harness.submit(request(Access::Write, 0x5fff));
    let third = harness.submit(request(Access::Read, 0x6000));
    harness.finish_requests().expect("answers");
    let done: Vec<_> = std::iter::from_fn(|| harness.take_finished()).collect();
    assert_eq!(
        done.iter().map(|one| one.id).collect::<Vec<_>>(),
        [first, second, third]
    );
    assert_eq!(done[0].response.pa, 0x8000_0123);
    assert_eq!((done[0].issued, done[1].response.pa), (start, 0x8000_0fff));
    assert_eq!(done[1].latency(), 2);
    assert!(done[2].response.fault);
    let counters = harness.counters();
    assert_eq!((counters.context_hits, counters.context_misses), (2, 1));
    assert_eq!(
        (counters.iotlb_hits, counters.iotlb_misses, counters.walks),
        (1, 2, 2)
    );
}

#[test]
fn more_requests_than_tags_are_all_answered() {
    let mut harness = harness(Defects::default());
    set_up(&mut harness);
    for at in 0..300 {
        harness.submit(request(Access::Read, 0x5000 + at));
    }
    harness.finish_requests().expect("answers");
    let done: Vec<_> = std::iter::from_fn(|| harness.take_finished()).collect();
    assert_eq!(done.len(), 300);
    assert!(
        done.iter()
            .enumerate()
            .all(|(at, one)| one.response.pa == 0x8000_0000 + at as u64)
    );
}

/// Cycles from a granted access to the end of a fence behind it.
fn fence_after(access: Access, word: u64) -> u64 {
    let mut harness = harness(Defects::default());
    set_up(&mut harness);
    harness.set_dma_latency(500, 2000);
    harness.memory_mut().store64(QUEUE, word);
    harness.submit(request(access, 0x5000));
    harness.finish_requests().expect("answer");
    let answered = harness.take_finished().expect("answer").answered;
    write(&mut harness, CQT, 1, false);
    loop {
        let head = harness
            .register(RegAccess {
                write: false,
                offset: 32,
                wide: false,
                data: 0,
            })
            .expect("register");
        if head == 1 {
            return harness.cycle() - answered;
        }
    }
}

#[test]
fn a_fence_waits_for_the_accesses_it_names() {
    let (plain, reads, writes) = (2, 0x1002, 0x2002);
    assert!(fence_after(Access::Read, plain) < 100);
    assert!((500..600).contains(&fence_after(Access::Read, reads)));
    assert!(fence_after(Access::Read, writes) < 100);
    assert!((2000..2100).contains(&fence_after(Access::Write, writes)));
    assert!(fence_after(Access::Write, reads) < 100);
}

#[test]
fn the_watchdog_names_what_hangs() {
    for (defects, taken) in [
        (
            Defects {
                mute: true,
                ..Defects::default()
            },
            true,
        ),
        (
            Defects {
                deaf: true,
                ..Defects::default()
            },
            false,
        ),
    ] {
        let mut harness = harness(defects);
        harness.set_watchdog(1000);
        harness.submit(request(Access::Read, 0x5000));
        let failure = harness.finish_requests().expect_err("hang");
        assert_eq!(harness.cycle(), 1000);
        let text = failure.to_string();
        assert!(
            text.contains("0x5000") && text.contains(if taken { "(taken" } else { "never taken" }),
            "{text}"
        );
        assert!(!text.contains('\n'));
    }
    let mut frozen = harness(Defects {
        frozen_registers: true,
        ..Defects::default()
    });
    frozen.set_watchdog(1000);
    let access = RegAccess {
        write: false,
        offset: 32,
        wide: false,
        data: 0,
    };
    let failure = frozen.register(access).expect_err("hang");
    assert_eq!(
        failure,
        Failure::Register {
            access,
            since: 0,
            cycle: 1000
        }
    );
    let mut slow = harness(Defects::default());
    set_up(&mut slow);
    slow.set_watchdog(1000);
    slow.set_dma_latency(0, u64::MAX);
    slow.memory_mut().store64(QUEUE, 0x3002);
    slow.submit(request(Access::Write, 0x5000));
    slow.finish_requests().expect("answer");
    write(&mut slow, CQT, 1, false);
    assert!(matches!(slow.advance(2000), Err(Failure::Sync { .. })));
}

#[test]
fn late_answers_are_no_hang() {
    let mut harness = harness(Defects::default());
    set_up(&mut harness);
    harness.set_watchdog(200);
    for _ in 0..20 {
        harness.submit(request(Access::Read, 0x6000));
        harness.finish_requests().expect("answer");
        harness.advance(150).expect("idle");
    }
}

#[test]
fn broken_handshakes_are_reported() {
    let mut wrong = harness(Defects {
        wrong_tag: true,
        ..Defects::default()
    });
    wrong.submit(request(Access::Read, 0));
    assert!(matches!(
        wrong.finish_requests(),
        Err(Failure::Contract { .. })
    ));
    let timing = Timing {
        interval: 50,
        ..Timing::default()
    };
    let mut restless = Harness::new(
        broken(Defects {
            restless: true,
            ..Defects::default()
        }),
        Memory::new(timing),
    );
    set_up(&mut restless);
    // The second read comes before the memory takes another one.
    restless.submit(request(Access::Read, 0x5000));
    restless.submit(request(Access::Read, 0x5000));
    assert!(matches!(
        restless.finish_requests(),
        Err(Failure::Contract { .. })
    ));
}

#[test]
fn held_responses_wait() {
    let mut harness = harness(Defects::default());
    set_up(&mut harness);
    harness.submit(request(Access::Read, 0x5000));
    harness.hold_responses(true);
    harness.advance(200).expect("idle");
    assert_eq!(harness.outstanding(), 1);
    harness.hold_responses(false);
    harness.finish_requests().expect("answer");
    assert_eq!(
        harness.take_finished().expect("answer").answered,
        harness.cycle() - 1
    );
}

#[test]
fn reset_starts_over() {
    let run = |harness: &mut Harness| {
        set_up(harness);
        harness.submit(request(Access::Read, 0x5000));
        harness.finish_requests().expect("answer");
        let done = harness.take_finished().expect("answer");
        (done.id, done.issued, done.answered, harness.counters())
    };
    let mut harness = harness(Defects::default());
    let first = run(&mut harness);
    harness.submit(request(Access::Read, 0x5000));
    harness.advance(3).expect("idle");
    harness.reset();
    assert_eq!((harness.cycle(), harness.outstanding()), (0, 0));
    assert_eq!(run(&mut harness), first);
}
