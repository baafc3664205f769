"""What the README says of results: each sentence is made from the committed ones, and looked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rnnbench.report.results import read
from rnnbench.report.significance import kendall
from rnnbench.report.tables.table import Table
from rnnbench.report.tables.training import tables
from rnnbench.runs import read_rates

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGE = " ".join((ROOT / "README.md").read_text(encoding="utf-8").replace("\n*", "\n").split())
Raw = Mapping[str, Any]


@cache
def made(study: str) -> dict[str, Table]:
    """The tables of a committed study, by name."""
    return {table.name: table for table in tables(read([RESULTS / study]))}


def rows(study: str, table: str, **about: object) -> list[Raw]:
    """The raw rows of a table that have these entries."""
    found = [row.raw for row in made(study)[table].rows]
    return [raw for raw in found if all(raw[key] == value for key, value in about.items())]


def row(study: str, table: str, **about: object) -> Raw:
    (found,) = rows(study, table, **about)
    return found


def span(raw: Raw, digits: int = 3) -> str:
    """``0.041, 0.021 to 0.062``."""
    mean, low, high = (f"{raw[name]:.{digits}f}".replace("-", "−") for name in ("difference", "low", "high"))
    return f"{mean}, {low} to {high}"


def said(sentence: str) -> None:
    assert " ".join(sentence.split()) in PAGE


LENGTHS = "quick/seqlen_perplexity"


def pair(better: str, other: str, place: str = "all", panel: str = "truncation") -> Raw:
    return row(LENGTHS, f"text-comparisons-{panel}", better=better, other=other, place=place)


def effect(cell: str, length: str) -> Raw:
    """Of a truncation against the longest one."""
    (found,) = (raw for raw in rows(LENGTHS, "text-effects-truncation", place=cell) if length in raw.values())
    return found


def test_the_plain_rnn_is_behind_at_equal_weights() -> None:
    gru, lstm = pair("gru", "rnn"), pair("lstm", "rnn")
    assert {gru["verdict"], lstm["verdict"]} == {"better"}
    said(f"the plain RNN is behind the GRU ({span(gru)} bits; p = {gru['p']:.2g}) and the LSTM ({span(lstm)}; "
         f"p = {lstm['p']:.2g})")  # fmt: skip


def test_lstm_and_gru_are_not_told_apart_and_not_called_equal() -> None:
    one = pair("gru", "lstm")
    assert one["verdict"] == "undecided"
    said(f"Between those two ten seeds show no difference ({span(one)}), and are too few to call them equal within "
         "0.01 bits")  # fmt: skip
    assert {g.raw["done"] for g in made(LENGTHS)["text-truncation"].rows} == {10}


def test_width_is_not_the_cell() -> None:
    means = {raw["cell"]: raw["test/bpc"] for raw in rows(LENGTHS, "text-width", length=256)}
    weights = {raw["cell"]: raw["model/matched_parameters"] for raw in rows(LENGTHS, "text-width", length=256)}
    assert "text-comparisons-truncation" in made(LENGTHS)
    assert "text-comparisons-width" not in made(LENGTHS)
    said(f"At equal widths instead it is {means['rnn'] - means['lstm']:.2f} bits behind the LSTM, with "
         f"{weights['rnn'] / 1000:.0f} k weights against {weights['lstm'] / 1000:.0f} k")  # fmt: skip


def test_a_short_gradient_costs_little() -> None:
    rnn, lstm = effect("rnn", "K = 4"), effect("lstm", "K = 4")
    assert {rnn["verdict"], lstm["verdict"]} == {"better"}
    assert {rnn["better"], lstm["better"]} == {"K = 256"}
    said(f"Cut every 4 steps the gradient costs the plain RNN {rnn['difference']:.3f} bits and the LSTM "
         f"{lstm['difference']:.3f}")  # fmt: skip
    assert {effect(cell, "K = 64")["verdict"] for cell in ("rnn", "lstm")} == {"equivalent"}
    said("for both of them 64 steps are as good as 256, within 0.01 bits")
    decided = {raw["verdict"] for cell in ("rnn", "lstm", "gru") for raw in [effect(cell, "K = 16")]}
    assert decided == {"undecided"}


def test_what_people_do_means_fewer_updates() -> None:
    found = rows(LENGTHS, "text-effects-practice", better="T = 16", other="T = 256")
    assert [raw["verdict"] for raw in found] == ["better"] * 3
    costs = sorted(raw["difference"] for raw in found)
    said(f"T = 256 in place of 16 costs {costs[0]:.2f} to {costs[-1]:.2f} bits")


def test_an_ngram_on_the_same_characters_is_better_than_all() -> None:
    table = made(LENGTHS)["text-truncation"]
    (known,) = {r.raw["test/bpc"] for r in table.references if r.raw["cell"] == "ngram_read"}
    assert known < min(r.raw["test/bpc"] for r in table.rows) - 0.3
    said(f"an n-gram that has read the very same characters comes to {known:.2f} bits")


def test_gradients_reach_as_far_as_it_says() -> None:
    at = {raw["cell"]: raw["final/hundredth_lag"] for raw in rows(LENGTHS, "text-truncation", length=256)}
    assert at["rnn"] == at["lstm"]
    said(f"down to a hundredth {at['rnn']:.0f} states back in the plain RNN and the LSTM, {at['gru']:.0f} in the GRU")


GRADIENTS = "full/seqlen_gradients"
CELLS = ("rnn", "gru", "lstm", "lstm(forget_bias=3)", "irnn", "indrnn", "antisymmetric", "cornn", "exprnn", "mgu",
         "mingru", "rglru", "lru")  # fmt: skip


def lag_of(cell: str, when: str, length: int = 128) -> str:
    """As the text has it: ``10``, ``beyond 255 lags``."""
    raw = row(GRADIENTS, "gradients", cell=cell, length=length)
    lag = raw[f"{when}/hundredth_lag"]
    return "beyond 255" if lag > 255 else f"{lag:.0f}"


def test_a_cut_gradient_reaches_as_far_once_trained() -> None:
    kept = [cell for cell in CELLS if row(GRADIENTS, "text", cell=cell, length=128)["done"] == 5
            and row(GRADIENTS, "text", cell=cell, length=16)["done"] == 5]  # fmt: skip
    for cell in kept:
        lags = [min(row(GRADIENTS, "gradients", cell=cell, length=K)["final/hundredth_lag"], 255) for K in (16, 128)]
        assert max(lags) <= 1.5 * min(lags), cell
    found = rows(GRADIENTS, "text-effects")
    assert {raw["place"] for raw in found} == {*kept}
    assert not any(raw["p"] < 0.05 and raw["verdict"] == "better" for raw in found)
    words = {11: "eleven", 10: "ten"}[len(kept)]
    said(f"Of the {words} that lost no run none is shown to score differently by more than 0.01 bits.")


def test_a_far_reach_at_first_is_not_kept() -> None:
    assert {lag_of(cell, "init") for cell in ("exprnn", "lstm(forget_bias=3)", "rglru", "lru")} == {"beyond 255"}
    said(f"Training takes `exprnn` from beyond 255 lags to {lag_of('exprnn', 'final')}, an LSTM with open forget gates "
         f"from beyond 255 to {lag_of('lstm(forget_bias=3)', 'final')}, IndRNN from {lag_of('indrnn', 'init')} to "
         f"{lag_of('indrnn', 'final')}; of those that reach so far only LRU and RG-LRU keep it.")  # fmt: skip
    assert {lag_of(cell, "final") for cell in ("rglru", "lru")} == {"beyond 255"}
    grown = ("mgu", "gru", "mingru")
    first, last = ([lag_of(cell, when) for cell in grown] for when in ("init", "final"))
    said(f"It grows in MGU, GRU and minGRU, from {first[0]}, {first[1]} and {first[2]} lags to "
         f"{last[0]}, {last[1]} and {last[2]}.")  # fmt: skip


def test_a_far_reach_is_not_shown_to_help() -> None:
    whole = [raw for raw in rows(GRADIENTS, "text", length=128) if raw["done"] == 5]
    best, worst = min(whole, key=lambda raw: raw["test/bpc"]), max(whole, key=lambda raw: raw["test/bpc"])
    assert (best["cell"], worst["cell"]) == ("mgu", "rglru")
    tests = rows(GRADIENTS, "text-comparisons", better="mgu", length=128)
    assert {raw["other"] for raw in tests if raw["verdict"] == "better"} == {raw["cell"] for raw in whole} - {"mgu"}
    said(f"MGU predicts best ({best['test/bpc']:.3f} bits), better than each of the others that lost no run; RG-LRU, "
         f"which reaches farthest, worst ({worst['test/bpc']:.3f})")  # fmt: skip
    lags = [raw["final/hundredth_lag"] for raw in whole]
    bounds = [(lag, lag) if lag < 255 else (255.0, math.inf) for lag in lags]
    tau = kendall(bounds, [(raw["test/bpc"],) * 2 for raw in whole])
    assert tau.low is not None and tau.high is not None and tau.low < 0 < tau.high  # noqa: PT018
    said(f"The rank correlation of reach and bits is {tau.tau:.2f}, with an interval from "
         f"{tau.low:.2f} to {tau.high:.2f}".replace("-", "−"))  # fmt: skip
    context = [raw["final/context_horizon"] for raw in whole if raw["cell"] != "rglru"]
    said(f"a context of more than {max(context):.0f} characters saves less than 0.01 bits in all but RG-LRU")


def test_irnn_diverged() -> None:
    lost = [5 - row(GRADIENTS, "text", cell="irnn", length=K)["done"] for K in (16, 128)]
    words = ("none", "one", "two", "three", "four", "all five")
    said(f"IRNN lost {words[lost[0]]} runs with the gradient cut after 16 steps, whichever of seven learning rates was "
         f"tried, and {words[lost[1]]} of five without the cut")  # fmt: skip
    choices = [one for one in read_rates(RESULTS / GRADIENTS).values() if one["about"]["cell"] == "irnn"]
    (cut,) = (one for one in choices if one["about"].get("optim.truncate") == 16)
    assert [(one["lost"], one["trials"]) for one in cut["rates"]] == [(1, 1)] * 7


SEARCH = "quick/longest_solvable"


def test_a_far_reach_at_first_does_not_tell_what_can_be_learnt() -> None:
    table = made(SEARCH)["solvable"]
    words = []
    for data, name in (("adding", "adding"), ("selective_copy", "selective copying")):
        raw = rows(SEARCH, "solvable", data=data)[0]
        assert raw["kendall_low"] < 0 < raw["kendall_high"]
        words.append((name, *(f"{raw[key]:.2f}" for key in ("kendall", "kendall_low", "kendall_high"))))
    first, second = words
    said(f"Kendall's τ is {first[1]} on {first[0]} (95 %: {first[2]} to {first[3]}) and {second[1]} on {second[0]} "
         f"({second[2]} to {second[3]})".replace("-", "−"))  # fmt: skip
    longest = {raw["cell"]: raw for raw in rows(SEARCH, "solvable", data="adding", failed=None)}
    assert set(longest) == {"gru", "mgu", "lem"}
    assert {raw["solved"] for raw in longest.values()} == {160}
    lags = [raw["init/hundredth_lag"] for raw in longest.values()]
    said("GRU, MGU and LEM learn to add over 160 steps, the most tried, with gradients that are down to a hundredth "
         f"after {min(lags):.0f} to {max(lags):.0f} lags at first")  # fmt: skip
    never = {raw["cell"]: raw["init/hundredth_lag"] for raw in rows(SEARCH, "solvable", data="adding", solved=None)}
    assert never == {"lru": math.inf, "indrnn": math.inf}
    edge = next(note for _, note in table.notes if "at the smallest or largest learning rate" in note)
    said(f"{' of '.join(edge.split()[0:3:2])} lengths were solved at the smallest or the largest rate alone")


SPEEDS = "quick/seqlen_throughput"


def thousands(cell: str, backend: str, B: int, panel: str = "length") -> list[float]:
    """Thousand tokens a second of training steps, along T or (panel batch) at T = 64."""
    about = {"cell": cell, "backend": backend, "batch_size": B}
    return [raw["tokens_per_second"] / 1e3 for raw in rows(SPEEDS, f"timing-{panel}", **about)]


def test_a_grus_speed_is_the_batchs() -> None:
    assert {raw["seq_len"] for raw in made_rows("timing-length")} == {16, 64, 256, 1024}
    two, eight = (thousands("gru", "nn", B) for B in (2, 8))
    said(f"{min(two):.0f} to {max(two):.0f} thousand tokens a second at B 2 and {min(eight):.0f} to {max(eight):.0f} "
         "at B 8, from T = 16 to 1024")  # fmt: skip
    (one,), (many,) = (thousands("gru", "nn", B, "batch") for B in (1, 32))
    said(f"at T = 64 it rises from {one:.0f} thousand at B 1 to {many:.0f} at B 32")
    raw = row(SPEEDS, "timing-length", cell="gru", backend="nn", batch_size=2, seq_len=256)
    said(
        f"`nn.GRU` at B 2, T = 256 reaches {raw['step_share']:.0%} and {raw['step_loop_share']:.0%}".replace("%", " %")
    )


def test_one_call_gains_by_length_and_loops_do_not() -> None:
    lstm, mingru = thousands("lstm", "nn", 2), thousands("mingru", "scan", 2)
    said(f"at B 2 oneDNN's LSTM goes from {lstm[0]:.0f} to {lstm[-1]:.0f} thousand, the scan of minGRU from "
         f"{mingru[0]:.0f} to {mingru[-1]:.0f}")  # fmt: skip

    def ratios(cell: str, backend: str) -> list[float]:
        return [other / nn for B in (2, 8)
                for other, nn in zip(thousands(cell, backend, B), thousands(cell, "nn", B), strict=True)]  # fmt: skip

    assert min(ratios("rnn", "loop")) > 0.98
    behind = [1 - ratio for ratio in ratios("gru", "loop")]
    said(f"Our loop is as fast as `nn.RNN` and {100 * min(behind):.0f} to {100 * max(behind):.0f} % behind `nn.GRU`")
    slower = [1 / ratio for ratio in ratios("lstm", "plain")]
    said(f"is {min(slower):.1f} to {max(slower):.0f} times slower than `nn.LSTM`")


def made_rows(table: str) -> list[Raw]:
    return [one.raw for one in made(SPEEDS)[table].rows]
