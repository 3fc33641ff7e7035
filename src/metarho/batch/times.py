"""Times in words."""

_MINUTE, _HOUR = 60, 3600


def in_words(seconds: float) -> str:
    """About how long something takes, by its largest unit."""
    if seconds < _MINUTE:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
