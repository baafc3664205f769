"""Run directories: append-only facts, one folder a run, `result.json` last; a finished study packs into three files.

runs/<study>/<run id>/
    run.yaml        the Run; `rnnbench train --config run.yaml` repeats it
    history.jsonl   a row every so many steps
    last.ckpt       what an interrupted run resumes from; gone once it is finished
    model.pt        the final weights and the vocabulary
    curves.npz      gradient flow, gradient norms, of a text its loss by blocks and by positions
    sample.txt      what a text's model writes
    samples.json    what a decoder writes of some test examples
    log.txt         what the run printed, in a sweep
    .lock-000001    who is at work on it; gone once it is finished
    result.json     present means finished; it knows the checksums of all above
"""

from rnnbench.runs.files import (
    CHECKPOINT,
    CONFIG,
    CURVES,
    HISTORY,
    LOG,
    RESULT,
    SAMPLE,
    SAMPLE_MARK,
    SAMPLES,
    STATUSES,
    WEIGHTS,
    StorageError,
    check_root,
    finite,
    friendly,
    write_atomic,
)
from rnnbench.runs.lock import Busy, Lock, Watch
from rnnbench.runs.run_directory import Progress, Recordable, RunDirectory, Start
from rnnbench.runs.study_files import (
    PanelFile,
    StudyFile,
    read_rates,
    read_speeds,
    read_study,
    setting_of,
    write_rates,
    write_speeds,
    write_study,
)

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "CURVES",
    "HISTORY",
    "LOG",
    "RESULT",
    "SAMPLE",
    "SAMPLES",
    "SAMPLE_MARK",
    "STATUSES",
    "WEIGHTS",
    "Busy",
    "Lock",
    "PanelFile",
    "Progress",
    "Recordable",
    "RunDirectory",
    "Start",
    "StorageError",
    "StudyFile",
    "Watch",
    "check_root",
    "finite",
    "friendly",
    "read_rates",
    "read_speeds",
    "read_study",
    "setting_of",
    "write_atomic",
    "write_rates",
    "write_speeds",
    "write_study",
]
