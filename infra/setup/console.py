"""Questions and answers on a terminal, or from the environment where nobody sits at one."""

import getpass
import os
from dataclasses import dataclass

from infra.setup.errors import SetupError


@dataclass(frozen=True, slots=True)
class Console:
    """Asks and tells. Without ``interactive`` every answer comes from the environment."""

    interactive: bool

    def step(self, title: str, *lines: str) -> None:
        """Open a step of the set-up."""
        print(f"\n{title}")
        for line in lines:
            print(f"  {line}")

    def done(self, text: str) -> None:
        """Tell that something holds now."""
        print(f"  ✓ {text}")

    def note(self, text: str) -> None:
        """Tell something that calls for no answer."""
        print(f"  {text}")

    def failed(self, error: SetupError) -> None:
        """Tell what did not work, before asking once more."""
        print(f"  ✗ {error}")

    def ask(self, label: str, env: str, *, default: str | None = None, hidden: bool = False) -> str:
        """Ask for a value; an empty answer takes the environment's, or else ``default``.

        ``hidden`` values are neither echoed nor shown as the default. Raises SetupError when there
        is nobody to ask and no value.
        """
        fallback = os.environ.get(env) or default
        if not self.interactive:
            if fallback is None:
                raise SetupError(f"Set {env} ({label}): there is nobody to ask.")
            return fallback
        prompt = self._prompt(label, env, fallback, hidden)
        while True:
            answer = (getpass.getpass(prompt) if hidden else input(prompt)).strip()
            if answer:
                return answer
            if fallback is not None:
                return fallback

    def _prompt(self, label: str, env: str, fallback: str | None, hidden: bool) -> str:
        if fallback is None:
            return f"  {label}: "
        if not hidden:
            return f"  {label} [{fallback}]: "
        if not fallback:
            return f"  {label} [Enter: not now]: "
        source = f"that of {env}" if os.environ.get(env) else "the stored one"
        return f"  {label} [Enter: {source}]: "

    def confirm(self, question: str) -> bool:
        """Ask for a yes, which is also what an empty answer means, and what nobody says."""
        if not self.interactive:
            return True
        return input(f"  {question} [Y/n]: ").strip().lower() in {"", "y", "yes"}

    def confirm_by_typing(self, word: str, given: str | None) -> None:
        """Go on only if ``word`` is typed, or was ``given`` on the command line.

        For what cannot be taken back: an empty answer is a no. Raises SetupError.
        """
        if given is None and self.interactive:
            given = input(f"  Type {word} to go on: ").strip()
        elif given is None:
            raise SetupError(f"Nothing was changed. Give --confirm {word}: there is nobody to ask.")
        if given != word:
            raise SetupError(f"Nothing was changed: {given!r} is not {word!r}.")
