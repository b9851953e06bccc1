//! `docs/driver-requirements.md`: which requirement and which scenario has which test. Fails when the page is out of
//! date or names a test that does not exist; `PORTCULLIS_BLESS=1` writes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Requirements of section 1: number, short text, tests beyond those that carry the number in their name. A test
/// `doc: …` is the doctest under that sentence in `lib.rs`. No tests: the last column says why.
const REQUIREMENTS: &[(u8, &str, &[&str], &str)] = &[
    (
        1,
        "one domain for all devices of a group",
        &["t15_calls_agree_with_the_table"],
        "",
    ),
    (
        2,
        "aliases share a group; a device is in one group",
        &["add_device_refusals"],
        "",
    ),
    (
        3,
        "operations on a group are serialised",
        &["doc: Use from two threads at once."],
        "in C a second call at once is `EBUSY` (`firmware/c/src/library.rs`)",
    ),
    (
        4,
        "failed probing leaves nothing",
        &["add_device_refusals", "crash_points_once"],
        "",
    ),
    (
        5,
        "claim is exclusive and blocks before it returns",
        &[
            "t01_claim_is_one_block",
            "t03_claim_twice",
            "r01_r02_t47_group_of_devices",
            "t49_fallible_calls_answer_eio",
        ],
        "",
    ),
    (
        6,
        "claim is one BLOCK",
        &["t01_claim_is_one_block", "t28_blocked_default"],
        "",
    ),
    (
        7,
        "an owned group never sees its default domain",
        &["t15_calls_agree_with_the_table"],
        "",
    ),
    (8, "claims are counted", &["t04_r08_claims_are_counted"], ""),
    (
        9,
        "release returns to the default domain",
        &[
            "traces_of_claim_attach_detach_release",
            "doc: Using a group after releasing it.",
        ],
        "",
    ),
    (
        10,
        "attach only from default or blocked",
        &[
            "t05_t06_use_of_an_owned_or_managed_group",
            "doc: Attaching a second domain, or the same one again.",
        ],
        "",
    ),
    (
        11,
        "claim, attach, detach, attach again",
        &["t08_thousand_rounds_leak_nothing"],
        "",
    ),
    (
        12,
        "a wrong detach cannot be written",
        &["doc: Detaching what is not attached."],
        "",
    ),
    (
        13,
        "detach goes to blocked if owned, else to default",
        &[
            "t14_driver_with_a_domain_of_its_own",
            "t15_calls_agree_with_the_table",
        ],
        "",
    ),
    (
        14,
        "setting the current domain again does nothing",
        &["t28_blocked_default"],
        "",
    ),
    (
        15,
        "one code path writes contexts",
        &[],
        "by construction: `context.rs`",
    ),
    (
        16,
        "old, new or nothing",
        &[
            "t17_t18_t19_t23_t26_transitions",
            "t20_ten_thousand_swaps_drop_nothing",
        ],
        "",
    ),
    (
        17,
        "DMA may be dropped unless hitless was asked for",
        &["t25_s34_trace_of_replace_slow"],
        "",
    ),
    (
        18,
        "never untranslated in between",
        &["t21_identity_is_never_in_between"],
        "",
    ),
    (
        19,
        "going back cannot fail",
        &["r33_no_allocation_after_preparation", "t49_stuck_hardware"],
        "",
    ),
    (
        20,
        "a refusal touches no device",
        &["t16_unfit_domains", "t16_replace_with_a_stranger"],
        "",
    ),
    (
        21,
        "hitless replacement, and a query for it",
        &[
            "t25_s34_trace_of_replace_slow",
            "t20_ten_thousand_swaps_drop_nothing",
        ],
        "",
    ),
    (
        22,
        "isolation is immediate",
        &["t17_t18_t19_t23_t26_transitions"],
        "",
    ),
    (
        23,
        "nothing reads a table after detach",
        &[
            "t18_t19_t26_colour_rule",
            "dropping_a_guard_frees_after_the_fence",
        ],
        "",
    ),
    (
        24,
        "freeing an attached domain does not compile",
        &["doc: Freeing a domain that is attached: attach has moved it."],
        "",
    ),
    (
        25,
        "a kernel driver works after release",
        &["t02_claim_of_a_group_in_use"],
        "",
    ),
    (
        26,
        "the last device takes the default domain along",
        &["t62_last_device_takes_the_group_along"],
        "",
    ),
    (27, "one event per change", &["r27_event_of_a_swap"], ""),
    (
        30,
        "every group with a device has a default domain",
        &["t15_calls_agree_with_the_table"],
        "",
    ),
    (
        31,
        "blocked means blocked",
        &[
            "t01_claim_is_one_block",
            "t56_blocked_device_in_a_storm",
            "t27_r81_doorbell_must_be_mapped",
        ],
        "ATS: not in this hardware",
    ),
    (32, "role names, not types", &[], "wording"),
    (33, "claim allocates nothing", &[], ""),
    (34, "blocking costs no memory", &[], ""),
    (
        35,
        "blocked and identity are values",
        &["t21_identity_default"],
        "",
    ),
    (36, "they have no destructor", &[], ""),
    (
        37,
        "targets are sealed",
        &["doc: A target of one's own making."],
        "",
    ),
    (
        38,
        "blocking cannot fail for want of anything",
        &["r33_no_allocation_after_preparation"],
        "",
    ),
    (
        39,
        "no detach below the group layer",
        &[],
        "by construction: `Inner::set`",
    ),
    (
        40,
        "no state without a domain",
        &["start_contexts_are_idle"],
        "",
    ),
    (
        41,
        "types of default domains",
        &["r62_change_of_default_domains"],
        "",
    ),
    (42, "names", &[], "wording"),
    (
        43,
        "the layer below does not know DMA-API domains",
        &["t14_driver_with_a_domain_of_its_own"],
        "by construction: `Inner::map` and `Inner::clear` serve both",
    ),
    (
        44,
        "deferral is a property that can be switched",
        &["t41_t42_r61_upgrade_to_deferred_touches_no_hardware"],
        "",
    ),
    (
        45,
        "identity needs a token; isolation() is honest",
        &[
            "t21_identity_default",
            "doc: Identity without a token, and a token without `unsafe`.",
        ],
        "",
    ),
    (46, "SVA", &[], "reserved: not in the first release"),
    (47, "nested", &[], ""),
    (
        48,
        "allocation answers a typed error",
        &["t37_out_of_memory_changes_nothing", "start_without_memory"],
        "",
    ),
    (
        49,
        "map needs no invalidation",
        &["t31_map_issues_no_command"],
        "",
    ),
    (
        50,
        "core-owned domains live as long as the group has devices",
        &["t62_last_device_takes_the_group_along"],
        "",
    ),
    (
        55,
        "deferred unmap issues no command",
        &["t38_no_command_until_the_flush"],
        "",
    ),
    (
        56,
        "gather; dropping it syncs",
        &["t44_gather_is_synced_when_dropped"],
        "",
    ),
    (
        57,
        "strict unmap returns after the fence",
        &["t32_strict_unmap"],
        "",
    ),
    (
        58,
        "flush-all does not imply deferral",
        &["r59_r60_automatic_choice_of_deferring"],
        "a call of its own; the default looks at the capability only",
    ),
    (59, "capability: deferred flush", &[], ""),
    (
        60,
        "an explicit DMA-FQ is honoured",
        &["r62_change_of_default_domains"],
        "",
    ),
    (61, "DMA to DMA-FQ without teardown", &[], ""),
    (
        62,
        "other changes need an idle group",
        &["t41_t42_r61_upgrade_to_deferred_touches_no_hardware"],
        "",
    ),
    (
        63,
        "failure to start deferral",
        &[],
        "it needs no storage, so that it cannot fail",
    ),
    (
        64,
        "deferral storage only while used",
        &["r82_state_per_group"],
        "it needs none",
    ),
    (
        70,
        "policy per device",
        &["t15_calls_agree_with_the_table"],
        "",
    ),
    (
        71,
        "default policy",
        &["r62_change_of_default_domains", "t28_blocked_default"],
        "",
    ),
    (
        72,
        "EPROBE_DEFER before the IOMMU is ready",
        &[],
        "the C interface answers it too (`firmware/c/tests/c/program.c`)",
    ),
    (
        73,
        "an unfit domain is refused when made",
        &["t16_unfit_domains"],
        "",
    ),
    (
        74,
        "no refusal by type",
        &["t14_driver_with_a_domain_of_its_own"],
        "",
    ),
    (
        75,
        "identity means equal addresses",
        &["t21_identity_default"],
        "",
    ),
    (76, "default type Blocked", &["t28_blocked_default"], ""),
    (
        77,
        "deferred attach",
        &[],
        "what it had in Bare; what it had in a directory of somebody else cannot be kept, see driver.md",
    ),
    (
        78,
        "direct regions are mapped first",
        &["t15_calls_agree_with_the_table"],
        "",
    ),
    (
        79,
        "must-stay-direct devices cannot be blocked",
        &[
            "t15_calls_agree_with_the_table",
            "t63_relaxable_region_does_not_prevent_a_claim",
        ],
        "",
    ),
    (
        80,
        "reserved regions cannot be mapped",
        &[
            "t15_calls_agree_with_the_table",
            "t45_own_frames_cannot_be_mapped",
            "regions_of_a_device_that_joins",
        ],
        "",
    ),
    (81, "the MSI doorbell must be mapped", &[], ""),
    (82, "state per group is small", &[], ""),
];

/// Every test function below `firmware/`, with its file.
fn tests(dir: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line == "#[test]"
                    && let Some(name) = lines.next().and_then(|l| l.strip_prefix("fn "))
                    && let Some((name, _)) = name.split_once('(')
                {
                    found.insert(name.to_string(), path.clone());
                }
            }
        }
    }
}

/// Numbers in the prefix of a test's name: `t18_t19_…` has t18 and t19.
fn numbers(name: &str, letter: char) -> impl Iterator<Item = u8> + '_ {
    let tagged = |word: &&str| {
        let mut chars = word.chars();
        chars.next().is_some_and(|c| "rts".contains(c)) && chars.as_str().parse::<u8>().is_ok()
    };
    let words = name.split('_').take_while(tagged);
    words.filter_map(move |word| word.strip_prefix(letter)?.parse().ok())
}

/// True of every configuration, see `no_configuration_has_process_directories`.
const NO_DIRECTORIES: &str = "on the model only: no configuration of the hardware has process directories (`capabilities.PD8`, `PD17`, `PD20` are 0)";

/// Scenarios without a test on the hardware, and why.
const MODEL_ONLY: &[(u8, &str)] = &[
    (12, "refused by `Owner::new`, before any platform call"),
    (13, NO_DIRECTORIES),
    (
        30,
        "this hardware executes commands in order; the watcher on the bus demands the fence in every test",
    ),
    (69, NO_DIRECTORIES),
    (70, NO_DIRECTORIES),
    (73, NO_DIRECTORIES),
    (
        74,
        "builds, no hardware involved; RISC-V: `cargo xtask verify --only firmware`",
    ),
    (
        75,
        "what does not compile involves no hardware; also doctests of `firmware/src/lib.rs`",
    ),
];

/// Scenarios whose test is no test function, or that the model cannot show.
const ELSEWHERE: &[(u8, &str)] = &[
    (11, "two threads at once do not compile (doctest)"),
    (52, "on the hardware only"),
];

/// Numbers in the prefix of the name of a test on the hardware: `t_18_19_…` has 18 and 19.
fn scenarios(name: &str) -> impl Iterator<Item = u8> + '_ {
    let rest = name.strip_prefix("t_").unwrap_or("");
    rest.split('_').map_while(|word| word.parse().ok())
}

fn row(out: &mut String, id: String, text: &str, tests: &[String], note: &str) {
    let tests: Vec<_> = tests.iter().map(|t| format!("`{t}`")).collect();
    let cell = match (tests.is_empty(), note.is_empty()) {
        (true, _) => note.to_string(),
        (false, true) => tests.join(", "),
        (false, false) => format!("{}; {note}", tests.join(", ")),
    };
    *out += &format!("| {id} | {text}{cell} |\n");
}

#[test]
fn requirements_page_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    tests(&root.join("tests"), &mut found);
    tests(&root.join("src"), &mut found);
    let doctests = fs::read_to_string(root.join("src/lib.rs")).expect("text");
    let mut page = String::from(
        "# Requirements and their tests\n\n\
         Generated by `firmware/tests/requirements.rs`; `PORTCULLIS_BLESS=1 cargo test -p portcullis --test requirements` \
         writes it anew.\nThe tests run on a behavioural model of the IOMMU; scenarios also on the RTL, see below. A test that covers a row in part \
         has a note.\n\n## Requirements\n\n| R | requirement | tests |\n|---|---|---|\n",
    );
    for &(number, text, extra, note) in REQUIREMENTS {
        let mut named: Vec<_> = found
            .keys()
            .filter(|name| numbers(name, 'r').any(|n| n == number))
            .cloned()
            .collect();
        for test in extra {
            let exists = match test.strip_prefix("doc: ") {
                Some(sentence) => {
                    doctests.contains(&format!("//! {sentence}\n//! ```compile_fail"))
                }
                None => found.contains_key(*test),
            };
            assert!(
                exists,
                "R-{number:02} names a test that does not exist: {test}"
            );
            if !named.iter().any(|n| n == test) {
                named.push((*test).to_string());
            }
        }
        assert!(
            !named.is_empty() || !note.is_empty(),
            "R-{number:02} has neither a test nor a reason"
        );
        row(
            &mut page,
            format!("R-{number:02}"),
            &format!("{text} | "),
            &named,
            note,
        );
    }
    let mut hardware = BTreeMap::new();
    tests(&root.join("../tests/tests"), &mut hardware);
    page += "\n## Scenarios\n\nTests by the number in their name, on the behavioural model and on the cycle-accurate hardware under \
             devices that hammer it\n([ownership.md](ownership.md)), or why there is none.\n\n\
             | T | on the model | on the hardware |\n|---|---|---|\n";
    let names = |names: Vec<String>, none: &str| match names.is_empty() {
        true => none.to_string(),
        false => names.join(", "),
    };
    for number in 1..=78 {
        let quoted = |name: &String| format!("`{name}`");
        let on_model = found
            .keys()
            .filter(|n| numbers(n, 't').any(|n| n == number));
        let on_hardware = hardware
            .keys()
            .filter(|n| scenarios(n).any(|n| n == number));
        let reason = |list: &[(u8, &'static str)]| {
            let found = list.iter().find(|(n, _)| *n == number);
            found.map(|(_, why)| *why)
        };
        let (on_model, on_hardware): (Vec<_>, Vec<_>) = (
            on_model.map(quoted).collect(),
            on_hardware.map(quoted).collect(),
        );
        let (model, hardware) = (reason(ELSEWHERE), reason(MODEL_ONLY));
        assert!(
            !on_model.is_empty() || model.is_some(),
            "T{number:02} has neither a test on the model nor a reason"
        );
        assert!(
            on_hardware.is_empty() == hardware.is_some(),
            "T{number:02} needs either a test on the hardware or a reason"
        );
        page += &format!(
            "| T{number:02} | {} | {} |\n",
            names(on_model, model.unwrap_or_default()),
            names(on_hardware, hardware.unwrap_or_default()),
        );
    }
    page += "\n## Start and stop\n\nSection 3.13 of the protocol has no scenario of its own.\n\n\
             | section | on the model | on the hardware |\n|---|---|---|\n";
    let begin_with = |tests: &BTreeMap<String, PathBuf>, prefixes: &[&str]| {
        let named = tests.keys();
        let named = named.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        let named: Vec<_> = named.map(|name| format!("`{name}`")).collect();
        assert!(!named.is_empty(), "no test begins with {prefixes:?}");
        named.join(", ")
    };
    page += &format!(
        "| 3.13 | {} | {} |\n",
        begin_with(&found, &["boot_", "hand_over_"]),
        begin_with(&hardware, &["s_3_13_"]),
    );
    let path = root.join("../docs/driver-requirements.md");
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        fs::write(&path, &page).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "out of date; run with PORTCULLIS_BLESS=1");
}

/// What the page says of scenarios that need a process directory. A configuration that gets one must be tested with it.
#[test]
fn no_configuration_has_process_directories() {
    for config in portcullis_regmap::config::CONFIGS {
        let caps = config.capabilities();
        let any = caps.pd8() || caps.pd17() || caps.pd20();
        assert!(!any, "{} has process directories", config.name);
    }
}
