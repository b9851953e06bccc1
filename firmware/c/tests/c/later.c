/* Gathered and deferred unmaps, statistics, events, devices known at boot, the hand-over in Bare; and every misuse. */
#include "checks.h"

enum { BARE = 1 };

static const uint64_t FRAMES = UINT64_C(0x30000000);

static uint64_t statistic_commands(void)
{
    struct portcullis_stats stats;
    CHECK(portcullis_statistics(iommu, &stats), 0);
    return stats.commands;
}

static void no_events(void)
{
    struct portcullis_drained drained;
    CHECK(portcullis_events(iommu, NULL, 0, &drained), 0);
    CHECK(drained.more, 0);
}

/* Many unmaps, one invalidation. */
static void gathers(void)
{
    portcullis_group group;
    portcullis_guard guard;
    portcullis_domain red, blue, identity;
    portcullis_gather gather, other, many[PORTCULLIS_GATHERS];
    uint64_t unmapped = 0, commands;
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_attach(guard, red), 0);
    for (n = 0; n < 4; n++)
        CHECK(reach(NIC, IOVA + n * 0x1000, RED + n * 0x1000), 0);
    commands = machine.commands;
    CHECK(portcullis_gather_new(red, &gather), 0);
    CHECK(portcullis_unmap_gather(gather, IOVA, 0x1000, &unmapped), 0);
    CHECK(unmapped, 0x1000);
    CHECK(portcullis_unmap_gather(gather, IOVA + 0x2000, 0x1000, NULL), 0);
    CHECK(machine.commands, commands);
    CHECK(reach(NIC, IOVA, RED), 0); /* cached until the end */
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_stop(iommu), -PORTCULLIS_EBUSY);
    /* What is refused is not gathered, and costs nothing. */
    unmapped = 7;
    CHECK(portcullis_unmap_gather(gather, IOVA + 1, 0x1000, &unmapped), -PORTCULLIS_EINVAL);
    CHECK(portcullis_unmap_gather(gather, IOVA, 0, &unmapped), -PORTCULLIS_EINVAL);
    CHECK(portcullis_unmap_gather(gather, UINT64_C(1) << 38, 0x1000, &unmapped), -PORTCULLIS_ERANGE);
    CHECK(portcullis_unmap_gather(gather, ~UINT64_C(0xfff), 0x1000, &unmapped), -PORTCULLIS_EOVERFLOW);
    CHECK(unmapped, 7);
    CHECK(machine.commands, commands);
    CHECK(reach(NIC, IOVA + 0x1000, RED + 0x1000), 0);
    CHECK(portcullis_gather_sync(gather), 0);
    CHECK(machine.commands > commands, 1);
    CHECK(reach(NIC, IOVA, RED), READ_FAULT);
    CHECK(reach(NIC, IOVA + 0x2000, RED), READ_FAULT);
    CHECK(reach(NIC, IOVA + 0x3000, RED + 0x3000), 0);

    /* Handles: gone, of another kind, of nothing. */
    CHECK(portcullis_gather_sync(gather), -PORTCULLIS_EBADF);
    CHECK(portcullis_unmap_gather(gather, IOVA, 0x1000, NULL), -PORTCULLIS_EBADF);
    CHECK(portcullis_unmap_gather(red, IOVA, 0x1000, NULL), -PORTCULLIS_EBADF);
    CHECK(portcullis_gather_sync(PORTCULLIS_NONE), -PORTCULLIS_EBADF);
    CHECK(portcullis_gather_new(guard, &other), -PORTCULLIS_EBADF);
    CHECK(portcullis_gather_new(red, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_identity(iommu, &identity), 0);
    CHECK(portcullis_gather_new(identity, &other), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_free(identity), 0);

    /* An empty collection costs nothing. The domain may move meanwhile; detaching purges everything anyway. */
    commands = machine.commands;
    CHECK(portcullis_gather_new(red, &gather), 0);
    CHECK(gather == other, 0);
    CHECK(portcullis_gather_sync(gather), 0);
    CHECK(machine.commands, commands);
    CHECK(portcullis_gather_new(red, &gather), 0);
    CHECK(portcullis_unmap_gather(gather, IOVA + 0x3000, 0x1000, NULL), 0);
    blue = colour(BLUE);
    CHECK(portcullis_replace(guard, blue), 0);
    CHECK(reach(NIC, IOVA + 0x3000, BLUE + 0x3000), 0);
    CHECK(portcullis_replace(guard, red), 0);
    CHECK(reach(NIC, IOVA + 0x3000, RED), READ_FAULT);
    CHECK(portcullis_gather_sync(gather), 0);

    for (n = 0; n < PORTCULLIS_GATHERS; n++)
        CHECK(portcullis_gather_new(red, &many[n]), 0);
    CHECK(portcullis_gather_new(blue, &other), -PORTCULLIS_ENOSPC);
    while (n-- > 0)
        CHECK(portcullis_gather_sync(many[n]), 0);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);
    stop();
}

/* Deferred unmaps, waited for one by one. */
static void deferred(void)
{
    portcullis_group group;
    portcullis_guard guard;
    portcullis_domain red, gone;
    portcullis_deferred one, two, many[PORTCULLIS_DEFERRED];
    uint64_t unmapped = 0;
    unsigned n, commands;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_attach(guard, red), 0);
    for (n = 0; n < 4; n++)
        CHECK(reach(NIC, IOVA + n * 0x1000, RED + n * 0x1000), 0);
    commands = machine.commands;
    CHECK(portcullis_unmap_named(red, IOVA, 0x1000, &unmapped, &one), 0);
    CHECK(unmapped, 0x1000);
    CHECK(portcullis_deferred_ready(one), 0);
    CHECK(machine.commands, commands);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_deferred_wait(one), 0);
    CHECK(reach(NIC, IOVA, RED), READ_FAULT);
    CHECK(portcullis_deferred_wait(one), -PORTCULLIS_EBADF);
    CHECK(portcullis_deferred_ready(one), -PORTCULLIS_EBADF);

    /* A flush that comes after covers it: waiting costs nothing then. One that came before does not. */
    CHECK(portcullis_unmap_named(red, IOVA + 0x1000, 0x1000, NULL, &one), 0);
    CHECK(portcullis_flush(red), 0);
    CHECK(reach(NIC, IOVA + 0x2000, RED + 0x2000), 0); /* cached again */
    CHECK(portcullis_unmap_named(red, IOVA + 0x2000, 0x1000, NULL, &two), 0);
    commands = machine.commands;
    CHECK(portcullis_deferred_ready(two), 0);
    CHECK(portcullis_deferred_wait(one), 0);
    CHECK(machine.commands, commands);
    CHECK(reach(NIC, IOVA + 0x2000, RED + 0x2000), 0);
    CHECK(portcullis_detach(guard, red), 0);
    CHECK(portcullis_deferred_ready(two), 1);
    CHECK(portcullis_deferred_ready(two), -PORTCULLIS_EBADF);

    /* Of a domain that has gone: it was detached before. */
    gone = colour(BLUE);
    CHECK(portcullis_attach(guard, gone), 0);
    CHECK(reach(NIC, IOVA, BLUE), 0);
    CHECK(portcullis_unmap_named(gone, IOVA, 0x1000, NULL, &one), 0);
    CHECK(portcullis_unmap_named(gone, IOVA + 0x1000, 0x1000, NULL, &two), 0);
    CHECK(portcullis_detach(guard, gone), 0);
    CHECK(portcullis_domain_free(gone), 0);
    CHECK(portcullis_deferred_ready(one), 1);
    CHECK(portcullis_deferred_wait(two), 0);

    /* Misuse. */
    CHECK(portcullis_deferred_wait(red), -PORTCULLIS_EBADF);
    CHECK(portcullis_deferred_ready(PORTCULLIS_NONE), -PORTCULLIS_EBADF);
    CHECK(portcullis_unmap_named(gone, IOVA, 0x1000, NULL, &one), -PORTCULLIS_EBADF);
    CHECK(portcullis_unmap_named(red, IOVA + 0x3000, 0x1000, NULL, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_unmap_named(red, 1, 0x1000, NULL, &one), -PORTCULLIS_EINVAL);
    CHECK(portcullis_unmap_named(red, UINT64_C(1) << 38, 0x1000, NULL, &one), -PORTCULLIS_ERANGE);
    CHECK(portcullis_attach(guard, red), 0);
    CHECK(reach(NIC, IOVA + 0x3000, RED + 0x3000), 0);
    for (n = 0; n < PORTCULLIS_DEFERRED; n++)
        CHECK(portcullis_unmap_named(red, 0x80000000, 0x1000, NULL, &many[n]), 0);
    CHECK(portcullis_unmap_named(red, IOVA + 0x3000, 0x1000, NULL, &one), -PORTCULLIS_ENOSPC);
    CHECK(portcullis_translate(red, IOVA + 0x3000, NULL, NULL), 0);
    while (n-- > 0)
        CHECK(portcullis_deferred_wait(many[n]), 0);

    /* Hardware that fails: closed, nobody reaches anything. Names that are left do not hold the IOMMU. */
    CHECK(portcullis_unmap_named(red, IOVA + 0x3000, 0x1000, NULL, &one), 0);
    CHECK(portcullis_unmap_named(red, 0x80000000, 0x1000, NULL, &two), 0);
    machine.stuck = 1;
    CHECK(portcullis_deferred_wait(one), 0);
    CHECK(portcullis_health(iommu), PORTCULLIS_CLOSED);
    CHECK(reach(NIC, IOVA + 0x3000, 0), OFF);
    machine.stuck = 0;
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();
    CHECK(portcullis_deferred_wait(two), -PORTCULLIS_EBADF);
}

/* What is told, and what is counted. */
static void events_and_statistics(void)
{
    portcullis_group group, second;
    portcullis_guard guard;
    portcullis_domain red, blue;
    struct portcullis_event events[PORTCULLIS_EVENTS + 1];
    struct portcullis_drained drained;
    struct portcullis_stats stats;
    uint64_t before;
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_events(iommu, events, 4, &drained), 0);
    CHECK(drained.records, 0);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    blue = colour(BLUE);
    CHECK(portcullis_attach(guard, red), 0);
    before = statistic_commands();
    CHECK(portcullis_replace_hitless(guard, blue), 0);
    CHECK(statistic_commands() - before, 4);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_release(guard), 0);

    CHECK(portcullis_events(iommu, events, 3, &drained), 0);
    CHECK(drained.records, 3);
    CHECK(drained.more, 1);
    CHECK(drained.lost, 0);
    CHECK(events[0].kind, PORTCULLIS_EVENT_CHANGED);
    CHECK(events[0].group == group, 1);
    CHECK(events[0].device, NIC);
    CHECK(events[0].path, PORTCULLIS_PATH_PUBLISH);
    CHECK(events[0].from == PORTCULLIS_BLOCKED, 1);
    CHECK(events[1].path, PORTCULLIS_PATH_BLOCK);
    CHECK(events[1].device == PORTCULLIS_ALL_DEVICES, 1);
    CHECK(events[1].from == events[0].to, 1);
    CHECK(events[1].to == PORTCULLIS_BLOCKED, 1);
    CHECK(events[2].path, PORTCULLIS_PATH_PUBLISH);
    CHECK(events[2].to >> 60, 8);
    CHECK(portcullis_events(iommu, &events[3], 8, &drained), 0);
    CHECK(drained.records, 3);
    CHECK(drained.more, 0);
    CHECK(events[3].path, PORTCULLIS_PATH_SWAP);
    CHECK(events[3].from == events[2].to, 1);
    CHECK(events[4].path, PORTCULLIS_PATH_BLOCK);
    CHECK(events[5].path, PORTCULLIS_PATH_PUBLISH);
    CHECK(events[5].to == events[0].to, 1);
    no_events();

    /* More than are kept: the oldest ones stay, and the loss is told once. */
    for (n = 0; n < PORTCULLIS_EVENTS; n++) {
        CHECK(portcullis_claim(group, 1, &guard), 0);
        CHECK(portcullis_release(guard), 0);
    }
    CHECK(portcullis_events(iommu, events, PORTCULLIS_EVENTS + 1, &drained), 0);
    CHECK(drained.records, PORTCULLIS_EVENTS);
    CHECK(drained.lost, 1);
    CHECK(events[0].path, PORTCULLIS_PATH_BLOCK);
    CHECK(portcullis_events(iommu, events, 1, &drained), 0);
    CHECK(drained.lost, 0);
    CHECK(drained.records, 0);

    /* A group that has gone has no new name; failures are told too. */
    CHECK(portcullis_add_device(iommu, DISK, PORTCULLIS_NONE, &second), 0);
    CHECK(portcullis_remove_device(iommu, DISK), 0);
    machine.stuck = 1;
    CHECK(portcullis_claim(group, 1, &guard), -PORTCULLIS_EIO);
    machine.stuck = 0;
    CHECK(portcullis_recover(iommu), 0);
    CHECK(portcullis_events(iommu, events, 8, &drained), 0);
    for (n = 0; n < drained.records && events[n].kind != PORTCULLIS_EVENT_QUEUE_RESET; n++)
        CHECK(events[n].kind, PORTCULLIS_EVENT_CHANGED);
    CHECK(n, 2);
    CHECK(events[0].group == second, 1);
    CHECK(portcullis_claim(events[0].group, 1, &guard), -PORTCULLIS_ENODEV);
    CHECK(events[n].cqcsr >> 16, 1);
    CHECK(events[n + 1].kind, PORTCULLIS_EVENT_QUEUE_RESET);
    CHECK(events[n + 2].kind, PORTCULLIS_EVENT_CLOSED);
    CHECK(events[drained.records - 1].kind, PORTCULLIS_EVENT_RECOVERED);

    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    CHECK(portcullis_statistics(iommu, &stats), 0);
    CHECK(stats.faults, 0);
    CHECK(stats.queue_resets, 3);
    CHECK(stats.fences > stats.fence_waits, 1);
    {
        struct portcullis_fault fault;
        CHECK(portcullis_faults(iommu, &fault, 1, NULL), 0);
    }
    CHECK(portcullis_statistics(iommu, &stats), 0);
    CHECK(stats.faults, 1);
    CHECK(stats.unknown_faults, 0);

    /* Misuse. */
    CHECK(portcullis_statistics(iommu, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_statistics(group, &stats), -PORTCULLIS_EBADF);
    CHECK(portcullis_statistics(PORTCULLIS_NONE, &stats), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_events(iommu, NULL, 1, &drained), -PORTCULLIS_EINVAL);
    CHECK(portcullis_events(group, events, 1, &drained), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);
    stop();
    /* What one IOMMU was told is not told of the next. */
    start(PORTCULLIS_DEFAULT_DMA);
    no_events();
    stop();
}

/* Devices that work already, and the hand-over to the next kernel. */
static void boot(void)
{
    static const struct portcullis_region frames = { 0x30000000, 0x3000, PORTCULLIS_REGION_DIRECT,
                                                     PORTCULLIS_READ | PORTCULLIS_WRITE };
    struct portcullis_known known[PORTCULLIS_DEVICES + 1];
    struct portcullis_platform platform;
    struct portcullis_config config;
    portcullis_group group, same;
    portcullis_guard guard;
    portcullis_iommu none = PORTCULLIS_NONE;
    unsigned n;

    memset(known, 0, sizeof known);
    known[0].device.id = NIC;
    known[0].device.regions = &frames;
    known[0].device.region_count = 1;
    known[1].device.id = DISK;
    known[1].joins = 1;
    CHECK(portcullis_config_default(&config), 0);
    config.default_domain = PORTCULLIS_DEFAULT_DMA;
    mock_init(&machine);
    platform = mock_platform(&machine);
    machine.regs[4] = BARE;

    /* Everything that is refused leaves DMA as it was. */
    CHECK(portcullis_start_with(&platform, &config, NULL, 1, &none, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_start_with(&platform, &config, known, 2, NULL, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_start_with(NULL, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_start_with(&platform, &config, known, PORTCULLIS_DEVICES + 1, &none, NULL), -PORTCULLIS_ENOSPC);
    known[1].joins = 2;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_ENOENT);
    known[1].joins = 1;
    known[1].device.join = 1;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    known[1].device.join = PORTCULLIS_NONE;
    known[1].device.id = NIC;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EEXIST);
    known[1].device.id = 128;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_ERANGE);
    known[1].device.id = DISK;
    known[1].device.policy = 9;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    known[1].device.policy = PORTCULLIS_POLICY_ANY;
    known[0].device.region_count = PORTCULLIS_REGIONS + 1;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    known[0].device.region_count = 1;
    config.default_domain = PORTCULLIS_DEFAULT_BLOCKED;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    config.default_domain = PORTCULLIS_DEFAULT_DMA;
    known[1].keeps = 1; /* but it is not deferred */
    CHECK(portcullis_start_with(&platform, &config, known, 2, &none, NULL), -PORTCULLIS_EINVAL);
    CHECK(none, PORTCULLIS_NONE);
    CHECK(mock_pages(&machine), 0);
    CHECK(reach(9, IOVA, IOVA), 0);

    /* A device that keeps what it has until its first use. */
    known[1].device.deferred = 1;
    CHECK(portcullis_start_with(&platform, &config, known, 2, &iommu, NULL), 0);
    CHECK(reach(DISK, IOVA, IOVA), 0);
    CHECK(reach(9, IOVA, 0), BLOCKED);
    CHECK(portcullis_group_of(iommu, DISK, &group), 0);
    CHECK(portcullis_use_default(group, &guard), 0);
    CHECK(reach(DISK, IOVA, 0), READ_FAULT);
    CHECK(portcullis_unuse(guard), 0);
    CHECK(portcullis_stop_in_bare(iommu), 0);
    known[1].keeps = known[1].device.deferred = 0;
    platform = mock_platform(&machine);

    CHECK(portcullis_start_with(&platform, &config, known, 2, &iommu, &admin), 0);
    known[0].device.regions = NULL; /* both were copied */
    CHECK(reach(NIC, FRAMES + 0x2008, FRAMES + 0x2008), 0);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    CHECK(reach(9, IOVA, 0), BLOCKED);
    CHECK(portcullis_group_of(iommu, NIC, &group), 0);
    CHECK(portcullis_group_of(iommu, DISK, &same), 0);
    CHECK(group == same, 1);
    CHECK(portcullis_claim(group, 1, &guard), -PORTCULLIS_EINVAL); /* it cannot be blocked */
    CHECK(portcullis_use_default(group, &guard), 0);
    CHECK(portcullis_stop_in_bare(iommu), -PORTCULLIS_EBUSY);
    CHECK(reach(9, IOVA, 0), BLOCKED);
    CHECK(portcullis_unuse(guard), 0);
    /* The regions' places are those of the devices: they stay while others come. */
    for (n = 0; n < 4; n++) {
        struct portcullis_region own = { 0x40000000, 0x1000, PORTCULLIS_REGION_RESERVED, 0 };
        struct portcullis_device device = { .id = 20 + n, .regions = &own, .region_count = 1 };
        CHECK(portcullis_add_device_as(iommu, &device, NULL), 0);
    }
    CHECK(portcullis_claim(group, 1, &guard), -PORTCULLIS_EINVAL);

    CHECK(portcullis_stop_in_bare(PORTCULLIS_NONE), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_stop_in_bare(group), -PORTCULLIS_EBADF);
    CHECK(portcullis_stop_in_bare(iommu), 0);
    CHECK(portcullis_stop_in_bare(iommu), -PORTCULLIS_EBADF);
    CHECK(mock_pages(&machine), 0);
    CHECK(reach(9, IOVA, IOVA), 0);
    CHECK(machine.regs[4] & 15, BARE);

    /* And the next one, which finds Bare. */
    platform = mock_platform(&machine);
    CHECK(portcullis_start_with(&platform, NULL, NULL, 0, &iommu, NULL), 0);
    CHECK(reach(NIC, FRAMES, 0), BLOCKED);
    stop();
}

int main(void)
{
    gathers();
    deferred();
    events_and_statistics();
    boot();
    printf("%u checks\n", checks);
    return 0;
}
