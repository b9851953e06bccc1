// The plain C interface to a verilated core. The structs are mirrored in library.rs.

#include "Vcore.h"
#include "verilated.h"

#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

// Verilator's runtime ends here when it cannot go on, and expects no return.
void vl_fatal(const char*, int, const char*, const char* message) {
    throw std::runtime_error(message);
}

namespace portcullis {

// Time units of a waveform per clock cycle.
constexpr uint64_t PERIOD = 10;

struct Inputs {
    uint64_t req_iova;
    uint64_t reg_wdata;
    uint64_t mem_r_data;
    uint32_t reset;
    uint32_t req_valid;
    uint32_t req_tag;
    uint32_t req_device_id;
    uint32_t req_process_valid;
    uint32_t req_process_id;
    uint32_t req_privileged;
    uint32_t req_access;
    uint32_t req_kind;
    uint32_t rsp_ready;
    uint32_t reg_valid;
    uint32_t reg_write;
    uint32_t reg_offset;
    uint32_t reg_wide;
    uint32_t mem_ar_ready;
    uint32_t mem_r_valid;
    uint32_t mem_r_id;
    uint32_t mem_r_last;
    uint32_t mem_r_status;
    uint32_t mem_w_ready;
    uint32_t mem_b_valid;
    uint32_t mem_b_error;
    uint32_t sync_ack;
    uint32_t padding;
};

struct Outputs {
    uint64_t rsp_pa;
    uint64_t reg_rdata;
    uint64_t mem_ar_addr;
    uint64_t mem_w_addr;
    uint64_t mem_w_data;
    uint32_t req_ready;
    uint32_t rsp_valid;
    uint32_t rsp_tag;
    uint32_t rsp_fault;
    uint32_t rsp_size;
    uint32_t reg_done;
    uint32_t mem_ar_valid;
    uint32_t mem_ar_len;
    uint32_t mem_ar_id;
    uint32_t mem_ar_purpose;
    uint32_t mem_w_valid;
    uint32_t mem_w_strobe;
    uint32_t mem_w_last;
    uint32_t mem_w_purpose;
    uint32_t sync_reads;
    uint32_t sync_writes;
    uint32_t irq;
    uint32_t ev_context_hit;
    uint32_t ev_context_miss;
    uint32_t ev_iotlb_hit;
    uint32_t ev_iotlb_miss;
    uint32_t ev_walk;
};

#if VM_TRACE
// A waveform file that ends early when it cannot be written; the simulation goes on.
class WaveFile final : public VerilatedVcdFile {
    bool failed = false;

public:
    ssize_t write(const char* data, ssize_t bytes) override {
        if (!failed) {
            const ssize_t written = VerilatedVcdFile::write(data, bytes);
            if (written >= 0 || errno == EAGAIN || errno == EINTR) return written;
            failed = true;
            std::fprintf(stderr, "waves end early: %s\n", std::strerror(errno));
        }
        return bytes;
    }
};
#endif

// The members go in the reverse order: first the waves, then the model, then its context.
struct Core {
    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    std::string error;
#if VM_TRACE
    WaveFile file;
    std::unique_ptr<VerilatedVcdC> waves;
    uint64_t cycle = 0;
    uint64_t dumped = UINT64_MAX;
#endif

    explicit Core(const char* path) {
#if VM_TRACE
        context.traceEverOn(true);
#endif
        top = std::make_unique<Vcore>(&context);
#if VM_TRACE
        waves = std::make_unique<VerilatedVcdC>(&file);
        top->trace(waves.get(), 99);
        waves->open(path);
        if (!waves->isOpen()) throw std::runtime_error("the waveform file cannot be opened");
#else
        if (path) throw std::runtime_error("the library was built without waves");
#endif
        // The power-up values settle before the first edge.
        top->clock = 0;
        top->eval();
    }

    // Settling twice at one time is allowed; the waves show the first.
    void dump(uint64_t phase) {
#if VM_TRACE
        const uint64_t time = cycle * PERIOD + phase;
        if (time != dumped) waves->dump(time);
        dumped = time;
#else
        (void)phase;
#endif
    }

    void settle(const Inputs& in, Outputs& out) {
        Vcore& t = *top;
        t.clock = 0;
        t.reset = in.reset;
        t.req_valid = in.req_valid;
        t.req_tag = in.req_tag;
        t.req_device_id = in.req_device_id;
        t.req_process_valid = in.req_process_valid;
        t.req_process_id = in.req_process_id;
        t.req_privileged = in.req_privileged;
        t.req_access = in.req_access;
        t.req_kind = in.req_kind;
        t.req_iova = in.req_iova;
        t.rsp_ready = in.rsp_ready;
        t.reg_valid = in.reg_valid;
        t.reg_write = in.reg_write;
        t.reg_offset = in.reg_offset;
        t.reg_wide = in.reg_wide;
        t.reg_wdata = in.reg_wdata;
        t.mem_ar_ready = in.mem_ar_ready;
        t.mem_r_valid = in.mem_r_valid;
        t.mem_r_data = in.mem_r_data;
        t.mem_r_id = in.mem_r_id;
        t.mem_r_last = in.mem_r_last;
        t.mem_r_status = in.mem_r_status;
        t.mem_w_ready = in.mem_w_ready;
        t.mem_b_valid = in.mem_b_valid;
        t.mem_b_error = in.mem_b_error;
        t.sync_ack = in.sync_ack;
        t.eval();
        dump(0);
        out.req_ready = t.req_ready;
        out.rsp_valid = t.rsp_valid;
        out.rsp_tag = t.rsp_tag;
        out.rsp_fault = t.rsp_fault;
        out.rsp_size = t.rsp_size;
        out.rsp_pa = t.rsp_pa;
        out.reg_done = t.reg_done;
        out.reg_rdata = t.reg_rdata;
        out.mem_ar_valid = t.mem_ar_valid;
        out.mem_ar_addr = t.mem_ar_addr;
        out.mem_ar_len = t.mem_ar_len;
        out.mem_ar_id = t.mem_ar_id;
        out.mem_ar_purpose = t.mem_ar_purpose;
        out.mem_w_valid = t.mem_w_valid;
        out.mem_w_addr = t.mem_w_addr;
        out.mem_w_data = t.mem_w_data;
        out.mem_w_strobe = t.mem_w_strobe;
        out.mem_w_last = t.mem_w_last;
        out.mem_w_purpose = t.mem_w_purpose;
        out.sync_reads = t.sync_reads;
        out.sync_writes = t.sync_writes;
        out.irq = t.irq;
        out.ev_context_hit = t.ev_context_hit;
        out.ev_context_miss = t.ev_context_miss;
        out.ev_iotlb_hit = t.ev_iotlb_hit;
        out.ev_iotlb_miss = t.ev_iotlb_miss;
        out.ev_walk = t.ev_walk;
    }

    void clock() {
        top->clock = 1;
        top->eval();
        dump(PERIOD / 2);
#if VM_TRACE
        ++cycle;
#endif
    }
};

}  // namespace portcullis

using portcullis::Core;
using portcullis::Inputs;
using portcullis::Outputs;

#define API extern "C" __attribute__((visibility("default")))

// Bytes of the two structs, for a check against the other side's.
API void portcullis_sizes(size_t* inputs, size_t* outputs) {
    *inputs = sizeof(Inputs);
    *outputs = sizeof(Outputs);
}

// A core at power-up, with its waves in the file `waves` if that is not null; null if it cannot be made.
API Core* portcullis_create(const char* waves) {
    try {
        return new Core(waves);
    } catch (const std::exception&) {
        return nullptr;
    }
}

API void portcullis_destroy(Core* core) { delete core; }

// Returns null, or what went wrong: a text that lives as long as the core.
API const char* portcullis_settle(Core* core, const Inputs* in, Outputs* out) {
    try {
        core->settle(*in, *out);
        return nullptr;
    } catch (const std::exception& error) {
        core->error = error.what();
        return core->error.c_str();
    }
}

// The rising clock edge; returns as portcullis_settle.
API const char* portcullis_clock(Core* core) {
    try {
        core->clock();
        return nullptr;
    } catch (const std::exception& error) {
        core->error = error.what();
        return core->error.c_str();
    }
}
