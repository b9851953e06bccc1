/* A small IOMMU in C: registers, queues, walks, and caches that forget only what they are told to. */
#ifndef MOCK_H
#define MOCK_H

#include "portcullis.h"

#define MOCK_BASE UINT64_C(0x80000000)
#define MOCK_PAGES 512

struct mock {
    uint64_t memory[MOCK_PAGES * 512];
    uint8_t used[MOCK_PAGES]; /* pages of the allocation that begins here; 255 inside of one */
    uint32_t regs[1024];
    uint64_t now;
    struct { int valid; uint64_t tc; uint64_t fsc; } contexts[128];
    struct { int valid; uint32_t did; uint32_t pasid; uint64_t page; uint64_t pte; } tlb[32];
    unsigned next_tlb;
    unsigned commands;
    /* Accesses until every further one fails; negative: never. */
    long fails_in;
    /* The command queue does not move. */
    int stuck;
    /* Called from within a platform function, to see what a call from there answers. */
    int (*nested)(void);
    int nested_answer;
};

void mock_init(struct mock *m);
struct portcullis_platform mock_platform(struct mock *m);
unsigned mock_pages(const struct mock *m);
/* A device's access: 0 and the address, or the cause of the fault, which is recorded. */
int mock_dma(struct mock *m, uint32_t did, uint64_t iova, int write, uint64_t *pa);
/* The same with a process id; 0 is none. */
int mock_dma_of(struct mock *m, uint32_t did, uint32_t pasid, uint64_t iova, int write, uint64_t *pa);

#endif
