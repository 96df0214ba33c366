"""The stand-in for a model: pleasant, honest about what it is, the same every time.

An answer is put together from sentences that fit any topic, picked by a digest of the question,
of how far the conversation is, and of which choice is asked for.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from infra.local.provider.prompt import Json, compact

_SMALL_TALK = {
    "hi": "Hello! What would you like to think about today?",
    "hello": "Hello! What would you like to think about today?",
    "hey": "Hey! Good to see you. What is on your mind?",
    "thanks": "You are welcome. Is there anything else that you would like to look at?",
    "thank you": "You are welcome. Is there anything else that you would like to look at?",
}
_LEAD = re.compile(
    r"^(?:(?:please|so|and|ok|okay|hi|hello|hey)[,.!]?\s+)*"
    r"(?:(?:can|could|would|will) (?:you|we|i)\s+)?(?:please\s+)?(?:help me (?:to |with )?)?"
    r"(?:(?:tell|teach|show|give) me(?: more)?(?: about)?|explain|describe|summari[sz]e|"
    r"write(?: me)?|plan|draft|suggest|compare|discuss|talk about|"
    r"what(?:'s| is| are| was| were)|who(?:'s| is| are| was)|where (?:is|are)|"
    r"why (?:is|are|do|does|did)|when (?:is|do|does|did)|"
    r"how (?:do|does|did|can|could|should|would)(?: (?:i|we|you|one))?|how to|how about|"
    r"what (?:do you think )?(?:about|of))\s+",
    re.IGNORECASE,
)
_TOPIC_WORDS_MAX = 9

_OPENINGS = (
    "Happy to help with {topic}.",
    "Good question. There is more to {topic} than it seems at first.",
    "Let us take {topic} one step at a time.",
    "There are two good ways to look at {topic}, and they meet in the middle.",
    "The short version first, then the details on {topic}.",
)
_THOUGHTS = (
    "Start from what you already know for sure, and write it down in one sentence.",
    "Most of the difficulty sits in a few places, so it pays to find those before anything else.",
    "Small experiments beat long plans here: each one tells you something that no amount of "
    "thinking will.",
    "It helps to say out loud what a good result would look like.",
    "Try the simplest thing that could work. If it holds, you are done; if it does not, you know "
    "exactly where it gave way.",
    "People often look for the clever step first, but the plain steps carry most of the weight.",
    "What changes rarely deserves the most care, because everything else leans on it.",
    "Ask what you would do with half of the time. The answer shows what matters.",
    "A good example is worth more than a definition, so keep one close at hand.",
    "Give yourself a way back: choices that can be undone can be made quickly.",
)
_POINTS = (
    "**Scope**: decide what is in, and just as firmly what is out.",
    "**Order**: do the part that could sink everything else first.",
    "**Evidence**: note what would change your mind, before you look.",
    "**Time**: give each step a limit, and stop when it is reached.",
    "**Feedback**: show it early to one person who will be frank.",
    "**Rest**: leave it for a night; the second look is the better one.",
)
_BRIDGES = (
    "Three things to keep in mind:",
    "If I had to put it on a card, it would say:",
    "In practice that comes down to this:",
)
_CLOSINGS = (
    "Would you like to go deeper into one of these?",
    "Tell me a little more about your situation, and I can be more concrete.",
    "Which part of {topic} is closest to what you are after?",
    "That should be enough to begin with. The rest becomes clear on the way.",
    "Shall we work through an example together?",
)
_REFUSAL = "I'm sorry, but I can't help with that."
_MUSINGS = (
    "The question is about {topic}.",
    "What does the person want to get done, and how much do they know already?",
    "A list would be easy to read, but the reasons matter more than the points.",
    "Check the obvious objection before giving advice.",
    "One concrete step is better than five vague ones.",
    "Keep it short enough to be read on a phone.",
)


class _Picker:
    """Picks by the bytes of a digest: what looks like chance, and is the same every time."""

    def __init__(self, *seed: object) -> None:
        self._seed = repr(seed).encode()
        self._drawn = 0

    def pick(self, choices: Sequence[str], count: int = 1) -> list[str]:
        """`count` different choices, in the order in which they stand."""
        self._drawn += 1

        def rank(choice: str) -> bytes:
            return hashlib.sha256(b"%s|%d|%s" % (self._seed, self._drawn, choice.encode())).digest()

        chosen = set(sorted(choices, key=rank)[:count])
        return [choice for choice in choices if choice in chosen]

    def number(self, low: int, high: int) -> int:
        """A number between `low` and `high`, both included."""
        return int(self.pick([str(n) for n in range(low, high + 1)])[0])


def topic_of(message: str) -> str:
    """What a message is about, in a few words of its own."""
    first = re.split(r"[.?!\n]", message.strip(), maxsplit=1)[0].strip()
    words = _LEAD.sub("", first).strip(" ,:;\"'").split()
    shown = " ".join(words[:_TOPIC_WORDS_MAX]).rstrip(",;:")
    return f"{shown} …" if len(words) > _TOPIC_WORDS_MAX else shown or "this"


def answer(message: str, *, turns: int, choice: int) -> str:
    """Several sentences of light Markdown on what the message is about."""
    small_talk = _SMALL_TALK.get(message.strip().lower().rstrip("!. "))
    if small_talk:
        return small_talk
    picker = _Picker(message, turns, choice)
    topic = f"“{topic_of(message)}”"
    thoughts = picker.pick(_THOUGHTS, picker.number(4, 7))
    middle = len(thoughts) // 2
    points = picker.pick(_POINTS, 3)
    paragraphs = [
        " ".join([*picker.pick(_OPENINGS), *thoughts[:middle]]),
        picker.pick(_BRIDGES)[0] + "\n\n" + "\n".join(f"- {point}" for point in points),
        " ".join([*thoughts[middle:], *picker.pick(_CLOSINGS)]),
    ]
    return "\n\n".join(paragraphs).replace("{topic}", topic)


def answer_from_tool(message: str, result: str) -> str:
    """The answer once a tool has run."""
    return f"Here is what I found on “{topic_of(message)}”:\n\n{result.strip()}"


def refusal() -> str:
    """What is said instead of an answer that is refused."""
    return _REFUSAL


def musing(message: str, *, turns: int, choice: int, sentences: int) -> str:
    """What a reasoning model thinks before it answers, `sentences` sentences long."""
    picker = _Picker("musing", message, turns, choice)
    topic = f"“{topic_of(message)}”"
    lines = [picker.pick(_MUSINGS)[0] for _ in range(sentences)]
    return " ".join(lines).replace("{topic}", topic)


def example(schema: Json, topic: str) -> Any:
    """A value that a JSON schema allows; `topic` where it wants any text."""
    return _example(schema, schema.get("$defs") or schema.get("definitions") or {}, topic)


def _example(schema: Json, defs: Json, topic: str) -> Any:
    if "$ref" in schema:
        return _example(defs[schema["$ref"].rsplit("/", 1)[-1]], defs, topic)
    fixed = [schema["const"]] if "const" in schema else schema.get("enum")
    if fixed:
        return fixed[0]
    if union := schema.get("anyOf") or schema.get("oneOf"):
        return _example(union[0], defs, topic)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {name: _example(inner, defs, topic) for name, inner in properties.items()}
    if kind == "array":
        items = schema.get("items", {"type": "string"})
        return [_example(items, defs, topic) for _ in range(max(1, schema.get("minItems", 1)))]
    plain: Json = {
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1.5),
        "boolean": True,
        "null": None,
    }
    return plain.get(kind or "", topic)


def example_text(schema: Json, message: str) -> str:
    """`example` as JSON text: a structured answer, or a tool's arguments."""
    return compact(example(schema, topic_of(message)))
