"""Who visits the blocks: here one after the other, in a loop that reads ahead."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np


class LoopEngine:
    """Visits in this process. A block is read when its turn comes, and let go.

    Other engines make the same visits elsewhere. This one says what a visit is: whatever the
    engine, blocks are added up in their order, so that the bits are the same.

    Parameters
    ----------
    starts : ndarray of int of shape (n_blocks + 1,)
        The first row of each block, and the number of rows.
    read : callable
        Reads the block of a number.
    """

    def __init__(self, starts, read):
        self.starts, self.read = starts, read

    def prepared(self, look, rows=()):
        """An engine whose blocks are looked at as soon as they are read.

        Parameters
        ----------
        look : callable
            Gets a block, and what belongs to its rows.
        rows : tuple of ndarray or None
            Cut into blocks as the rows are.
        """

        def read(number):
            part = slice(*self.starts[number : number + 2])
            return look(self.read(number), *(of_rows(numbers, part) for numbers in rows))

        return LoopEngine(self.starts, read)

    def __iter__(self):
        """Yield (first row, block); while one is worked on, the next one is read."""
        n_blocks = len(self.starts) - 1
        with ThreadPoolExecutor(1, thread_name_prefix="read_ahead") as reader:
            ahead = reader.submit(self.read, 0)
            for number in range(n_blocks):
                block = ahead.result()
                if number + 1 < n_blocks:
                    ahead = reader.submit(self.read, number + 1)
                yield self.starts[number], block
                del block

    def visit(self, function, rows=(), shared=()):
        """See every block once.

        Parameters
        ----------
        function : callable
            Gets a block, what has been added up so far or None, the parts of ``rows`` that belong
            to the block, and ``shared``. Returns what to keep of the block's rows, an array, a
            tuple of them or None; and the sum with the block in it.
        rows : tuple of ndarray, RowPenalty or None
            Cut into blocks as the rows are.
        shared : tuple
            The same for all blocks.

        Returns
        -------
        kept : ndarray of shape (n_rows, ...), tuple of ndarray, or None
            Of all rows.
        total : object
            The sum.
        """
        kept = total = None
        for number, (_, block) in enumerate(self):
            part = slice(*self.starts[number : number + 2])
            own = [of_rows(numbers, part) for numbers in rows]
            found, total = function(block, total, *own, *shared)
            kept = put(kept, part, found, self.starts[-1])
        return kept, total

    def map(self, function, rows=(), shared=()):
        """A `visit` that adds nothing up: what is kept of all rows."""
        return self.visit(function, rows, shared)[0]

    def sum(self, function, rows=(), shared=()):
        """A `visit` that keeps nothing: the sum."""
        return self.visit(function, rows, shared)[1]


def of_rows(numbers, part):
    """What belongs to some rows: of an array, of what knows its rows, or None."""
    if numbers is None:
        return None
    return numbers.of_rows(part) if hasattr(numbers, "of_rows") else numbers[part]


def added(total, part):
    """The sum of two parts: numbers, arrays, lists one after the other, or tuples of these.

    Arrays of the total are added to in place: the first part has been made for the sum.
    """
    if total is None:
        return part
    if isinstance(part, tuple):
        return tuple(added(one, other) for one, other in zip(total, part, strict=True))
    if isinstance(part, np.ndarray):
        total += part
        return total
    return total + part


def put(kept, part, found, n_rows):
    """Write what was found of some rows in its place among all."""
    if found is None:
        return None
    if isinstance(found, tuple):
        kept = kept or (None,) * len(found)
        pairs = zip(kept, found, strict=True)
        return tuple(put(whole, part, own, n_rows) for whole, own in pairs)
    if kept is None:
        kept = np.empty((n_rows, *found.shape[1:]), dtype=found.dtype)
    kept[part] = found
    return kept
