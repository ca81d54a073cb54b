"""The loops of a training step on a GPU, in Triton: each one pass over memory. `gpu.py` calls them.

A program takes ENTRIES look-ups, or LINES rows by WIDE columns TURNS times; PADDED is a width's next
power of two; a row of −1 is none. What stands under jit is compiled for the GPU: its types are those of
what it is given.
"""

import triton
import triton.language as tl


@triton.jit
def gather(
    table, table_step, first, rows, row_step, out, out_step, count, slots,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, ENTRIES: tl.constexpr,
):
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    line, slot = entry // slots, entry % slots
    row = tl.load(rows + line.to(tl.int64) * row_step + slot, mask=entry < count, other=0).to(tl.int64)
    column = tl.arange(0, PADDED)[None, :]
    inside = (entry < count)[:, None] & (column < WIDTH)
    found = tl.load(table + row[:, None] * table_step + first + column, mask=inside, other=0.0)
    into = line.to(tl.int64) * out_step + slot * WIDTH
    tl.store(out + into[:, None] + column, found, mask=inside)


@triton.jit
def pool(
    table, table_step, first, values, offsets, out, out_step, WIDTH: tl.constexpr, PADDED: tl.constexpr,
):
    line = tl.program_id(0).to(tl.int64)
    begin, end = tl.load(offsets + line), tl.load(offsets + line + 1)
    column = tl.arange(0, PADDED)
    total = tl.zeros([PADDED], dtype=tl.float32)
    for place in range(begin, end):
        row = tl.load(values + place).to(tl.int64)
        total += tl.load(table + row * table_step + first + column, mask=column < WIDTH, other=0.0)
    mean = total / tl.maximum(end - begin, 1).to(tl.float32)
    tl.store(out + line * out_step + column, mean, mask=column < WIDTH)


@triton.jit
def add_up(
    rows, values, sums, count, WIDTH: tl.constexpr, PADDED: tl.constexpr, ENTRIES: tl.constexpr,
):
    entry = (tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)).to(tl.int64)
    row = tl.load(rows + entry, mask=entry < count, other=-1)
    column = tl.arange(0, PADDED)[None, :]
    inside = (row >= 0)[:, None] & (column < WIDTH)
    value = tl.load(values + entry[:, None] * WIDTH + column, mask=inside, other=0.0)
    tl.atomic_add(sums + row[:, None] * WIDTH + column, value, mask=inside, sem="relaxed")


@triton.jit
def adagrad(
    rows, table, squares, sums, stamps, turn, count, rate, l2, eps,
    WIDTH: tl.constexpr, COPIES: tl.constexpr, PADDED: tl.constexpr, ENTRIES: tl.constexpr,
):
    entry = (tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)).to(tl.int64)
    row = tl.load(rows + entry, mask=entry < count, other=-1)
    now = tl.load(turn)
    # The first to stamp a row in this turn updates it, for all who read it. To look first spares others
    # an atomic operation.
    new = tl.load(stamps + row, mask=row >= 0, other=now) != now
    before = tl.atomic_xchg(stamps + row, tl.zeros_like(row).to(tl.int32) + now, mask=new, sem="relaxed")
    mine = new & (before != now)
    column = tl.arange(0, PADDED)[None, :]
    inside = mine[:, None] & (column < WIDTH)
    for copy in tl.static_range(COPIES):
        place = row[:, None] * (WIDTH * COPIES) + copy * WIDTH + column
        weight = tl.load(table + place, mask=inside, other=0.0)
        gradient = tl.load(sums + place, mask=inside, other=0.0) + l2 * weight
        tl.store(sums + place, tl.zeros_like(gradient), mask=inside)
        total = tl.load(squares + row * COPIES + copy, mask=mine, other=0.0)
        total += tl.sum(gradient * gradient, axis=1) / WIDTH
        tl.store(squares + row * COPIES + copy, total, mask=mine)
        step = rate / (tl.sqrt(total) + eps)
        tl.store(table + place, weight - step[:, None] * gradient, mask=inside)


@triton.jit
def mask(
    gradient, activation, out, bias, scale, rows, columns,
    TURNS: tl.constexpr, LINES: tl.constexpr, WIDE: tl.constexpr,
):
    column = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    sums = tl.zeros([LINES, WIDE], dtype=tl.float32)
    for turn in range(TURNS):
        line = ((tl.program_id(0) * TURNS + turn) * LINES + tl.arange(0, LINES)).to(tl.int64)
        place = line[:, None] * columns + column[None, :]
        inside = (line < rows)[:, None] & (column < columns)[None, :]
        through = tl.load(activation + place, mask=inside, other=0.0).to(tl.float32) > 0
        kept = tl.load(gradient + place, mask=inside, other=0.0).to(tl.float32) * scale
        kept = tl.where(through, kept, 0.0)
        tl.store(out + place, kept, mask=inside)
        sums += kept
    tl.atomic_add(bias + column, tl.sum(sums, axis=0), mask=column < columns, sem="relaxed")


@triton.jit
def mix(
    gates, experts, out, rows, width,
    TASKS: tl.constexpr, COUNT: tl.constexpr, PADDED: tl.constexpr, LINES: tl.constexpr,
):
    line = (tl.program_id(0) * LINES + tl.arange(0, LINES)).to(tl.int64)
    column = tl.arange(0, PADDED)[None, :]
    here = line < rows
    inside = here[:, None] & (column < width)
    for task in tl.static_range(TASKS):
        total = tl.zeros([LINES, PADDED], dtype=tl.float32)
        for k in tl.static_range(COUNT):
            gate = tl.load(gates + (line * TASKS + task) * COUNT + k, mask=here, other=0.0)
            place = (line[:, None] * COUNT + k) * width + column
            total += gate[:, None] * tl.load(experts + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + (task * rows + line[:, None]) * width + column, total, mask=inside)


@triton.jit
def unmix(
    gradients, gates, experts, out, of_gates, bias, scale, rows, width,
    TASKS: tl.constexpr, COUNT: tl.constexpr, PADDED: tl.constexpr, TURNS: tl.constexpr,
    LINES: tl.constexpr,
):
    k = tl.program_id(1)
    column = tl.arange(0, PADDED)
    sums = tl.zeros([LINES, PADDED], dtype=tl.float32)
    for turn in range(TURNS):
        line = ((tl.program_id(0) * TURNS + turn) * LINES + tl.arange(0, LINES)).to(tl.int64)
        here = line < rows
        inside = here[:, None] & (column < width)[None, :]
        place = (line[:, None] * COUNT + k) * width + column[None, :]
        expert = tl.load(experts + place, mask=inside, other=0.0).to(tl.float32)
        total = tl.zeros([LINES, PADDED], dtype=tl.float32)
        for task in tl.static_range(TASKS):
            source = (task * rows + line[:, None]) * width + column[None, :]
            given = tl.load(gradients + source, mask=inside, other=0.0).to(tl.float32)
            at = (line * TASKS + task) * COUNT + k
            total += tl.load(gates + at, mask=here, other=0.0)[:, None] * given
            tl.store(of_gates + at, tl.sum(given * expert, axis=1), mask=here)
        kept = tl.where(expert > 0, total * scale, 0.0)
        tl.store(out + place, kept, mask=inside)
        sums += kept
    tl.atomic_add(bias + k * width + column, tl.sum(sums, axis=0), mask=column < width, sem="relaxed")
