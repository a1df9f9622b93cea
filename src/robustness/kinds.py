"""What may happen to a recording on its way to the classifier."""

from dataclasses import dataclass

UNDISTURBED = "undisturbed"


@dataclass(frozen=True)
class Kind:
    """One kind of disturbance, as a person is told of it.

    Attributes:
        name: as in conf/robustness.yaml. title: of its curve. unit: of its values.
        neutral: the value that changes nothing; None: there is none.
        low, high: values that are possible.
        ratio: whether equal ratios of values, not equal differences, look alike.
        scale: steps of MLflow are whole numbers: a value times this.
    """

    name: str
    title: str
    unit: str
    neutral: float | None
    low: float
    high: float
    ratio: bool
    scale: int = 1


KINDS = {
    kind.name: kind
    for kind in (
        Kind("level", "level", "dB", 0.0, -120.0, 0.0, ratio=False),
        Kind("noise", "white noise", "dB SNR", None, -60.0, 120.0, ratio=False),
        Kind("mp3", "MP3", "kbit/s", None, 8.0, 320.0, ratio=True),
        Kind("lowpass", "low-pass", "Hz", None, 10.0, 100_000.0, ratio=True),
        Kind("speed", "speed", "times", 1.0, 0.1, 10.0, ratio=True, scale=100),
        Kind("length", "share of the clip kept", "", 1.0, 0.001, 1.0, ratio=True, scale=1000),
    )
}
