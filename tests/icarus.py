"""Builds Verilog with Icarus and runs a module of cocotb tests on it: what the benches in cocotb/ and litex/ share."""

import os
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


def run(sources, top, tests, config, header, build, seed, **environment):
    """Ends the program, with how many of the tests in the file `tests` have passed."""
    build = Path(build).resolve()
    runner = get_runner("icarus")
    runner.build(
        sources=sources,
        hdl_toplevel=top,
        build_dir=build,
        build_args=["-g2005"],
        timescale=("1ns", "1ps"),
        always=True,
    )
    results = runner.test(
        test_module=tests.stem,
        hdl_toplevel=top,
        build_dir=build,
        test_dir=build,
        results_xml=str(build / "results.xml"),
        extra_env={
            "PYTHONPATH": os.pathsep.join([str(tests.parent), os.environ.get("PYTHONPATH", "")]),
            "PORTCULLIS_CONFIG": config,
            "PORTCULLIS_HEADER": str(Path(header).resolve()),
            "PORTCULLIS_SEED": str(seed),
            "GPI_LOG_LEVEL": "ERROR",
            "COCOTB_LOG_LEVEL": os.environ.get("COCOTB_LOG_LEVEL", "WARNING"),
            **environment,
        },
    )
    total, failed = get_results(results)
    print(f"{total - failed} of {total} tests passed, seed {seed}")
    sys.exit(1 if failed or not total else 0)
