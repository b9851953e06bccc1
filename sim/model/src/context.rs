//! Device contexts in the base format: fields and configuration checks (groups 8 and 9).

use crate::translate::{Features, Root};
use crate::types::cause;

/// What the translation needs from a valid device context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// tc.DTF: records are held back (DC-08).
    pub dtf: bool,
    /// tc.PDTV: requests may carry a process id (DC-07).
    pub pdtv: bool,
    /// First stage, or none if Bare.
    pub root: Option<Root>,
}

/// Bits `high..=low` of a doubleword.
fn bits(word: u64, high: u32, low: u32) -> u64 {
    (word >> low) & (u64::MAX >> (63 - (high - low)))
}

/// Reads a device context: 258 if it is not valid, 259 if it is misconfigured, else what it says (DDT-14).
///
/// Written for IOMMUs without second stage, process directories, ATS, both byte orders, hardware A/D and QoS ids:
/// [`Features::supported`] keeps others out.
///
/// # Errors
/// The cause.
pub fn check_context(features: &Features, dw: [u64; 4]) -> Result<Context, u16> {
    let [tc, iohgatp, ta, fsc] = dw;
    let flag = |bit: u32| tc >> bit & 1 == 1;
    // DDT-14: all other bits are don't-care while V is 0.
    if !flag(0) {
        return Err(cause::DDT_INVALID);
    }
    let [en_ats, en_pri, t2gpa, dtf, pdtv, prpr] = [1, 2, 3, 4, 5, 6].map(flag);
    let [gade, sade, dpe, sbe, sxl] = [7, 8, 9, 10, 11].map(flag);
    let mode = bits(fsc, 63, 60);
    let levels = match mode {
        8 if features.has(9) => 3,
        9 if features.has(10) => 4,
        10 if features.has(11) => 5,
        _ => 0,
    };
    let misconfigured = [
        // DCM-01, DCM-02; the custom bits 31:24 have no meaning and are ignored (DCM-42).
        bits(tc, 23, 12) != 0 || bits(tc, 63, 32) != 0,
        // DCM-03, DCM-04.
        bits(ta, 11, 0) != 0 || bits(ta, 39, 32) != 0,
        // DCM-05, DCM-06.
        bits(fsc, 59, 44) != 0,
        // DCM-11: RCID and MCID without QOSID.
        bits(ta, 63, 40) != 0,
        // DCM-13..18: no ATS.
        en_ats || en_pri || t2gpa || prpr,
        // DCM-28.
        dpe && !pdtv,
        // DCM-20..23: without PDx only a Bare pdtp remains.
        pdtv && mode != 0,
        // DCM-24, DCM-26.
        !pdtv && mode != 0 && levels == 0,
        // DCM-29, DCM-31: no second stage. PPN and GSCID do not matter while it is Bare.
        bits(iohgatp, 63, 60) != 0,
        // DCM-35: no hardware update of A and D.
        sade || gade,
        // DCM-36, DCM-39: fctl.BE is fixed 0.
        sbe,
        // DCM-38: GXL is fixed 0.
        sxl,
    ];
    if misconfigured.contains(&true) {
        return Err(cause::DDT_MISCONFIGURED);
    }
    // TRN-12, TRN-15: with PDTV=1 the pdtp is Bare, and so is the first stage.
    let root = (!pdtv && levels != 0).then(|| Root {
        levels,
        ppn: bits(fsc, 43, 0),
        pscid: bits(ta, 31, 12) as u32,
    });
    Ok(Context { dtf, pdtv, root })
}
