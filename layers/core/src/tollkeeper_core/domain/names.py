"""What parameters, and what they name, may be called."""

from typing import Annotated

from pydantic import StringConstraints

from tollkeeper_core.domain.values import NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
