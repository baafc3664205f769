"""Everything that is to be measured on a GPU, in steps of under ten minutes, which can be run apart and be resumed.

    python benchmarks/gpu_results.py                   all steps
    python benchmarks/gpu_results.py tests lengths     these
    python benchmarks/gpu_results.py --dry_run         on whatever device there is, a job or two of each study, cut down

Results go to experiments/results/CARD: each study's pack, tables and figures, ready to be committed. What is
not done in a step's time is done by the same command once more; what is done is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from rnnbench.config import BudgetConfig, Run
from rnnbench.report import report
from rnnbench.runs import RunDirectory, write_rates
from rnnbench.runs.packs import remove_packed, write_pack
from rnnbench.runs.scan import scan
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, describe
from rnnbench.sweep.scheduler import locally
from rnnbench.sweep.slots import cores
from rnnbench.sweep.study import Job, Study, find_study
from rnnbench.sweep.tuning import known_choices, tuned_study
from rnnbench.system import machine

ROOT = Path(__file__).resolve().parents[1]
#: Step → studies, whose preset ``gpu`` is done; the first step is the tests that need a GPU.
STEPS = {
    "tests": (),
    "lengths": ("seqlen_throughput",),
    "sizes": ("width_throughput", "decode_latency"),
    "published": ("published_shapes",),
    "gradients": ("seqlen_gradients",),
}
#: Seconds after which a step is stopped.
LIMIT = 570
#: Training runs that share the card.
WORKERS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)} (all)")
    parser.add_argument("--out", type=Path, help="where to (experiments/results/CARD)")
    parser.add_argument("--limit", type=float, help=f"seconds for each step ({LIMIT}; of a dry run none)")
    parser.add_argument("--dry_run", action="store_true", help="two jobs a study, cut down, on any device; needs --out")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one step, in this very process
    args = parser.parse_args()
    if unknown := [step for step in args.steps if step not in STEPS]:
        parser.error(f"there is no step {unknown[0]}; there are {', '.join(STEPS)}")
    if args.dry_run and args.out is None:
        parser.error("--dry_run needs --out: what it measures is no result")
    if not args.dry_run and not machine.has_cuda():
        parser.error("torch sees no GPU here; --dry_run --out FOLDER tries everything without one")
    out = args.out or ROOT / "experiments" / "results" / _card()
    steps = args.steps or list(STEPS)
    if args.here:
        return _step(steps[0], out, args.dry_run)
    together = args.dry_run and args.limit is None
    failed = [step for step in steps if (_step(step, out, True) if together else not _apart(step, out, args))]
    _summary(steps, out, args.dry_run)
    return 1 if failed else 0


def _apart(step: str, out: Path, args: argparse.Namespace) -> bool:
    """Do a step in a process of its own, and stop it when its time is up."""
    begin, limit = time.monotonic(), args.limit or LIMIT
    print(f"== {step}", flush=True)
    command = [sys.executable, __file__, step, "--here", "--out", str(out), *(["--dry_run"] if args.dry_run else [])]
    try:
        status = subprocess.run(command, timeout=limit).returncode
    except subprocess.TimeoutExpired:
        print(f"== {step} was stopped after {limit:.0f} s; the same command resumes", flush=True)
        return False
    print(f"== {step} took {time.monotonic() - begin:.0f} s{'' if status == 0 else ' and FAILED'}", flush=True)
    return status == 0


def _step(step: str, out: Path, dry_run: bool) -> int:
    if step == "tests":
        what = ["--collect-only"] if dry_run else ["-n", str(min(8, cores()))]
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "gpu", *what], cwd=ROOT).returncode
    console, trouble = Console(width=110), 0
    for name in STEPS[step]:
        study, jobs = _study(name, out), _jobs(name, dry_run, out)
        if not dry_run:
            describe(study, "gpu", out)
        with Display(console) as display:
            outcome = locally(jobs, out, study.name, Options(min(WORKERS, cores()), "disabled"), display)
        trouble += len(outcome.trouble)
        _pack(out / study.name)
        report([out / study.name], {"md", "svg"}, None, None)
    return 1 if trouble else 0


def _study(name: str, out: Path) -> Study:
    """A study, at the learning rates that were chosen for it on a CPU where it asks for some."""
    study = find_study(str(ROOT / "experiments" / f"{name}.py"))
    if study.tune is not None and (choices := known_choices(study, "gpu", out)) is not None:
        study = tuned_study(study, "gpu", choices)
        (out / name).mkdir(parents=True, exist_ok=True)
        write_rates(out / name, [choice.to_dict() for choice in choices])
    return study


def _jobs(name: str, dry_run: bool, out: Path) -> list[Job]:
    """A study's jobs for a GPU; of a dry run the first and the last, of a size that any machine does in seconds."""
    jobs = _study(name, out).jobs("gpu")
    return list({job.id: job for job in map(_small, (jobs[0], jobs[-1]))}.values()) if dry_run else jobs


def _small(job: Job) -> Job:
    if not isinstance(job, Run):
        dtype = "float32" if job.dtype == "tf32" else job.dtype  # which only a GPU has
        job = dataclasses.replace(job, cells=job.cells[-2:], dtype=dtype, samples=3, warmup=1)
        return dataclasses.replace(job, seq_len=min(job.seq_len, 8), batch_size=2, hidden_size=8)
    return dataclasses.replace(
        job,
        model=dataclasses.replace(job.model, hidden_size=8, parameters=None),
        data=dataclasses.replace(job.data, batch_size=4),
        budget=BudgetConfig(steps=4, evals=1, val_tokens=1000),
        probes=dataclasses.replace(job.probes, seq_len=12, batch_size=2),
    )


def _pack(folder: Path) -> None:
    """Pack what is to be committed, once every run that was begun is finished; weights, locks and logs go."""
    runs = scan([folder])
    if all(run.result is not None for run in runs):
        directories = [run.folder for run in runs if not run.packed]
        write_pack(folder, folder, directories)
        remove_packed(folder, directories)


def _summary(steps: list[str], out: Path, dry_run: bool) -> None:
    """A line a study: how many of its jobs are done, and how many contestants were timed."""
    print(f"{'study':<20}{'done':>10}{'timed':>8}{'refused':>9}  results in {out}")
    for name in (name for step in steps for name in STEPS[step]):
        jobs = _jobs(name, dry_run, out)
        results = [result for job in jobs if (result := RunDirectory(out, name, job.id).result()) is not None]
        keys = [key for result in results for key in result["metrics"]]
        timed = sum(key.endswith(("/step_ms", "/decode_ms")) and "replay" not in key for key in keys)
        refused = sum(key.endswith("/refused") for key in keys)
        print(f"{name:<20}{f'{len(results)}/{len(jobs)}':>10}{timed:>8}{refused:>9}")


def _card() -> str:
    """``h200`` of an ``NVIDIA H200``, ``h100`` of an ``NVIDIA H100 80GB HBM3``."""
    import torch

    words = torch.cuda.get_device_name().lower().replace("nvidia", "").replace("geforce", "").split()
    return words[0] if words else "gpu"


if __name__ == "__main__":
    sys.exit(main())
