"""How every entry point starts and ends: overrides that parse, errors a person can read, an honest exit status."""

import atexit
import gc
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from types import FrameType

from src import console, helping, launching
from src.redaction import redact

TRACKING_URI = "EARSIGHT_TRACKING_URI"
"""Environment variable that conf/tracking/embedded.yaml reads; the place for an address with a password."""

# Not an argument of the interrupt: libraries that catch it raise another one.
_received: list[int] = []
_NEEDS_QUOTES = "(){}[]=,:\\ \t#'\""


def launch(job: Callable[[], object], finish: Callable[[], bool] | None = None) -> None:
    """Run a Hydra application.

    Args:
        job: the function that `hydra.main` made.
        finish: called at the end, however that came: prints what there is to say, and returns whether all went well.

    Raises:
        SystemExit: 1 where something failed, 2 where the command line cannot be read, 130 or 143 when interrupted.
    """
    console.guard_streams()
    hide_password()
    helping.register()
    _check_overrides(sys.argv[1:])
    # Sought for garbage one last time, the objects of all libraries would hold up the end by two seconds.
    atexit.register(gc.freeze)
    _received.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    status = 0
    # Hydra then raises what it would print, with a traceback even where the disk is full.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
    except HydraException as error:
        sys.stderr.write("".join(f"{text}\n" for text in (error, error.__cause__) if text is not None))
        sys.stderr.write(helping.mistyped(sys.argv[1:]))
        status = 1
    except OSError as error:
        sys.stderr.write(f"{folder_trouble(Path(str(error.filename or os.curdir)), error)}\n")
        status = 1
    except KeyboardInterrupt:
        status = 128 + (_received[0] if _received else signal.SIGINT)
        sys.stderr.write("interrupted\n")
        # An interrupt within code that a library compiles makes `python -m` end by SIGINT whatever the status given,
        # unless other code was compiled since.
        exec("")  # noqa: S102  # a text of ours, and an empty one
    except SystemExit as ended:  # Hydra, after it told what a launcher raised
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BrokenPipeError:
        silence()
    if finish is not None and not finish() and status == 0:
        status = 1
    sys.exit(status)


def hide_password() -> None:
    """Move a tracking address with a password from the command line into the environment.

    Hydra writes the command line into several files, and launchers hand it to other processes: both then hold the
    variable's name instead.
    """
    for i, word in enumerate(sys.argv):
        key, _, value = word.partition("=")
        if key.lstrip("+") == "tracking.uri" and redact(value) != value:
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            os.environ[TRACKING_URI] = value[1:-1] if quoted else value
            sys.argv[i] = f"{key}=${{oc.env:{TRACKING_URI}}}"
            sys.stderr.write(
                "tracking.uri: others can see a password on the command line in the list of processes; better give "
                f"the address in the environment: export {TRACKING_URI}=...\n"
            )


def silence() -> None:
    """The reader of standard output has seen enough: nothing more is written there, and nothing is said of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(number: int, _: FrameType | None) -> None:
    """Ctrl-C or SIGTERM ends a job: its run is marked, its features are kept. A second one leaves at once."""
    if _received:
        os._exit(128 + number)
    _received.append(number)
    raise KeyboardInterrupt


def _check_overrides(words: list[str]) -> None:
    """Refuse an override of a setting that there is not, and one that Hydra's grammar cannot read, with the way out."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    if not any(word.startswith(("--config", "-c")) for word in words):  # else there may be files of the person's own
        unknown = helping.mistyped(words)
        if unknown:
            sys.stderr.write(unknown)
            sys.exit(2)
    for word in words:
        if word.startswith("-") or ("=" not in word and not word.startswith("~")):
            continue
        if not word.partition("=")[0].strip("+~"):
            sys.stderr.write(f"{word}: no setting is named before the =\n")
            sys.exit(2)
        key, _, value = word.partition("=")
        advice = launching.missing(value) if key == "hydra/launcher" else None
        if advice is not None:
            sys.stderr.write(f"{advice}\n")
            sys.exit(2)
        refused = helping.not_to_add(word)
        if refused:
            sys.stderr.write(refused)
            sys.exit(2)
        try:
            parser.parse_override(word)
        except HydraException as error:
            sys.stderr.write(f"{word}: cannot be read as a setting ({str(error).splitlines()[0]})\n{_quoting(word)}")
            sys.exit(2)


def _quoting(word: str) -> str:
    key, _, value = word.partition("=")
    shown = f"{key}={_quoted(value)}"
    # Inside double quotes a shell still reads these.
    typed = shlex.quote(shown) if set(shown) & set('"$`\\!') else f'"{shown}"'
    marks = " ".join(sorted(c for c in set(value) if c in _NEEDS_QUOTES or not c.isascii()))
    return f"A value with {marks or 'such characters'} needs quotes of its own inside the shell's:\n  {typed}\n"


def _quoted(value: str) -> str:
    """A value, or each value of a list, in quotes as Hydra reads them: a backslash counts only before a quote."""
    if value[:1] == "[" and value[-1:] == "]":
        return f"[{','.join(_quoted(part.strip()) for part in value[1:-1].split(','))}]"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inner = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + "\\'" * bool(found[2]), value)
    return f"'{inner}'"
