"""A study that is done as three files: ``runs.jsonl.xz``, ``curves.npz`` and ``SHA256SUMS``.

    runs.jsonl.xz   line 1: {"format": 1, "files": {"study.json": its text, …}}
                    then a line a run: {"id", "result", "history", "texts", "arrays"}
    curves.npz      under each curve's name the curves of all runs end to end; ``arrays`` says where a run's begins,
                    and its shape
    SHA256SUMS      of both, as ``sha256sum -c`` reads it

Floats of curves are kept as float32. Left out are weights, checkpoints, logs, and the norm of the gradient at every
step, which compresses badly and of which `history.jsonl` has the mean and the maximum. A run directory beside a pack
takes the place of the packed run of the same id, so a sweep can be continued in the folder of a packed study.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import UserError
from rnnbench.runs.files import (
    CHECKPOINT,
    CONFIG,
    CURVES,
    HISTORY,
    LOG,
    RESULT,
    SAMPLE,
    SAMPLES,
    WEIGHTS,
    checksums_of,
    file_sha256,
    friendly,
    line,
    write_atomic,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACK, SUMS, FORMAT = "runs.jsonl.xz", "SHA256SUMS", 1
#: What is packed of a study's folder beside its runs.
STUDY_FILES = ("study.json", "learning_rates.json", "speeds.json")
#: What a pack leaves out of a run directory.
LEFT_OUT, CURVES_LEFT_OUT = (WEIGHTS, CHECKPOINT, LOG), ("grad_norm",)


@dataclass(frozen=True)
class PackedRun:
    """One run of a pack.

    Args:
        result: What `result.json` held, but for its checksums.
        history: The rows of `history.jsonl`.
        texts: `samples.json` and `sample.txt`, those that there are.
        arrays: Of each curve where it begins in the array of its name, and its shape.
    """

    result: dict[str, Any]
    history: list[dict[str, Any]]
    texts: dict[str, str]
    arrays: dict[str, tuple[int, list[int]]]


class Pack:
    """A study's pack, whose checksums are right.

    Args:
        folder: The study's folder.

    Raises:
        UserError: one of its files is missing, was edited or was cut short.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if fault := fault_of(folder):
            raise UserError(f"the pack {folder / fault[1]} {fault[2]}; take it from where it came from again.")
        head, *runs = map(json.loads, lzma.decompress((folder / PACK).read_bytes()).splitlines())
        if head.get("format") != FORMAT:
            raise UserError(
                f"the pack {folder / PACK} has the format {head.get('format')!r}, and this version reads 1."
            )
        self.files: dict[str, str] = head["files"]
        self.runs = {run["id"]: PackedRun(run["result"], run["history"], run["texts"], run["arrays"]) for run in runs}
        self._flat: dict[str, NDArray[np.generic]] = {}

    def curves(self, id: str) -> dict[str, NDArray[np.generic]]:
        """A run's curves by name, read-only."""
        import numpy as np

        arrays = self.runs[id].arrays
        if missing := arrays.keys() - self._flat:
            with np.load(self.folder / CURVES, allow_pickle=False) as archive:
                self._flat |= {name: archive[name] for name in missing}
            for name in missing:
                self._flat[name].flags.writeable = False
        return {
            name: self._flat[name][begin : begin + int(np.prod(shape))].reshape(shape)
            for name, (begin, shape) in arrays.items()
        }


def fault_of(folder: Path) -> tuple[str, str, str] | None:
    """What is wrong with a pack: (kind as `rnnbench.runs.verify` has it, file, what); None where it is whole."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, _, name in (text.partition("  ") for text in lines)}
    except (OSError, ValueError):
        return "missing", SUMS, "is missing, or is no text"
    for name in (PACK, CURVES):
        try:
            if name not in sums:
                return "edited", SUMS, f"has no checksum of {name}"
            if file_sha256(folder / name) != sums[name]:
                cut = _ends_early(folder / name)
                return ("cut short", name, "was cut short") if cut else ("edited", name, "was edited")
        except OSError as error:
            return "missing", name, f"cannot be read ({error.strerror})"
    return None


def _ends_early(path: Path) -> bool:
    try:
        if path.name == CURVES:
            zipfile.ZipFile(path).close()
        else:
            reader = lzma.LZMADecompressor()
            reader.decompress(path.read_bytes())
            return not reader.eof
    except zipfile.BadZipFile:
        return True
    except lzma.LZMAError:
        return False
    return False


def pack_of(folder: Path) -> Pack | None:
    """The pack of a study's folder, read once; None where there is none; raises `UserError` as `Pack` does."""
    if not is_packed(folder):
        return None
    files = [folder / name for name in (PACK, CURVES, SUMS)]
    return _read(folder.resolve(), tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files))


def is_packed(folder: Path) -> bool:
    """Has a study's folder a pack, or what is left of one?"""
    return (folder / PACK).exists() or (folder / SUMS).exists()


@lru_cache(maxsize=64)  # a report over several studies goes from one to the other and back
def _read(folder: Path, stamps: tuple[int, ...]) -> Pack:
    return Pack(folder)


def packed(folder: Path) -> tuple[Pack, PackedRun] | None:
    """The packed run whose run directory would be this one; None where there is such a directory, or no such run."""
    if folder.is_dir() or (pack := pack_of(folder.parent)) is None or folder.name not in pack.runs:
        return None
    return pack, pack.runs[folder.name]


def read_study_file(folder: Path, name: str) -> bytes:
    """A file of `STUDY_FILES`, from the study's folder or its pack; raises `OSError` where neither has it."""
    with suppress(FileNotFoundError):
        return (folder / name).read_bytes()
    pack = pack_of(folder)
    if pack is None or name not in pack.files:
        raise FileNotFoundError(folder / name)
    return pack.files[name].encode()


def read_text(folder: Path, name: str) -> str:
    """A run's `samples.json` or `sample.txt`; raises `OSError` where it has none."""
    if (pack_and_run := packed(folder)) is None:
        return (folder / name).read_text(encoding="utf-8")
    if name not in pack_and_run[1].texts:
        raise FileNotFoundError(folder / name)
    return pack_and_run[1].texts[name]


def write_pack(folder: Path, target: Path, runs: Iterable[Path]) -> int:
    """Pack the finished runs of a study, with those that are packed already.

    Args:
        folder: The study's folder.
        target: Where the pack is to lie; may be the same.
        runs: The run directories, each finished and as its checksums say.

    Returns:
        How many runs the pack has.

    Raises:
        UserError: a pack that is there is damaged, or nothing can be written.
    """
    import numpy as np

    _finish_writing(target)
    before = pack_of(folder)
    records: dict[str, tuple[PackedRun, dict[str, NDArray[np.generic]]]] = {}
    if before is not None:
        records = {id: (run, before.curves(id)) for id, run in before.runs.items()}
    records |= {path.name: _read_directory(path) for path in runs}
    files = {}
    for name in STUDY_FILES:
        with suppress(OSError):
            files[name] = read_study_file(folder, name).decode()
    flat: dict[str, list[NDArray[np.generic]]] = {}
    lengths: dict[str, int] = {}
    lines = []
    for id, (run, curves) in sorted(records.items()):
        arrays: dict[str, tuple[int, list[int]]] = {}
        for name, curve in curves.items():
            if name not in CURVES_LEFT_OUT:
                arrays[name] = (lengths.get(name, 0), list(curve.shape))
                lengths[name] = lengths.get(name, 0) + curve.size
                kept = curve.astype(np.float32) if curve.dtype.kind == "f" else curve
                flat.setdefault(name, []).append(kept.ravel())
        lines.append({"id": id, "result": run.result, "history": run.history, "texts": run.texts, "arrays": arrays})
    curve_bytes = _npz({name: np.concatenate(parts) for name, parts in flat.items()})
    head = {"format": FORMAT, "files": files}
    text = "".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in (head, *lines))
    run_bytes = lzma.compress(text.encode(), preset=9)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in _named(run_bytes, curve_bytes))
    with friendly(target):
        target.mkdir(parents=True, exist_ok=True)
    for name, data in (*_named(run_bytes, curve_bytes), (SUMS, sums.encode())):
        write_atomic(target / f"{name}.new", data)
    _finish_writing(target)
    Pack(target)
    return len(lines)


def _finish_writing(folder: Path) -> None:
    """Put the new files in their places: SHA256SUMS.new is written last and goes last, so with it all three are whole.

    Killed between two of these renames, the next `write_pack` or `unpack` does the rest.
    """
    with friendly(folder):
        if (folder / f"{SUMS}.new").exists():
            for name in (PACK, CURVES, SUMS):
                with suppress(FileNotFoundError):
                    (folder / f"{name}.new").replace(folder / name)


def _named(runs: bytes, curves: bytes) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return (PACK, runs), (CURVES, curves)


def _npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """An ``.npz`` that `numpy.load` reads, with LZMA, which takes a third less than numpy's own compression."""
    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")  # with its own fixed date: the same runs give the same bytes
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _read_directory(folder: Path) -> tuple[PackedRun, dict[str, NDArray[np.generic]]]:
    import numpy as np

    result = json.loads((folder / RESULT).read_bytes())
    kept = {key: value for key, value in result.items() if key not in ("files", "seal")}
    history, texts, curves = [], {}, {}
    with suppress(FileNotFoundError):
        history = [json.loads(text) for text in (folder / HISTORY).read_text(encoding="utf-8").splitlines()]
    for name in (SAMPLES, SAMPLE):
        with suppress(FileNotFoundError):
            texts[name] = (folder / name).read_text(encoding="utf-8")
    with suppress(FileNotFoundError), np.load(folder / CURVES, allow_pickle=False) as archive:
        curves = {name: archive[name] for name in archive.files}
    return PackedRun(kept, history, texts, {}), curves


def remove_packed(study: Path, runs: Iterable[Path]) -> None:
    """Remove what is in the pack of a study's folder: run directories, and the files beside them."""
    for folder in runs:
        with friendly(folder):
            shutil.rmtree(folder)
    for name in STUDY_FILES:
        (study / name).unlink(missing_ok=True)


def unpack(folder: Path, target: Path) -> int:
    """Write the run directories and the study's files of a pack; what is there already stays as it is.

    Args:
        folder: The study's folder, which has a pack.
        target: The study's folder to write to. Where it is the same one, the pack is removed in the end.

    Returns:
        How many run directories were written.

    Raises:
        UserError: there is no pack, it is damaged, or nothing can be written.
    """
    import numpy as np
    import yaml

    _finish_writing(folder)
    if (pack := pack_of(folder)) is None:
        raise UserError(f"there is no pack in {folder}: it has no {PACK}.")
    written = 0
    for id, run in pack.runs.items():
        place = target / id
        if (place / RESULT).exists():
            continue
        with friendly(place):
            place.mkdir(parents=True, exist_ok=True)
        contents = {name: text.encode() for name, text in run.texts.items()}
        contents[CONFIG] = yaml.safe_dump(run.result["run"], sort_keys=False, allow_unicode=True).encode()
        if run.history:
            contents[HISTORY] = "".join(map(line, run.history)).encode()
        if run.arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **pack.curves(id))  # type: ignore[arg-type]
            contents[CURVES] = buffer.getvalue()
        for name, data in contents.items():
            write_atomic(place / name, data)
        result = checksums_of(run.result, {name: place / name for name in contents})
        write_atomic(place / RESULT, json.dumps(result, indent=1, ensure_ascii=False).encode())
        written += 1
    for name, text in pack.files.items():
        if not (target / name).exists():
            write_atomic(target / name, text.encode())
    if target.resolve() == folder.resolve():
        for name in (PACK, CURVES, SUMS):
            (folder / name).unlink(missing_ok=True)
    return written
