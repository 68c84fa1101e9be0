"""From a chip to a network in its devices: measure it, look, fit a twin, ask what a run takes, train.

Run it in an empty folder. The chip is simulated; with the path of your own bench file the same lines run on
yours, whose array then has to be as large as the network.
"""

import hil

CHIP = hil.load_bench(None, ["name=chip-7", "arrays={main: {rows: 17, cols: 20}}", "device=EpiRAM_AgSiGe"])
DIGITS = ["data.pixels=4", "network.layers=[{outputs: 10, activation: softmax}]", "data.train=1000"]

# What is this array? Pulses wear it; what they cost is in each record.
records = hil.measure(CHIP, ["devices", "read-noise", "update-curve"], notes={"temperature": "295 K"})
for record in records:
    print(record, end="\n\n")
    record.draw(f"{record.routine}.pdf")

# A simulated bench whose every device behaves as the one that was measured, and how alike it is.
twin = hil.twin(records, "twin.yaml")
print(twin.goodness["misfit"], twin.goodness["alike"], sep="\n", end="\n\n")

# What will a run take, and what accuracy is to be expected? Then the run itself.
print(hil.price_of(bench=twin, overrides=DIGITS, full=True), end="\n\n")
print(hil.train(bench=twin, overrides=DIGITS))
