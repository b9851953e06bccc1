//! Two devices are brought up, one is handed to an owner and comes back, on the cycle-accurate hardware:
//! `cargo run --release --example walkthrough -p portcullis-sim`.
//!
//! Both devices read without a pause, also while the driver works. After every step this prints what their reads reached
//! while it went on and what they reach after it, and ends with an error if that is anything but the memory before, the
//! memory after, or nothing.

use std::process::ExitCode;

use portcullis::{
    Config, DeviceId, DomainConfig, Error, Health, Iommu, Iova, OwnedGroup, Owner, PagingDomain,
    Perm, PhysAddr, platform::Platform,
};
use portcullis_regmap::config::TINY;
use portcullis_sim::backend::rtl;
use portcullis_sim::core::{Access, Kind, Request};
use portcullis_sim::harness::Harness;
use portcullis_sim::memory::{Memory, Timing};
use portcullis_sim::platform::{Frames, SimPlatform};

const NIC: DeviceId = DeviceId(5);
const DISK: DeviceId = DeviceId(6);
/// Where all buffers are, as the devices see it.
const IOVA: u64 = 0x4000_0000;
const BYTES: usize = 0x10_0000;
/// Reads that each device has on the way or in its queue when a step begins.
const READS: u64 = 24;

/// Whose memory a read reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Nothing,
    NicDriver,
    DiskDriver,
    Guest,
    NextGuest,
    /// None of the above: must not happen.
    Other(u64),
}

use Reached::*;

impl Reached {
    /// Physical address of the memory.
    fn memory(self) -> PhysAddr {
        PhysAddr(match self {
            NicDriver => 0x1000_0000,
            DiskDriver => 0x2000_0000,
            Guest => 0x3000_0000,
            NextGuest => 0x4000_0000,
            Nothing | Other(_) => 0,
        })
    }

    fn of(pa: u64) -> Self {
        [NicDriver, DiskDriver, Guest, NextGuest]
            .into_iter()
            .find(|r| (r.memory().0..r.memory().0 + BYTES as u64).contains(&pa))
            .unwrap_or(Other(pa))
    }
}

/// The hardware with its devices.
struct Board {
    platform: SimPlatform,
    /// What the devices reach at rest: NIC, disk.
    now: [Reached; 2],
}

impl Board {
    /// Runs a step of the driver while both devices read, and tells what they reached. `then` is what they are to reach
    /// after it.
    fn step<R>(
        &mut self,
        what: &str,
        then: [Reached; 2],
        work: impl FnOnce() -> R,
    ) -> Result<R, String> {
        let (from, waited) = {
            let mut world = self.platform.world();
            for n in 0..2 * READS {
                let device = if n % 2 == 0 { NIC } else { DISK };
                world.harness.submit(Request {
                    tag: 0,
                    device_id: device.0,
                    process_id: None,
                    privileged: false,
                    access: Access::Read,
                    kind: Kind::Untranslated,
                    iova: IOVA + (n * 64) % BYTES as u64,
                });
            }
            (world.harness.cycle(), world.fence_wait_cycles())
        };
        let result = work();
        let mut world = self.platform.world();
        let until = world.harness.cycle();
        let waited = world.fence_wait_cycles() - waited;
        println!(
            "\n{what}: {} cycles, {waited} of them waiting for fences",
            until - from
        );
        world
            .run(Harness::finish_requests)
            .map_err(|failure| failure.to_string())?;
        let mut during: [Vec<(Reached, u32)>; 2] = Default::default();
        while let Some(read) = world.harness.take_finished() {
            let reached = if read.response.fault {
                Nothing
            } else {
                Reached::of(read.response.pa)
            };
            let device = usize::from(read.request.device_id == DISK.0);
            let old = self.now[device];
            let may = [old, then[device], Nothing];
            let stays = old == then[device];
            if (stays && reached != old) || !may.contains(&reached) {
                return Err(format!(
                    "{what}: a read of device {device} reached {reached:?}"
                ));
            }
            if read.issued > until && reached != then[device] {
                return Err(format!(
                    "{what}: after it, device {device} reaches {reached:?}"
                ));
            }
            if read.answered <= until {
                match during[device].last_mut() {
                    Some(last) if last.0 == reached => last.1 += 1,
                    _ => during[device].push((reached, 1)),
                }
            }
        }
        for (name, (during, then)) in ["NIC ", "disk"].iter().zip(during.iter().zip(then)) {
            let during: Vec<String> = during.iter().map(|(r, n)| format!("{n} × {r:?}")).collect();
            let during = match during[..] {
                [] => "no answer".into(),
                _ => during.join(", "),
            };
            println!("  {name} while it ran: {during}; after it: {then:?}");
        }
        self.now = then;
        Ok(result)
    }
}

/// A domain that shows somebody's memory to a device.
fn domain<'i, P: Platform>(
    iommu: &'i Iommu<P>,
    whose: Reached,
) -> Result<PagingDomain<'i, P>, Error> {
    let domain = iommu.paging_domain(DomainConfig::default())?;
    // SAFETY: the memory is simulated, and only the devices use it.
    unsafe { domain.map(Iova(IOVA), whose.memory(), BYTES, Perm::READ_WRITE)? };
    Ok(domain)
}

/// The whole walk; the error is one sentence.
pub fn walk() -> Result<(), String> {
    let say = |error: Error| format!("the driver answered: {error}");
    println!(
        "Configuration `tiny`, cycle by cycle. Each device has {READS} reads waiting when a step begins."
    );
    let harness = Harness::new(rtl::core(&TINY)?, Memory::new(Timing::default()));
    let platform = SimPlatform::new(harness, Frames::new(0x8000_0000, 0x100_0000));
    let mut board = Board {
        platform: platform.clone(),
        now: [Nothing, Nothing],
    };

    let iommu = board.step(
        "Start the IOMMU; nobody is known to it, so nobody passes",
        [Nothing; 2],
        || Iommu::new(platform, Config::default()).map_err(|e| say(e.error)),
    )??;
    board
        .step(
            "Add both devices; their default domain is Blocked",
            [Nothing; 2],
            || {
                iommu.add_device(NIC.into())?;
                iommu.add_device(DISK.into())
            },
        )?
        .map_err(say)?;

    let disk = iommu
        .group(DISK)
        .and_then(|g| g.use_default_domain())
        .map_err(say)?;
    let memory = domain(&iommu, DiskDriver).map_err(say)?;
    let disk = board.step(
        "The disk's driver attaches a domain of its own",
        [Nothing, DiskDriver],
        || disk.attach(memory).map_err(|e| say(e.error)),
    )??;
    let nic = iommu
        .group(NIC)
        .and_then(|g| g.use_default_domain())
        .map_err(say)?;
    let memory = domain(&iommu, NicDriver).map_err(say)?;
    let nic = board.step(
        "The NIC's driver does the same",
        [NicDriver, DiskDriver],
        || nic.attach(memory).map_err(|e| say(e.error)),
    )??;

    let owner = Owner::new(1).map_err(say)?;
    let group = iommu.group(NIC).map_err(say)?;
    let error = group.claim(&owner).err();
    println!("\nAn owner asks for the NIC while its driver runs: refused, {error:?}");
    let memory = board.step(
        "The NIC's driver detaches and goes",
        [Nothing, DiskDriver],
        || {
            let (user, memory) = nic.detach();
            user.unuse();
            memory
        },
    )?;
    let owned = board.step(
        "The owner claims the NIC. It reached nothing anyway, so this costs the hardware nothing",
        [Nothing, DiskDriver],
        || group.claim(&owner).map_err(say),
    )??;
    let guest = domain(&iommu, Guest).map_err(say)?;
    let owned = board.step(
        "The owner attaches its guest's memory",
        [Guest, DiskDriver],
        || owned.attach(guest).map_err(|e| say(e.error)),
    )??;
    let next = domain(&iommu, NextGuest).map_err(say)?;
    println!(
        "\nCan it be replaced without dropping a read? {:?}",
        owned.hitless(&next)
    );
    let (owned, guest) = board.step(
        "The owner replaces it: one store for the whole context",
        [NextGuest, DiskDriver],
        || owned.replace_hitless(next).map_err(|e| say(e.error)),
    )??;
    println!("\nThe first guest's domain came back by value; only now can it be freed.");
    drop(guest);
    let (owned, next) = board.step("The owner detaches", [Nothing, DiskDriver], || {
        owned.detach()
    })?;
    drop(next);
    board.step(
        "The owner gives the NIC back",
        [Nothing, DiskDriver],
        || {
            OwnedGroup::release(owned);
        },
    )?;
    let nic = group.use_default_domain().map_err(say)?;
    let nic = board.step(
        "The NIC's driver is back, with the domain that it had kept",
        [NicDriver, DiskDriver],
        || nic.attach(memory).map_err(|e| say(e.error)),
    )??;

    let faults = iommu.faults().drain(usize::MAX, |_| {}).map_err(say)?;
    println!(
        "\nReads that reached nothing left {} fault records{}.",
        faults.records,
        if faults.lost {
            ", and some were lost"
        } else {
            ""
        }
    );
    let health = iommu.health();
    if health != Health::Good {
        return Err(format!("the IOMMU is {health:?}"));
    }
    let stats = iommu.stats();
    println!(
        "The driver queued {} commands and waited {} times. Everything reached what it should.",
        stats.commands, stats.fence_waits
    );
    drop((nic, disk));
    Ok(())
}

/// Prints the walk.
pub fn main() -> ExitCode {
    match walk() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("walkthrough: {error}");
            ExitCode::FAILURE
        }
    }
}
