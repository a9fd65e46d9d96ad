"""kvcdn's int8 recipe step by step in numpy: the baseline of kvfile_bench. Prints "GB/s RATE"."""
import time

import numpy

ROUNDS, VALUES = 8, 4 << 20
values = numpy.random.default_rng(1).standard_normal(VALUES).astype(numpy.float16)
best = float("inf")
for _ in range(ROUNDS):
    start = time.thread_time()
    wide = values.astype(numpy.float32)
    scale = numpy.maximum(numpy.abs(wide).max(), 1e-12)
    codes = numpy.clip(numpy.round(wide / scale * 127) + 128, 0, 255).astype(numpy.uint8)
    best = min(best, time.thread_time() - start)
print("GB/s", values.nbytes / best / 1e9)
