//! The serial bridge against a board in software (docs/serial-bridge.md).

mod board;
#[path = "../common/mod.rs"]
mod common;

use board::{Bench, Board};
use common::*;
use portcullis::platform::{BridgeError, ConnectError, DmaMemory, Refusal, Registers, frame};
use portcullis::*;
use portcullis_regmap::regs::offset;

const DEV: DeviceId = DeviceId(5);
const IOVA: u64 = 0x40_0000;
const PAGE: u64 = 0x123_4000;

/// The examples of docs/serial-bridge.md are what host and board say.
#[test]
fn examples_of_the_documentation() {
    let text = include_str!("../../../docs/serial-bridge.md");
    let line = |bytes: &[u8]| {
        let bytes: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        bytes.join(" ")
    };
    let w = world();
    let mut board = Board::new(&w);
    for content in [
        &[0x01, 0x01, 0x00][..],
        &[0x03, 0x7e, 0x24, 0x00, 0x04, 0x00, 0x00, 0x00],
        &[0x04, 0x07, 0x02, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00],
    ] {
        let request = frame::Encoded::new(content);
        request.bytes().iter().for_each(|&b| board.receive(b));
        let answer: Vec<u8> = board.to_host.drain(..).collect();
        for bytes in [request.bytes(), &answer] {
            let bytes = line(bytes);
            assert!(text.contains(&format!("`{bytes}`")), "missing: {bytes}");
        }
    }
}

#[test]
fn connecting_tells_what_is_wrong() {
    let fails = |spoil: fn(&mut Board)| {
        let bench = Bench::new(&world());
        spoil(&mut bench.board.borrow_mut());
        bench.connect::<true>(1, 0).err().expect("refused")
    };
    assert_eq!(
        fails(|b| b.magic = *b"OTHR"),
        ConnectError::Stranger(0x1_0001_5248_544f)
    );
    assert_eq!(fails(|b| b.version = 2), ConnectError::Version(2));
    assert_eq!(fails(|b| b.wide = false), ConnectError::Narrow);
    assert_eq!(
        fails(|b| b.region = (0x8000_0010, 0x1fe0)),
        ConnectError::NoMemory
    );
    assert_eq!(
        fails(|b| b.region = (u64::MAX - 4095, 0x1000)),
        ConnectError::NoMemory
    );
    let bench = Bench::new(&world());
    *bench.cut.borrow_mut() = true;
    let before = bench.board.borrow().machine.0.borrow().now;
    let error = bench.connect::<false>(1, 0).err();
    assert_eq!(error, Some(ConnectError::Access(BridgeError::NoAnswer)));
    let waited = bench.board.borrow().machine.0.borrow().now - before;
    assert!((200_000..210_000).contains(&waited), "{waited} us");
}

#[test]
fn narrow_board_needs_a_narrow_bridge() {
    let bench = Bench::new(&world());
    bench.board.borrow_mut().wide = false;
    let bridge = bench.connect::<false>(1, 0).expect("connects");
    assert_eq!(bridge.clock_hz(), 12_000_000);
    assert!(bridge.round_trip_us() > 0);
    assert!(bridge.timeouts().command_us >= 300_000);
}

/// What the board refuses: one value each, and nothing was done.
#[test]
fn refusals() {
    let w = world();
    let bench = Bench::new(&w);
    let (start, bytes) = bench.board.borrow().region;
    let mut bridge = bench.connect::<true>(1, 0).expect("connects");
    let address = Err(BridgeError::Refused(Refusal::Address));
    assert_eq!(bridge.read32(2), address.map(|()| 0));
    assert_eq!(bridge.write32(0x1000, 1), address);
    assert_eq!(bridge.store32(PhysAddr(start + 2), 1), address);
    assert_eq!(bridge.store64(PhysAddr(start + 4), 1), address);
    assert_eq!(
        bridge.load64(PhysAddr(start + bytes)),
        address.map(|()| 0u64)
    );
    assert_eq!(bridge.interrupts(), Ok(0));

    // An answer with another operation, another length, another status: not this format.
    for answer in [
        &[0x82, 9, 0][..],
        &[0x84, 9, 0, 1, 2],
        &[0x84, 9, 9],
        &[0x84, 9],
    ] {
        let mut content = answer.to_vec();
        content[1] = bench.board.borrow().done.last().map_or(0, |d| d.1) + 1;
        bench.board.borrow_mut().send(&content);
        *bench.cut.borrow_mut() = true;
        assert_eq!(
            bridge.load64(PhysAddr(start)),
            Err(BridgeError::Format),
            "{answer:x?}"
        );
        *bench.cut.borrow_mut() = false;
        // Takes the number that the board has not seen.
        bridge.interrupts().expect("works again");
    }
    for (content, expected) in [(&[0x42, 1][..], 1), (&[0x02, 2, 0], 1), (&[0x01, 3, 4], 2)] {
        let mut board = Board::new(&w);
        let request = frame::Encoded::new(content);
        request.bytes().iter().for_each(|&b| board.receive(b));
        let mut decoder = frame::Decoder::default();
        let answers: Vec<Vec<u8>> = board
            .to_host
            .iter()
            .filter_map(|&b| decoder.push(b).map(<[u8]>::to_vec))
            .collect();
        assert_eq!(answers, [[content[0] | 0x80, content[1], expected]]);
    }
}

/// An answer that is lost is repeated, and the request is not: a bit that is cleared by writing 1 and set again in
/// between stays set.
#[test]
fn lost_answer_does_not_repeat_the_request() {
    let w = world();
    let bench = Bench::new(&w);
    let mut bridge = bench.connect::<true>(1, 0).expect("connects");
    for lost in 0..2 {
        w.borrow_mut().ipsr = 1;
        let already = bench.board.borrow().done.len();
        let mut content = vec![0x03, bench.board.borrow().done[already - 1].1 + 1];
        content.extend(offset::IPSR.to_le_bytes());
        content.extend([1, 0, 0, 0]);
        if lost == 1 {
            // The request arrives, its answer does not, and then the event happens again.
            let mut board = bench.board.borrow_mut();
            let request = frame::Encoded::new(&content);
            request.bytes().iter().for_each(|&b| board.receive(b));
            board.to_host.clear();
            assert_eq!(w.borrow().ipsr, 0);
            w.borrow_mut().ipsr = 1;
        }
        assert_eq!(bridge.write32(offset::IPSR, 1), Ok(()));
        assert_eq!(bench.board.borrow().done.len(), already + 1);
        assert_eq!(w.borrow().ipsr, lost);
    }
}

/// A board that missed 255 requests must not take the next one, which has the number of the last it knows, for a
/// repetition of that one.
#[test]
fn numbers_that_come_around_are_no_repetitions() {
    let w = world();
    let bench = Bench::new(&w);
    let mut bridge = bench.connect::<true>(1, 0).expect("connects");
    let start = PhysAddr(bench.board.borrow().region.0);
    for missed in 0..300 {
        assert_eq!(bridge.store64(start, missed), Ok(()));
        *bench.cut.borrow_mut() = true;
        for _ in 0..missed {
            assert_eq!(bridge.store64(start, 99), Err(BridgeError::NoAnswer));
        }
        *bench.cut.borrow_mut() = false;
        assert_eq!(bridge.store64(start, 1000 + missed), Ok(()));
        assert_eq!(w.borrow().load(start.0), 1000 + missed, "{missed} missed");
    }
}

/// Something else is plugged in while the line is down.
#[test]
fn another_board_is_noticed() {
    let w = world();
    let bench = Bench::new(&w);
    let mut bridge = bench.connect::<true>(1, 0).expect("connects");
    *bench.cut.borrow_mut() = true;
    assert_eq!(bridge.read32(0), Err(BridgeError::NoAnswer));
    *bench.cut.borrow_mut() = false;
    bench.board.borrow_mut().wide = false;
    assert_eq!(bridge.read32(0), Err(BridgeError::Format));
}

/// Any sequence of accesses over a bad line, checked against what each answer means: done, or perhaps done, and then as
/// a whole; never twice, never half, never something else.
#[test]
fn every_access_is_done_once_or_not_at_all() {
    let (mut failed, mut disturbed) = (0, 0);
    for seed in 1..=60 {
        println!("seed {seed}");
        let w = world();
        let bench = Bench::new(&w);
        let start = bench.board.borrow().region.0;
        let mut bridge = match bench.connect::<true>(seed, 300) {
            Ok(bridge) => bridge,
            Err(ConnectError::Access(BridgeError::NoAnswer)) => continue,
            Err(error) => panic!("{error:?}"),
        };
        let mut random = Random(seed + 1000);
        let mut known = [0u64; 16];
        let words =
            |w: &Shared| -> Vec<u64> { (0..16).map(|n| w.borrow().load(start + 8 * n)).collect() };
        for n in 0..16 {
            w.borrow_mut().store(start + 8 * n, 0);
        }
        for _ in 0..200 {
            let (at, value) = (random.below(16) as usize, random.below(u64::MAX));
            let pa = PhysAddr(start + 8 * at as u64);
            let before = bench.board.borrow().done.len();
            let mut wanted = known;
            let (op, result) = match random.below(3) {
                0 => {
                    let result = bridge.load64(pa);
                    assert!(result.is_err() || result == Ok(known[at]));
                    (frame::op::LOAD64, result.map(|_| ()))
                }
                1 => {
                    wanted[at] = value;
                    (frame::op::STORE64, bridge.store64(pa, value))
                }
                _ => {
                    wanted[at] = known[at] & !0xffff_ffff | value & 0xffff_ffff;
                    (frame::op::STORE32, bridge.store32(pa, value as u32))
                }
            };
            // After an access that was given up, the host asks who is there.
            let done: Vec<u8> = bench.board.borrow().done[before..]
                .iter()
                .map(|d| d.0)
                .filter(|&op| op != frame::op::IDENTIFY)
                .collect();
            let now = words(&w);
            match result {
                Ok(()) => assert_eq!((done, &now[..]), (vec![op], &wanted[..])),
                Err(BridgeError::NoAnswer) if done.is_empty() => assert_eq!(now, known),
                Err(BridgeError::NoAnswer) => {
                    assert_eq!((done, &now[..]), (vec![op], &wanted[..]))
                }
                Err(error) => panic!("{error:?}"),
            }
            failed += u32::from(result.is_err());
            disturbed += 1;
            known.copy_from_slice(&now);
        }
    }
    println!("{failed} of {disturbed} accesses failed");
    assert!(disturbed > 5000 && failed > 50 && failed < disturbed / 10);
}

/// claim, attach, map, detach, release on a board; each call's answer, and what a device reaches after it.
fn round(w: &Shared, iommu: &Iommu<impl platform::Platform>) -> Result<(), Error> {
    let dma = || w.borrow_mut().dma(DEV.0, IOVA, Dma::Read);
    iommu.add_device(DEV.into())?;
    let owned = iommu.group(DEV)?.claim(&owner(1))?;
    assert!(dma().is_err());
    let domain = iommu.paging_domain(DomainConfig::default())?;
    map(&domain, IOVA, PAGE, 4096, Perm::READ)?;
    let owned = owned.attach(domain).map_err(|e| e.error)?;
    assert_eq!(dma(), Ok(PAGE));
    assert_eq!(owned.domain().unmap(Iova(IOVA), 4096)?, 4096);
    assert!(dma().is_err());
    map(owned.domain(), IOVA, PAGE, 4096, Perm::READ)?;
    assert_eq!(dma(), Ok(PAGE));
    let (owned, domain) = owned.detach();
    assert!(dma().is_err() || iommu.health() == Health::Wedged);
    drop(domain);
    owned.release();
    Ok(())
}

#[test]
fn driver_over_a_good_line() {
    fn run<const WIDE: bool>() {
        let w = world();
        let bench = Bench::new(&w);
        let bridge = bench.connect::<WIDE>(1, 0).expect("connects");
        let config = Config {
            timeouts: bridge.timeouts(),
            ..Config::default()
        };
        let iommu = Iommu::new(bridge, config).expect("starts");
        assert_eq!(round(&w, &iommu), Ok(()));
        assert_eq!(iommu.health(), Health::Good);
        drop(iommu);
        assert_eq!(w.borrow().mode(), 0, "Off");
    }
    run::<true>();
    run::<false>();
}

/// A line that disturbs every fiftieth transmission costs time and nothing else: every request is asked again.
#[test]
fn driver_over_a_bad_line() {
    for seed in 1..=3 {
        println!("seed {seed}");
        let w = world();
        let bench = Bench::new(&w);
        let bridge = bench.connect::<false>(seed, 20).expect("connects");
        let config = Config {
            timeouts: bridge.timeouts(),
            ..Config::default()
        };
        let iommu = Iommu::new(bridge, config).expect("starts");
        assert_eq!(round(&w, &iommu), Ok(()));
        assert_eq!(iommu.health(), Health::Good);
    }
}

/// The plug is pulled in the middle of a session: calls end with EIO within their time, and detach hands the domain back.
#[test]
fn driver_over_a_line_that_is_cut() {
    let w = world();
    let bench = Bench::new(&w);
    let bridge = bench.connect::<false>(1, 0).expect("connects");
    let config = Config {
        timeouts: bridge.timeouts(),
        ..Config::default()
    };
    let iommu = Iommu::new(bridge, config).expect("starts");
    iommu.add_device(DEV.into()).unwrap();
    let owned = iommu.group(DEV).unwrap().claim(&owner(1)).unwrap();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    *bench.cut.borrow_mut() = true;
    let before = w.borrow().now;
    let refused = owned.attach(domain).expect_err("nobody there");
    assert_eq!(
        (refused.error, iommu.health()),
        (Error::Io, Health::Wedged),
        "what the board does is unknown"
    );
    assert!(w.borrow_mut().dma(DEV.0, IOVA, Dma::Read).is_err());
    drop((refused.guard, refused.target));
    let waited = w.borrow().now - before;
    assert!(waited < 20_000_000, "{waited} us");
}
