//! Page-table edits at random against a plain map of pages.

mod common;

use std::collections::BTreeMap;

use common::*;
use portcullis::*;
use portcullis_regmap::command::Op;

const DEV: DeviceId = DeviceId(0x25);
const PAGE: usize = 0x1000;

fn dma(w: &Shared, iova: u64, kind: Dma) -> Result<u64, u16> {
    w.borrow_mut().dma(DEV.0, iova, kind)
}

/// Random maps and unmaps against a plain map of pages, seen through devices whose caches forget as little as they may.
fn random_edits<const WIDE: bool>(seed: u64, config: Config, extra_capabilities: u64) {
    random_edits_in::<WIDE>(&world(), seed, config, extra_capabilities);
}

fn random_edits_in<const WIDE: bool>(
    w: &Shared,
    seed: u64,
    config: Config,
    extra_capabilities: u64,
) {
    w.borrow_mut().capabilities |= extra_capabilities;
    let iommu = Iommu::<_, 16>::with_capacity(Machine::<WIDE>(w.clone()), config).unwrap();
    iommu.add_device(DEV.into()).unwrap();
    let used = w.borrow().used();
    let domain = iommu.paging_domain(DomainConfig::default()).unwrap();
    let owned = iommu
        .group(DEV)
        .unwrap()
        .claim(&owner(1))
        .unwrap()
        .attach(domain)
        .unwrap();
    let mut pages = BTreeMap::<u64, u64>::new();
    let mut random = Random(seed);
    for step in 0..400 {
        let len = (random.below(40) + 1) << [0, 0, 0, 4, 9][random.below(5) as usize];
        let iova = random.below(4096) & !([0, 0xf, 0x1ff][random.below(3) as usize]);
        let bytes = (len as usize) * PAGE;
        if random.below(2) == 0 {
            let pa = 0x100_0000 + (iova & 0x1ff) + (random.below(1 << 16) & !0x1ff);
            let taken = pages.range(iova..iova + len).next().is_some();
            let result = map(
                owned.domain(),
                iova << 12,
                pa << 12,
                bytes,
                Perm::READ_WRITE,
            );
            let expected = if taken {
                Err(Error::AddressInUse)
            } else {
                Ok(())
            };
            assert_eq!(result, expected, "seed {seed} step {step}");
            if !taken {
                pages.extend((0..len).map(|n| (iova + n, pa + n)));
            }
        } else {
            let removed = owned.domain().unmap(Iova(iova << 12), bytes).unwrap();
            // Superpages that lie in the range in part stay, so ask the domain; the sum must agree.
            let gone: Vec<_> = (iova..iova + len)
                .filter(|n| {
                    pages.contains_key(n) && owned.domain().translate(Iova(n << 12)).is_none()
                })
                .collect();
            assert_eq!(removed, gone.len() * PAGE, "seed {seed} step {step}");
            pages.retain(|n, _| !gone.contains(n));
        }
        for _ in 0..60 {
            let iova = random.below(26000);
            let expected = pages.get(&iova).map(|pa| pa << 12).ok_or(15);
            assert_eq!(
                dma(w, iova << 12, Dma::Write),
                expected,
                "seed {seed} step {step} iova {iova:#x}"
            );
        }
    }
    assert_eq!(iommu.health(), Health::Good);
    drop(owned);
    assert_eq!(w.borrow().used(), used);
    assert!(
        w.borrow()
            .executed
            .iter()
            .any(|op| matches!(op, Op::Iotinval { addr: Some(_), .. }))
    );
}

#[test]
fn random_edits_wide_stores() {
    (1..=8).for_each(|seed| {
        random_edits::<true>(
            seed,
            Config {
                table_chunk: 1,
                ..dma_default()
            },
            0,
        )
    });
}

#[test]
fn random_edits_narrow_stores() {
    (1..=5).for_each(|seed| {
        random_edits::<false>(
            seed,
            Config {
                table_chunk: 1,
                ..dma_default()
            },
            0,
        )
    });
}

#[test]
fn random_edits_napot_and_ranges() {
    let config = Config {
        table_chunk: 1,
        napot: true,
        ..dma_default()
    };
    (1..=5).for_each(|seed| random_edits::<true>(seed, config, 1 << 43));
}

/// A processor cache that the IOMMU does not see, and queues so small that they wrap in every batch.
#[test]
fn random_edits_noncoherent() {
    for seed in 1..=8 {
        let w = world();
        w.borrow_mut().noncoherent = true;
        let config = Config {
            table_chunk: 1,
            command_queue: 1 << (seed % 4),
            fault_queue: 4,
            ..dma_default()
        };
        random_edits_in::<true>(&w, seed, config, 1 << 43);
    }
}
