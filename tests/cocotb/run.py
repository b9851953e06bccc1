"""Builds the generated Verilog with Icarus and runs test_portcullis.py on it.

python run.py --verilog portcullis_tiny_axi.v --header portcullis.h --config tiny --build DIR [--seed N]
"""

import argparse
import re
import sys
from pathlib import Path

# At the end: this directory has namesakes of packages.
sys.path.append(str(Path(__file__).resolve().parent.parent))
import icarus

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
    icarus.run(
        sources=[args.verilog.resolve(), wrapper.resolve()],
        top="harness",
        tests=Path(__file__).resolve().with_name("test_portcullis.py"),
        config=args.config,
        header=args.header,
        build=args.build,
        seed=args.seed,
        PORTCULLIS_OPERATIONS=str(args.operations),
    )


main()
