"""Files from elsewhere: brought here once, verified, opened with care."""

from rnnbench.data.download.archive import gunzipped, member
from rnnbench.data.download.store import fetch, is_here

__all__ = ["fetch", "gunzipped", "is_here", "member"]
