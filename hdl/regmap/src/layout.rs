//! One declaration per format: the accessors, the list of fields and the reserved mask come from the same text.

/// What software and hardware may do with a field or a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read-only: writes are ignored.
    Ro,
    /// Read and write, every value is legal.
    Rw,
    /// Write any value, read a legal one (REG-11).
    Warl,
    /// Writing 1 clears, writing 0 does nothing (REG-10).
    Rw1c,
    /// Writing 1 sets, hardware clears.
    Rw1s,
    /// Reserved: software writes back what it read, hardware returns 0 (REG-07, REG-09). In memory: must be 0.
    Wpri,
    /// For custom use; read-only 0 here (REG-08).
    Custom,
}

/// One field of a register or of an in-memory doubleword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The specification's spelling; empty for reserved and custom bits.
    pub name: &'static str,
    /// Lowest bit.
    pub lsb: u32,
    /// Number of bits.
    pub bits: u32,
    /// Kind of access.
    pub access: Access,
    /// One line.
    pub doc: &'static str,
}

impl Field {
    /// The field's bits in place.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (64 - self.bits)) << self.lsb
    }
}

/// Positions follow from the widths, in order from bit 0.
pub(crate) const fn place<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let (mut lsb, mut i) = (0, 0);
    while i < N {
        fields[i].lsb = lsb;
        lsb += fields[i].bits;
        i += 1;
    }
    fields
}

/// Union of the fields with one kind of access.
pub(crate) const fn mask_of(fields: &[Field], access: Access) -> u64 {
    let (mut mask, mut i) = (0, 0);
    while i < fields.len() {
        if fields[i].access as u8 == access as u8 {
            mask |= fields[i].mask();
        }
        i += 1;
    }
    mask
}

/// `field: type [bits] Access "SpecName",` from bit 0 up; reserved gaps are called `__`.
macro_rules! layout {
    (
        $(#[$meta:meta])*
        pub struct $name:ident : $repr:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $ty:ident [$bits:tt] $access:ident $spec:literal , )*
        }
    ) => {
        $(#[$meta])*
        #[bitfield_struct::bitfield($repr)]
        #[derive(PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $doc])* #[bits($bits)] pub $field: $ty, )*
        }

        impl $name {
            /// Every field from bit 0 up, reserved ones included.
            pub const FIELDS: &'static [$crate::Field] = &$crate::layout::place([ $( $crate::Field {
                name: $spec,
                lsb: 0,
                bits: $bits,
                access: $crate::Access::$access,
                doc: concat!($($doc),*),
            } ),* ]);

            /// Bits reserved for standard use.
            pub const RESERVED: $repr =
                $crate::layout::mask_of(Self::FIELDS, $crate::Access::Wpri) as $repr;

            /// Bits of all fields with this kind of access.
            pub const fn mask_of(access: $crate::Access) -> $repr {
                $crate::layout::mask_of(Self::FIELDS, access) as $repr
            }
        }
    };
}
