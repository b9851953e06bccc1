//! Timing, order, faults and counters of the memory.

use portcullis_sim::core::{MemStatus, Outputs, Purpose, ReadBeat, ReadRequest, WriteBeat};
use portcullis_sim::memory::{FaultOn, MAX_BEATS, Memory, Timing};

fn timing(latency: u64) -> Timing {
    Timing {
        latency,
        ..Timing::default()
    }
}

fn read(addr: u64, beats: u8, id: u8) -> Outputs {
    let ar = ReadRequest {
        addr,
        beats,
        id,
        purpose: Purpose::Pte,
    };
    Outputs {
        ar: Some(ar),
        ..Outputs::default()
    }
}

fn write(addr: u64, data: u64, last: bool) -> Outputs {
    let beat = WriteBeat {
        addr,
        data,
        strobe: 0xff,
        last,
        purpose: Purpose::Fault,
    };
    Outputs {
        w: Some(beat),
        ..Outputs::default()
    }
}

/// Drives the memory with what the core sends in each cycle; returns what each cycle answered.
fn run(
    memory: &mut Memory,
    cycles: u64,
    sends: &[(u64, Outputs)],
) -> Vec<(Option<ReadBeat>, Option<MemStatus>)> {
    let mut answers = Vec::new();
    for cycle in 0..cycles {
        let port = memory.drive(cycle);
        answers.push((port.r, port.b));
        let sent = sends
            .iter()
            .find(|(at, _)| *at == cycle)
            .map_or(Outputs::default(), |(_, out)| *out);
        memory
            .accept(cycle, port.ar_ready, &sent)
            .expect("contract");
    }
    answers
}

fn beats(answers: &[(Option<ReadBeat>, Option<MemStatus>)]) -> Vec<(usize, ReadBeat)> {
    answers
        .iter()
        .enumerate()
        .filter_map(|(at, (r, _))| r.map(|r| (at, r)))
        .collect()
}

#[test]
fn first_beat_comes_latency_cycles_after_the_request_and_one_beat_per_cycle_follows() {
    for latency in [1, 2, 10, 50] {
        let mut memory = Memory::new(timing(latency));
        for at in 0..4 {
            memory.store64(0x1000 + 8 * at, 100 + at);
        }
        let answers = run(&mut memory, 70, &[(3, read(0x1000, 4, 5))]);
        let expected: Vec<_> = (0..4_u8)
            .map(|at| {
                let data = 100 + u64::from(at);
                (
                    3 + latency as usize + usize::from(at),
                    ReadBeat {
                        data,
                        id: 5,
                        last: at == 3,
                        status: MemStatus::Ok,
                    },
                )
            })
            .collect();
        assert_eq!(beats(&answers), expected);
    }
}

#[test]
fn requests_are_pipelined_and_answered_in_order() {
    let mut memory = Memory::new(timing(10));
    let sends: Vec<_> = (0..4)
        .map(|at| (at, read(0x1000 + 8 * at, 1, at as u8)))
        .collect();
    let got: Vec<_> = beats(&run(&mut memory, 20, &sends))
        .iter()
        .map(|(at, r)| (*at, r.id))
        .collect();
    assert_eq!(got, [(10, 0), (11, 1), (12, 2), (13, 3)]);
}

#[test]
fn a_long_burst_delays_the_next_by_its_beats_only() {
    let mut memory = Memory::new(timing(3));
    let got = beats(&run(
        &mut memory,
        20,
        &[(0, read(0, 4, 1)), (1, read(0x40, 1, 2))],
    ));
    assert_eq!(
        got.iter().map(|(at, r)| (*at, r.id)).collect::<Vec<_>>(),
        [(3, 1), (4, 1), (5, 1), (6, 1), (7, 2)]
    );
}

#[test]
fn read_data_is_that_of_the_cycle_of_the_request() {
    let mut memory = Memory::new(timing(5));
    memory.store64(0x1000, 1);
    let port = memory.drive(0);
    memory
        .accept(0, port.ar_ready, &read(0x1000, 1, 0))
        .expect("contract");
    memory.store64(0x1000, 2);
    let beat = (1..=5)
        .find_map(|cycle| memory.drive(cycle).r)
        .expect("data");
    assert_eq!(beat.data, 1);
}

#[test]
fn a_write_is_answered_and_visible_latency_cycles_after_its_last_beat() {
    let mut memory = Memory::new(timing(7));
    let answers = run(
        &mut memory,
        9,
        &[(0, write(0x2000, 1, false)), (1, write(0x2008, 2, true))],
    );
    assert_eq!(answers.iter().position(|(_, b)| b.is_some()), Some(8));
    assert_eq!((memory.load64(0x2000), memory.load64(0x2008)), (1, 2));
    let mut memory = Memory::new(timing(7));
    run(
        &mut memory,
        8,
        &[(0, write(0x2000, 1, false)), (1, write(0x2008, 2, true))],
    );
    assert_eq!((memory.load64(0x2000), memory.load64(0x2008)), (0, 0));
}

#[test]
fn byte_enables_select_bytes() {
    let mut memory = Memory::new(timing(1));
    memory.store64(0, 0x1111_1111_1111_1111);
    let mut out = write(0, 0x2222_2222_2222_2222, true);
    if let Some(beat) = &mut out.w {
        beat.strobe = 0xf0;
    }
    run(&mut memory, 3, &[(0, out)]);
    assert_eq!(memory.load64(0), 0x2222_2222_1111_1111);
}

#[test]
fn interval_spaces_accepted_reads() {
    let mut memory = Memory::new(Timing {
        latency: 1,
        interval: 4,
        ..Timing::default()
    });
    let mut accepted = Vec::new();
    for cycle in 0..12 {
        let port = memory.drive(cycle);
        if port.ar_ready {
            accepted.push(cycle);
        }
        memory
            .accept(cycle, port.ar_ready, &read(0, 1, 0))
            .expect("contract");
    }
    assert_eq!(accepted, [0, 4, 8]);
}

#[test]
fn jitter_is_bounded_and_repeats_with_the_seed() {
    let latencies = |seed| {
        let mut memory = Memory::new(Timing {
            latency: 10,
            interval: 1,
            jitter: 5,
            seed,
        });
        let sends: Vec<_> = (0..50).map(|at| (at * 40, read(0, 1, 0))).collect();
        let answers = beats(&run(&mut memory, 2000, &sends));
        answers
            .iter()
            .map(|(at, _)| *at as u64 % 40)
            .collect::<Vec<_>>()
    };
    let first = latencies(1);
    assert_eq!(first, latencies(1));
    assert_ne!(first, latencies(2));
    assert!(first.iter().all(|latency| (10..=15).contains(latency)));
    assert!((10..=15).all(|latency| first.contains(&latency)));
}

#[test]
fn faults_hit_their_range_and_direction_only() {
    let mut memory = Memory::new(timing(1));
    for at in 0..MAX_BEATS as u64 {
        memory.store64(0x1000 + 8 * at, 7);
    }
    memory.set_fault(0x1008, 8, FaultOn::Read, MemStatus::Access);
    memory.set_fault(0x1010, 1, FaultOn::Both, MemStatus::Corrupt);
    let got = beats(&run(&mut memory, 12, &[(0, read(0x1000, 4, 0))]));
    let statuses: Vec<_> = got.iter().map(|(_, r)| (r.status, r.data)).collect();
    use MemStatus::{Access, Corrupt, Ok};
    assert_eq!(statuses, [(Ok, 7), (Access, 0), (Corrupt, 0), (Ok, 7)]);
    // A read-only rule lets writes pass; a refused write stores nothing, and a burst ends with its worst status.
    let answer = |memory: &mut Memory, addr| {
        let answers = run(memory, 3, &[(0, write(addr, 9, true))]);
        answers.iter().find_map(|(_, b)| *b)
    };
    memory.reset_port();
    assert_eq!(answer(&mut memory, 0x1008), Some(Ok));
    assert_eq!(memory.load64(0x1008), 9);
    memory.reset_port();
    assert_eq!(answer(&mut memory, 0x1010), Some(Corrupt));
    assert_eq!(memory.load64(0x1010), 7);
}

#[test]
fn a_later_rule_wins_and_ok_takes_rules_back() {
    let mut memory = Memory::new(timing(1));
    let status = |memory: &mut Memory| {
        memory.reset_port();
        beats(&run(memory, 3, &[(0, read(0x1000, 1, 0))]))[0]
            .1
            .status
    };
    memory.set_fault(0, 0x10000, FaultOn::Both, MemStatus::Access);
    assert_eq!(status(&mut memory), MemStatus::Access);
    memory.set_fault(0x1000, 8, FaultOn::Read, MemStatus::Corrupt);
    assert_eq!(status(&mut memory), MemStatus::Corrupt);
    memory.set_fault(0x1000, 8, FaultOn::Both, MemStatus::Ok);
    assert_eq!(status(&mut memory), MemStatus::Ok);
    memory.set_fault(0, u64::MAX, FaultOn::Both, MemStatus::Ok);
    memory.set_fault(u64::MAX, 4, FaultOn::Both, MemStatus::Access);
    assert_eq!(status(&mut memory), MemStatus::Ok);
}

#[test]
fn counts_bursts_by_purpose() {
    let mut memory = Memory::new(timing(1));
    run(
        &mut memory,
        20,
        &[
            (0, read(0, 8, 0)),
            (1, read(0, 1, 0)),
            (2, write(0, 0, false)),
            (3, write(8, 0, true)),
        ],
    );
    let traffic = memory.traffic();
    assert_eq!(
        (traffic.reads(Purpose::Pte), traffic.writes(Purpose::Fault)),
        (2, 1)
    );
    assert_eq!(
        (traffic.reads(Purpose::Ddt), traffic.writes(Purpose::Fence)),
        (0, 0)
    );
}

#[test]
fn malformed_bursts_are_reported() {
    let mut memory = Memory::new(timing(1));
    assert!(memory.accept(0, true, &read(0, 0, 0)).is_err());
    assert!(memory.accept(0, true, &read(0, 9, 0)).is_err());
    assert!(memory.accept(0, true, &read(4, 1, 0)).is_err());
    assert!(memory.accept(0, true, &write(4, 1, true)).is_err());
}

#[test]
fn software_accesses_cross_pages() {
    let mut memory = Memory::new(timing(1));
    let data: Vec<u8> = (0..=255).collect();
    memory.write(0xf80, &data);
    let mut back = vec![0; 256];
    memory.read(0xf80, &mut back);
    assert_eq!(back, data);
    memory.read(0x10_0000, &mut back);
    assert!(back.iter().all(|byte| *byte == 0));
}
