// The handshake contract of every AXI channel: what is offered stays, unchanged, until it is taken.
// To be used inside `always @(posedge clock)` where `begun` says that the cycle before was no reset.
`define ASSERT_HOLDS(valid, ready, payload) \
  if (begun && $past((valid) && !(ready))) begin \
    assert (valid); \
    assert ((payload) == $past(payload)); \
  end
`define ASSUME_HOLDS(valid, ready, payload) \
  if (begun && $past((valid) && !(ready))) begin \
    assume (valid); \
    assume ((payload) == $past(payload)); \
  end

// Reset in the first cycle, and never again.
`define START \
  reg running = 0; \
  reg begun = 0; \
  always @(posedge clock) begin \
    running <= 1; \
    begun <= running; \
  end \
  always @(*) assume (reset == !running);
