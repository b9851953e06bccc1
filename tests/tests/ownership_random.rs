//! Random calls for a long time, on the cycle-accurate hardware under devices that hammer (scenarios T15 and T78,
//! shortened; `PORTCULLIS_OWN_ROUNDS` sets the number of calls).

/// What holds something of a group, as in the tests on the model.
#[path = "../../firmware/tests/states/holders.rs"]
mod holders;
/// The same table that they follow, buffers and process ids included.
#[allow(dead_code)]
#[path = "../../firmware/tests/states/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};

use holders::{Domain, Guard, Holders, device, expected_status, kind};
use portcullis::platform::Platform;
use portcullis::{
    DeviceInfo, DeviceRegion, DeviceReset, DomainConfig, Health, Mode, Perm, Policy, RegionKind,
    Status,
};
use portcullis_regmap::Config;
use portcullis_regmap::config::{LINUX, TINY};
use portcullis_sim::own::load::Habits;
use portcullis_sim::own::paint::{Colour, Colours};
use portcullis_sim::own::stage::{Bus, Setting, Stage};
use portcullis_tests::ownership::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use table::{DEVICES, Kind, Op, Place, Wish};

/// A device that asks for something. What lies in the direct region is not looked at here.
fn info(n: usize, wish: Wish) -> DeviceInfo {
    const DIRECT: &[DeviceRegion] = &[DeviceRegion {
        start: 0x20_0000_0000,
        bytes: 0x1000,
        kind: RegionKind::Direct(Perm::READ),
    }];
    let identity = Policy::Identity(token());
    let mut info = DeviceInfo::from(device(n));
    match wish {
        Wish::Nothing | Wish::Reserved => {}
        Wish::Direct => info.regions = DIRECT,
        Wish::Dma => info.policy = Policy::Dma,
        Wish::Identity => info.policy = identity,
        Wish::Untrusted => info.untrusted = true,
        Wish::UntrustedIdentity => (info.untrusted, info.policy) = (true, identity),
    }
    info
}

/// A call, by numbers below what `below` is given.
fn choose<P: Platform>(mut below: impl FnMut(u64) -> u64, spare: &[(Domain<'_, P>, Place)]) -> Op {
    let place = spare[below(spare.len() as u64) as usize].1;
    let (n, o) = (below(DEVICES as u64) as usize, 1 + below(2));
    let kinds = [Kind::Blocked, Kind::Identity, Kind::Dma, Kind::DmaFq];
    match below(30) {
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
        20..=22 => Op::Add(
            n,
            match below(16) {
                0 => Wish::Direct,
                1 => Wish::Dma,
                2 => Wish::Identity,
                3 => Wish::Untrusted,
                4 => Wish::UntrustedIdentity,
                _ => Wish::Nothing,
            },
        ),
        23 => Op::Remove(n),
        24 => Op::Gone(n),
        25 => Op::ResetBegin(n),
        26..=28 => Op::ResetEnd(n),
        _ => Op::SetType(kinds[below(4) as usize]),
    }
}

/// What each engine may reach during a call and after it.
struct Plan {
    engine: usize,
    during: Colours,
    after: Colours,
}

fn judged<T>(stage: &Stage, name: &str, plan: &[Plan], call: &mut dyn FnMut() -> T) -> T {
    match plan.split_first() {
        None => call(),
        Some((first, rest)) => {
            let (during, after) = (first.during, first.after);
            stage.call(name, &[first.engine], during, after, || {
                judged(stage, name, rest, call)
            })
        }
    }
}

/// A cell of the table: a call in a state.
fn cell(op: Op, group: &table::Group) -> String {
    let name = format!("{op:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default();
    format!("{name} in {:?}", group.state())
}

/// A random call, one that was not made in this state before if a few dice find it, nor is among those just found to have no
/// way to be written. Few calls must go a long way: what leaves a state is thrown in more often.
fn next_call(
    mut below: impl FnMut(u64) -> u64,
    spare: &[(Domain<'_, Bus>, Place)],
    group: &table::Group,
    cells: &BTreeSet<String>,
    unwritable: &BTreeSet<String>,
) -> Op {
    for _ in 0..32 {
        let op = choose(&mut below, spare);
        let cell = cell(op, group);
        if !cells.contains(&cell) && !unwritable.contains(&cell) {
            return op;
        }
    }
    let leave = [
        Op::Detach,
        Op::Unuse,
        Op::Release,
        Op::ReleaseDevice,
        Op::Gone(below(DEVICES as u64) as usize),
    ];
    match below(8) {
        n @ 0..=4 => leave[n as usize],
        _ => choose(below, spare),
    }
}

/// Given a group in any state, three devices that hammer, and the table of section 2.3; when a random call is made; then
/// it answers what the table says, takes the waits it says, and each device reaches what the table says, during and
/// after it; a call that answers an error stores nothing and writes no register.
fn calls_agree_with_the_table(
    config: &'static Config,
    seed: u64,
    calls: u64,
    initial: Kind,
) -> BTreeSet<String> {
    let machine = |seed| {
        stage(Setting {
            pages: 3,
            habits: Habits {
                delay: 40,
                outstanding: 3,
                ..Habits::default()
            },
            ..setting(config, seed)
        })
    };
    let (stage, elsewhere) = (machine(seed), machine(seed + 1));
    let mut iommu = stage.start(driver(kind(initial))).expect("starts");
    let stranger = elsewhere
        .start(driver(kind(Kind::Blocked)))
        .expect("starts");
    let admin = iommu.admin_token();
    let iommu = &iommu;
    let identity = stage.identity();
    // Colours by the name that the table has for them, with their frames. Sv48 where the hardware has it.
    let last = if config.capabilities().sv48() { 6 } else { 4 };
    let painted: BTreeMap<u64, (Colour, Vec<(u64, u64)>)> = (0..last)
        .map(|n| (n, stage.paint(&format!("colour {n}"))))
        .collect();
    let make = |place| match place {
        Place::User { colour, deep } => {
            let mode = if deep { Mode::Sv48 } else { Mode::Sv39 };
            let domain = iommu.paging_domain(DomainConfig { mode }).expect("room");
            map_frames(&domain, &painted[&colour].1);
            domain
        }
        _ => stranger
            .paging_domain(DomainConfig::default())
            .expect("room"),
    };
    let reached = |group: &table::Group, n: usize| match group.current {
        Place::User { colour, .. } if group.devices[n] && !group.resetting[n] => painted[&colour].0,
        Place::Identity if group.devices[n] && !group.resetting[n] => identity,
        _ => BLOCKED,
    };
    let engines: Vec<usize> = (0..DEVICES)
        .map(|n| stage.engine(device(n).0, BLOCKED))
        .collect();
    // A name from before: the group is in S0. Nothing is judged yet.
    stage.with(|_, scene| {
        engines
            .iter()
            .for_each(|e| scene.load.engine_mut(*e).running = false)
    });
    let id = iommu.add_device(device(0).into()).unwrap();
    let group = iommu.group(id).unwrap();
    iommu.remove_device(device(0)).unwrap();
    stage.with(|_, scene| {
        engines
            .iter()
            .for_each(|e| scene.load.engine_mut(*e).running = true)
    });
    let spare = (0..last).map(|colour| Place::User {
        colour,
        deep: colour >= 4,
    });
    let mut rig = Holders {
        iommu,
        admin: &admin,
        make: &make,
        info,
        group,
        users: Vec::new(),
        managed: None,
        guard: Guard::None,
        claims: Vec::new(),
        spare: spare.map(|place| (make(place), place)).collect(),
        held: Place::Blocked,
        resets: [const { None::<DeviceReset<'_, Bus>> }; DEVICES],
    };
    let mut model = table::Group::new(initial, false);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: u64| u64::from(rng.next_u32()) % n;
    let (mut made, mut cells) = (0, BTreeSet::new());
    // Since the last call that was made: without them the dice would go for them again and again, as they are never made.
    let mut unwritable = BTreeSet::new();
    while made < calls {
        if below(4) == 0 {
            rig.take_guard();
        }
        let op = next_call(&mut below, &rig.spare, &model, &cells, &unwritable);
        if model.owner.is_none() {
            rig.claims.clear();
        }
        let grows = matches!(op, Op::UseDefault | Op::ClaimDevice(..));
        if grows && model.n > 5 {
            continue;
        }
        let (mut next, context) = (
            model.clone(),
            format!("call {made} of seed {seed}: {op:?} in {model:?}"),
        );
        let answer = next.step(op);
        let plan: Vec<Plan> = (0..DEVICES)
            .map(|n| {
                let (old, new) = (reached(&model, n), reached(&next, n));
                // A hitless replacement refuses nothing. What changes nothing disturbs nothing.
                let keeps = matches!(op, Op::ReplaceHitless(_)) || old == new && answer.1 == 0;
                let during = Colours::from([old, new]);
                Plan {
                    engine: engines[n],
                    during: if keeps { during } else { during.or(BLOCKED) },
                    after: new.into(),
                }
            })
            .collect();
        let (waits, before) = (
            iommu.stats().fence_waits,
            stage.with(|_, s| s.monitor.footprint()),
        );
        let Some(answered) = judged(&stage, &context, &plan, &mut || rig.call(op)) else {
            // The types leave no way to write it: nothing has happened.
            unwritable.insert(cell(op, &model));
            for (n, engine) in engines.iter().enumerate() {
                let same = reached(&model, n);
                stage.call("not a call", &[*engine], same, same, || ());
            }
            continue;
        };
        assert_eq!(
            (answered, iommu.stats().fence_waits - waits),
            answer,
            "{context}"
        );
        if answered.is_err() {
            let after = stage.with(|_, scene| scene.monitor.footprint());
            assert_eq!(
                (after.stores, after.writes),
                (before.stores, before.writes),
                "{context}"
            );
        }
        cells.insert(cell(op, &model));
        unwritable.clear();
        model = next;
        made += 1;
        assert_eq!(rig.group.status(), expected_status(&model), "{context}");
        if rig.group.status() == Status::Empty {
            rig.bury();
        } else {
            assert_eq!(rig.group.users(), model.n, "{context}");
        }
        run(&stage, 30 + below(60));
        if let Some(wrong) = stage.wrong() {
            panic!("{wrong}\n{context}");
        }
    }
    assert_eq!(iommu.health(), Health::Good);
    stage.drain().expect("no hang");
    stage.verdict();
    cells
}

/// T53: none of all these calls leads to a command of a second stage, which the watcher on the bus would report.
#[test]
fn t_15_53_random_calls_agree_with_the_table() {
    let mut cells = BTreeSet::new();
    for (config, seed, kind, share) in [
        (&TINY, 15, Kind::Dma, 4),
        (&TINY, 16, Kind::Identity, 4),
        (&LINUX, 17, Kind::Blocked, 8),
        (&LINUX, 18, Kind::DmaFq, 8),
    ] {
        cells.extend(calls_agree_with_the_table(
            config,
            seed,
            rounds(400) / share,
            kind,
        ));
    }
    println!("{} cells of the table", cells.len());
    assert!(rounds(400) < 400 || cells.len() >= 60, "{cells:?}");
}

/// Given a group that changes hands at random; then each kind of call leaves the same words on the bus every time, and
/// after each round the driver holds as many pages as before the first.
#[test]
fn t_78_random_transitions_do_not_drift() {
    let stage = small(&TINY, 78);
    let (iommu, dev) = begin(&stage, driver(kind(Kind::Dma)));
    iommu.add_device(DEV.into()).unwrap();
    let colours = ["red", "blue"].map(|name| stage.paint(name));
    let make = |n: usize| {
        let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
        map_frames(&domain, &colours[n].1);
        domain
    };
    let mut rng = ChaCha8Rng::seed_from_u64(78);
    let mut below = |n: u64| u64::from(rng.next_u32()) % n;
    let mut traces: BTreeMap<&'static str, (Vec<&'static str>, u64)> = BTreeMap::new();
    let mut note = |name: &'static str| {
        let words = bus(&stage, name);
        let (first, times) = traces.entry(name).or_insert_with(|| (words.clone(), 0));
        assert_eq!(words, *first, "{name}");
        *times += 1;
    };
    let held = || stage.with(|_, scene| scene.monitor.footprint().pages);
    let before = held();
    for round in 0..rounds(16) {
        let group = iommu.group(DEV).unwrap();
        let guard = stage.call("claim", &[dev], BLOCKED, BLOCKED, || {
            group.claim(&owner(1 + round)).unwrap()
        });
        note("claim");
        let mut now = below(2) as usize;
        let is = |n: usize| colours[n].0;
        let domain = make(now);
        let mut guard = stage.call("attach", &[dev], [BLOCKED, is(now)], is(now), || {
            guard.attach(domain).unwrap()
        });
        note("attach");
        for _ in 0..below(4) {
            run(&stage, below(80));
            let domain = make(1 - now);
            let (old, new) = (is(now), is(1 - now));
            let replaced = stage.call("replace", &[dev], [old, new], new, || {
                guard.replace_hitless(domain).unwrap()
            });
            note("replace");
            (guard, now) = (replaced.0, 1 - now);
        }
        run(&stage, below(80));
        let either = [is(now), BLOCKED];
        if below(2) == 0 {
            stage.call("release attached", &[dev], either, BLOCKED, || {
                guard.release()
            });
            note("release attached");
        } else {
            let (guard, domain) = stage.call("detach", &[dev], either, BLOCKED, || guard.detach());
            note("detach");
            drop(domain);
            run(&stage, below(80));
            stage.call("release", &[dev], BLOCKED, BLOCKED, || guard.release());
            note("release");
        }
        assert_eq!(held(), before, "round {round}");
    }
    let expected = [
        ("attach", publish()),
        ("claim", block()),
        ("detach", block()),
        ("release", publish()),
        ("release attached", [block(), publish()].concat()),
        ("replace", swap()),
    ];
    let traces: Vec<_> = traces
        .into_iter()
        .map(|(name, (words, _))| (name, words))
        .collect();
    assert_eq!(traces, expected);
    assert!(stage.count(dev, colours[0].0) > 0 && stage.count(dev, colours[1].0) > 0);
    end(&stage, iommu);
}
