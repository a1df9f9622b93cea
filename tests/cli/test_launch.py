"""The command line: help, and what is said of words that cannot be read; what that says works."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from running import command, environment

from src.cli import launch as entry

CONF = Path(__file__).resolve().parents[2] / "conf"

# Names that a folder of sounds may have, and that Hydra's grammar refuses without quotes.
NAMES = [
    "a (b)", "Tänze", "日本", "a[1]", "a{b}", "a=b", "it's", 'say "hi"', "`id`", "a#b", "100% ~x", "{a", "a (it's)",
    'ä "q"', "ä'\"", "ä$HOME", "ä`id`", "ä\\n", "ä\\", "ä\\'", "ä!x", " (x)", "(x) ", "Märsche, Walzer (live) [2]",
]  # fmt: skip


def told(word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["train", word])
    assert entry.run(lambda: None) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_what_the_message_tells_to_type_means_what_was_typed(name, capsys, monkeypatch):
    message = told(f"dataset.root={name}", capsys, monkeypatch)
    assert message.startswith(f"dataset.root={name}: cannot be read as a setting")
    typed = message.splitlines()[-1].strip()
    shell = subprocess.run(["sh", "-c", f"printf %s {typed}"], capture_output=True, text=True, check=True)
    override = OverridesParser.create().parse_override(shell.stdout)
    assert override.key_or_group == "dataset.root"
    assert override.value() == name


@pytest.mark.parametrize(
    ("typed", "meant"), [("[Tänze,b c]", ["Tänze", "b c"]), ("[ä(1), 'b']", ["ä(1)", "b"]), ("'ä", "'ä")]
)
def test_lists_are_quoted_value_by_value(typed, meant, capsys, monkeypatch):
    line = told(f"dataset.include_classes={typed}", capsys, monkeypatch).splitlines()[-1].strip()
    shell = subprocess.run(["sh", "-c", f"printf %s {line}"], capture_output=True, text=True, check=True)
    assert OverridesParser.create().parse_override(shell.stdout).value() == meant


def test_a_setting_without_a_name(capsys, monkeypatch):
    assert told("=3", capsys, monkeypatch) == "=3: no setting is named before the =\n"


@pytest.mark.parametrize(
    "word",
    [
        "seed=0", "a.b=[1,2]", "x='a b'", "--help", "-m", "seed=0,1", "~x",
        "+dataset.relabel.size={a: [b]}", "~dataset.classes.rock", "+hydra.launcher.n_jobs=2", "~hydra.callbacks",
        "hydra/launcher=basic", "dataset@other=genre",
    ],
)  # fmt: skip
def test_words_that_can_be_read_pass(word, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", word])
    assert entry.run(lambda: None) == 0


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("+foo=1", r"\+foo: there is no such setting"),
        ("+sede=1", r"did you mean seed"),
        ("++trainer.max_stepz=1", r"did you mean trainer\.max_steps"),
        ("+dataset.foo=1", r"\+dataset\.foo: there is no such setting"),
        ("+trainer.max_steps=3", r"leave the \+ out: trainer\.max_steps=3"),
        ("++seed=1", r"leave the \+ out: seed=1"),
        ("+experiment=table3", r"leave the \+ out: experiment=table3"),
        ("~dataset.start", r"cannot be removed.*dataset\.start=VALUE"),
        ("~dataset.start=0.0", r"cannot be removed"),
        ("~trainer", r"cannot be removed"),
    ],
)
def test_settings_that_nothing_reads_are_refused_and_none_can_be_removed(word, advice, capsys, monkeypatch):
    assert re.search(advice, told(word, capsys, monkeypatch))


def test_the_exit_status_is_honest(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train"])

    def interrupted() -> None:
        raise KeyboardInterrupt

    for job, finish, status in (
        (lambda: None, None, 0),
        (lambda: None, lambda: True, 0),
        (lambda: None, lambda: False, 1),
        (interrupted, lambda: False, 130),
        (interrupted, lambda: True, 130),
    ):
        assert entry.run(job, finish) == status


def run_module(tmp_path: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """`python -m` of a module that imports what the lines below use."""
    head = ("import atexit, os, signal, sys, time", "from src.cli import launch as entry", "sys.argv = ['train']")
    (tmp_path / "command.py").write_text("\n".join([*head, *lines, ""]))
    words = [sys.executable, "-m", "command"]
    return subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_exit_status_is_honest_wherever_the_signal_comes(tmp_path, number, status):
    # Libraries define classes by text given to exec, after which Python itself would end by SIGINT.
    done = run_module(tmp_path, f"entry.launch(lambda: exec('os.kill(os.getpid(), signal.{number})'))")
    assert (done.returncode, done.stderr) == (status, "interrupted\n")


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupt_in_a_finalizer_is_not_lost(tmp_path, number, status):
    done = run_module(
        tmp_path,
        "class Closed:",
        f"    def __del__(self): os.kill(os.getpid(), signal.{number})",
        "def job():",
        "    Closed()",
        "    time.sleep(30)",
        "    print('went on')",
        "entry.launch(job)",
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "interrupted\n")


def test_an_interrupt_of_the_summary_is_no_traceback(tmp_path):
    done = run_module(tmp_path, "entry.launch(lambda: None, lambda: os.kill(os.getpid(), signal.SIGINT))")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_the_end_runs_exit_handlers_and_frees_nothing(tmp_path):
    done = run_module(
        tmp_path,
        "class Kept:",
        "    def __del__(self): print('freed')",
        "kept = Kept()",
        "def job():",
        "    atexit.register(print, 'handler')",
        "    sys.stdout.write('job\\n')",
        "    raise SystemExit(3)",
        "entry.launch(job)",
    )
    assert (done.returncode, done.stdout) == (3, "job\nhandler\n")


def test_help_names_every_option_of_every_group_within_three_seconds(run_train, tmp_path):
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    done = run_train(["--help"], tmp_path, fresh=True)
    assert spent() - before < 3  # of processor time: a busy machine may take longer
    assert done.returncode == 0
    assert done.stderr == ""
    options = [path for path in CONF.glob("*/*.yaml") if path.parent.name != "schema"]
    assert len(options) > 40
    for path in options:
        line = re.search(rf"^  {path.parent.name}={path.stem}\s+\S.*$", done.stdout, re.MULTILINE)
        assert line is not None, f"{path.parent.name}={path.stem} is not in the help, or not explained"
    for setting in ("seed=", "workers=", "force=", "progress="):
        assert setting in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_that_is_cut_off_shows_no_traceback(tmp_path):
    words = " ".join(command(["--help"]))
    done = subprocess.run(
        ["sh", "-c", f"{words} | true"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["src.show", "src.prepare.cache", "src.prepare"])
def test_every_entry_point_has_help(run_train, tmp_path, module):
    done = run_train(["--help"], tmp_path, module)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m {module}" in done.stdout
