"""Benchmarks: the library as users call it, held against others that do the same work on the same numbers.

    workload.py         what a row is; workloads/ holds them, one file each, ours and the others' side by side
    sessions.py         one step of training or of an operation, in tinyslm, PyTorch and JAX
    worker.py           the process in which one contender runs; process.py is the parent's end of the pipe
    measure.py          compare first, then alternate blocks; medians of ratios
    ceilings.py         what this machine's cores and memory can do at most
    commands.py         rows whose work is a whole process; scripts/ holds the programs
    report.py           the table and the JSON file; pictures.py has the pictures
    growth.py, trap.py  time and memory against size; a step on cores that something else keeps busy

How a row comes about. Every contender has its own process, and both get the same weights and inputs from one file.
First they are compared: outputs, all gradients of the first step, the loss after some steps; a difference voids the
row. Then blocks alternate, one of ours and one of theirs. A ratio is taken within a pair of blocks, so that whatever
else the machine does falls on both; the row shows the median of the ratios with the smallest and the largest. With one
thread the clock is CPU time, which a busy machine disturbs least; with more it is wall time. With --runs all rows are
gone through again in new processes, and of each row the worst median counts; whether PyTorch is faster compiled is
found out in the first run only. Rows whose work is a whole process split their pairs over the runs, at least three in
each.
"""
