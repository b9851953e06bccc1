//! Simulated cycles per second of the whole harness around the Rust HDL: idle, and with a hit in every cycle.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_regmap::config::TINY;
use portcullis_sim::backend::Backend;
use portcullis_sim::core::{Access, Kind, RegAccess, Request};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};

/// Cycles of one measured piece.
const CYCLES: u64 = 1000;

fn harness() -> Harness {
    let core = Backend::Rtl.core(&TINY).expect("a core");
    Harness::new(core, Memory::new(Timing::default()))
}

fn speed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycles");
    group
        .throughput(Throughput::Elements(CYCLES))
        .sample_size(10);
    let mut idle = harness();
    group.bench_function("idle", |bencher| {
        bencher.iter(|| idle.advance(CYCLES).expect("no hang"))
    });

    let mut busy = harness();
    // ddtp Bare: every request is answered without a walk.
    let bare = RegAccess {
        write: true,
        offset: 16,
        wide: true,
        data: 1,
    };
    busy.register(bare).expect("a register write");
    group.bench_function("a request per cycle", |bencher| {
        bencher.iter(|| {
            for page in 0..CYCLES {
                busy.submit(Request {
                    tag: 0,
                    device_id: 1,
                    process_id: None,
                    privileged: false,
                    access: Access::Read,
                    kind: Kind::Untranslated,
                    iova: page << 12,
                });
            }
            busy.finish_requests().expect("no hang");
            while busy.take_finished().is_some() {}
        });
    });
    group.finish();
}

criterion_group!(benches, speed);
criterion_main!(benches);
