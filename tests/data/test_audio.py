"""Decoding: what is heard, what is refused, and what is only noted."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from src.data.audio import EXTENSIONS, Header, UnreadableAudio, Window, decode, header
from src.errors import UserError

WHOLE = Window(start=0.0, duration=None, sample_rate=None)

# What writing costs: a step of the integers (libsndfile cuts, it does not round); lossy ones keep a steady tone to 2 %.
ENCODINGS = [
    pytest.param("a.wav", "PCM_16", 2**-15, id="wav16"),
    pytest.param("a.wav", "PCM_24", 2**-23, id="wav24"),
    pytest.param("a.wav", "PCM_U8", 2**-7, id="wav8"),
    pytest.param("a.wav", "FLOAT", 0, id="wavfloat"),
    pytest.param("a.WAV", "PCM_16", 2**-15, id="upper-case"),
    pytest.param("a.flac", "PCM_16", 2**-15, id="flac16"),
    pytest.param("a.flac", "PCM_24", 2**-23, id="flac24"),
    pytest.param("a.au", "PCM_16", 2**-15, id="au"),
    pytest.param("a.aiff", "PCM_16", 2**-15, id="aiff"),
    pytest.param("a.ogg", "VORBIS", 0.02, id="ogg"),
]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
@pytest.mark.parametrize(("name", "subtype", "tolerance"), ENCODINGS)
def test_every_format_rate_and_channel_count(tmp_path, tone, name, subtype, tolerance, rate, channels):
    sound = tone(400, 0.1, rate, channels=channels)
    soundfile.write(tmp_path / name, sound, rate, subtype=subtype)
    waveform, facts = decode(tmp_path / name, WHOLE)
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.shape == (channels, len(sound))
    assert (waveform.sample_rate, facts.sample_rate, facts.channels) == (rate, rate, channels)
    middle = slice(rate // 100, -(rate // 100))  # a lossy codec's first and last blocks ring
    assert np.abs(waveform.samples[:, middle] - sound.T[:, middle]).max() <= tolerance * 1.01


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_mp3(tmp_path, tone, rate, channels):
    sound = tone(400, 0.5, rate, channels=channels)
    soundfile.write(tmp_path / "a.mp3", sound, rate)
    waveform, facts = decode(tmp_path / "a.mp3", WHOLE)
    assert waveform.samples.shape == (channels, len(sound))
    assert facts.codec == "MP3/MPEG_LAYER_III"
    middle = slice(rate // 10, -(rate // 10))
    # The encoder's noise floor at its default quality, far below the tone's 0.5.
    assert np.abs(waveform.samples[:, middle] - sound.T[:, middle]).max() < 0.03


def test_opus_and_every_listed_extension_are_decoded(tmp_path, tone):
    soundfile.write(tmp_path / "a.opus", tone(400, 0.5, 48000), 48000, format="OGG", subtype="OPUS")
    assert decode(tmp_path / "a.opus", WHOLE)[0].samples.shape == (1, 24000)
    container = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".au": "AU", ".snd": "AU"}
    container |= dict.fromkeys((".ogg", ".oga"), "OGG") | dict.fromkeys((".aiff", ".aif", ".aifc"), "AIFF")
    assert set(container) | {".opus"} == set(EXTENSIONS)
    for extension, format_ in container.items():
        soundfile.write(tmp_path / f"b{extension}", tone(400, 0.2), 8000, format=format_)
        assert decode(tmp_path / f"b{extension}", WHOLE)[0].sample_rate == 8000


def test_integers_are_divided_by_their_full_scale(tmp_path):
    values = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", values, 8000)
    assert decode(tmp_path / "a.wav", WHOLE)[0].samples.tolist() == [[-1.0, -1 / 32768, 0.0, 1 / 32768, 32767 / 32768]]


def test_floats_beyond_full_scale_are_kept(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, 2.5, -3.0], np.float32), 8000, subtype="FLOAT")
    waveform, facts = decode(tmp_path / "a.wav", WHOLE)
    assert waveform.samples.tolist() == [[0.0, 2.5, -3.0]]
    assert facts.peak == 3.0


def test_window(tmp_path):
    ramp = np.arange(8000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", ramp, 8000)

    def heard(start, duration):
        return decode(tmp_path / "a.wav", Window(start, duration, None))[0].samples[0] * 32768

    np.testing.assert_array_equal(heard(0.25, 0.5), ramp[2000:6000])
    np.testing.assert_array_equal(heard(0.25, None), ramp[2000:])
    np.testing.assert_array_equal(heard(0.75, 0.5), ramp[6000:])
    np.testing.assert_array_equal(heard(0.0, 30.0), ramp)


def test_a_rate_is_changed_only_when_asked(tmp_path, tone):
    sound = tone(1000, 0.5, 44100)
    soundfile.write(tmp_path / "a.wav", sound, 44100, subtype="FLOAT")
    kept, _ = decode(tmp_path / "a.wav", WHOLE)
    np.testing.assert_array_equal(kept.samples[0], sound[:, 0])
    same, _ = decode(tmp_path / "a.wav", Window(0.0, None, 44100))
    np.testing.assert_array_equal(same.samples[0], sound[:, 0])
    halved, facts = decode(tmp_path / "a.wav", Window(0.0, None, 22050))
    assert halved.sample_rate == 22050
    assert facts.sample_rate == 44100  # facts are of the file
    middle = slice(500, -500)
    # The pass band of the resampler's default filter is flat within 1 % at 1 kHz.
    assert np.abs(halved.samples[0] - tone(1000, 0.5, 22050)[:, 0])[middle].max() < 0.01 * 0.5


def test_resampling_removes_what_the_new_rate_cannot_hold(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(9000, 0.5, 44100), 44100)
    waveform, _ = decode(tmp_path / "a.wav", Window(0.0, None, 8000))
    # 9 kHz would fold to 1 kHz; its default filter is 40 dB down there.
    assert np.abs(waveform.samples[0][100:-100]).max() < 0.01 * 0.5


def test_facts(tmp_path):
    sound = np.zeros((8000, 2), np.int16)
    sound[:4000, 0] = 16384
    sound[4000:4080, 1] = -32768
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    _, facts = decode(tmp_path / "a.wav", WHOLE)
    assert (facts.codec, facts.duration, facts.file_duration, facts.peak) == ("WAV/PCM_16", 1.0, 1.0, 1.0)
    # 4000 of 16000 values at a half and 80 at one: mean square (4000/4 + 80)/16000.
    assert facts.rms == pytest.approx((1080 / 16000) ** 0.5, rel=1e-12)
    assert facts.clipped == 80 / 16000
    _, part = decode(tmp_path / "a.wav", Window(0.0, 0.5, None))
    assert (part.duration, part.file_duration, part.peak, part.rms) == (0.5, 1.0, 0.5, 0.125**0.5)


def test_silence_and_shortness_are_noted_not_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.int16), 8000)
    window = Window(0.0, 2.0, None)
    assert decode(tmp_path / "a.wav", window)[1].warnings(window) == ["silent", "short"]
    exact = Window(0.0, 1.0, None)
    assert decode(tmp_path / "a.wav", exact)[1].warnings(exact) == ["silent"]


def test_one_sample_is_a_clip(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([16384], np.int16), 8000)
    assert decode(tmp_path / "a.wav", WHOLE)[0].samples.tolist() == [[0.5]]


BAD = {
    "empty.wav": (b"", "an empty file"),
    "text.wav": (b"not a sound " * 100, "not readable as audio"),
    "text.mp3": (b"not a sound " * 1000, "not readable as audio"),
    "page.flac": (b"<!doctype html><html>" + b"x" * 5000, "not readable as audio"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_audio_is_named(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableAudio, match=f"{name}: {reason}") as told:
        decode(tmp_path / name, WHOLE)
    assert "does not exist" not in str(told.value)  # libsndfile says so of any MP3 it cannot read


def test_a_file_that_is_gone_and_a_folder_are_named(tmp_path):
    with pytest.raises(UnreadableAudio, match=r"gone\.wav: not readable as audio \(No such file"):
        decode(tmp_path / "gone.wav", WHOLE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UnreadableAudio, match=r"folder\.wav: not readable as audio"):
        decode(tmp_path / "folder.wav", WHOLE)


def test_a_header_without_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(UnreadableAudio, match=r"a\.wav: holds no samples"):
        decode(tmp_path / "a.wav", WHOLE)


def test_nothing_inside_the_window(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(440, 0.5), 8000)
    with pytest.raises(UnreadableAudio, match=r"a\.wav: lasts 0\.50 s.*dataset\.start=30"):
        decode(tmp_path / "a.wav", Window(30.0, 30.0, None))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers(tmp_path, bad):
    sound = np.zeros(100, np.float32)
    sound[50] = bad
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    with pytest.raises(UnreadableAudio, match=r"a\.wav: holds samples that are not numbers"):
        decode(tmp_path / "a.wav", WHOLE)


def noisy(seconds: float, rate: int) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal(round(seconds * rate)).clip(-3, 3)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", None), ("a.wav", "FLOAT"), ("a.wav", "IMA_ADPCM"), ("a.flac", None), ("a.ogg", None),
     ("a.opus", "OPUS"), ("a.mp3", None), ("a.au", None), ("a.aiff", None)],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.97, 0.5])
def test_a_file_cut_off_is_refused(tmp_path, name, subtype, share):
    rate = 48000 if subtype == "OPUS" else 44100
    path = tmp_path / name
    soundfile.write(path, noisy(3, rate), rate, format="OGG" if subtype == "OPUS" else None, subtype=subtype)
    assert decode(path, WHOLE)[1].duration == pytest.approx(3, abs=0.1)  # blocks of ADPCM are padded
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableAudio, match=name):
        decode(path, WHOLE)


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, tone, claim):
    soundfile.write(tmp_path / "a.wav", tone(440, 0.5), 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = content[4:8] = struct.pack("<I", claim)
    (tmp_path / "a.wav").write_bytes(content)
    assert decode(tmp_path / "a.wav", WHOLE)[1].duration == 0.5


def test_an_au_written_to_a_pipe_is_read_to_its_end(tmp_path, tone):
    soundfile.write(tmp_path / "a.au", tone(440, 0.5), 8000)
    content = bytearray((tmp_path / "a.au").read_bytes())
    content[8:12] = b"\xff" * 4
    (tmp_path / "a.au").write_bytes(content)
    assert decode(tmp_path / "a.au", WHOLE)[1].duration == 0.5


def test_a_flac_written_to_a_pipe_is_read_to_its_end(tmp_path, tone):
    soundfile.write(tmp_path / "a.flac", tone(440, 0.5), 8000)
    expected = decode(tmp_path / "a.flac", WHOLE)[0].samples
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count samples; 0: unknown
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / "a.flac", WHOLE)[0].samples, expected)


def mp3_frames(content: bytes) -> list[int]:
    """Where each frame of an MPEG-1 layer III stream begins."""
    kbit = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    starts, at = [], 0
    while at + 4 <= len(content):
        head = int.from_bytes(content[at : at + 4], "big")
        assert head >> 21 == 0x7FF
        starts.append(at)
        at += 144 * kbit[head >> 12 & 15] * 1000 // (44100, 48000, 32000)[head >> 10 & 3] + (head >> 9 & 1)
    return starts


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("loud", ["first", "last"])
@pytest.mark.parametrize("tagged", [False, True])
def test_an_mp3_without_a_xing_frame_is_read_to_its_end(tmp_path, mode, loud, tagged):
    # Its decoder guesses a length from the first frame's rate: far too short or too long at a variable one.
    sound = np.concatenate([noisy(2, 44100), np.zeros(2 * 44100)])
    path = tmp_path / "a.mp3"
    soundfile.write(path, sound if loud == "first" else sound[::-1], 44100, bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    frames = mp3_frames(content)
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) if tagged else b""
    path.write_bytes(tag + content[frames[1] :])
    waveform, facts = decode(path, WHOLE)
    # Without that frame the encoder's delay is kept, and the decoder drops its own (529 samples).
    assert waveform.samples.shape[1] == pytest.approx(1152 * (len(frames) - 1), abs=1152)
    assert facts.file_duration == pytest.approx(4, abs=0.06)
    thirds = np.abs(waveform.samples[0]).reshape(1, -1)[:, : 3 * 44100].reshape(3, -1).max(axis=1)
    assert (thirds[0] > 0.1) == (loud == "first")


def test_a_header_that_claims_days_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    # 300 channels of silence in a sparse file: what would be 9.6 GB of float32 for 2.4 GB of bytes.
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        file.write(np.zeros(8))
    content = bytearray(path.read_bytes())
    size = (8 << 30) // 4 + 1
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    content[4:8] = struct.pack("<I", size + 36)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(at + 4 + size)
    with pytest.raises(UnreadableAudio, match=r"a\.wav: its header claims 74\.6 hours, too long"):
        decode(path, WHOLE)


@pytest.mark.parametrize(
    ("window", "setting"),
    [((-1.0, None, None), "dataset.start"), ((0.0, 0.0, None), "dataset.duration"), ((0.0, None, 10), "sample_rate")],
)
def test_windows_that_make_no_sense(window, setting):
    with pytest.raises(UserError, match=setting):
        Window(*window)


def test_decoding_keeps_no_file_open(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(), 8000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        decode(tmp_path / "a.wav", WHOLE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_rates_without_a_common_divisor_are_refused_before_their_filter_fills_the_memory(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(rate=44101), 44101)
    with pytest.raises(UnreadableAudio, match=r"a\.wav: 44101 Hz cannot be resampled to dataset\.sample_rate=22050"):
        decode(tmp_path / "a.wav", Window(0.0, None, 22050))
    assert decode(tmp_path / "a.wav", Window(0.0, None, 44101))[0].sample_rate == 44101
    soundfile.write(tmp_path / "b.wav", tone(rate=22255), 22255)  # an old Macintosh
    assert decode(tmp_path / "b.wav", Window(0.0, None, 22050))[0].sample_rate == 22050


def test_a_header_is_read_and_checked_without_decoding(tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(seconds=2.0, rate=8000, channels=3), 8000)
    assert header(tmp_path / "a.wav") == Header(2.0, 8000, 3)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "words.wav").write_bytes(b"words")
    for name, told in (("empty", "an empty file"), ("words", "not readable as audio"), ("none", "not readable")):
        with pytest.raises(UnreadableAudio, match=rf"{name}\.wav: {told}"):
            header(tmp_path / f"{name}.wav")


def test_a_window_of_a_recording_of_days_can_be_decoded(tmp_path):
    """What would not fit into memory whole is no trouble piece by piece."""
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        file.write(np.zeros(8))
    content = bytearray(path.read_bytes())
    size, at = (8 << 30) // 4 + 1, content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    content[4:8] = struct.pack("<I", size + 36)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(at + 4 + size)
    waveform, facts = decode(path, Window(200_000.0, 0.5, None))
    assert waveform.samples.shape == (1, 4000)
    assert facts.file_duration == header(path).seconds == size / 8000
