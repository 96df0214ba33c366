"""What parameters, and what they name, may be called."""

from typing import Annotated

from pydantic import StringConstraints

NAME = r"[a-z0-9][a-z0-9_-]{0,39}"

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
