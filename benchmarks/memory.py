"""Memory of a simulated array, bytes a device: ours beside aihwkit's, each in a process of its own (Linux).

python benchmarks/memory.py --aihwkit PYTHON
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aihwkit", metavar="PYTHON", help="interpreter of an environment with aihwkit")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 4096], help="rows and columns")
    options = parser.parse_args()
    print("| array | ours, bytes a device | aihwkit, bytes a device |\n|---|---|---|")
    for size in options.sizes:
        ours = measured(sys.executable, "hil_memory.py", size)
        theirs = measured(options.aihwkit, "aihwkit_memory.py", size) if options.aihwkit else "-"
        print(f"| {size} x {size} | {ours} | {theirs} |", flush=True)


def measured(python: str, script: str, size: int) -> str:
    """What a peer says, rounded."""
    done = subprocess.run(
        [python, str(PEERS / script), str(size)], capture_output=True, text=True, check=True
    )
    return f"{json.loads(done.stdout.splitlines()[-1])['bytes_a_device']:.0f}"


if __name__ == "__main__":
    main()
