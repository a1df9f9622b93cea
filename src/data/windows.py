"""Where the windows of a file begin."""

_ROUNDING = 1e-6


def window_starts(seconds: float, first: float, length: float, hop: float | None = None) -> list[float]:
    """Seconds at which the windows of a file begin: one at least; a rest of half a window or more is the last one.

    Args:
        seconds: the file's length.
        first: where the first window begins.
        length: of each window, in seconds.
        hop: seconds from one window to the next; None: their length, so that they touch.
    """
    hop = hop or length
    count = max(1, int((seconds - first - length / 2) / hop + 1 + _ROUNDING))
    return [first + k * hop for k in range(count)]
