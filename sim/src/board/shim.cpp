// The plain C interface to the verilated demonstration system: its pins, a clock cycle at a time.

#include "Vcore.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

// Only a design that does not settle ends here.
void vl_fatal(const char*, int, const char*, const char* message) {
    std::fprintf(stderr, "the design does not settle: %s\n", message);
    std::abort();
}

struct System {
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vcore> top = std::make_unique<Vcore>(context.get());
};

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT System* portcullis_system_create() {
    return new (std::nothrow) System;
}

EXPORT void portcullis_system_destroy(System* system) {
    delete system;
}

// One cycle; returns the output of the serial line in it.
EXPORT uint32_t portcullis_system_cycle(System* system, uint32_t reset, uint32_t rx) {
    Vcore& top = *system->top;
    top.clock = 0;
    top.reset = reset;
    top.uart_rx = rx;
    top.eval();
    const uint32_t tx = top.uart_tx;
    top.clock = 1;
    top.eval();
    return tx;
}
