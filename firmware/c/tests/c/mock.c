#include "mock.h"

#include <string.h>

enum { CAPS = 0x0, FCTL = 0x8, DDTP = 0x10, CQB = 0x18, CQH = 0x20, CQT = 0x24, FQB = 0x28, FQH = 0x30, FQT = 0x34,
       CQCSR = 0x48, FQCSR = 0x4c, IPSR = 0x54 };

static uint32_t *reg(struct mock *m, unsigned at) { return &m->regs[at / 4]; }
static uint64_t reg64(struct mock *m, unsigned at) { return *reg(m, at) | (uint64_t)*reg(m, at + 4) << 32; }
static uint64_t queue_base(uint64_t qb) { return (qb >> 10 & UINT64_C(0xfffffffffff)) << 12; }
static uint32_t queue_mask(uint64_t qb) { return (UINT32_C(2) << (qb & 31)) - 1; }

static uint64_t *word(struct mock *m, uint64_t pa)
{
    if (pa < MOCK_BASE || pa >= MOCK_BASE + sizeof m->memory || pa % 8 != 0)
        return NULL;
    return &m->memory[(pa - MOCK_BASE) / 8];
}

static uint64_t fetch(struct mock *m, uint64_t pa)
{
    uint64_t *w = word(m, pa);
    return w ? *w : 0;
}

static void work(struct mock *m)
{
    uint64_t cqb = reg64(m, CQB);
    while (!m->stuck && (*reg(m, CQCSR) & 1) && *reg(m, CQH) != *reg(m, CQT)) {
        uint64_t dw0 = fetch(m, queue_base(cqb) + 16 * *reg(m, CQH));
        unsigned n;
        if ((dw0 & 0x7f) == 1)
            memset(m->tlb, 0, sizeof m->tlb);
        if ((dw0 & 0x7f) == 3)
            for (n = 0; n < 128; n++)
                if (!(dw0 >> 33 & 1) || dw0 >> 40 == n)
                    m->contexts[n].valid = 0;
        m->commands++;
        *reg(m, CQH) = (*reg(m, CQH) + 1) & queue_mask(cqb);
    }
}

static int fails(struct mock *m)
{
    if (m->nested) {
        int (*nested)(void) = m->nested;
        m->nested = NULL;
        m->nested_answer = nested();
    }
    if (m->fails_in < 0)
        return 0;
    return m->fails_in == 0 ? 1 : (m->fails_in--, 0);
}

static int read32(void *context, uint16_t at, uint32_t *value)
{
    struct mock *m = context;
    if (fails(m))
        return -5;
    *value = *reg(m, at);
    return 0;
}

static int write32(void *context, uint16_t at, uint32_t value)
{
    struct mock *m = context;
    if (fails(m))
        return -5;
    switch (at) {
    case CAPS: case CAPS + 4: case FCTL: case CQH: case FQT:
        break;
    case DDTP: /* Off, Bare, 1LVL */
        if ((value & 15) <= 2)
            *reg(m, at) = value & ~UINT32_C(16);
        break;
    case CQB: case FQB: /* 256 entries at most */
        *reg(m, at) = (value & 31) > 7 ? (value & ~UINT32_C(31)) | 7 : value;
        break;
    case CQB + 4: case FQB + 4: case DDTP + 4:
        *reg(m, at) = value & 0xf; /* 32-bit addresses */
        break;
    case CQCSR: case FQCSR:
        if ((value & 1) && !(*reg(m, at) & 1))
            *reg(m, at == CQCSR ? CQH : FQT) = 0;
        *reg(m, at) = (value & 3) | (value & 1) << 16;
        break;
    case IPSR:
        *reg(m, at) &= ~value;
        break;
    default:
        *reg(m, at) = value;
    }
    work(m);
    return 0;
}

static int take(void *context, size_t bytes, size_t align, uint64_t *address)
{
    struct mock *m = context;
    size_t pages = bytes / 4096, from, n;
    if (fails(m))
        return -12;
    for (from = 0; from + pages <= MOCK_PAGES; from++) {
        for (n = 0; n < pages && !m->used[from + n]; n++)
            ;
        if (n < pages || (MOCK_BASE + from * 4096) % align != 0)
            continue;
        memset(&m->used[from], 255, pages);
        m->used[from] = (uint8_t)pages;
        memset(&m->memory[from * 512], 0xa5, bytes);
        *address = MOCK_BASE + from * 4096;
        return 0;
    }
    return -12;
}

static void give_back(void *context, uint64_t address, size_t bytes)
{
    struct mock *m = context;
    size_t from = (size_t)(address - MOCK_BASE) / 4096;
    if (m->used[from] == bytes / 4096)
        memset(&m->used[from], 0, bytes / 4096);
}

static int load64(void *context, uint64_t pa, uint64_t *value)
{
    struct mock *m = context;
    uint64_t *w = word(m, pa);
    if (fails(m) || !w)
        return -5;
    *value = *w;
    return 0;
}

static int store64(void *context, uint64_t pa, uint64_t value)
{
    struct mock *m = context;
    uint64_t *w = word(m, pa);
    if (fails(m) || !w)
        return -5;
    *w = value;
    return 0;
}

static int store32(void *context, uint64_t pa, uint32_t value)
{
    struct mock *m = context;
    uint64_t *w = word(m, pa & ~UINT64_C(7));
    unsigned shift = pa & 4 ? 32 : 0;
    if (fails(m) || !w)
        return -5;
    *w = (*w & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
    return 0;
}

static void barrier(void *context, uint32_t kind)
{
    (void)context;
    (void)kind;
}

static uint64_t now_us(void *context) { return ((struct mock *)context)->now; }

static void relax(void *context) { ((struct mock *)context)->now += 100; }

void mock_init(struct mock *m)
{
    memset(m, 0, sizeof *m);
    *reg(m, CAPS) = 0x10000210; /* version 1.0, Sv39, interrupts by wire */
    *reg(m, CAPS + 4) = 0x20;   /* addresses of 32 bits */
    *reg(m, FCTL) = 2;
    m->fails_in = -1;
}

struct portcullis_platform mock_platform(struct mock *m)
{
    struct portcullis_platform p;
    memset(&p, 0, sizeof p);
    p.context = m;
    p.read32 = read32;
    p.write32 = write32;
    p.alloc = take;
    p.free = give_back;
    p.load64 = load64;
    p.store64 = store64;
    p.store32 = store32;
    p.barrier = barrier;
    p.now_us = now_us;
    p.relax = relax;
    return p;
}

unsigned mock_pages(const struct mock *m)
{
    unsigned n, used = 0;
    for (n = 0; n < MOCK_PAGES; n++)
        used += m->used[n] != 0;
    return used;
}

static int translate(struct mock *m, uint32_t did, uint32_t pasid, uint64_t iova, int write, uint64_t *pa)
{
    uint64_t ddtp = reg64(m, DDTP), fsc, pte = 0, table;
    int level, fault = write ? 15 : 13;
    unsigned n;
    if ((ddtp & 15) == 0)
        return 256;
    if ((ddtp & 15) == 1) {
        *pa = iova;
        return 0;
    }
    if (did >= 128)
        return 260;
    if (!m->contexts[did].valid) {
        uint64_t at = (ddtp >> 10 << 12) + 32 * (uint64_t)did;
        if (!(fetch(m, at) & 1))
            return 258;
        m->contexts[did].valid = 1;
        m->contexts[did].tc = fetch(m, at);
        m->contexts[did].fsc = fetch(m, at + 24);
    }
    fsc = m->contexts[did].fsc;
    if (m->contexts[did].tc >> 5 & 1) { /* PDTV: a directory of one level, whose contexts are not cached */
        uint64_t at = ((fsc & UINT64_C(0xfffffffffff)) << 12) + 16 * (uint64_t)pasid;
        if (pasid > 255 || !(fetch(m, at) & 1))
            return 266;
        fsc = fetch(m, at + 8);
    } else if (pasid != 0) {
        return 260;
    }
    if (fsc >> 60 == 0) {
        *pa = iova;
        return 0;
    }
    for (n = 0; n < 32; n++)
        if (m->tlb[n].valid && m->tlb[n].did == did && m->tlb[n].pasid == pasid && m->tlb[n].page == iova >> 12)
            break;
    if (n < 32) {
        pte = m->tlb[n].pte;
        level = 0;
    } else {
        table = (fsc & UINT64_C(0xfffffffffff)) << 12;
        for (level = 2; level >= 0; level--) {
            pte = fetch(m, table + 8 * (iova >> (12 + 9 * level) & 511));
            if (!(pte & 1) || (pte & 14))
                break;
            table = pte >> 10 << 12;
        }
        if (level < 0 || !(pte & 1))
            return fault;
        /* As if it were a page: the bits of a larger one's offset come from the address. */
        pte |= (iova >> 12 & ((UINT64_C(1) << (9 * level)) - 1)) << 10;
        n = m->next_tlb++ % 32;
        m->tlb[n].valid = 1;
        m->tlb[n].did = did;
        m->tlb[n].pasid = pasid;
        m->tlb[n].page = iova >> 12;
        m->tlb[n].pte = pte;
    }
    if (!(pte & (write ? 4 : 2)))
        return fault;
    *pa = (pte >> 10 & UINT64_C(0xfffffffffff)) << 12 | (iova & 4095);
    return 0;
}

int mock_dma(struct mock *m, uint32_t did, uint64_t iova, int write, uint64_t *pa)
{
    return mock_dma_of(m, did, 0, iova, write, pa);
}

int mock_dma_of(struct mock *m, uint32_t did, uint32_t pasid, uint64_t iova, int write, uint64_t *pa)
{
    int cause = translate(m, did, pasid, iova, write, pa);
    uint64_t fqb = reg64(m, FQB);
    uint32_t next = (*reg(m, FQT) + 1) & queue_mask(fqb);
    if (cause != 0 && (*reg(m, FQCSR) & 1) && next != *reg(m, FQH)) {
        uint64_t at = queue_base(fqb) + 32 * *reg(m, FQT);
        store64(m, at, (uint64_t)cause | (uint64_t)(write ? 3 : 2) << 34 | (uint64_t)did << 40);
        store64(m, at + 8, 0);
        store64(m, at + 16, iova);
        store64(m, at + 24, 0);
        *reg(m, FQT) = next;
        *reg(m, IPSR) |= 2;
    }
    return cause;
}
