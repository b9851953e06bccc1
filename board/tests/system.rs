//! The demonstration system at its pins: every byte goes over the simulated serial line.

use portcullis::PhysAddr;
use portcullis::platform::{
    Bridge, BridgeError, ByteStream, DmaMemory, Line, Refusal, Registers, frame,
};
use portcullis_board::soc::line::{DIVIDER, Port, Simulated};
use portcullis_board::soc::map;
use portcullis_regmap::ddt::{Iosatp, Tc, dc, iosatp_mode};
use portcullis_regmap::pte::Pte;
use portcullis_regmap::regs::{Ddtp, iommu_mode, offset};

const HERTZ: u64 = 48_000_000;
type Board = Bridge<Port<Simulated>, true>;

fn port() -> Port<Simulated> {
    Port::new(Simulated::new(HERTZ, DIVIDER), HERTZ, DIVIDER)
}

fn line() -> Line {
    Line {
        answer_us: 200,
        tries: 2,
    }
}

fn board() -> Board {
    match Bridge::connect(port(), line()) {
        Ok(board) => board,
        Err((_, error)) => panic!("{error:?}"),
    }
}

fn load(board: &mut Board, address: u64) -> u64 {
    board.load64(PhysAddr(address)).expect("memory")
}

fn store(board: &mut Board, address: u64, value: u64) {
    board.store64(PhysAddr(address), value).expect("memory");
}

#[test]
fn it_says_who_it_is() {
    let mut board = board();
    assert_eq!(board.clock_hz(), HERTZ);
    let low = board.read32(offset::CAPABILITIES).expect("register");
    let config = portcullis_regmap::config::TINY;
    assert_eq!(u64::from(low), config.capabilities & 0xffff_ffff);
    assert_eq!(board.interrupts().expect("wires"), 0);
}

#[test]
fn memory_is_sparse_and_says_when_it_is_full() {
    let mut board = board();
    let refused = |r: Result<(), _>| matches!(r, Err(BridgeError::Refused(Refusal::Address)));
    let last = map::MEMORY + (1 << map::MEMORY_BITS) - 8;
    assert_eq!(load(&mut board, last), 0);
    store(&mut board, map::MEMORY, 0x7e7d_0123_4567_7e7d);
    store(&mut board, last, u64::MAX);
    assert_eq!(load(&mut board, map::MEMORY), 0x7e7d_0123_4567_7e7d);
    board.store32(PhysAddr(last + 4), 5).expect("half");
    assert_eq!(load(&mut board, last), 0x5_ffff_ffff);
    // Every piece can be had, and not one more. Zeros need none.
    for n in 2..map::PIECES {
        store(&mut board, map::MEMORY + n * map::PIECE, n);
    }
    let beyond = map::MEMORY + map::PIECES * map::PIECE;
    assert!(refused(board.store64(PhysAddr(beyond), 1)));
    store(&mut board, beyond, 0);
    assert_eq!(load(&mut board, beyond), 0);
    for n in 2..map::PIECES {
        assert_eq!(load(&mut board, map::MEMORY + n * map::PIECE), n);
    }
    // Nothing is there, or no doubleword.
    assert!(refused(board.store64(PhysAddr(map::MEMORY - 8), 1)));
    assert!(refused(board.store64(PhysAddr(last + 8), 1)));
    assert!(refused(board.store64(PhysAddr(map::MEMORY | 1 << 60), 1)));
    assert!(refused(board.store64(PhysAddr(map::MEMORY + 4), 1)));
    // Registers of the DMA engine are 8 bytes; what is refused is not done.
    store(&mut board, map::DMA_IOVA, 0x1234_0000);
    assert!(refused(board.store32(PhysAddr(map::DMA_IOVA), 1)));
    assert_eq!(load(&mut board, map::DMA_IOVA), 0x1234_0000);
    assert!(refused(board.store32(PhysAddr(map::DMA_CONTROL), 1)));
    assert_eq!(load(&mut board, map::DMA_CONTROL), 0);
    assert_eq!(load(&mut board, map::MEMORY), 0x7e7d_0123_4567_7e7d);
}

/// Sends a frame and returns the content of the answer, if one comes.
fn ask(port: &mut Port<Simulated>, bytes: &[u8]) -> Option<Vec<u8>> {
    let Ok(()) = port.write(bytes);
    let mut decoder = frame::Decoder::default();
    loop {
        let mut byte = [0];
        let Ok(count) = port.read(&mut byte, 100);
        if count == 0 {
            return None;
        }
        if let Some(content) = decoder.push(byte[0]) {
            return Some(content.to_vec());
        }
    }
}

#[test]
fn frames_are_those_of_the_page() {
    // docs/serial-bridge.md, with the example's answer to `identify`.
    let mut port = port();
    let answer = ask(&mut port, &[0x7e, 0x01, 0x01, 0x00, 0x37, 0x7a, 0x7e]);
    let expected = [
        0x81, 0x01, 0x00, 0x50, 0x43, 0x4c, 0x53, 0x01, 0x00, 0x01, 0x00,
    ];
    assert_eq!(answer.as_deref(), Some(&expected[..]));
    let unknown = frame::Encoded::new(&[0x55, 2]);
    assert_eq!(
        ask(&mut port, unknown.bytes()).as_deref(),
        Some(&[0xd5, 2, 1][..])
    );
    let short = frame::Encoded::new(&[frame::op::READ32, 3, 0]);
    assert_eq!(
        ask(&mut port, short.bytes()).as_deref(),
        Some(&[0x82, 3, 1][..])
    );
}

#[test]
fn garbage_is_survived_and_damaged_frames_do_nothing() {
    let mut port = port();
    let store = |value: u8| {
        let mut content = vec![frame::op::STORE64, value];
        content.extend((map::MEMORY).to_le_bytes());
        content.extend(u64::from(value).to_le_bytes());
        frame::Encoded::new(&content).bytes().to_vec()
    };
    assert!(ask(&mut port, &store(1)).is_some());
    // A break, a glitch, noise, a frame too long, a cut one, and single bits wrong.
    port.level(false, 200);
    port.level(true, 7);
    port.level(false, 1);
    port.level(true, 50);
    assert_eq!(ask(&mut port, &[0x55; 64]), None);
    assert_eq!(ask(&mut port, &store(2)[..9]), None);
    let whole = store(3);
    for bit in (8..(whole.len() - 1) * 8).step_by(41) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ask(&mut port, &damaged), None, "bit {bit}");
    }
    let mut load = vec![frame::op::LOAD64, 9];
    load.extend((map::MEMORY).to_le_bytes());
    let answer = ask(&mut port, frame::Encoded::new(&load).bytes()).expect("an answer");
    assert_eq!(answer[3..], 1u64.to_le_bytes());
}

#[test]
fn a_repeated_number_is_answered_again_and_not_carried_out_again() {
    let mut port = port();
    let store = |number: u8, value: u64| {
        let mut content = vec![frame::op::STORE64, number];
        content.extend((map::MEMORY).to_le_bytes());
        content.extend(value.to_le_bytes());
        frame::Encoded::new(&content).bytes().to_vec()
    };
    let done = [frame::ANSWER | frame::op::STORE64, 7, 0];
    assert_eq!(ask(&mut port, &store(7, 1)).as_deref(), Some(&done[..]));
    assert_eq!(ask(&mut port, &store(7, 2)).as_deref(), Some(&done[..]));
    let mut load = vec![frame::op::LOAD64, 8];
    load.extend((map::MEMORY).to_le_bytes());
    let load = frame::Encoded::new(&load);
    for _ in 0..2 {
        let answer = ask(&mut port, load.bytes()).expect("an answer");
        assert_eq!(answer[3..], 1u64.to_le_bytes());
    }
}

/// One access of 8 bytes by `device`; what the status says.
fn dma(board: &mut Board, device: u64, iova: u64, write: Option<u64>, more: u64) -> u64 {
    store(board, map::DMA_IOVA, iova);
    if let Some(value) = write {
        store(board, map::DMA_DATA, value);
    }
    let direction = if write.is_some() {
        map::CONTROL_WRITE
    } else {
        0
    };
    store(board, map::DMA_CONTROL, device | direction | (more << 32));
    load(board, map::DMA_CONTROL)
}

#[test]
fn dma_goes_where_the_page_table_says_and_nowhere_else() {
    let mut board = board();
    let page = |n: u64| map::MEMORY + (n << 12);
    let pointer = |n: u64| Pte::new().with_v(true).with_ppn(page(n) >> 12);
    let leaf = |ppn: u64| {
        let rights = Pte::new()
            .with_v(true)
            .with_r(true)
            .with_w(true)
            .with_u(true);
        rights.with_a(true).with_d(true).with_ppn(ppn).into_bits()
    };
    // Given device 3 with a page of its own at IOVA 0x1000 ...
    store(&mut board, page(1), pointer(2).into_bits());
    store(&mut board, page(2), pointer(3).into_bits());
    store(&mut board, page(3) + 8, leaf(page(5) >> 12));
    let context = page(0) + 3 * dc::BASE_BYTES;
    let root = Iosatp::new()
        .with_mode(iosatp_mode::SV39)
        .with_ppn(page(1) >> 12);
    store(&mut board, context + dc::FSC, root.into_bits());
    store(
        &mut board,
        context + dc::TC,
        Tc::new().with_v(true).into_bits(),
    );
    // ... and a directory of one level ...
    let ddtp = Ddtp::new()
        .with_iommu_mode(iommu_mode::LVL1)
        .with_ppn(page(0) >> 12);
    let ddtp = ddtp.into_bits();
    board
        .write32(offset::DDTP + 4, (ddtp >> 32) as u32)
        .expect("high half");
    board.write32(offset::DDTP, ddtp as u32).expect("low half");
    // ... its accesses reach that page ...
    assert_eq!(dma(&mut board, 3, 0x1010, Some(0xabcd), 2), 0);
    assert_eq!(load(&mut board, page(5) + 0x10), 0xabcd);
    assert_eq!(load(&mut board, page(5) + 0x20), 0xabcf);
    assert_eq!(load(&mut board, map::DMA_ADDRESS), page(5) + 0x20);
    assert_eq!(dma(&mut board, 3, 0x1018, None, 0), 0);
    assert_eq!(load(&mut board, map::DMA_DATA), 0xabce);
    // ... and nothing beside it, nor do those of another device.
    assert_eq!(dma(&mut board, 3, 0x2000, Some(1), 0), map::STATUS_REFUSED);
    assert_eq!(dma(&mut board, 4, 0x1010, Some(1), 0), map::STATUS_REFUSED);
    assert_eq!(load(&mut board, page(5) + 0x10), 0xabcd);
    // A page that the table puts where no memory is.
    store(&mut board, page(3) + 8 * 3, leaf(0x1000));
    assert_eq!(dma(&mut board, 3, 0x3000, None, 0), map::STATUS_NOWHERE);
}
