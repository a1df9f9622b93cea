"""The paper's statements, each tested on our runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.evaluation.text_table import NONE
from src.report import paired
from src.report import scored_cells as desks
from src.report.cost import cost
from src.report.document import Report, Table
from src.report.evidence import (
    AGAINST,
    AUGMENTED,
    BY_INSTRUMENT,
    BY_LOUDNESS,
    CHANGE,
    CLASSIFIERS,
    CONDITIONS,
    SHORTER,
    Evidence,
    loudness_and_change,
    paper_loudness_and_change,
)
from src.report.followup import by_label
from src.report.paired import Compared
from src.report.scored_cells import BASELINE, NETWORK, ScoredCells
from src.report.verdicts import (
    RULES,
    Judgement,
    higher,
    lower,
    no_loss,
    none_differs,
    not_learnt,
    related,
    seeds_agree,
    some_differ,
)

EXPERIMENTS = ("table2_network", "table2_baseline", "loudness", "augmentation", "timing_timbre")
_HEADER = ("statement", "where", "tested on", "verdict", "evidence", "audio")
_Judge = Callable[[Compared], Judgement]

# Statement, where the paper makes it, dataset and comparison that it is tested on, how it is judged.
_ON_ONE: tuple[tuple[str, str, str, str, _Judge], ...] = (
    *(
        ("Clips of 30 s lose nothing against full songs", "5 (2)", "genre", SHORTER.format(NETWORK, condition), no_loss)
        for condition in CONDITIONS
    ),
    *(
        ("The baseline drops when full songs become 30 s", "5 (2)", "genre", SHORTER.format(BASELINE, condition), lower)
        for condition in CONDITIONS
    ),
    ("Timbre is learnt rather than timing", "2", "timing_timbre", BY_INSTRUMENT, higher),
    ("Classes of loudness are harder than dances", "6", "ballroom", BY_LOUDNESS, lower),
    ("Copies at eight levels help", "6", "ballroom9", AUGMENTED, higher),
    ("The network beats the baseline on normalized Ballroom", "5 (1)", "ballroom", AGAINST, higher),
    ("The baseline is clearly better on genre", "5 (1)", "genre", AGAINST, lower),
    ("The baseline is clearly better on vocalist", "5 (1)", "vocalist", AGAINST, lower),
)
_ON_EVERY: tuple[tuple[str, str, str, Callable[[Sequence[Compared]], Judgement]], ...] = (
    ("Normalisation matters for the network", "5 (3)", CHANGE.format(NETWORK), some_differ),
    ("Normalisation makes no difference to the baseline", "5 (3)", CHANGE.format(BASELINE), none_differs),
)


@dataclass(frozen=True, eq=False)
class Claim:
    """A statement of the paper (`where`: section, observation), what it was tested on, and what came of it."""

    statement: str
    where: str
    tested_on: str
    judgement: Judgement
    audio: str


def claims(desk: ScoredCells) -> Report:
    """A row per statement and, where it is about several cases, per case."""
    evidence = Evidence(desk)
    every = [*_on_one(evidence), *_on_every(evidence), *_on_other_things(evidence)]
    cells = [row.cell for row in desk.of(*EXPERIMENTS)]
    used = [cell for cell in cells if cell.runs]
    table = Table(
        "",
        "The paper's statements on our runs",
        _HEADER,
        tuple(_text(claim) for claim in every),
        tuple(dict(zip(_HEADER, _text(claim), strict=True)) for claim in every),
        RULES,
    )
    tests = paired.comparisons("comparisons", "The paired comparisons behind them", evidence.all)
    return Report(
        "claims",
        "The paper's statements",
        tables=tuple(one for one in (table, tests) if one.rows),
        notes=desks.remarks(used),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors(evidence.all)),
        sources=desks.sources(used),
    )


def _on_one(evidence: Evidence) -> list[Claim]:
    told = []
    for statement, where, subject, what, judge in _ON_ONE:
        one = evidence.one(subject, what)
        judgement = judge(one) if one else Judgement("missing", "not asked for")
        told.append(Claim(statement, where, f"{subject}, {what}", judgement, _audio([one] if one else [])))
    return told


def _on_every(evidence: Evidence) -> list[Claim]:
    told = []
    for statement, where, what, judge in _ON_EVERY:
        found = evidence.every(what)
        told.append(Claim(statement, where, f"every dataset, {what}", judge(found), _audio(found)))
    return told


def _on_other_things(evidence: Evidence) -> list[Claim]:
    desk, changes = evidence.desk, evidence.every(CHANGE.format(NETWORK))
    ours, sets = loudness_and_change(changes, desk)
    judgement = related(ours, sets, paper_loudness_and_change(desk))
    statement = "Normalisation helps where classes are alike in loudness, hurts where they differ"
    tested = "network: change by normalisation against overlap in RMS, over datasets"
    told = [Claim(statement, "6", tested, judgement, _audio(changes))]
    for name, experiment in CLASSIFIERS.items():
        rows = desk.of(experiment)
        statement = "Runs of one set-up differ by two points at most"
        told.append(
            Claim(statement, "5", f"{name}: seeds of every cell", seeds_agree(rows), paired.audio(*rows) or NONE)
        )
    metre = by_label(desk, "metre")
    audio = (paired.audio(metre) if metre else "") or NONE
    told.append(Claim("Timing is not learnt", "2", "timing_timbre by metre, against chance", not_learnt(metre), audio))
    rows = desk.of("table2_network")
    statement = "Hours on a machine of 2010 are minutes here"
    return [*told, Claim(statement, "5 (5)", "network: seconds of its runs", cost(rows), paired.audio(*rows) or NONE)]


def _audio(found: Sequence[Compared]) -> str:
    return paired.audio(*(row for one in found for row in (one.pair.first, one.pair.second))) or NONE


def _text(claim: Claim) -> tuple[str, ...]:
    judged = claim.judgement
    return (claim.statement, claim.where, claim.tested_on, judged.verdict, judged.evidence, claim.audio)
