"""Puts the generated core into a LiteX SoC and runs test_soc.py on the SoC's Verilog, in Icarus.

python run.py --wrapper portcullis_tiny_axi.py --header portcullis.h --config tiny --bus wishbone --width 32 --build DIR [--seed N]
"""

import argparse
import os
import sys
from pathlib import Path

import soc

# At the end: this directory has namesakes of packages.
sys.path.append(str(Path(__file__).resolve().parent.parent))
import icarus

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
    icarus.run(
        sources=[verilog, *sources],
        top=TOP,
        tests=Path(__file__).resolve().with_name("test_soc.py"),
        config=args.config,
        header=args.header,
        build=".",
        seed=args.seed,
        PORTCULLIS_FACTS=str(facts),
    )


main()
