//! What calls can answer. [`Error::errno`] gives Linux's number for each.

use core::fmt;

/// Why a call was refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// `EPERM`: the caller is not entitled, or somebody else owns the group.
    NotPermitted,
    /// `EBUSY`: something else is attached or in use.
    Busy,
    /// `EINVAL`: an argument is wrong whatever the state.
    Invalid,
    /// `ENODEV`: no such device, or the hardware lacks what the object needs.
    NoDevice,
    /// `ENOMEM`: no memory for tables.
    NoMemory,
    /// `ENOSPC`: no free slot in a table of fixed size.
    NoSpace,
    /// `EOPNOTSUPP`: this driver or hardware does not do it.
    NotSupported,
    /// `EACCES`: a token is missing.
    AccessDenied,
    /// `EPROBE_DEFER`: try again when the IOMMU is ready.
    ProbeDefer,
    /// `EADDRINUSE`: the range holds a mapping already.
    AddressInUse,
    /// `ERANGE`: outside what the hardware or the domain covers.
    OutOfRange,
    /// `EOVERFLOW`: address plus length wraps.
    Overflow,
    /// `ENOENT`: nothing of that name.
    NotFound,
    /// `EEXIST`: it is there already.
    Exists,
    /// `ETIMEDOUT`: the hardware did not answer in time.
    TimedOut,
    /// `EIO`: the hardware failed, or translation is closed after a failure.
    Io,
}

impl Error {
    /// Linux's error number, positive.
    pub const fn errno(self) -> i32 {
        match self {
            Error::NotPermitted => 1,
            Error::NotFound => 2,
            Error::Io => 5,
            Error::NoMemory => 12,
            Error::AccessDenied => 13,
            Error::Busy => 16,
            Error::Exists => 17,
            Error::NoDevice => 19,
            Error::Invalid => 22,
            Error::NoSpace => 28,
            Error::OutOfRange => 34,
            Error::Overflow => 75,
            Error::NotSupported => 95,
            Error::AddressInUse => 98,
            Error::TimedOut => 110,
            Error::ProbeDefer => 517,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NotPermitted => "not permitted",
            Error::Busy => "busy",
            Error::Invalid => "invalid argument",
            Error::NoDevice => "no such device or capability",
            Error::NoMemory => "out of memory",
            Error::NoSpace => "no free slot",
            Error::NotSupported => "not supported",
            Error::AccessDenied => "access denied",
            Error::ProbeDefer => "not ready yet",
            Error::AddressInUse => "address in use",
            Error::OutOfRange => "out of range",
            Error::Overflow => "address overflow",
            Error::NotFound => "not found",
            Error::Exists => "exists already",
            Error::TimedOut => "timed out",
            Error::Io => "hardware failure",
        })
    }
}

impl core::error::Error for Error {}
