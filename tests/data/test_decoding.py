"""Decoded samples are those that ffmpeg (or the encoder's own decoder) finds in files of many encoders.

Also of files that are not as they should be: headers that were never finished, tags in odd places, several files in
one. What cannot be decoded right is refused, by `header` as well where nothing need be decoded for that.
"""

import os
import shlex
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from src.data.audio import AudioFile, UnreadableAudio, Window, decode, header

WHOLE = Window(start=0.0, duration=None, sample_rate=None)


@pytest.fixture(scope="session")
def audio_programs():
    """Requested by every test that runs ffmpeg, lame, sox, opusenc, oggenc, oggdec or flac; see tests/needs.py."""


def run(command: str, stdin: bytes | None = None, **values: object) -> bytes:
    """Standard output of a program; `{name}` in the command is a value."""
    words = [word.format(**values) for word in shlex.split(command)]
    done = subprocess.run(words, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def noise(seconds: float, rate: int, channels: int) -> np.ndarray:
    """Noise that falls off with frequency, under a rising tone; the second channel is quieter."""
    count = round(seconds * rate)
    white = np.random.default_rng(rate + channels).standard_normal((count, channels))
    brown = np.zeros_like(white)
    for i in range(32):
        brown[i:] += white[: count - i] * 0.8**i
    t = np.arange(count)[:, None] / rate
    return (0.06 * brown + 0.2 * np.sin(2 * np.pi * (200 + 150 * t) * t)) / np.arange(1, channels + 1)


@pytest.fixture(scope="session")
def make(audio_programs, tmp_path_factory):
    """`make(command, suffix, rate, channels, seconds=)`: what a program made of the same noise, once for all tests."""
    folder, made = tmp_path_factory.mktemp("made"), {}

    def source(rate: int, channels: int, seconds: float) -> Path:
        path = folder / f"{rate}-{channels}-{seconds}.wav"
        if not path.exists():
            soundfile.write(path, noise(seconds, rate, channels), rate, subtype="PCM_16")
        return path

    def of(command: str, suffix: str, rate: int, channels: int, seconds: float = 3.0) -> Path:
        key = command, suffix, rate, channels, seconds
        if key not in made:
            wav, out = source(rate, channels, seconds), folder / f"{len(made)}{suffix}"
            output = run(command, stdin=wav.read_bytes() if "{wav}" not in command else None, wav=wav, out=out)
            if "{out}" not in command:
                out.write_bytes(output)
            made[key] = out
        return made[key]

    return of


def by_ffmpeg(path: Path, channels: int) -> np.ndarray:
    content = run("ffmpeg -v quiet -i {path} -f f32le -", path=path)
    return np.frombuffer(content, np.float32).reshape(-1, channels).T


def decoded(path: Path) -> np.ndarray:
    waveform, facts = decode(path, WHOLE)
    assert facts.file_duration == facts.duration == waveform.duration == header(path).seconds
    return waveform.samples


# What decoders' arithmetic differs by: rounding of single precision (MPEG, Vorbis), of integers (layer II in ffmpeg).
MPEG, LAYER_II, VORBIS = 4e-6, 1e-4, 2e-6

MADE = {
    "lame -b 64": ("lame --quiet -b 64 {wav} {out}", ".mp3", 8000, 1, MPEG),
    "lame -b 128": ("lame --quiet -b 128 {wav} {out}", ".mp3", 44100, 2, MPEG),
    "lame -b 320": ("lame --quiet -b 320 {wav} {out}", ".mp3", 48000, 2, MPEG),
    "lame -b 8": ("lame --quiet -b 8 {wav} {out}", ".mp3", 11025, 1, MPEG),
    "lame -V2": ("lame --quiet -V2 {wav} {out}", ".mp3", 32000, 2, MPEG),
    "lame -V9": ("lame --quiet -V9 {wav} {out}", ".mp3", 44100, 2, MPEG),
    "lame without Xing": ("lame --quiet -V4 -t {wav} {out}", ".mp3", 44100, 1, MPEG),
    "lame without Info": ("lame --quiet -b 96 -t {wav} {out}", ".mp3", 22050, 2, MPEG),
    "lame with checksums": ("lame --quiet -p --abr 100 {wav} {out}", ".mp3", 16000, 2, MPEG),
    "lame with tags": ("lame --quiet --tt Title --add-id3v2 --id3v1-only {wav} {out}", ".mp3", 12000, 1, MPEG),
    "ffmpeg mp3": ("ffmpeg -v error -i {wav} -b:a 64k {out}", ".mp3", 16000, 1, MPEG),
    "ffmpeg vbr": ("ffmpeg -v error -i {wav} -q:a 5 {out}", ".mp3", 44100, 2, MPEG),
    "sox mp3": ("sox {wav} -C 128 {out}", ".mp3", 44100, 1, MPEG),
    "layer II": ("ffmpeg -v error -i {wav} -c:a mp2 -f mp2 {out}", ".mp3", 44100, 2, LAYER_II),
    "layer II, low rate": ("ffmpeg -v error -i {wav} -c:a mp2 -b:a 32k -f mp2 {out}", ".mp3", 22050, 1, LAYER_II),
    "mp3 in wav": ("ffmpeg -v error -i {wav} -c:a libmp3lame -b:a 64k {out}", ".wav", 22050, 2, MPEG),
    "vbr mp3 in wav": ("ffmpeg -v error -i {wav} -c:a libmp3lame -q:a 4 {out}", ".wav", 44100, 1, MPEG),
    "layer II in wav": ("ffmpeg -v error -i {wav} -c:a mp2 {out}", ".wav", 44100, 1, LAYER_II),
    "wav 8": ("sox {wav} -b 8 {out}", ".wav", 8000, 2, 0),
    "wav 16": ("sox {wav} -b 16 {out}", ".wav", 44100, 2, 0),
    "wav 24, extensible": ("sox {wav} -b 24 {out}", ".wav", 96000, 1, 0),
    "wav 32": ("sox {wav} -b 32 {out}", ".wav", 22050, 3, 0),
    "wav float": ("sox {wav} -b 32 -e float {out}", ".wav", 44100, 2, 0),
    "wav double": ("sox {wav} -b 64 -e float {out}", ".wav", 44100, 1, 0),
    "wav a-law": ("sox {wav} -e a-law {out}", ".wav", 8000, 1, 0),
    "wav u-law": ("sox {wav} -e u-law {out}", ".wav", 8000, 1, 0),
    "wav gsm": ("sox {wav} -e gsm {out}", ".wav", 8000, 1, 0),
    "wav to a pipe": ("sox -t raw -r 8000 -b 16 -e signed -c 1 - -t wav -", ".wav", 8000, 1, 0),
    "wav to a pipe by ffmpeg": ("ffmpeg -v error -i - -f wav -", ".wav", 8000, 1, 0),
    "wav to a pipe by lame": ("lame --quiet --decode {mp3} -", ".wav", 44100, 1, 0),
    "w64": ("sox {wav} {out}", ".w64", 22050, 2, 0),
    "rf64": ("ffmpeg -v error -i {wav} -rf64 always {out}", ".wav", 22050, 2, 0),
    "aiff 16": ("sox {wav} {out}", ".aiff", 44100, 2, 0),
    "aiff 24": ("sox {wav} -b 24 {out}", ".aif", 8000, 1, 0),
    "aifc float": ("sox {wav} -e float {out}", ".aifc", 22050, 2, 0),
    "aifc little-endian": ("ffmpeg -v error -i {wav} -c:a pcm_s16le {out}", ".aifc", 22050, 2, 0),
    "aiff to a pipe": ("sox -t raw -r 8000 -b 16 -e signed -c 1 - -t aiff -", ".aiff", 8000, 1, 0),
    "au 16": ("sox {wav} {out}", ".au", 22050, 2, 0),
    "au u-law": ("sox {wav} -e u-law {out}", ".snd", 8000, 1, 0),
    "au to a pipe": ("ffmpeg -v error -i - -f au -", ".au", 8000, 2, 0),
    "flac 16": ("flac -s {wav} -o {out}", ".flac", 44100, 2, 0),
    "flac 24": ("sox {wav} -b 24 {out}", ".flac", 48000, 1, 0),
    "flac to a pipe": ("flac -s -c -", ".flac", 8000, 1, 0),
    "flac to a pipe by ffmpeg": ("ffmpeg -v error -i - -f flac -", ".flac", 44100, 2, 0),
    "ogg flac": ("flac -s --ogg {wav} -o {out}", ".oga", 44100, 2, 0),
    "ogg flac by ffmpeg": ("ffmpeg -v error -i {wav} -c:a flac {out}", ".oga", 16000, 1, 0),
    "oggenc": ("oggenc -Q {wav} -o {out}", ".ogg", 44100, 2, VORBIS),
    "oggenc -q 9": ("oggenc -Q -q 9 {wav} -o {out}", ".ogg", 22050, 1, VORBIS),
    "sox ogg": ("sox {wav} {out}", ".ogg", 32000, 2, VORBIS),
    "ffmpeg vorbis": ("ffmpeg -v error -i {wav} -c:a libvorbis {out}", ".ogg", 48000, 2, VORBIS),
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_samples_are_those_that_ffmpeg_finds(make, kind):
    command, suffix, rate, channels, tolerance = MADE[kind]
    if "{mp3}" in command:
        command = command.replace("{mp3}", str(make("lame --quiet {wav} {out}", ".mp3", rate, channels)))
    path = make(command, suffix, rate, channels)
    expected, found = by_ffmpeg(path, channels), decoded(path)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", ["lame -V2", "lame -V9", "ffmpeg vbr", "wav 24, extensible", "flac 16", "oggenc"])
def test_samples_are_the_bits_that_libsndfile_finds_where_it_is_right(make, kind):
    """So that features of files that were always read right do not change."""
    command, suffix, rate, channels, _ = MADE[kind]
    path = make(command, suffix, rate, channels)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(decoded(path), expected.T)


def test_a_big_endian_wav_file_holds_the_same_samples(make):
    """RIFX, which ffmpeg reads as if it were little-endian."""
    one, other = (make(f"sox {{wav}} {order} {{out}}", ".wav", 8000, 2) for order in ("-B", "-L"))
    assert one.read_bytes()[:4] == b"RIFX"
    np.testing.assert_array_equal(decoded(one), decoded(other))


@pytest.mark.parametrize("encoding", ["ima-adpcm", "ms-adpcm"])
def test_adpcm_is_what_its_encoder_makes_of_it(make, encoding):
    """Decoders of ADPCM round differently, ffmpeg's by up to 0.02 from that of sox, which made the file."""
    path = make(f"sox {{wav}} -e {encoding} {{out}}", ".wav", 22050, 2)
    expected = np.frombuffer(run("sox {path} -t f32 -", path=path), np.float32).reshape(-1, 2).T
    np.testing.assert_array_equal(decoded(path), expected)
    assert by_ffmpeg(path, 2).shape == expected.shape


def test_an_mp3_of_24_khz_is_what_lame_makes_of_it(make):
    """ffmpeg's table of scale factor bands at this rate is another one than that of LAME, whose file it is."""
    path = make("lame --quiet -b 160 {wav} {out}", ".mp3", 24000, 1)
    wav = run("lame --quiet --decode {path} -", path=path)
    expected = np.frombuffer(wav[44:], "<i2") / 32768
    np.testing.assert_allclose(decoded(path)[0], expected, rtol=0, atol=1 / 32768)


@pytest.mark.parametrize(("seconds", "rate"), [(0.1, 44100), (1.7, 44100), (3.0, 8000)])
def test_short_vorbis_files_are_read_to_their_last_sample(make, seconds, rate):
    """Of a file of one page, ffmpeg leaves out some at the beginning."""
    path = make("oggenc -Q {wav} -o {out}", ".ogg", rate, 1, seconds)
    expected = np.frombuffer(run("oggdec -Q -R -o - {path}", path=path), "<i2") / 32768
    found = decoded(path)[0]
    assert len(found) == round(seconds * rate)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 32768)


@pytest.mark.parametrize(
    ("command", "rate", "channels"),
    [("opusenc --quiet {wav} {out}", 48000, 2), ("opusenc --quiet --bitrate 24 {wav} {out}", 48000, 1),
     ("opusenc --quiet {wav} {out}", 44100, 2), ("ffmpeg -v error -i {wav} -c:a libopus {out}", 48000, 2)],
)  # fmt: skip
def test_opus_without_what_the_encoder_put_in_front(make, command, rate, channels):
    """By libopus in ffmpeg too: its own decoder (5.1) is off by 0.2 in speech at low rates."""
    path = make(command, ".opus", rate, channels)
    content = run("ffmpeg -v quiet -c:a libopus -i {path} -f f32le -", path=path)
    expected, found = np.frombuffer(content, np.float32).reshape(-1, channels).T, decoded(path)
    assert found.shape == expected.shape == (channels, 3 * 48000)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1 / 32768)


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000])
def test_opus_of_a_low_rate_keeps_it(make, rate):
    """Decoded at the rate of what was encoded, it is as near to that as when ffmpeg resamples it from 48 kHz."""
    path = make("opusenc --quiet {wav} {out}", ".opus", rate, 1)
    original, found = noise(3.0, rate, 1)[:, 0], decoded(path)[0]
    assert header(path).sample_rate == rate
    assert len(found) == len(original)
    content = run("ffmpeg -v quiet -c:a libopus -i {path} -f f32le -ar {rate} -", path=path, rate=rate)
    resampled = np.frombuffer(content, np.float32)
    assert np.corrcoef(found, original)[0, 1] > np.corrcoef(resampled, original)[0, 1] - 0.001


def mp3_frames(content: bytes) -> list[bytes]:
    """The frames of an MPEG-1 layer III stream that begins at once; the first one may be a Xing or Info header."""
    kbit = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    frames, at = [], 0
    while at + 4 <= len(content):
        head = int.from_bytes(content[at : at + 4], "big")
        assert head >> 21 == 0x7FF
        length = 144_000 * kbit[head >> 12 & 15] // (44100, 48000, 32000)[head >> 10 & 3] + (head >> 9 & 1)
        frames.append(content[at : at + length])
        at += length
    return frames


def id3(size: int, fill: bytes = b"\0") -> bytes:
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + (fill * size)[:size]


def ape(size: int) -> bytes:
    """A tag with a header, random content and a footer, as players write it with a picture."""
    art = np.random.default_rng(0).bytes(size)

    def end(flags):
        return b"APETAGEX" + struct.pack("<IIII", 2000, size + 32, 1, flags) + bytes(8)

    return end(0xA0000000) + art + end(0x80000000)


def vbri(content: bytes) -> bytes:
    """The same frames behind a header as the Fraunhofer encoder writes it."""
    first, *frames = mp3_frames(content)
    count = struct.pack(">4sHHHII", b"VBRI", 1, 0, 50, len(content), len(frames))
    return (first[:4] + bytes(32) + count).ljust(len(first), b"\0") + b"".join(frames)


@pytest.fixture
def cbr(make) -> bytes:
    """Constant bit rate with an Info header."""
    return make("lame --quiet -b 64 {wav} {out}", ".mp3", 44100, 1).read_bytes()


@pytest.fixture
def vbr(make) -> bytes:
    """Variable bit rate with a Xing header."""
    return make("lame --quiet -V5 {wav} {out}", ".mp3", 44100, 1).read_bytes()


def without_header(content: bytes) -> bytes:
    return b"".join(mp3_frames(content)[1:])


STRANGE_MP3 = {
    "two ID3 tags": lambda cbr, vbr: id3(300) + id3(5000, b"art") + without_header(vbr),
    "zeros behind the tag": lambda cbr, vbr: id3(300) + bytes(5000) + without_header(vbr),
    "junk in front": lambda cbr, vbr: np.random.default_rng(1).bytes(2000) + without_header(cbr),
    "APE art behind": lambda cbr, vbr: without_header(cbr) + ape(50_000),
    "APE art and ID3v1 behind": lambda cbr, vbr: without_header(vbr) + ape(50_000) + b"TAG" + bytes(125),
    "ID3v1 behind": lambda cbr, vbr: vbr + b"TAG" + bytes(125),
    "zeros behind": lambda cbr, vbr: without_header(cbr) + bytes(10_000),
    "joined": lambda cbr, vbr: vbr + vbr,
    "VBRI": lambda cbr, vbr: vbri(vbr),
    "joined, of other rates": lambda cbr, vbr: vbr + cbr,
    "joined, without headers": lambda cbr, vbr: without_header(vbr) + without_header(cbr),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE_MP3)
def test_mp3_files_with_more_than_frames_in_them(cbr, vbr, tmp_path, kind):
    path = tmp_path / "a.mp3"
    path.write_bytes(STRANGE_MP3[kind](cbr, vbr))
    expected, found = by_ffmpeg(path, 1), decoded(path)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=MPEG)


def without_count(content: bytes) -> bytes:
    """The Xing frame without the number of frames: flag and field."""
    at, length = content.find(b"Xing"), len(mp3_frames(content)[0])
    return content[: at + 4] + b"\0\0\0\x0e" + content[at + 12 : length] + bytes(4) + content[length:]


# Where ffmpeg takes the header for sound, or loses the frame beside a tag.
TAGGED_MP3 = {
    "zeros before Xing": lambda cbr, vbr: (bytes(3000) + vbr, vbr),
    "text in front of Info": lambda cbr, vbr: (b"HTTP/1.0 200 OK\r\n\r\n" + cbr, cbr),
    "a tag like frames": lambda cbr, vbr: (id3(99) + id3(5000, b"\xff\xfb\x90") + vbr, vbr),
    "APE art behind Xing": lambda cbr, vbr: (vbr + ape(50_000), vbr),
    "joined, with tags": lambda cbr, vbr: (id3(99) + vbr + b"TAG" + bytes(125) + id3(500) + cbr + ape(99), vbr + cbr),
    "no count": lambda cbr, vbr: (without_count(vbr), vbr),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAGGED_MP3)
def test_tags_change_no_sample(cbr, vbr, tmp_path, kind):
    for path, content in zip((tmp_path / "a.mp3", tmp_path / "b.mp3"), TAGGED_MP3[kind](cbr, vbr), strict=True):
        path.write_bytes(content)
    np.testing.assert_array_equal(decoded(tmp_path / "a.mp3"), decoded(tmp_path / "b.mp3"))


def test_a_count_that_is_too_small_takes_nothing_away(vbr, tmp_path):
    """ffmpeg drops the padding where the count says that the sound ends: in its middle."""
    path = tmp_path / "a.mp3"
    at = vbr.find(b"Xing") + 8
    path.write_bytes(vbr)
    expected = by_ffmpeg(path, 1)
    count = int.from_bytes(vbr[at : at + 4], "big")
    path.write_bytes(vbr[:at] + (count // 2).to_bytes(4, "big") + vbr[at + 4 :])
    np.testing.assert_allclose(decoded(path), expected, rtol=0, atol=MPEG)


def test_a_stream_cut_out_of_another_one_begins_with_what_can_be_decoded(cbr, tmp_path, capfd):
    """Its first frames refer to bytes that are gone; from then on nothing differs."""
    path = tmp_path / "a.mp3"
    frames = mp3_frames(cbr)
    path.write_bytes(b"".join(frames[21:]))
    whole, part = tmp_path / "whole.mp3", decoded(path)
    whole.write_bytes(b"".join(frames[1:]))
    assert part.shape[1] == 1152 * len(frames[21:])
    np.testing.assert_allclose(part[:, 6 * 1152 :], decoded(whole)[:, 26 * 1152 :], rtol=0, atol=MPEG)
    assert capfd.readouterr().err == ""  # the decoder of libsndfile complains there


CUT = "truncated"
BROKEN_MP3 = {
    "Info, cut at 40 %": (lambda cbr, vbr: cbr[: len(cbr) * 2 // 5], CUT),
    "Xing, cut at 40 %": (lambda cbr, vbr: vbr[: len(vbr) * 2 // 5], CUT),
    "Info, its last frame missing": (lambda cbr, vbr: b"".join(mp3_frames(cbr)[:-2]), CUT),
    "cut inside a frame": (lambda cbr, vbr: without_header(cbr)[:-100], CUT),
    "cut inside a frame, tagged": (lambda cbr, vbr: id3(64) + without_header(vbr)[:5000], CUT),
    "joined, the second one cut": (lambda cbr, vbr: vbr + vbr[:-100], CUT),
    "a hole": (lambda cbr, vbr: without_header(cbr)[:5000] + bytes(4096) + without_header(cbr)[9096:], "damaged"),
    "text inside": (lambda cbr, vbr: without_header(vbr)[:5000] + b"x" * 999 + without_header(vbr)[5000:], "damaged"),
    "no frames": (lambda cbr, vbr: id3(5000) + b"words " * 1000, "not readable as audio"),
    "only the header": (lambda cbr, vbr: mp3_frames(cbr)[0], "truncated|holds no samples|not readable"),
    "random": (lambda cbr, vbr: np.random.default_rng(0).bytes(300_000), "not readable as audio"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_MP3)
def test_broken_mp3_files_are_refused_with_the_reason(cbr, vbr, tmp_path, kind):
    content, reason = BROKEN_MP3[kind]
    (tmp_path / "a.mp3").write_bytes(content(cbr, vbr))
    refused(tmp_path / "a.mp3", reason)


def refused(path: Path, reason: str, way_out: str = "") -> None:
    """Both by what decodes and by what only looks."""
    for look in (lambda: decode(path, WHOLE), lambda: decode(path, Window(0.0, 0.1, None)), lambda: header(path)):
        with pytest.raises(UnreadableAudio, match=reason) as caught:
            look()
        assert str(caught.value).startswith(str(path))
        assert way_out in str(caught.value)


@pytest.mark.parametrize(
    ("command", "rate", "channels", "what"),
    [("-b 64", 22050, 1, "44100 to 22050 Hz"), ("-b 64", 48000, 1, "44100 to 48000 Hz"),
     ("-b 128", 44100, 2, "1 to 2 channels")],
)  # fmt: skip
def test_a_stream_that_changes_is_refused_as_what_it_is(make, cbr, tmp_path, command, rate, channels, what):
    other = make(f"lame --quiet {command} {{wav}} {{out}}", ".mp3", rate, channels).read_bytes()
    (tmp_path / "a.mp3").write_bytes(cbr + other)
    refused(tmp_path / "a.mp3", f"changes from {what}", "ffmpeg -i")


def test_the_free_format_is_refused_as_what_it_is(make):
    refused(make("lame --quiet --freeformat -b 200 {wav} {out}", ".mp3", 44100, 2), "free format", "lame --decode")


CHAINS = {
    "vorbis": ("oggenc -Q {wav} -o {out}", ".ogg", 44100, 1),
    "vorbis by ffmpeg": ("ffmpeg -v error -i {wav} -c:a libvorbis {out}", ".ogg", 44100, 2),
    "opus": ("opusenc --quiet {wav} {out}", ".opus", 48000, 2),
    "flac": ("flac -s --ogg {wav} -o {out}", ".oga", 44100, 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHAINS)
def test_chained_ogg_files_are_read_whole(make, tmp_path, kind):
    command, suffix, rate, channels = CHAINS[kind]
    one, other = (make(command, suffix, rate, channels, seconds) for seconds in (3.0, 2.0))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(one.read_bytes() + other.read_bytes() + one.read_bytes())
    parts = [decoded(one), decoded(other), decoded(one)]
    found = decoded(path)
    np.testing.assert_array_equal(found, np.concatenate(parts, axis=1))
    across = Window(2.9, 0.2, None)
    np.testing.assert_array_equal(
        decode(path, across)[0].samples, found[:, round(2.9 * rate) :][:, : round(0.2 * rate)]
    )


def test_a_chain_of_two_rates_is_refused(make, tmp_path):
    one, other = (make("oggenc -Q {wav} -o {out}", ".ogg", rate, 1) for rate in (44100, 22050))
    (tmp_path / "a.ogg").write_bytes(one.read_bytes() + other.read_bytes())
    refused(tmp_path / "a.ogg", "changes from 44100 Hz .* to 22050 Hz", "ffmpeg -i")


def ogg_pages(content: bytes) -> list[bytes]:
    pages = content.split(b"OggS")[1:]
    assert b"OggS".join([b"", *pages]) == content
    return [b"OggS" + page for page in pages]


@pytest.mark.parametrize("kind", ["vorbis", "opus", "flac"])
@pytest.mark.parametrize("damage", ["inside a page", "between pages", "page missing", "first of two"])
def test_ogg_files_that_are_not_whole_are_refused(make, tmp_path, kind, damage):
    command, suffix, rate, channels = CHAINS[kind]
    content = make(command, suffix, rate, channels).read_bytes()
    pages = ogg_pages(content)
    assert len(pages) > 4
    broken = {
        "inside a page": content[:-50],
        "between pages": b"".join(pages[:-1]),
        "page missing": b"".join(pages[:-2] + pages[-1:]),
        "first of two": b"".join(pages[:-1]) + content,
    }
    (tmp_path / f"a{suffix}").write_bytes(broken[damage])
    refused(tmp_path / f"a{suffix}", "damaged" if damage == "page missing" else "truncated", "ffmpeg -i")


def test_ogg_beside_other_streams_and_tags(make, tmp_path):
    """A video's sound; and a tag that does not belong to Ogg behind the last page."""
    sound = make("oggenc -Q {wav} -o {out}", ".ogg", 44100, 2)
    path = tmp_path / "a.ogg"
    run("ffmpeg -v error -f lavfi -i testsrc=d=3:s=32x32:r=5 -i {sound} -c:a copy -c:v libtheora -f ogg {path}",
        sound=sound, path=path)  # fmt: skip
    np.testing.assert_array_equal(decoded(path), decoded(sound))
    path.write_bytes(sound.read_bytes() + b"TAG" + bytes(125))
    np.testing.assert_array_equal(decoded(path), decoded(sound))


def test_speex_is_refused_with_the_way_out(make):
    path = make("ffmpeg -v error -i {wav} -c:a libspeex -f ogg {out}", ".ogg", 16000, 1)
    refused(path, "not readable as audio", "ffmpeg -i")


def wav(
    samples: bytes, *, size: int | None = None, riff: int | None = None, rate: int = 8000, before: bytes = b""
) -> bytes:
    """A 16-bit mono file whose header may say something else."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples) if size is None else size)
    body = b"WAVE" + form + before + data + samples
    return struct.pack("<4sI", b"RIFF", len(body) if riff is None else riff) + body


def aiff(samples: bytes, *, size: int | None = None, frames: int | None = None, swapped: bool = False) -> bytes:
    rate = bytes.fromhex("400bfa00000000000000")  # 8000 as an 80-bit float
    common = struct.pack(">4sIhIh", b"COMM", 18, 1, len(samples) // 2 if frames is None else frames, 16) + rate
    sound = struct.pack(">4sIII", b"SSND", len(samples) + 8 if size is None else size, 0, 0) + samples
    body = b"AIFF" + (sound + common if swapped else common + sound)
    return struct.pack(">4sI", b"FORM", len(body)) + body


def au(samples: bytes, size: int) -> bytes:
    return struct.pack(">4sIIIII", b".snd", 24, size, 3, 8000, 1) + samples


def w64(samples: bytes, size: int | None = None) -> bytes:
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    form = b"fmt " + tail + struct.pack("<QHHIIHH", 40, 1, 1, 8000, 16000, 2, 16)
    data = b"data" + tail + struct.pack("<Q", 24 + len(samples) if size is None else size) + samples
    start = bytes.fromhex("726966662e91cf11a5d628db04c10000")
    return start + struct.pack("<Q", 40 + len(form) + len(data)) + b"wave" + tail + form + data


def rf64(samples: bytes, size: int | None = None) -> bytes:
    wide = struct.pack("<4sIQQQI", b"ds64", 28, 0, len(samples) if size is None else size, 0, 0)
    plain = wav(samples, size=0xFFFFFFFF, riff=0xFFFFFFFF)
    return b"RF64" + plain[4:12] + wide + plain[12:]


RAMP = np.arange(-4000, 4000, dtype="<i2")
LE, BE = RAMP.tobytes(), RAMP.byteswap().tobytes()
NOTE = struct.pack("<4sI4s4sI", b"LIST", 18, b"INFO", b"ICMT", 5) + b"note\0\0"

UNFINISHED = {
    "wav of 0 bytes": ("a.wav", wav(LE, size=0, riff=0)),
    "wav of 0 bytes, riff size right": ("a.wav", wav(LE, size=0)),
    "wav of 0 bytes that begin silent": ("a.wav", wav(bytes(8000) + LE, size=0)),
    "wav of 2**32 - 1": ("a.wav", wav(LE, size=0xFFFFFFFF, riff=0xFFFFFFFF)),
    "wav of 2**31 - 1": ("a.wav", wav(LE, size=0x7FFFFFFF, riff=0x7FFFFFFF)),
    "wav of 2**31": ("a.wav", wav(LE, size=0x80000000, riff=0x80000024)),
    "wav of sox": ("a.wav", wav(LE, size=0x7FFFF000, riff=0x7FFFF024)),
    "rf64 of 0": ("a.wav", rf64(LE, 0)),
    "rf64 of -1": ("a.wav", rf64(LE, 2**64 - 1)),
    "w64 of 0": ("a.w64", w64(LE, 24)),
    "w64 of 2**63 - 1": ("a.w64", w64(LE, 2**63 - 1)),
    "aiff of 0": ("a.aiff", aiff(BE, size=0, frames=0)),
    "aiff of 2**32 - 1": ("a.aiff", aiff(BE, size=0xFFFFFFFF, frames=0)),
    "aiff of sox": ("a.aiff", aiff(BE, size=0x7F000008, frames=0x3F800000)),
    "au of 0": ("a.au", au(BE, 0)),
    "au of 2**31 - 1": ("a.au", au(BE, 0x7FFFFFFF)),
    "au of 2**32 - 1": ("a.snd", au(BE, 0xFFFFFFFF)),
    "ID3 in front of wav": ("a.wav", id3(1000) + wav(LE)),
    "ID3 in front of aiff": ("a.aiff", id3(1000) + aiff(BE)),
    "a chunk before the samples": ("a.wav", wav(LE, before=NOTE)),
    "a chunk of odd size": ("a.wav", wav(LE, before=b"odd \5\0\0\0hello\0")),
    "a chunk that is broken inside": ("a.wav", wav(LE, before=b"LIST\x0a\0\0\0INFOxxxxxx")),
    "a chunk behind the samples": ("a.wav", wav(LE) + NOTE),
    "junk behind the samples": ("a.wav", wav(LE) + b"\1\2\3" * 99),
    "samples before their description": ("a.aiff", aiff(BE, swapped=True)),
    "an odd byte at the end": ("a.wav", wav(LE + b"x", size=0)),
    "half a sample promised": ("a.wav", wav(LE + b"x")),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNFINISHED)
def test_headers_without_a_length_and_with_other_chunks(tmp_path, kind):
    name, content = UNFINISHED[kind]
    (tmp_path / name).write_bytes(content)
    silence = 4000 if "silent" in kind else 0
    np.testing.assert_array_equal(decoded(tmp_path / name)[0, silence:] * 32768, RAMP)


def test_flac_behind_and_before_tags(make, tmp_path):
    for command in ("flac -s {wav} -o {out}", "ffmpeg -v error -i {wav} {out}"):
        flac = make(command, ".flac", 44100, 2)
        (tmp_path / "a.flac").write_bytes(id3(500) + flac.read_bytes() + b"TAG" + bytes(125))
        np.testing.assert_array_equal(decoded(tmp_path / "a.flac"), decoded(flac))


@pytest.mark.parametrize("share", [0.3, 0.97])
@pytest.mark.parametrize("command", ["flac -s {wav} -o {out}", "flac -s -c -", "ffmpeg -v error -i - -f flac -"])
def test_flac_files_cut_off_are_refused(make, tmp_path, command, share):
    content = make(command, ".flac", 44100, 2).read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: int(share * len(content))])
    refused(tmp_path / "a.flac", "truncated", "ffmpeg -i")


def test_a_damaged_flac_file_is_refused(make, tmp_path):
    content = bytearray(make("flac -s {wav} -o {out}", ".flac", 44100, 2).read_bytes())
    content[len(content) // 2] ^= 0x55
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(UnreadableAudio, match=r"a\.flac: truncated or damaged.*ffmpeg -i"):
        decode(tmp_path / "a.flac", WHOLE)


REFUSED = {
    "wav, cut": ("a.wav", wav(LE)[:8000], CUT),
    "wav, one byte short": ("a.wav", wav(LE)[:-1], CUT),
    "wav of 3 GB": ("a.wav", wav(LE, size=3_000_000_000), CUT),
    "wav, twice as long": ("a.wav", wav(LE, size=2 * len(LE)), CUT),
    "wav, cut in its header": ("a.wav", wav(LE)[:30], CUT),
    "wav, cut before its samples": ("a.wav", wav(LE)[:44], CUT),
    "wav, of zeros": ("a.wav", wav(LE)[:12] + bytes(10**6), "damaged"),
    "rf64, cut": ("a.wav", rf64(LE)[:8000], CUT),
    "w64, cut": ("a.w64", w64(LE)[:8000], CUT),
    "w64, of sox to a pipe": ("a.w64", w64(w64(LE, 23), 23), "damaged"),
    "aiff, cut": ("a.aiff", aiff(BE)[:8000], CUT),
    "aiff, cut in its header": ("a.aiff", aiff(BE)[:30], CUT),
    "au, cut": ("a.au", au(BE, len(BE))[:8000], CUT),
    "wav of nothing": ("a.wav", wav(b""), "holds no samples"),
    "wav of nothing, noted": ("a.wav", wav(b"") + NOTE, "holds no samples"),
    "wav of nothing, to a pipe": ("a.wav", wav(b"", size=0xFFFFFFFF), "holds no samples"),
    "aiff of nothing": ("a.aiff", aiff(b""), "holds no samples"),
    "au of nothing": ("a.au", au(b"", 0xFFFFFFFF), "holds no samples"),
    "1 GHz": ("a.wav", wav(LE, rate=10**9), "1000000000 Hz"),
    "2 MHz": ("a.wav", wav(LE, rate=2 * 10**6), "2000000 Hz"),
    "10 Hz": ("a.wav", wav(LE, rate=10), "10 Hz"),
    "0 Hz": ("a.wav", wav(LE, rate=0), r"a\.wav"),
    "web page": ("a.au", b"<!DOCTYPE HTML><html><title>404 Not Found</title>" + b"x" * 500, "web page"),
    "web page, indented": ("a.snd", b"\n  <html lang=en>" + b"x" * 500, "web page"),
    "git-lfs": ("a.au", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "words": ("a.snd", b"words " * 500, "not readable as audio"),
    "random": ("a.au", np.random.default_rng(3).bytes(20_000), "not readable as audio"),
    "mp4": ("a.mp3", b"\0\0\0\x20ftypM4A " + bytes(5000), "MPEG-4"),
    "webm": ("a.ogg", b"\x1aE\xdf\xa3" + bytes(5000), "WebM"),
    "avi": ("a.wav", b"RIFF\0\1\0\0AVI " + bytes(5000), "RIFF, but not WAV"),
    "zip": ("a.flac", b"PK\3\4" + bytes(5000), "ZIP"),
    "ogg without sound": ("a.ogg", b"OggS\0\2" + bytes(20) + b"\1\4abcd", "without Vorbis"),
    "one byte": ("a.wav", b"R", "not readable as audio"),
    "only a tag": ("a.mp3", id3(500), "not readable as audio"),
    "a tag that is cut": ("a.mp3", id3(500)[:100], "not readable as audio"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_and_why(tmp_path, kind):
    name, content, reason = REFUSED[kind]
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, reason)


def test_aac_is_not_taken_for_noise(make, tmp_path):
    aac = make("ffmpeg -v error -i {wav} -c:a aac -f adts {out}", ".aac", 44100, 2).read_bytes()
    for name in ("a.au", "a.snd", "a.mp3"):
        (tmp_path / name).write_bytes(aac)
        refused(tmp_path / name, "AAC", "ffmpeg -i")


@pytest.mark.parametrize("codec", ["g722 -ar 16000 -ac 1", "adpcm_swf"])
def test_encodings_that_are_not_decoded_are_named(make, codec):
    refused(
        make(f"ffmpeg -v error -i {{wav}} -c:a {codec} {{out}}", ".wav", 22050, 2), "WAV of the encoding", "ffmpeg -i"
    )


def test_more_than_32_bits_can_say(tmp_path):
    """A recorder that goes on behind 4 GB leaves the remainder in the header; all samples are there (sparse file)."""
    path, size = tmp_path / "a.wav", (1 << 32) + 16000
    path.write_bytes(wav(LE, size=size % (1 << 32)))
    with path.open("r+b") as file:
        file.truncate(44 + size)
    assert header(path).seconds == size / 16000
    np.testing.assert_array_equal(decode(path, Window(0.0, 1.0, None))[0].samples[0] * 32768, RAMP)
    assert decode(path, Window(size / 16000 - 1, None, None))[0].samples.shape == (1, 8000)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "broken.wav").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.wav"))
        for name in ("fifo", "zero", "folder", "broken", "socket"):
            refused(tmp_path / f"{name}.wav", "not readable as audio")


WINDOWED = ["lame -b 64", "lame -b 8", "lame -V2", "lame -V9", "lame without Xing", "lame with checksums",
            "ffmpeg vbr", "layer II", "vbr mp3 in wav", "wav 24, extensible", "wav gsm", "aiff 16", "flac 16",
            "flac to a pipe", "ogg flac", "oggenc -q 9", "sox ogg"]  # fmt: skip


@pytest.mark.parametrize("kind", WINDOWED)
def test_any_window_is_the_same_bits_of_the_whole(make, kind, capfd):
    command, suffix, source_rate, channels, _ = MADE[kind]
    path = make(command, suffix, source_rate, channels)
    whole, rng, rate = decoded(path), np.random.default_rng(0), header(path).sample_rate
    with AudioFile(path) as file:
        for _ in range(12):
            start, duration = rng.uniform(0, 2.9), rng.uniform(0.001, 0.5)
            first, count = round(start * rate), max(1, round(duration * rate))
            window = Window(first / rate, count / rate, None)
            expected = whole[:, first : first + count]
            np.testing.assert_array_equal(file.clip(window)[0].samples, expected)
            np.testing.assert_array_equal(decode(path, window)[0].samples, expected)
    assert capfd.readouterr().err == ""  # what a decoder complains of when it begins in the middle


@pytest.mark.parametrize(("rate", "quality"), [(8000, 0), (8000, 5), (44100, 9)])
def test_windows_of_vorbis_are_not_shifted(make, rate, quality):
    """libsndfile's own seeking is off by some hundred samples in these, and near the end of others."""
    path = make(f"oggenc -Q -q {quality} {{wav}} -o {{out}}", ".ogg", rate, 1, 10.0)
    whole = decoded(path)
    for first in (997, 5 * rate, len(whole[0]) - 300):
        found = decode(path, Window(first / rate, 0.25, None))[0].samples
        np.testing.assert_array_equal(found, whole[:, first : first + rate // 4])


@pytest.mark.parametrize("rate", [8000, 44100])
def test_windows_of_opus_are_the_same_bits_too(make, rate):
    path = make("opusenc --quiet --bitrate 16 {wav} {out}", ".opus", rate, 1)
    whole, rate = decoded(path), header(path).sample_rate
    for first in (100, rate, 2 * rate + 11):
        found = decode(path, Window(first / rate, 0.25, None))[0].samples
        np.testing.assert_array_equal(found, whole[:, first : first + rate // 4])


@pytest.mark.parametrize("options", ["-V2", "-b 128"])
def test_a_window_of_a_long_mp3_costs_no_more_than_the_window(make, tmp_path, options):
    """Three minutes: the frames of ten seconds again and again, whose first one needs nothing of an earlier one."""
    ten = make(f"lame --quiet {options} -t {{wav}} {{out}}", ".mp3", 44100, 2, 10.0).read_bytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(ten * 18)
    begun = time.perf_counter()
    whole = decode(path, WHOLE)[0].samples
    of_whole = time.perf_counter() - begun
    assert whole.shape[1] >= 180 * 44100
    begun = time.perf_counter()
    with AudioFile(path) as file:
        found = [file.clip(Window(float(second), 1.0, None))[0].samples for second in range(175, 5, -19)]
    of_windows = time.perf_counter() - begun
    for second, samples in zip(range(175, 5, -19), found, strict=True):
        np.testing.assert_array_equal(samples, whole[:, second * 44100 : (second + 1) * 44100])
    assert of_windows < of_whole / 2  # 9 of 180 seconds, and the search for the frames


def test_threads_may_decode_at_once(make):
    path = make("lame --quiet -V2 {wav} {out}", ".mp3", 32000, 2)
    expected, found = decoded(path), []
    threads = [threading.Thread(target=lambda: found.append(decoded(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(samples, expected) for samples in found)
    assert len(found) == 4
