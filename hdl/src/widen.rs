//! Zero extension of an expression inside a kernel.

use rust_hdl::prelude::*;

/// Zero-extends `x` to `M` bits (`M >= N`).
///
/// The kernel macro turns a call of any function whose name begins with `unsigned_cast` into `$unsigned(x)`, whose
/// operand keeps its own width: a carry out of `x` is dropped as in Rust, and the argument may be a field or an
/// array element, where `bit_cast` does not translate.
#[must_use]
pub fn unsigned_cast_to<const M: usize, const N: usize>(x: Bits<N>) -> Bits<M> {
    bit_cast(x)
}
