"""Skip-gram with negative sampling, a part of a text at a time.

A pair is a word's vector against K + 1 rows of the output table: the true word and K drawn ones. Operations:
6 (K + 1) D and K + 1 logistic functions. Bytes: (K + 1) D numbers read and written, from places all over the table.
Idea: first all scores, then all errors, then all changes; the K + 1 rows are then on their way from memory at the same
time, and a step is the exact gradient of one pair, as in the derivation named negative_sampling. A word that is drawn
twice is one row with twice the error: no row comes up a second time, so one loop can take from it and change it.

A pair takes a few hundred nanoseconds, so what stands around the sums counts. Three things keep it small: scores are
found two rows at a time, a draw has no branch, and a pair is no call of its own but woven into the loop over the text.

Several threads may run this on the same tables without locks (Recht et al. 2011, "Hogwild"): now and then one
overwrites another's change to a row, and few rows are shared at a time.
"""

import numpy as np

from ._jit import inline, jit, woven
from ._math import dot, sigmoid
from ._random import MIX_1, MIX_2, STEP

_STEP, _MIX_1, _MIX_2 = np.uint64(STEP), np.uint64(MIX_1), np.uint64(MIX_2)
_11, _27, _30, _31, _32 = (np.uint64(n) for n in (11, 27, 30, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)
UNIT = 2.0**-53
WHOLE = 8  # errors come in whole vectors of the processor: what is left over would be worked on one by one


@jit
def train_part(vectors, outputs, words, starts, keep, limits, others, window, negatives, rates, seed):
    """Train on the sentences words[starts[s]:starts[s + 1]]; changes vectors and outputs (V, D) in place.

    keep (V,): the probability that a word stays. limits and others (V,): the noise, as `alias_table` gives it.
    rates: the learning rate falls from the first to the second over the part. seed: of the random numbers, uint64.
    """
    state = np.array([seed], np.uint64)
    sentence = np.empty(np.diff(starts).max(), words.dtype)
    targets, change = np.empty(negatives + 1, words.dtype), np.empty(vectors.shape[1], vectors.dtype)
    times, errors = np.zeros((2, -(-(negatives + 1) // WHOLE) * WHOLE), vectors.dtype)
    total = starts[-1] - starts[0]
    for s in range(starts.size - 1):
        done = (starts[s] - starts[0]) / total
        rate = vectors.dtype.type(rates[0] + (rates[1] - rates[0]) * done)
        size = _thin_out(words[starts[s] : starts[s + 1]], keep, sentence, state)
        for i in range(size):
            reach = 1 + np.int64(_below(window, state))
            for j in range(max(0, i - reach), min(size, i + reach + 1)):
                if j != i:
                    count = _draw_targets(sentence[i], negatives, limits, others, targets, times, state)
                    train_pair(vectors[sentence[j]], outputs, targets[:count], times, rate, errors, change)


@woven
def train_pair(vector, outputs, targets, times, rate, errors, change):
    """One step of descent for one pair: targets[0] is the true word, the others are drawn, all of them different.

    e = times (sigmoid(U_w v) - y), y = (1, 0, ..., 0); v -= rate U_w^T e, U_w -= rate e v^T, both from the old values.
    times: how often each target was drawn. errors, as long as times, and change: scratch space.
    """
    _find_scores(vector, outputs, targets, errors)
    for k in range(errors.size):
        errors[k] = rate * times[k] * sigmoid(errors[k])
    errors[0] -= rate
    change[:] = 0
    for k in range(targets.size):
        row, error = outputs[targets[k]], errors[k]
        for j in range(vector.size):
            change[j] += error * row[j]
            row[j] -= error * vector[j]
    for j in range(vector.size):
        vector[j] -= change[j]


@woven
def _find_scores(vector, outputs, targets, scores):
    """U_w v, two rows at a time: the second is on its way from memory while the first comes in."""
    even = targets.size - targets.size % 2
    for k in range(0, even, 2):
        a, b = outputs[targets[k]], outputs[targets[k + 1]]
        score_a = score_b = vector.dtype.type(0)
        for j in range(vector.size):
            score_a += a[j] * vector[j]
            score_b += b[j] * vector[j]
        scores[k], scores[k + 1] = score_a, score_b
    for k in range(even, targets.size):
        scores[k] = dot(vector, outputs[targets[k]])


@inline
def _thin_out(words, keep, sentence, state):
    """Copy the words that stay; how many."""
    size = 0
    for i in range(words.size):
        if keep[words[i]] >= 1.0 or np.float64(_next(state) >> _11) * UNIT < keep[words[i]]:
            sentence[size] = words[i]
            size += 1
    return size


@inline
def _draw_targets(word, negatives, limits, others, targets, times, state):
    """The word, and behind it draws from the noise that are not the word, with how often each came. How many rows."""
    targets[0], times[0] = word, 1
    count = 1
    for _ in range(negatives):
        drawn = draw(limits, others, state)
        if drawn != word:
            k = 1
            while k < count and targets[k] != drawn:
                k += 1
            if k == count:
                targets[k], times[k] = drawn, 0
                count += 1
            times[k] += 1
    return count


@inline
def draw(limits, others, state):
    """One word of the noise: a cell, all equally likely, and then the cell's own word or its other one.

    Both are looked up before one is chosen: nothing can foresee the choice, and a wrong guess costs more than a look.
    """
    bits = _next(state)
    cell = ((bits >> _32) * np.uint64(limits.size)) >> _32
    own, other = np.int64(cell), np.int64(others[cell])
    return own if (bits & _LOW) < limits[cell] else other


@inline
def _below(n, state):
    """A whole number from 0 to n - 1."""
    return ((_next(state) >> _32) * np.uint64(n)) >> _32


@inline
def _next(state):
    """64 random bits: SplitMix64, as in `_random.py`."""
    state[0] += _STEP
    z = state[0]
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


@jit
def draws(limits, others, seed, out):
    """Fill `out` with draws from the noise."""
    state = np.array([seed], np.uint64)
    for i in range(out.size):
        out[i] = draw(limits, others, state)
