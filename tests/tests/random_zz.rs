use portcullis_tests::*;
use portcullis_sim::core::*;
#[test]
fn zz() {
    let mut core = portcullis_sim::backend::Backend::Rtl.core(&portcullis_regmap::config::TINY).unwrap();
    let mut i = Inputs { reset: true, ..Inputs::default() };
    for _ in 0..4 { core.settle(&i); core.clock(); }
    i.reset = false; i.ar_ready = true; i.w_ready = true;
    i.reg = Some(RegAccess{write:true, offset: reg::DDTP, wide:true, data: 0x4000001});
    for _ in 0..20 { let o = core.settle(&i); if o.reg_done.is_some() { i.reg = None; } core.clock(); }
    let r = |tag, kind, access| Request { tag, device_id: 0, process_id: None, privileged: false, access, kind, iova: 0x1000 + u64::from(tag) };
    let reqs = [r(0, Kind::Ats, Access::Read), r(1, Kind::Untranslated, Access::Exec), r(2, Kind::Untranslated, Access::Read)];
    let mut at = 0;
    for c in 0..16 {
        i.req = reqs.get(at).copied();
        i.rsp_ready = c >= 9;
        let o = core.settle(&i);
        println!("{c}: req {:?} ready {} rsp {:?} rsp_ready {}", i.req.map(|r| r.tag), o.req_ready, o.rsp, i.rsp_ready);
        if o.req_ready && i.req.is_some() { at += 1; }
        core.clock();
    }
}
