//! Simulated cycles per second of real time, of the whole harness around each configuration: idle, with a hit in every
//! cycle, and with a miss in every request. On back end `verilog` too, if its tools are there.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_regmap::CONFIGS;
use portcullis_sim::backend::Backend;
use portcullis_sim::core::{Access, Kind, RegAccess, Request};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};

/// Cycles of one measured piece.
const CYCLES: u64 = 1000;

fn request(page: u64) -> Request {
    Request {
        tag: 0,
        device_id: 1,
        process_id: None,
        privileged: false,
        access: Access::Read,
        kind: Kind::Untranslated,
        iova: page << 12,
    }
}

/// Sets ddtp.
fn mode(harness: &mut Harness, ddtp: u64) {
    let write = RegAccess {
        write: true,
        offset: 16,
        wide: true,
        data: ddtp,
    };
    harness.register(write).expect("a register write");
    harness.advance(100).expect("no hang");
}

/// Offers requests for [`CYCLES`] cycles and takes the answers.
fn offer(harness: &mut Harness) {
    for page in 0..CYCLES {
        // No more than the port can take at once, so that none is left over.
        if harness.outstanding() < 8 {
            harness.submit(request(page));
        }
        harness.step().expect("no hang");
        while harness.take_finished().is_some() {}
    }
}

fn speed(criterion: &mut Criterion) {
    for backend in [Backend::Rtl, Backend::Verilog] {
        if let Err(missing) = backend.available() {
            eprintln!("{missing}");
            continue;
        }
        for config in CONFIGS {
            let core = || backend.core(config).expect("a core");
            let harness = || Harness::new(core(), Memory::new(Timing::default()));
            let mut group = criterion.benchmark_group(format!("{backend:?} {}", config.name));
            group
                .throughput(Throughput::Elements(CYCLES))
                .sample_size(10);
            let mut idle = harness();
            group.bench_function("idle", |bencher| {
                bencher.iter(|| idle.advance(CYCLES).expect("no hang"));
            });
            // Bare: every request is answered without a walk.
            let mut busy = harness();
            mode(&mut busy, 1);
            group.bench_function("a request per cycle", |bencher| {
                bencher.iter(|| offer(&mut busy));
            });
            // An empty directory: every request walks, and is refused.
            let mut walking = harness();
            mode(&mut walking, 2);
            group.bench_function("a walk per request", |bencher| {
                bencher.iter(|| offer(&mut walking));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, speed);
criterion_main!(benches);
