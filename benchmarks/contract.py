"""What the contract costs: microseconds a schedule, on 2 x 2 devices whose physics is next to nothing.

python benchmarks/contract.py
"""

import time

import numpy as np

import hil
from hil.plan import Plan, run
from hil.schedule import Op

CALLS, ROUNDS = 2000, 7


def main() -> None:
    bench = hil.open_bench(None, ["device=aihwkit_ReRamES"], {"tile": (2, 2)}, 1)
    sheet = bench.arrays["tile"].device
    region = hil.Region.block("tile", range(2), range(2))
    volts = np.full((1, 2), sheet.read_voltage_v / 2, np.float32)
    counts = np.array([[1, 0], [0, -1]], np.int16)
    ops: dict[str, Op] = {
        "Wait": hil.Wait(0.0),
        "Read": hil.Read(region, sheet.read_voltage_v, 1e-6),
        "Multiply": hil.Multiply(region, volts, 1e-6),
        "Program": hil.Program(region, counts, sheet.potentiate, sheet.depress),
    }
    print("| schedule of one | simulated bench | and limits | and a plan |\n|---|---|---|---|")
    for name, op in ops.items():
        times = [best(bench._bench, op), best(bench, op), planned(bench, op)]  # pyright: ignore[reportPrivateUsage]
        print(f"| {name} | " + " | ".join(f"{1e6 * seconds:.1f} us" for seconds in times) + " |")


def best(bench: hil.Bench, op: Op) -> float:
    """CPU seconds a schedule, the smallest mean of some rounds."""
    schedule = (op,)
    fastest = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            bench.execute(schedule)
        fastest = min(fastest, (time.process_time() - start) / CALLS)
    return fastest


def planned(bench: hil.Bench, op: Op) -> float:
    """The same, asked for by a plan."""
    fastest = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        run(repeated(op), bench)
        fastest = min(fastest, (time.process_time() - start) / CALLS)
    return fastest


def repeated(op: Op) -> Plan[None]:
    """The same schedule again and again, as a plan of one."""
    for _ in range(CALLS):
        yield (op,)


if __name__ == "__main__":
    main()
