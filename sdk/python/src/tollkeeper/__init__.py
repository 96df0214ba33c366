"""Limits, credits and upgrades for the users of your AI app: wrap your AI call once.

```python
tk = Tollkeeper()
create = tk.wrap(OpenAI().chat.completions.create)
create(model="gpt-4o-mini", messages=messages, tollkeeper_user="ada")
```
"""

from __future__ import annotations

from tollkeeper._client import AsyncTollkeeper, Tollkeeper
from tollkeeper._meter import AsyncMeter, Meter
from tollkeeper._reporter import Stats
from tollkeeper._types import Allowed, BlockedError, TollkeeperError, UnavailableError, Usage
from tollkeeper._version import __version__
from tollkeeper._wrapped import Wrapped

__all__ = [
    "Allowed",
    "AsyncMeter",
    "AsyncTollkeeper",
    "BlockedError",
    "Meter",
    "Stats",
    "Tollkeeper",
    "TollkeeperError",
    "UnavailableError",
    "Usage",
    "Wrapped",
    "__version__",
]
