//! Which walks a fence waits for, and which fill nothing.

use portcullis_hdl::cells::WalkSlots;
use rust_hdl::prelude::*;

type Slots = WalkSlots<4, 2, 3>;

fn slots() -> Slots {
    let mut u = Slots::default();
    u.connect_all();
    u
}

fn settle(u: &mut Slots) {
    assert!(simulate(u, 1000), "does not settle");
}

/// One cycle with the inputs as they are, which then go back to nothing.
fn tick(u: &mut Slots) {
    settle(u);
    u.clock.next = Clock { clk: true };
    settle(u);
    u.clock.next = Clock { clk: false };
    for input in [
        &mut u.start,
        &mut u.judged,
        &mut u.finish,
        &mut u.wait_read,
        &mut u.arrive,
        &mut u.got_context,
        &mut u.own_old,
        &mut u.evict,
        &mut u.mark_stale,
    ] {
        input.next = false;
    }
    settle(u);
}

/// A walk begins, with its context in slot `context`, and waits for memory; returns its slot.
fn walk(u: &mut Slots, did: u64, context: u64) -> u64 {
    let slot = u.free.val();
    u.ask_did.next = did.into();
    u.start.next = true;
    u.start_context.next = context.into();
    tick(u);
    assert!(u.serve.val() && u.sel.val() == slot);
    u.judged.next = true;
    u.wait_read.next = true;
    tick(u);
    slot.into()
}

/// What the walk in `slot` waits for comes.
fn arrive(u: &mut Slots, slot: u64) {
    u.arrive.next = true;
    u.arrive_slot.next = slot.into();
    tick(u);
    assert!(u.serve.val() && u64::from(u.sel.val()) == slot);
}

fn finish(u: &mut Slots, slot: u64) {
    arrive(u, slot);
    u.finish.next = true;
    tick(u);
}

#[test]
fn a_fence_waits_for_the_walks_before_it() {
    // Given two walks, and an invalidation that passes
    let mut u = slots();
    let (one, two) = (walk(&mut u, 1, 1), walk(&mut u, 2, 2));
    assert!(!u.stale.val());
    u.mark_stale.next = true;
    tick(&mut u);
    // When one ends, then the fence waits for the other
    finish(&mut u, one);
    assert!(u.stale.val());
    // When that ends, then for nothing
    finish(&mut u, two);
    assert!(!u.stale.val());
}

#[test]
fn a_fence_does_not_wait_for_a_walk_that_begins_behind_it_and_loses_its_context() {
    // Given a walk that begins behind a fence
    let mut u = slots();
    u.mark_stale.next = true;
    tick(&mut u);
    let one = walk(&mut u, 1, 5);
    // When another one stores its context where that of the first was
    let two = walk(&mut u, 2, 3);
    arrive(&mut u, two);
    u.got_context.next = true;
    u.evict.next = true;
    u.new_context.next = 5u64.into();
    u.finish.next = true;
    tick(&mut u);
    // Then the fence does not wait for it
    assert!(!u.stale.val());
    // And it will fill nothing
    arrive(&mut u, one);
    assert!(u.sel_old.val());
}

#[test]
fn a_fence_does_not_wait_for_a_walk_that_takes_the_slot_of_one_before_it() {
    // Given a walk before a fence
    let mut u = slots();
    let one = walk(&mut u, 1, 1);
    u.mark_stale.next = true;
    tick(&mut u);
    finish(&mut u, one);
    // When a new one takes its slot
    assert_eq!(walk(&mut u, 2, 2), one);
    // Then the fence does not wait for it, and it may fill
    assert!(!u.stale.val());
    arrive(&mut u, one);
    assert!(!u.sel_old.val());
}
