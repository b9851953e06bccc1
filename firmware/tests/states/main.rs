//! Scenario T15: random calls compared with the table of section 2.3. 100 000 of them, or as many as
//! `PORTCULLIS_CALLS` says.

#[path = "../common/mod.rs"]
mod common;
mod holders;
mod rig;
mod table;

use std::collections::BTreeSet;

use common::*;
use holders::{Guard, Holders, device, expected_status, kind};
use portcullis::*;
use rig::{Held, PROBE, REGION, Rig, SECOND, colour, domain, info, unfit};
use table::{DEVICES, Kind, Op, Place, QUEUE, State, Wish};

fn choose(random: &mut Random, rig: &mut Rig<'_>) -> Op {
    let mut any = |n: usize| random.below(n as u64) as usize;
    let place = rig.spare[any(rig.spare.len())].1;
    let (n, o) = (any(DEVICES), 1 + any(2) as u64);
    let kinds = [Kind::Blocked, Kind::Identity, Kind::Dma, Kind::DmaFq];
    let buffer = (!rig.buffers.is_empty()).then(|| &rig.buffers[any(rig.buffers.len())]);
    let attached = rig.processes.iter().map(|p| (p.id, p.place));
    let attached: Vec<_> = attached.collect();
    let process = (!attached.is_empty()).then(|| attached[any(attached.len())]);
    let waiting = any(3) == 0;
    match any(44) {
        0..=2 => Op::UseDefault,
        3 => Op::Unuse,
        4 | 5 => Op::Claim(o),
        6 | 7 => Op::ClaimDevice(n, o),
        8 | 9 => Op::ReleaseDevice,
        10 => Op::Release,
        11..=13 => Op::Attach(place),
        14 => Op::AttachUnfit,
        15 | 16 => Op::Replace(place),
        17 | 18 => Op::ReplaceHitless(place),
        19 => Op::Detach,
        // Most devices ask for nothing: one that cannot be blocked keeps owners away.
        20..=22 => Op::Add(
            n,
            [
                Wish::Direct,
                Wish::Reserved,
                Wish::Dma,
                Wish::Identity,
                Wish::Untrusted,
                Wish::UntrustedIdentity,
            ]
            .get(any(24))
            .copied()
            .unwrap_or(Wish::Nothing),
        ),
        23 => Op::Remove(n),
        24 => Op::Gone(n),
        25 => Op::ResetBegin(n),
        26..=28 => Op::ResetEnd(n),
        29 => Op::SetType(kinds[any(4)]),
        30..=35 => match buffer {
            // Few at a time, so that their addresses stay below what domains map.
            None => Op::DmaMap,
            Some(_) if rig.buffers.len() < 6 && any(2) == 0 => Op::DmaMap,
            Some(kept) => match &kept.state {
                Held::Mapped(_) if waiting => Op::DmaUnmap(kept.mapping),
                Held::Mapped(_) => Op::DmaUnmapLater(kept.mapping),
                Held::Pending(_) if waiting => Op::DmaWait(kept.mapping),
                Held::Pending(_) => Op::DmaTake(kept.mapping),
            },
        },
        36..=39 => {
            // Also of domains that are attached.
            let in_guard = rig.managed.is_some() || matches!(rig.guard, Guard::Attached(_));
            let place = match (any(3), process) {
                (0, _) if in_guard => rig.held,
                (1, Some((_, place))) => place,
                _ => place,
            };
            let mapped = rig.second.contains(&colour(place));
            match any(5) {
                0 | 1 => Op::Map(place, mapped),
                2 => Op::Unmap(place, mapped),
                3 => Op::UnmapDeferred(place, mapped),
                _ => Op::Flush(place),
            }
        }
        40 | 41 => {
            rig.made += 1;
            // Some spare domains are left for the others.
            match process {
                Some((id, _)) if rig.spare.len() < 4 => Op::DetachPasid(id),
                _ => Op::AttachPasid([0, 1, 1, 2, 255, 256][any(6)], rig.made, place),
            }
        }
        42 => process.map_or(Op::Unuse, |(id, _)| Op::ReplacePasid(id, place)),
        _ => process.map_or(Op::Unuse, |(id, _)| Op::DetachPasid(id)),
    }
}

fn random_calls(
    seed: u64,
    calls: u64,
    initial: Kind,
    directory: bool,
) -> BTreeSet<(String, State)> {
    let (w, other) = (world(), world());
    // Sv48, and process ids of 8 bits.
    w.borrow_mut().capabilities |= 1 << 10 | u64::from(directory) << 38;
    w.borrow_mut().identity_wanted = true;
    let config = Config {
        default_domain: kind(initial),
        flush_queue: QUEUE,
        ..Config::default()
    };
    let mut iommu = start(&w, config);
    let stranger = start(&other, Config::default());
    let admin = iommu.admin_token();
    let iommu = &iommu;
    let spare = (0..8).map(|n| Place::User {
        colour: 0x10_0000 + (n << 16),
        deep: n >= 5,
    });
    let spare = spare.map(|place| (domain(iommu, place), place)).collect();
    // A name from before: the group is in S0.
    let id = iommu.add_device(device(0).into()).unwrap();
    let group = iommu.group(id).unwrap();
    iommu.remove_device(device(0)).unwrap();
    let make = |place| match place {
        Place::Blocked => unfit(&stranger),
        _ => domain(iommu, place),
    };
    let holders = Holders {
        iommu,
        admin: &admin,
        make: &make,
        info,
        group,
        users: Vec::new(),
        managed: None,
        guard: Guard::None,
        claims: Vec::new(),
        spare,
        held: Place::Blocked,
        resets: [const { None }; DEVICES],
    };
    let mut rig = Rig {
        holders,
        buffers: Vec::new(),
        processes: Vec::new(),
        second: BTreeSet::new(),
        made: 0,
        freed: Vec::new(),
    };
    let mut model = table::Group::new(initial, directory);
    let (mut random, mut made, mut cells) = (Random(seed), 0, BTreeSet::new());
    while made < calls {
        if random.below(4) == 0 {
            rig.take_guard();
        }
        let op = choose(&mut random, &mut rig);
        let grows = matches!(op, Op::UseDefault | Op::ClaimDevice(..));
        // Claims of an ownership that is over count nothing: they are dropped, and nothing may change.
        if model.owner.is_none() {
            rig.claims.clear();
        }
        // A driver whose sibling has a domain attached may go while that stays; the table speaks of the other.
        if grows && model.n > 5 {
            continue;
        }
        let (state, before) = (model.state(), iommu.stats().fence_waits);
        model.second = rig.second.iter().copied().collect();
        let Some(answer) = rig.call(op, &model) else {
            continue;
        };
        made += 1;
        let context = format!("call {made} of seed {seed}: {op:?} in {model:?}");
        let waits = iommu.stats().fence_waits - before;
        assert_eq!((answer, waits), model.step(op), "{context}");
        assert_eq!(rig.group.status(), expected_status(&model), "{context}");
        if model.state() != State::S0 {
            assert_eq!(rig.group.users(), model.n, "{context}");
        } else {
            rig.bury();
        }
        look(&w, &mut rig, &model, &context);
        let name = format!("{op:?}");
        let name = name.split(['(', ' ']).next().unwrap_or_default();
        // What a device asks for, and what comes of it, makes a cell of its own.
        let name = match op {
            Op::Add(_, wish) => format!("{name} {wish:?} {:?}", answer.is_ok()),
            _ => name.to_string(),
        };
        cells.insert((name, state));
    }
    assert_eq!(iommu.health(), Health::Good);
    cells
}

/// What every device reaches, by all its ways.
fn look(w: &Shared, rig: &mut Rig<'_>, model: &table::Group, context: &str) {
    let read = |n: usize, pasid, iova| {
        let mut world = w.borrow_mut();
        world.dma_of(device(n).0, pasid, iova, Dma::Read)
    };
    let own = match model.current {
        Place::Blocked if model.processes.is_empty() => Err(258),
        Place::Blocked => Err(266),
        Place::Identity => Ok(PROBE),
        Place::Empty => Err(13),
        Place::User { colour, .. } => Ok(colour),
    };
    for n in 0..DEVICES {
        let there = model.devices[n] && !model.resetting[n];
        let expect = |reached| if there { reached } else { Err(258) };
        assert_eq!(read(n, None, PROBE), expect(own), "device {n}, {context}");
        for pasid in [1, 2].into_iter().filter(|_| model.directory) {
            let process = model.processes.iter().find(|p| p.pasid == pasid);
            let reached = match process {
                Some(process) => Ok(colour(process.place)),
                None if model.is_open() => Err(266),
                None => Err(258),
            };
            let got = read(n, Some(pasid), PROBE);
            assert_eq!(got, expect(reached), "device {n}, {pasid}, {context}");
        }
        // What must stay mapped in the default domain, and what never may be.
        let region = match model.current {
            Place::Identity => Ok(REGION),
            Place::Empty if model.direct => Ok(REGION),
            Place::User { .. } | Place::Empty => Err(13),
            Place::Blocked => own,
        };
        assert_eq!(
            read(n, None, REGION),
            expect(region),
            "device {n}, {context}"
        );
        for kept in &rig.buffers {
            let led = model.finds(kept.mapping).0;
            if there && led && matches!(kept.state, Held::Mapped(_)) {
                assert_eq!(read(n, None, kept.iova), Ok(kept.pa), "{context}");
            }
        }
        // Whoever has a buffer again may write it: no device reaches it, except by identity.
        for &(iova, pa) in &rig.freed {
            let got = read(n, None, iova);
            let identity = model.current == Place::Identity;
            assert!(identity || got != Ok(pa), "{context}");
        }
        if let Place::User { colour, .. } = model.current
            && rig.second.contains(&colour)
        {
            assert_eq!(
                read(n, None, SECOND),
                expect(Ok(colour + 0x1000)),
                "{context}"
            );
        }
    }
    rig.freed.clear();
}

#[test]
fn t15_calls_agree_with_the_table() {
    let calls = std::env::var("PORTCULLIS_CALLS").ok();
    let calls = calls.and_then(|n| n.parse().ok()).unwrap_or(100_000u64);
    let kinds = [Kind::Dma, Kind::Blocked, Kind::Identity, Kind::DmaFq];
    let mut cells = BTreeSet::new();
    let runs = kinds.map(|kind| [(kind, false), (kind, true)]);
    for (seed, (kind, directory)) in (1..).zip(runs.into_iter().flatten()) {
        let seed = seed * 0x9e37_79b9;
        cells.extend(random_calls(seed, calls.div_ceil(8), kind, directory));
    }
    println!("{} cells of the table", cells.len());
    assert!(
        calls < 20_000 || cells.len() >= 220,
        "{} cells: {cells:?}",
        cells.len()
    );
}
