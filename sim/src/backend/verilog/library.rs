//! A verilated core as a shared library: the interface of `shim.cpp`, loaded at run time.

use std::ffi::{CStr, CString, c_char};
use std::marker::{PhantomData, PhantomPinned};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// The core's input pins, as `shim.cpp` has them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pins {
    pub req_iova: u64,
    pub reg_wdata: u64,
    pub mem_r_data: u64,
    pub reset: u32,
    pub req_valid: u32,
    pub req_tag: u32,
    pub req_device_id: u32,
    pub req_process_valid: u32,
    pub req_process_id: u32,
    pub req_privileged: u32,
    pub req_access: u32,
    pub req_kind: u32,
    pub rsp_ready: u32,
    pub reg_valid: u32,
    pub reg_write: u32,
    pub reg_offset: u32,
    pub reg_wide: u32,
    pub mem_ar_ready: u32,
    pub mem_r_valid: u32,
    pub mem_r_id: u32,
    pub mem_r_last: u32,
    pub mem_r_status: u32,
    pub mem_w_ready: u32,
    pub mem_b_valid: u32,
    pub mem_b_error: u32,
    pub sync_ack: u32,
    pub padding: u32,
}

/// The core's output pins, as `shim.cpp` has them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Levels {
    pub rsp_pa: u64,
    pub reg_rdata: u64,
    pub mem_ar_addr: u64,
    pub mem_w_addr: u64,
    pub mem_w_data: u64,
    pub req_ready: u32,
    pub rsp_valid: u32,
    pub rsp_tag: u32,
    pub rsp_fault: u32,
    pub rsp_size: u32,
    pub reg_done: u32,
    pub mem_ar_valid: u32,
    pub mem_ar_len: u32,
    pub mem_ar_id: u32,
    pub mem_ar_purpose: u32,
    pub mem_w_valid: u32,
    pub mem_w_strobe: u32,
    pub mem_w_last: u32,
    pub mem_w_purpose: u32,
    pub sync_reads: u32,
    pub sync_writes: u32,
    pub irq: u32,
    pub ev_context_hit: u32,
    pub ev_context_miss: u32,
    pub ev_iotlb_hit: u32,
    pub ev_iotlb_miss: u32,
    pub ev_walk: u32,
}

/// The C++ side's core; only pointers to it exist here.
#[repr(C)]
struct Opaque {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

type Sizes = unsafe extern "C" fn(*mut usize, *mut usize);
type Create = unsafe extern "C" fn(*const c_char) -> *mut Opaque;
type Destroy = unsafe extern "C" fn(*mut Opaque);
type Settle = unsafe extern "C" fn(*mut Opaque, *const Pins, *mut Levels) -> *const c_char;
type Clock = unsafe extern "C" fn(*mut Opaque) -> *const c_char;

/// The functions of a loaded library.
#[derive(Debug)]
pub struct Library {
    create: Create,
    destroy: Destroy,
    settle: Settle,
    clock: Clock,
    /// Keeps the code mapped for as long as the pointers above exist.
    _code: libloading::Library,
}

impl Library {
    /// Loads a library that was built from `shim.cpp`.
    ///
    /// # Errors
    /// It cannot be loaded, or it is not such a library.
    pub fn load(path: &Path) -> Result<Self, String> {
        let named = |error: libloading::Error| format!("{}: {error}", path.display());
        // SAFETY: the library is this program's own product (its name carries a hash of all it was made of), and its
        // static initialisers are those of Verilator's runtime, which touch nothing outside the library.
        let code = unsafe { libloading::Library::new(path) }.map_err(named)?;
        // SAFETY: shim.cpp defines the function with this signature.
        let sizes: Sizes = *unsafe { code.get(b"portcullis_sizes\0") }.map_err(named)?;
        let (mut pins, mut levels) = (0, 0);
        // SAFETY: the function writes one size_t through each of the pointers, both of which are valid.
        unsafe { sizes(&raw mut pins, &raw mut levels) };
        if (pins, levels) != (size_of::<Pins>(), size_of::<Levels>()) {
            return Err(format!(
                "{}: pins of {pins} and {levels} bytes where {} and {} are expected: \
                 shim.cpp and library.rs disagree",
                path.display(),
                size_of::<Pins>(),
                size_of::<Levels>()
            ));
        }
        // SAFETY: shim.cpp defines the four functions with these signatures.
        unsafe {
            Ok(Self {
                create: *code.get(b"portcullis_create\0").map_err(named)?,
                destroy: *code.get(b"portcullis_destroy\0").map_err(named)?,
                settle: *code.get(b"portcullis_settle\0").map_err(named)?,
                clock: *code.get(b"portcullis_clock\0").map_err(named)?,
                _code: code,
            })
        }
    }
}

/// One core of a library, independent of all others.
#[derive(Debug)]
pub struct Instance {
    core: NonNull<Opaque>,
    library: Arc<Library>,
}

impl Instance {
    /// A core at power-up. With `waves`, which the library must have been built for, every signal goes to that file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn new(library: Arc<Library>, waves: Option<&Path>) -> Result<Self, String> {
        let path = waves
            .map(|path| CString::new(path.as_os_str().as_encoded_bytes()))
            .transpose()
            .map_err(|_| "a file name with a zero byte".to_owned())?;
        let path = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        // SAFETY: `path` is null or a C string that outlives the call.
        let core = unsafe { (library.create)(path) };
        match NonNull::new(core) {
            Some(core) => Ok(Self { core, library }),
            None => Err("the verilated core cannot be made".to_owned()),
        }
    }

    /// The outputs that `pins` produce with the clock low.
    pub fn settle(&mut self, pins: &Pins) -> Levels {
        let mut levels = Levels::default();
        // SAFETY: `core` is alive and borrowed by nobody else; the structs have the size that the library expects.
        let error = unsafe { (self.library.settle)(self.core.as_ptr(), pins, &raw mut levels) };
        self.check(error);
        levels
    }

    /// The rising edge of the clock.
    pub fn clock(&mut self) {
        // SAFETY: `core` is alive and borrowed by nobody else.
        let error = unsafe { (self.library.clock)(self.core.as_ptr()) };
        self.check(error);
    }

    /// Panics with what Verilator's runtime has to say: like in `rtl`, only a combinational loop can get here.
    fn check(&self, error: *const c_char) {
        if !error.is_null() {
            // SAFETY: a text that is not null is a C string that lives as long as the core.
            let text = unsafe { CStr::from_ptr(error) };
            panic!("the design does not settle: {}", text.to_string_lossy());
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: `core` came from `create` of the same library and is not used after this.
        unsafe { (self.library.destroy)(self.core.as_ptr()) };
    }
}
