//! Panics where there is nothing below.

/// Reached if the library finds itself in a state that cannot be. Nothing is called any more.
#[unsafe(no_mangle)]
extern "C" fn portcullis_panicked() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    portcullis_panicked()
}
