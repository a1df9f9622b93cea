"""How every entry point starts and ends: overrides that parse, errors a person can read, an honest exit status."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

from src import helping

_NEEDS_QUOTES = "(){}[]=,:\\ \t#'\""


def launch(job: Callable[[], object], finish: Callable[[], bool] | None = None) -> None:
    """Run a Hydra application.

    Args:
        job: the function that `hydra.main` made.
        finish: called at the end, however that came: prints what there is to say, and returns whether all went well.

    Raises:
        SystemExit: 1 where something failed, 2 where the command line cannot be read, 130 or 143 when interrupted.
    """
    helping.register()
    _check_overrides(sys.argv[1:])
    signal.signal(signal.SIGTERM, _terminate)
    status = 0
    try:
        job()
    except KeyboardInterrupt as interrupt:
        status = 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
        sys.stderr.write("interrupted\n")
    if finish is not None and not finish() and status == 0:
        status = 1
    sys.exit(status)


def _terminate(number: int, _: FrameType | None) -> None:
    """SIGTERM ends a job as Ctrl-C does: its run is marked, its features are kept."""
    raise KeyboardInterrupt(number)


def _check_overrides(words: list[str]) -> None:
    """Refuse an override that Hydra's grammar cannot read, showing how to quote it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in words:
        if word.startswith("-") or "=" not in word:
            continue
        try:
            parser.parse_override(word)
        except HydraException as error:
            sys.stderr.write(f"{word}: cannot be read as a setting ({str(error).splitlines()[0]})\n{_quoting(word)}")
            sys.exit(2)


def _quoting(word: str) -> str:
    key, _, value = word.partition("=")
    inner = value.strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
    shown = f"{key}='{inner}'"
    marks = " ".join(sorted(c for c in set(value) if c in _NEEDS_QUOTES or not c.isascii()))
    return (
        f'A value with {marks or "such characters"} needs quotes of its own inside the shell\'s:\n  "{shown}"\n'
        if '"' not in shown
        else f"Quote the value inside the shell's quotes: {key}='...'\n"
    )
