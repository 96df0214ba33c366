"""OpenAI's embeddings."""

from openai import OpenAI
from tollkeeper import Tollkeeper


def main() -> int:
    """The length of one vector."""
    with Tollkeeper() as tk, OpenAI() as openai:
        create = tk.wrap(openai.embeddings.create)
        answer = create(model="text-embedding-3-small", input=["a river"], tollkeeper_user="ada")
        return len(answer.data[0].embedding)


if __name__ == "__main__":
    print(main())
