"""Builds the generated Verilog with Icarus and runs test_portcullis.py on it.

python run.py --verilog portcullis_tiny_axi.v --header portcullis.h --config tiny --build DIR [--seed N]
"""

import argparse
import os
import re
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

SIDEBANDS = (("mmussidv", 1), ("mmussid", 20), ("mmusid", 24))


def ports(text, top):
    """(direction, range, name) of every port of module `top`."""
    head = re.search(rf"\nmodule {top} \((.*?)\n\);", text, re.S)
    if head is None:
        sys.exit(f"run.py: no module {top}")
    found = re.findall(r"(input|output) (?:wire|reg) (\[\d+:0\] )?(\w+)", head.group(1))
    return [(d, r.strip(), n) for d, r, n in found]


def harness(text, top):
    """A module around `top` whose sidebands are AxUSER, the name that the bus master of cocotbext-axi drives."""
    outer, pins = [], []
    for direction, width, name in ports(text, top):
        channel = re.fullmatch(r"s_axi_(ar|aw)mmu\w+", name)
        if not channel:
            outer.append(f"{direction} wire {width} {name}")
            pins.append(f".{name}({name})")
    for channel in ("ar", "aw"):
        user = f"s_axi_{channel}user"
        outer.append(f"input wire [44:0] {user}")
        low = 44
        for field, width in SIDEBANDS:
            pins.append(f".s_axi_{channel}{field}({user}[{low}:{low - width + 1}])")
            low -= width
    return "module harness (\n  {}\n);\n  {} dut (\n    {}\n  );\nendmodule\n".format(
        ",\n  ".join(outer), top, ",\n    ".join(pins)
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verilog", type=Path, required=True)
    parser.add_argument("--header", type=Path, required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=60)
    args = parser.parse_args()
    args.build.mkdir(parents=True, exist_ok=True)
    wrapper = args.build / "harness.v"
    wrapper.write_text(harness(args.verilog.read_text(), args.verilog.stem))
    runner = get_runner("icarus")
    runner.build(
        sources=[args.verilog.resolve(), wrapper.resolve()],
        hdl_toplevel="harness",
        build_dir=args.build,
        build_args=["-g2005"],
        timescale=("1ns", "1ps"),
        always=True,
    )
    here = Path(__file__).resolve().parent
    results = runner.test(
        test_module="test_portcullis",
        hdl_toplevel="harness",
        build_dir=args.build,
        test_dir=args.build,
        results_xml=str(args.build.resolve() / "results.xml"),
        extra_env={
            "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]),
            "PORTCULLIS_CONFIG": args.config,
            "PORTCULLIS_HEADER": str(args.header.resolve()),
            "PORTCULLIS_SEED": str(args.seed),
            "PORTCULLIS_OPERATIONS": str(args.operations),
            "GPI_LOG_LEVEL": "ERROR",
            "COCOTB_LOG_LEVEL": os.environ.get("COCOTB_LOG_LEVEL", "WARNING"),
        },
    )
    total, failed = get_results(results)
    print(f"{total - failed} of {total} tests passed, seed {args.seed}")
    sys.exit(1 if failed or not total else 0)


main()
