"""Words of 64 pixels: made from labels, counted, moved. Compiled on first use."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core.cgutils import ir, unpack_tuple
from numba.extending import intrinsic
from numpy.typing import NDArray

from kit.core.compiled import jit

lowered: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic

ONE = np.uint64(1)
ZERO = np.uint64(0)
ALL = ~ZERO


@lowered
def equal64(typing: Any, labels: Any, y: Any, x: Any, value: Any) -> Any:
    """Word whose bit i says `labels[y, x + i] == value`; rows must be contiguous."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        stride = unpack_tuple(builder, array.strides)[0]
        address = builder.add(builder.mul(args[1], stride), args[2])
        vector = ir.VectorType(ir.IntType(8), 64)
        pointer = builder.bitcast(builder.gep(array.data, [address]), vector.as_pointer())
        value = builder.trunc(args[3], ir.IntType(8))
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
        index = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        splat = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), index)
        equal = builder.icmp_unsigned("==", builder.load(pointer, align=1), splat)
        return builder.bitcast(equal, ir.IntType(64))

    return types.uint64(labels, types.int64, types.int64, types.int64), codegen


@lowered
def popcount(typing: Any, word: Any) -> Any:
    """Number of set bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@lowered
def lowest(typing: Any, word: Any) -> Any:
    """Index of the lowest set bit of a word that has one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), codegen


@jit
def block(labels: NDArray[np.uint8], y: int, x: int, value: int) -> Any:
    """As `equal64`, but at the end of a row without reading over it; pixels beyond are 0."""
    width = labels.shape[1]
    if x + 64 <= width:
        return equal64(labels, y, x, value)
    if width >= 64:
        return equal64(labels, y, width - 64, value) >> np.uint64(x + 64 - width)
    word = ZERO
    for i in range(width - x):
        if labels[y, x + i] == value:
            word |= ONE << np.uint64(i)
    return word


@jit
def next_used(labels: NDArray[np.uint8], y: int, x: int) -> int:
    """First of x, x + 64, ... whose 64 pixels are not all 0, or start of the last, short one."""
    while x + 64 <= labels.shape[1] and equal64(labels, y, x, 0) == ALL:
        x += 64
    return x


@jit
def spread(near: Any, far: Any, first: int, last: int) -> Any:
    """OR of the 128 pixels (near, far) moved left by first .. last pixels, in 0 .. 63."""
    if first > 0:
        near = near >> np.uint64(first) | far << np.uint64(64 - first)
        far >>= np.uint64(first)
    left, length = last - first, 1
    while left > 0:
        step = min(length, left)
        near |= near >> np.uint64(step) | far << np.uint64(64 - step)
        far |= far >> np.uint64(step)
        left -= step
        length += step
    return near
