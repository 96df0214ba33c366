"""LangChain: a callback on the model meters it in every chain."""

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from tollkeeper import Tollkeeper
from tollkeeper.integrations.langchain import TollkeeperCallback


def main() -> str:
    """Run one chain as one user."""
    with Tollkeeper() as tk:
        model = ChatOpenAI(
            model="gpt-4o-mini",
            max_completion_tokens=200,
            stream_usage=True,  # asked for by default only where no base URL is set
            callbacks=[TollkeeperCallback(tk)],
        )
        chain = ChatPromptTemplate.from_template("Name three {things}.") | model
        with tk.user("ada"):
            return str(chain.invoke({"things": "rivers"}).content)


if __name__ == "__main__":
    print(main())
