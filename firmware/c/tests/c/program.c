/* What a C user does, and everything a C user can do wrong. Prints the first thing that is not as it should be. */
#include "checks.h"

static struct mock other;

/* claim, attach, replace, detach, release, with what a device reaches after each. */
static void life_of_a_group(void)
{
    portcullis_group group, same;
    portcullis_guard guard;
    portcullis_domain red, blue;
    uint64_t unmapped = 0, pa = 0;
    uint32_t perm = 0;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(reach(NIC, IOVA, 0), BLOCKED);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_group_of(iommu, NIC, &same), 0);
    CHECK(group == same && group != PORTCULLIS_NONE, 1);
    state(group, PORTCULLIS_IDLE, 0, 0);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);

    CHECK(portcullis_claim(group, 42, &guard), 0);
    state(group, PORTCULLIS_OWNED, 1, 42);
    CHECK(reach(NIC, IOVA, 0), BLOCKED);
    red = colour(RED);
    blue = colour(BLUE);
    CHECK(portcullis_attach(guard, red), 0);
    state(group, PORTCULLIS_ATTACHED, 1, 42);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_replace_hitless(guard, blue), 0);
    CHECK(reach(NIC, IOVA + 0x1008, BLUE + 0x1008), 0);
    CHECK(portcullis_replace(guard, red), 0);
    CHECK(reach(NIC, IOVA, RED), 0);

    CHECK(portcullis_translate(red, IOVA + 0x2000, &pa, &perm), 0);
    CHECK(pa, RED + 0x2000);
    CHECK(perm, PORTCULLIS_READ | PORTCULLIS_WRITE);
    CHECK(portcullis_unmap(red, IOVA, 0x1000, &unmapped), 0);
    CHECK(unmapped, 0x1000);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    CHECK(reach(NIC, IOVA + 0x1000, RED + 0x1000), 0);
    CHECK(portcullis_translate(red, IOVA, &pa, &perm), -PORTCULLIS_ENOENT);
    CHECK(portcullis_unmap_deferred(red, IOVA + 0x1000, 0x1000, &unmapped), 0);
    CHECK(reach(NIC, IOVA + 0x1000, RED + 0x1000), 0); /* cached until the flush */
    CHECK(portcullis_flush(red), 0);
    CHECK(reach(NIC, IOVA + 0x1000, 0), READ_FAULT);

    CHECK(portcullis_detach(guard, red), 0);
    CHECK(reach(NIC, IOVA + 0x2000, 0), BLOCKED);
    CHECK(portcullis_detach(guard, PORTCULLIS_NONE), 0);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_attach(guard, blue), 0);
    CHECK(portcullis_release(guard), 0);
    state(group, PORTCULLIS_IDLE, 0, 0);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    CHECK(portcullis_domain_free(blue), 0); /* releasing has detached it */
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    CHECK(portcullis_group_status(group, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_claim(group, 42, &guard), -PORTCULLIS_ENODEV);
    stop();
}

/* Drivers: the default domain, a domain of their own, and back. */
static void life_of_a_driver(void)
{
    portcullis_group group;
    portcullis_guard one, two, owner;
    portcullis_domain red, blue;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_use_default(group, &one), 0);
    CHECK(portcullis_use_default(group, &two), 0);
    state(group, PORTCULLIS_KERNEL, 2, 0);
    CHECK(portcullis_claim(group, 1, &owner), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim_device(iommu, NIC, 1, &owner), -PORTCULLIS_EPERM);
    red = colour(RED);
    blue = colour(BLUE);
    CHECK(portcullis_hitless(one, red), 0);
    CHECK(portcullis_replace_hitless(one, red), 0);
    state(group, PORTCULLIS_MANAGED, 2, 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_attach(two, blue), -PORTCULLIS_EBUSY);
    CHECK(portcullis_replace_hitless(one, blue), 0);
    CHECK(reach(NIC, IOVA, BLUE), 0);
    CHECK(portcullis_release(one), -PORTCULLIS_EPERM);
    CHECK(portcullis_release_device(one), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim_guard(one), -PORTCULLIS_EPERM);
    CHECK(portcullis_unuse(one), 0);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    state(group, PORTCULLIS_KERNEL, 1, 0);
    CHECK(portcullis_unuse(two), 0);
    CHECK(portcullis_unuse(two), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);

    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_DMA_FQ, PORTCULLIS_NONE), -PORTCULLIS_EACCES);
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_DMA_FQ, iommu), -PORTCULLIS_EACCES);
    CHECK(portcullis_set_default_domain_type(group, 7, admin), -PORTCULLIS_EINVAL);
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_IDENTITY, admin), 0);
    CHECK(portcullis_isolation(iommu), 0);
    CHECK(reach(NIC, RED, RED), 0);
    CHECK(portcullis_claim(group, 1, &owner), 0);
    CHECK(portcullis_isolation(iommu), 1);
    CHECK(reach(NIC, RED, 0), BLOCKED);
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_BLOCKED, admin), -PORTCULLIS_EPERM);
    CHECK(portcullis_release(owner), 0);
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_BLOCKED, admin), 0);
    CHECK(reach(NIC, RED, 0), BLOCKED);
    stop();
}

/* Buffers of drivers in the default domain. */
static void dma_of_drivers(void)
{
    portcullis_group group;
    portcullis_guard user, owner;
    portcullis_domain red;
    portcullis_mapping buffer, other_buffer, none;
    uint64_t at = 0, also_at = 0;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_dma_map(group, RED, 0x1000, PORTCULLIS_READ, &buffer, &at), -PORTCULLIS_EPERM);
    CHECK(portcullis_use_default(group, &user), 0);
    CHECK(portcullis_dma_map(user, RED, 0x1000, PORTCULLIS_READ, NULL, &at), -PORTCULLIS_EINVAL);
    CHECK(portcullis_dma_map(user, RED, 0x1000, PORTCULLIS_EXEC, &buffer, &at), -PORTCULLIS_EINVAL);
    CHECK(portcullis_dma_map(user, RED, 0x1001, PORTCULLIS_READ, &buffer, &at), -PORTCULLIS_EINVAL);
    CHECK(portcullis_dma_map(user, MOCK_BASE, 0x1000, PORTCULLIS_READ, &buffer, &at), -PORTCULLIS_EINVAL);
    CHECK(portcullis_dma_map(user, RED, 0x2000, PORTCULLIS_READ, &buffer, &at), 0);
    CHECK(reach(NIC, at + 0x1000, RED + 0x1000), 0);
    CHECK(mock_dma(&machine, NIC, at, 1, &also_at), WRITE_FAULT);
    CHECK(portcullis_dma_map(user, BLUE, 0x1000, PORTCULLIS_WRITE, &other_buffer, &also_at), 0);
    CHECK(reach(NIC, also_at, BLUE), 0);
    CHECK(portcullis_dma_unmap(other_buffer), 0);
    CHECK(reach(NIC, also_at, BLUE), READ_FAULT);
    CHECK(portcullis_dma_unmap(other_buffer), -PORTCULLIS_EBADF);
    CHECK(portcullis_dma_unmap_later(user), -PORTCULLIS_EBADF);

    /* A mapping made before a claim is there again after it. */
    CHECK(portcullis_unuse(user), 0);
    CHECK(portcullis_claim(group, 1, &owner), 0);
    CHECK(reach(NIC, at, RED), BLOCKED);
    CHECK(portcullis_dma_map(owner, BLUE, 0x1000, PORTCULLIS_READ, &none, &also_at), -PORTCULLIS_EPERM);
    CHECK(portcullis_release(owner), 0);
    CHECK(reach(NIC, at, RED), 0);
    CHECK(portcullis_stop(iommu), -PORTCULLIS_EBUSY);

    /* Deferred: devices may reach the buffer until a flush. */
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_DMA_FQ, admin), 0);
    CHECK(portcullis_use_default(group, &user), 0);
    CHECK(portcullis_dma_map(user, BLUE, 0x1000, PORTCULLIS_READ, &other_buffer, &also_at), 0);
    CHECK(reach(NIC, also_at, BLUE), 0);
    CHECK(portcullis_dma_unmap_later(buffer), 1);
    CHECK(portcullis_dma_unmap_later(buffer), 1);
    CHECK(reach(NIC, at, RED), 0);
    CHECK(portcullis_dma_unmap_later(other_buffer), 1);
    CHECK(portcullis_dma_unmap(buffer), 0);
    CHECK(reach(NIC, at, RED), READ_FAULT);
    CHECK(reach(NIC, also_at, BLUE), READ_FAULT);
    CHECK(portcullis_dma_unmap_later(other_buffer), 0);
    CHECK(portcullis_dma_unmap_later(other_buffer), -PORTCULLIS_EBADF);

    red = colour(RED);
    CHECK(portcullis_attach(user, red), 0);
    CHECK(portcullis_dma_map(user, BLUE, 0x1000, PORTCULLIS_READ, &none, &also_at), -PORTCULLIS_EBUSY);
    CHECK(portcullis_unuse(user), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();
}

/* Claims by device, groups of several devices, and devices that vanish. */
static void claims_and_removal(void)
{
    portcullis_group group, second;
    portcullis_guard a, b, c;
    portcullis_domain red;

    start(PORTCULLIS_DEFAULT_BLOCKED);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_add_device(iommu, DISK, group, &second), 0);
    CHECK(group == second, 1);
    CHECK(portcullis_add_device(iommu, DISK, group, NULL), -PORTCULLIS_EEXIST);
    CHECK(portcullis_add_device(iommu, 128, group, NULL), -PORTCULLIS_ERANGE);
    CHECK(portcullis_claim_device(iommu, NIC, 1, &a), 0);
    CHECK(portcullis_claim_device(iommu, DISK, 1, &b), 0);
    CHECK(portcullis_claim_device(iommu, DISK, 2, &c), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim_device(iommu, 9, 1, &c), -PORTCULLIS_ENODEV);
    state(group, PORTCULLIS_OWNED, 2, 1);
    red = colour(RED);
    CHECK(portcullis_attach(a, red), -PORTCULLIS_EPERM);
    CHECK(portcullis_detach(a, PORTCULLIS_NONE), -PORTCULLIS_EPERM);
    CHECK(portcullis_release(a), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim_guard(a), 0);
    CHECK(portcullis_claim_guard(b), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach(a, red), 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(reach(DISK, IOVA, RED), 0);
    CHECK(portcullis_release_device(a), 0);
    CHECK(reach(DISK, IOVA, RED), BLOCKED);
    state(group, PORTCULLIS_OWNED, 1, 1);
    CHECK(portcullis_claim_guard(b), 0);
    CHECK(portcullis_attach(b, red), 0);

    CHECK(portcullis_remove_device(iommu, NIC), 0);
    CHECK(reach(NIC, IOVA, RED), BLOCKED);
    CHECK(portcullis_remove_device(iommu, DISK), -PORTCULLIS_EBUSY);
    CHECK(portcullis_device_gone(iommu, DISK), 0);
    CHECK(portcullis_device_gone(iommu, DISK), -PORTCULLIS_ENODEV);
    state(group, PORTCULLIS_ORPHAN, 1, 1);
    CHECK(portcullis_detach(b, red), 0);
    CHECK(portcullis_attach(b, red), -PORTCULLIS_ENODEV);
    CHECK(portcullis_release(b), 0);
    CHECK(portcullis_use_default(group, &c), -PORTCULLIS_ENODEV);
    CHECK(portcullis_add_device(iommu, NIC, group, NULL), -PORTCULLIS_ENODEV);
    /* The name of the group that has gone is not the name of its successor. */
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &second), 0);
    CHECK(group == second, 0);
    CHECK(portcullis_claim(group, 1, &c), -PORTCULLIS_ENODEV);
    CHECK(portcullis_domain_free(red), 0);
    stop();
}

/* Every misuse has its own answer, and changes nothing. */
static void misuse(void)
{
    portcullis_group group, foreign_group;
    portcullis_guard guard, none;
    portcullis_domain red, blue, foreign;
    portcullis_iommu second, third = PORTCULLIS_NONE;
    struct portcullis_platform platform;
    struct portcullis_config config;
    unsigned n, pages;
    portcullis_domain many[PORTCULLIS_DOMAINS];
    portcullis_guard guards[PORTCULLIS_GUARDS];

    /* Before there is an IOMMU. */
    CHECK(portcullis_group_of(PORTCULLIS_NONE, NIC, &group), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_claim_device(PORTCULLIS_NONE, NIC, 1, &guard), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_start(NULL, NULL, &second, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_config_default(NULL), -PORTCULLIS_EINVAL);
    platform = mock_platform(&other);
    CHECK(portcullis_start(&platform, NULL, NULL, NULL), -PORTCULLIS_EINVAL);
    platform.now_us = NULL;
    CHECK(portcullis_start(&platform, NULL, &second, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_config_default(&config), 0);
    config.storm_polls = 256;
    platform = mock_platform(&other);
    mock_init(&other);
    CHECK(portcullis_start(&platform, &config, &second, NULL), -PORTCULLIS_EINVAL);
    other.regs[0] = 0x10000010; /* no Sv39 */
    CHECK(portcullis_start(&platform, NULL, &second, NULL), -PORTCULLIS_EOPNOTSUPP);

    start(PORTCULLIS_DEFAULT_DMA);
    mock_init(&other);
    CHECK(portcullis_start(&platform, NULL, &second, NULL), 0);
    CHECK(portcullis_start(&platform, NULL, &third, NULL), -PORTCULLIS_ENOSPC);
    CHECK(third, PORTCULLIS_NONE);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_add_device(second, NIC, PORTCULLIS_NONE, &foreign_group), 0);
    CHECK(portcullis_add_device(iommu, DISK, foreign_group, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_new(second, PORTCULLIS_SV39, &foreign), 0);

    /* Owners, and who may do what. */
    CHECK(portcullis_claim(group, 0, &guard), -PORTCULLIS_EINVAL);
    CHECK(portcullis_claim(group, 1, NULL), -PORTCULLIS_EINVAL);
    red = colour(RED);
    blue = colour(BLUE);
    CHECK(portcullis_attach(group, red), -PORTCULLIS_EPERM);
    CHECK(portcullis_replace(group, red), -PORTCULLIS_EPERM);
    CHECK(portcullis_detach(group, red), -PORTCULLIS_EPERM);
    CHECK(portcullis_release(group), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    CHECK(portcullis_claim(group, 1, &none), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim(group, 2, &none), -PORTCULLIS_EPERM);
    CHECK(portcullis_use_default(group, &none), -PORTCULLIS_EBUSY);
    CHECK(portcullis_unuse(guard), -PORTCULLIS_EPERM);
    CHECK(portcullis_replace_hitless(guard, red), -PORTCULLIS_EOPNOTSUPP);

    /* Domains that are attached, or not, or elsewhere. */
    CHECK(portcullis_attach(guard, foreign), -PORTCULLIS_EINVAL);
    CHECK(portcullis_detach(guard, red), -PORTCULLIS_EINVAL);
    CHECK(portcullis_attach(guard, red), 0);
    n = machine.commands;
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach(guard, blue), -PORTCULLIS_EBUSY);
    CHECK(portcullis_replace(guard, red), 0);
    CHECK(portcullis_replace_hitless(guard, red), 0);
    CHECK(portcullis_replace(guard, foreign), -PORTCULLIS_EINVAL);
    CHECK(portcullis_detach(guard, blue), -PORTCULLIS_EINVAL);
    CHECK(portcullis_detach(guard, foreign), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(machine.commands, n);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_stop(iommu), -PORTCULLIS_EBUSY);

    /* Mapping. */
    CHECK(portcullis_map(red, IOVA, BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EADDRINUSE);
    CHECK(portcullis_map(red, 0, BLUE, 0x1000, 0), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, 0, BLUE, 0x1000, 8), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, 0, BLUE, 0, PORTCULLIS_READ), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, 1, BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, 0, MOCK_BASE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, UINT64_C(1) << 38, BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_ERANGE);
    CHECK(portcullis_map(red, ~UINT64_C(0xfff), BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EOVERFLOW);
    CHECK(portcullis_domain_new(iommu, 32, &none), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_new(iommu, PORTCULLIS_SV57, &none), -PORTCULLIS_ENODEV);

    /* Handles: of nothing, of another kind, of what is gone, of a place that is taken again. */
    CHECK(portcullis_domain_free(PORTCULLIS_NONE), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(UINT64_MAX), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(red + 1), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(guard), -PORTCULLIS_EBADF);
    CHECK(portcullis_map(group, 0, BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EBADF);
    CHECK(portcullis_release(red), -PORTCULLIS_EBADF);
    CHECK(portcullis_claim(red, 1, &none), -PORTCULLIS_EBADF);
    CHECK(portcullis_claim(group + 7, 1, &none), -PORTCULLIS_EBADF);
    CHECK(portcullis_health(group), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_free(blue), 0);
    CHECK(portcullis_domain_free(blue), -PORTCULLIS_EBADF);
    foreign_group = blue;
    blue = colour(BLUE);
    CHECK(portcullis_domain_free(foreign_group), -PORTCULLIS_EBADF);
    CHECK(portcullis_replace(guard, foreign_group), -PORTCULLIS_EBADF);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_release(guard), -PORTCULLIS_EBADF);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBADF);
    CHECK(portcullis_claim(group, 1, &none), 0);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBADF);
    CHECK(portcullis_release(none), 0);

    /* Full tables. */
    pages = mock_pages(&machine);
    for (n = 0; n < PORTCULLIS_DOMAINS - 2; n++)
        CHECK(portcullis_domain_new(iommu, PORTCULLIS_SV39, &many[n]), 0);
    CHECK(portcullis_domain_new(iommu, PORTCULLIS_SV39, &many[n]), -PORTCULLIS_ENOSPC);
    while (n-- > 0)
        CHECK(portcullis_domain_free(many[n]), 0);
    CHECK(mock_pages(&machine), pages);
    for (n = 0; n < PORTCULLIS_GUARDS; n++)
        CHECK(portcullis_use_default(group, &guards[n]), 0);
    CHECK(portcullis_use_default(group, &none), -PORTCULLIS_ENOSPC);
    while (n-- > 0)
        CHECK(portcullis_unuse(guards[n]), 0);
    state(group, PORTCULLIS_IDLE, 0, 0);

    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);
    third = iommu;
    stop();
    CHECK(portcullis_health(third), -PORTCULLIS_EBADF);
    CHECK(portcullis_stop(third), -PORTCULLIS_EBADF);
    CHECK(portcullis_claim(group, 1, &none), -PORTCULLIS_EBADF);
    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_health(third), -PORTCULLIS_EBADF);
    CHECK(portcullis_claim(group, 1, &none), -PORTCULLIS_ENODEV);
    CHECK(portcullis_attach(guard, foreign), -PORTCULLIS_EBADF);
    stop();
    CHECK(portcullis_domain_free(foreign), 0);
    CHECK(portcullis_stop(second), 0);
    CHECK(mock_pages(&other), 0);
}

static int nested(void) { return portcullis_health(iommu); }

/* Faults, and calls from where none may come. */
static void faults_and_nesting(void)
{
    portcullis_group group;
    struct portcullis_fault faults[4];
    struct portcullis_drained drained;
    struct portcullis_polled polled;
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_on_interrupt(iommu), 0);
    for (n = 0; n < 5; n++)
        CHECK(reach(NIC, IOVA + n, 0), READ_FAULT);
    CHECK(reach(DISK, IOVA, 0), BLOCKED);
    CHECK(portcullis_on_interrupt(iommu), 1);
    CHECK(portcullis_poll(iommu, &polled), 0);
    CHECK(polled.faults, 1);
    CHECK(portcullis_faults(iommu, NULL, 1, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_faults(iommu, faults, 4, &drained), 0);
    CHECK(drained.records, 4);
    CHECK(drained.more, 1);
    CHECK(faults[3].record[2], IOVA + 3);
    CHECK(faults[3].group == group, 1);
    CHECK(faults[3].device, NIC);
    CHECK(faults[3].cause, READ_FAULT);
    CHECK(portcullis_faults(iommu, faults, 4, &drained), 0);
    CHECK(drained.records, 2);
    CHECK(drained.more, 0);
    CHECK(faults[1].group, PORTCULLIS_NONE);
    CHECK(faults[1].device, DISK);

    machine.nested = nested;
    CHECK(portcullis_poll(iommu, NULL), 0);
    CHECK(machine.nested_answer, -PORTCULLIS_EBUSY);
    CHECK(portcullis_health(iommu), PORTCULLIS_GOOD);
    stop();
}

/* The hardware fails: in the middle of starting, and while a domain is attached. */
static void failures(void)
{
    struct portcullis_platform platform;
    portcullis_group group;
    portcullis_guard guard, none;
    portcullis_domain red;
    long n;
    int answer = -1;

    for (n = 0; answer != 0; n++) {
        mock_init(&machine);
        machine.fails_in = n;
        platform = mock_platform(&machine);
        iommu = PORTCULLIS_NONE;
        answer = portcullis_start(&platform, NULL, &iommu, NULL);
        if (answer != 0) {
            CHECK(answer == -PORTCULLIS_EIO || answer == -PORTCULLIS_ENOMEM, 1);
            CHECK(iommu, PORTCULLIS_NONE);
        }
    }
    CHECK(n > 100, 1);
    machine.fails_in = -1;
    stop();

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_attach(guard, red), 0);
    machine.stuck = 1;
    CHECK(portcullis_detach(guard, red), 0);
    CHECK(portcullis_health(iommu), PORTCULLIS_CLOSED);
    CHECK(reach(NIC, IOVA, RED), OFF);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EIO);
    CHECK(portcullis_claim_device(iommu, NIC, 1, &none), -PORTCULLIS_EIO);
    CHECK(portcullis_recover(iommu), -PORTCULLIS_EIO);
    machine.stuck = 0;
    CHECK(portcullis_recover(iommu), 0);
    CHECK(reach(NIC, IOVA, RED), BLOCKED);
    CHECK(portcullis_assume_reset(iommu), -PORTCULLIS_EINVAL);
    CHECK(portcullis_attach(guard, red), 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();
}

int main(void)
{
    misuse();
    life_of_a_group();
    life_of_a_driver();
    dma_of_drivers();
    claims_and_removal();
    faults_and_nesting();
    failures();
    printf("%u checks\n", checks);
    return 0;
}
