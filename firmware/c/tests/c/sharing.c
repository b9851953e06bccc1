/* Domains in several places, identity, process ids, regions and policies, resets: what they do, and every misuse. */
#include "checks.h"

static int reach_as(uint32_t pasid, uint64_t iova, uint64_t expected)
{
    uint64_t pa = 0;
    int cause = mock_dma_of(&machine, NIC, pasid, iova, 0, &pa);
    return cause != 0 ? cause : pa == expected ? 0 : -1;
}

/* One domain, two groups. */
static void shared_domains(void)
{
    portcullis_group first, second;
    portcullis_guard one, two;
    portcullis_domain red, blue, old;
    uint64_t pa;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &first), 0);
    CHECK(portcullis_add_device(iommu, DISK, PORTCULLIS_NONE, &second), 0);
    CHECK(portcullis_claim(first, 1, &one), 0);
    CHECK(portcullis_claim(second, 2, &two), 0);
    red = colour(RED);
    blue = colour(BLUE);
    CHECK(portcullis_attach(one, red), 0);
    CHECK(portcullis_attach(two, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_domain_share(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_detach(one, red), 0);
    CHECK(portcullis_domain_share(red), 0);
    CHECK(portcullis_domain_share(red), -PORTCULLIS_EINVAL);
    CHECK(portcullis_attach(one, red), 0);
    CHECK(portcullis_attach(one, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach(two, red), 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(reach(DISK, IOVA, RED), 0);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_unmap(red, IOVA, 0x1000, NULL), 0);
    CHECK(reach(NIC, IOVA, RED), READ_FAULT);
    CHECK(reach(DISK, IOVA, RED), READ_FAULT);
    CHECK(portcullis_replace(one, blue), 0);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(reach(DISK, IOVA + 0x1000, RED + 0x1000), 0);
    CHECK(portcullis_hitless(two, blue), -PORTCULLIS_EBUSY);
    CHECK(portcullis_hitless(one, red), 0);
    CHECK(portcullis_replace_hitless(one, red), 0);
    CHECK(portcullis_replace(one, red), 0);
    CHECK(portcullis_release(one), 0);
    CHECK(portcullis_translate(red, IOVA + 0x1000, &pa, NULL), 0);
    CHECK(portcullis_detach(two, red), 0);
    CHECK(portcullis_domain_free(red), 0);

    /* Handles: gone, of another kind, of nothing. */
    old = red;
    red = colour(RED);
    CHECK(portcullis_domain_share(old), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_share(two), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_share(PORTCULLIS_NONE), -PORTCULLIS_EBADF);
    CHECK(portcullis_hitless(two, old), -PORTCULLIS_EBADF);
    CHECK(portcullis_hitless(red, blue), -PORTCULLIS_EBADF);
    CHECK(portcullis_hitless(one, blue), -PORTCULLIS_EBADF);
    CHECK(portcullis_hitless(second, blue), -PORTCULLIS_EPERM);
    CHECK(portcullis_hitless(two, blue), -PORTCULLIS_EOPNOTSUPP);
    CHECK(portcullis_release(two), 0);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);
    stop();
}

/* Identity: whoever makes the domain vouches for what it is attached to. */
static void identity(void)
{
    portcullis_group group;
    portcullis_guard guard;
    portcullis_domain identity, red;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    CHECK(portcullis_domain_identity(iommu, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_identity(group, &identity), -PORTCULLIS_EBADF);
    CHECK(portcullis_domain_identity(PORTCULLIS_NONE, &identity), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_domain_identity(iommu, &identity), 0);
    CHECK(portcullis_isolation(iommu), 1);
    CHECK(portcullis_map(identity, IOVA, RED, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EINVAL);
    CHECK(portcullis_flush(identity), -PORTCULLIS_EINVAL);
    CHECK(portcullis_domain_share(identity), -PORTCULLIS_EINVAL);
    CHECK(portcullis_attach(guard, identity), 0);
    CHECK(reach(NIC, IOVA, IOVA), 0);
    CHECK(portcullis_isolation(iommu), 0);
    CHECK(portcullis_domain_free(identity), -PORTCULLIS_EBUSY);
    red = colour(RED);
    CHECK(portcullis_replace_hitless(guard, red), 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_isolation(iommu), 1);
    CHECK(portcullis_domain_free(identity), 0);
    CHECK(portcullis_attach(guard, identity), -PORTCULLIS_EBADF);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();
}

/* Process ids. Traffic without one is not disturbed. */
static void processes(void)
{
    portcullis_group group;
    portcullis_guard guard, old, claim, other_claim;
    portcullis_domain red, blue, spare;
    struct portcullis_device device = { .id = NIC, .process_ids = 1 };
    struct portcullis_limits limits;
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_hardware(iommu, &limits), 0);
    CHECK(limits.process_id_bits, 0);
    CHECK(portcullis_hardware(iommu, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_hardware(iommu + 1, &limits), -PORTCULLIS_EBADF);
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_attach_pasid(guard, 5, red), -PORTCULLIS_EOPNOTSUPP);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();

    start_with(PORTCULLIS_DEFAULT_DMA, 0x40); /* PD8 */
    CHECK(portcullis_hardware(iommu, &limits), 0);
    CHECK(limits.process_id_bits, 8);
    CHECK(limits.device_id_bits, 7);
    CHECK(limits.command_queue, 256);
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    blue = colour(BLUE);
    spare = colour(BLUE + 0x10000);
    CHECK(reach_as(5, IOVA, RED), BLOCKED);
    CHECK(portcullis_attach_pasid(guard, 5, red), 0);
    CHECK(reach_as(5, IOVA, RED), 0);
    CHECK(reach_as(6, IOVA, RED), 266);
    CHECK(reach_as(0, IOVA, RED), 266);
    CHECK(portcullis_map(red, IOVA + 0x10000, RED, 0x1000, PORTCULLIS_READ), 0);
    CHECK(reach_as(5, IOVA + 0x10000, RED), 0);
    CHECK(portcullis_unmap(red, IOVA + 0x10000, 0x1000, NULL), 0);
    CHECK(reach_as(5, IOVA + 0x10000, RED), READ_FAULT);
    CHECK(portcullis_attach(guard, blue), 0);
    CHECK(reach_as(0, IOVA, BLUE), 0);
    n = machine.commands;
    CHECK(portcullis_attach_pasid(guard, 5, spare), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach_pasid(guard, 6, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach_pasid(guard, 0, spare), -PORTCULLIS_EINVAL);
    CHECK(portcullis_attach_pasid(guard, 256, spare), -PORTCULLIS_EINVAL);
    CHECK(portcullis_replace_pasid(guard, 6, spare), -PORTCULLIS_EINVAL);
    CHECK(portcullis_replace_pasid(guard, 5, red), 0);
    CHECK(portcullis_replace_pasid(guard, 5, blue), -PORTCULLIS_EBUSY);
    CHECK(portcullis_detach_pasid(guard, 6), 0);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_domain_share(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBUSY);
    CHECK(machine.commands, n);
    CHECK(portcullis_replace_pasid(guard, 5, spare), 0);
    CHECK(reach_as(5, IOVA, BLUE + 0x10000), 0);
    CHECK(portcullis_attach_pasid(guard, 7, red), 0);
    CHECK(portcullis_detach_pasid(guard, 5), 0);
    CHECK(reach_as(5, IOVA, 0), 266);
    CHECK(reach_as(7, IOVA, RED), 0);
    CHECK(portcullis_domain_free(spare), 0);

    /* Handles: gone, of another kind, without the right. */
    CHECK(portcullis_attach_pasid(guard, 8, spare), -PORTCULLIS_EBADF);
    CHECK(portcullis_replace_pasid(guard, 7, spare), -PORTCULLIS_EBADF);
    spare = colour(BLUE);
    CHECK(portcullis_attach_pasid(group, 8, spare), -PORTCULLIS_EPERM);
    CHECK(portcullis_replace_pasid(group, 7, spare), -PORTCULLIS_EPERM);
    CHECK(portcullis_detach_pasid(group, 7), -PORTCULLIS_EPERM);
    CHECK(portcullis_attach_pasid(spare, 8, spare), -PORTCULLIS_EBADF);
    CHECK(portcullis_replace_pasid(spare, 7, spare), -PORTCULLIS_EBADF);
    CHECK(portcullis_detach_pasid(spare, 7), -PORTCULLIS_EBADF);
    CHECK(portcullis_attach_pasid(guard, 8, guard), -PORTCULLIS_EBADF);

    /* Releasing detaches; the domains stay with the caller. */
    CHECK(portcullis_release(guard), 0);
    CHECK(reach_as(7, IOVA, RED), 266);
    old = guard;
    CHECK(portcullis_attach_pasid(old, 8, spare), -PORTCULLIS_EBADF);
    CHECK(portcullis_replace_pasid(old, 7, spare), -PORTCULLIS_EBADF);
    CHECK(portcullis_detach_pasid(old, 7), -PORTCULLIS_EBADF);

    /* Claims by device move no domains; the last one that ends gives the group back. */
    CHECK(portcullis_claim_device(iommu, NIC, 1, &claim), 0);
    CHECK(portcullis_claim_device(iommu, NIC, 1, &other_claim), 0);
    CHECK(portcullis_attach_pasid(claim, 5, red), -PORTCULLIS_EPERM);
    CHECK(portcullis_detach_pasid(claim, 5), -PORTCULLIS_EPERM);
    CHECK(portcullis_claim_guard(claim), 0);
    CHECK(portcullis_attach_pasid(claim, 5, red), 0);
    CHECK(portcullis_release_device(claim), 0);
    CHECK(reach_as(5, IOVA, RED), 0);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_release_device(other_claim), 0);
    CHECK(reach_as(5, IOVA, RED), 266);
    CHECK(portcullis_domain_free(red), 0);

    /* A driver's processes outlive its use, but not the devices. */
    red = colour(RED);
    CHECK(portcullis_use_default(group, &guard), 0);
    CHECK(portcullis_attach_pasid(guard, 5, red), 0);
    CHECK(portcullis_use_default(group, &old), -PORTCULLIS_EBUSY);
    CHECK(portcullis_unuse(guard), 0);
    CHECK(portcullis_claim(group, 1, &old), -PORTCULLIS_EBUSY);
    CHECK(reach_as(5, IOVA, RED), 0);
    CHECK(portcullis_domain_free(red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    CHECK(portcullis_domain_free(red), 0);
    CHECK(portcullis_domain_free(blue), 0);

    /* Vanished under an owner. */
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    CHECK(portcullis_attach_pasid(guard, 5, spare), 0);
    CHECK(portcullis_device_gone(iommu, NIC), 0);
    CHECK(portcullis_attach_pasid(guard, 6, spare), -PORTCULLIS_ENODEV);
    CHECK(portcullis_replace_pasid(guard, 5, spare), -PORTCULLIS_ENODEV);
    CHECK(portcullis_detach_pasid(guard, 5), 0);
    CHECK(portcullis_domain_free(spare), 0);
    CHECK(portcullis_release(guard), 0);
    stop();
}

/* Regions, policies, deferral. */
static void peculiar_devices(void)
{
    struct portcullis_region regions[PORTCULLIS_REGIONS + 1] = { { 0x7000, 0x2000, PORTCULLIS_REGION_RESERVED, 0 } };
    struct portcullis_device device = { .id = NIC, .regions = regions, .region_count = 1 };
    portcullis_group group;
    portcullis_guard guard;
    portcullis_domain red;
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device_as(iommu, NULL, &group), -PORTCULLIS_EINVAL);
    CHECK(portcullis_add_device_as(PORTCULLIS_NONE, &device, &group), -PORTCULLIS_EPROBE_DEFER);
    CHECK(portcullis_add_device_as(iommu + 1, &device, &group), -PORTCULLIS_EBADF);
    CHECK(portcullis_add_device_as(admin, &device, &group), -PORTCULLIS_EBADF);
    device.region_count = PORTCULLIS_REGIONS + 1;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    device.region_count = 1;
    device.regions = NULL;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    device.regions = regions;
    regions[0].kind = 3;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    regions[0].kind = PORTCULLIS_REGION_RESERVED;
    regions[0].bytes = 0x800;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    regions[0].bytes = 0x2000;
    device.policy = 3;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    device.policy = PORTCULLIS_POLICY_ANY;
    device.join = iommu;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EBADF);
    device.join = PORTCULLIS_NONE;

    /* The library has its own copy. */
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    memset(regions, 0, sizeof regions);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_attach(guard, red), 0);
    CHECK(portcullis_map(red, 0x8000, BLUE, 0x1000, PORTCULLIS_READ), -PORTCULLIS_EINVAL);
    CHECK(portcullis_map(red, 0x9000, BLUE, 0x1000, PORTCULLIS_READ), 0);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_remove_device(iommu, NIC), 0);

    /* Direct: mapped before the device gets there, and nobody can own it; relaxable: somebody can. */
    regions[0].start = RED;
    regions[0].bytes = 0x1000;
    regions[0].kind = PORTCULLIS_REGION_DIRECT;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    regions[0].permissions = PORTCULLIS_READ;
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(reach(NIC, RED, RED), 0);
    CHECK(portcullis_claim(group, 1, &guard), -PORTCULLIS_EINVAL);
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    regions[0].kind = PORTCULLIS_REGION_RELAXABLE;
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(reach(NIC, RED, RED), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    CHECK(reach(NIC, RED, RED), BLOCKED);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    /* A place left over from an earlier device of the same name is free. */
    for (n = 1; n <= 2; n++) {
        device.id = n;
        CHECK(portcullis_add_device_as(iommu, &device, NULL), 0);
    }
    CHECK(portcullis_remove_device(iommu, 1), 0);
    CHECK(portcullis_remove_device(iommu, 2), 0);
    for (n = 2; n < 2 + PORTCULLIS_DEVICES; n++) {
        device.id = n;
        CHECK(portcullis_add_device_as(iommu, &device, NULL), 0);
    }
    while (n-- > 2)
        CHECK(portcullis_remove_device(iommu, n), 0);
    /* Room for the regions of as many devices as there can be, again and again. */
    for (n = 0; n < 5 * PORTCULLIS_DEVICES; n++) {
        device.id = n % 64;
        if (n >= PORTCULLIS_DEVICES)
            CHECK(portcullis_remove_device(iommu, (n - PORTCULLIS_DEVICES) % 64), 0);
        CHECK(portcullis_add_device_as(iommu, &device, NULL), 0);
    }
    device.id = 100;
    CHECK(portcullis_add_device_as(iommu, &device, NULL), -PORTCULLIS_ENOSPC);
    for (n -= PORTCULLIS_DEVICES; n < 5 * PORTCULLIS_DEVICES; n++)
        CHECK(portcullis_remove_device(iommu, n % 64), 0);

    /* Policies. */
    memset(&device, 0, sizeof device);
    device.id = NIC;
    device.policy = PORTCULLIS_POLICY_IDENTITY;
    device.untrusted = 1;
    CHECK(portcullis_add_device_as(iommu, &device, &group), -PORTCULLIS_EINVAL);
    device.untrusted = 0;
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(reach(NIC, IOVA, IOVA), 0);
    CHECK(portcullis_set_default_domain_type(group, PORTCULLIS_DEFAULT_DMA, admin), -PORTCULLIS_EINVAL);
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    device.policy = PORTCULLIS_POLICY_DMA;
    device.deferred = 1;
    CHECK(portcullis_add_device_as(iommu, &device, &group), 0);
    CHECK(reach(NIC, IOVA, IOVA), BLOCKED);
    CHECK(portcullis_use_default(group, &guard), 0);
    CHECK(reach(NIC, IOVA, IOVA), READ_FAULT);
    CHECK(portcullis_unuse(guard), 0);
    CHECK(portcullis_domain_free(red), 0);
    stop();
}

/* Devices that are reset. */
static void resets(void)
{
    portcullis_group group;
    portcullis_guard guard;
    portcullis_domain red;
    portcullis_reset reset, second, many[PORTCULLIS_DEVICES];
    unsigned n;

    start(PORTCULLIS_DEFAULT_DMA);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_claim(group, 1, &guard), 0);
    red = colour(RED);
    CHECK(portcullis_reset_begin(iommu, NIC, NULL), -PORTCULLIS_EINVAL);
    CHECK(portcullis_reset_begin(iommu, DISK, &reset), -PORTCULLIS_ENODEV);
    CHECK(portcullis_reset_begin(guard, NIC, &reset), -PORTCULLIS_EBADF);
    CHECK(portcullis_reset_begin(iommu, NIC, &reset), 0);
    CHECK(portcullis_reset_begin(iommu, NIC, &second), -PORTCULLIS_EBUSY);
    CHECK(portcullis_attach(guard, red), -PORTCULLIS_EBUSY);
    CHECK(portcullis_reset_end(guard), -PORTCULLIS_EBADF);
    CHECK(portcullis_reset_end(PORTCULLIS_NONE), -PORTCULLIS_EBADF);
    CHECK(portcullis_reset_end(reset + 1), -PORTCULLIS_EBADF);
    CHECK(portcullis_reset_end(reset), 0);
    CHECK(portcullis_reset_end(reset), -PORTCULLIS_EBADF);
    CHECK(portcullis_attach(guard, red), 0);
    CHECK(portcullis_reset_begin(iommu, NIC, &second), 0);
    CHECK(portcullis_reset_end(reset), -PORTCULLIS_EBADF);
    CHECK(reach(NIC, IOVA, RED), BLOCKED);
    CHECK(portcullis_reset_end(second), 0);
    CHECK(reach(NIC, IOVA, RED), 0);
    CHECK(portcullis_release(guard), 0);
    CHECK(portcullis_domain_free(red), 0);

    /* A handle kept past the removal of its device ends nothing of a successor. */
    CHECK(portcullis_reset_begin(iommu, NIC, &reset), 0);
    CHECK(portcullis_remove_device(iommu, NIC), 0);
    CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, &group), 0);
    CHECK(portcullis_reset_begin(iommu, NIC, &second), 0);
    CHECK(portcullis_stop(iommu), -PORTCULLIS_EBUSY);
    CHECK(portcullis_reset_end(reset), 0);
    CHECK(reach(NIC, IOVA, 0), BLOCKED);
    CHECK(portcullis_reset_end(second), 0);
    CHECK(reach(NIC, IOVA, 0), READ_FAULT);
    for (n = 0; n < PORTCULLIS_DEVICES; n++) {
        CHECK(portcullis_reset_begin(iommu, NIC, &many[n]), 0);
        CHECK(portcullis_remove_device(iommu, NIC), 0);
        CHECK(portcullis_add_device(iommu, NIC, PORTCULLIS_NONE, NULL), 0);
    }
    CHECK(portcullis_reset_begin(iommu, NIC, &reset), -PORTCULLIS_ENOSPC);
    while (n-- > 0)
        CHECK(portcullis_reset_end(many[n]), 0);
    stop();
}

int main(void)
{
    shared_domains();
    identity();
    processes();
    peculiar_devices();
    resets();
    printf("%u checks\n", checks);
    return 0;
}
