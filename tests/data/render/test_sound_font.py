import struct
from pathlib import Path

import numpy as np
import pytest

from src.data.render import sound_font
from src.data.render.sampler import Sampler, sounded
from src.errors import UserError

RATE = 8000
CYCLE = 40  # samples: 200 Hz


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def generators(**values: int) -> list[tuple[int, int]]:
    return [(getattr(sound_font, name), value) for name, value in values.items()]


def make_font(path: Path, preset: list[list[tuple[int, int]]], instrument: list[list[tuple[int, int]]]) -> Path:
    """A font with one recording: ten cycles of a 200 Hz sine at 8 kHz; its header claims key 60, a semitone off."""
    wave = np.round(16384 * np.sin(2 * np.pi * np.arange(10 * CYCLE) / CYCLE)).astype("<i2")
    samples = np.concatenate([wave, np.zeros(46, "<i2")]).tobytes()
    header = b"sine".ljust(20, b"\0") + struct.pack("<IIIIIBbHH", 0, 400, 40, 360, RATE, 60, 0, 0, 1)

    def bags(zones: list[list[tuple[int, int]]]) -> tuple[bytes, bytes]:
        starts = np.cumsum([0, *(len(zone) for zone in zones)])
        flat = [one for zone in zones for one in zone]
        return (
            b"".join(struct.pack("<HH", start, 0) for start in starts),
            b"".join(struct.pack("<HH", kind, value & 0xFFFF) for kind, value in [*flat, (0, 0)]),
        )

    def preset_header(number: int, bag: int) -> bytes:
        return b"preset".ljust(20, b"\0") + struct.pack("<HHHIII", number, 0, bag, 0, 0, 0)

    pbag, pgen = bags(preset)
    ibag, igen = bags(instrument)
    tables = {
        b"phdr": preset_header(5, 0) + preset_header(255, len(preset)),
        b"pbag": pbag,
        b"pgen": pgen,
        b"inst": b"one".ljust(20, b"\0")
        + struct.pack("<H", 0)
        + b"EOI".ljust(20, b"\0")
        + struct.pack("<H", len(instrument)),
        b"ibag": ibag,
        b"igen": igen,
        b"shdr": header + b"EOS".ljust(46, b"\0"),
    }
    lists = [
        chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1))),
        chunk(b"LIST", b"sdta" + chunk(b"smpl", samples)),
        chunk(b"LIST", b"pdta" + b"".join(chunk(name, table) for name, table in tables.items())),
    ]
    path.write_bytes(chunk(b"RIFF", b"sfbk" + b"".join(lists)))
    return path


def only_zone(
    path: Path, instrument: list[list[tuple[int, int]]], preset: list[tuple[int, int]] | None = None
) -> sound_font.Zone:
    font = make_font(path / "font.sf2", [[*(preset or []), (sound_font.INSTRUMENT, 0)]], instrument)
    (zone,) = sound_font.Font(font).zones(5, drums=False)
    return zone


def test_the_zones_root_key_overrides_the_recordings(tmp_path: Path) -> None:
    assert only_zone(tmp_path, [generators(SAMPLE=0)]).root == 60
    assert only_zone(tmp_path, [generators(ROOT=55, SAMPLE=0)]).root == 55
    # Tuned up by 2 semitones and 50 cents, it sounds as recorded at a lower key.
    assert only_zone(tmp_path, [generators(ROOT=55, COARSE_TUNE=2, FINE_TUNE=50, SAMPLE=0)]).root == 52.5


def test_a_preset_adds_and_the_global_zone_is_a_default(tmp_path: Path) -> None:
    zone = only_zone(
        tmp_path,
        [generators(DECAY=1200, ATTENUATION=100, RELEASE=0), generators(DECAY=0, SAMPLE=0)],
        generators(DECAY=1200, ATTENUATION=50),
    )
    # The local zone's 1 s, twice as long by the preset's 1200 time cents; 15 dB in the file are 6 dB heard.
    assert (zone.decay, zone.release) == (2.0, 1.0)
    assert 20 * np.log10(zone.gain) == pytest.approx(-6.0)


def test_ranges_of_preset_and_instrument_intersect(tmp_path: Path) -> None:
    zone = only_zone(
        tmp_path, [generators(KEYS=40 | 70 << 8, VELOCITIES=0 | 100 << 8, SAMPLE=0)], generators(KEYS=50 | 127 << 8)
    )
    assert (zone.keys, zone.velocities) == ((50, 70), (0, 100))


def test_key_and_velocity_choose_the_zones_and_outer_keys_the_nearest(tmp_path: Path) -> None:
    soft = generators(KEYS=40 | 70 << 8, VELOCITIES=0 | 63 << 8, ROOT=50, SAMPLE=0)
    strong = generators(KEYS=40 | 70 << 8, VELOCITIES=64 | 127 << 8, ROOT=51, SAMPLE=0)
    high = generators(KEYS=71 | 90 << 8, ROOT=52, SAMPLE=0)
    font = make_font(tmp_path / "font.sf2", [generators(INSTRUMENT=0)], [soft, strong, high])
    sampler = Sampler(font, RATE)

    def roots(pitch: int, velocity: int) -> list[float]:
        return [zone.root for zone in sampler.playing_zones(5, False, pitch, velocity)]

    assert (roots(40, 63), roots(40, 64), roots(70, 127), roots(71, 1)) == ([50.0], [51.0], [51.0], [52.0])
    assert (roots(21, 10), roots(108, 10)) == ([50.0], [52.0])


def test_a_looped_recording_sounds_on_in_tune(tmp_path: Path) -> None:
    zone = only_zone(tmp_path, [generators(ROOT=60, MODES=1, SAMPLE=0)])
    font = sound_font.Font(tmp_path / "font.sf2")
    for pitch in (48, 60, 67):
        sound = sounded(font, zone, pitch, 2 * RATE, RATE)
        hertz = 200 * 2 ** ((pitch - 60) / 12)
        # The loop holds whole cycles, so the sine goes on for 2 s though 0.05 s are recorded. Cubic interpolation of
        # 40 samples a cycle errs by less than a thousandth; the attack takes 1 ms.
        expected = 0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)
        assert np.abs(sound - expected)[40:].max() < 2e-3


def test_a_recording_without_loop_ends(tmp_path: Path) -> None:
    zone = only_zone(tmp_path, [generators(ROOT=60, SAMPLE=0)])
    sound = sounded(sound_font.Font(tmp_path / "font.sf2"), zone, 72, RATE, RATE)
    # 400 samples at twice the speed.
    assert np.flatnonzero(sound).max() == pytest.approx(199, abs=2)


def test_the_envelope_has_the_times_of_the_file(tmp_path: Path) -> None:
    # Attack 0.25 s, hold 0.5 s, decay 100 dB in 4 s, sustain at -20 dB.
    zone = only_zone(
        tmp_path, [generators(ROOT=60, MODES=1, ATTACK=-2400, HOLD=-1200, DECAY=2400, SUSTAIN=200, SAMPLE=0)]
    )
    sound = sounded(sound_font.Font(tmp_path / "font.sf2"), zone, 60, 3 * RATE, RATE)
    amplitude = np.abs(sound).reshape(-1, CYCLE).max(axis=1) / 0.5
    seconds = (np.arange(len(amplitude)) + 0.5) * CYCLE / RATE

    def at(moment: float) -> float:
        return float(amplitude[np.abs(seconds - moment).argmin()])

    # One cycle is 5 ms, in which the attack rises by 2 % and the decay falls by 1.4 %.
    assert at(0.125) == pytest.approx(0.5, abs=0.02)
    assert at(0.5) == pytest.approx(1.0, abs=0.02)
    assert 20 * np.log10(at(0.75 + 0.4)) == pytest.approx(-10, abs=0.2)
    assert 20 * np.log10(at(2.5)) == pytest.approx(-20, abs=0.1)


def test_the_filter_takes_highs_away(tmp_path: Path) -> None:
    # 7000 cents above 8.176 Hz are 466 Hz; two octaves above it, 1600 Hz fall by 24 dB.
    zone = only_zone(tmp_path, [generators(ROOT=60, MODES=1, CUTOFF=7000, SAMPLE=0)])
    assert zone.cutoff == pytest.approx(466, rel=0.001)
    sound = sounded(sound_font.Font(tmp_path / "font.sf2"), zone, 60 + 36, RATE, RATE)
    assert 20 * np.log10(np.abs(sound[RATE // 2 :]).max() / 0.5) == pytest.approx(-22, abs=2)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    make_font(tmp_path / "font.sf2", [generators(INSTRUMENT=0)], [generators(SAMPLE=0)])
    font = sound_font.Font(tmp_path / "font.sf2")
    with pytest.raises(UserError, match="has no program 4; choose one with all"):
        font.zones(4, drums=False)
    with pytest.raises(UserError, match="has no drum kit"):
        font.zones(0, drums=True)


def test_a_sound_font_is_described() -> None:
    found = sound_font.find(sound_font.bundled())
    assert (found.name, found.licence) == ("TimGM6mb.sf2", "GPL-2.0-or-later")
    assert len(found.sha256) == 64


def test_what_is_no_sound_font_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; name an \.sf2 file"):
        sound_font.find(tmp_path / "missing.sf2")
    (tmp_path / "song.sf2").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(UserError, match="not in SoundFont 2 format"):
        sound_font.find(tmp_path / "song.sf2")
