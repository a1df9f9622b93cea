"""Which CPUs and GPUs compute in bfloat16, and which would only emulate it."""

from collections.abc import Callable

import pytest
import torch

from src.backbone.engine import choose, computes_bfloat16
from src.errors import UserError

# /proc/cpuinfo of these processors, shortened to the flags that matter
CASCADE_LAKE = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512bw avx512vl avx512_vnni\nbugs\t\t: mds\n"
COOPER_LAKE = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512bw avx512vl avx512_vnni avx512_bf16\n"
SAPPHIRE_RAPIDS = "flags\t\t: fpu avx512f avx512_vnni amx_bf16 avx512_fp16 amx_tile amx_int8\n"
ZEN_3 = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2 avx2 vaes\n"
GRAVITON_2 = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd asimdhp atomics asimddp ssbs\n"
GRAVITON_3 = "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd sve i8mm svebf16 bf16 dgh rng\n"
# a word of the right name in another line
LOOKALIKE = "model name\t: bf16 amx_bf16\nflags\t\t: fpu avx512f\n"


@pytest.mark.parametrize("cpuinfo", [COOPER_LAKE, SAPPHIRE_RAPIDS, GRAVITON_3])
def test_cpus_with_bfloat16(cpuinfo: str) -> None:
    assert computes_bfloat16(cpuinfo)


@pytest.mark.parametrize("cpuinfo", [CASCADE_LAKE, ZEN_3, GRAVITON_2, LOOKALIKE, ""])
def test_cpus_that_would_emulate_it(cpuinfo: str) -> None:
    assert not computes_bfloat16(cpuinfo)


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_is_asked_whether_it_has_bfloat16(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    gpu: Callable[[str], object] = lambda precision: choose("auto", precision, "cuda")  # noqa: E731  # used twice
    assert gpu("float32")
    if native:
        assert gpu("bfloat16")
    else:
        with pytest.raises(UserError, match=r"bfloat16, which a card would only emulate.*precision=float32"):
            gpu("bfloat16")
    assert asked == [False]
