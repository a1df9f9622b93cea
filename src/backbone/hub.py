"""Files of the Hugging Face hub: in its local cache, or fetched if the hub answers at once."""

import os
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

import huggingface_hub
from huggingface_hub import constants

PATIENCE = 3.0  # seconds the hub has to answer; its own client retries for 23 s, or minutes, where there is no network

constants.HF_HUB_DISABLE_TELEMETRY = True


def offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def cached(repository: str, filename: str) -> Path | None:
    """The file in the hub's local cache, if an earlier download left it there."""
    found = huggingface_hub.try_to_load_from_cache(repository, filename)
    return Path(found) if isinstance(found, str) else None


def reachable(repository: str, filename: str, patience: float | None = None) -> bool:
    """Whether the hub says within `patience` seconds (PATIENCE by default) that it has the file.

    The question is asked in a thread of its own, since resolving a host's name knows no time limit.
    """
    if offline():
        return False
    limit = PATIENCE if patience is None else patience
    answer: Future[bool] = Future()

    def ask() -> None:
        try:
            huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, filename), timeout=limit)
            answer.set_result(True)
        except Exception:  # whatever it is, the answer is no
            answer.set_result(False)

    Thread(target=ask, daemon=True, name="hub").start()
    try:
        return answer.result(limit)
    except TimeoutError:
        return False


def download(repository: str, filename: str) -> Path:
    """Fetch the file into the hub's local cache; raises whatever the client raises where the connection breaks."""
    return Path(huggingface_hub.hf_hub_download(repository, filename, etag_timeout=PATIENCE))
