/* What the programs have in common: checks, a machine that is started and stopped, and what devices reach. */
#ifndef CHECKS_H
#define CHECKS_H

#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(is, should)                                                                                  \
    do {                                                                                                   \
        long long is_ = (long long)(is), should_ = (long long)(should);                                    \
        if (is_ != should_) {                                                                              \
            fprintf(stderr, "%s:%d: %s is %lld, should be %lld\n", __FILE__, __LINE__, #is, is_, should_); \
            exit(1);                                                                                       \
        }                                                                                                  \
        checks++;                                                                                          \
    } while (0)

enum { NIC = 5, DISK = 6, BLOCKED = 258, READ_FAULT = 13, WRITE_FAULT = 15, OFF = 256 };

static const uint64_t IOVA = 0x400000, RED = 0x10000000, BLUE = 0x20000000;
static unsigned checks;
static struct mock machine;
static portcullis_iommu iommu;
static portcullis_admin admin;

static int reach(uint32_t device, uint64_t iova, uint64_t expected)
{
    uint64_t pa = 0;
    int cause = mock_dma(&machine, device, iova, 0, &pa);
    return cause != 0 ? cause : pa == expected ? 0 : -1;
}

/* With further bits of the upper half of the capabilities. */
static void start_with(uint32_t default_domain, uint32_t capabilities)
{
    struct portcullis_platform platform;
    struct portcullis_config config;
    mock_init(&machine);
    machine.regs[1] |= capabilities;
    platform = mock_platform(&machine);
    CHECK(portcullis_config_default(&config), 0);
    config.default_domain = default_domain;
    CHECK(portcullis_start(&platform, &config, &iommu, &admin), 0);
    CHECK(portcullis_health(iommu), PORTCULLIS_GOOD);
    CHECK(portcullis_isolation(iommu), 1);
}

static void start(uint32_t default_domain) { start_with(default_domain, 0); }

static void stop(void)
{
    CHECK(portcullis_stop(iommu), 0);
    CHECK(mock_pages(&machine), 0);
    CHECK(reach(NIC, IOVA, 0), OFF);
}

static portcullis_domain colour(uint64_t pa)
{
    portcullis_domain domain;
    CHECK(portcullis_domain_new(iommu, PORTCULLIS_SV39, &domain), 0);
    CHECK(portcullis_map(domain, IOVA, pa, 0x4000, PORTCULLIS_READ | PORTCULLIS_WRITE), 0);
    return domain;
}

static inline void state(portcullis_group group, uint32_t expected, uint32_t users, uint64_t owner)
{
    struct portcullis_status status;
    CHECK(portcullis_group_status(group, &status), 0);
    CHECK(status.state, expected);
    CHECK(status.users, users);
    CHECK(status.owner, owner);
}

#endif
