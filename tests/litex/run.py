"""Puts the generated core into a LiteX SoC and runs test_soc.py on the SoC's Verilog, in Icarus.

python run.py --wrapper portcullis_tiny_axi.py --header portcullis.h --config tiny --bus wishbone --width 32 --build DIR [--seed N]
"""

import argparse
import os
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

import soc

TOP = "portcullis_soc"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wrapper", type=Path, required=True)
    parser.add_argument("--header", type=Path, required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--bus", required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.build.mkdir(parents=True, exist_ok=True)
    os.chdir(args.build)
    verilog, facts = Path.cwd() / f"{TOP}.v", Path.cwd() / "facts.json"
    sources = soc.make(args.wrapper, args.bus, args.width, verilog, facts)
    # For whoever looks at the same files with other tools.
    Path("sources.txt").write_text("\n".join([str(verilog), *sources]) + "\n")
    runner = get_runner("icarus")
    runner.build(
        sources=[verilog, *sources],
        hdl_toplevel=TOP,
        build_dir=".",
        build_args=["-g2005"],
        timescale=("1ns", "1ps"),
        always=True,
    )
    here = Path(__file__).resolve().parent
    results = runner.test(
        test_module="test_soc",
        hdl_toplevel=TOP,
        build_dir=".",
        test_dir=".",
        results_xml=str(Path.cwd() / "results.xml"),
        extra_env={
            "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]),
            "PORTCULLIS_CONFIG": args.config,
            "PORTCULLIS_HEADER": str(args.header),
            "PORTCULLIS_FACTS": str(facts),
            "PORTCULLIS_SEED": str(args.seed),
            "GPI_LOG_LEVEL": "ERROR",
            "COCOTB_LOG_LEVEL": os.environ.get("COCOTB_LOG_LEVEL", "WARNING"),
        },
    )
    total, failed = get_results(results)
    print(f"{total - failed} of {total} tests passed, seed {args.seed}")
    sys.exit(1 if failed or not total else 0)


main()
