/*
 * C interface of the Portcullis RISC-V IOMMU driver. Generated from firmware/c/src by
 * PORTCULLIS_BLESS=1 cargo test -p portcullis-c --test header: do not edit.
 *
 * * Every function answers 0 or a count, or a negative error number of Linux (PORTCULLIS_E...: other systems number them
 *   otherwise). A call that answers an error has changed nothing, unless it is PORTCULLIS_EIO: then the hardware failed.
 * * Objects are named by handles: numbers with a generation. A handle of an object that is gone is refused with
 *   PORTCULLIS_EBADF for ever, also after its place has been taken by another. 0 names nothing.
 * * What does not compile in Rust is refused here: freeing a domain that is attached (PORTCULLIS_EBUSY), attaching without a
 *   guard (PORTCULLIS_EPERM), detaching what is not attached (PORTCULLIS_EINVAL).
 * * Objects live in the library, in tables of fixed size: no memory is taken but by the platform's alloc.
 * * One call at a time: a call from the platform's functions, or from another thread while one runs, answers
 *   PORTCULLIS_EBUSY.
 * * No panic leaves the library. With the feature std it is caught and answered by PORTCULLIS_EIO; without it, it stops the
 *   processor in portcullis_panicked.
 */

#ifndef PORTCULLIS_H
#define PORTCULLIS_H

#include <stddef.h>
#include <stdint.h>

/**
 * Names nothing.
 */
#define PORTCULLIS_NONE 0

/**
 * Not entitled, or somebody else is.
 */
#define PORTCULLIS_EPERM 1

/**
 * Nothing of that name.
 */
#define PORTCULLIS_ENOENT 2

/**
 * The hardware failed, or translation is closed after a failure.
 */
#define PORTCULLIS_EIO 5

/**
 * A handle that names nothing, or nothing any more.
 */
#define PORTCULLIS_EBADF 9

/**
 * No memory for tables.
 */
#define PORTCULLIS_ENOMEM 12

/**
 * The handle from portcullis_start is missing that allows this.
 */
#define PORTCULLIS_EACCES 13

/**
 * Something else is attached or in use.
 */
#define PORTCULLIS_EBUSY 16

/**
 * It is there already.
 */
#define PORTCULLIS_EEXIST 17

/**
 * No such device, or not in this hardware.
 */
#define PORTCULLIS_ENODEV 19

/**
 * An argument is wrong whatever the state: null pointers, objects of another IOMMU.
 */
#define PORTCULLIS_EINVAL 22

/**
 * No free place in a table of fixed size.
 */
#define PORTCULLIS_ENOSPC 28

/**
 * Outside of what the hardware or the domain covers.
 */
#define PORTCULLIS_ERANGE 34

/**
 * Address plus length wraps.
 */
#define PORTCULLIS_EOVERFLOW 75

/**
 * This driver or hardware does not do it.
 */
#define PORTCULLIS_EOPNOTSUPP 95

/**
 * The range holds a mapping already.
 */
#define PORTCULLIS_EADDRINUSE 98

/**
 * The hardware did not answer in time.
 */
#define PORTCULLIS_ETIMEDOUT 110

/**
 * The IOMMU has not been started yet: the handle is PORTCULLIS_NONE.
 */
#define PORTCULLIS_EPROBE_DEFER 517

/**
 * IOMMUs at the same time.
 */
#define PORTCULLIS_IOMMUS 2

/**
 * Devices, and groups, of one IOMMU.
 */
#define PORTCULLIS_DEVICES 16

/**
 * Guards of one IOMMU.
 */
#define PORTCULLIS_GUARDS 32

/**
 * Domains of one IOMMU.
 */
#define PORTCULLIS_DOMAINS 64

/**
 * Buffers of drivers mapped by portcullis_dma_map, of one IOMMU.
 */
#define PORTCULLIS_MAPPINGS 128

/**
 * Domains attached for process ids, of one IOMMU.
 */
#define PORTCULLIS_PROCESSES PORTCULLIS_DEVICES

/**
 * Gathered unmaps of one IOMMU at the same time.
 */
#define PORTCULLIS_GATHERS 16

/**
 * Deferred unmaps of one IOMMU that are waited for one by one.
 */
#define PORTCULLIS_DEFERRED 64

/**
 * Events of one IOMMU that wait for portcullis_events; what comes after them is lost.
 */
#define PORTCULLIS_EVENTS 32

/**
 * Regions of one device.
 */
#define PORTCULLIS_REGIONS 8

/**
 * Unowned devices reach nothing.
 */
#define PORTCULLIS_DEFAULT_BLOCKED 0

/**
 * Unowned devices reach what their group's own paging domain maps.
 */
#define PORTCULLIS_DEFAULT_DMA 1

/**
 * The same; unmaps are meant to be deferred.
 */
#define PORTCULLIS_DEFAULT_DMA_FQ 2

/**
 * Unowned devices reach all of memory, the IOMMU's tables included. Whoever asks for it vouches for them.
 */
#define PORTCULLIS_DEFAULT_IDENTITY 3

/**
 * As PORTCULLIS_DEFAULT_DMA_FQ where deferring pays, else as PORTCULLIS_DEFAULT_DMA.
 */
#define PORTCULLIS_DEFAULT_AUTO 4

/**
 * Devices may read.
 */
#define PORTCULLIS_READ 1

/**
 * Devices may write; page tables cannot express that without reading.
 */
#define PORTCULLIS_WRITE 2

/**
 * Devices may read for execute.
 */
#define PORTCULLIS_EXEC 4

/**
 * Page tables of three levels.
 */
#define PORTCULLIS_SV39 39

/**
 * Page tables of four levels.
 */
#define PORTCULLIS_SV48 48

/**
 * Page tables of five levels.
 */
#define PORTCULLIS_SV57 57

/**
 * Nobody uses or owns the group.
 */
#define PORTCULLIS_IDLE 1

/**
 * Drivers use the default domain.
 */
#define PORTCULLIS_KERNEL 2

/**
 * A driver attached a domain of its own.
 */
#define PORTCULLIS_MANAGED 3

/**
 * Owned and blocked.
 */
#define PORTCULLIS_OWNED 4

/**
 * Owned, with a domain of the owner.
 */
#define PORTCULLIS_ATTACHED 5

/**
 * Owned, but all devices have vanished.
 */
#define PORTCULLIS_ORPHAN 6

/**
 * No failure so far.
 */
#define PORTCULLIS_GOOD 0

/**
 * The command queue had to be reset at least once; everything works.
 */
#define PORTCULLIS_DEGRADED 1

/**
 * Translation is off after a failure: no device reaches memory.
 */
#define PORTCULLIS_CLOSED 2

/**
 * The hardware does not answer. What devices reach is unknown; nothing they might reach is given back.
 */
#define PORTCULLIS_WEDGED 3

/**
 * The device asks for nothing: default_domain of the configuration decides.
 */
#define PORTCULLIS_POLICY_ANY 0

/**
 * Its group's default domain must be PORTCULLIS_DEFAULT_DMA or PORTCULLIS_DEFAULT_DMA_FQ.
 */
#define PORTCULLIS_POLICY_DMA 1

/**
 * It must be PORTCULLIS_DEFAULT_IDENTITY. Whoever asks for it vouches for the device.
 */
#define PORTCULLIS_POLICY_IDENTITY 2

/**
 * Never mapped.
 */
#define PORTCULLIS_REGION_RESERVED 0

/**
 * Mapped to itself in the default domain, always: such a device cannot be blocked, and nobody can own its group.
 */
#define PORTCULLIS_REGION_DIRECT 1

/**
 * Mapped to itself in the default domain; the device does without when it is owned.
 */
#define PORTCULLIS_REGION_RELAXABLE 2

/**
 * DMA of group reaches something else now: from, to, path, process, wait_us; of one device, or of all.
 */
#define PORTCULLIS_EVENT_CHANGED 1

/**
 * device reported too many faults: they are no longer recorded.
 */
#define PORTCULLIS_EVENT_QUIETED 2

/**
 * device joined group, which has another default domain than it asked for, or another device asked for.
 */
#define PORTCULLIS_EVENT_POLICY_CONFLICT 3

/**
 * Translation is on again.
 */
#define PORTCULLIS_EVENT_RECOVERED 4

/**
 * The command queue stopped and was reset: cqcsr and cqh as found.
 */
#define PORTCULLIS_EVENT_QUEUE_RESET 5

/**
 * Translation was switched off after a failure.
 */
#define PORTCULLIS_EVENT_CLOSED 6

/**
 * The hardware does not answer.
 */
#define PORTCULLIS_EVENT_WEDGED 7

/**
 * To blocked.
 */
#define PORTCULLIS_PATH_BLOCK 1

/**
 * From blocked.
 */
#define PORTCULLIS_PATH_PUBLISH 2

/**
 * By one store: no DMA was dropped.
 */
#define PORTCULLIS_PATH_SWAP 3

/**
 * By way of blocked.
 */
#define PORTCULLIS_PATH_SLOW 4

/**
 * All devices of the group.
 */
#define PORTCULLIS_ALL_DEVICES 4294967295

/**
 * Nothing passes.
 */
#define PORTCULLIS_BLOCKED 18446744073709551615ull

/**
 * Settings of portcullis_start; begin with portcullis_config_default.
 */
typedef struct portcullis_config {
  /**
   * Where DMA of unowned groups goes: PORTCULLIS_DEFAULT_....
   */
  uint32_t default_domain;
  /**
   * Commands the command queue should hold.
   */
  uint32_t command_queue;
  /**
   * Records the fault queue should hold.
   */
  uint32_t fault_queue;
  /**
   * Deferred unmaps of one domain before a flush happens by itself.
   */
  uint32_t flush_queue;
  /**
   * Table pages taken from the platform at a time, 1 to 64.
   */
  uint32_t table_chunk;
  /**
   * Polls in a row that each found faults of a device after which its faults are no longer reported; 0: never; at most
   * 255.
   */
  uint32_t storm_polls;
  /**
   * Age in microseconds of the oldest deferred unmap at which portcullis_poll flushes.
   */
  uint64_t flush_age_us;
  /**
   * How long the command queue may make no progress.
   */
  uint64_t command_timeout_us;
  /**
   * How long registers may be busy.
   */
  uint64_t register_timeout_us;
  /**
   * Not 0: deferring flushes pays on this machine.
   */
  uint8_t deferred_flush;
  /**
   * Not 0: use 64 KiB NAPOT leaves.
   */
  uint8_t napot;
  /**
   * Not 0: invalidate what was mapped, for emulated IOMMUs.
   */
  uint8_t notify_on_map;
  /**
   * Not 0: let the queues raise the interrupt wire.
   */
  uint8_t interrupts;
  /**
   * Not 0: take over an IOMMU that translates already.
   */
  uint8_t take_over;
} portcullis_config;

/**
 * What the driver needs of the machine. The functions get context and must not call the driver; where they answer an
 * int, 0 is success. publish, acquire and relax may be null. Addresses are the IOMMU's view of physical memory.
 */
typedef struct portcullis_platform {
  /**
   * Given to every function.
   */
  void *context;
  /**
   * Reads a register of 4 bytes.
   */
  int (*read32)(void *context, uint16_t offset, uint32_t *value);
  /**
   * Writes a register of 4 bytes.
   */
  int (*write32)(void *context, uint16_t offset, uint32_t value);
  /**
   * Takes bytes of memory, a multiple of 4096, aligned to align. Not 0 if there is none.
   */
  int (*alloc)(void *context, size_t bytes, size_t align, uint64_t *address);
  /**
   * Gives memory back.
   */
  void (*free)(void *context, uint64_t address, size_t bytes);
  /**
   * Reads an aligned doubleword.
   */
  int (*load64)(void *context, uint64_t address, uint64_t *value);
  /**
   * Writes an aligned doubleword: on a 64-bit processor by one store, on a 32-bit one by two in any order.
   */
  int (*store64)(void *context, uint64_t address, uint64_t value);
  /**
   * Writes an aligned word.
   */
  int (*store32)(void *context, uint64_t address, uint32_t value);
  /**
   * Makes stores visible to an IOMMU that does not see the caches.
   */
  int (*publish)(void *context, uint64_t address, size_t bytes);
  /**
   * Makes visible to loads what such an IOMMU wrote.
   */
  int (*acquire)(void *context, uint64_t address, size_t bytes);
  /**
   * Orders: 0 memory stores before later memory stores (fence w,w), 1 memory stores before later register writes
   * (fence w,o), 2 register reads before later memory accesses (fence i,rw).
   */
  void (*barrier)(void *context, uint32_t kind);
  /**
   * Microseconds from any origin; never runs backwards, and does not stand still for ever.
   */
  uint64_t (*now_us)(void *context);
  /**
   * Called between two polls of a register.
   */
  void (*relax)(void *context);
} portcullis_platform;

/**
 * Names an IOMMU.
 */
typedef uint64_t portcullis_iommu;

/**
 * Names the right to change default domains.
 */
typedef uint64_t portcullis_admin;

/**
 * Names a group of devices. Gives no rights.
 */
typedef uint64_t portcullis_group;

/**
 * State of a group.
 */
typedef struct portcullis_status {
  /**
   * Its owner; 0 for none.
   */
  uint64_t owner;
  /**
   * PORTCULLIS_IDLE and the following.
   */
  uint32_t state;
  /**
   * Drivers that use it, or claims of its owner.
   */
  uint32_t users;
} portcullis_status;

/**
 * What portcullis_poll found.
 */
typedef struct portcullis_polled {
  /**
   * Groups whose deferred unmaps were flushed.
   */
  uint32_t flushed;
  /**
   * Devices whose faults are not reported any more.
   */
  uint32_t quieted;
  /**
   * 1 if fault records wait for portcullis_faults.
   */
  uint32_t faults;
} portcullis_polled;

/**
 * One fault.
 */
typedef struct portcullis_fault {
  /**
   * The record as the hardware wrote it.
   */
  uint64_t record[4];
  /**
   * Group of the device, or PORTCULLIS_NONE.
   */
  portcullis_group group;
  /**
   * Device id in the record.
   */
  uint32_t device;
  /**
   * Cause in the record.
   */
  uint32_t cause;
  /**
   * 1 if the group is blocked by now, so that the record may be older than that.
   */
  uint32_t stale;
} portcullis_fault;

/**
 * How portcullis_faults or portcullis_events ended.
 */
typedef struct portcullis_drained {
  /**
   * Records written.
   */
  uint32_t records;
  /**
   * 1 if records were lost since the last call.
   */
  uint32_t lost;
  /**
   * 1 if there are more.
   */
  uint32_t more;
} portcullis_drained;

/**
 * What the hardware can do.
 */
typedef struct portcullis_limits {
  /**
   * The capabilities register.
   */
  uint64_t capabilities;
  /**
   * Device-id bits that the directory in use covers.
   */
  uint32_t device_id_bits;
  /**
   * Process-id bits; 0 if the hardware has no process directories.
   */
  uint32_t process_id_bits;
  /**
   * Entries of the command queue; one less can be in use.
   */
  uint32_t command_queue;
  /**
   * Entries of the fault queue; one less can be in use.
   */
  uint32_t fault_queue;
} portcullis_limits;

/**
 * Addresses with a meaning of their own for a device.
 */
typedef struct portcullis_region {
  /**
   * First address; a multiple of 4096.
   */
  uint64_t start;
  /**
   * Length; a multiple of 4096.
   */
  uint64_t bytes;
  /**
   * PORTCULLIS_REGION_....
   */
  uint32_t kind;
  /**
   * PORTCULLIS_READ and the following, for direct regions.
   */
  uint32_t permissions;
} portcullis_region;

/**
 * What there is to know of a device. All zeros but for the id is a device without peculiarities.
 */
typedef struct portcullis_device {
  /**
   * The group it joins; PORTCULLIS_NONE for one of its own.
   */
  portcullis_group join;
  /**
   * Its regions, copied; may be null if there are none.
   */
  const struct portcullis_region *regions;
  /**
   * How many; at most PORTCULLIS_REGIONS.
   */
  size_t region_count;
  /**
   * Its id on the bus.
   */
  uint32_t id;
  /**
   * PORTCULLIS_POLICY_....
   */
  uint32_t policy;
  /**
   * Not 0: it may attack; its group never gets an identity default domain.
   */
  uint8_t untrusted;
  /**
   * Not 0: it sends process ids. Its group gets a process directory, if it begins with this device and the hardware
   * has them.
   */
  uint8_t process_ids;
  /**
   * Not 0: the default domain is attached at the first use only.
   */
  uint8_t deferred;
} portcullis_device;

/**
 * A device that works already when the IOMMU starts.
 */
typedef struct portcullis_known {
  /**
   * The device; its join must be PORTCULLIS_NONE.
   */
  struct portcullis_device device;
  /**
   * 0: it has a group of its own. n: it joins the group of the n-th device of the list, which is before it.
   */
  size_t joins;
  /**
   * Other than 0, for a device whose attach is deferred, and hardware found in Bare: until its first use the device keeps what
   * it has there. It can read and write every byte: the caller vouches for it.
   */
  uint32_t keeps;
} portcullis_known;

/**
 * Names the reset of a device.
 */
typedef uint64_t portcullis_reset;

/**
 * Names the right to use or to own a group, from portcullis_use_default, portcullis_claim, portcullis_claim_device.
 */
typedef uint64_t portcullis_guard;

/**
 * Names an address space.
 */
typedef uint64_t portcullis_domain;

/**
 * Names a collection of unmaps that are invalidated together.
 */
typedef uint64_t portcullis_gather;

/**
 * Names a deferred unmap.
 */
typedef uint64_t portcullis_deferred;

/**
 * Names a buffer that a driver has mapped.
 */
typedef uint64_t portcullis_mapping;

/**
 * Something that the driver did or found. Fields that its kind does not name are 0.
 */
typedef struct portcullis_event {
  /**
   * The group; PORTCULLIS_NONE if it has gone.
   */
  portcullis_group group;
  /**
   * Fourth doubleword of the contexts before, or PORTCULLIS_BLOCKED.
   */
  uint64_t from;
  /**
   * The same since then.
   */
  uint64_t to;
  /**
   * Time that the fences of the change took, in microseconds.
   */
  uint64_t wait_us;
  /**
   * PORTCULLIS_EVENT_....
   */
  uint32_t kind;
  /**
   * PORTCULLIS_PATH_....
   */
  uint32_t path;
  /**
   * The device, or PORTCULLIS_ALL_DEVICES.
   */
  uint32_t device;
  /**
   * The process id; 0 is the traffic without one.
   */
  uint32_t process;
  /**
   * Register cqcsr.
   */
  uint32_t cqcsr;
  /**
   * Register cqh.
   */
  uint32_t cqh;
} portcullis_event;

/**
 * Counts since start.
 */
typedef struct portcullis_stats {
  /**
   * Commands queued, fences included.
   */
  uint64_t commands;
  /**
   * Fences queued.
   */
  uint64_t fences;
  /**
   * Waits for a fence.
   */
  uint64_t fence_waits;
  /**
   * Reads of cqh in these waits.
   */
  uint64_t fence_polls;
  /**
   * Time spent in these waits, in microseconds.
   */
  uint64_t fence_wait_us;
  /**
   * Resets of the command queue.
   */
  uint64_t queue_resets;
  /**
   * Fault records delivered.
   */
  uint64_t faults;
  /**
   * Of these, records of devices the driver does not know.
   */
  uint64_t unknown_faults;
  /**
   * Times that records were lost.
   */
  uint64_t fault_losses;
} portcullis_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What portcullis_start uses without a configuration.
 *
 * The caller's duty:
 * config is null, which is refused, or good for writing.
 */
int portcullis_config_default(struct portcullis_config *config);

/**
 * Starts an IOMMU: every device is blocked until it is added. config may be null for the defaults; admin, which may
 * be null too, gets the handle that allows portcullis_set_default_domain_type.
 *
 * PORTCULLIS_EINVAL: a null pointer, a missing function, a wrong number. PORTCULLIS_ENOSPC: PORTCULLIS_IOMMUS run.
 * PORTCULLIS_EOPNOTSUPP: this hardware is beyond the driver. PORTCULLIS_EBUSY: it translates already, and take_over is 0.
 * PORTCULLIS_ENOMEM, PORTCULLIS_ETIMEDOUT, PORTCULLIS_EIO.
 *
 * The caller's duty:
 * The pointers are null or good. The functions of the platform do what struct portcullis_platform says until the IOMMU is
 * stopped; the structure itself is copied.
 */
int portcullis_start(const struct portcullis_platform *platform,
                     const struct portcullis_config *config,
                     portcullis_iommu *iommu,
                     portcullis_admin *admin);

/**
 * Switches translation off, which blocks all DMA, and gives all memory back.
 *
 * PORTCULLIS_EBUSY: there are guards, domains, gathers, mappings or resets; end them first. PORTCULLIS_EBADF.
 */
int portcullis_stop(portcullis_iommu iommu);

/**
 * The group of a device. PORTCULLIS_ENODEV: there is no such device. PORTCULLIS_EPROBE_DEFER: there is no IOMMU yet.
 *
 * The caller's duty:
 * group is null, which is refused, or good for writing.
 */
int portcullis_group_of(portcullis_iommu iommu,
                        uint32_t device,
                        portcullis_group *group);

/**
 * State of a group. PORTCULLIS_ENODEV: its last device has left.
 *
 * The caller's duty:
 * status is null, which is refused, or good for writing.
 */
int portcullis_group_status(portcullis_group group, struct portcullis_status *status);

/**
 * Changes the type of a group's default domain. From PORTCULLIS_DEFAULT_DMA to PORTCULLIS_DEFAULT_DMA_FQ it works in every
 * state and touches no hardware; any other change needs a group that nobody uses or owns.
 *
 * PORTCULLIS_EACCES: admin is not the handle from starting this IOMMU. PORTCULLIS_EPERM: somebody uses or owns the group.
 * PORTCULLIS_EINVAL: no such type, or no device is left. PORTCULLIS_ENOMEM, PORTCULLIS_EIO.
 */
int portcullis_set_default_domain_type(portcullis_group group,
                                       uint32_t default_domain,
                                       portcullis_admin admin);

/**
 * What has to be done from time to time: repairs a stopped command queue, flushes deferred unmaps that are old enough,
 * quiets devices that fault all the time. polled may be null. PORTCULLIS_EIO.
 *
 * The caller's duty:
 * polled is null or good for writing.
 */
int portcullis_poll(portcullis_iommu iommu, struct portcullis_polled *polled);

/**
 * Takes note of the pending interrupts. Answers 1 if fault records wait for portcullis_faults, else 0. PORTCULLIS_EIO.
 */
int portcullis_on_interrupt(portcullis_iommu iommu);

/**
 * Writes at most room fault records to faults, oldest first. drained may be null.
 *
 * PORTCULLIS_EIO: the queue cannot be read; drained tells how many records were read before.
 *
 * The caller's duty:
 * faults is good for writing room elements, or null with room 0. drained is null or good for writing.
 */
int portcullis_faults(portcullis_iommu iommu,
                      struct portcullis_fault *faults,
                      size_t room,
                      struct portcullis_drained *drained);

/**
 * How the IOMMU fares: PORTCULLIS_GOOD and the following.
 */
int portcullis_health(portcullis_iommu iommu);

/**
 * 1 if every device is confined to what its group's domain maps; 0 while any is translated by identity, and while the
 * hardware does not answer.
 */
int portcullis_isolation(portcullis_iommu iommu);

/**
 * Leaves PORTCULLIS_CLOSED: contexts are written anew, everything cached is invalidated, translation goes on.
 * PORTCULLIS_EIO: the hardware still fails.
 *
 * The caller's duty:
 * The failure is over: registers and memory are those of the IOMMU that was started, and nobody else has changed the
 * driver's memory.
 */
int portcullis_recover(portcullis_iommu iommu);

/**
 * Leaves PORTCULLIS_WEDGED or PORTCULLIS_CLOSED after the IOMMU was reset from outside. PORTCULLIS_EINVAL: it works.
 * PORTCULLIS_EIO: it is not as a reset leaves it.
 *
 * The caller's duty:
 * The IOMMU has been reset, no access from before is on the way, and the driver's memory is as the driver left it.
 */
int portcullis_assume_reset(portcullis_iommu iommu);

/**
 * What the hardware can do. PORTCULLIS_EPROBE_DEFER, PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * limits is null, which is refused, or good for writing.
 */
int portcullis_hardware(portcullis_iommu iommu, struct portcullis_limits *limits);

/**
 * As portcullis_start, for an IOMMU that devices already work behind: their contexts, direct regions included, are
 * complete before translation begins. An IOMMU found in Bare goes from there to the default domains in one step; found in
 * Off, everything is blocked until that step.
 *
 * As portcullis_start and portcullis_add_device_as; PORTCULLIS_EINVAL also for a device whose join is not
 * PORTCULLIS_NONE, and for one that keeps what it has and is not deferred, or has an untrusted device in its group;
 * PORTCULLIS_EOPNOTSUPP for one with that in a group with a process directory; PORTCULLIS_ENOENT for one that joins no
 * device before it, PORTCULLIS_ENOSPC for more than PORTCULLIS_DEVICES. Unless the hardware failed, DMA goes where it went
 * before.
 *
 * The caller's duty:
 * As portcullis_start. devices is good for reading count elements, or null with count 0, and so are the regions they
 * name; both are copied.
 */
int portcullis_start_with(const struct portcullis_platform *platform,
                          const struct portcullis_config *config,
                          const struct portcullis_known *devices,
                          size_t count,
                          portcullis_iommu *iommu,
                          portcullis_admin *admin);

/**
 * As portcullis_stop, and then to Bare: the next kernel finds devices that reach memory without translation. DMA is blocked
 * in between.
 *
 * PORTCULLIS_EBUSY, PORTCULLIS_EBADF as there. PORTCULLIS_EOPNOTSUPP: the hardware does not take Bare.
 * PORTCULLIS_ETIMEDOUT, PORTCULLIS_EIO: it does not confirm it. After these three it is stopped and DMA is off, unless the
 * hardware does not even confirm that.
 *
 * The caller's duty:
 * Every device can read and write every byte afterwards: the caller vouches for them.
 */
int portcullis_stop_in_bare(portcullis_iommu iommu);

/**
 * Adds a device: to the group join, or to one of its own if that is PORTCULLIS_NONE. On return its DMA goes where its
 * group's goes. group, which may be null, gets the group.
 *
 * PORTCULLIS_ERANGE: the id is wider than the hardware's directory. PORTCULLIS_EEXIST. PORTCULLIS_ENODEV: that group has gone.
 * PORTCULLIS_EINVAL: it is of another IOMMU. PORTCULLIS_ENOSPC, PORTCULLIS_ENOMEM, PORTCULLIS_EIO.
 *
 * The caller's duty:
 * group is null or good for writing.
 */
int portcullis_add_device(portcullis_iommu iommu,
                          uint32_t device,
                          portcullis_group join,
                          portcullis_group *group);

/**
 * As portcullis_add_device, for a device with peculiarities. The structure and its regions are copied.
 *
 * As there; PORTCULLIS_EINVAL also: null, an unknown number, more than PORTCULLIS_REGIONS, a region that is no whole number of
 * pages, one that the domain attached to the group maps otherwise, a device that cannot be blocked and a group that is, an
 * untrusted device that asks for identity. PORTCULLIS_EADDRINUSE: a region is mapped otherwise in the default domain.
 * PORTCULLIS_EBUSY: the policy would change the default domain of a group in use.
 *
 * The caller's duty:
 * device is null, which is refused, or good for reading, and so are the regions it names. group is null or good for
 * writing.
 */
int portcullis_add_device_as(portcullis_iommu iommu,
                             const struct portcullis_device *device,
                             portcullis_group *group);

/**
 * Removes a device: it is blocked on return. Domains attached for process ids are with the caller again if it was the last
 * one.
 *
 * PORTCULLIS_EBUSY: it is the last one of a group that somebody uses or owns. PORTCULLIS_ENODEV, PORTCULLIS_EIO.
 */
int portcullis_remove_device(portcullis_iommu iommu,
                             uint32_t device);

/**
 * A device has vanished; it is blocked, whoever uses or owns its group. PORTCULLIS_ENODEV: there is no such device.
 */
int portcullis_device_gone(portcullis_iommu iommu, uint32_t device);

/**
 * Blocks a device while it is reset: what it sends meanwhile is noise. Until portcullis_reset_end, attaching to its group is
 * PORTCULLIS_EBUSY; detaching and releasing work.
 *
 * PORTCULLIS_ENODEV. PORTCULLIS_EBUSY: it is being reset already. PORTCULLIS_ENOSPC: PORTCULLIS_DEVICES resets have not ended.
 * PORTCULLIS_EIO.
 *
 * The caller's duty:
 * reset is null, which is refused, or good for writing.
 */
int portcullis_reset_begin(portcullis_iommu iommu,
                           uint32_t device,
                           portcullis_reset *reset);

/**
 * The device works again, and goes where its group goes by now. Nothing to do if it has gone meanwhile.
 *
 * PORTCULLIS_EBADF. The hardware's failure is no error here: then nothing passes any more, see portcullis_health.
 */
int portcullis_reset_end(portcullis_reset reset);

/**
 * Registers a driver that relies on the group's default domain: nobody can own the group until portcullis_unuse.
 *
 * PORTCULLIS_EBUSY: it is owned, or a driver attached a domain of its own. PORTCULLIS_ENODEV: no device is left.
 * PORTCULLIS_ENOSPC: PORTCULLIS_GUARDS exist. PORTCULLIS_EIO.
 *
 * The caller's duty:
 * guard is null, which is refused, or good for writing.
 */
int portcullis_use_default(portcullis_group group, portcullis_guard *guard);

/**
 * Ends a use. A domain that is attached is detached first and stays with the caller. Domains attached for process ids
 * stay attached: while one is, nobody can claim the group.
 *
 * PORTCULLIS_EPERM: the guard is an owner's. PORTCULLIS_EBADF.
 */
int portcullis_unuse(portcullis_guard guard);

/**
 * Takes the DMA of all devices of a group for an owner, whom a number other than 0 names. On return nothing they send
 * reaches memory, and nothing sent before is on the way. Takes no memory.
 *
 * PORTCULLIS_EINVAL: owner 0. PORTCULLIS_EPERM: somebody owns or uses it, this owner included. PORTCULLIS_ENODEV: no device is
 * left. PORTCULLIS_ENOSPC: PORTCULLIS_GUARDS exist. PORTCULLIS_EIO: nobody owns it, and translation is off.
 *
 * The caller's duty:
 * guard is null, which is refused, or good for writing.
 */
int portcullis_claim(portcullis_group group,
                     uint64_t owner,
                     portcullis_guard *guard);

/**
 * Gives a group back: blocked first, then the default domain. Domains that are attached, also for process ids, are
 * detached first and stay with the caller. Ends the claims by device too.
 *
 * PORTCULLIS_EPERM: the guard is a driver's, or a claim by device. PORTCULLIS_EBADF.
 */
int portcullis_release(portcullis_guard guard);

/**
 * Claims the group of a device. The same owner may do so any number of times; the last portcullis_release_device gives the
 * group back. The guard keeps others away and moves no domains until portcullis_claim_guard.
 *
 * As portcullis_claim, except for claims of the same owner. PORTCULLIS_EPROBE_DEFER: there is no IOMMU yet.
 *
 * The caller's duty:
 * guard is null, which is refused, or good for writing.
 */
int portcullis_claim_device(portcullis_iommu iommu,
                            uint32_t device,
                            uint64_t owner,
                            portcullis_guard *guard);

/**
 * Turns a claim by device into the group's only guard that moves domains; the handle stays the same.
 *
 * PORTCULLIS_EBUSY: another claim is that guard. PORTCULLIS_EPERM: it is no claim by device, or the ownership is over.
 */
int portcullis_claim_guard(portcullis_guard guard);

/**
 * Ends one claim by device, or the guard that was made of it. A domain that is attached is detached first.
 *
 * PORTCULLIS_EPERM: the guard is a driver's. PORTCULLIS_EBADF.
 */
int portcullis_release_device(portcullis_guard guard);

/**
 * Whether portcullis_replace_hitless with this domain can work. PORTCULLIS_EOPNOTSUPP: DMA would be dropped on the way, or
 * the group is blocked. PORTCULLIS_EINVAL, PORTCULLIS_EPERM, PORTCULLIS_EBADF as there.
 */
int portcullis_hitless(portcullis_guard guard,
                       portcullis_domain domain);

/**
 * Lets DMA of the guard's group go to a domain. Until the call returns it goes where it went, to the domain, or nowhere.
 *
 * PORTCULLIS_EPERM: a group instead of a guard, or a claim by device. PORTCULLIS_EBUSY: something is attached already, this
 * domain included, or the domain is attached elsewhere. PORTCULLIS_EINVAL: the domain is of another IOMMU. PORTCULLIS_ENODEV: no
 * device is left. PORTCULLIS_EBADF, PORTCULLIS_EIO.
 */
int portcullis_attach(portcullis_guard guard,
                      portcullis_domain domain);

/**
 * As portcullis_attach, but takes the place of what is attached; the old domain stays with the caller. If it is attached
 * already, nothing is done.
 */
int portcullis_replace(portcullis_guard guard,
                       portcullis_domain domain);

/**
 * As portcullis_replace, but no DMA is dropped on the way, provided that both domains translate alike what devices use.
 *
 * From a driver's default domain too. PORTCULLIS_EOPNOTSUPP: that is impossible, and nothing has changed; also if the
 * group is blocked.
 */
int portcullis_replace_hitless(portcullis_guard guard,
                               portcullis_domain domain);

/**
 * Moves the domain out: to blocked if the group is owned, to the default domain if not. On return the IOMMU reads no table
 * of it, and no write through it is on the way. With PORTCULLIS_NONE: whatever is attached, or nothing.
 *
 * PORTCULLIS_EINVAL: another domain is attached, or none; nothing has changed. PORTCULLIS_EPERM, PORTCULLIS_EBADF. The hardware's
 * failure is no error here: then nothing passes any more, see portcullis_health.
 */
int portcullis_detach(portcullis_guard guard,
                      portcullis_domain domain);

/**
 * Lets DMA of the guard's group with a process id go to a domain. What the group sends without one is not disturbed.
 *
 * PORTCULLIS_EOPNOTSUPP: no process directories in the hardware, or none for this group. PORTCULLIS_EINVAL: process id 0, or
 * one beyond process_id_bits; or the domain is of another IOMMU. PORTCULLIS_EBUSY: the process id is taken, a device is being
 * reset, or the domain is attached elsewhere. PORTCULLIS_ENOSPC: PORTCULLIS_PROCESSES are attached. PORTCULLIS_EPERM: no guard
 * that moves domains. PORTCULLIS_ENODEV, PORTCULLIS_ENOMEM, PORTCULLIS_EBADF, PORTCULLIS_EIO.
 */
int portcullis_attach_pasid(portcullis_guard guard,
                            uint32_t pasid,
                            portcullis_domain domain);

/**
 * As portcullis_attach_pasid, but takes the place of what is attached for the process id; the old domain stays with the
 * caller. If it is attached already, nothing is done. PORTCULLIS_EINVAL also if nothing is attached for it.
 */
int portcullis_replace_pasid(portcullis_guard guard,
                             uint32_t pasid,
                             portcullis_domain domain);

/**
 * Blocks the process id; the domain stays with the caller. On return the IOMMU reads no table of it, and no write through it
 * is on the way. Nothing to do if nothing is attached for it. PORTCULLIS_EPERM, PORTCULLIS_EBADF.
 */
int portcullis_detach_pasid(portcullis_guard guard,
                            uint32_t pasid);

/**
 * A new, empty domain with page tables of this format: PORTCULLIS_SV39, PORTCULLIS_SV48, PORTCULLIS_SV57.
 *
 * PORTCULLIS_EINVAL: no such format. PORTCULLIS_ENODEV: not in this hardware. PORTCULLIS_ENOSPC: PORTCULLIS_DOMAINS exist.
 * PORTCULLIS_ENOMEM, PORTCULLIS_EIO.
 *
 * The caller's duty:
 * domain is null, which is refused, or good for writing.
 */
int portcullis_domain_new(portcullis_iommu iommu,
                          uint32_t format,
                          portcullis_domain *domain);

/**
 * A domain that leads every address to the same address of memory, the IOMMU's tables included. It may be attached in
 * several places; nothing can be mapped in it.
 *
 * PORTCULLIS_ENOSPC: PORTCULLIS_DOMAINS exist. PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * Devices that it is attached to can read and write every byte: the caller vouches for them. domain is null, which is
 * refused, or good for writing.
 */
int portcullis_domain_identity(portcullis_iommu iommu, portcullis_domain *domain);

/**
 * Lets a domain be attached in several places at once, from now on. Each place costs an invalidation per unmap.
 *
 * PORTCULLIS_EBUSY: it is attached. PORTCULLIS_EINVAL: it is shared or identity already. PORTCULLIS_ENOSPC:
 * PORTCULLIS_DEVICES domains are shared. PORTCULLIS_EBADF.
 */
int portcullis_domain_share(portcullis_domain domain);

/**
 * Frees a domain, with whatever is mapped in it.
 *
 * PORTCULLIS_EBUSY: it is attached, or unmaps of it are gathered. PORTCULLIS_EBADF: there is no such domain, or not any more.
 */
int portcullis_domain_free(portcullis_domain domain);

/**
 * Maps bytes bytes of memory from address at iova, for PORTCULLIS_READ, PORTCULLIS_WRITE, PORTCULLIS_EXEC or several. All
 * or nothing; issues no command.
 *
 * PORTCULLIS_EINVAL: nothing to map, not multiples of 4096, no or unknown permission, or memory of the IOMMU itself.
 * PORTCULLIS_EOVERFLOW, PORTCULLIS_ERANGE: an address wraps, or is beyond the domain. PORTCULLIS_EADDRINUSE: something is mapped
 * there; it stays. PORTCULLIS_ENOMEM, PORTCULLIS_EBADF, PORTCULLIS_EIO.
 *
 * The caller's duty:
 * Devices may use the memory as allowed until it is unmapped; for a deferred unmap, until it is flushed.
 */
int portcullis_map(portcullis_domain domain,
                   uint64_t iova,
                   uint64_t address,
                   uint64_t bytes,
                   uint32_t permissions);

/**
 * Unmaps what lies in the range: on return no device reaches it, and nothing granted before is on the way. A page that
 * lies in the range only in part stays; holes are skipped. unmapped, which may be null, gets the number of bytes.
 *
 * PORTCULLIS_EINVAL, PORTCULLIS_EOVERFLOW, PORTCULLIS_ERANGE, PORTCULLIS_EBADF as for portcullis_map. PORTCULLIS_EIO: the hardware
 * failed; unless it is wedged, no device reaches anything.
 *
 * The caller's duty:
 * unmapped is null or good for writing.
 */
int portcullis_unmap(portcullis_domain domain,
                     uint64_t iova,
                     uint64_t bytes,
                     uint64_t *unmapped);

/**
 * As portcullis_unmap, but issues no command: devices may reach the memory until portcullis_flush of the domain has answered
 * 0.
 *
 * The caller's duty:
 * unmapped is null or good for writing.
 */
int portcullis_unmap_deferred(portcullis_domain domain,
                              uint64_t iova,
                              uint64_t bytes,
                              uint64_t *unmapped);

/**
 * Ends all deferred unmaps of the domain so far. PORTCULLIS_EIO: devices may still reach the memory. PORTCULLIS_EBADF.
 */
int portcullis_flush(portcullis_domain domain);

/**
 * Where an address leads, and what may be done there. PORTCULLIS_ENOENT: nowhere. PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * address and permissions are null, or good for writing.
 */
int portcullis_translate(portcullis_domain domain, uint64_t iova, uint64_t *address, uint32_t *permissions);

/**
 * A collection for unmaps of a domain that are invalidated together, by portcullis_gather_sync. While it is there, the
 * domain cannot be freed, and the IOMMU cannot be stopped.
 *
 * PORTCULLIS_ENOSPC: PORTCULLIS_GATHERS exist. PORTCULLIS_EINVAL: null, or the domain is identity. PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * gather is null, which is refused, or good for writing.
 */
int portcullis_gather_new(portcullis_domain domain,
                          portcullis_gather *gather);

/**
 * As portcullis_unmap, of the domain that the collection was made for; but devices may reach the memory until
 * portcullis_gather_sync, and neither it nor the addresses may be used before. Issues no command.
 *
 * As there.
 *
 * The caller's duty:
 * unmapped is null or good for writing.
 */
int portcullis_unmap_gather(portcullis_gather gather, uint64_t iova, uint64_t bytes, uint64_t *unmapped);

/**
 * Invalidates what was gathered, and ends the collection. On return no device reaches any of it, and nothing granted before
 * is on the way.
 *
 * PORTCULLIS_EBADF. PORTCULLIS_EIO: the hardware does not answer, and devices may still reach the memory; the collection has
 * ended all the same.
 */
int portcullis_gather_sync(portcullis_gather gather);

/**
 * As portcullis_unmap_deferred, with a name for this unmap: its memory and addresses are free when
 * portcullis_deferred_ready answers 1 or portcullis_deferred_wait answers 0, which end the name.
 *
 * As there; PORTCULLIS_ENOSPC: PORTCULLIS_DEFERRED exist, and nothing was unmapped. PORTCULLIS_EINVAL: deferred is null.
 *
 * The caller's duty:
 * unmapped is null or good for writing; deferred is null, which is refused, or good for writing.
 */
int portcullis_unmap_named(portcullis_domain domain,
                           uint64_t iova,
                           uint64_t bytes,
                           uint64_t *unmapped,
                           portcullis_deferred *deferred);

/**
 * Whether a flush has covered a deferred unmap: 1, and its name is gone; or 0. Issues no command. PORTCULLIS_EBADF.
 */
int portcullis_deferred_ready(portcullis_deferred deferred);

/**
 * Waits for a deferred unmap, by a flush if none has covered it: 0, and its name is gone. PORTCULLIS_EBADF.
 * PORTCULLIS_EIO: the hardware does not answer, and devices may still reach the memory; the name stays.
 */
int portcullis_deferred_wait(portcullis_deferred deferred);

/**
 * Maps a buffer in the group's default domain, wherever there is room: devices find it at iova. permissions is
 * PORTCULLIS_READ for what devices only read, PORTCULLIS_WRITE, or both. The mapping stays when the use ends, and while
 * somebody owns the group; then it works again.
 *
 * PORTCULLIS_EPERM: the guard is no driver's. PORTCULLIS_EBUSY: the driver has attached a domain of its own.
 * PORTCULLIS_EOPNOTSUPP: the default domain is of type Blocked. PORTCULLIS_EINVAL: not whole pages, memory of the IOMMU itself,
 * or no such permission. PORTCULLIS_ENOSPC: no free addresses, or PORTCULLIS_MAPPINGS exist. PORTCULLIS_ENOMEM,
 * PORTCULLIS_ENODEV, PORTCULLIS_EOVERFLOW, PORTCULLIS_ERANGE, PORTCULLIS_EBADF. PORTCULLIS_EIO: if
 * portcullis_health answers PORTCULLIS_WEDGED now, devices may reach the memory all the same, and it must not be used
 * for anything else.
 *
 * The caller's duty:
 * The memory is the mapping's until unmapping it has answered 0, and for good after PORTCULLIS_EIO of hardware that is
 * given up. mapping and iova are null, which is refused, or good
 * for writing.
 */
int portcullis_dma_map(portcullis_guard guard,
                       uint64_t address,
                       uint64_t bytes,
                       uint32_t permissions,
                       portcullis_mapping *mapping,
                       uint64_t *iova);

/**
 * Takes a buffer back: on return no device reaches it, and nothing granted before is on the way.
 *
 * PORTCULLIS_EBADF. PORTCULLIS_EIO: the hardware does not answer, and devices may still reach the buffer: the mapping stays.
 */
int portcullis_dma_unmap(portcullis_mapping mapping);

/**
 * Unmaps a buffer without waiting, where the default domain is of type DMA-FQ; with type DMA it is as strict as
 * portcullis_dma_unmap. Answers 0 if no device reaches the buffer any more: then the mapping is gone. Answers 1 if devices may
 * still reach it: asking again later, or portcullis_dma_unmap, ends that.
 *
 * PORTCULLIS_EBADF, PORTCULLIS_EIO.
 */
int portcullis_dma_unmap_later(portcullis_mapping mapping);

/**
 * Writes at most room events to events, oldest first. drained, which may be null, tells how many, whether some were
 * lost because PORTCULLIS_EVENTS waited, and whether there are more. Touches no hardware. PORTCULLIS_EINVAL,
 * PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * events is good for writing room elements, or null with room 0. drained is null or good for writing.
 */
int portcullis_events(portcullis_iommu iommu,
                      struct portcullis_event *events,
                      size_t room,
                      struct portcullis_drained *drained);

/**
 * Counts since start. PORTCULLIS_EINVAL, PORTCULLIS_EBADF.
 *
 * The caller's duty:
 * stats is null, which is refused, or good for writing.
 */
int portcullis_statistics(portcullis_iommu iommu, struct portcullis_stats *stats);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PORTCULLIS_H */
